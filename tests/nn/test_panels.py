"""Dense layers in panels against DenseOp, with the kernel and without."""

import aesara.tensor as at
import numpy as np
import pytest

import aeframe as ae
from aeframe.core import Graph, Parameter
from aeframe.core.errors import ShapeError
from aeframe.core.expand import typed_nodes
from aeframe.nn.ops import DenseOp, FusedOp, GeluOp, PanelDenseOp, PanelsOp, ReluOp, TanhOp
from tests.nn.test_fused import agree, chain, claimed, kernels, normal, symbols

# x, w: one column, a panel, one more and one less, leading axes, more rows and depth than a block
SHAPES = [
    ((1, 1), (1, 1)),
    ((2, 17), (17, 33)),
    ((5,), (5, 31)),
    ((2, 3, 20), (20, 32)),
    ((15, 1), (1, 64)),
    ((131, 370), (370, 77)),
    ((350, 700), (700, 65)),
]


def in_panels(x, w, *rest, around=lambda layer: layer):
    """The same as a layer of ``w``."""
    return around(PanelDenseOp(w.type.shape[1]))(x, PanelsOp()(w), *rest)


def fused(activation):
    return lambda *inputs: in_panels(*inputs, around=lambda layer: FusedOp(layer, activation))


def test_where_an_entry_lies():
    (w,) = normal((3, 70))
    u = PanelsOp()(*symbols(w))
    assert u.type.shape == (3, 3, 32)
    u = u.eval({u.owner.inputs[0]: w})
    for p, j in np.ndindex(3, 96):
        assert u[j // 32, p, j % 32] == (w[p, j] if j < 70 else 0)


@pytest.mark.parametrize("backend", ["jax", "c"])
@pytest.mark.parametrize("bias", [False, True])
def test_as_dense(backend, bias):
    for x, w in SHAPES if backend == "jax" else SHAPES[1:3]:
        agree(in_panels, DenseOp(), normal(x, w, *[w[1:]] * bias), backend, gradients=x == (2, 17))


@pytest.mark.slow
def test_on_numba():
    agree(in_panels, DenseOp(), normal((4, 5), (5, 33), (33,), dtype="float64"), "numba", 1e-12)


@pytest.mark.parametrize("rows", [0, 3])
def test_unknown_sizes(rows):
    x, w = at.fmatrix(), at.TensorType("float32", (None, 33))()
    values = normal((rows, 4), (4, 33))
    (y,) = ae.Backend("jax").compile([x, w], [in_panels(x, w)])(*values)
    np.testing.assert_allclose(y, values[0] @ values[1], rtol=1e-5)


@pytest.mark.parametrize("activation", [ReluOp(), GeluOp(), None, TanhOp()], ids=str)
@pytest.mark.parametrize("residual", [False, True])
def test_fused(activation, residual):
    for x, w in [SHAPES[1], SHAPES[4], SHAPES[6]]:
        arrays = normal(x, w, w[1:], *[(*x[:-1], w[1])] * residual)
        agree(fused(activation), chain(DenseOp(), activation), arrays, "jax", gradients=False)


@kernels
@pytest.mark.parametrize("backend", ["jax", "c"])
def test_is_claimed(backend):
    """By itself and fused, of any size, where the kernel knows the activation."""
    arrays = symbols(*normal((4, 5), (1, 5, 32), (7,)))
    layer = PanelDenseOp(7)
    for op, wanted in [
        (layer, layer),
        (FusedOp(layer, GeluOp()), FusedOp(layer, GeluOp())),
        (FusedOp(layer, TanhOp()), layer),
    ]:
        assert claimed(Graph(tuple(arrays), (op(*arrays),)), backend) == [wanted]


def test_a_program_makes_panels_once():
    x, w = normal((4, 70), (70, 33))
    symbol, weight = at.TensorType("float32", x.shape)(), Parameter(w)
    program = ae.Backend("jax").compile([symbol], [in_panels(symbol, weight)])
    assert [n.op for n in typed_nodes(program.graph)] == [PanelDenseOp(33)]
    for _ in range(2):
        np.testing.assert_allclose(program(x)[0], x @ weight.value, rtol=1e-4, atol=1e-4)
        weight.value = 2 * weight.value


@pytest.mark.parametrize(
    "shapes", [((4, 5), (1, 6, 32)), ((4, 5), (2, 5, 32)), ((4, 5), (1, 5, 16)), ((4, 5), (5, 7))]
)
def test_what_does_not_fit_is_refused(shapes):
    with pytest.raises(ShapeError):
        PanelDenseOp(7)(*symbols(*normal(*shapes)))
