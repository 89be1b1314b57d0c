"""What layers cost, and where each kind of layer is measured.

Products with padded zeros count: a convolution is taken as the direct method computes it.
"""

from __future__ import annotations

from dataclasses import replace
from math import isqrt, prod
from typing import Any

from aesara.graph.basic import Apply, Variable

from aeframe.backends.plain import MOVE, PRODUCTS, ROWS, matrix
from aeframe.backends.work import (
    TRANSCENDENTAL,
    Kind,
    Work,
    by_body,
    entries,
    moved,
    nbytes,
    work,
    work_of,
)
from aeframe.nn.ops.activations import LogSoftmaxOp, SoftmaxOp
from aeframe.nn.ops.attention import AttentionOp
from aeframe.nn.ops.convolve import Conv2DOp, ConvKernel2DOp, ConvTranspose2DOp
from aeframe.nn.ops.fused import FusedOp
from aeframe.nn.ops.linear import DenseOp, EmbeddingOp
from aeframe.nn.ops.losses import NegativeLogLikelihoodOp, SoftmaxCrossEntropyOp
from aeframe.nn.ops.normalize import BatchNormOp, GroupNormOp, LayerNormOp, RMSNormOp
from aeframe.nn.ops.panels import PANEL, PanelDenseOp
from aeframe.nn.ops.pool import AvgPool2DOp, GlobalAvgPoolOp, MaxPool2DOp
from aeframe.nn.ops.recurrent import GRUOp, LSTMOp, RecurrentOp, SimpleRNNOp
from aeframe.nn.ops.winograd import WinogradOp

SOFTMAX = TRANSCENDENTAL + 4  # maximum, difference, exponential, sum, quotient
SAME = ((1, 1), (1, 1))


def _images(places: int, channels: int) -> Variable:
    """One image of so many places (a square number)."""
    return matrix(1, isqrt(places), isqrt(places), channels)


DENSE = Kind("dense", PRODUCTS, lambda m, k, n: [DenseOp()(matrix(m, k), matrix(k, n), matrix(n))])
PANELS = Kind(
    "dense in panels",
    ((1, 64), (64, 1024), (64, 2048)),
    lambda m, k, n: [PanelDenseOp(n)(matrix(m, k), matrix(n // PANEL, k, PANEL), matrix(n))],
)
CONVOLUTION = Kind(
    "convolution",
    ((49, 784), (144, 1152), (16, 128)),
    lambda m, k, n: [Conv2DOp(padding=SAME)(_images(m, k // 9), matrix(3, 3, k // 9, n))],
    weights=True,
)
POINTWISE = Kind(
    "1x1 convolution",
    ((49, 784), (64, 1024), (64, 1024)),
    lambda m, k, n: [Conv2DOp()(_images(m, k), matrix(1, 1, k, n))],
    weights=True,
)
GROUPED = Kind(
    "grouped convolution",
    ((49, 784), (4, 16)),
    lambda m, c: [Conv2DOp(padding=SAME, groups=8)(_images(m, 8 * c), matrix(3, 3, c, 8 * c))],
    weights=True,
)
DEPTHWISE = Kind(
    "depthwise convolution",
    ((49, 784),),
    lambda m: [Conv2DOp(padding=SAME, groups=128)(_images(m, 128), matrix(3, 3, 1, 128))],
    weights=True,
)
ATTENTION = Kind(
    "attention",
    ((16, 64, 256),),
    lambda t: AttentionOp()(*(matrix(1, 8, t, 64) for _ in range(3)))[:1],
    weights=True,
)
MAXIMUM = Kind(
    "maximum pooling",
    ((196, 3136),),
    lambda m: [MaxPool2DOp((3, 3), (1, 1), SAME)(_images(m, 64))],
)
AVERAGE = Kind(
    "average pooling",
    ((196, 3136),),
    lambda m: [AvgPool2DOp((3, 3), (1, 1), SAME)(_images(m, 64))],
)
RECURRENT = Kind(
    "recurrent",
    ((1, 32),),
    lambda n: LSTMOp()(
        matrix(n, 16, 64), matrix(64, 256), matrix(64, 256), matrix(256), *[matrix(n, 64)] * 2
    )[:1],
)


def _tiles(tile: int) -> Kind:
    """Convolutions by Winograd's products, whose operations are counted as the direct method's."""

    def sample(m: int, c: int, n: int) -> list[Variable]:
        u = matrix((tile + 2) ** 2, c, n)
        return [WinogradOp(tile, SAME)(_images(m, c), u, matrix(n))]

    return Kind(f"products for tiles of {tile}", ((196, 3136), (32, 256), (32, 256)), sample, True)


TILES = {tile: _tiles(tile) for tile in (2, 4)}


@work_of(WinogradOp)
def _winograd(node: Apply) -> Work:
    y, (_, c, o) = node.outputs[0], node.inputs[1].type.shape
    m = prod(y.type.shape[:3])
    return Work(2.0 * m * 9 * c * o, moved(node), 1, TILES[node.op.tile], (m, c, o))


@work_of(FusedOp)
def _fused(node: Apply) -> Work:
    """That of the layer: what follows it works on entries that are at hand."""
    found = work(node.op.layer.make_node(*node.inputs[:3]))
    return replace(found, bytes=found.bytes + sum(map(nbytes, node.inputs[3:])))


@work_of(DenseOp)
@work_of(PanelDenseOp)
def _dense(node: Apply) -> Work:
    (*lead, k), n = node.inputs[0].type.shape, node.outputs[0].type.shape[-1]
    m, kind = prod(lead), DENSE if isinstance(node.op, DenseOp) else PANELS
    bias = m * n * (len(node.inputs) - 2)
    return Work(2.0 * m * k * n + bias, moved(node), 1, kind, (m, k, n))


@work_of(EmbeddingOp)
def _embedding(node: Apply) -> Work:
    made = node.outputs[0]
    return Work(0.0, 2 * nbytes(made) + nbytes(node.inputs[0]), 1, MOVE, (entries(made),))


def _convolution(node: Apply, small: Variable, kernel: Any, bias: int) -> Work:
    """Each place of ``small``, where the kernel lies, is a product with the kernel."""
    (kh, kw, c, o), op = kernel, node.op
    m = prod(small.type.shape[:3])
    flops, size = 2.0 * m * kh * kw * c * o + bias, moved(node)
    if op.is_depthwise(c):
        return Work(flops, size, 1, DEPTHWISE, (m,))
    if op.groups > 1:
        return Work(flops, size, 1, GROUPED, (m, c))
    kind = POINTWISE if kh * kw == 1 else CONVOLUTION
    return Work(flops, size, 1, kind, (m, kh * kw * c, o))


@work_of(Conv2DOp)
def _forward(node: Apply) -> Work:
    y = node.outputs[0]
    return _convolution(node, y, node.inputs[1].type.shape, entries(y) * (len(node.inputs) - 2))


@work_of(ConvTranspose2DOp)
def _transposed(node: Apply) -> Work:
    g, w, *bias = node.inputs
    return _convolution(node, g, w.type.shape, entries(node.outputs[0]) * len(bias))


@work_of(ConvKernel2DOp)
def _kernel(node: Apply) -> Work:
    return _convolution(node, node.inputs[1], node.outputs[0].type.shape, 0)


@work_of(MaxPool2DOp)
@work_of(AvgPool2DOp)
def _pool(node: Apply) -> Work:
    y, kind = node.outputs[0], MAXIMUM if isinstance(node.op, MaxPool2DOp) else AVERAGE
    places = y.type.shape[:3]
    return Work(float(entries(y) * prod(node.op.window)), moved(node), 1, kind, (prod(places),))


def rows(node: Apply, each: float) -> Work:
    """``each`` operations for each entry of the first input, over its rows."""
    *lead, last = node.inputs[0].type.shape
    return Work(each * entries(node.inputs[0]), moved(node), 1, ROWS, (prod(lead), last))


@work_of(GlobalAvgPoolOp)
def _mean(node: Apply) -> Work:
    return rows(node, 1)


@work_of(LayerNormOp)
@work_of(GroupNormOp)
@work_of(BatchNormOp)
def _normalization(node: Apply) -> Work:
    return rows(node, 7)  # mean; centred; square, sum; quotient; scale, shift


@work_of(RMSNormOp)
def _rms(node: Apply) -> Work:
    return rows(node, 4)  # square, sum; quotient, scale


@work_of(SoftmaxOp)
@work_of(LogSoftmaxOp)
def _softmax(node: Apply) -> Work:
    return rows(node, SOFTMAX)


@work_of(SoftmaxCrossEntropyOp)
def _cross_entropy(node: Apply) -> Work:
    return rows(node, SOFTMAX + 2)  # and of each row the entry that counts


@work_of(NegativeLogLikelihoodOp)
def _likelihood(node: Apply) -> Work:
    return rows(node, 2)


@work_of(AttentionOp)
def _attention(node: Apply) -> Work:
    (n, h, t, d), (s, e) = node.inputs[0].type.shape, node.inputs[2].type.shape[2:]
    # query i of a causal mask sees the keys up to i + s − t
    pairs = sum(max(0, min(s, i + s - t + 1)) for i in range(t)) if node.op.causal else t * s
    flops = float(n * h * pairs * (2 * d + SOFTMAX + 2 * e))
    return Work(flops, moved(node), 1, ATTENTION, (t,))


# entries of the next state: activations, products and sums, from the cells' equations
CELLS = {SimpleRNNOp: TRANSCENDENTAL + 2, GRUOp: 3 * TRANSCENDENTAL + 10}
CELLS[LSTMOp] = 5 * TRANSCENDENTAL + 12


@work_of(RecurrentOp)
def _recurrent(node: Apply) -> Work:
    (n, t, i), (u, gates) = node.inputs[0].type.shape, node.inputs[2].type.shape
    each = CELLS.get(type(node.op))
    if each is None:
        return by_body(node)
    return Work(2.0 * n * t * (i + u) * gates + n * t * u * each, moved(node), 1, RECURRENT, (n,))
