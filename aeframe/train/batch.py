"""Batches: what one call of a program gets, of one shape each time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = tuple[NDArray[Any], ...]
WEIGHT, CLASS_WEIGHT, ROWS = "weight", "class weight", "rows"


@dataclass(frozen=True)
class Batch:
    """What one call of a program gets.

    Attributes
    ----------
    arrays
        Inputs, target, then what ``extras`` names.
    extras
        Which of ``"weight"``, ``"class weight"`` and ``"rows"`` (which rows are no padding)
        there are, in this order.
    steps
        How many batches are stacked along a first axis; 0 for one batch as it is.
    """

    arrays: Arrays
    extras: tuple[str, ...] = ()
    steps: int = 0

    def shapes(self) -> list[tuple[tuple[int, ...], NDArray[Any]]]:
        """The shape of each array in one step, with the array."""
        skipped = 1 if self.steps else 0
        return [(a.shape[skipped:], a) for a in self.arrays]

    def single(self, step: int = 0) -> Batch:
        """One of the stacked batches."""
        return Batch(tuple(a[step] for a in self.arrays), self.extras) if self.steps else self

    def with_class_weight(self, weights: Mapping[Any, float], dtype: str) -> Batch:
        """The same with the weight of the class of each target, 1 where none is given."""
        target = self.arrays[-1 - len(self.extras)]
        labels = target[..., 0] if target.ndim > 1 and target.shape[-1] == 1 else target
        found = np.ones(labels.shape, dtype)
        for label, weight in weights.items():
            found[labels == label] = weight
        return Batch((*self.arrays, found), (*self.extras, CLASS_WEIGHT))

    def padded(self, size: int) -> Batch:
        """The same with its rows repeated up to ``size``, and which of them count."""
        n, arrays = len(self.arrays[0]), self.arrays
        if n < size:
            rows = np.resize(np.arange(n), size)
            arrays = tuple(a[rows] for a in arrays)
        return Batch((*arrays, np.arange(max(n, size)) < n), (*self.extras, ROWS))


@dataclass(frozen=True)
class Options:
    """How batches are made.

    Attributes
    ----------
    dtype
        Of floats.
    size
        Rows in a batch; in an iterable, the first batch says.
    pad
        Whether a shorter batch is filled up, so that all have one shape.
    class_weight
        Label → weight.
    multiple
        What the rows of a batch must be a multiple of, as the backend says.
    """

    dtype: str
    size: int = 32
    pad: bool = False
    class_weight: Mapping[Any, float] | None = None
    multiple: int = 1

    def full(self, size: int) -> int:
        """The rows of a batch of ``size`` that is filled up.

        >>> Options("float32", pad=True, multiple=4).full(21)
        24
        """
        return -(-size // self.multiple) * self.multiple if self.pad else size

    def finished(self, batch: Batch, size: int, pad: bool) -> Batch:
        """``batch`` with class weights and padding, as far as they are wanted."""
        if self.class_weight:
            batch = batch.with_class_weight(self.class_weight, self.dtype)
        return batch.padded(size) if pad else batch
