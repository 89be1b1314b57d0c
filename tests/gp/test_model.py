"""The GP: predictions, samples, fits, files, rewrites, and data that it must refuse or survive."""

import aesara.tensor as at
import matplotlib
import numpy as np
import pytest

import aeframe as ae
from aeframe.core import Module, Parameter
from aeframe.core.errors import (
    ArgumentError,
    DataError,
    DtypeError,
    FitError,
    ShapeError,
    StateError,
)
from aeframe.gp import GP, SE, Kernel, Linear, Periodic, Warped, White, hyper
from aeframe.gp.starts import Scales
from aeframe.nn import Dense
from aeframe.rewrites import Rule, Var, term

matplotlib.use("Agg")


def data(n=30, seed=0):
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(0.0, 6.0, n))
    return x, np.sin(x) + 0.1 * rng.normal(size=n)


NEW = np.linspace(0.0, 7.0, 9)


def reference(kernel, noise, mean, x, y, new):
    """Mean and covariance of f, by the textbook."""
    K, cross = np.asarray(kernel(x)) + noise * np.eye(len(x)), np.asarray(kernel(x, new))
    return mean + cross.T @ np.linalg.solve(K, y - mean), np.asarray(
        kernel(new)
    ) - cross.T @ np.linalg.solve(K, cross)


@pytest.mark.parametrize("backend", ["jax", "c", "numba"])
def test_predictions_agree_with_numpy(backend):
    x, y = data()
    kernel = SE(1.5, 0.8) + Linear(0.1, 3.0)
    with ae.Backend(backend):
        gp = GP(kernel, noise=0.02, mean=0.4).condition(x, y)
        mean, variance = gp.predict(NEW, noise=False)
        wanted, covariance = reference(kernel, 0.02, 0.4, x, y, NEW)
        np.testing.assert_allclose(mean, wanted, atol=1e-9)
        np.testing.assert_allclose(variance, np.diagonal(covariance), atol=1e-9)
        np.testing.assert_allclose(gp.predict(NEW).variance, variance + 0.02, atol=1e-9)


def test_samples_follow_the_prior_and_the_posterior():
    x, y = data()
    gp = GP(SE(1.5, 0.8), noise=0.02)
    draws = gp.sample(NEW, size=4000)
    assert draws.shape == (4000, 9)
    np.testing.assert_allclose(np.cov(draws.T), gp.kernel(NEW), atol=0.15)
    gp.condition(x, y)
    draws = gp.sample(NEW, size=4000, seed=1)
    mean, variance = gp.predict(NEW, noise=False)
    np.testing.assert_allclose(draws.mean(axis=0), mean, atol=0.05)
    np.testing.assert_allclose(draws.var(axis=0), variance, atol=0.1)
    np.testing.assert_array_equal(gp.sample(NEW, seed=5), gp.sample(NEW, seed=5))
    assert not np.array_equal(gp.sample(NEW, seed=5), gp.sample(NEW, seed=6))


def test_fit_finds_the_noise_and_counts_it():
    x, y = data()
    gp = GP(SE())
    before = gp.log_prob(x, y)
    result = gp.fit(x, y)
    assert result.log_marginal_likelihood > before
    assert result.log_marginal_likelihood == pytest.approx(gp.log_prob(x, y))
    assert result.parameters == 3 == len(gp.parameters())
    bic = -2 * result.log_marginal_likelihood + 3 * np.log(30)
    assert result.bic == pytest.approx(bic)
    assert 0.05 < np.sqrt(gp.noise.variance.value) < 0.2
    assert "BIC" in str(result) and "SE" in str(result)


def test_fits_with_one_seed_are_equal():
    x, y = data()
    found = [GP(Periodic() + SE()).fit(x, y, restarts=1, seed=3) for _ in range(2)]
    assert found[0].log_marginal_likelihood == found[1].log_marginal_likelihood


def test_frozen_parameters_stay():
    x, y = data()
    gp = GP(SE(1.0, 0.5), noise=0.3)
    gp.freeze("kernel.lengthscale").freeze("noise")
    result = gp.fit(x, y, restarts=0)
    assert gp.kernel.lengthscale.value == 0.5 and gp.noise.variance.value == 0.3
    assert result.parameters == 1


def test_a_mean_is_learned():
    x, y = data()
    gp = GP(SE(), mean=Parameter(0.0))
    gp.fit(x, y + 50.0, restarts=1)
    assert gp.mean.value == pytest.approx(50.0, abs=2.0)
    line = GP(SE(), mean=Dense(1, dtype="float64"))
    assert (
        line.fit(x, 3 * x, restarts=0).log_marginal_likelihood
        > GP(SE()).fit(x, 3 * x, restarts=0).log_marginal_likelihood
    )


class Net(Module):
    def __init__(self):
        self.hidden, self.out = Dense(4), Dense(1)

    def __call__(self, x):
        return self.out(at.tanh(self.hidden(x)))


def test_a_deep_kernel_learns_its_network(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 2))
    y = np.sign(x[:, 0] + x[:, 1])
    gp = GP(Warped(Net(), SE()), noise=0.1)
    gp.log_prob(x, y)
    before = gp.kernel.module.hidden.w.value
    result = gp.fit(x, y, restarts=0, steps=15)
    assert result.parameters == 4 * 2 + 4 + 4 + 1 + 3
    assert not np.allclose(gp.kernel.module.hidden.w.value, before)
    gp.save(tmp_path / "gp.safetensors")
    again = ae.load(tmp_path / "gp.safetensors")
    np.testing.assert_allclose(again.predict(x).mean, gp.predict(x).mean)


def test_saved_gps_predict_the_same(tmp_path):
    x, y = data()
    gp = GP(SE(1.5, 0.8) * Periodic() + White(0.1), noise=0.02, mean=0.3).condition(x, y)
    gp.save(tmp_path / "gp.safetensors")
    again = ae.load(tmp_path / "gp.safetensors")
    for got, wanted in zip(again.predict(NEW), gp.predict(NEW), strict=True):
        np.testing.assert_array_equal(got, wanted)
    assert str(again.kernel) == str(gp.kernel)


def test_rules_reach_the_kernel_of_a_gp():
    x, y = data()
    variance, lengthscale = Var("variance", ""), Var("lengthscale", "")
    rule = Rule(
        "SE becomes Linear, in a GP",
        term(SE.leaf_op)(variance, lengthscale),
        term(Linear.leaf_op)(variance, lengthscale),
    )
    gp = GP(SE(0.7, 0.5), noise=0.2)
    changed = gp.optimize(rule)
    assert changed.log_prob(x, y) == pytest.approx(GP(Linear(0.7, 0.5), 0.2).log_prob(x, y))
    assert [s.rule for s in changed.explain().steps] == [rule.name]
    difference = ae.diff(gp, changed)
    assert "SE" in str(difference.removed[0].op) and "Linear" in str(difference.added[0].op)


def test_the_log_probability_is_symbolic_on_symbols():
    x, y = data(8)
    gp = GP(SE(), noise=0.3)
    xs, ys = at.TensorType("float64", (8, 1))("x"), at.TensorType("float64", (8,))("y")
    value = ae.rewrites.interpret(ae.lower(gp, xs, ys, method="log_prob"))
    program = ae.Backend("jax").compile([xs, ys], value.outputs)
    assert float(program(x[:, None], y)[0]) == pytest.approx(gp.log_prob(x, y))


def test_a_picture(tmp_path):
    x, y = data()
    gp = GP(SE() + Linear(), noise=0.02).condition(x, y)
    axes = gp.plot()
    axes.figure.savefig(tmp_path / "gp.png")
    assert axes.get_title() == "SE + Linear" and axes.get_xlim()[1] > x.max()
    with pytest.raises(ArgumentError, match="one input column"):
        GP(SE()).condition(np.ones((3, 2)), np.ones(3)).plot()


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (np.r_[1.0, 1.0, 1.0, 2.0, 3.0], np.r_[1.0, 1.0, 1.0, 2.0, 1.0]),
        (np.arange(5.0), np.full(5, 3.0)),
        (np.arange(5.0), np.zeros(5)),
        (np.r_[2.0], np.r_[1.0]),
        (np.full(4, 2.0), np.arange(4.0)),
        (1e6 * np.arange(6.0), 1e6 * np.sin(np.arange(6.0))),
        (np.c_[np.arange(6.0), 2 * np.arange(6.0)], np.sin(np.arange(6.0))),
    ],
    ids=["duplicates", "constant", "zero", "one", "one place", "large", "collinear"],
)
def test_ill_posed_data_is_survived(x, y):
    gp = GP(SE())
    result = gp.fit(x, y, restarts=1, steps=30)
    assert np.isfinite(result.log_marginal_likelihood)
    assert np.all(np.isfinite(gp.predict(x).mean))


class Broken(Kernel):
    scale = hyper(1.0)

    def formula(self, x, z):
        return at.log(-self.scale) * at.dot(x, z.T)


X = np.arange(4.0)


@pytest.mark.parametrize(
    ("use", "error", "words"),
    [
        (lambda: GP().fit(X, [1.0, np.nan, 2.0, 3.0]), DataError, ["NaN", "row 1", "y"]),
        (lambda: GP().fit([0.0, np.inf, 1.0, 2.0], X), DataError, ["x", "row 1"]),
        (lambda: GP().fit([], []), DataError, ["no rows"]),
        (lambda: GP().fit(X, X[:3]), DataError, ["4 targets", "3"]),
        (lambda: GP().fit(X, X[:, None]), ShapeError, ["y.ravel()"]),
        (lambda: GP().fit(np.ones((4, 1, 1)), X), ShapeError, ["(n, d)"]),
        (lambda: GP().fit(X, list("abcd")), DtypeError, ["numbers"]),
        (lambda: GP(Periodic()).fit(np.ones((4, 2)), X), ShapeError, ["(*, 1)", "(*, 2)"]),
        (
            lambda: GP().condition(X, X).predict(np.ones((3, 2))),
            ShapeError,
            ["(*, 1)"],
        ),
        (lambda: GP().predict(X), StateError, ["fit(x, y)"]),
        (lambda: GP().plot(), StateError, ["fit(x, y)"]),
        (lambda: GP(3.0), ArgumentError, ["kernel"]),
        (lambda: GP(noise=-1.0), DataError, ["White.variance"]),
        (lambda: GP(Broken()).fit(X, X), FitError, ["finite nowhere"]),
    ],
)
def test_wrong_uses_say_what_to_do(use, error, words):
    with pytest.raises(error) as caught:
        use()
    for word in words:
        assert word in str(caught.value)


def test_scales_of_data_find_periods_on_irregular_inputs():
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(0.0, 30.0, 150))
    y = 5 * x + 3 * np.sin(2 * np.pi * x / 2.5)
    assert Scales.of(x[:, None], y).periods[0] == pytest.approx(2.5, rel=0.05)
