"""Activations: elementwise, or along the last axis."""

from __future__ import annotations

from collections.abc import Sequence

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Variable
from aesara.tensor.type import TensorType

from aeframe.core.grad import is_float
from aeframe.core.ops import TypedOp, tensor_like


class ActivationOp(TypedOp):
    """Base of the activations that work on each entry."""

    def out_types(self, x: Variable) -> tuple[TensorType] | None:
        """That of ``x``, where it holds floats."""
        return tensor_like(x.type.shape, x) if is_float(x) else None


class ReluOp(ActivationOp):
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


class SoftmaxOp(TypedOp):
    """``exp x / Σ exp x`` along the last axis, without overflow."""

    def body(self, x: Variable) -> Variable:
        """Shifted by the maximum."""
        weights = at.exp(x - at.max(x, axis=-1, keepdims=True))
        return weights / weights.sum(axis=-1, keepdims=True)

    def pullback(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        cotangents: Sequence[Variable | None],
    ) -> list[Variable | None]:
        """Y (g − Σ g y)."""
        (g,), (y,) = cotangents, outputs
        assert g is not None
        return [y * (g - (g * y).sum(axis=-1, keepdims=True))]


class LeakyReluOp(ActivationOp):
    """x where x > 0, slope · x elsewhere."""

    __props__ = ("slope",)

    def __init__(self, slope: float) -> None:
        self.slope = slope

    def body(self, x: Variable) -> Variable:
        """By a switch, so that its gradient at 0 is the slope."""
        return at.switch(at.gt(x, 0), x, self.slope * x)


class EluOp(ActivationOp):
    """x where x > 0, alpha (exp x − 1) elsewhere (Clevert et al. 2016)."""

    __props__ = ("alpha",)

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha

    def body(self, x: Variable) -> Variable:
        """The exponential sees no positive number, so that nothing overflows."""
        negative = at.minimum(x, at.zeros_like(x))
        return at.switch(at.gt(x, 0), x, self.alpha * at.expm1(negative))


class GeluOp(ActivationOp):
    """x Φ(x), with the normal distribution function Φ (Hendrycks and Gimpel 2016)."""

    def body(self, x: Variable) -> Variable:
        """X (1 + erf(x / √2)) / 2."""
        return 0.5 * x * (1.0 + at.erf(x * float(np.sqrt(0.5))))


class SiluOp(ActivationOp):
    """x σ(x) (Elfwing et al. 2018)."""

    def body(self, x: Variable) -> Variable:
        """X σ(x)."""
        return x * at.sigmoid(x)


class SigmoidOp(ActivationOp):
    """σ(x) = 1 / (1 + exp −x)."""

    def body(self, x: Variable) -> Variable:
        """σ(x)."""
        return at.sigmoid(x)


class TanhOp(ActivationOp):
    """tanh x."""

    def body(self, x: Variable) -> Variable:
        """Tanh x."""
        return at.tanh(x)


class SoftplusOp(ActivationOp):
    """log(1 + exp x), without overflow."""

    def body(self, x: Variable) -> Variable:
        """max(x, 0) + log(1 + exp −|x|)."""
        return at.maximum(x, at.zeros_like(x)) + at.log1p(at.exp(-abs(x)))

    def pullback(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        cotangents: Sequence[Variable | None],
    ) -> list[Variable | None]:
        """G σ(x)."""
        (g,), (x,) = cotangents, inputs
        assert g is not None
        return [g * at.sigmoid(x)]
