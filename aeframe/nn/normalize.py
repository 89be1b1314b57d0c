"""Normalization layers: scale and shift are made at the first call."""

from __future__ import annotations

from aesara.graph.basic import Variable

from aeframe.core.cells import Parameter, State
from aeframe.core.errors import ShapeError
from aeframe.core.shapes import shape_text
from aeframe.core.trace import current_path
from aeframe.nn.initializers import ones, zeros
from aeframe.nn.layers import Layer, float_like
from aeframe.nn.ops import BatchNormOp, GroupNormOp, LayerNormOp, RMSNormOp


class LayerNorm(Layer):
    """Mean 0 and variance 1 over the last axis, then scale and shift (Ba et al. 2016).

    >>> import numpy as np
    >>> LayerNorm()(np.array([[1.0, 3.0]])).round(3)
    array([[-1.,  1.]], dtype=float32)
    """

    def __init__(self, epsilon: float = 1e-5) -> None:
        self.epsilon = epsilon
        self.scale: Parameter | None = None
        self.shift: Parameter | None = None

    def __call__(self, x: Variable) -> Variable:
        """``x`` normalized."""
        if self.scale is None:
            self.scale, self.shift = _scale_and_shift(x, self.dtype)
        return LayerNormOp(self.epsilon)(x, self.scale, self.shift)


class RMSNorm(Layer):
    """Mean square 1 over the last axis, then scale (Zhang and Sennrich 2019).

    >>> import numpy as np
    >>> RMSNorm()(np.array([[3.0, 4.0]])).round(3)
    array([[0.849, 1.131]], dtype=float32)
    """

    def __init__(self, epsilon: float = 1e-6) -> None:
        self.epsilon = epsilon
        self.scale: Parameter | None = None

    def __call__(self, x: Variable) -> Variable:
        """``x`` normalized."""
        if self.scale is None:
            self.scale, _ = _scale_and_shift(x, self.dtype)
        return RMSNormOp(self.epsilon)(x, self.scale)


class GroupNorm(Layer):
    """Mean 0 and variance 1 over positions and the features of a group (Wu and He 2018).

    (n, ..., features); ``groups`` divides the features.

    >>> import numpy as np
    >>> GroupNorm(2)(np.array([[1.0, 3.0, 2.0, 6.0]])).round(3)
    array([[-1.,  1., -1.,  1.]], dtype=float32)
    """

    def __init__(self, groups: int, epsilon: float = 1e-5) -> None:
        self.groups, self.epsilon = groups, epsilon
        self.scale: Parameter | None = None
        self.shift: Parameter | None = None

    def __call__(self, x: Variable) -> Variable:
        """``x`` normalized."""
        if self.scale is None:
            self.scale, self.shift = _scale_and_shift(x, self.dtype)
        return GroupNormOp(self.groups, self.epsilon)(x, self.scale, self.shift)


class BatchNorm(Layer):
    """Mean 0 and variance 1 of each feature over the batch (Ioffe and Szegedy 2015).

    In training the statistics are those of the batch, and running ones are carried along; the
    inference phase uses the running ones.

    Parameters
    ----------
    momentum
        How much of the running statistics a step keeps.
    epsilon
        Added to the variance.

    >>> import numpy as np
    >>> BatchNorm()(np.array([[1.0, 3.0]])).round(2)
    array([[1., 3.]], dtype=float32)
    """

    def __init__(self, momentum: float = 0.99, epsilon: float = 1e-3) -> None:
        self.momentum, self.epsilon = momentum, epsilon
        self.scale: Parameter | None = None
        self.shift: Parameter | None = None
        self.mean: State | None = None
        self.variance: State | None = None

    def __call__(self, x: Variable) -> Variable:
        """``x`` normalized; the running statistics move."""
        if self.mean is None or self.variance is None:
            self.scale, self.shift = _scale_and_shift(x, self.dtype)
            shape, dtype = self.scale.type.shape, self.scale.type.dtype
            self.mean = State(init=zeros, shape=shape, dtype=dtype)
            self.variance = State(init=ones, shape=shape, dtype=dtype)
        op = BatchNormOp(self.momentum, self.epsilon)
        statistics = self.mean.read(), self.variance.read()
        y, mean, variance = op.make_node(x, self.scale, self.shift, *statistics).outputs
        self.mean.write(mean)
        self.variance.write(variance)
        return y


def _scale_and_shift(x: Variable, default: str) -> tuple[Parameter, Parameter]:
    """Ones and zeros for the features of ``x``."""
    width = x.type.shape[-1] if x.type.ndim else None
    if width is None:
        raise ShapeError(
            "the number of features must be known at the first call",
            path=current_path(),
            expected="(*, features)",
            got=shape_text(x.type.shape),
            fix="give the symbolic input a static shape",
        )
    dtype = float_like(x, default)
    return (
        Parameter(init=ones, shape=(width,), dtype=dtype),
        Parameter(init=zeros, shape=(width,), dtype=dtype),
    )
