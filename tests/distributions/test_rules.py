"""Densities of expressions: through maps against numerical derivatives, and by closed forms."""

import aesara.tensor as at
import numpy as np
import pytest
from scipy import special, stats

import aeframe as ae
from aeframe.backends import as_backend
from aeframe.core import RandomState
from aeframe.core.errors import DensityError
from aeframe.distributions.rules import density_of_expression
from tests.evaluate import evaluate

STATE = RandomState().type()
NORMAL = ae.Normal(0.3, 1.2), stats.norm(0.3, 1.2)
POSITIVE = ae.Gamma(2.5, 1.5), stats.gamma(2.5, scale=1 / 1.5)
UNIT = ae.Beta(2.5, 1.5), stats.beta(2.5, 1.5)
SLOPE = np.array([[1.5], [-0.5]])


def drawn(distribution, shape):
    return distribution.draw(STATE, shape)[1]


def value_of(output, inputs=(), values=()):
    with np.errstate(all="ignore"):
        return evaluate(list(inputs), [output], list(values))[0]


MONOTONE = {
    "exp": (NORMAL, at.exp),
    "expm1": (NORMAL, at.expm1),
    "log": (POSITIVE, at.log),
    "log1p": (POSITIVE, at.log1p),
    "sigmoid": (NORMAL, at.sigmoid),
    "sigmoid by hand": (NORMAL, lambda x: 1 / (1 + at.exp(-x))),
    "softplus": (NORMAL, at.softplus),
    "softplus by hand": (NORMAL, lambda x: at.log(1 + at.exp(x))),
    "tanh": (NORMAL, at.tanh),
    "arctanh": (UNIT, at.arctanh),
    "sinh": (NORMAL, at.sinh),
    "arcsinh": (NORMAL, at.arcsinh),
    "logit": (UNIT, lambda p: at.log(p / (1 - p))),
    "logit, two logs": (UNIT, lambda p: at.log(p) - at.log(1 - p)),
    "logit, log1p": (UNIT, lambda p: at.log(p) - at.log1p(-p)),
    "sqrt": (POSITIVE, at.sqrt),
    "affine": (NORMAL, lambda x: 2.0 - 3.0 * x),
    "affine, other side": (NORMAL, lambda x: (x * 2.0 + 1.0) / 4.0 - 0.5),
    "affine, broadcast": (NORMAL, lambda x: at.as_tensor(SLOPE) * x + np.arange(3.0)),
    "negative": (NORMAL, lambda x: -x),
    "reciprocal": (POSITIVE, at.reciprocal),
    "quotient": (POSITIVE, lambda x: 2.0 / x),
    "odd power": (NORMAL, lambda x: x**3),
    "square of a positive": (POSITIVE, at.square),
    "any power": (POSITIVE, lambda x: x**-0.7),
    "exponential": (NORMAL, lambda x: 2.0**x),
    "a flow": (NORMAL, lambda x: at.tanh(0.5 * at.arcsinh(2.0 * x + 1.0)) * 3.0),
}


@pytest.mark.parametrize("name", MONOTONE)
def test_monotone_maps(name):
    (distribution, reference), function = MONOTONE[name]
    u = reference.rvs(size=(2, 3), random_state=4)
    symbol = at.TensorType("float64", (2, 3))()

    def forward(points):
        return value_of(function(symbol), [symbol], [points])

    value, step = forward(u), 1e-6
    slope = (forward(u + step) - forward(u - step)) / (2 * step)
    wanted = reference.logpdf(u) - np.log(abs(slope))
    expression = function(drawn(distribution, (2, 3)))
    each = value_of(density_of_expression(expression, at.as_tensor(value), entrywise=True))
    np.testing.assert_allclose(each, wanted, rtol=1e-7, atol=1e-7)
    total = value_of(density_of_expression(expression, at.as_tensor(value)))
    np.testing.assert_allclose(total, wanted.sum(), rtol=1e-7)


@pytest.mark.parametrize(
    ("name", "outside"),
    [
        ("exp", -0.5),
        ("sigmoid", 1.5),
        ("sigmoid by hand", -0.1),
        ("softplus", -0.1),
        ("tanh", 1.0),
        ("sqrt", -1.0),
        ("reciprocal", 0.0),
        ("any power", -2.0),
        ("exponential", 0.0),
    ],
)
def test_values_that_no_draw_has(name, outside):
    (distribution, _), function = MONOTONE[name]
    value = at.as_tensor(np.array([outside]))
    found = density_of_expression(function(drawn(distribution, (1,))), value)
    assert value_of(found) == -np.inf


def test_two_to_one_maps():
    x = np.array([0.3, 1.7, -1.0])
    normal, reference = NORMAL
    folded = density_of_expression(abs(drawn(normal, (3,))), at.as_tensor(x), entrywise=True)
    both = np.log(reference.pdf(x) + reference.pdf(-x))
    np.testing.assert_allclose(value_of(folded), np.where(x > 0, both, -np.inf), rtol=1e-12)
    for square in (at.square, lambda z: z * z, lambda z: z**2):
        found = density_of_expression(square(drawn(ae.Normal(), (3,))), at.as_tensor(x))
        assert value_of(found) == -np.inf
        found = density_of_expression(square(drawn(ae.Normal(), (2,))), at.as_tensor(x[:2]))
        np.testing.assert_allclose(value_of(found), stats.chi2(1).logpdf(x[:2]).sum(), rtol=1e-12)


def test_linear_maps():
    factor = np.array([[1.5, 0.0, 0.0], [0.4, 0.8, 0.0], [-0.3, 0.2, 1.1]])
    matrix = factor + np.triu(np.full((3, 3), 0.3), 1)
    mean, points = np.array([0.5, -1.0, 2.0]), np.random.default_rng(2).normal(size=(4, 3))
    for a in (factor, matrix):
        reference = stats.multivariate_normal(mean, a @ a.T)
        one = mean + at.dot(at.as_tensor(a), drawn(ae.Normal(), (3,)))
        found = value_of(density_of_expression(one, at.as_tensor(points[0])))
        np.testing.assert_allclose(found, reference.logpdf(points[0]), rtol=1e-10)
        rows = mean + at.dot(drawn(ae.Normal(), (4, 3)), at.as_tensor(a.T))
        found = value_of(density_of_expression(rows, at.as_tensor(points)))
        np.testing.assert_allclose(found, reference.logpdf(points).sum(), rtol=1e-10)


@pytest.mark.parametrize(
    "place",
    [
        lambda x: x.reshape((3, 2)),
        lambda x: x.T,
        lambda x: x[::-1],
        lambda x: x[np.array([1, 0])],
        lambda x: x[:, np.array([2, 0, 1])],
        lambda x: at.exp(x.ravel()),
    ],
)
def test_entries_in_other_places(place):
    means = np.arange(6.0).reshape(2, 3)
    expression = place(drawn(ae.Normal(means, 1.0), (2, 3)))
    symbol = at.TensorType("float64", (2, 3))()
    where = value_of(place(symbol), [symbol], [means])
    value = np.random.default_rng(3).uniform(1.0, 2.0, where.shape)
    if "ravel" in str(place.__code__.co_names):
        wanted = stats.lognorm(1.0, scale=where).logpdf(value)
    else:
        wanted = stats.norm(where).logpdf(value)
    found = density_of_expression(expression, at.as_tensor(value), entrywise=True)
    np.testing.assert_allclose(value_of(found), wanted, rtol=1e-10)


def test_discrete_draws_have_no_slope():
    counts = drawn(ae.Poisson(2.0), (3,))
    found = density_of_expression(2 * counts + 1, at.as_tensor([1, 5, 4]), entrywise=True)
    wanted = [*stats.poisson(2.0).logpmf([0, 2]), -np.inf]
    np.testing.assert_allclose(value_of(found), wanted)


def test_what_aeppl_knows_ends_a_chain():
    total = at.exp(drawn(ae.Normal(1.0, 1.0), (2,)) + drawn(ae.Normal(2.0, 2.0), (2,)))
    value = np.array([0.5, 20.0])
    found = density_of_expression(total, at.as_tensor(value))
    wanted = stats.lognorm(np.sqrt(5.0), scale=np.exp(3.0)).logpdf(value)
    np.testing.assert_allclose(value_of(found), wanted.sum(), rtol=1e-10)


@pytest.mark.parametrize(
    "expression",
    [
        lambda: at.sin(drawn(ae.Normal(), (2,))),
        lambda: drawn(ae.Normal(), (3,)) + np.zeros((2, 3)),  # one draw in two places
        lambda: drawn(ae.Normal(), (2, 2)).sum(axis=0),
    ],
)
def test_what_has_no_density_is_one_error(expression):
    made = expression()
    value = at.zeros(made.type.shape)
    with pytest.raises(DensityError, match="no log density"):
        density_of_expression(made, value)


def test_transformed():
    logit_normal = ae.Transformed(ae.Normal(0.3, 1.2), at.sigmoid)
    assert logit_normal.support == ae.Interval(0.0, 1.0)
    assert ae.Transformed(ae.Normal(), lambda x: -at.exp(x)).support == ae.Interval(-np.inf, 0.0)
    p = np.array([0.2, 0.9])
    found = value_of(logit_normal.log_density(p))
    wanted = stats.norm(0.3, 1.2).logpdf(special.logit(p)) - np.log(p * (1 - p))
    np.testing.assert_allclose(found, wanted, rtol=1e-10)
    scale = at.dscalar()
    with pytest.raises(ae.core.errors.ArgumentError, match="pass it"):
        _ = ae.Transformed(ae.Normal(), lambda x: scale * x).support


@pytest.mark.parametrize(
    ("distribution", "function", "support"),
    [
        (ae.Uniform(-1.0, 2.0), lambda z: z**2, ae.Interval(0.0, 4.0)),
        (ae.Uniform(1.0, 2.0), lambda z: z * z, ae.Interval(1.0, 4.0)),
        (ae.Uniform(-3.0, 2.0), at.abs, ae.Interval(0.0, 3.0)),
        (ae.Normal(), lambda z: 1 + z**2, ae.Interval(1.0, np.inf)),
        (ae.Normal(), lambda z: z**3, ae.Real()),
        (ae.Normal([0.0, 1.0], 1.0), lambda z: 2.0 - at.exp(z), ae.Interval(-np.inf, 2.0)),
        (ae.Uniform(-2.0, 0.0), lambda z: 1 / z, ae.Interval(-np.inf, -0.5)),
        (ae.HalfNormal(1.0), lambda z: 1 / at.sqrt(z), ae.Positive()),
        (ae.Beta(1.0, 2.0), lambda p: at.log(p) - at.log1p(-p), ae.Real()),
    ],
    ids=["square", "product", "size", "sum", "cube", "batch", "reciprocal", "root", "logit"],
)
def test_images(distribution, function, support):
    made = ae.Transformed(distribution, function)
    assert made.support == support
    state = RandomState()
    state.initialize(0, "state")
    _, drawn = made.draw(state, (200, 2))
    (values,) = as_backend("jax").compile([], [drawn])()
    assert support.contains(np.asarray(values))


@pytest.mark.parametrize(
    "function",
    [at.cosh, at.sin, lambda z: 1 / z, at.sqrt, lambda z: at.clip(z, 0, 1), lambda z: z + z**2],
    ids=["cosh", "sin", "reciprocal", "sqrt", "clip", "quadratic"],
)
def test_images_that_are_not_known(function):
    with pytest.raises(ae.core.errors.ArgumentError, match="pass it"):
        _ = ae.Transformed(ae.Normal(), function).support
    assert ae.Transformed(ae.Normal(), function, ae.Real()).support == ae.Real()
