"""Convolutions over (n, h, w, c), channels last, and the two that are their gradients.

    y[n, u, v, o] = Σ_{i, j, c} x[n, s u + d i − p, s v + d j − p, c] w[i, j, c, o]

is linear in ``x`` and in ``w``, so its gradients, :class:`ConvTranspose2DOp` and
:class:`ConvKernel2DOp`, are linear too, and the gradients of the three are the three again.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import aesara.tensor as at
from aesara.graph.basic import Variable
from aesara.scalar.basic import upcast
from aesara.tensor.type import TensorType

from aeframe.core.errors import ArgumentError, ShapeError
from aeframe.core.ops import TypedOp, require_ndim, require_size, tensor_like
from aeframe.core.shapes import shape_text
from aeframe.core.trace import current_path
from aeframe.nn.ops.linear import BilinearOp
from aeframe.nn.ops.windows import (
    Pair,
    pad,
    padding_pairs,
    pair,
    places,
    require_fit,
    sizes,
    taps,
    under,
)

NARROW = 64  # columns: a matrix product over fewer wastes its time on moving memory
Cotangents = Sequence[Variable | None]


class _Convolution(TypedOp):
    """The arguments of a convolution, and its kernel (kh, kw, c / groups, o)."""

    __props__: tuple[str, ...] = ("stride", "padding", "dilation", "groups")

    def __init__(
        self,
        stride: Any = (1, 1),
        padding: Any = ((0, 0), (0, 0)),
        dilation: Any = (1, 1),
        groups: int = 1,
    ) -> None:
        self.stride, self.dilation = pair("stride", stride), pair("dilation", dilation)
        self.padding = padding_pairs(padding)
        self.groups, _ = pair("groups", (groups, 1))

    def require_kernel(self, w: Variable) -> None:
        """The kernel has four known sizes, and its outputs divide into the groups."""
        require_ndim(self, "w", w, 4)
        if None in w.type.shape:
            raise ShapeError(
                f"{self} needs the shape of its kernel",
                path=current_path(),
                expected="(kh, kw, c / groups, o)",
                got=shape_text(w.type.shape),
                fix="give `w` a static shape",
            )
        if w.type.shape[3] % self.groups:
            raise ShapeError(
                f"{w.type.shape[3]} output channels do not divide into {self.groups} groups",
                path=current_path(),
                got=shape_text(w.type.shape),
                fix="choose a number of groups that divides the channels",
            )

    def reach(self, kernel: Pair) -> Pair:
        """How many entries a kernel covers, along height and width."""
        h, w = ((k - 1) * d + 1 for k, d in zip(kernel, self.dilation, strict=True))
        return h, w

    def shared(self) -> dict[str, Any]:
        """The arguments that the three convolutions have in common."""
        return {name: getattr(self, name) for name in _Convolution.__props__}

    def is_depthwise(self, channels: int) -> bool:
        """Whether each group has one input channel: sums of products, not matrix products."""
        return self.groups > 1 and channels == 1

    def chunks(self, kernel: Sequence[int], together: int) -> list[list[Pair]]:
        """The taps in pieces of ``together``; all at once where a product would be narrow.

        What a matrix product takes is copied for it: pieces bound the memory. The pieces of a
        convolution and those of its gradient differ, or merging equal Applies would keep the
        copies of each layer until the gradient comes to it.
        """
        listed = taps((kernel[0], kernel[1]))
        if self.groups > 1 or len(listed) * kernel[2] <= NARROW:
            together = len(listed)
        return [listed[i : i + together] for i in range(0, len(listed), together)]

    def columns(self, x: Variable, channels: int, out: Any, chunk: list[Pair]) -> Variable:
        """The entries of the padded ``x`` under some taps: (n h' w', taps, channels)."""
        found = [x[under(tap, out, self.stride, self.dilation)] for tap in chunk]
        joined = found[0] if len(found) == 1 else at.concatenate(found, axis=3)
        return joined.reshape((-1, len(chunk), channels))

    def by_group(self, product: Any, *arrays: tuple[Variable, int]) -> Variable:
        """``product`` for each group, on its part of each array's last axis of a given width."""
        if self.groups == 1:
            return product(*(a for a, _ in arrays))
        widths = [width // self.groups for _, width in arrays]
        parts = [
            product(
                *(a[..., g * m : (g + 1) * m] for (a, _), m in zip(arrays, widths, strict=True))
            )
            for g in range(self.groups)
        ]
        return at.concatenate(parts, axis=-1)


def _pieces(w: Variable, chunks: list[list[Pair]]) -> list[tuple[list[Pair], Variable]]:
    """Each chunk of taps with its part of the kernel, (taps, c / groups, o)."""
    kh, kw, c, o = w.type.shape
    flat = w.reshape((kh * kw, c, o))
    starts = [i * kw + j for (i, j), *_ in chunks]
    return [(k, flat[s : s + len(k)]) for k, s in zip(chunks, starts, strict=True)]


def _total(terms: Sequence[Variable]) -> Variable:
    return terms[0] if len(terms) == 1 else at.add(*terms)


class Conv2DOp(_Convolution, BilinearOp):
    """(n, h, w, c), kernel (kh, kw, c / groups, o), bias (o,) → (n, h', w', o).

    h' = ⌊(h + top + bottom − dilation (kh − 1) − 1) / stride⌋ + 1; the bias may be left out.
    Each of the ``groups`` equal parts of the output channels sees its part of the input channels
    only; with as many groups as input channels the convolution is depthwise.
    """

    mixed = 3

    def check(self, x: Variable, w: Variable, b: Variable | None = None) -> None:
        """The channels fit the kernel, and the kernel the padded input."""
        require_ndim(self, "x", x, 4)
        self.require_kernel(w)
        kh, kw, c, o = w.type.shape
        require_size(self, "x", x, 3, c * self.groups)
        require_fit(self, x, self.reach((kh, kw)), self.padding)
        if b is not None:
            require_ndim(self, "b", b, 1)
            require_size(self, "b", b, 0, o)

    def out_types(self, x: Variable, w: Variable, *b: Variable) -> tuple[TensorType]:
        """(n, h', w', o)."""
        kh, kw, _, o = w.type.shape
        out = places(x, self.reach((kh, kw)), self.stride, self.padding)
        return tensor_like((x.type.shape[0], *out, o), x, w, *b)

    def body(self, x: Variable, w: Variable, b: Variable | None = None) -> Variable:
        """A matrix product for each row of the kernel, summed."""
        kh, kw, c, o = w.type.shape
        out = places(x, self.reach((kh, kw)), self.stride, self.padding)
        n, x = sizes(x)[0], pad(x, self.padding)
        if self.is_depthwise(c):
            split = (self.groups, o // self.groups)
            terms = [
                x[under(t, out, self.stride, self.dilation)].dimshuffle(0, 1, 2, 3, "x")
                * w[t].reshape(split)
                for t in taps((kh, kw))
            ]
        else:
            terms = [
                self.by_group(
                    partial(_forward, len(chunk) * c),
                    (self.columns(x, c * self.groups, out, chunk), c * self.groups),
                    (piece, o),
                )
                for chunk, piece in _pieces(w, self.chunks((kh, kw, c), kw))
            ]
        y = _total(terms).reshape((n, *out, o))
        return y if b is None else y + b

    def pullback(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], cotangents: Cotangents
    ) -> Sequence[Variable | None]:
        """The transposed convolution, the kernel's, and a sum."""
        (x, w, *_), (g,) = inputs, cotangents
        assert g is not None
        extra = _left_over(self, x, w.type.shape[:2])
        if extra is None:
            return super().pullback(inputs, outputs, cotangents)
        return [
            ConvTranspose2DOp(**self.shared(), output_padding=extra)(g, w),
            ConvKernel2DOp(**self.shared(), kernel=w.type.shape[:2])(x, g),
            g.sum(axis=(0, 1, 2)),
        ][: len(inputs)]


def _forward(width: int, columns: Variable, kernel: Variable) -> Variable:
    """(rows, taps, c), (taps, c, o) → (rows, o), with ``width`` taps times c."""
    return at.dot(columns.reshape((-1, width)), kernel.reshape((width, -1)))


def _backward(n: int, c: int, rows: Variable, kernel: Variable) -> Variable:
    """(rows, o), (taps, c, o) → (rows, taps, c)."""
    return at.dot(rows, kernel.reshape((n * c, -1)).T).reshape((-1, n, c))


def _kernel(width: int, columns: Variable, rows: Variable) -> Variable:
    """(rows, taps, c), (rows, o) → (taps times c, o)."""
    return at.dot(columns.reshape((-1, width)).T, rows)


def _left_over(op: _Convolution, x: Variable, kernel: Pair) -> Pair | None:
    """How many rows and columns at the end no window reaches, if that is known."""
    if None in x.type.shape[1:3]:
        return None
    reach = op.reach(kernel)
    h, w = (
        (size + sum(p) - r) % s
        for size, p, r, s in zip(x.type.shape[1:3], op.padding, reach, op.stride, strict=True)
    )
    return h, w


class ConvTranspose2DOp(_Convolution):
    """(n, h, w, o), kernel (kh, kw, c / groups, o), bias (c,) → (n, h', w', c).

    The gradient of :class:`Conv2DOp` of the same arguments with respect to its input:
    h' = (h − 1) stride + dilation (kh − 1) + 1 − top − bottom + output padding. The output padding
    is below the stride: it tells apart the sizes that the stride makes equal.
    """

    __props__ = ("stride", "padding", "dilation", "groups", "output_padding")

    def __init__(
        self,
        stride: Any = (1, 1),
        padding: Any = ((0, 0), (0, 0)),
        dilation: Any = (1, 1),
        groups: int = 1,
        output_padding: Any = (0, 0),
    ) -> None:
        super().__init__(stride, padding, dilation, groups)
        self.output_padding = pair("output_padding", output_padding, 0)
        if any(e >= s for e, s in zip(self.output_padding, self.stride, strict=True)):
            raise ArgumentError(
                "the output padding is not below the stride",
                path=current_path(),
                expected=f"less than {self.stride}",
                got=self.output_padding,
            )

    def check(self, x: Variable, w: Variable, b: Variable | None = None) -> None:
        """The channels fit the kernel, and something is left after the padding is cut off."""
        require_ndim(self, "x", x, 4)
        self.require_kernel(w)
        kh, kw, c, o = w.type.shape
        require_size(self, "x", x, 3, o)
        if any(isinstance(s, int) and s < 1 for s in self.extent(x, (kh, kw))):
            raise ShapeError(
                f"{self} cuts off more than it makes",
                path=current_path(),
                got=shape_text(x.type.shape),
                fix="pad less, or take a larger kernel",
            )
        if b is not None:
            require_ndim(self, "b", b, 1)
            require_size(self, "b", b, 0, c * self.groups)

    def extent(self, x: Variable, kernel: Pair) -> list[Any]:
        """Height and width of the output."""
        _, h, w, _ = sizes(x)
        every = zip(
            (h, w), self.stride, self.reach(kernel), self.padding, self.output_padding, strict=True
        )
        return [(size - 1) * s + r - sum(p) + extra for size, s, r, p, extra in every]

    def body(self, x: Variable, w: Variable, b: Variable | None = None) -> Variable:
        """A matrix product for each tap, added where the tap lies."""
        kh, kw, c, _ = w.type.shape
        n, *out, _ = sizes(x)
        channels = c * self.groups
        h, v = self.extent(x, (kh, kw))
        (top, bottom), (left, right) = self.padding
        dtype = upcast(x.type.dtype, w.type.dtype)
        y = at.zeros((n, h + top + bottom, v + left + right, channels), dtype=dtype)
        for chunk, made in self._made(x, w):
            for q, tap in enumerate(chunk):
                place = y[under(tap, out, self.stride, self.dilation)]
                y = at.inc_subtensor(place, made[:, q].reshape((n, *out, channels)))
        y = y[:, top : top + h, left : left + v]
        return y if b is None else y + b

    def _made(self, x: Variable, w: Variable) -> list[tuple[list[Pair], Variable]]:
        """What each chunk of taps adds to the output: (n h w, taps, c)."""
        kh, kw, c, o = w.type.shape
        if self.is_depthwise(c):
            split = (self.groups, o // self.groups)
            rows = x.reshape((-1, 1, *split))
            return [([t], (rows * w[t].reshape(split)).sum(axis=3)) for t in taps((kh, kw))]
        rows = x.reshape((-1, o))
        return [
            (
                chunk,
                self.by_group(
                    partial(_backward, len(chunk), c),
                    (rows, o),
                    (piece, o),
                ),
            )
            for chunk, piece in _pieces(w, self.chunks((kh, kw, c), 1))
        ]

    def pullback(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], cotangents: Cotangents
    ) -> Sequence[Variable | None]:
        """The convolution, the kernel's, and a sum."""
        (x, w, *_), (g,) = inputs, cotangents
        assert g is not None
        return [
            Conv2DOp(**self.shared())(g, w),
            ConvKernel2DOp(**self.shared(), kernel=w.type.shape[:2])(g, x),
            g.sum(axis=(0, 1, 2)),
        ][: len(inputs)]


class ConvKernel2DOp(_Convolution):
    """(n, h, w, c), (n, h', w', o) → (kh, kw, c / groups, o).

    The gradient of :class:`Conv2DOp` with respect to its kernel, for the gradient of its output.
    """

    __props__ = ("stride", "padding", "dilation", "groups", "kernel")

    def __init__(self, stride: Any, padding: Any, dilation: Any, groups: int, kernel: Any) -> None:
        super().__init__(stride, padding, dilation, groups)
        self.kernel = pair("kernel", kernel)

    def check(self, x: Variable, g: Variable) -> None:
        """``g`` is as large as the convolution's output."""
        require_ndim(self, "x", x, 4)
        require_ndim(self, "g", g, 4)
        out = places(x, self.reach(self.kernel), self.stride, self.padding)
        for axis, size in enumerate(out, start=1):
            require_size(self, "g", g, axis, size if isinstance(size, int) else None)
        for name, v in (("x", x), ("g", g)):
            if v.type.shape[3] is None or v.type.shape[3] % self.groups:
                raise ShapeError(
                    f"{self} got a wrong `{name}`",
                    path=current_path(),
                    expected=f"a known number of channels that {self.groups} divides",
                    got=shape_text(v.type.shape),
                )

    def body(self, x: Variable, g: Variable) -> Variable:
        """A matrix product for each tap."""
        channels, o = x.type.shape[3], g.type.shape[3]
        c, out = channels // self.groups, sizes(g)[1:3]
        x = pad(x, self.padding)
        if self.is_depthwise(c):
            rows = g.reshape((-1, self.groups, o // self.groups))
            parts = [
                (self.columns(x, channels, out, [t]).dimshuffle(0, 2, 1) * rows).sum(axis=0)
                for t in taps(self.kernel)
            ]
        else:
            rows = g.reshape((-1, o))
            parts = [
                self.by_group(
                    partial(_kernel, len(chunk) * c),
                    (self.columns(x, channels, out, chunk), channels),
                    (rows, o),
                )
                for chunk in self.chunks((*self.kernel, c), 1)
            ]
        return at.concatenate([p.reshape((-1, o)) for p in parts]).reshape((*self.kernel, c, o))

    def pullback(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], cotangents: Cotangents
    ) -> Sequence[Variable | None]:
        """Both are convolutions with the kernel's cotangent."""
        (x, g), (w,) = inputs, cotangents
        assert w is not None
        extra = _left_over(self, x, self.kernel)
        if extra is None:
            return super().pullback(inputs, outputs, cotangents)
        return [
            ConvTranspose2DOp(**self.shared(), output_padding=extra)(g, w),
            Conv2DOp(**self.shared())(x, w),
        ]
