"""Metrics: sums over batches, computed in the program that computes the loss."""

from __future__ import annotations

from typing import Any

import aesara.tensor as at
from aesara.graph.basic import Variable
from numpy.typing import NDArray

from aeframe.core.structure import Structure


class Metric(Structure):
    """Base of the metrics: a batch gives terms, terms add up, the value is made of their sums.

    Attributes
    ----------
    name
        What logs and History call it.
    """

    name = "metric"

    def terms(
        self, prediction: Variable, target: Variable, weight: Variable | None = None
    ) -> tuple[Variable, ...]:
        """Arrays of any shape for one batch; those of all batches are summed."""
        raise NotImplementedError

    def value(self, *sums: NDArray[Any]) -> float | NDArray[Any]:
        """The metric, from the sums of the terms."""
        raise NotImplementedError


class Accuracy(Metric):
    """The share of rows whose largest entry is at the label: (..., k) scores, (...) integers.

    >>> Accuracy().name
    'accuracy'
    """

    name = "accuracy"

    def terms(
        self, prediction: Variable, target: Variable, weight: Variable | None = None
    ) -> tuple[Variable, ...]:
        """Weight of the rows that are right, weight of all rows."""
        right = at.eq(at.argmax(prediction, axis=-1), target).astype(prediction.type.dtype)
        w = at.ones_like(right)
        if weight is not None:
            w = w * at.shape_padright(weight.astype(w.type.dtype), w.type.ndim - weight.type.ndim)
        return (right * w).sum(), w.sum()

    def value(self, *sums: NDArray[Any]) -> float:
        """The first sum over the second; 0 where there is no weight."""
        right, total = sums
        return float(right / total) if total else 0.0
