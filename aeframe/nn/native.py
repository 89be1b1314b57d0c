"""Which layers run on the native kernels, and from which size on."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from aesara.graph.basic import Apply, Variable

from aeframe.backends.native import Kernel, claim
from aeframe.nn.ops.activations import GeluOp, ReluOp
from aeframe.nn.ops.attention import AttentionOp
from aeframe.nn.ops.convolve import Conv2DOp, ConvKernel2DOp, ConvTranspose2DOp
from aeframe.nn.ops.fused import FusedOp
from aeframe.nn.ops.linear import DenseOp
from aeframe.nn.ops.normalize import BatchNormOp
from aeframe.nn.ops.panels import PanelDenseOp
from aeframe.nn.ops.pool import MaxPool2DOp
from aeframe.nn.ops.winograd import WinogradOp

# Below this many multiplications a product of XLA's costs less than calling a kernel.
FEWEST = 1 << 18
# With more rows XLA's products are a fifth faster on one core, and as well shared out over more.
MOST_ROWS = 1024
# With few rows a product takes the time to read its weight: XLA and BLAS read small ones as fast.
FEW_ROWS, FEWEST_WEIGHTS = 8, 1 << 20
# A group of fewer channels is no matrix product worth its name.
NARROWEST = 8
# Groups of as many channels, the same in and out, have a kernel of their own; and from how many
# multiplications on: what else does them is slower.
GROUPED = (1, 2, 4, 8, 16)
FEWEST_GROUPED = 1 << 15
# Below this many entries XLA's loops are as fast.
SMALLEST = 1 << 14

# The activations that a product can apply where it is made, as gemm.h numbers them.
ACTIVATIONS: dict[type | None, int] = {None: 0, ReluOp: 1, GeluOp: 2}


def _layer(node: Apply) -> Any:
    """The Op of a layer, by itself or within a FusedOp."""
    return node.op.layer if isinstance(node.op, FusedOp) else node.op


def _epilogue(node: Apply) -> tuple[int, int, int]:
    """Whether a layer has a bias and an addend, and its activation."""
    if not isinstance(node.op, FusedOp):
        return len(node.inputs) - 2, 0, 0
    return 1, len(node.inputs) - 3, ACTIVATIONS[_activation(node)]


def _activation(node: Apply) -> type | None:
    return None if node.op.activation is None else type(node.op.activation)


def _dense_sizes(node: Apply) -> tuple[int, int, int] | None:
    x, w = (v.type.shape for v in node.inputs[:2])
    m, (i, o) = prod(x[:-1]), w
    if m * i * o < FEWEST or m > MOST_ROWS or (m <= FEW_ROWS and i * o < FEWEST_WEIGHTS):
        return None
    return m, i, o


@claim(DenseOp)
def dense(node: Apply) -> Kernel | None:
    """One product, the bias within."""
    sizes = _dense_sizes(node)
    if sizes is None:
        return None
    return Kernel("dense", tuple(range(len(node.inputs))), (*sizes, *_epilogue(node)))


@claim(PanelDenseOp)
def dense_panels(node: Apply) -> Kernel | None:
    """The same without copying the weight, for any number of rows."""
    *lead, i = node.inputs[0].type.shape
    sizes = (prod(lead), i, _layer(node).features, *_epilogue(node))
    return Kernel("dense_panels", tuple(range(len(node.inputs))), sizes)


def _wanted(node: Apply) -> tuple[int, ...]:
    """Which output of a Pullback the gradients of its Op's first three inputs are, or −1."""
    wrt = node.op.wrt
    return tuple(wrt.index(i) if i in wrt else -1 for i in range(3))


@claim(DenseOp, pullback=True)
def dense_gradient(node: Apply) -> Kernel | None:
    """All gradients in one call: its weight may then be overwritten by an update that uses them."""
    sizes = _dense_sizes(node)
    if sizes is None:
        return None
    return Kernel("dense_gradient", (0, 1, len(node.inputs) - 1), (*sizes, *_wanted(node)))


def _convolution_sizes(op: Any, x: Variable, w: Variable, y: Variable) -> tuple[int, ...] | None:
    """The shape of a convolution, where products of matrices do it well."""
    _, _, c, o = w.type.shape
    narrow = op.groups > 1 and min(c, o // op.groups) < NARROWEST
    if narrow or _multiplications(w, y) < FEWEST:
        return None
    return _convolution_shape(op, x, w, y)


def _convolution_shape(op: Any, x: Variable, w: Variable, y: Variable) -> tuple[int, ...]:
    """The shape of a convolution of ``x`` with ``w`` that makes ``y``, as the kernels take it."""
    kh, kw, _, o = w.type.shape
    (top, _), (left, _) = op.padding
    out = y.type.shape[1:3]
    return (*x.type.shape, kh, kw, o, op.groups, *op.stride, top, left, *op.dilation, *out)


def _multiplications(w: Variable, y: Variable) -> int:
    return prod(y.type.shape) * prod(w.type.shape[:3])


@claim(Conv2DOp)
def convolve(node: Apply) -> Kernel | None:
    """A product with the patches, the bias within; or, of narrow groups, sums of products."""
    (x, w), y, op = node.inputs[:2], node.outputs[0], _layer(node)
    if _is_grouped(op, w):
        name, sizes = "convolve_grouped", None
        if _multiplications(w, y) >= FEWEST_GROUPED:
            sizes = _convolution_shape(op, x, w, y)
    else:
        name, sizes = "convolve", _convolution_sizes(op, x, w, y)
    if sizes is None:
        return None
    return Kernel(name, tuple(range(len(node.inputs))), (*sizes, *_epilogue(node)))


def _is_grouped(op: Any, w: Variable) -> bool:
    _, _, c, o = w.type.shape
    return op.groups > 1 and c * op.groups == o and c in GROUPED


@claim(WinogradOp)
def winograd(node: Apply) -> Kernel | None:
    """A chunk of tiles at a time, whose transforms stay in the cache."""
    x, y, op = node.inputs[0], node.outputs[0], _layer(node)
    if prod(y.type.shape) * x.type.shape[3] < FEWEST:
        return None
    (top, _), (left, _) = op.padding
    sizes = (*x.type.shape, y.type.shape[3], top, left, *y.type.shape[1:3])
    inputs = tuple(range(len(node.inputs)))
    return Kernel("winograd", inputs, (*sizes, *_epilogue(node), op.tile))


@claim(FusedOp)
def fused(node: Apply) -> Kernel | None:
    """The layer's kernel, which does the rest where it writes its output.

    It reads an entry of the addend for each of the layer: what is broadcast is not its case.
    """
    layer, addends = node.op.layer, node.inputs[3:]
    make = MAKERS.get(type(layer))
    if make is None or _activation(node) not in ACTIVATIONS:
        return None
    broadcast = any(v.type != layer(*node.inputs[:3]).type for v in addends)
    return None if broadcast else make(node)


MAKERS = {
    DenseOp: dense,
    PanelDenseOp: dense_panels,
    Conv2DOp: convolve,
    WinogradOp: winograd,
}


@claim(Conv2DOp, pullback=True)
def convolve_gradient(node: Apply) -> Kernel | None:
    """All gradients in one call, as for Dense."""
    x, w, g = node.inputs[0], node.inputs[1], node.inputs[-1]
    sizes = _convolution_sizes(node.op.op, x, w, g)
    if sizes is None:
        return None
    return Kernel("convolve_gradient", (0, 1, len(node.inputs) - 1), (*sizes, *_wanted(node)))


@claim(ConvTranspose2DOp)
def convolve_transposed(node: Apply) -> Kernel | None:
    """What a convolution's gradient does for its input."""
    g, w, *bias = node.inputs
    sizes = _convolution_sizes(node.op, node.outputs[0], w, g)
    if sizes is None:
        return None
    return Kernel("convolve_x", tuple(range(2 + len(bias))), (*sizes, len(bias)))


@claim(ConvKernel2DOp)
def convolve_kernel(node: Apply) -> Kernel | None:
    """What a convolution's gradient does for its kernel."""
    x, g = node.inputs
    sizes = _convolution_sizes(node.op, x, node.outputs[0], g)
    return None if sizes is None else Kernel("convolve_w", (0, 1), sizes)


def _pool_sizes(op: Any, x: Variable, y: Variable) -> tuple[int, ...] | None:
    if prod(x.type.shape) < SMALLEST:
        return None
    (top, _), (left, _) = op.padding
    return (*x.type.shape, *op.window, *op.stride, top, left, *y.type.shape[1:3])


@claim(MaxPool2DOp)
def max_pool(node: Apply) -> Kernel | None:
    """One pass."""
    sizes = _pool_sizes(node.op, node.inputs[0], node.outputs[0])
    return None if sizes is None else Kernel("max_pool", (0,), sizes)


@claim(MaxPool2DOp, pullback=True)
def max_pool_gradient(node: Apply) -> Kernel | None:
    """One pass over the windows."""
    x, y, _ = node.inputs
    sizes = _pool_sizes(node.op.op, x, y)
    return None if sizes is None else Kernel("max_pool_gradient", (0, 1, 2), sizes)


def _rows(x: Variable, n_inputs: int) -> tuple[int, int] | None:
    """How many rows batch normalization sees, all alike, and how long they are."""
    *lead, c = x.type.shape
    return (prod(lead), c) if n_inputs == 5 and prod(lead) * c >= SMALLEST else None


@claim(BatchNormOp)
def batch_norm(node: Apply) -> Kernel | None:
    """One pass for the moments, one for the result; XLA sums columns entry by entry."""
    sizes, op = _rows(node.inputs[0], len(node.inputs)), node.op
    if sizes is None:
        return None
    return Kernel("batch_norm", (0, 1, 2, 3, 4), sizes, (op.momentum, op.epsilon))


@claim(BatchNormOp, pullback=True)
def batch_norm_gradient(node: Apply) -> Kernel | None:
    """One pass for all sums, one for the gradient of the input."""
    op = node.op
    sizes = _rows(node.inputs[0], op.n_inputs)
    if sizes is None or op.seeds != (0,) or max(op.wrt) > 2:
        return None
    inputs, wanted = (0, 1, len(node.inputs) - 1), (*sizes, *_wanted(node))
    return Kernel("batch_norm_gradient", inputs, wanted, (op.op.epsilon,))


def _heads(op: AttentionOp, inputs: Sequence[Variable], name: str, taken: int) -> Kernel | None:
    """The kernel ``name`` for attention without masks: it sees heads behind positions."""
    (n, h, t, d), (s, e) = inputs[0].type.shape, inputs[2].type.shape[2:]
    if n * h * t * s * min(d, e) < FEWEST:
        return None
    scale = d**-0.5 if op.scale is None else op.scale
    sizes = (n, h, t, s, d, e, int(op.causal))
    return Kernel(name, tuple(range(taken)), sizes, (scale,), order=(0, 2, 1, 3))


@claim(AttentionOp)
def attention(node: Apply) -> Kernel | None:
    """A head at a time, whose scores stay in the cache; what a causal mask hides is left out."""
    if len(node.inputs) > 3:
        return None
    return _heads(node.op, node.inputs, "attention", 3)


@claim(AttentionOp, pullback=True)
def attention_gradient(node: Apply) -> Kernel | None:
    """The same for all gradients, from the weights."""
    op = node.op
    if op.n_inputs > 3 or op.seeds != (0,) or op.wrt != (0, 1, 2):
        return None
    return _heads(op.op, node.inputs, "attention_gradient", 6)
