"""Counts of layers, against counts by hand."""

import aesara.tensor as at
import pytest

from aeframe.backends.plain import matrix
from aeframe.backends.work import TRANSCENDENTAL, work
from aeframe.core import grad
from aeframe.nn.ops import (
    AttentionOp,
    AvgPool2DOp,
    Conv2DOp,
    ConvTranspose2DOp,
    DenseOp,
    EmbeddingOp,
    GeluOp,
    GlobalAvgPoolOp,
    LayerNormOp,
    LSTMOp,
    MaxPool2DOp,
    MeanSquaredErrorOp,
    ReluOp,
    SimpleRNNOp,
    SoftmaxCrossEntropyOp,
    SoftmaxOp,
)

SAME = ((1, 1), (1, 1))
LABELS = at.TensorType("int64", (8,))
E_ = TRANSCENDENTAL
CASES = {
    "dense": (DenseOp()(matrix(8, 3), matrix(3, 5), matrix(5)), 2 * 8 * 3 * 5 + 40),
    "dense over steps": (DenseOp()(matrix(2, 4, 3), matrix(3, 5)), 2 * 8 * 3 * 5),
    "convolution": (Conv2DOp()(matrix(2, 8, 8, 3), matrix(3, 3, 3, 4)), 2 * (2 * 36) * 27 * 4),
    "strided": (
        Conv2DOp((2, 2), SAME)(matrix(1, 8, 8, 3), matrix(3, 3, 3, 4), matrix(4)),
        2 * 16 * 27 * 4 + 64,
    ),
    "grouped": (
        Conv2DOp(padding=SAME, groups=2)(matrix(1, 8, 8, 6), matrix(3, 3, 3, 4)),
        2 * 64 * 27 * 4,
    ),
    "depthwise": (
        Conv2DOp(padding=SAME, groups=6)(matrix(1, 8, 8, 6), matrix(3, 3, 1, 6)),
        2 * 64 * 9 * 6,
    ),
    "transposed": (
        ConvTranspose2DOp((2, 2))(matrix(1, 4, 4, 5), matrix(3, 3, 2, 5)),
        2 * 16 * 9 * 2 * 5,
    ),
    "maximum": (MaxPool2DOp((2, 2), (2, 2))(matrix(1, 8, 8, 3)), 16 * 3 * 4),
    "average": (AvgPool2DOp((3, 3), (1, 1), SAME)(matrix(1, 8, 8, 3)), 64 * 3 * 9),
    "global average": (GlobalAvgPoolOp(2)(matrix(2, 8, 8, 3)), 2 * 64 * 3),
    "layer norm": (LayerNormOp(1e-5)(matrix(8, 16), matrix(16), matrix(16)), 7 * 128),
    "attention": (
        AttentionOp()(*[matrix(2, 3, 5, 4)] * 3)[0],
        6 * 25 * (2 * 4 + E_ + 4 + 2 * 4),
    ),
    "causal attention": (
        AttentionOp(causal=True)(*[matrix(2, 3, 5, 4)] * 3)[0],
        6 * 15 * (2 * 4 + E_ + 4 + 2 * 4),
    ),
    "simple recurrent": (
        SimpleRNNOp()(matrix(2, 7, 3), matrix(3, 4), matrix(4, 4), matrix(4), matrix(2, 4))[0],
        2 * 14 * (3 + 4) * 4 + 14 * 4 * (E_ + 2),
    ),
    "lstm": (
        LSTMOp()(
            matrix(2, 7, 3), matrix(3, 16), matrix(4, 16), matrix(16), matrix(2, 4), matrix(2, 4)
        )[0],
        2 * 14 * (3 + 4) * 16 + 14 * 4 * (5 * E_ + 12),
    ),
    "softmax": (SoftmaxOp()(matrix(8, 10)), 80 * (E_ + 4)),
    "cross-entropy": (SoftmaxCrossEntropyOp()(matrix(8, 10), LABELS())[0], 80 * (E_ + 6)),
    "relu": (ReluOp()(matrix(8, 10)), 80),
    "product": (at.dot(matrix(8, 3), matrix(3, 5)), 240),
    "matrix and vector": (at.dot(matrix(8, 3), matrix(3)), 48),
    "sum of three": (at.add(matrix(8), matrix(8), matrix(8)), 16),
    "exponential": (at.exp(matrix(8)), 8 * E_),
    "sum": (matrix(8, 3).sum(), 24),
}


@pytest.mark.parametrize("name", list(CASES))
def test_operations_are_those_counted_by_hand(name):
    out, flops = CASES[name]
    assert work(out.owner).flops == flops


def test_bytes_are_those_of_inputs_and_outputs_each_once():
    assert work(DenseOp()(matrix(8, 3), matrix(3, 5), matrix(5)).owner).bytes == 4 * (
        24 + 15 + 5 + 40
    )
    x = matrix(8, 3)
    assert work((x * x).owner).bytes == 4 * 48
    found = work(EmbeddingOp()(LABELS(), matrix(1000, 16)).owner)
    assert found.bytes == 8 * 8 + 2 * 4 * 8 * 16  # the rows that are read, not the table
    assert found.flops == 0


def test_a_body_is_counted_where_nobody_has_counted():
    found = work(GeluOp()(matrix(8, 10)).owner)
    assert found.functions == 80  # erf
    assert found.flops == 80 * (E_ + 4)  # x √½, 1 + erf, x / 2, their product
    loss = work(MeanSquaredErrorOp()(matrix(8, 10), matrix(8, 10)).owner)
    assert 3 * 80 <= loss.flops <= 3 * 80 + 20


@pytest.mark.parametrize(
    ("make", "inputs"),
    [
        (DenseOp(), [(8, 3), (3, 5)]),
        (Conv2DOp(padding=SAME), [(1, 8, 8, 3), (3, 3, 3, 4)]),
    ],
)
def test_a_gradient_is_two_products(make, inputs):
    x, w = (matrix(*s) for s in inputs)
    y = make(x, w)
    pulled = grad((y * y).sum(), [x, w])[0].owner
    assert work(pulled).flops == pytest.approx(2 * work(y.owner).flops, rel=0.05)
