"""Weights that rules make: identities, averages, kernels padded, merged or folded.

Each depends on weights and sizes alone, so that a compiled program computes it once.
"""

from __future__ import annotations

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Variable
from aesara.tensor.type import TensorType

from aeframe.core.errors import ArgumentError
from aeframe.core.ops import WeightOp, require_ndim, tensor_like
from aeframe.core.trace import current_path
from aeframe.nn.ops.windows import padding_pairs


class IdentityOp(WeightOp):
    """The (n, n) matrix that a Dense without effect has."""

    __props__ = ("n", "dtype")

    def __init__(self, n: int, dtype: str = "float64") -> None:
        self.n, self.dtype = n, dtype

    def body(self) -> Variable:
        """1 on the diagonal."""
        return at.constant(np.eye(self.n, dtype=self.dtype))


class _ChannelKernelOp(WeightOp):
    """A kernel made of its sizes alone."""

    __props__ = ("kernel", "channels", "dtype")

    def __init__(self, kernel: tuple[int, int], channels: int, dtype: str = "float64") -> None:
        self.kernel, self.channels, self.dtype = kernel, channels, dtype


class IdentityKernelOp(_ChannelKernelOp):
    """The (kh, kw, c, c) kernel that a convolution without effect has, 1 at (kh // 2, kw // 2)."""

    def body(self) -> Variable:
        """The identity at the middle tap."""
        made = np.zeros((*self.kernel, self.channels, self.channels), self.dtype)
        made[self.kernel[0] // 2, self.kernel[1] // 2] = np.eye(self.channels)
        return at.constant(made)


class AverageKernelOp(_ChannelKernelOp):
    """The (kh, kw, c, c) kernel with which a convolution is average pooling."""

    def body(self) -> Variable:
        """1 / (kh kw) of each channel at every tap."""
        share = np.eye(self.channels, dtype=self.dtype) / (self.kernel[0] * self.kernel[1])
        return at.constant(np.broadcast_to(share, (*self.kernel, *share.shape)).copy())


class PadKernelOp(WeightOp):
    """A kernel (kh, kw, c, o) with rows and columns of zeros around it."""

    __props__ = ("padding",)

    def __init__(self, padding: tuple[tuple[int, int], tuple[int, int]]) -> None:
        self.padding = padding_pairs(padding)
        if self.padding == ((0, 0), (0, 0)):
            raise ArgumentError(
                "a kernel is padded with nothing",
                path=current_path(),
                expected="rows or columns of zeros",
                got=padding,
                fix="take the kernel itself: an Op without effect would be tried on its own result",
            )

    def out_types(self, w: Variable) -> tuple[TensorType]:
        """As much larger as the padding is."""
        (top, bottom), (left, right) = self.padding
        kh, kw, c, o = w.type.shape
        return tensor_like((kh + top + bottom, kw + left + right, c, o), w)

    def body(self, w: Variable) -> Variable:
        """Zeros, with the kernel in the middle."""
        (top, bottom), (left, right) = self.padding
        kh, kw, c, o = w.type.shape
        wide = at.zeros((kh + top + bottom, kw + left + right, c, o), dtype=w.type.dtype)
        return at.set_subtensor(wide[top : top + kh, left : left + kw], w)


class MergeGroupsOp(WeightOp):
    """The kernel (kh, kw, c, o) of ``groups`` groups as one of ``groups / by``, with zeros.

    ``by`` groups in a row become one, (kh, kw, by c, o), block by block.
    """

    __props__ = ("groups", "by")

    def __init__(self, groups: int, by: int) -> None:
        self.groups, self.by = groups, by

    def check(self, w: Variable) -> None:
        """A kernel."""
        require_ndim(self, "w", w, 4)

    def out_types(self, w: Variable) -> tuple[TensorType]:
        """(kh, kw, by c, o)."""
        kh, kw, c, o = w.type.shape
        return tensor_like((kh, kw, self.by * c, o), w)

    def body(self, w: Variable) -> Variable:
        """W[.., c, (g, b, o)] at [.., (b', c), (g, b, o)] where b' = b."""
        kh, kw, c, o = w.type.shape
        by, outer, width = self.by, self.groups // self.by, o // self.groups
        split = w.reshape((kh, kw, 1, c, outer, by, width))
        same = np.eye(by, dtype=w.type.dtype).reshape((1, 1, by, 1, 1, by, 1))
        return (split * same).reshape((kh, kw, by * c, o))


class NormFactorsOp(WeightOp):
    """What frozen batch normalization does to a feature: times the first output, plus the second.

    scale, shift, mean, variance → scale / √(variance + ε), shift − mean scale / √(variance + ε).
    """

    __props__ = ("epsilon",)

    def __init__(self, epsilon: float) -> None:
        self.epsilon = epsilon

    def body(
        self, scale: Variable, shift: Variable, mean: Variable, variance: Variable
    ) -> list[Variable]:
        """Factor and offset."""
        factor = scale / at.sqrt(variance + self.epsilon)
        return [factor, shift - mean * factor]
