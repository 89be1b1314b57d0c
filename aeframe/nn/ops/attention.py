"""Attention over keys, and rotary positions."""

from __future__ import annotations

from collections.abc import Sequence

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Variable
from aesara.graph.type import Type

from aeframe.core.errors import ArgumentError, ShapeError
from aeframe.core.ops import TypedOp, require_ndim, require_size, tensor_like
from aeframe.core.shapes import shape_text
from aeframe.core.trace import current_path
from aeframe.nn.ops.recurrent import require_mask


class AttentionOp(TypedOp):
    """softmax(scale q kᵀ) v for each head (Vaswani et al. 2017, eq. 1).

    q (n, h, t, d), k (n, h, s, d), v (n, h, s, e); then, each if there is one, a boolean mask
    (n, s) of the keys that are there, and factors (n, h, t, s) on the weights, for dropout.
    The outputs are y (n, h, t, e) and the weights (n, h, t, s) before the factors. A query that
    sees no key gets 0.

    Parameters
    ----------
    causal
        Whether query i sees only the keys up to i + s − t: the last query sees all of them.
    scale
        By default 1 / √d.
    """

    __props__ = ("causal", "scale")

    def __init__(self, causal: bool = False, scale: float | None = None) -> None:
        self.causal, self.scale = causal, scale

    def check(self, q: Variable, k: Variable, v: Variable, *rest: Variable) -> None:
        """Queries and keys have one width, keys and values one length; all have the same heads."""
        for name, value in (("q", q), ("k", k), ("v", v)):
            require_ndim(self, name, value, 4)
            for axis in (0, 1):
                require_size(self, name, value, axis, q.type.shape[axis])
        n, h, t, d = q.type.shape
        require_size(self, "k", k, 3, d)
        require_size(self, "v", v, 2, k.type.shape[2])
        if d is None and self.scale is None:
            raise ShapeError(
                f"{self} must know the width of a head",
                path=current_path(),
                expected="(n, heads, t, width)",
                got=shape_text(q.type.shape),
                fix="give `q` a static shape, or the Op a scale",
            )
        for value in rest:
            if value.type.ndim == 4:
                for axis, size in enumerate((n, h, t, k.type.shape[2])):
                    require_size(self, "factors", value, axis, size)
            else:
                require_mask(self, value, n, k.type.shape[2])

    def out_types(self, q: Variable, k: Variable, v: Variable, *rest: Variable) -> list[Type]:
        """(n, h, t, e) and (n, h, t, s)."""
        (n, h, t, _), factors = q.type.shape, [r for r in rest if r.type.ndim == 4]
        return [
            *tensor_like((n, h, t, v.type.shape[3]), q, k, v, *factors),
            *tensor_like((n, h, t, k.type.shape[2]), q, k),
        ]

    def body(self, q: Variable, k: Variable, v: Variable, *rest: Variable) -> list[Variable]:
        """A softmax without overflow: where a key is seen at all, the sum is at least 1."""
        scores = self._scale(q) * _products(q, k, turn="b")
        seen = self._seen(scores, [m for m in rest if m.type.ndim == 2])
        if seen is not None:
            scores = at.where(seen, scores, at.as_tensor(-1e30, dtype=scores.type.dtype))
        weights = at.exp(scores - scores.max(axis=-1, keepdims=True))
        if seen is not None:
            weights = weights * seen.astype(weights.type.dtype)
        total = weights.sum(axis=-1, keepdims=True)
        weights = weights / at.maximum(total, at.as_tensor(1.0, dtype=total.type.dtype))
        return [_products(_dropped(weights, rest), v), weights]

    def pullback(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        cotangents: Sequence[Variable | None],
    ) -> list[Variable | None]:
        """From the weights: those of the scores are w (g − Σ g w)."""
        q, k, v, *rest = inputs
        (y, weights), (dy, given) = outputs, cotangents
        dy = at.zeros_like(y) if dy is None else dy
        d_dropped = _products(dy, v, turn="b")
        # Σ g w over the keys is Σ dy y over the width, which is shorter
        d_weights, total = _dropped(d_dropped, rest), (dy * y).sum(axis=-1, keepdims=True)
        if given is not None:
            d_weights = d_weights + given
            total = total + (given * weights).sum(axis=-1, keepdims=True)
        d_scores = self._scale(q) * weights * (d_weights - total)
        return [
            _products(d_scores, k),
            _products(d_scores, q, turn="a"),
            _products(_dropped(weights, rest), dy, turn="a"),
            *(d_dropped * weights if r.type.ndim == 4 else None for r in rest),
        ]

    def _scale(self, q: Variable) -> Variable:
        value = q.type.shape[3] ** -0.5 if self.scale is None else self.scale
        return at.as_tensor(value, dtype=q.type.dtype)

    def _seen(self, scores: Variable, masks: Sequence[Variable]) -> Variable | None:
        """Which keys a query sees, of a shape that broadcasts to that of the scores."""
        parts = [m[:, None, None, :] for m in masks]
        if self.causal:
            t, s = scores.shape[2], scores.shape[3]
            parts.append(at.arange(s)[None, None, None, :] <= at.arange(t)[:, None] + (s - t))
        if len(parts) == 2:
            return at.and_(*parts)
        return parts[0] if parts else None


class RotaryOp(TypedOp):
    """Rotate features i and i + d/2 at position p by the angle p · base^(−2i/d) (Su et al. 2021).

    (..., t, d) → the same, d even. The paper's eq. 34 pairs neighbours instead: the same up to
    the order of the features.

    Parameters
    ----------
    base
        Of the frequencies.
    inverse
        Whether to rotate back, which is the gradient as well.
    """

    __props__ = ("base", "inverse")

    def __init__(self, base: float = 10000.0, inverse: bool = False) -> None:
        if not base > 0:
            raise ArgumentError(
                "the base of rotary positions is positive", path=current_path(), got=base
            )
        self.base, self.inverse = base, inverse

    def check(self, x: Variable) -> None:
        """The width is known and even."""
        d = x.type.shape[-1] if x.type.ndim > 1 else None
        if d is None or d % 2:
            raise ShapeError(
                f"{self} turns pairs of features",
                path=current_path(),
                expected="(..., t, width) with an even width",
                got=shape_text(x.type.shape),
                fix="choose an even width for each head",
            )

    def body(self, x: Variable) -> Variable:
        """(a, b) → (a cos − b sin, a sin + b cos)."""
        half, dtype = x.type.shape[-1] // 2, x.type.dtype
        frequencies = self.base ** (-np.arange(half) / half)
        angles = at.arange(x.shape[-2]).astype(dtype)[:, None] * frequencies.astype(dtype)
        cos, sin = at.cos(angles), at.sin(-angles if self.inverse else angles)
        a, b = x[..., :half], x[..., half:]
        return at.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)

    def pullback(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        cotangents: Sequence[Variable | None],
    ) -> list[Variable | None]:
        """The rotation the other way."""
        return [RotaryOp(self.base, not self.inverse)(cotangents[0])]


def _dropped(weights: Variable, rest: Sequence[Variable]) -> Variable:
    for factors in rest:
        if factors.type.ndim == 4:
            weights = weights * factors
    return weights


def _products(a: Variable, b: Variable, turn: str = "") -> Variable:
    """(n, h, i, j) @ (n, h, j, k) for each of n and h; first ``a`` or ``b`` may be transposed."""
    n, h = a.shape[0], a.shape[1]
    # transposed after the heads are merged: XLA then reads it that way round, without a copy
    left, right = (x.reshape((n * h, x.shape[2], x.shape[3])) for x in (a, b))
    if turn == "a":
        left = left.dimshuffle(0, 2, 1)
    if turn == "b":
        right = right.dimshuffle(0, 2, 1)
    made = at.batched_dot(left, right)
    return made.reshape((n, h, made.shape[1], made.shape[2]))
