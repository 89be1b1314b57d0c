"""Pooling layers, channels last. The largest of all positions is ``x.max(axis=(1, 2))``."""

from __future__ import annotations

from typing import Any

from aesara.graph.basic import Variable

from aeframe.nn.convolve import (
    Around,
    Size,
    padding_of,
    per_axis,
    require_space,
    static_padding,
)
from aeframe.nn.layers import Layer
from aeframe.nn.ops import AvgPool2DOp, GlobalAvgPoolOp, MaxPool2DOp


class _Pool(Layer):
    """A window and how it moves; ``axes`` is how many axes of space there are."""

    axes = 2

    def __init__(
        self, window: Size = 2, *, stride: Size | None = None, padding: Around = "valid"
    ) -> None:
        self.window = per_axis("window", window, self.axes)
        self.stride = per_axis("stride", self.window if stride is None else stride, self.axes)
        self.padding = padding_of(padding, self.axes)

    def _pooled(self, op: Any, x: Variable) -> Variable:
        require_space(self, x, self.axes)
        one = [1] * (2 - self.axes)
        window, stride = [*one, *self.window], [*one, *self.stride]
        tall = x.dimshuffle(0, "x", 1, 2) if self.axes == 1 else x
        y = op(window, stride, static_padding(self.padding, tall, window, stride))(tall)
        return y.dimshuffle(0, 2, 3) if self.axes == 1 else y


class MaxPool2D(_Pool):
    """The largest entry of each window: (n, h, w, c) → (n, h', w', c).

    Parameters
    ----------
    window
        Its height and width, or one number for both.
    stride
        How far it moves; by default as far as it is large.
    padding
        As in :class:`Conv2D`; what is outside is never the largest.

    >>> import numpy as np
    >>> MaxPool2D()(np.arange(16.0).reshape(1, 4, 4, 1))[0, :, :, 0]
    array([[ 5.,  7.],
           [13., 15.]], dtype=float32)
    """

    def __call__(self, x: Variable) -> Variable:
        """``x`` pooled."""
        return self._pooled(MaxPool2DOp, x)


class AvgPool2D(_Pool):
    """The mean of each window, padding not counted: (n, h, w, c) → (n, h', w', c).

    The arguments are those of :class:`MaxPool2D`.

    >>> import numpy as np
    >>> AvgPool2D()(np.arange(16.0).reshape(1, 4, 4, 1))[0, :, :, 0]
    array([[ 2.5,  4.5],
           [10.5, 12.5]], dtype=float32)
    """

    def __call__(self, x: Variable) -> Variable:
        """``x`` pooled."""
        return self._pooled(AvgPool2DOp, x)


class MaxPool1D(_Pool):
    """The largest entry of each window in time: (n, t, c) → (n, t', c).

    >>> import numpy as np
    >>> MaxPool1D()(np.arange(4.0).reshape(1, 4, 1)).ravel()
    array([1., 3.], dtype=float32)
    """

    axes = 1

    def __call__(self, x: Variable) -> Variable:
        """``x`` pooled."""
        return self._pooled(MaxPool2DOp, x)


class AvgPool1D(_Pool):
    """The mean of each window in time, padding not counted: (n, t, c) → (n, t', c).

    >>> import numpy as np
    >>> AvgPool1D()(np.arange(4.0).reshape(1, 4, 1)).ravel()
    array([0.5, 2.5], dtype=float32)
    """

    axes = 1

    def __call__(self, x: Variable) -> Variable:
        """``x`` pooled."""
        return self._pooled(AvgPool2DOp, x)


class GlobalAvgPool2D(Layer):
    """The mean over height and width: (n, h, w, c) → (n, c).

    >>> import numpy as np
    >>> GlobalAvgPool2D()(np.ones((2, 5, 5, 3))).shape
    (2, 3)
    """

    def __call__(self, x: Variable) -> Variable:
        """``x`` pooled."""
        return GlobalAvgPoolOp(2)(x)


class GlobalAvgPool1D(Layer):
    """The mean over time: (n, t, c) → (n, c).

    >>> import numpy as np
    >>> GlobalAvgPool1D()(np.ones((2, 5, 3))).shape
    (2, 3)
    """

    def __call__(self, x: Variable) -> Variable:
        """``x`` pooled."""
        return GlobalAvgPoolOp(1)(x)
