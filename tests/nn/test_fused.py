"""Fused and transformed layers against the plain chain, with the kernels and without."""

import aesara.tensor as at
import numpy as np
import pytest

import aeframe as ae
from aeframe.backends import native
from aeframe.core import Graph
from aeframe.core.expand import expand, typed_nodes
from aeframe.nn import native as layers
from aeframe.nn.ops import (
    Conv2DOp,
    DenseOp,
    FusedOp,
    GeluOp,
    ReluOp,
    TanhOp,
    WinogradKernelOp,
    WinogradOp,
)
from tests.evaluate import evaluate

kernels = pytest.mark.skipif(
    not isinstance(native.library(), native.Library), reason="no native kernels here"
)


@pytest.fixture
def eager_claims(monkeypatch):
    """Claims of any size."""
    for name in ("FEWEST", "NARROWEST", "FEWEST_GROUPED", "FEWEST_WEIGHTS"):
        monkeypatch.setattr(layers, name, 0)


def normal(*shapes, seed=0, dtype="float32"):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(s).astype(dtype) for s in shapes]


def symbols(*arrays):
    return [at.TensorType(str(a.dtype), a.shape)() for a in arrays]


def claimed(graph, backend):
    claims = ae.Backend(backend).claims
    return [n.op for n in typed_nodes(expand(graph, claims)) if claims(n)]


def agree(fused, plain, arrays, backend, tolerance=1e-5, gradients=True):
    """Two functions of the same arrays have equal values and gradients, to scale."""
    inputs = symbols(*arrays)
    made, wanted = fused(*inputs), plain(*inputs)
    assert made.type == wanted.type
    outputs = [made, wanted]
    if gradients:
        (g,) = normal(made.type.shape, seed=1, dtype=made.type.dtype)
        for y in (made, wanted):
            outputs += ae.grad((y * at.constant(g)).sum(), inputs)
    found = [np.asarray(v) for v in ae.Backend(backend).compile(inputs, outputs)(*arrays)]
    half = len(found) // 2
    pairs = [(found[0], found[1]), *zip(found[2 : 1 + half], found[1 + half :], strict=True)]
    for a, b in pairs:
        scale = max(1.0, float(np.abs(b).max()))
        np.testing.assert_allclose(a / scale, b / scale, atol=tolerance)


def chain(layer, activation):
    def plain(x, w, b, addend=None):
        y = layer(x, w, b)
        y = y if addend is None else y + addend
        return y if activation is None else activation(y)

    return plain


ACTIVATIONS = [ReluOp(), GeluOp(), None, TanhOp()]
DENSE = [(1, 1, 1), (2, 17, 33), (131, 37, 77), (350, 700, 65), (3, 300, 2001), (8, 70, 8200)]
# x, w, then the Op
CONVOLUTIONS = [
    ((1, 1, 1, 1), (1, 1, 1, 1), Conv2DOp()),
    ((2, 9, 7, 8), (3, 3, 8, 33), Conv2DOp(padding=((1, 1), (1, 1)))),
    ((2, 9, 11, 6), (3, 2, 3, 8), Conv2DOp((2, 3), ((1, 2), (0, 1)), groups=2)),
    ((1, 20, 19, 40), (3, 3, 40, 50), Conv2DOp(padding=((1, 1), (1, 1)))),
]


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("backend", ["jax", "c"])
@pytest.mark.usefixtures("eager_claims")
def test_dense(activation, residual, backend):
    op = FusedOp(DenseOp(), activation)
    for m, i, o in DENSE if backend == "jax" else DENSE[1:3]:
        arrays = normal((m, i), (i, o), (o,), *[(m, o)] * residual)
        agree(op, chain(DenseOp(), activation), arrays, backend)


@pytest.mark.parametrize("activation", ACTIVATIONS[:2], ids=str)
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("case", CONVOLUTIONS, ids=str)
@pytest.mark.usefixtures("eager_claims")
def test_convolution(case, activation, residual):
    x, w, layer = case
    out = layer(*symbols(*normal(x, w))).type.shape
    arrays = normal(x, w, w[3:], *[out] * residual)
    agree(FusedOp(layer, activation), chain(layer, activation), arrays, "jax")


# x, kernel, groups, then stride, padding, dilation: widths that are no multiple of the vector's
GROUPED = [
    ((1, 5, 4, 3), (3, 3), 3, (1, 1), ((1, 1), (1, 1)), (1, 1)),
    ((2, 9, 31, 44), (5, 3), 44, (2, 1), ((2, 1), (0, 3)), (1, 1)),
    ((1, 60, 61, 17), (7, 7), 17, (1, 1), ((3, 3), (3, 3)), (1, 1)),
    ((1, 9, 9, 24), (3, 3), 12, (1, 1), ((4, 4), (4, 4)), (1, 2)),
    ((1, 35, 33, 36), (3, 3), 9, (2, 2), ((1, 1), (1, 1)), (1, 1)),
    ((1, 6, 7, 40), (3, 3), 5, (1, 1), ((1, 1), (1, 1)), (2, 1)),
    ((1, 4, 3, 48), (1, 2), 3, (1, 1), ((0, 0), (5, 0)), (1, 1)),
]


@pytest.mark.parametrize("case", GROUPED, ids=str)
@pytest.mark.usefixtures("eager_claims")
def test_grouped_convolution(case):
    """Against a convolution without groups, whose kernel is 0 outside them."""
    x_shape, kernel, groups, stride, padding, dilation = case
    m = x_shape[3] // groups
    layer = Conv2DOp(stride, padding, dilation, groups)
    w_shape = (*kernel, m, x_shape[3])
    out = layer(*symbols(*normal(x_shape, w_shape))).type.shape
    mask = np.kron(np.eye(groups), np.ones((m, m))).astype("float32")

    def plain(x, w, b, addend):
        whole = at.concatenate([w] * groups, axis=2) * mask
        whole = at.specify_shape(whole, (*kernel, x_shape[3], x_shape[3]))
        return ReluOp()(Conv2DOp(stride, padding, dilation)(x, whole, b) + addend)

    arrays = normal(x_shape, w_shape, x_shape[3:], out)
    fused = FusedOp(layer, ReluOp())
    agree(fused, plain, arrays, "jax", gradients=False)


# x, outputs, padding
WINOGRAD = [
    ((1, 1, 1, 1), 1, ((1, 1), (1, 1))),
    ((2, 7, 10, 5), 3, ((0, 2), (1, 0))),
    ((1, 8, 8, 16), 16, ((1, 1), (1, 1))),
    ((1, 30, 13, 33), 70, ((1, 1), (1, 1))),
    ((3, 3, 3, 400), 35, ((0, 0), (0, 0))),
]


@pytest.mark.parametrize("tile", [2, 4])
@pytest.mark.parametrize("case, backend", [*((c, "jax") for c in WINOGRAD), (WINOGRAD[3], "c")])
@pytest.mark.usefixtures("eager_claims")
def test_winograd(case, backend, tile):
    x, o, padding = case
    layer, turned = WinogradOp(tile, padding), WinogradKernelOp(tile)
    plain = Conv2DOp(padding=padding)
    w = (3, 3, x[3], o)
    arrays = normal(x, w, (o,), plain(*symbols(*normal(x, w))).type.shape)
    fused = FusedOp(layer, ReluOp())
    agree(
        lambda x, w, *rest: fused(x, turned(w), *rest),
        chain(plain, ReluOp()),
        arrays,
        backend,
        gradients=x[1] == 7,
    )


@pytest.mark.parametrize("tile", [2, 4])
def test_winograd_without_bias_or_kernels(tile):
    arrays = normal((2, 5, 6, 3), (3, 3, 3, 4), dtype="float64")
    layer, turned = WinogradOp(tile), WinogradKernelOp(tile)
    agree(lambda x, w: layer(x, turned(w)), Conv2DOp(), arrays, "jax", 1e-12, gradients=False)


def test_convolution_on_c():
    x, w, layer = CONVOLUTIONS[3]
    arrays = normal(x, w, w[3:], (1, 20, 19, 50))
    agree(FusedOp(layer, ReluOp()), chain(layer, ReluOp()), arrays, "c")


@pytest.mark.slow
def test_numba():
    arrays = normal((3, 5), (5, 7), (7,), (3, 7), dtype="float64")
    agree(FusedOp(DenseOp(), ReluOp()), chain(DenseOp(), ReluOp()), arrays, "numba")


@kernels
@pytest.mark.parametrize("backend", ["jax", "c"])
def test_what_is_claimed(backend):
    """The fused Op where the kernel knows the activation and pays, else the layer by itself."""
    arrays = symbols(*normal((1, 20, 20, 40), (3, 3, 40, 50), (50,), (1, 20, 20, 50)))
    for activation in ACTIVATIONS:
        op = FusedOp(Conv2DOp(padding=((1, 1), (1, 1))), activation)
        wanted = op.layer if activation == TanhOp() else op
        assert claimed(Graph(tuple(arrays), (op(*arrays),)), backend) == [wanted]
    grouped = symbols(*normal((1, 20, 20, 40), (3, 3, 4, 40), (40,)))
    op = FusedOp(Conv2DOp(padding=((1, 1), (1, 1)), groups=10), ReluOp())
    assert claimed(Graph(tuple(grouped), (op(*grouped),)), backend) == [op]
    big = symbols(*normal((1, 20, 20, 40), (36, 40, 40), (40,)))
    op = FusedOp(WinogradOp(4), ReluOp())
    assert claimed(Graph(tuple(big), (op(*big),)), backend) == [op]
    small = symbols(*normal((4, 4), (4, 4), (4,)))
    assert not claimed(Graph(tuple(small), (FusedOp(DenseOp(), ReluOp())(*small),)), backend)


@kernels
@pytest.mark.parametrize("addend", [(), (7,), (1, 7), (3, 1), (2, 3, 7), (2, 1, 1)], ids=str)
@pytest.mark.parametrize("backend", ["jax", "c"])
@pytest.mark.usefixtures("eager_claims")
def test_no_kernel_adds_what_is_broadcast(addend, backend):
    """Neither an addend of fewer entries than the layer's output nor one of more."""
    arrays, op = normal((3, 5), (5, 7), (7,), addend), FusedOp(DenseOp(), ReluOp())
    inputs = symbols(*arrays)
    assert claimed(Graph(tuple(inputs), (op(*inputs),)), backend) == [op.layer]
    agree(op, chain(op.layer, op.activation), arrays, backend)


@pytest.mark.usefixtures("eager_claims")
def test_relu_keeps_nan_and_gelu_has_its_limits():
    x, w, b = (np.array(v, "float32") for v in ([[np.nan], [9.0], [-9.0]], [[1.0]], [0.0]))
    inputs = symbols(x, w, b)
    ops = [FusedOp(DenseOp(), a)(*inputs) for a in (ReluOp(), GeluOp())]
    for y in ae.Backend("jax").compile(inputs, ops)(x, w, b):
        np.testing.assert_allclose(y[:, 0], [np.nan, 9.0, 0.0], atol=1e-6)


def test_a_residual_is_broadcast_and_its_gradient_summed():
    values = normal((3, 5), (5, 7), (7,), (7,))
    x, w, b, a = symbols(*values)
    found = []
    for y in (FusedOp(DenseOp(), ReluOp())(x, w, b, a), ReluOp()(DenseOp()(x, w, b) + a)):
        assert y.type.shape == (3, 7)
        found += evaluate((x, w, b, a), ae.grad((y**2).sum(), [a]), values)
    assert found[0].shape == (7,)
    np.testing.assert_allclose(*found, rtol=1e-5)
