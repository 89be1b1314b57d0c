"""Predictions in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from aeframe.backends import Backend, run
from aeframe.core.arguments import count
from aeframe.core.errors import ArgumentError, DataError
from aeframe.core.module import Module
from aeframe.train.batch import Arrays, Batch, Options
from aeframe.train.data import Rows, names_of


def predict(
    module: Module,
    *data: Any,
    batch_size: int | None = None,
    backend: str | Backend | None = None,
) -> Any:
    """The outputs of ``module`` on data, in the inference phase.

    Parameters
    ----------
    data
        Arrays of one length; or one iterable, not a list, of batches ``x`` or ``(x, ...)``.
    batch_size
        Rows of one call; all of them unless it is given. Rows must not depend on each other
        then. The last batch is filled up with its rows, so that it needs no program of its own.
    backend
        That of this call; without it the model's, or the current one.
    """
    dtype = module.find_dtype()
    if batch_size is not None:
        count("batch_size", batch_size)
    parts, counts, size = [], [], 0
    for batch in _batches(data, batch_size, dtype):
        counts.append(len(batch[0]))
        size = max(size, counts[-1])
        filled = Batch(batch).padded(size).arrays[:-1]
        parts.append(run(module, "__call__", filled, backend=backend))
    if batch_size is None and len(parts) == 1:
        return parts[0]
    return _join(parts, counts)


def _batches(data: Sequence[Any], size: int | None, dtype: str) -> Iterator[Arrays]:
    """The inputs of each call.

    Raises
    ------
    DataError
        When an iterable has no batches.
    """
    source: Any = data[0] if len(data) == 1 else None
    if isinstance(source, list) or hasattr(source, "__array__") or not hasattr(source, "__iter__"):
        rows = Rows(data, _names(len(data)), dtype)
        yield from (b.arrays for b in rows.batches(Options(dtype, size or len(rows))))
        return
    given = None
    for given in source:
        parts = given if isinstance(given, tuple) else (given,)
        yield Rows([np.asarray(a) for a in parts], _names(len(parts)), dtype).arrays
    if given is None:
        raise DataError("the iterable has no batches", fix="a generator runs only once")


def _names(n: int) -> list[str]:
    return names_of(n + 1)[:-1]


def _join(parts: Sequence[Any], rows: Sequence[int]) -> Any:
    """The first ``rows`` of each part in a row, nested as the parts are."""
    first = parts[0]
    if isinstance(first, dict):
        return {key: _join([p[key] for p in parts], rows) for key in first}
    if isinstance(first, list | tuple):
        made = [_join(column, rows) for column in zip(*parts, strict=True)]
        return type(first)(*made) if hasattr(first, "_fields") else type(first)(made)
    if np.ndim(first) == 0 or len(first) != rows[0]:
        raise ArgumentError(
            "an output has no row for each row of the data, so it cannot be put together",
            got=f"shape {np.shape(first)} for {rows[0]} rows",
            fix="leave `batch_size` out",
        )
    return np.concatenate([p[:k] for p, k in zip(parts, rows, strict=True)])
