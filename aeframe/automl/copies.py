"""Models with cells of their own: what a child does must not change its parent."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

from aeframe.core import Parameter, RandomState, State
from aeframe.core.cells import Cell
from aeframe.core.errors import StateError
from aeframe.core.module import Module
from aeframe.core.structure import Structure

M = TypeVar("M", bound=Module)


def twin(model: M) -> M:
    """A Module of the same structure and values that shares no cell with ``model``.

    Programs, the Trainer and all other working memory stay behind.

    >>> from aeframe import nn
    >>> import numpy as np
    >>> layer = nn.Dense(2)
    >>> y = layer(np.ones((1, 3)))
    >>> other = twin(layer)
    >>> bool((other(np.ones((1, 3))) == y).all()), other.w is layer.w
    (True, False)
    """
    return _twin(model, {})


def _twin(value: Any, known: dict[int, Any]) -> Any:
    if id(value) in known:
        return known[id(value)]
    if isinstance(value, Cell):
        known[id(value)] = made = _cell(value)
        return made
    if isinstance(value, Structure):
        known[id(value)] = other = value.__class__.__new__(value.__class__)
        for name, part in value.fields().items():
            object.__setattr__(other, name, _twin(part, known))
        return other
    if isinstance(value, dict):
        return {k: _twin(v, known) for k, v in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_twin(v, known) for v in value)
    return value


def _cell(cell: Cell) -> Cell:
    if isinstance(cell, RandomState):
        made: Any = RandomState(cell.name)
        if cell.data is not None:
            made.restore(cell.numpy())
        return made
    assert isinstance(cell, Parameter | State)
    made = type(cell)(
        init=cell.init or _no_init,
        shape=cell.type.shape,
        dtype=cell.type.dtype,
        support=cell.support,
        name=cell.name,
    )
    made.init, made.trainable = cell.init, cell.trainable
    if cell.data is not None:
        made.restore(np.asarray(cell.data))
    return made


def _no_init(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    raise StateError("a parameter has neither a value nor an initializer")


def reinitialize(model: Module, seed: int) -> None:
    """Draw all cells anew, as if the model had not been trained nor inherited anything.

    Cells that were made with a value keep it.
    """
    for cell in model.store.values():
        if getattr(cell, "init", None) is not None or isinstance(cell, RandomState):
            cell.data = None
    model.store.initialize(seed)
