"""Layers, functions and losses against formulas, on both backends, in both phases."""

import aesara.tensor as at
import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp

import aeframe as ae
from aeframe import nn
from aeframe.core import Graph, grad
from aeframe.core.errors import ArgumentError, DtypeError, ShapeError
from aeframe.rewrites import inference

BACKENDS = ("jax", "c")
rng = np.random.default_rng(0)
TOLERANCE = {"float64": 1e-9, "float32": 1e-4}


def one_hot(y, k):
    return np.eye(k)[y]


def cross_entropy(x, y):
    return (logsumexp(x, axis=1) - x[np.arange(len(y)), y]).mean()


def cross_entropy_gradient(x, y):
    return (np.exp(log_softmax(x, axis=1)) - one_hot(y, x.shape[1])) / len(y)


CASES = {
    "relu": (nn.relu, [(2, 3)], lambda x: np.maximum(x, 0), lambda x: 1.0 * (x > 0)),
    "log_softmax": (
        nn.log_softmax,
        [(4, 5)],
        lambda x: log_softmax(x, axis=-1),
        lambda x: 1 - np.exp(log_softmax(x, axis=-1)) * x.shape[-1],
    ),
    "mean_squared_error": (
        nn.mean_squared_error,
        [(3, 2), (3, 2)],
        lambda a, b: ((a - b) ** 2).mean(),
        lambda a, b: 2 * (a - b) / a.size,
    ),
    "softmax_cross_entropy": (
        nn.softmax_cross_entropy,
        [(6, 4), "labels"],
        cross_entropy,
        cross_entropy_gradient,
    ),
    "one row, one class": (
        nn.softmax_cross_entropy,
        [(1, 1), "labels"],
        cross_entropy,
        cross_entropy_gradient,
    ),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES)
def test_functions_and_their_gradients(case, dtype, backend):
    function, shapes, value, gradient = CASES[case]
    data = [
        rng.integers(0, shapes[0][1], shapes[0][0])
        if shape == "labels"
        else rng.normal(size=shape).astype(dtype)
        for shape in shapes
    ]
    inputs = [at.TensorType(str(a.dtype), a.shape)() for a in data]
    out = function(*inputs)
    outputs = [out, *grad(out if out.type.ndim == 0 else out.sum(), inputs[:1])]
    got = ae.Backend(backend).compile(inputs, outputs)(*data)
    for a, b in zip(got, (value(*data), gradient(*data)), strict=True):
        assert str(a.dtype) == dtype
        np.testing.assert_allclose(np.asarray(a), b, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


def test_cross_entropy_does_not_overflow():
    x, y = at.dmatrix("x"), at.lvector("y")
    loss = nn.softmax_cross_entropy(x, y)
    assert float(loss.eval({x: [[1e4, 0.0]], y: [1]})) == 1e4
    assert np.isfinite(grad(loss, [x])[0].eval({x: [[1e4, 0.0]], y: [1]})).all()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (2, 4, 3)])
def test_dense_is_a_matrix_product(shape, backend):
    layer, x = nn.Dense(7, dtype="float64"), rng.normal(size=shape)
    with ae.Backend(backend):
        y = layer(x)
    w, b = layer.store["w"].value, layer.store["b"].value
    np.testing.assert_allclose(y, x @ w + b, rtol=1e-12, atol=1e-14)
    assert np.abs(w).max() <= np.sqrt(6 / (shape[-1] + 7)) and not b.any()


def test_dense_on_given_weights_makes_no_parameters():
    w, b, x = at.dmatrix("w"), at.dvector("b"), at.dmatrix("x")
    out = nn.Dense(w, b)(x)
    data = {x: rng.normal(size=(2, 3)), w: rng.normal(size=(3, 4)), b: np.ones(4)}
    np.testing.assert_allclose(out.eval(data), data[x] @ data[w] + 1)
    assert not ae.parameters(out)


@pytest.mark.parametrize("backend", BACKENDS)
def test_dropout_keeps_its_share_and_scales_the_rest(backend):
    layer, n = nn.Dropout(0.3), 20_000
    graph = ae.lower(layer, at.TensorType("float32", (n,))())
    layer.init(0)
    program = ae.Backend(backend).compile(graph.inputs, graph.outputs, graph.updates)
    first, second = (np.asarray(program(np.ones(n, "float32"))[0]).copy() for _ in range(2))
    assert set(np.unique(first).round(4)) == {0.0, np.float32(1 / 0.7).round(4)}
    kept = np.count_nonzero(first)
    assert abs(kept - 0.7 * n) < 4 * np.sqrt(n * 0.21)
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(layer(np.ones(4)), np.ones(4))


def test_dropout_gradient_is_its_own_mask():
    x = at.TensorType("float64", (50,))()
    layer = nn.Dropout(0.5)
    graph = ae.lower(layer, x)
    (g,) = grad(graph.outputs[0].sum(), list(graph.inputs))
    layer.init(0)
    y, gradient = ae.Backend("jax").compile(graph.inputs, [graph.outputs[0], g])(np.ones(50))
    np.testing.assert_array_equal(np.asarray(y), np.asarray(gradient))


def test_inference_of_a_whole_model_equals_a_model_without_dropout():
    x = at.TensorType("float64", (4,))()
    graph = Graph((x,), (nn.relu(nn.Dropout(0.5)(x) * 2.0),))
    assert [str(n.op) for n in ae.core.toposort(inference(graph).outputs)][-1] == "Relu"
    assert inference(graph).outputs[0].eval({x: [-1.0, 0.0, 1.0, 2.0]}).tolist() == [0, 0, 2, 4]


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (lambda: nn.Dense(0), ArgumentError),
        (lambda: nn.Dense("10"), ArgumentError),
        (lambda: nn.Dropout(1.0), ArgumentError),
        (lambda: nn.Dense(3)(at.dmatrix("x")), ShapeError),
        (lambda: nn.softmax_cross_entropy(at.dmatrix(), at.dvector()), DtypeError),
        (lambda: nn.softmax_cross_entropy(at.dmatrix(), at.lmatrix()), ShapeError),
        (lambda: nn.mean_squared_error(at.dmatrix(), at.dvector()), ShapeError),
    ],
)
def test_wrong_uses(wrong, error):
    with pytest.raises(error):
        wrong()
