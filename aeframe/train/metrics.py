"""Metrics: sums over batches, computed in the program that computes the loss.

All are exact over batches of any sizes, but :class:`AUC`, which says how far it is off. ``weight``
has the leading axes of the entries, as in the losses; entries without weight do not count.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Variable
from numpy.typing import NDArray

from aeframe.core.arguments import count
from aeframe.core.structure import Structure
from aeframe.nn.losses import softmax_cross_entropy
from aeframe.train.targets import require_labels, require_range, require_same


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

    def validate(self, target: NDArray[Any]) -> None:
        """Refuse targets that it cannot count, with a :class:`DataError`; by default none."""

    def value(self, *sums: NDArray[Any]) -> float | NDArray[Any]:
        """The metric, from the sums of the terms; 0 where nothing was summed."""
        raise NotImplementedError


class _Share(Metric):
    """Base of the metrics that are the share of entries that are right."""

    def right(self, prediction: Variable, target: Variable) -> Variable:
        """Which entries are right, as booleans."""
        raise NotImplementedError

    def terms(
        self, prediction: Variable, target: Variable, weight: Variable | None = None
    ) -> tuple[Variable, ...]:
        """Weight of the entries that are right, weight of all."""
        right = self.right(prediction, target).astype(prediction.type.dtype)
        w = _weights(right, weight)
        return (right * w).sum(), w.sum()

    def value(self, *sums: NDArray[Any]) -> float:
        """The first sum over the second."""
        return float(_ratio(*sums))


class Accuracy(_Share):
    """The share of rows whose largest entry is at the label: (..., k) scores, (...) integers.

    >>> Accuracy().name
    'accuracy'
    """

    name = "accuracy"

    def right(self, prediction: Variable, target: Variable) -> Variable:
        """Argmax = label."""
        require_labels(self, prediction, target)
        return at.eq(at.argmax(prediction, axis=-1), target)


class TopKAccuracy(_Share):
    """The share of rows where fewer than ``k`` entries are larger than the label's.

    >>> TopKAccuracy(5).name
    'top_5_accuracy'
    """

    def __init__(self, k: int) -> None:
        self.k, self.name = count("k", k), f"top_{k}_accuracy"

    def right(self, prediction: Variable, target: Variable) -> Variable:
        """The label's entry is the sum of the row with all others put to 0."""
        require_labels(self, prediction, target)
        chosen = _one_hot(target, prediction.shape[-1], prediction.type.dtype)
        own = at.switch(chosen > 0, prediction, at.zeros_like(prediction)).sum(axis=-1)
        larger = at.gt(prediction, at.shape_padright(own)).astype("int64").sum(axis=-1)
        return at.lt(larger, self.k)


class BinaryAccuracy(_Share):
    """The share of entries on the right side of ``threshold``: logits and targets 0 or 1.

    >>> BinaryAccuracy().threshold
    0.0
    """

    name = "accuracy"

    def __init__(self, threshold: float = 0.0) -> None:
        self.threshold = threshold

    def right(self, prediction: Variable, target: Variable) -> Variable:
        """[logit > threshold] = [target > 1/2]."""
        require_same(self, prediction, target)
        return at.eq(_above(prediction, self.threshold), _above(target, 0.5))


class LossMetric(Metric):
    """The average of any loss of aeframe: ``LossMetric(nn.mean_absolute_error)``.

    Parameters
    ----------
    loss
        ``loss(prediction, target, weight=None)``.
    name
        By default the loss's own.

    >>> from aeframe import nn
    >>> LossMetric(nn.mean_absolute_error).name
    'mean_absolute_error'
    """

    def __init__(self, loss: Callable[..., Variable], name: str | None = None) -> None:
        self.loss, self.name = loss, name or loss.__name__

    def terms(
        self, prediction: Variable, target: Variable, weight: Variable | None = None
    ) -> tuple[Variable, ...]:
        """The batch's loss times its weight, its weight."""
        total = (target.shape[0] if weight is None else weight.sum()).astype(prediction.type.dtype)
        given = () if weight is None else (weight,)
        return self.loss(prediction, target, *given) * total, total

    def value(self, *sums: NDArray[Any]) -> float:
        """The first sum over the second."""
        return float(_ratio(*sums))


class Perplexity(LossMetric):
    """Exp of the mean cross-entropy: logits (..., k) and integer labels (...).

    >>> Perplexity().value(np.array(0.0), np.array(4.0))
    1.0
    """

    def __init__(self) -> None:
        super().__init__(softmax_cross_entropy, "perplexity")

    def value(self, *sums: NDArray[Any]) -> float:
        """Exp of the mean; 0 where nothing was summed."""
        return float(np.exp(super().value(*sums))) if sums[1] else 0.0


class AUC(Metric):
    """Area under the ROC curve, from logits and targets 0 or 1 of one shape.

    σ(logit) is counted in ``bins`` of equal width, for each class; pairs of one bin count 1/2.
    The area is off by at most Σ_b p_b n_b / 2, with the shares p and n of the positives and the
    negatives in bin b. It is 0 when a class has no entries.

    >>> AUC().value(np.array([0.0, 3.0]), np.array([5.0, 0.0]))
    1.0
    """

    name = "auc"

    def __init__(self, bins: int = 200) -> None:
        self.bins = count("bins", bins, 2)

    def terms(
        self, prediction: Variable, target: Variable, weight: Variable | None = None
    ) -> tuple[Variable, ...]:
        """Weights of the positives and of the negatives by bin."""
        require_same(self, prediction, target)
        dtype = prediction.type.dtype
        w = _weights(prediction, weight).flatten()
        place = at.floor(at.sigmoid(prediction.flatten()) * float(self.bins)).astype("int64")
        hot = _one_hot(at.minimum(place, self.bins - 1), self.bins, dtype)
        positive = w * _above(target, 0.5).flatten().astype(dtype)
        return at.dot(positive, hot), at.dot(w - positive, hot)

    def value(self, *sums: NDArray[Any]) -> float:
        """Pairs in the right order over all pairs."""
        positives, negatives = sums
        below = np.cumsum(negatives) - negatives / 2
        return float(_ratio((positives * below).sum(), positives.sum() * negatives.sum()))


class _Counts(Metric):
    """Base of precision, recall and F1: what is right, what is predicted, what is there."""

    def __init__(self, classes: int | None = None) -> None:
        self.classes = None if classes is None else _classes(classes)

    def terms(
        self, prediction: Variable, target: Variable, weight: Variable | None = None
    ) -> tuple[Variable, ...]:
        """Weights of the true positives, of the predicted and of the actual ones, by class."""
        dtype = prediction.type.dtype
        if self.classes is None:
            require_same(self, prediction, target)
            said = _above(prediction, 0.0).flatten().astype(dtype)
            true = _above(target, 0.5).flatten().astype(dtype)
            w = _weights(prediction, weight).flatten()
        else:
            require_labels(self, prediction, target, self.classes)
            said = _one_hot(at.argmax(prediction, axis=-1).flatten(), self.classes, dtype)
            true = _one_hot(target.flatten(), self.classes, dtype)
            w = _weights(target.astype(dtype), weight).flatten()
        return at.dot(w, said * true), at.dot(w, said), at.dot(w, true)

    def validate(self, target: NDArray[Any]) -> None:
        """Labels lie between 0 and the number of classes, if there are classes."""
        if self.classes is not None:
            require_range(self, target, self.classes)


class Precision(_Counts):
    """True positives over predicted positives; 0 where nothing was predicted.

    Parameters
    ----------
    classes
        Without it: logits and targets 0 or 1 of one shape, positive above 0. With it: scores
        (..., classes) and integer labels (...); the value is the mean over all classes (macro).
        The micro average of such classes is :class:`Accuracy`.

    >>> Precision().value(np.array(3.0), np.array(4.0), np.array(6.0))
    0.75
    """

    name = "precision"

    def value(self, *sums: NDArray[Any]) -> float:
        """The mean over classes, if there are some."""
        right, said, _ = sums
        return float(np.mean(_ratio(right, said)))


class Recall(_Counts):
    """True positives over actual positives; 0 where there are none.

    ``classes`` is that of :class:`Precision`.

    >>> Recall().value(np.array(3.0), np.array(4.0), np.array(6.0))
    0.5
    """

    name = "recall"

    def value(self, *sums: NDArray[Any]) -> float:
        """The mean over classes, if there are some."""
        right, _, true = sums
        return float(np.mean(_ratio(right, true)))


class F1(_Counts):
    """The harmonic mean of precision and recall; 0 where a class is neither predicted nor there.

    ``classes`` is that of :class:`Precision`.

    >>> F1().value(np.array(3.0), np.array(4.0), np.array(6.0))
    0.6
    """

    name = "f1"

    def value(self, *sums: NDArray[Any]) -> float:
        """The mean over classes, if there are some."""
        right, said, true = sums
        return float(np.mean(_ratio(2 * right, said + true)))


class ConfusionMatrix(Metric):
    """How much weight of each label (row) was given to each class (column), a matrix.

    Scores (..., classes) and integer labels (...). ``evaluate`` returns it as an array.

    >>> ConfusionMatrix(10).name
    'confusion_matrix'
    """

    name = "confusion_matrix"

    def __init__(self, classes: int) -> None:
        self.classes = _classes(classes)

    def terms(
        self, prediction: Variable, target: Variable, weight: Variable | None = None
    ) -> tuple[Variable, ...]:
        """The matrix of one batch."""
        require_labels(self, prediction, target, self.classes)
        dtype = prediction.type.dtype
        w = _weights(target.astype(dtype), weight).flatten()
        said = _one_hot(at.argmax(prediction, axis=-1).flatten(), self.classes, dtype)
        true = _one_hot(target.flatten(), self.classes, dtype)
        return (at.dot((true * at.shape_padright(w)).T, said),)

    def validate(self, target: NDArray[Any]) -> None:
        """Labels lie between 0 and the number of classes."""
        require_range(self, target, self.classes)

    def value(self, *sums: NDArray[Any]) -> NDArray[Any]:
        """The sum itself."""
        return np.asarray(sums[0])


class R2(Metric):
    """Coefficient of determination, 1 − Σ w (t − p)² / Σ w (t − mean t)².

    The mean over the columns of the last axis, if there are two axes or more; a column whose
    targets are all equal counts 0. Sums of a float32 model are float32: take a target's mean off
    where it is a thousand times its standard deviation.

    >>> R2().name
    'r2'
    """

    name = "r2"

    def terms(
        self, prediction: Variable, target: Variable, weight: Variable | None = None
    ) -> tuple[Variable, ...]:
        """Σ w, Σ w t, Σ w t² and Σ w (t − p)², by column."""
        require_same(self, prediction, target)
        t = target.astype(prediction.type.dtype)
        w, axes = _weights(prediction, weight), list(range(max(prediction.type.ndim - 1, 1)))
        error = t - prediction
        return tuple((w * v).sum(axis=axes) for v in (at.ones_like(t), t, t * t, error * error))

    def value(self, *sums: NDArray[Any]) -> float:
        """One less the share that is left unexplained."""
        total, first, second, error = sums
        spread = second - _ratio(first * first, total)
        known = spread > 1e-12 * second
        return float(np.mean(np.where(known, 1 - error / np.where(known, spread, 1), 0.0)))


def _weights(like: Variable, weight: Variable | None) -> Variable:
    """Weights of the shape of ``like``, and in its dtype: ones, or ``weight`` along its axes."""
    ones = at.ones_like(like)
    if weight is None:
        return ones
    missing = like.type.ndim - weight.type.ndim
    return ones * at.shape_padright(weight.astype(like.type.dtype), missing)


def _one_hot(labels: Variable, classes: Any, dtype: str) -> Variable:
    return at.eq(at.arange(classes), at.shape_padright(labels)).astype(dtype)


def _above(x: Variable, threshold: float) -> Variable:
    dtype = x.type.dtype if x.type.dtype.startswith("float") else "float32"
    return at.gt(x, at.as_tensor(threshold, dtype=dtype))


def _ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> NDArray[Any]:
    """Elementwise; 0 where the denominator is."""
    known = np.asarray(denominator) != 0
    return np.where(known, numerator / np.where(known, denominator, 1), 0.0)


def _classes(value: int) -> int:
    return count("classes", value, 2)
