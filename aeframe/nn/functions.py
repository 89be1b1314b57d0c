"""Activations: free functions, each with a type of its own."""

from __future__ import annotations

from aesara.graph.basic import Variable

from aeframe.core.structure import register
from aeframe.nn.ops import (
    EluOp,
    GeluOp,
    LeakyReluOp,
    LogSoftmaxOp,
    ReluOp,
    SigmoidOp,
    SiluOp,
    SoftmaxOp,
    SoftplusOp,
    TanhOp,
)


@register
def relu(x: Variable) -> Variable:
    """``max(x, 0)``, with gradient 0 at 0.

    >>> import aesara.tensor as at
    >>> relu(at.as_tensor([-1.0, 2.0])).eval()
    array([0., 2.])
    """
    return ReluOp()(x)


@register
def leaky_relu(x: Variable, slope: float = 0.01) -> Variable:
    """X where x > 0, ``slope`` · x elsewhere."""
    return LeakyReluOp(slope)(x)


@register
def elu(x: Variable, alpha: float = 1.0) -> Variable:
    """X where x > 0, ``alpha`` (exp x − 1) elsewhere (Clevert et al. 2016, eq. 15)."""
    return EluOp(alpha)(x)


@register
def gelu(x: Variable) -> Variable:
    """X Φ(x), exactly (Hendrycks and Gimpel 2016).

    >>> import aesara.tensor as at
    >>> gelu(at.as_tensor([-1.0, 1.0])).eval().round(3)
    array([-0.159,  0.841])
    """
    return GeluOp()(x)


@register
def silu(x: Variable) -> Variable:
    """X σ(x), also called swish."""
    return SiluOp()(x)


@register
def tanh(x: Variable) -> Variable:
    """Tanh x."""
    return TanhOp()(x)


@register
def sigmoid(x: Variable) -> Variable:
    """σ(x) = 1 / (1 + exp −x)."""
    return SigmoidOp()(x)


@register
def softplus(x: Variable) -> Variable:
    """log(1 + exp x), without overflow.

    >>> import aesara.tensor as at
    >>> softplus(at.as_tensor([-1000.0, 1000.0])).eval()
    array([   0., 1000.])
    """
    return SoftplusOp()(x)


@register
def softmax(x: Variable) -> Variable:
    """Probabilities along the last axis, without overflow."""
    return SoftmaxOp()(x)


@register
def log_softmax(x: Variable) -> Variable:
    """Log probabilities along the last axis, without overflow.

    >>> import aesara.tensor as at
    >>> log_softmax(at.as_tensor([1000.0, 0.0])).eval()
    array([    0., -1000.])
    """
    return LogSoftmaxOp()(x)
