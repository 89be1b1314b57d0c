"""Convolution layers, channels last; the parameters ``w`` and ``b`` are made at the first call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aesara.graph.basic import Variable

from aeframe.core.cells import Initializer, Parameter
from aeframe.core.errors import ArgumentError, ShapeError
from aeframe.core.shapes import shape_text
from aeframe.core.trace import current_path
from aeframe.nn.initializers import glorot_uniform, zeros
from aeframe.nn.layers import Layer, float_like
from aeframe.nn.ops import Conv2DOp, ConvTranspose2DOp

Size = int | Sequence[int]
Around = str | int | Sequence[Any]


class _Convolution(Layer):
    """What the layers share; ``axes`` is how many axes of space there are."""

    axes = 2

    def __init__(
        self,
        features: int | Variable,
        kernel: Size = 3,
        *,
        stride: Size = 1,
        padding: Around = "same",
        dilation: Size = 1,
        groups: int = 1,
        bias: bool | Variable | None = True,
        init: Initializer = glorot_uniform,
        dtype: str | None = None,
    ) -> None:
        self.w: Variable | None = None
        self.b: Variable | None = None
        if isinstance(features, Variable):
            self.w, self.b = features, bias if isinstance(bias, Variable) else None
            kernel = [s or 1 for s in features.type.shape[: self.axes]]
            self.features: int | None = None
        elif isinstance(features, int) and features > 0:
            self.features = features
        else:
            name = type(self).__name__
            raise ArgumentError(
                f"{name} takes a positive number of features or a kernel",
                path=current_path(),
                expected=f"{name}(32)",
                got=repr(features),
            )
        self.kernel = per_axis("kernel", kernel, self.axes)
        self.stride = per_axis("stride", stride, self.axes)
        self.dilation = per_axis("dilation", dilation, self.axes)
        self.padding = padding_of(padding, self.axes)
        self.groups = groups
        self.bias = bias is not False and bias is not None
        self.init_w = init
        if dtype is not None:
            self.dtype = dtype

    def _build(self, x: Variable, shape: tuple[int, ...]) -> None:
        """Make the parameters: a kernel of ``shape`` behind its axes of space."""
        assert self.features is not None
        dtype = vars(self).get("dtype") or float_like(x, self.dtype)
        self.w = Parameter(init=self.init_w, shape=(*self.kernel, *shape), dtype=dtype)
        if self.bias:
            self.b = Parameter(init=zeros, shape=(self.features,), dtype=dtype)

    def _channels(self, x: Variable) -> int:
        """How many channels come in, a multiple of the groups."""
        channels = x.type.shape[-1]
        if channels is None:
            raise ShapeError(
                "the number of channels must be known at the first call",
                path=current_path(),
                got=shape_text(x.type.shape),
                fix="give the symbolic input a static shape",
            )
        if channels % self.groups or (self.features or 0) % self.groups:
            raise ShapeError(
                f"{channels} channels in and {self.features} out do not both divide into "
                f"{self.groups} groups",
                path=current_path(),
                got=shape_text(x.type.shape),
            )
        return channels


def require_space(layer: Layer, x: Variable, axes: int) -> None:
    """Raise :class:`ShapeError` unless ``x`` is (n, h, w, c), or (n, t, c) for one axis."""
    if x.type.ndim != axes + 2:
        raise ShapeError(
            f"{type(layer).__name__} takes {axes + 2} axes",
            path=current_path(),
            expected="(n, h, w, channels)" if axes == 2 else "(n, t, channels)",
            got=shape_text(x.type.shape),
            fix="add an axis for the channels, as in `x[..., None]`, or reshape",
        )


class Conv2D(_Convolution):
    """A kernel over height and width: (n, h, w, channels) → (n, h', w', features).

    Parameters
    ----------
    features
        The number of output channels; parameters are made at the first call. Or the kernel
        itself, a tensor (kh, kw, channels / groups, features), such as a random variable.
    kernel
        Its height and width, or one number for both.
    stride
        How far it moves.
    padding
        Zeros around the input: a number, a pair (before, after) for each axis, ``"valid"`` for
        none, or ``"same"`` for as many as make h' = ⌈h / stride⌉, the odd one after.
    dilation
        The distance between the entries that the kernel sees.
    groups
        Into how many independent parts the channels are divided. With as many groups as channels
        the convolution is depthwise, and ``features / channels`` is its depth multiplier.
    bias
        Whether there is a bias; or, with a given kernel, the bias itself, a tensor (features,).
    init
        First value of the kernel.
    dtype
        Of the parameters; by default that of the input they are first called on.

    Raises
    ------
    ShapeError
        When the input has not four axes, or not the channels of the first call.

    >>> import numpy as np
    >>> Conv2D(8, stride=2)(np.ones((2, 7, 7, 3))).shape
    (2, 4, 4, 8)
    """

    def __call__(self, x: Variable) -> Variable:
        """The layer on ``x``."""
        require_space(self, x, self.axes)
        if self.w is None:
            assert self.features is not None
            self._build(x, (self._channels(x) // self.groups, self.features))
        return _forward(self, x, self.w, self.b)


class Conv1D(_Convolution):
    """A kernel over time: (n, t, channels) → (n, t', features).

    The arguments are those of :class:`Conv2D` for one axis; the kernel is (k, channels / groups,
    features). ``padding=(k - 1, 0)`` makes it causal.

    >>> import numpy as np
    >>> Conv1D(4, 5, padding="valid")(np.ones((2, 10, 3))).shape
    (2, 6, 4)
    """

    axes = 1

    def __call__(self, x: Variable) -> Variable:
        """The layer on ``x``: a :class:`Conv2D` of height 1."""
        require_space(self, x, self.axes)
        if self.w is None:
            assert self.features is not None
            self._build(x, (self._channels(x) // self.groups, self.features))
        assert self.w is not None
        tall = x.dimshuffle(0, "x", 1, 2), self.w.dimshuffle("x", 0, 1, 2)
        return _forward(self, *tall, self.b).dimshuffle(0, 2, 3)


class ConvTranspose2D(_Convolution):
    """The transpose of :class:`Conv2D`: (n, h, w, channels) → (n, h', w', features).

    It is the gradient of the Conv2D with the same arguments, and undoes its change of shape:
    h' = stride h for ``"same"`` and stride h + max(dilation (kernel − 1) + 1 − stride, 0) for
    ``"valid"``, as in Keras. With numbers as padding
    h' = stride (h − 1) + dilation (kernel − 1) + 1 − before − after + output padding, as in
    PyTorch. The kernel is (kh, kw, features / groups, channels).

    Parameters
    ----------
    output_padding
        Rows and columns more at the end, less than the stride: only with numbers as padding.

    >>> import numpy as np
    >>> ConvTranspose2D(3, 2, stride=2)(np.ones((2, 4, 4, 8))).shape
    (2, 8, 8, 3)
    """

    def __init__(
        self,
        features: int | Variable,
        kernel: Size = 3,
        *,
        output_padding: Size | None = None,
        **others: Any,
    ) -> None:
        super().__init__(features, kernel, **others)
        self.output_padding: list[int] | None = None
        if output_padding is not None:
            if isinstance(self.padding, str):
                raise ArgumentError(
                    f"{self.padding!r} already says how large the output is",
                    path=current_path(),
                    expected="numbers as padding, with output_padding",
                )
            self.output_padding = per_axis("output_padding", output_padding, self.axes, 0)

    def __call__(self, x: Variable) -> Variable:
        """The layer on ``x``."""
        require_space(self, x, self.axes)
        if self.w is None:
            assert self.features is not None
            self._build(x, (self.features // self.groups, self._channels(x)))
        reach = [d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True)]
        gaps = [r - s for r, s in zip(reach, self.stride, strict=True)]
        padding, extra = self.padding, self.output_padding or [0, 0]
        if isinstance(padding, str):
            extra = [max(-g, 0) for g in gaps]
            cut = [max(g, 0) if padding == "same" else 0 for g in gaps]
            padding = [[c // 2, c - c // 2] for c in cut]
        op = ConvTranspose2DOp(self.stride, padding, self.dilation, self.groups, extra)
        return op(x, self.w) if self.b is None else op(x, self.w, self.b)


def _forward(layer: _Convolution, x: Variable, w: Any, b: Variable | None) -> Variable:
    """:class:`Conv2DOp` with the arguments of a layer, of height 1 where it has one axis."""
    one = [1] * (2 - layer.axes)
    stride, dilation = [*one, *layer.stride], [*one, *layer.dilation]
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, [*one, *layer.kernel], strict=True)]
    padding = static_padding(layer.padding, x, reach, stride)
    op = Conv2DOp(stride, padding, dilation, layer.groups)
    return op(x, w) if b is None else op(x, w, b)


def per_axis(name: str, value: Any, axes: int, least: int = 1) -> list[int]:
    """One integer for each axis; a single one is for all.

    Raises
    ------
    ArgumentError
        When it is something else.

    >>> per_axis("stride", 2, 2)
    [2, 2]
    """
    listed = list(value) if isinstance(value, Sequence) else [value] * axes
    if len(listed) != axes or not all(isinstance(v, int) and v >= least for v in listed):
        raise ArgumentError(
            f"`{name}` is neither an integer from {least} nor one for each axis",
            path=current_path(),
            expected=f"{name}={'(2, 2)' if axes == 2 else '2'}",
            got=repr(value),
        )
    return listed


def padding_of(value: Any, axes: int) -> Any:
    """``"same"``, ``"valid"``, or a pair for each axis from the forms that layers take.

    >>> padding_of(1, 2), padding_of((2, 0), 1)
    ([[1, 1], [1, 1]], [[2, 0]])
    """
    if value in ("same", "valid"):
        return value
    if isinstance(value, int):
        return [per_axis("padding", value, 2, 0)] * axes
    pairs = isinstance(value, Sequence) and not isinstance(value, str)
    if pairs and axes == 1 and all(isinstance(v, int) for v in value):
        value = [value]
    if not pairs or len(value) != axes:
        raise ArgumentError(
            "this is no padding",
            path=current_path(),
            expected='"same", "valid", a number, or a pair (before, after) for each axis',
            got=repr(value),
        )
    return [per_axis("padding", around, 2, 0) for around in value]


def static_padding(padding: Any, x: Variable, reach: Sequence[int], stride: Sequence[int]) -> Any:
    """The padding of ``x`` in numbers, for windows over ``reach`` entries; 0 on axes added.

    Raises
    ------
    ShapeError
        When ``"same"`` depends on a size that is not known.
    """
    if not isinstance(padding, str):
        return [[0, 0]] * (2 - len(padding)) + padding
    if padding == "valid":
        return [[0, 0], [0, 0]]
    found = []
    for size, r, s in zip(x.type.shape[1:3], reach, stride, strict=True):
        if size is None and s > 1:
            raise ShapeError(
                '"same" padding with a stride needs the height and the width',
                path=current_path(),
                got=shape_text(x.type.shape),
                fix="give the symbolic input a static shape, or the padding in numbers",
            )
        more = max(r - s, 0) if size is None or size % s == 0 else max(r - size % s, 0)
        found.append([more // 2, more - more // 2])
    return found
