"""Pooling over (n, h, w, c), channels last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Variable
from aesara.tensor.type import TensorType
from numpy.typing import NDArray

from aeframe.core.errors import ArgumentError, DtypeError
from aeframe.core.ops import TypedOp, require_ndim, tensor_like
from aeframe.core.trace import current_path
from aeframe.nn.ops.windows import pad, padding_pairs, pair, places, require_fit, sizes, taps, under

Cotangents = Sequence[Variable | None]


class PoolOp(TypedOp):
    """A window that slides over height and width of each channel."""

    __props__ = ("window", "stride", "padding")

    def __init__(self, window: Any, stride: Any, padding: Any = ((0, 0), (0, 0))) -> None:
        self.window, self.stride = pair("window", window), pair("stride", stride)
        self.padding = padding_pairs(padding)
        for size, around in zip(self.window, self.padding, strict=True):
            if max(around) >= size:
                raise ArgumentError(
                    "the padding is as large as the window: some windows would be empty",
                    path=current_path(),
                    expected=f"padding below {self.window}",
                    got=self.padding,
                )

    def check(self, x: Variable) -> None:
        """Floating-point images that the window fits in."""
        require_ndim(self, "x", x, 4)
        if not x.type.dtype.startswith("float"):
            raise DtypeError(
                f"{self} takes floating-point numbers",
                path=current_path(),
                got=x.type.dtype,
                fix="pass `x.astype('float32')`",
            )
        require_fit(self, x, self.window, self.padding)

    def out_types(self, x: Variable) -> tuple[TensorType]:
        """(n, h', w', c)."""
        return tensor_like((x.type.shape[0], *self.out(x), x.type.shape[3]), x)

    def out(self, x: Variable) -> tuple[Any, Any]:
        """How many windows there are, along height and width."""
        return places(x, self.window, self.stride, self.padding)

    def under_taps(self, x: Variable, outside: float) -> list[Variable]:
        """For each tap the entries of ``x`` under it, with ``outside`` for the padding."""
        padded, out = pad(x, self.padding, outside), self.out(x)
        return [padded[under(t, out, self.stride)] for t in taps(self.window)]

    def spread(self, like: Variable, made: Any, *arrays: tuple[Variable, float]) -> Variable:
        """The sum, for each entry of the input, of what the windows over it give to it.

        Entry s u + a of the padded input is at tap s d + a of window u − d. So blocks of s
        entries are a new axis, and each d one shift of the windows: ``made`` is called with the
        tap of each entry of a block, (s, 1, s', 1), −1 for none, and with the ``arrays``
        (n, h', w', c), shifted and seen as (n, h', 1, w', 1, c); beyond their ends stands the
        value that comes with each.
        """
        n, h, w, c = sizes(like)
        full = [s + sum(p) for s, p in zip((h, w), self.padding, strict=True)]
        blocks = [-(-f // s) for f, s in zip(full, self.stride, strict=True)]
        shifts = [-(-k // s) for k, s in zip(self.window, self.stride, strict=True)]
        around = [(d - 1, b - o) for d, b, o in zip(shifts, blocks, self.out(like), strict=True)]
        wide = [pad(a, around, value) for a, value in arrays]
        terms = []
        for down, across in taps((shifts[0], shifts[1])):
            u, v = shifts[0] - 1 - down, shifts[1] - 1 - across
            moved = [a[:, u : u + blocks[0], v : v + blocks[1]] for a in wide]
            seen = [a.dimshuffle(0, 1, "x", 2, "x", 3) for a in moved]
            terms.append(made(self._tap_of_entry(down, across), *seen))
        total = terms[0] if len(terms) == 1 else at.add(*terms)
        entries = [b * s for b, s in zip(blocks, self.stride, strict=True)]
        (top, _), (left, _) = self.padding
        return total.reshape((n, *entries, c))[:, top : top + h, left : left + w]

    def _tap_of_entry(self, down: int, across: int) -> NDArray[np.int16]:
        """The tap at which each entry of a block is in the window that begins so far before."""
        i = down * self.stride[0] + np.arange(self.stride[0])[:, None, None, None]
        j = across * self.stride[1] + np.arange(self.stride[1])[:, None]
        inside = (i < self.window[0]) & (j < self.window[1])
        return np.where(inside, i * self.window[1] + j, -1).astype("int16")


class MaxPool2DOp(PoolOp):
    """The largest entry of each window: (n, h, w, c) → (n, h', w', c).

    The gradient goes to the first largest entry of a window, row by row. Padding is never the
    largest.
    """

    def body(self, x: Variable) -> Variable:
        """The maximum over the taps."""
        y, *rest = self.under_taps(x, -np.inf)
        for entries in rest:
            y = at.maximum(y, entries)
        return y

    def pullback(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], cotangents: Cotangents
    ) -> Sequence[Variable | None]:
        """The tap of the first maximum of each window, then what each entry gets."""
        (x,), (y,), (g,) = inputs, outputs, cotangents
        assert g is not None
        first: Variable = at.constant(np.int16(-2))
        for number, entries in reversed(list(enumerate(self.under_taps(x, -np.inf)))):
            first = at.switch(at.eq(entries, y), np.int16(number), first)

        def made(tap: NDArray[np.int16], first: Variable, g: Variable) -> Variable:
            return at.switch(at.eq(first, tap), g, np.zeros((), g.type.dtype))

        return [self.spread(x, made, (first, -2), (g, 0.0))]


class AvgPool2DOp(PoolOp):
    """The mean of each window, padding not counted: (n, h, w, c) → (n, h', w', c)."""

    def body(self, x: Variable) -> Variable:
        """The sum over the taps, divided by how many are inside."""
        total, *rest = self.under_taps(x, 0.0)
        for entries in rest:
            total = total + entries
        return total / self.counts(x)

    def counts(self, x: Variable) -> Variable:
        """How many entries of each window are no padding: (1, h', w', 1), or a number."""
        if self.padding == ((0, 0), (0, 0)):
            return at.as_tensor(self.window[0] * self.window[1], dtype=x.type.dtype)
        _, h, w, _ = sizes(x)
        found = self.under_taps(at.ones((1, h, w, 1), dtype=x.type.dtype), 0.0)
        return found[0] if len(found) == 1 else at.add(*found)

    def pullback(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], cotangents: Cotangents
    ) -> Sequence[Variable | None]:
        """Each entry gets its share of the windows that it is in."""
        (x,), (g,) = inputs, cotangents
        assert g is not None

        def made(tap: NDArray[np.int16], g: Variable) -> Variable:
            return g * (tap >= 0).astype(g.type.dtype)

        return [self.spread(x, made, (g / self.counts(x), 0.0))]


class GlobalAvgPoolOp(TypedOp):
    """The mean over all positions: (n, ..., c) → (n, c), with ``axes`` axes between."""

    __props__ = ("axes",)

    def __init__(self, axes: int) -> None:
        self.axes = axes

    def check(self, x: Variable) -> None:
        """The axes are there."""
        require_ndim(self, "x", x, self.axes + 2)

    def body(self, x: Variable) -> Variable:
        """Sum over the positions, divided by their number."""
        count: Any = 1
        for size in sizes(x)[1:-1]:
            count = count * size
        return x.sum(axis=range(1, self.axes + 1)) / at.as_tensor(count).astype(x.type.dtype)
