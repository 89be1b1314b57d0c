"""Checking data and cutting it into batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from aesara.graph.basic import Variable
from numpy.typing import NDArray

from aeframe.backends import as_array, require_finite
from aeframe.core.errors import DataError
from aeframe.core.graph import Graph, toposort
from aeframe.core.ops import TypedOp

Arrays = tuple[NDArray[Any], ...]


def as_arrays(data: Sequence[Any], names: Sequence[str], dtype: str) -> Arrays:
    """Data as arrays of equal length without NaN.

    Raises
    ------
    DataError
        When there are no rows, lengths differ, or a float array holds NaN or infinity.
    """
    arrays = tuple(as_array(a, dtype, n) for a, n in zip(data, names, strict=True))
    for name, array in zip(names, arrays, strict=True):
        if array.ndim == 0 or len(array) == 0:
            raise DataError(f"{name} has no rows", got=f"shape {array.shape}")
        require_finite(name, array)
    lengths = {n: len(a) for n, a in zip(names, arrays, strict=True)}
    if len(set(lengths.values())) > 1:
        raise DataError(
            "the arrays have different lengths",
            expected="one length",
            got=", ".join(f"{n}: {k}" for n, k in lengths.items()),
        )
    return arrays


def validate(graph: Graph, arrays: Arrays) -> None:
    """Let each typed Op that takes data directly refuse values that it must not be given."""
    data: dict[Variable, NDArray[Any]] = dict(zip(graph.inputs, arrays, strict=True))
    for node in toposort(graph.results):
        if isinstance(node.op, TypedOp):
            for index, variable in enumerate(node.inputs):
                if variable in data:
                    node.op.validate(node, index, data[variable])


def batches(arrays: Arrays, size: int, order: NDArray[np.intp] | None = None) -> Iterator[Arrays]:
    """Slices of ``size`` rows, in the given order of rows; the last may be shorter."""
    n = len(arrays[0])
    for start in range(0, n, size):
        rows = slice(start, start + size) if order is None else order[start : start + size]
        yield tuple(a[rows] for a in arrays)
