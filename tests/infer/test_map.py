"""MAP against closed forms; starts, reports, predictions, wrong uses."""

import numpy as np
import pytest
from scipy import stats

import aeframe as ae
from aeframe import nn
from aeframe.core.errors import ArgumentError, FitError, ShapeError
from aeframe.infer import Posterior

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 3))
W = np.array([[1.0, -2.0], [0.5, 0.0], [3.0, 1.0]])
Y = X @ W + 0.3 * RNG.normal(size=(30, 2))


class Weights(ae.Model):
    """Random variables as the weights of a layer."""

    def __call__(self, x):
        w = self.sample("w", ae.Normal(0, 1), shape=(3, 2))
        b = self.sample("b", ae.Normal(0, 1), shape=(2,))
        self.sample("y", ae.Normal(nn.Dense(w, b)(x), 0.3))


@pytest.mark.parametrize("backend", ["jax", "c"])
def test_random_weights_are_ridge_regression(backend):
    with ae.Backend(backend):
        posterior = Weights().observe({"y": Y}).fit(X, inference=ae.MAP(restarts=2))
    design = np.c_[X, np.ones(30)]
    # (XᵀX / σ² + I) w = Xᵀy / σ²
    exact = np.linalg.solve(design.T @ design / 0.09 + np.eye(4), design.T @ Y / 0.09)
    np.testing.assert_allclose(posterior.values["w"], exact[:3], atol=1e-6)
    np.testing.assert_allclose(posterior.values["b"], exact[3], atol=1e-6)
    assert posterior.converged
    assert isinstance(posterior, Posterior)
    assert all(s.converged for s in posterior.starts)
    assert "converged" in posterior.report()


class Scale(ae.Model):
    """A mean by maximum likelihood (a Parameter), a scale with a prior."""

    def __init__(self, n):
        self.n = n
        self.mu = ae.Parameter(0.0)

    def __call__(self):
        sd = self.sample("sd", ae.HalfNormal(1e3))
        self.sample("y", ae.Normal(self.mu, sd), shape=(self.n,))


def test_mode_is_on_the_constrained_scale_and_parameters_are_maximum_likelihood():
    y = stats.norm(3.0, 2.0).rvs(200, random_state=1)
    model = Scale(200)
    posterior = model.observe({"y": y}).fit(inference=ae.MAP())
    # with the Jacobian of log(sd) the mode would be larger by a factor of sqrt(n / (n - 1))
    np.testing.assert_allclose(posterior.values["sd"], y.std(), rtol=1e-4)
    np.testing.assert_allclose(model.mu.value, y.mean(), rtol=1e-5)
    np.testing.assert_allclose(posterior.parameters["mu"], model.mu.value)
    assert "mu" in posterior.summary()
    model.freeze()
    assert not model.observe({"y": y}).fit(inference=ae.MAP()).parameters


class Curve(ae.Model):
    """A network with its own Parameters as the mean function."""

    def __init__(self):
        self.hidden, self.out = nn.Dense(8), nn.Dense(1)

    def __call__(self, x):
        sd = self.sample("sd", ae.HalfNormal(1))
        mean = self.out(nn.relu(self.hidden(x)))[:, 0]
        self.sample("y", ae.Normal(mean, sd))


def test_a_network_as_mean_function():
    x = np.linspace(-2, 2, 80)[:, None]
    y = np.abs(x[:, 0]) + 0.1 * np.random.default_rng(1).normal(size=80)
    model = Curve()
    posterior = model.observe({"y": y}).fit(x, inference=ae.MAP(restarts=4, steps=300))
    assert set(posterior.parameters) == {"hidden.w", "hidden.b", "out.w", "out.b"}
    assert 0.05 < posterior.values["sd"] < 0.12
    drawn = posterior.predict(np.array([[-1.5], [0.0], [1.5]]), n=500)
    np.testing.assert_allclose(drawn["y"].mean(axis=0), [1.5, 0.0, 1.5], atol=0.2)
    assert drawn["y"].shape == (500, 3)


def test_predict_draws_observed_sites_anew_at_the_found_values():
    posterior = Weights().observe({"y": Y}).fit(X, inference=ae.MAP(restarts=1))
    drawn = posterior.predict(n=2000, seed=3)
    assert drawn["y"].shape == (2000, 30, 2)
    np.testing.assert_array_equal(drawn["w"][0], posterior.values["w"])
    mean = X @ posterior.values["w"] + posterior.values["b"]
    np.testing.assert_allclose(drawn["y"].mean(axis=0), mean, atol=5 * 0.3 / np.sqrt(2000))
    np.testing.assert_array_equal(drawn["y"], posterior.predict(n=2000, seed=3)["y"])


def test_predict_under_an_intervention_of_the_model():
    model = Weights().observe({"y": Y}).intervene({"b": [100.0, 200.0]})
    posterior = model.fit(X, inference=ae.MAP(restarts=1))
    assert set(posterior.values) == {"w"}
    np.testing.assert_array_equal(posterior.predict(n=2)["b"], [[100.0, 200.0]] * 2)


def test_same_seed_same_result():
    first = Weights().observe({"y": Y}).fit(X, inference=ae.MAP(restarts=2, seed=5))
    second = Weights().observe({"y": Y}).fit(X, inference=ae.MAP(restarts=2, seed=5))
    np.testing.assert_array_equal(first.values["w"], second.values["w"])
    assert first.starts == second.starts


def test_fit_chooses_and_says_why():
    posterior = Scale(4).observe({"y": Y[:4, 0]}).fit()
    assert isinstance(posterior.method, ae.MAP)
    assert "learned" in posterior.why
    assert posterior.why in posterior.summary()


class Latent(ae.Model):
    """A discrete site that nobody observes, and one site for each row."""

    def __call__(self, x):
        z = self.sample("z", ae.Bernoulli(0.5))
        effect = self.sample("effect", ae.Normal(x, 1))
        self.sample("y", ae.Normal(effect + z, 1))


class Unbounded(ae.Model):
    """Its density has no bound: the scale can shrink onto the one observation."""

    def __call__(self):
        mu = self.sample("mu", ae.Normal(0, 1))
        sd = self.sample("sd", ae.HalfNormal(1))
        self.sample("y", ae.Normal(mu, sd))


def test_an_unbounded_density_is_no_silent_success():
    try:
        posterior = Unbounded().observe({"y": 1.0}).fit(inference=ae.MAP(restarts=2))
    except FitError:
        return
    assert not posterior.converged


@pytest.mark.parametrize(
    ("use", "error", "words"),
    [
        (lambda: Latent().observe({"y": X[:, 0]}).fit(X[:, 0], inference=ae.MAP()),
         ArgumentError, "'z' is discrete"),
        (lambda: Weights().fit(X, inference="map"), ArgumentError, r"inference=ae\.MAP"),
        (lambda: ae.MAP(restarts=0), ArgumentError, "`restarts` is an integer"),
        (lambda: Weights().observe({"y": Y, "w": W, "b": [0.0, 0.0]}).fit(X),
         ArgumentError, "nothing to infer"),
        (lambda: Latent().observe({"y": X[:, 0], "z": 1}).fit(X[:, 0]).predict(X[:3, 0]),
         ShapeError, "effect"),
    ],
)  # fmt: skip
def test_wrong_uses(use, error, words):
    with pytest.raises(error, match=words):
        use()


class Tosses(ae.Model):
    def __call__(self):
        p = self.sample("p", ae.Uniform(0, 1))
        self.sample("heads", ae.Binomial(9, p))


class Alone(ae.Model):
    """A scale in small units, which has its mode at 0."""

    def __call__(self):
        self.sample("x", ae.HalfNormal(1e6))


class Sum(ae.Model):
    """Only the sum (or the product) is seen."""

    def __call__(self, a, b, product=False):
        a, b = self.sample("a", a), self.sample("b", b)
        spread = {"sd": a * b} if product else {"mean": a + b}
        self.sample("y", ae.Normal(**({"mean": 0.0, "sd": 1.0} | spread)), shape=(3,))


@pytest.mark.parametrize(
    "inference", [ae.MAP(), ae.Laplace(jacobian=False)], ids=["map", "laplace"]
)
@pytest.mark.parametrize(
    ("model", "bad"),
    [
        (Tosses().observe({"heads": 9}), True),
        (Tosses().observe({"heads": 0}), True),
        (Tosses().observe({"heads": 8}), False),
        (Alone(), True),
    ],
    ids=["nine", "none", "eight", "alone"],
)
def test_a_mode_at_the_boundary_is_told(model, bad, inference):
    check = model.fit(inference=inference).diagnose()["boundary"]
    assert check.good != bad
    assert ("boundary of the support of '" in check.words) == bad


@pytest.mark.parametrize(
    ("arguments", "good"),
    [
        ((ae.Flat(), ae.Flat()), False),
        ((ae.HalfFlat(), ae.HalfFlat(), True), False),
        ((ae.Normal(0, 100), ae.Normal(0, 100)), True),
        ((ae.Flat(), ae.Normal(0, 1)), True),
    ],
    ids=["sum", "product", "wide", "one"],
)
def test_an_improper_posterior_is_told(arguments, good):
    check = Sum().observe({"y": [1.0, 2.0, 2.0]}).fit(*arguments, inference=ae.MAP())
    check = check.diagnose()["identified"]
    assert check.good == good
    assert ("'a', 'b'" in check.words) != good


@pytest.mark.parametrize("method", ["loo", "plot", "plot_ranks", "plot_pairs"])
def test_what_needs_a_spread_is_one_clear_error(method):
    posterior = Tosses().observe({"heads": 6}).fit(inference=ae.MAP())
    with pytest.raises(ArgumentError, match=f"`{method}` needs draws that differ"):
        getattr(posterior, method)()
