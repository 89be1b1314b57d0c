"""Layers, functions and losses against formulas, on both backends, in both phases."""

import aesara.tensor as at
import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp, rel_entr, softmax
from scipy.stats import norm

import aeframe as ae
from aeframe import nn
from aeframe.core import Graph, grad
from aeframe.core.errors import ArgumentError, DtypeError, ShapeError
from aeframe.rewrites import inference

BACKENDS = ("jax", "c", "numba")
rng = np.random.default_rng(0)
TOLERANCE = {"float64": 1e-9, "float32": 1e-4}


def cross_entropy(x, y):
    return (logsumexp(x, axis=1) - x[np.arange(len(y)), y]).mean()


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def log_rows(x):
    return log_softmax(x, axis=-1)


def rows(shape):
    return softmax(rng.normal(size=shape), axis=-1)


def signs(shape):
    return rng.choice([-1.0, 1.0], shape)


def huber(p, t):
    d = abs(p - t)
    return np.where(d <= 0.5, d * d / 2, 0.5 * (d - 0.25)).mean()


def cosine(p, t):
    return (1 - (p * t).sum(-1) / np.linalg.norm(p, axis=-1) / np.linalg.norm(t, axis=-1)).mean()


def normal(shape):
    return rng.normal(size=shape)


def labels(n, k):
    return rng.integers(0, k, n)


ELEMENTWISE = {
    "relu": (nn.relu, lambda x: np.maximum(x, 0)),
    "leaky_relu": (lambda x: nn.leaky_relu(x, 0.2), lambda x: np.where(x > 0, x, 0.2 * x)),
    "elu": (lambda x: nn.elu(x, 0.7), lambda x: np.where(x > 0, x, 0.7 * np.expm1(x))),
    "gelu": (nn.gelu, lambda x: x * norm.cdf(x)),
    "silu": (nn.silu, lambda x: x * sigmoid(x)),
    "tanh": (nn.tanh, np.tanh),
    "sigmoid": (nn.sigmoid, sigmoid),
    "softplus": (nn.softplus, lambda x: np.logaddexp(x, 0)),
    "softmax": (nn.softmax, lambda x: softmax(x, axis=-1)),
    "log_softmax": (nn.log_softmax, log_rows),
}
LOSSES = {
    "softmax_cross_entropy": (
        nn.softmax_cross_entropy,
        lambda: (normal((6, 4)), labels(6, 4)),
        cross_entropy,
    ),
    "one row, one class": (
        nn.softmax_cross_entropy,
        lambda: (normal((1, 1)), labels(1, 1)),
        cross_entropy,
    ),
    "negative_log_likelihood": (
        nn.negative_log_likelihood,
        lambda: (log_rows(normal((5, 3))), labels(5, 3)),
        lambda x, y: -x[np.arange(5), y].mean(),
    ),
    "binary_cross_entropy": (
        nn.binary_cross_entropy,
        lambda: (normal((7, 1)), labels((7, 1), 2)),
        lambda x, y: -(y * np.log(sigmoid(x)) + (1 - y) * np.log(sigmoid(-x))).mean(),
    ),
    "mean_squared_error": (
        nn.mean_squared_error,
        lambda: (normal((3, 2)), normal((3, 2))),
        lambda p, t: ((p - t) ** 2).mean(),
    ),
    "mean_absolute_error": (
        nn.mean_absolute_error,
        lambda: (normal((3, 2, 2)), normal((3, 2, 2))),
        lambda p, t: abs(p - t).mean(),
    ),
    "huber": (
        lambda p, t: nn.huber(p, t, 0.5),
        lambda: (normal(9), normal(9)),
        huber,
    ),
    "hinge": (
        nn.hinge,
        lambda: (normal((4, 2)), signs((4, 2))),
        lambda p, t: np.maximum(1 - t * p, 0).mean(),
    ),
    "kl_divergence": (
        nn.kl_divergence,
        lambda: (log_rows(normal((4, 3))), rows((4, 3))),
        lambda q, p: rel_entr(p, np.exp(q)).sum(-1).mean(),
    ),
    "cosine_distance": (
        nn.cosine_distance,
        lambda: (normal((4, 3)), normal((4, 3))),
        cosine,
    ),
}


def slope(f, x):
    """Derivatives of a scalar function by central differences."""
    found = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[i] = 1e-6
        found[i] = (f(x + step) - f(x - step)) / 2e-6
    return found


def run(backend, inputs, outputs, data):
    return [np.asarray(v) for v in ae.Backend(backend).compile(inputs, outputs)(*data)]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", ELEMENTWISE)
def test_activations_and_their_gradients(case, dtype, backend):
    function, formula = ELEMENTWISE[case]
    data = rng.normal(size=(3, 5)).astype(dtype)
    weight = np.linspace(-1, 1, 15).reshape(3, 5)
    x = at.TensorType(dtype, (3, 5))()
    y = function(x)
    outputs = [y, *grad((y * at.as_tensor(weight.astype(dtype))).sum(), [x])]
    value, gradient = run(backend, [x], outputs, [data])
    exact = data.astype("float64")
    assert value.dtype == gradient.dtype == dtype
    loose = TOLERANCE[dtype]
    np.testing.assert_allclose(value, formula(exact), rtol=loose, atol=loose)
    wanted = slope(lambda v: (formula(v) * weight).sum(), exact)
    np.testing.assert_allclose(gradient, wanted, rtol=1e-4, atol=max(loose, 1e-7))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", LOSSES)
def test_losses_and_their_gradients(case, dtype, backend):
    function, make, formula = LOSSES[case]
    exact = make()
    data = [a.astype(dtype) if a.dtype.kind == "f" else a for a in exact]
    inputs = [at.TensorType(str(a.dtype), a.shape)() for a in data]
    loss = function(*inputs)
    value, gradient = run(backend, inputs, [loss, *grad(loss, inputs[:1])], data)
    assert value.dtype == gradient.dtype == dtype and value.shape == ()
    np.testing.assert_allclose(value, formula(*exact), rtol=TOLERANCE[dtype])
    wanted = slope(lambda p: formula(p, *exact[1:]), exact[0])
    np.testing.assert_allclose(gradient, wanted, rtol=1e-4, atol=max(TOLERANCE[dtype], 1e-7))


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


def standard(x, axes, epsilon):
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon)


def groups(x):
    return standard(x.reshape(2, 5, 3, 2), (1, 3), 1e-5).reshape(2, 5, 6)


NORMALIZED = {
    "LayerNorm": (nn.LayerNorm, lambda x: standard(x, -1, 1e-5)),
    "RMSNorm": (nn.RMSNorm, lambda x: x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6)),
    "GroupNorm": (lambda: nn.GroupNorm(3), groups),
    "BatchNorm": (nn.BatchNorm, lambda x: standard(x, (0, 1), 1e-3)),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", NORMALIZED)
def test_normalizations_in_training(case, backend):
    make, formula = NORMALIZED[case]
    layer, data = make(), 3 + 2 * rng.normal(size=(2, 5, 6))
    x = at.TensorType("float64", (2, 5, 6))()
    graph = ae.lower(layer, x)
    layer.init()
    layer.scale.value = np.linspace(0.5, 2, 6)
    scaled = graph.outputs[0]
    weight = np.cos(np.arange(60.0)).reshape(2, 5, 6)
    outputs = [scaled, *grad((scaled * at.as_tensor(weight)).sum(), [x])]
    value, gradient = run(backend, [x], outputs, [data])

    def wanted(v):
        return formula(v) * np.linspace(0.5, 2, 6)

    np.testing.assert_allclose(value, wanted(data), rtol=1e-9, atol=1e-9)
    numeric = slope(lambda v: (wanted(v) * weight).sum(), data)
    np.testing.assert_allclose(gradient, numeric, rtol=1e-4, atol=1e-6)


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
        (lambda: nn.softmax_cross_entropy(at.dmatrix(), at.dvector()), DtypeError),
        (lambda: nn.softmax_cross_entropy(at.dmatrix(), at.lmatrix()), ShapeError),
        (lambda: nn.mean_squared_error(at.dmatrix(), at.dvector()), ShapeError),
        (lambda: nn.huber(at.dvector(), at.dvector(), 0.0), ArgumentError),
        (lambda: nn.Embedding(3, 2)(at.dvector()), DtypeError),
        (lambda: nn.GroupNorm(4)(at.TensorType("float64", (2, 6))()), ShapeError),
        (lambda: nn.LayerNorm()(at.dmatrix()), ShapeError),
        (lambda: nn.Sequential(nn.Dense(3), "relu"), ArgumentError),
    ],
)
def test_wrong_uses(wrong, error):
    with pytest.raises(error):
        wrong()
