"""Losses: scalars, means over the batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import aesara.tensor as at
from aesara.graph.basic import Apply, Variable
from numpy.typing import NDArray

from aeframe.core.errors import ArgumentError, DataError, DtypeError, ShapeError
from aeframe.core.ops import TypedOp, require_ndim, require_size
from aeframe.core.shapes import compatible, shape_text
from aeframe.core.trace import current_path
from aeframe.nn.ops.activations import LogSoftmaxOp, SoftplusOp


class _OfLabels(TypedOp):
    """Base of the losses whose second input are integer labels of the columns of the first."""

    def check(self, scores: Variable, labels: Variable) -> None:
        """Labels are integers, one for each row."""
        require_ndim(self, "scores", scores, 2)
        if labels.type.ndim == 2:
            raise ShapeError(
                f"{self} takes class numbers, not one-hot rows",
                path=current_path(),
                expected="(n,) integers",
                got=shape_text(labels.type.shape),
                fix="pass `labels.argmax(axis=1)`",
            )
        require_ndim(self, "labels", labels, 1)
        if "int" not in labels.type.dtype:
            raise DtypeError(
                f"{self} takes integer class labels",
                path=current_path(),
                expected="integers from 0",
                got=labels.type.dtype,
                fix="pass `labels.astype(int)`; for one-hot rows, `labels.argmax(axis=1)`",
            )
        require_size(self, "labels", labels, 0, scores.type.shape[0])

    def validate(self, node: Apply, index: int, array: NDArray[Any]) -> None:
        """Labels lie between 0 and the number of columns."""
        columns = node.inputs[0].type.shape[1]
        if index != 1 or columns is None or array.size == 0:
            return
        if array.min() < 0 or array.max() >= columns:
            raise DataError(
                "labels are out of range",
                path=getattr(node.tag, "path", None),
                expected=f"integers from 0 to {columns - 1}",
                got=f"from {array.min()} to {array.max()}",
                fix="number the classes from 0, or widen the last layer",
            )


class NegativeLogLikelihoodOp(_OfLabels):
    """The mean of ``−logp[i, label[i]]``: (n, k) log probabilities, (n,) integers → scalar."""

    def body(self, logp: Variable, labels: Variable) -> Variable:
        """A one-hot selection: its gradient is elementwise on every backend."""
        chosen = at.eq(at.arange(logp.shape[1]), labels.dimshuffle(0, "x"))
        return _mean(-(logp * chosen.astype(logp.type.dtype)).sum(axis=1))


class SoftmaxCrossEntropyOp(_OfLabels):
    """Mean cross-entropy of integer labels from logits: (n, k), (n,) → scalar, log softmax.

    The second output is what the gradient needs again.
    """

    def body(self, logits: Variable, labels: Variable) -> list[Variable]:
        """Log softmax, then its negative log-likelihood."""
        logp = LogSoftmaxOp()(logits)
        return [NegativeLogLikelihoodOp()(logp, labels), logp]

    def pullback(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        cotangents: Sequence[Variable | None],
    ) -> list[Variable | None]:
        """G (softmax − onehot) / n, and the pullback of log softmax for the second output."""
        (logits, labels), (_, logp), (g, g_logp) = inputs, outputs, cotangents
        total: Variable | None = None
        if g is not None:
            chosen = at.eq(at.arange(logits.shape[1]), labels.dimshuffle(0, "x"))
            n = logits.shape[0].astype(logits.type.dtype)
            total = (at.exp(logp) - chosen.astype(logits.type.dtype)) * (g / n)
        if g_logp is not None:
            more = LogSoftmaxOp().pullback([logits], [logp], [g_logp])[0]
            total = more if total is None else total + more
        return [total, None]


class _OfPairs(TypedOp):
    """Base of the losses whose prediction and target have one shape."""

    def check(self, prediction: Variable, target: Variable) -> None:
        """Shapes must be equal: nothing is broadcast in a loss."""
        a, b = prediction.type.shape, target.type.shape
        if len(a) != len(b) or not all(map(compatible, a, b)):
            raise ShapeError(
                "prediction and target have different shapes",
                path=current_path(),
                expected=shape_text(a),
                got=shape_text(b),
                fix="reshape the target, `y[:, None]` for a column",
            )

    def body(self, prediction: Variable, target: Variable) -> Variable:
        """The mean of the entries' losses."""
        return _mean(self.entries(prediction, target.astype(prediction.type.dtype)))

    def entries(self, prediction: Variable, target: Variable) -> Variable:
        """The loss of each entry."""
        raise NotImplementedError


class MeanSquaredErrorOp(_OfPairs):
    """The mean of ``(p − t)²``."""

    def entries(self, prediction: Variable, target: Variable) -> Variable:
        """(p − t)²."""
        difference = prediction - target
        return difference * difference


class MeanAbsoluteErrorOp(_OfPairs):
    """The mean of ``|p − t|``."""

    def entries(self, prediction: Variable, target: Variable) -> Variable:
        """|p − t|."""
        return abs(prediction - target)


class HuberOp(_OfPairs):
    """The mean of d²/2 where d = |p − t| is at most delta, delta (d − delta/2) beyond."""

    __props__ = ("delta",)

    def __init__(self, delta: float) -> None:
        if not delta > 0:
            raise ArgumentError("Huber's delta is a positive number", got=repr(delta))
        self.delta = delta

    def entries(self, prediction: Variable, target: Variable) -> Variable:
        """With c = min(d, delta): c (d − c/2)."""
        distance = abs(prediction - target)
        clipped = at.minimum(distance, at.as_tensor(self.delta, dtype=distance.type.dtype))
        return clipped * (distance - 0.5 * clipped)


class HingeOp(_OfPairs):
    """The mean of ``max(1 − t p, 0)``; targets are −1 and 1."""

    def entries(self, prediction: Variable, target: Variable) -> Variable:
        """max(1 − t p, 0)."""
        margin = 1.0 - target * prediction
        return at.maximum(margin, at.zeros_like(margin))


class BinaryCrossEntropyOp(_OfPairs):
    """The mean of ``softplus(x) − t x`` for logits x and targets between 0 and 1."""

    def entries(self, prediction: Variable, target: Variable) -> Variable:
        """−t log σ(x) − (1 − t) log σ(−x)."""
        return SoftplusOp()(prediction) - target * prediction


class KLDivergenceOp(_OfPairs):
    """Σ t (log t − logp) over the last axis, averaged: log probabilities, probabilities."""

    def body(self, prediction: Variable, target: Variable) -> Variable:
        """With 0 log 0 = 0."""
        t = target.astype(prediction.type.dtype)
        safe = at.switch(at.gt(t, 0), t, at.ones_like(t))
        return _mean((t * (at.log(safe) - prediction)).sum(axis=-1))


class CosineOp(_OfPairs):
    """1 − cos of the angle between prediction and target along the last axis, averaged."""

    def body(self, prediction: Variable, target: Variable) -> Variable:
        """1 − p·t / (|p| |t|)."""
        t = target.astype(prediction.type.dtype)
        dot = (prediction * t).sum(axis=-1)
        lengths = at.sqrt((prediction * prediction).sum(axis=-1) * (t * t).sum(axis=-1))
        return _mean(1.0 - dot / lengths)


def _mean(x: Variable) -> Variable:
    """The mean over all entries in the dtype of ``x``."""
    size = at.prod(at.stack([x.shape[i] for i in range(x.type.ndim)])) if x.type.ndim else 1
    return x.sum() / at.as_tensor(size).astype(x.type.dtype)
