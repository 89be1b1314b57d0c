"""Convolutions with 3 x 3 kernels by fewer multiplications (Lavin and Gray 2015).

    Y = Aᵀ [U ⊙ (Bᵀ X B)] A,   U = G W Gᵀ

makes a tile Y of m x m outputs from a tile X of (m + 2)² inputs. Rows and columns are products of
polynomials, evaluated at m + 1 points and at infinity.
"""

from __future__ import annotations

from typing import Any

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Variable
from aesara.tensor.type import TensorType
from numpy.typing import NDArray

from aeframe.core.errors import ArgumentError, ShapeError
from aeframe.core.ops import TypedOp, WeightOp, require_ndim, require_size, tensor_like
from aeframe.core.shapes import shape_text
from aeframe.core.trace import current_path
from aeframe.nn.ops.linear import BilinearOp
from aeframe.nn.ops.windows import pad, padding_pairs, places, require_fit, sizes

# Of m = 4 those that err least: 1.2e-6 of the output's scale for 64 channels in float32, 4e-6 for
# 512; 0, ±1, ±2 err three times as much. The kernel in C++ has the same.
POINTS = {2: (0.0, 1.0, -1.0), 4: (0.0, 0.75, -0.75, 1.5, -1.5)}
KERNEL = 3


def transforms(tile: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Aᵀ (m, m + 2), Bᵀ (m + 2, m + 2) and G (m + 2, 3).

    >>> transforms(2)[0]
    array([[ 1.,  1.,  1.,  0.],
           [ 0.,  1., -1.,  1.]])
    """
    points = np.array(POINTS[tile])
    others = [np.delete(points, i) for i in range(len(points))]

    def powers(n: int) -> NDArray[Any]:
        return np.vstack([np.vander(points, n, increasing=True), np.eye(n)[-1]])

    b = [np.append(np.poly(rest)[::-1], 0.0) for rest in others] + [np.poly(points)[::-1]]
    scale = [np.prod(p - rest) for p, rest in zip(points, others, strict=True)]
    return powers(tile).T, np.array(b), powers(KERNEL) / np.array([*scale, 1.0])[:, None]


class _Winograd(TypedOp):
    def __init__(self, tile: int) -> None:
        if tile not in POINTS:
            raise ArgumentError(
                "there are tiles of 2 and of 4",
                path=current_path(),
                expected=f"one of {tuple(POINTS)}",
                got=repr(tile),
            )
        self.tile = tile

    def both(self, matrix: NDArray[Any], x: Variable) -> Variable:
        """``matrix · matrixᵀ`` on the first axis of ``x``, which is that of a tile's entries."""
        known = [s for s in x.type.shape[1:]]
        flat = x.reshape((matrix.shape[1] ** 2, -1))
        made = at.dot(np.kron(matrix, matrix).astype(x.type.dtype), flat)
        lead = matrix.shape[0] ** 2
        return made.reshape(
            (lead, *(x.shape[i + 1] if s is None else s for i, s in enumerate(known)))
        )


class WinogradKernelOp(_Winograd, WeightOp):
    """(3, 3, c, o) → ((tile + 2)², c, o): the kernel that :class:`WinogradOp` takes.

    It depends on weights alone, so a program makes it once.
    """

    __props__ = ("tile",)

    def check(self, w: Variable) -> None:
        """The kernel is 3 by 3."""
        require_ndim(self, "w", w, 4)
        for axis in (0, 1):
            require_size(self, "w", w, axis, KERNEL)

    def out_types(self, w: Variable) -> tuple[TensorType]:
        """((tile + 2)², c, o)."""
        return tensor_like(((self.tile + KERNEL - 1) ** 2, *w.type.shape[2:]), w)

    def body(self, w: Variable) -> Variable:
        """G W Gᵀ."""
        _, _, c, o = sizes(w)
        return self.both(transforms(self.tile)[2], w.reshape((KERNEL**2, c, o)))


class WinogradOp(_Winograd, BilinearOp):
    """(n, h, w, c), u ((tile + 2)², c, o), bias (o,) → (n, h', w', o); the bias may be left out.

    The convolution of stride 1 with the kernel of which :class:`WinogradKernelOp` of the same tile
    made u. In float32 and for 512 channels a tile of 2 errs by 8e-7 of the output's scale, a tile
    of 4 by 4e-6, the plain convolution by 3e-7.

    Parameters
    ----------
    tile
        2 or 4: 4 or 2.25 multiplications for each output and channel instead of 9.
    padding
        ((top, bottom), (left, right)).
    """

    __props__ = ("tile", "padding")
    mixed = 3

    def __init__(self, tile: int, padding: Any = ((0, 0), (0, 0))) -> None:
        super().__init__(tile)
        self.padding = padding_pairs(padding)

    def check(self, x: Variable, u: Variable, b: Variable | None = None) -> None:
        """The channels fit, and the kernel the padded input."""
        require_ndim(self, "x", x, 4)
        require_ndim(self, "u", u, 3)
        require_size(self, "u", u, 0, (self.tile + KERNEL - 1) ** 2)
        require_size(self, "x", x, 3, u.type.shape[1])
        require_fit(self, x, (KERNEL, KERNEL), self.padding)
        if None in x.type.shape[1:3]:
            raise ShapeError(
                f"{self} needs the size of its input",
                path=current_path(),
                expected="(n, h, w, c)",
                got=shape_text(x.type.shape),
                fix="give `x` a static shape, or use a plain convolution",
            )
        if b is not None:
            require_ndim(self, "b", b, 1)
            require_size(self, "b", b, 0, u.type.shape[2])

    def out_types(self, x: Variable, u: Variable, *b: Variable) -> tuple[TensorType]:
        """(n, h', w', o)."""
        out = places(x, (KERNEL, KERNEL), (1, 1), self.padding)
        return tensor_like((x.type.shape[0], *out, u.type.shape[2]), x, u, *b)

    def body(self, x: Variable, u: Variable, b: Variable | None = None) -> Variable:
        """A matrix product for each entry of a tile."""
        m, t = self.tile, self.tile + KERNEL - 1
        n, c, o = sizes(x)[0], sizes(x)[3], sizes(u)[2]
        h, w = places(x, (KERNEL, KERNEL), (1, 1), self.padding)
        down, across = -(-h // m), -(-w // m)
        (top, bottom), (left, right) = self.padding
        whole = ((top, bottom + down * m - h), (left, right + across * m - w))
        x = pad(x, whole)
        entries = [
            x[:, i : i + m * (down - 1) + 1 : m, j : j + m * (across - 1) + 1 : m]
            for i in range(t)
            for j in range(t)
        ]
        a, b_matrix, _ = transforms(m)
        v = self.both(b_matrix, at.stack(entries).reshape((t * t, n * down * across, c)))
        y = self.both(a, at.batched_dot(v, u)).reshape((m, m, n, down, across, o))
        y = y.dimshuffle(2, 3, 0, 4, 1, 5).reshape((n, down * m, across * m, o))[:, :h, :w]
        return y if b is None else y + b
