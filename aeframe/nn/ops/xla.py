"""How JAX runs convolutions and pooling itself; see :func:`cheapest` for when.

Measured on two cores with XLA 0.7: its convolution does 200 to 300 GFLOP/s in float32, and im2col,
one product for each tap and Winograd's F(2, 3) and F(4, 3) are 1 to 5 times slower, for they write
their intermediate arrays to memory. It is slow where it has few columns to multiply, in the
gradient of a 1x1 kernel (10 times), and with groups (10 to 300 times); and so is its
select-and-scatter, the gradient of a maximum (10 to 40 times slower than the body's comparisons).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from aesara.graph.basic import Apply

from aeframe.backends import implement
from aeframe.nn.ops.convolve import NARROW, Conv2DOp, ConvKernel2DOp, ConvTranspose2DOp
from aeframe.nn.ops.pool import MaxPool2DOp
from aeframe.nn.ops.windows import taps, under

Call = Callable[..., Any]


def cheapest(which: type, kernel: tuple[int, ...], groups: int, platform: str) -> str:
    """The fastest way known to compute a convolution or one of its gradients.

    Parameters
    ----------
    which
        ``Conv2DOp``, ``ConvTranspose2DOp`` or ``ConvKernel2DOp``.
    kernel
        (kh, kw, c / groups, o).
    groups
        How many there are.
    platform
        Where it runs: ``"cpu"``, ``"gpu"``, ...

    Returns
    -------
    str
        ``"xla"`` for its convolution, ``"groups"`` for one convolution for each group,
        ``"taps"`` for sums of products, ``"body"`` for the Op's own matrix products.

    >>> cheapest(Conv2DOp, (3, 3, 32, 64), 1, "cpu"), cheapest(Conv2DOp, (3, 3, 1, 32), 1, "cpu")
    ('xla', 'body')
    """
    kh, kw, c, _ = kernel
    if platform != "cpu":
        return "xla"
    if groups > 1:
        return "taps" if c == 1 else "groups"
    narrow = kh * kw * c <= NARROW and which is not ConvTranspose2DOp
    return "body" if narrow or (which is ConvKernel2DOp and kh * kw == 1) else "xla"


@implement("jax", Conv2DOp)
@implement("jax", ConvTranspose2DOp)
@implement("jax", ConvKernel2DOp)
def convolution(node: Apply) -> Call | None:
    """The call for a convolution; the two gradients are transposes of the forward function."""
    import jax

    op, which = node.op, type(node.op)
    kernel = (node.outputs[0] if which is ConvKernel2DOp else node.inputs[1]).type.shape
    way = cheapest(which, kernel, op.groups, jax.default_backend())
    if way == "body":
        return None
    forward = {"xla": _whole, "groups": _by_group, "taps": _depthwise}[way](op)
    dtype = node.outputs[0].type.dtype

    def transposed(of: Call, shape: Any, g: Any) -> Any:
        (made,) = jax.linear_transpose(of, jax.ShapeDtypeStruct(shape, dtype))(g)
        return made

    def call(a: Any, b: Any, *bias: Any) -> Any:
        a, b = a.astype(dtype), b.astype(dtype)
        if which is Conv2DOp:
            y = forward(a, b)
        elif which is ConvTranspose2DOp:
            y = transposed(lambda x: forward(x, b), node.outputs[0].type.shape, a)
        elif way == "taps":
            y = _depthwise_kernel(op, a, b)
        else:
            y = transposed(lambda w: forward(a, w), kernel, b)
        return y + bias[0] if bias else y

    return call


def _whole(op: Any) -> Call:
    """XLA's convolution."""
    from jax import lax

    def forward(x: Any, w: Any) -> Any:
        return lax.conv_general_dilated(
            x,
            w,
            op.stride,
            op.padding,
            rhs_dilation=op.dilation,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=x.shape[3] // w.shape[2],
        )

    return forward


def _by_group(op: Any) -> Call:
    """XLA's convolution of each group."""
    import jax.numpy as jnp

    whole = _whole(op)

    def forward(x: Any, w: Any) -> Any:
        parts = zip(jnp.split(x, op.groups, 3), jnp.split(w, op.groups, 3), strict=True)
        return jnp.concatenate([whole(a, b) for a, b in parts], axis=3)

    return forward


def _padded(op: Any, x: Any) -> Any:
    """``x`` padded, in memory: fused into what reads it, the padding is tested at each entry."""
    import jax.numpy as jnp
    from jax import lax

    if op.padding == ((0, 0), (0, 0)):
        return x
    return lax.optimization_barrier(jnp.pad(x, ((0, 0), *op.padding, (0, 0))))


def _entries(op: Any, x: Any, tap: tuple[int, int], out: Any) -> Any:
    """The entries of the padded ``x`` under a tap; indexing with a step would be a gather."""
    from jax import lax

    found = [
        range(n)[i] for n, i in zip(x.shape, under(tap, out, op.stride, op.dilation), strict=False)
    ]
    starts, stops, steps = zip(*((r.start, r.stop, r.step) for r in found), strict=True)
    return lax.slice(x, (*starts, 0), (*stops, x.shape[3]), (*steps, 1))


def _depthwise(op: Any) -> Call:
    """The sum over the taps of entries times weights."""

    def forward(x: Any, w: Any) -> Any:
        kh, kw, _, o = w.shape
        x, reach = _padded(op, x), op.reach((kh, kw))
        out = [(s - r) // t + 1 for s, r, t in zip(x.shape[1:3], reach, op.stride, strict=True)]
        split = w.reshape((kh, kw, op.groups, o // op.groups))
        terms = [_entries(op, x, t, out)[..., None] * split[t] for t in taps((kh, kw))]
        return sum(terms[1:], start=terms[0]).reshape((x.shape[0], *out, o))

    return forward


def _depthwise_kernel(op: Any, x: Any, g: Any) -> Any:
    """The gradient of the weights, image by image: one reduction over all would leave the cache."""
    import jax.numpy as jnp
    from jax import lax

    n, *out, o = g.shape
    x, listed = _padded(op, x), taps(op.kernel)
    g = g.reshape((n, *out, op.groups, o // op.groups))

    def add(i: Any, total: Any) -> Any:
        one = lax.dynamic_index_in_dim(x, i, keepdims=True)
        rows = lax.dynamic_index_in_dim(g, i, keepdims=False)
        entries = [_entries(op, one, t, out)[0, ..., None] for t in listed]
        return total + jnp.stack([(e * rows).sum(axis=0) for e in entries])

    start = jnp.zeros((len(listed), *g.shape[2:]), g.dtype)
    return lax.fori_loop(0, n, add, start).sum(axis=1).reshape((*op.kernel, 1, o))


@implement("jax", MaxPool2DOp)
def maximum(node: Apply) -> Call:
    """XLA's windowed maximum; its gradient stays with the body."""
    from jax import lax

    op = node.op

    def call(x: Any) -> Any:
        low = np.asarray(-np.inf, x.dtype)
        around = ((0, 0), *op.padding, (0, 0))
        return lax.reduce_window(x, low, lax.max, (1, *op.window, 1), (1, *op.stride, 1), around)

    return call
