"""Dense layers whose weight lies as a matrix product reads it.

A product reads the columns of its right side in panels, each of which it walks down; a weight in
rows has to be copied for that at every call. Copied once, it is Goto and van de Geijn's "packed"
operand (2008, Anatomy of high-performance matrix multiplication).
"""

from __future__ import annotations

import aesara.tensor as at
from aesara.graph.basic import Variable
from aesara.tensor.type import TensorType

from aeframe.core.ops import TypedOp, WeightOp, require_ndim, require_size, tensor_like
from aeframe.nn.ops.linear import DenseOp
from aeframe.nn.ops.windows import sizes

PANEL = 32  # columns of a panel; the kernel in C++ has the same


class PanelsOp(WeightOp):
    """(k, n) → (⌈n / 32⌉, k, 32): the columns by 32s, with zeros after the last.

    It depends on weights alone, so a program makes it once.

    >>> w = at.as_tensor([[1.0, 2.0, 3.0]])
    >>> PanelsOp()(w).type.shape
    (1, 1, 32)
    """

    def check(self, w: Variable) -> None:
        """A matrix."""
        require_ndim(self, "w", w, 2)

    def out_types(self, w: Variable) -> tuple[TensorType]:
        """(⌈n / 32⌉, k, 32)."""
        k, n = w.type.shape
        return tensor_like((-(-n // PANEL), k, PANEL), w)

    def body(self, w: Variable) -> Variable:
        """Zeros to the right, then columns turned by 32s."""
        k, n = sizes(w)
        across = -(-n // PANEL)
        zeros = at.zeros((k, across * PANEL - n), dtype=w.type.dtype)
        whole = at.concatenate([w, zeros], axis=1)
        return whole.reshape((k, across, PANEL)).dimshuffle(1, 0, 2)


class PanelDenseOp(TypedOp):
    """``x @ w + b``: (..., i), u (⌈o / 32⌉, i, 32), (o,) → (..., o); the bias may be left out.

    u is what :class:`PanelsOp` makes of w (i, o).

    Parameters
    ----------
    features
        o.

    >>> x, w = at.as_tensor([[2.0]]), at.as_tensor([[1.0, 2.0, 3.0]])
    >>> PanelDenseOp(3)(x, PanelsOp()(w)).eval()
    array([[2., 4., 6.]])
    """

    __props__ = ("features",)

    def __init__(self, features: int) -> None:
        self.features = features

    def check(self, x: Variable, u: Variable, b: Variable | None = None) -> None:
        """The width of ``x`` must be the height of the panels, whose number fits the features."""
        require_ndim(self, "u", u, 3)
        require_size(self, "u", u, 0, -(-self.features // PANEL))
        require_size(self, "u", u, 2, PANEL)
        if x.type.ndim == 0:
            require_ndim(self, "x", x, 2)
        require_size(self, "x", x, x.type.ndim - 1, u.type.shape[1])
        if b is not None:
            require_ndim(self, "b", b, 1)
            require_size(self, "b", b, 0, self.features)

    def out_types(self, x: Variable, u: Variable, *b: Variable) -> tuple[TensorType]:
        """(..., o)."""
        return tensor_like((*x.type.shape[:-1], self.features), x, u, *b)

    def body(self, x: Variable, u: Variable, *b: Variable) -> Variable:
        """The product with the matrix of which the panels were made."""
        across, k, _ = sizes(u)
        whole = u.dimshuffle(1, 0, 2).reshape((k, across * PANEL))
        return DenseOp()(x, whole[:, : self.features], *b)
