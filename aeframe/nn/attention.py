"""Multi-head attention."""

from __future__ import annotations

import aesara.tensor as at
from aesara.graph.basic import Variable

from aeframe.core.errors import ArgumentError, ShapeError
from aeframe.core.shapes import shape_text
from aeframe.core.trace import current_path
from aeframe.nn.layers import Dense, Dropout, Layer
from aeframe.nn.ops import AttentionOp, RotaryOp


class MultiHeadAttention(Layer):
    """Heads that look up values by keys (Vaswani et al. 2017, sec. 3.2.2): (n, t, i) → (n, t, w).

    Parameters
    ----------
    heads
        How many; they share the width evenly.
    width
        Of all heads together, and of the output; by default that of the input.
    causal
        Whether a position sees only itself and those before it.
    rotary
        Whether positions turn queries and keys (Su et al. 2021).
    dropout
        Rate at which weights are dropped in training.
    bias
        Whether the four parts ``q``, ``k``, ``v`` and ``out`` have one.

    Raises
    ------
    ArgumentError
        When the heads do not divide the width.
    ShapeError, DtypeError
        When the input is no (n, t, width), or the mask no boolean (n, s).

    >>> import numpy as np
    >>> MultiHeadAttention(2, causal=True)(np.ones((3, 5, 8))).shape
    (3, 5, 8)
    """

    def __init__(
        self,
        heads: int,
        width: int | None = None,
        *,
        causal: bool = False,
        rotary: bool = False,
        dropout: float = 0.0,
        bias: bool = True,
    ) -> None:
        if not isinstance(heads, int) or heads < 1:
            raise ArgumentError(
                "attention takes a positive number of heads",
                expected="MultiHeadAttention(4)",
                got=repr(heads),
            )
        self.heads, self.width, self.bias = heads, width, bias
        self.causal, self.rotary = causal, rotary
        self.dropout = Dropout(dropout) if dropout else None
        self.q: Dense | None = None
        self.k: Dense | None = None
        self.v: Dense | None = None
        self.out: Dense | None = None
        if width is not None:
            self._build(width)

    def __call__(
        self, x: Variable, context: Variable | None = None, mask: Variable | None = None
    ) -> Variable:
        """``x`` (n, t, i) looks at ``context`` (n, s, j), or at itself, where ``mask`` (n, s)."""
        context = x if context is None else context
        for name, value in (("x", x), ("context", context)):
            if value.type.ndim != 3 or value.type.shape[2] is None:
                raise ShapeError(
                    f"attention takes sequences of known width, and `{name}` is none",
                    path=current_path(),
                    expected="(n, t, width)",
                    got=shape_text(value.type.shape),
                    fix="give it an axis of time, and a static width",
                )
        if self.q is None:
            self._build(x.type.shape[2])
        assert self.q and self.k and self.v and self.out and self.width
        q, k, v = (
            self._split(part(y))
            for part, y in zip((self.q, self.k, self.v), (x, context, context), strict=True)
        )
        if self.rotary:
            q, k = RotaryOp()(q), RotaryOp()(k)
        extra = [] if mask is None else [mask]
        if self.dropout is not None:
            one_each = at.ones_like(q[..., :1] * k[..., :1].dimshuffle(0, 1, 3, 2))
            extra.append(self.dropout(one_each))
        y, _ = AttentionOp(self.causal).make_node(q, k, v, *extra).outputs
        joined = y.dimshuffle(0, 2, 1, 3).reshape((x.shape[0], x.shape[1], self.width))
        return self.out(joined)

    def _build(self, width: int) -> None:
        if width % self.heads:
            raise ArgumentError(
                f"{self.heads} heads cannot share a width of {width}",
                path=current_path(),
                expected="a number of heads that divides the width",
                fix=f"MultiHeadAttention({self.heads}, {width - width % self.heads + self.heads})",
            )
        self.width = width
        self.q, self.k, self.v, self.out = (Dense(width, self.bias) for _ in range(4))

    def _split(self, y: Variable) -> Variable:
        """(n, t, w) → (n, heads, t, w / heads)."""
        assert self.width is not None
        shape = (y.shape[0], y.shape[1], self.heads, self.width // self.heads)
        return y.reshape(shape).dimshuffle(0, 2, 1, 3)
