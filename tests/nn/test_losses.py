"""Losses against formulas: values, gradients, weights, on both backends and in both dtypes."""

import aesara.tensor as at
import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp, rel_entr, softmax

import aeframe as ae
from aeframe import nn
from aeframe.core import grad
from aeframe.core.errors import ArgumentError, DataError, DtypeError, ShapeError
from aeframe.nn.ops import SoftmaxCrossEntropyOp

BACKENDS = ("jax", "c", "numba")
TOLERANCE = {"float64": 1e-9, "float32": 1e-4}
rng = np.random.default_rng(0)


def normal(*shape):
    return rng.normal(size=shape)


def labels(k, *shape):
    return rng.integers(0, k, shape)


def log_rows(*shape):
    return log_softmax(normal(*shape), axis=-1)


def picked(x, y):
    return np.take_along_axis(x, y[..., None], -1)[..., 0]


def cross_entropy(x, y):
    return logsumexp(x, axis=-1) - picked(x, y)


def smoothed(x, y):
    target = 0.8 * np.eye(x.shape[-1])[y] + 0.2 / x.shape[-1]
    return -(target * log_softmax(x, axis=-1)).sum(-1)


def binary(x, y):
    return np.logaddexp(0, x) - y * x


def huber(p, t):
    d = abs(p - t)
    return np.where(d <= 0.5, d * d / 2, 0.5 * (d - 0.25))


def cosine(p, t):
    return 1 - (p * t).sum(-1) / np.linalg.norm(p, axis=-1) / np.linalg.norm(t, axis=-1)


# loss, its two arguments, and the losses of the entries by a formula
CASES = {
    "softmax_cross_entropy": (
        nn.softmax_cross_entropy,
        lambda: (normal(6, 4), labels(4, 6)),
        cross_entropy,
    ),
    "one row, one class": (
        nn.softmax_cross_entropy,
        lambda: (normal(1, 1), labels(1, 1)),
        cross_entropy,
    ),
    "cross-entropy of sequences": (
        nn.softmax_cross_entropy,
        lambda: (normal(3, 5, 4), labels(4, 3, 5)),
        cross_entropy,
    ),
    "smoothed cross-entropy": (
        lambda x, y, w=None: nn.softmax_cross_entropy(x, y, w, smoothing=0.2),
        lambda: (normal(3, 2, 4), labels(4, 3, 2)),
        smoothed,
    ),
    "negative_log_likelihood": (
        nn.negative_log_likelihood,
        lambda: (log_rows(5, 2, 3), labels(3, 5, 2)),
        lambda x, y: -picked(x, y),
    ),
    "binary_cross_entropy": (
        nn.binary_cross_entropy,
        lambda: (normal(7, 1), labels(2, 7, 1)),
        binary,
    ),
    "mean_squared_error": (
        nn.mean_squared_error,
        lambda: (normal(3, 2), normal(3, 2)),
        lambda p, t: (p - t) ** 2,
    ),
    "mean_absolute_error": (
        nn.mean_absolute_error,
        lambda: (normal(3, 2, 2), normal(3, 2, 2)),
        lambda p, t: abs(p - t),
    ),
    "huber": (
        lambda p, t, w=None: nn.huber(p, t, w, delta=0.5),
        lambda: (normal(9), normal(9)),
        huber,
    ),
    "hinge": (
        nn.hinge,
        lambda: (normal(4, 2), rng.choice([-1.0, 1.0], (4, 2))),
        lambda p, t: np.maximum(1 - t * p, 0),
    ),
    "kl_divergence": (
        nn.kl_divergence,
        lambda: (log_rows(4, 2, 3), softmax(normal(4, 2, 3), axis=-1)),
        lambda q, p: rel_entr(p, np.exp(q)).sum(-1),
    ),
    "cosine_distance": (
        nn.cosine_distance,
        lambda: (normal(4, 3), normal(4, 3)),
        cosine,
    ),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", CASES)
def test_no_weight_at_all_gives_zero_and_no_gradient(case, backend):
    function, make, formula = CASES[case]
    data = make()
    data = (*data, np.zeros(formula(*data).shape[:1], dtype=bool))
    inputs = [at.TensorType(str(a.dtype), a.shape)() for a in data]
    loss = function(*inputs)
    program = ae.Backend(backend).compile(inputs, [loss, *grad(loss, inputs[:1])])
    value, gradient = (np.asarray(v) for v in program(*data))
    assert value == 0 and not gradient.any()


def test_a_weighted_step_of_float32_holds_no_float64():
    p, t = (at.TensorType("float32", (4, 3))() for _ in "pt")
    y, w = at.TensorType("int64", (4,))(), at.TensorType("float64", (4,))()
    losses = [nn.huber(p, t, w), nn.softmax_cross_entropy(p, y, w, smoothing=0.1)]
    gradients = [g for loss in losses for g in grad(loss, [p])]
    graph = ae.core.expand(ae.core.Graph((p, t, y, w), (*losses, *gradients)))
    for node in ae.core.toposort(graph.results):
        assert all(o.type.dtype != "float64" for o in node.outputs), node


def test_cross_entropy_does_not_overflow():
    x, y = at.dmatrix("x"), at.lvector("y")
    loss = nn.softmax_cross_entropy(x, y)
    assert float(loss.eval({x: [[1e4, 0.0]], y: [1]})) == 1e4
    assert np.isfinite(grad(loss, [x])[0].eval({x: [[1e4, 0.0]], y: [1]})).all()


def test_a_class_that_is_ruled_out_costs_nothing():
    x, y = at.dmatrix("x"), at.lvector("y")
    loss = nn.softmax_cross_entropy(x, y)
    data = {x: [[0.0, -np.inf, 0.0]], y: [2]}
    assert float(loss.eval(data)) == pytest.approx(np.log(2))
    np.testing.assert_allclose(grad(loss, [x])[0].eval(data), [[0.5, 0, -0.5]])


def out_of_range():
    x, y = at.TensorType("float64", (2, 3, 4))(), at.lmatrix()
    node = nn.softmax_cross_entropy(x, y).owner
    node.op.validate(node, 1, np.full((2, 3), 4))


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (lambda: nn.softmax_cross_entropy(at.dmatrix(), at.dvector()), DtypeError),
        (lambda: nn.softmax_cross_entropy(at.dmatrix(), at.lmatrix()), ShapeError),
        (lambda: nn.softmax_cross_entropy(at.dtensor3(), at.lvector()), ShapeError),
        (lambda: nn.softmax_cross_entropy(at.dmatrix(), at.lvector(), at.dmatrix()), ShapeError),
        (lambda: nn.mean_squared_error(at.dmatrix(), at.dvector()), ShapeError),
        (lambda: nn.mean_squared_error(at.dmatrix(), at.dmatrix(), at.dscalar()), ShapeError),
        (
            lambda: nn.hinge(
                *(at.TensorType("float64", (3, 2))() for _ in "pt"),
                at.TensorType("float64", (2,))(),
            ),
            ShapeError,
        ),
        (lambda: nn.cosine_distance(at.dmatrix(), at.dmatrix(), at.dmatrix()), ShapeError),
        (lambda: nn.huber(at.dvector(), at.dvector(), delta=0.0), ArgumentError),
        (lambda: SoftmaxCrossEntropyOp(1.0), ArgumentError),
        (out_of_range, DataError),
    ],
)
def test_wrong_uses(wrong, error):
    with pytest.raises(error) as caught:
        wrong()
    assert caught.value.fix or caught.value.expected or caught.value.got
