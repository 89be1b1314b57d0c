"""What a circuit takes as data: a matrix with a row for each case, NaN where a value is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
from aesara.graph.basic import Variable
from numpy.typing import NDArray

from aeframe.backends import as_array
from aeframe.circuits.structure import post_order
from aeframe.core.errors import DataError, ShapeError
from aeframe.core.module import is_array
from aeframe.core.shapes import shape_text
from aeframe.core.trace import current_path

if TYPE_CHECKING:
    from aeframe.circuits.leaves import Leaf
    from aeframe.circuits.nodes import Circuit

M = TypeVar("M", bound=Callable[..., Any])
Array = NDArray[np.float64]


def on_data(method: M) -> M:
    """Check arrays before a graph method of a circuit runs on them."""

    @wraps(method)
    def call(self: Circuit, x: Any) -> Any:
        return method(self, require_data(self, x) if is_array(x) else x)

    return call  # type: ignore[return-value]


def require_data(circuit: Circuit, x: Any) -> Array:
    """Data as a float64 matrix.

    Raises
    ------
    ShapeError, DataError
        When it has another number of columns, or values that a leaf cannot take.
    """
    array = as_array(x, "float64", "the data").astype("float64", copy=False)
    leaves = [cast("Leaf", node) for node in post_order(circuit) if not node.children]
    width = max(leaf.column for leaf in leaves) + 1
    if array.ndim != 2 or array.shape[1] != width:
        raise _wrong_width(width, array.shape)
    for column, kind in {(leaf.column, type(leaf)): None for leaf in leaves}:
        values = array[:, column]
        wrong = ~(np.isnan(values) | kind.accepts(values))
        if wrong.any():
            row = int(wrong.argmax())
            raise DataError(
                f"the data holds a value that a {kind.__name__} leaf cannot take",
                path=f"row {row}, column {column}",
                expected=f"{kind.domain}, or NaN where it is missing",
                got=values[row],
                fix="encode the column, or mark what is missing with NaN",
            )
    return array


def as_matrix(circuit: Circuit, x: Variable) -> Variable:
    """Symbolic data as a float64 matrix with a column for each of the circuit."""
    width, shape = circuit.width, x.type.shape
    if x.type.ndim != 2 or shape[1] not in (None, width):
        raise _wrong_width(width, shape)
    return x if x.type.dtype == "float64" else x.astype("float64")


def _wrong_width(width: int, shape: Sequence[int | None]) -> ShapeError:
    return ShapeError(
        "the data does not have the columns of the circuit",
        path=current_path(),
        expected=f"(*, {width}): a row for each case, columns 0 to {width - 1}",
        got=shape_text(shape),
        fix="pass every column of the circuit, NaN where a value is missing",
    )
