"""Losses: scalars, averages over the batch.

Each takes weights of the leading axes of its entries as an optional last input.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import aesara.tensor as at
from aesara.graph.basic import Apply, Variable
from numpy.typing import NDArray

from aeframe.core.errors import ArgumentError, DataError, DtypeError, ShapeError
from aeframe.core.grad import vjp
from aeframe.core.ops import TypedOp, require_ndim, require_size
from aeframe.core.shapes import compatible, shape_text
from aeframe.core.trace import current_path
from aeframe.nn.ops.activations import LogSoftmaxOp, SoftplusOp


def average(losses: Variable, weight: Variable | None = None) -> Variable:
    """The mean of all entries; with weights of the leading axes Σ w l / Σ w, or 0 if Σ w = 0.

    Axes that the weights do not have are averaged first.
    """
    if weight is None:
        return losses.sum() / _size(losses, 0)
    return (losses * shares(losses, weight)).sum()


def shares(losses: Variable, weight: Variable | None = None) -> Variable:
    """What each entry counts for in :func:`average`, in a shape that broadcasts with theirs."""
    if weight is None:
        return 1.0 / _size(losses, 0)
    w = weight.astype(losses.type.dtype)
    total, rest = w.sum(), losses.type.ndim - w.type.ndim
    empty = at.eq(total, 0)
    scale = at.switch(empty, 0, 1 / at.switch(empty, 1, total)).astype(losses.type.dtype)
    if rest:
        scale = scale / _size(losses, w.type.ndim)
    return (w * scale).dimshuffle(*range(w.type.ndim), *["x"] * rest)


def _size(x: Variable, start: int) -> Variable:
    """How many entries the axes from ``start`` on hold, in the dtype of ``x``."""
    sizes = [x.shape[i] for i in range(start, x.type.ndim)]
    return (at.prod(at.stack(sizes)) if sizes else at.as_tensor(1)).astype(x.type.dtype)


def _require_weight(op: TypedOp, weight: Variable | None, shape: Sequence[int | None]) -> None:
    """Raise :class:`ShapeError` unless ``weight`` has leading axes of ``shape``, at least one."""
    if weight is None:
        return
    found = weight.type.shape
    if not 0 < len(found) <= len(shape) or not all(
        compatible(a, b) for a, b in zip(found, shape, strict=False)
    ):
        raise ShapeError(
            f"{op} got weights of a wrong shape",
            path=current_path(),
            expected=f"the leading axes of {shape_text(shape)}",
            got=shape_text(found),
            fix="one weight for each row, or for each step of each row",
        )


class _OfLabels(TypedOp):
    """Base of the losses whose second input are integer labels: (..., k) scores, (...) labels."""

    def check(self, scores: Variable, labels: Variable, weight: Variable | None = None) -> None:
        """Labels are integers, one for each row of scores."""
        if scores.type.ndim == 0:
            require_ndim(self, "scores", scores, 2)
        if labels.type.ndim == scores.type.ndim:
            column = labels.type.shape[-1] == 1
            raise ShapeError(
                f"{self} takes class numbers, not {'columns' if column else 'one-hot rows'}",
                path=current_path(),
                expected=f"{shape_text(scores.type.shape[:-1])} integers",
                got=shape_text(labels.type.shape),
                fix="pass `labels[..., 0]`" if column else "pass `labels.argmax(axis=-1)`",
            )
        require_ndim(self, "labels", labels, scores.type.ndim - 1)
        if "int" not in labels.type.dtype:
            raise DtypeError(
                f"{self} takes integer class labels",
                path=current_path(),
                expected="integers from 0",
                got=labels.type.dtype,
                fix="pass `labels.astype(int)`; for one-hot rows, `labels.argmax(axis=-1)`",
            )
        for axis, size in enumerate(scores.type.shape[:-1]):
            require_size(self, "labels", labels, axis, size)
        _require_weight(self, weight, labels.type.shape)

    def validate(self, node: Apply, index: int, array: NDArray[Any]) -> None:
        """Labels lie between 0 and the number of columns."""
        columns = node.inputs[0].type.shape[-1]
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


def _chosen(scores: Variable, labels: Variable) -> Variable:
    """Where the label is, (..., k): a comparison, so that gradients are elementwise."""
    return at.eq(at.arange(scores.shape[-1]), at.shape_padright(labels))


def _log_losses(logp: Variable, labels: Variable) -> Variable:
    """−logp[label], (...)."""
    return -at.switch(_chosen(logp, labels), logp, at.zeros_like(logp)).sum(axis=-1)


class NegativeLogLikelihoodOp(_OfLabels):
    """The average of ``−logp[..., label]``: (..., k) log probabilities, (...) integers."""

    def body(self, logp: Variable, labels: Variable, weight: Variable | None = None) -> Variable:
        """A selection, then the average."""
        return average(_log_losses(logp, labels), weight)


class SoftmaxCrossEntropyOp(_OfLabels):
    """Cross-entropy of integer labels from logits: (..., k), (...) → scalar, log softmax.

    With ``smoothing`` s the target is (1 − s) onehot + s/k (Szegedy et al. 2016). The second
    output is what the gradient needs again.
    """

    __props__ = ("smoothing",)

    def __init__(self, smoothing: float = 0.0) -> None:
        if not 0 <= smoothing < 1:
            raise ArgumentError(
                "label smoothing is a share", expected="from 0 to below 1", got=repr(smoothing)
            )
        self.smoothing = smoothing

    def body(
        self, logits: Variable, labels: Variable, weight: Variable | None = None
    ) -> list[Variable]:
        """Log softmax, then the average of its negative log-likelihoods."""
        logp = LogSoftmaxOp()(logits)
        return [average(self._losses(logp, labels), weight), logp]

    def _losses(self, logp: Variable, labels: Variable) -> Variable:
        losses = _log_losses(logp, labels)
        if not self.smoothing:
            return losses
        uniform = -logp.sum(axis=-1) / logp.shape[-1].astype(logp.type.dtype)
        return (1 - self.smoothing) * losses + self.smoothing * uniform

    def pullback(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        cotangents: Sequence[Variable | None],
    ) -> list[Variable | None]:
        """G · share · (softmax − target), and the pullback of log softmax for the second output."""
        (logits, labels, *more), (_, logp), (g, g_logp) = inputs, outputs, cotangents
        total: Variable | None = None
        gradients: list[Variable | None] = [None] * len(inputs)
        if g is not None:
            dtype = logits.type.dtype
            target = _chosen(logits, labels).astype(dtype)
            if self.smoothing:
                share = self.smoothing / logits.shape[-1].astype(dtype)
                target = (1 - self.smoothing) * target + share
            losses = self._losses(logp, labels)
            factor = g * shares(losses, *more)
            if factor.type.ndim:
                factor = at.shape_padright(factor)
            total = (at.exp(logp) - target) * factor
            if more:
                gradients[2:] = vjp([average(losses, *more)], [g], more)
        if g_logp is not None:
            extra = LogSoftmaxOp().pullback([logits], [logp], [g_logp])[0]
            total = extra if total is None else total + extra
        gradients[0] = total
        return gradients


class _OfPairs(TypedOp):
    """Base of the losses whose prediction and target have one shape."""

    def check(self, prediction: Variable, target: Variable, weight: Variable | None = None) -> None:
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
        _require_weight(self, weight, a)

    def body(
        self, prediction: Variable, target: Variable, weight: Variable | None = None
    ) -> Variable:
        """The average of the entries' losses."""
        return average(self.entries(prediction, target.astype(prediction.type.dtype)), weight)

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


class _OfRows(_OfPairs):
    """Base of the losses of pairs that have one entry for each row along the last axis."""

    def check(self, prediction: Variable, target: Variable, weight: Variable | None = None) -> None:
        """As for all pairs; weights are of the axes before the last."""
        super().check(prediction, target)
        if prediction.type.ndim == 0:
            require_ndim(self, "prediction", prediction, 2)
        _require_weight(self, weight, prediction.type.shape[:-1])


class KLDivergenceOp(_OfRows):
    """Σ t (log t − logp) over the last axis, averaged: log probabilities, probabilities."""

    def entries(self, prediction: Variable, target: Variable) -> Variable:
        """With 0 log 0 = 0."""
        safe = at.switch(at.gt(target, 0), target, at.ones_like(target))
        return (target * (at.log(safe) - prediction)).sum(axis=-1)


class CosineOp(_OfRows):
    """1 − cos of the angle between prediction and target along the last axis, averaged."""

    def entries(self, prediction: Variable, target: Variable) -> Variable:
        """1 − p·t / (|p| |t|)."""
        dot = (prediction * target).sum(axis=-1)
        squares = (prediction * prediction).sum(axis=-1) * (target * target).sum(axis=-1)
        return 1.0 - dot / at.sqrt(squares)
