"""Metrics: streaming averages, computed in the program that computes the loss."""

from __future__ import annotations

import aesara.tensor as at
from aesara.graph.basic import Variable

from aeframe.core.structure import Structure


class Metric(Structure):
    """Base of the metrics: a batch adds ``total`` and ``weight``; the value is Σ total / Σ weight.

    Attributes
    ----------
    name
        What logs and History call it.
    """

    name = "metric"

    def terms(self, prediction: Variable, target: Variable) -> tuple[Variable, Variable]:
        """Total and weight of one batch, two scalars."""
        raise NotImplementedError


class Accuracy(Metric):
    """The share of rows whose largest entry is at the label: (n, k) scores, (n,) integers.

    >>> Accuracy().name
    'accuracy'
    """

    name = "accuracy"

    def terms(self, prediction: Variable, target: Variable) -> tuple[Variable, Variable]:
        """Number of rows that are right, number of rows."""
        dtype = prediction.type.dtype
        right = at.eq(at.argmax(prediction, axis=1), target)
        return right.astype(dtype).sum(), target.shape[0].astype(dtype)
