"""Layers and functions against formulas, on both backends, in both phases."""

import aesara.tensor as at
import numpy as np
import pytest

import aeframe as ae
from aeframe import nn
from aeframe.core import Graph, grad
from aeframe.core.errors import ArgumentError, DataError, DtypeError, ShapeError
from aeframe.rewrites import inference

BACKENDS = ("jax", "c", "numba")
rng = np.random.default_rng(0)


def run(backend, inputs, outputs, data):
    return [np.asarray(v) for v in ae.Backend(backend).compile(inputs, outputs)(*data)]


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


@pytest.mark.parametrize("backend", BACKENDS)
def test_batch_norm_carries_its_statistics_into_inference(backend):
    layer, data = nn.BatchNorm(momentum=0.9), 3 + 2 * rng.normal(size=(50, 4))
    graph = ae.lower(layer, at.TensorType("float64", (50, 4))())
    layer.init()
    program = ae.Backend(backend).compile(graph.inputs, graph.outputs, graph.updates)
    mean, variance = np.zeros(4), np.ones(4)
    for _ in range(3):
        program(data)
        mean = 0.9 * mean + 0.1 * data.mean(0)
        variance = 0.9 * variance + 0.1 * data.var(0)
    np.testing.assert_allclose(layer.mean.value, mean, rtol=1e-12)
    np.testing.assert_allclose(layer.variance.value, variance, rtol=1e-12)
    layer.dtype = "float64"
    wanted = (data - mean) / np.sqrt(variance + 1e-3)
    np.testing.assert_allclose(layer(data), wanted, rtol=1e-9)
    np.testing.assert_allclose(layer.mean.value, mean, rtol=1e-12)


def test_embedding_takes_rows_and_learns_them():
    layer, ids = nn.Embedding(5, 3, dtype="float64"), np.array([[1, 1], [4, 0]])
    np.testing.assert_array_equal(layer(ids), layer.table.value[ids])
    i = at.TensorType("int64", (2, 2))()
    (g,) = grad(layer(i).sum(), [layer.table])
    (counts,) = run("jax", [i], [g], [ids])
    np.testing.assert_array_equal(counts[:, 0], [1, 2, 0, 0, 1])


def test_combinators_compose():
    x = rng.normal(size=(3, 4))
    a, b = nn.Dense(4, dtype="float64"), nn.Dense(2, dtype="float64")
    row = nn.Sequential(a, nn.relu, b)
    row.dtype = "float64"
    np.testing.assert_allclose(row(x), b(np.maximum(a(x), 0)), rtol=1e-12)
    around, beside = nn.Residual(a, nn.tanh), nn.Parallel(a, b)
    around.dtype = beside.dtype = "float64"
    np.testing.assert_allclose(around(x), x + np.tanh(a(x)), rtol=1e-12)
    np.testing.assert_allclose(beside(x), np.c_[a(x), b(x)], rtol=1e-12)
    assert nn.Flatten()(np.ones((2, 3, 4))).shape == (2, 12)


@pytest.mark.parametrize(
    ("init", "sd"),
    [
        (nn.glorot_uniform, np.sqrt(2 / 700)),
        (nn.he_normal, np.sqrt(2 / 400)),
        (nn.truncated_normal, 0.02 * 0.8796),
    ],
)
def test_initializers_have_their_spread(init, sd):
    drawn = init(np.random.default_rng(0), (400, 300))
    assert abs(drawn.mean()) < 5 * sd / np.sqrt(120_000)
    assert drawn.std() == pytest.approx(sd, rel=0.01)


def test_orthogonal_is():
    for shape in ((6, 4), (4, 6), (2, 3, 4)):
        q = nn.orthogonal(np.random.default_rng(0), shape).reshape(-1, shape[-1])
        small = q @ q.T if q.shape[0] < q.shape[1] else q.T @ q
        np.testing.assert_allclose(small, np.eye(len(small)), atol=1e-12)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (lambda: nn.Dense(0), ArgumentError),
        (lambda: nn.Dense("10"), ArgumentError),
        (lambda: nn.Dropout(1.0), ArgumentError),
        (lambda: nn.Dense(3)(at.dmatrix("x")), ShapeError),
        (lambda: nn.Embedding(3, 2)(at.dvector()), DtypeError),
        (lambda: nn.GroupNorm(4)(at.TensorType("float64", (2, 6))()), ShapeError),
        (lambda: nn.LayerNorm()(at.dmatrix()), ShapeError),
        (lambda: nn.Sequential(nn.Dense(3), "relu"), ArgumentError),
    ],
)
def test_wrong_uses(wrong, error):
    with pytest.raises(error):
        wrong()


@pytest.mark.parametrize("backend", BACKENDS)
def test_ids_out_of_range_are_refused_wherever_data_are_given(backend):
    with pytest.raises(DataError, match="out of range"), ae.Backend(backend):
        nn.Embedding(10, 4)(np.array([[11, -1]]))
