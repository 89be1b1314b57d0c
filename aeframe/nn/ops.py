"""The typed Ops of networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import aesara.tensor as at
from aesara.graph.basic import Apply, Variable
from aesara.tensor.random.basic import UniformRV
from numpy.typing import NDArray

from aeframe.core.errors import ArgumentError, DataError, DtypeError, ShapeError
from aeframe.core.ops import TypedOp, require_ndim, require_size
from aeframe.core.shapes import compatible, shape_text
from aeframe.core.trace import current_path


class DenseOp(TypedOp):
    """``x @ w + b`` over the last axis of ``x``: (..., i), (i, o), (o,) → (..., o).

    The bias may be left out.
    """

    def check(self, x: Variable, w: Variable, b: Variable | None = None) -> None:
        """The width of ``x`` must be the height of ``w``."""
        require_ndim(self, "w", w, 2)
        if x.type.ndim == 0:
            require_ndim(self, "x", x, 2)
        require_size(self, "x", x, x.type.ndim - 1, w.type.shape[0])
        if b is not None:
            require_ndim(self, "b", b, 1)
            require_size(self, "b", b, 0, w.type.shape[1])

    def body(self, x: Variable, w: Variable, b: Variable | None = None) -> Variable:
        """One matrix product; leading axes are flattened around it."""
        if x.type.ndim <= 2:
            y = at.dot(x, w)
        else:
            lead = [x.shape[i] for i in range(x.type.ndim - 1)]
            y = at.dot(x.reshape((-1, x.shape[-1])), w).reshape((*lead, w.shape[1]))
        return y if b is None else y + b


class ReluOp(TypedOp):
    """``max(x, 0)``; its gradient at 0 is 0."""

    def body(self, x: Variable) -> Variable:
        """max(x, 0)."""
        return at.maximum(x, at.as_tensor(0, dtype=x.type.dtype))

    def pullback(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        cotangents: Sequence[Variable | None],
    ) -> list[Variable | None]:
        """G · [y > 0]."""
        (g,), (y,) = cotangents, outputs
        assert g is not None
        return [at.switch(at.gt(y, 0), g, at.zeros_like(g))]


class LogSoftmaxOp(TypedOp):
    """``x − log Σ exp x`` along the last axis, without overflow."""

    def body(self, x: Variable) -> Variable:
        """Shift by the maximum, then subtract the log of the sum."""
        shifted = x - at.max(x, axis=-1, keepdims=True)
        return shifted - at.log(at.exp(shifted).sum(axis=-1, keepdims=True))

    def pullback(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        cotangents: Sequence[Variable | None],
    ) -> list[Variable | None]:
        """G − softmax(x) Σ g."""
        (g,), (y,) = cotangents, outputs
        assert g is not None
        return [g - at.exp(y) * g.sum(axis=-1, keepdims=True)]


class _OfLabels(TypedOp):
    """Base of the losses whose second input are integer labels of the columns of the first."""

    def check(self, scores: Variable, labels: Variable) -> None:
        """Labels are integers, one for each row."""
        require_ndim(self, "scores", scores, 2)
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


class DropoutOp(TypedOp):
    """Zero each entry with probability ``rate`` and scale the rest: state, x → next state, y."""

    __props__ = ("rate",)

    def __init__(self, rate: float) -> None:
        if not 0.0 <= rate < 1.0:
            raise ArgumentError(
                "a dropout rate is a probability below 1",
                path=current_path(),
                expected="0 <= rate < 1",
                got=rate,
            )
        self.rate = rate

    def body(self, rng: Variable, x: Variable) -> list[Variable]:
        """Y = x · [u ≥ rate] / (1 − rate), with u uniform."""
        shape = [x.shape[i] for i in range(x.type.ndim)]
        dtype = x.type.dtype
        bounds = at.as_tensor(0.0, dtype=dtype), at.as_tensor(1.0, dtype=dtype)
        node = UniformRV(dtype=dtype).make_node(rng, shape, None, *bounds)
        advanced, u = node.outputs
        kept = at.ge(u, at.as_tensor(self.rate, dtype=dtype)).astype(dtype)
        return [advanced, x * kept * at.as_tensor(1 / (1 - self.rate), dtype=dtype)]


class MeanSquaredErrorOp(TypedOp):
    """The mean of ``(prediction − target)²`` over all entries; both of one shape."""

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
        """mean((prediction − target)²)."""
        difference = prediction - target.astype(prediction.type.dtype)
        return _mean(difference * difference)


def _mean(x: Variable) -> Variable:
    """The mean over all entries in the dtype of ``x``."""
    size = at.prod(at.stack([x.shape[i] for i in range(x.type.ndim)])) if x.type.ndim else 1
    return x.sum() / at.as_tensor(size).astype(x.type.dtype)
