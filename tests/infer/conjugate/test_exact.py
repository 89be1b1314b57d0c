"""Exact posteriors against closed forms and SciPy's marginal distributions."""

from concurrent.futures import ThreadPoolExecutor

import aesara.tensor as at
import numpy as np
import pytest
from scipy import stats

import aeframe as ae
from aeframe.core.errors import ArgumentError, FitError
from aeframe.distributions import (
    Bernoulli,
    Beta,
    Binomial,
    Categorical,
    Dirichlet,
    Exponential,
    Flat,
    Gamma,
    HalfNormal,
    InverseGamma,
    Multinomial,
    MultivariateNormal,
    NegativeBinomial,
    Normal,
    Poisson,
    StudentT,
    Uniform,
)
from aeframe.infer import Exact, Gibbs

RNG = np.random.default_rng(8)
X = RNG.normal(size=(9, 3))
Y = X @ [1.0, -0.5, 2.0] + 0.4 * RNG.normal(size=9)
TIGHT = {"rtol": 1e-10, "atol": 1e-10}


def model(call, **observed):
    """A Model of one function on its observations."""
    made = type("Small", (ae.Model,), {"__call__": call})
    return made().observe(observed)


def exact(call, *data, **observed):
    return model(call, **observed).fit(*data, inference=Exact())


@pytest.mark.parametrize("backend", ["jax", "c"])
def test_gamma_poisson(backend):
    def call(self):
        self.sample("y", Poisson(self.sample("rate", Gamma(2, 5))))

    with ae.Backend(backend):
        posterior = exact(call, y=3)
    found = posterior.distribution("rate")
    assert isinstance(found, Gamma)
    np.testing.assert_allclose([found.shape, found.rate], [5, 6], **TIGHT)
    np.testing.assert_allclose(posterior.mean("rate"), 5 / 6, **TIGHT)
    np.testing.assert_allclose(posterior.sd("rate"), np.sqrt(5) / 6, **TIGHT)
    np.testing.assert_allclose(
        posterior.quantile("rate", 0.3), stats.gamma(5, scale=1 / 6).ppf(0.3)
    )
    evidence = stats.nbinom(2, 5 / 6).logpmf(3)  # Poisson mixed by a gamma
    np.testing.assert_allclose(posterior.log_evidence, evidence, **TIGHT)
    draws = posterior.draws(20_000, seed=1)["rate"]
    np.testing.assert_allclose(draws.mean(), 5 / 6, atol=0.01)
    np.testing.assert_array_equal(draws, posterior.draws(20_000, seed=1)["rate"])
    assert "gamma-Poisson" in str(posterior.explain()) and "rate by gamma-Poisson" in str(posterior)


def test_negative_binomial():
    def call(self):
        p = self.sample("p", Beta(1, 1))
        self.sample("y", NegativeBinomial(dispersion=5, p=p))

    found = exact(call, y=3).distribution("p")
    np.testing.assert_allclose([found.alpha, found.beta], [6, 4], **TIGHT)


@pytest.mark.parametrize("shape", [None, (4,)])
def test_four_binomials_share_one_p(shape):
    n, y = [5, 7, 2, 9], [1, 3, 2, 4]

    def one(self):
        self.sample("y", Binomial(n, self.sample("p", Beta(2, 3))))

    def four(self):
        p = self.sample("p", Beta(2, 3))
        for i in range(4):
            self.sample(f"y{i}", Binomial(n[i], p))

    posterior = exact(one, y=y) if shape else exact(four, **{f"y{i}": y[i] for i in range(4)})
    found = posterior.distribution("p")
    np.testing.assert_allclose([found.alpha, found.beta], [12, 16], **TIGHT)


def test_failures_and_a_uniform_prior():
    def call(self):
        p = self.sample("p", Uniform(0, 1), shape=(2,))
        self.sample("y", Bernoulli(1 - p), shape=(3, 2))

    found = exact(call, y=[[1, 0], [1, 0], [0, 0]]).distribution("p")
    np.testing.assert_allclose(found.alpha, [2, 4], **TIGHT)
    np.testing.assert_allclose(found.beta, [3, 1], **TIGHT)


def test_groups_and_exposures():
    group, exposure = np.array([0, 0, 1, 2, 1]), np.array([1.0, 2.0, 3.0, 0.5, 1.5])

    def call(self, group, exposure):
        rate = self.sample("rate", Gamma([1.0, 2.0, 3.0], 4.0))
        self.sample("y", Poisson(exposure * rate[group]))

    found = exact(call, group, exposure, y=[3, 1, 4, 1, 5]).distribution("rate")
    np.testing.assert_allclose(found.shape, [5, 11, 4], **TIGHT)
    np.testing.assert_allclose(found.rate, [7, 8.5, 4.5], **TIGHT)


def test_scales_of_several_children():
    def call(self):
        rate = self.sample("rate", Gamma(2, 1))
        self.sample("wait", Exponential(rate), shape=(3,))
        self.sample("total", Gamma(2.5, 3 * rate))

    found = exact(call, wait=[1.0, 2.0, 3.0], total=0.5).distribution("rate")
    np.testing.assert_allclose([found.shape, found.rate], [2 + 3 + 2.5, 1 + 6 + 1.5], **TIGHT)


@pytest.mark.parametrize("inverse", [True, False])
def test_variance_and_precision_of_a_normal(inverse):
    y = np.array([1.0, -2.0, 0.5])

    def call(self):
        v = self.sample("v", InverseGamma(3, 2) if inverse else Gamma(3, 2))
        self.sample("y", Normal(0.5, at.sqrt(v) if inverse else 1 / at.sqrt(v)), shape=(3,))

    posterior = exact(call, y=y)
    found = posterior.distribution("v")
    assert type(found) is (InverseGamma if inverse else Gamma)
    rate = 2 + ((y - 0.5) ** 2).sum() / 2
    np.testing.assert_allclose(found.shape, 4.5, **TIGHT)
    np.testing.assert_allclose(found.scale if inverse else found.rate, rate, **TIGHT)
    marginal = stats.multivariate_t(np.full(3, 0.5), 2 / 3 * np.eye(3), df=6)
    np.testing.assert_allclose(posterior.log_evidence, marginal.logpdf(y), **TIGHT)


def test_dirichlet():
    def call(self):
        p = self.sample("p", Dirichlet([1.0, 2.0, 3.0]))
        self.sample("n", Multinomial(6, p))
        self.sample("k", Categorical(p), shape=(4,))

    posterior = exact(call, n=[1, 2, 3], k=[0, 2, 2, 1])
    alpha = np.array([3.0, 5.0, 8.0])
    np.testing.assert_allclose(posterior.distribution("p").concentration, alpha, **TIGHT)
    np.testing.assert_allclose(posterior.mean("p"), alpha / 16, **TIGHT)
    np.testing.assert_allclose(posterior.sd("p"), np.sqrt(stats.dirichlet(alpha).var()), **TIGHT)
    draws = posterior.draws(10_000)["p"]
    np.testing.assert_allclose(draws.sum(axis=1), 1.0)
    np.testing.assert_allclose(draws.mean(axis=0), alpha / 16, atol=0.01)

    def counts(self):
        self.sample("n", Multinomial(6, self.sample("p", Dirichlet([1.0, 2.0, 3.0]))))

    evidence = stats.dirichlet_multinomial([1, 2, 3], 6).logpmf([1, 2, 3])
    np.testing.assert_allclose(exact(counts, n=[1, 2, 3]).log_evidence, evidence, **TIGHT)


def regression(self, x):
    b = self.sample("b", Normal(1, 3))
    w = self.sample("w", Normal(0, [1.0, 2.0, 3.0]))
    mean = self.deterministic("mean", x @ w + b)
    self.sample("y", Normal(mean, 0.4))


@pytest.mark.parametrize("backend", ["jax", "c"])
def test_gaussian_regression(backend):
    with ae.Backend(backend):
        posterior = exact(regression, X, y=Y)
    design = np.c_[np.ones(9), X]
    prior, start = np.diag([9.0, 1.0, 4.0, 9.0]), np.array([1.0, 0, 0, 0])
    covariance = np.linalg.inv(design.T @ design / 0.16 + np.linalg.inv(prior))
    mean = covariance @ (design.T @ Y / 0.16 + np.linalg.solve(prior, start))
    np.testing.assert_allclose(posterior.mean("b"), mean[0], **TIGHT)
    found = posterior.distribution("w")
    assert isinstance(found, MultivariateNormal)
    np.testing.assert_allclose(found.mean, mean[1:], **TIGHT)
    np.testing.assert_allclose(found.covariance, covariance[1:, 1:], **TIGHT)
    np.testing.assert_allclose(posterior.sd("b"), np.sqrt(covariance[0, 0]), **TIGHT)
    marginal = stats.multivariate_normal(
        design @ start, design @ prior @ design.T + 0.16 * np.eye(9)
    )
    np.testing.assert_allclose(posterior.log_evidence, marginal.logpdf(Y), **TIGHT)
    draws = posterior.draws(20_000)
    together = np.cov(np.c_[draws["b"], draws["w"]].T)
    np.testing.assert_allclose(together, covariance, atol=0.003)


def test_regression_with_unknown_variance():
    def call(self, x):
        v = self.sample("v", InverseGamma(3, 2))
        w = self.sample("w", Normal(0, 2 * at.sqrt(v)), shape=(3,))
        self.sample("y", Normal(x @ w, at.sqrt(v)))

    posterior = exact(call, X, y=Y)
    precision = X.T @ X + np.eye(3) / 4
    mean = np.linalg.solve(precision, X.T @ Y)
    shape = 3 + 9 / 2
    scale = 2 + (Y @ Y - mean @ precision @ mean) / 2
    found = posterior.distribution("v")
    np.testing.assert_allclose([found.shape, found.scale], [shape, scale], **TIGHT)
    w = posterior.distribution("w")
    assert isinstance(w, StudentT)
    np.testing.assert_allclose(w.df, 2 * shape, **TIGHT)
    np.testing.assert_allclose(w.location, mean, **TIGHT)
    spread = np.sqrt(scale / shape * np.diag(np.linalg.inv(precision)))
    np.testing.assert_allclose(w.scale, spread, **TIGHT)
    marginal = stats.multivariate_t(np.zeros(9), 2 / 3 * (np.eye(9) + 4 * X @ X.T), df=6)
    np.testing.assert_allclose(posterior.log_evidence, marginal.logpdf(Y), **TIGHT)
    draws = posterior.draws(40_000)["w"]
    np.testing.assert_allclose(draws.std(axis=0), posterior.sd("w"), rtol=0.03)


def test_a_normal_hierarchy_of_known_variances():
    sigma = np.array([1.0, 2.0, 0.5])

    def call(self):
        mu = self.sample("mu", Normal(0, 10))
        theta = self.sample("theta", Normal(mu, 2), shape=(3,))
        self.sample("y", Normal(theta, sigma))

    y = np.array([3.0, -1.0, 2.0])
    posterior = exact(call, y=y)
    prior = 100 * np.ones((4, 4)) + np.diag([0, 4.0, 4.0, 4.0])
    gain = prior[:, 1:] @ np.linalg.inv(prior[1:, 1:] + np.diag(sigma**2))
    covariance = prior - gain @ prior[1:]
    np.testing.assert_allclose(posterior.mean("mu"), gain[0] @ y, **TIGHT)
    np.testing.assert_allclose(posterior.mean("theta"), gain[1:] @ y, **TIGHT)
    np.testing.assert_allclose(posterior.sd("theta"), np.sqrt(np.diag(covariance)[1:]), **TIGHT)


def test_multivariate_normal_of_known_covariance():
    prior, noise = np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([[1.0, -0.3], [-0.3, 0.5]])
    y = np.array([[1.0, 2.0], [0.0, 1.0], [2.0, 2.0]])

    def call(self):
        mu = self.sample("mu", MultivariateNormal(np.zeros(2), covariance=prior))
        self.sample("y", MultivariateNormal(mu, covariance=noise), shape=(3, 2))

    found = exact(call, y=y).distribution("mu")
    covariance = np.linalg.inv(np.linalg.inv(prior) + 3 * np.linalg.inv(noise))
    np.testing.assert_allclose(found.covariance, covariance, **TIGHT)
    mean = covariance @ np.linalg.solve(noise, y.sum(axis=0))
    np.testing.assert_allclose(found.mean, mean, **TIGHT)


def test_new_data_of_one_type_use_one_program():
    made = model(regression, y=Y)
    first = made.fit(X, inference=Exact()).mean("w")
    second = made.fit(2 * X, inference=Exact()).mean("w")
    assert not np.allclose(first, second)
    np.testing.assert_allclose(second, made.fit(2 * X, inference=Exact()).mean("w"))


def half_normal(self):
    sd = self.sample("sd", HalfNormal(1))
    self.sample("y", Normal(0, sd), shape=(2,))


def both_unknown(self):
    mu = self.sample("mu", Normal(0, 1))
    v = self.sample("v", InverseGamma(3, 2))
    self.sample("y", Normal(mu, at.sqrt(v)), shape=(2,))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (half_normal, "'sd'.*half-normal prior is not conjugate to how it enters 'y'.*Gibbs"),
        (both_unknown, "'mu'.*not proportional.*Gibbs"),
    ],
)
def test_what_is_not_closed_is_one_error(call, message):
    with pytest.raises(ArgumentError, match="(?s)" + message):
        exact(call, y=[1.0, 2.0])
    made = type("Small", (ae.Model,), {"__call__": call})()
    with pytest.raises(ArgumentError, match="(?s)" + message):
        ae.Exact().explain(made.observe({"y": [1.0, 2.0]}))


def test_an_improper_posterior_is_one_error():
    def call(self, x):
        w = self.sample("w", Flat(), shape=(3,))
        self.sample("y", Normal(x @ w, 1.0))

    assert np.isfinite(exact(call, X, y=Y).mean("w")).all()
    with pytest.raises(FitError, match="cannot be normalized"):
        exact(call, X[:2], y=Y[:2])


def test_nothing_free():
    def call(self):
        self.sample("y", Normal(0, 1))

    with pytest.raises(ArgumentError, match="all sites are observed"):
        exact(call, y=1.0)


class Centred(ae.Model):
    """Effects of two groups around means that are declared apart."""

    def __call__(self):
        base = self.sample("base", ae.Normal(1, 2))
        shift = self.sample("shift", ae.Normal(0, 3))
        effect = self.sample("effect", ae.Normal(at.stack([base, base + shift]), 0.5), shape=(2,))
        self.sample("y", ae.Normal(effect, 1), shape=(4, 2))


def test_sites_declared_apart_are_one_block():
    y = np.array([[1.0, 3.0], [2.0, 5.0], [0.5, 4.0], [1.5, 3.5]])
    found = Centred().observe({"y": y}).fit(inference=Exact())
    design = np.array([[1.0, 0.0], [1.0, 1.0]])
    noise = 0.25 + 1 / 4  # of a group's mean around its mean effect
    precision = design.T @ design / noise + np.diag([1 / 4, 1 / 9])
    wanted = np.linalg.solve(precision, design.T @ y.mean(0) / noise + [1 / 4, 0])
    np.testing.assert_allclose([found.mean("base"), found.mean("shift")], wanted, rtol=1e-10)


@pytest.mark.parametrize("inference", [Exact(), Gibbs(chains=1, draws=200, warmup=50)])
def test_fits_in_threads_keep_their_own_data(inference):
    """One Model, and so one program: each fit has the posterior of its own data."""

    class Mean(ae.Model):
        def __call__(self, y):
            mu = self.sample("mu", Normal(0, 100))
            self.sample("near", Normal(mu - y, 1.0), shape=(4,))

    observed = Mean().observe({"near": np.zeros(4)})
    given = [np.full(4, 10.0 * i) for i in range(6)]
    observed.fit(given[0], inference=inference)
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda y: observed.fit(y, inference=inference).mean("mu"), given))
    np.testing.assert_allclose(found, 10.0 * np.arange(6), atol=0.3)


@pytest.mark.parametrize("n", [-1, 0, 2.5])
def test_numbers_of_draws(n):
    def call(self):
        self.sample("y", Poisson(self.sample("rate", Gamma(2, 5))))

    with pytest.raises(ArgumentError, match="`n` is an integer"):
        exact(call, y=3).draws(n)
