"""Gibbs sampling against quadrature, exact posteriors and importance sampling."""

import aesara.tensor as at
import numpy as np
import pytest
from scipy import stats
from scipy.special import betaln, expit, gammaln

import aeframe as ae
from aeframe.core.errors import ArgumentError, FitError
from aeframe.distributions import (
    Bernoulli,
    Beta,
    Categorical,
    Dirichlet,
    DiscreteUniform,
    Exponential,
    Flat,
    Gamma,
    HalfCauchy,
    HalfFlat,
    HalfNormal,
    InverseGamma,
    NegativeBinomial,
    Normal,
    Poisson,
    StudentT,
)
from aeframe.infer import Exact, Gibbs

RNG = np.random.default_rng(8)


def fit(call, *data, inference=None, **observed):
    made = type("Small", (ae.Model,), {"__call__": call})
    inference = inference or Gibbs(chains=2, draws=2000, warmup=200)
    return made().observe(observed).fit(*data, inference=inference)


def near(posterior, site, mean, sd, of=5.0):
    """Mean within ``of`` standard errors, by the means of 20 batches, and sd within 10 %."""
    chains = posterior.chains[site]
    batches = chains.reshape(20, -1, *chains.shape[2:]).mean(axis=1)
    error = of * batches.std(axis=0) / np.sqrt(20)
    np.testing.assert_array_less(np.abs(batches.mean(axis=0) - mean), error)
    np.testing.assert_allclose(chains.std(axis=(0, 1)), sd, rtol=0.1)


def rules(posterior):
    return {s.path: s.rule for s in posterior.explain().steps}


def schools(self):
    mu = self.sample("mu", Normal(0, 5))
    tau = self.sample("tau", HalfCauchy(5))
    theta = self.sample("theta", Normal(mu, tau), shape=(8,))
    self.sample("y", Normal(theta, [15.0, 10, 16, 11, 9, 11, 10, 18]))


@pytest.mark.parametrize("backend", ["jax", pytest.param("c", marks=pytest.mark.slow)])
def test_eight_schools_by_quadrature(backend):
    y, sigma = (
        np.array([28.0, 8, -3, 7, -1, 1, 18, 12]),
        np.array([15.0, 10, 16, 11, 9, 11, 10, 18]),
    )
    with ae.Backend(backend):
        draws = 4000 if backend == "jax" else 2000
        posterior = fit(schools, y=y, inference=Gibbs(chains=2, draws=draws, warmup=500))
    # given τ all is normal: integrate over τ on a grid
    tau = np.linspace(0.005, 80, 8000)
    precision = 1 / (sigma**2 + tau[:, None] ** 2)
    v = 1 / (precision.sum(axis=1) + 1 / 25)
    m = v * (precision * y).sum(axis=1)
    density = 0.5 * np.log(precision).sum(axis=1) + 0.5 * np.log(v) + 0.5 * m**2 / v
    density = density - 0.5 * (precision * y**2).sum(axis=1) + stats.halfcauchy(0, 5).logpdf(tau)
    weight = np.exp(density - density.max())
    weight = weight / weight.sum()
    mean = weight @ m
    near(posterior, "mu", mean, np.sqrt(weight @ (v + m**2) - mean**2))
    t = weight @ tau
    near(posterior, "tau", t, np.sqrt(weight @ tau**2 - t**2))
    assert rules(posterior) == {
        "mu": "normal-normal",
        "tau": "half-Cauchy-normal",
        "theta": "normal-normal",
    }


def test_normal_with_unknown_mean_and_variance_by_quadrature():
    y = np.array([1.0, 3.0, 2.5, -0.5, 4.0])

    def call(self):
        mu = self.sample("mu", Normal(0, 2))
        v = self.sample("v", InverseGamma(2, 3))
        self.deterministic("sd", at.sqrt(v))
        self.sample("y", Normal(mu, at.sqrt(v)), shape=(5,))

    posterior = fit(call, y=y)
    mu, v = np.meshgrid(np.linspace(-6, 8, 400), np.geomspace(0.05, 200, 600), indexing="ij")
    log = stats.norm(0, 2).logpdf(mu) + stats.invgamma(2, scale=3).logpdf(v) + np.log(v)
    log = log + stats.norm(mu[..., None], np.sqrt(v)[..., None]).logpdf(y).sum(axis=-1)
    weight = np.exp(log - log.max())
    weight = weight / weight.sum()
    for site, value in (("mu", mu), ("v", v), ("sd", np.sqrt(v))):
        mean = (weight * value).sum()
        near(posterior, site, mean, np.sqrt((weight * value**2).sum() - mean**2))
    assert posterior.chains["sd"].shape == (2, 2000)


def test_exact_models_give_the_exact_posterior():
    x = RNG.normal(size=(9, 2))
    y = x @ [1.0, -1.0] + RNG.normal(size=9)

    def call(self, x):
        w = self.sample("w", Normal(0, 1), shape=(2,))
        self.sample("y", Normal(x @ w, 1.0))

    exact = fit(call, x, y=y, inference=Exact())
    near(fit(call, x, y=y), "w", exact.mean("w"), exact.sd("w"))


def logistic(self, x):
    b = self.sample("b", Normal(0, 2))
    w = self.sample("w", Normal(0, 1.5), shape=(2,))
    self.sample("y", Bernoulli(logits=b + x @ w))


def test_logistic_regression_by_quadrature():
    x = RNG.normal(size=(25, 2))
    y = RNG.binomial(1, expit(0.5 + x @ [1.5, -1.0]))
    posterior = fit(logistic, x, y=y)
    axes = [np.linspace(-5, 6, 70)] * 3
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    eta = grid[:, :1] + grid[:, 1:] @ x.T
    log = stats.norm(0, [2, 1.5, 1.5]).logpdf(grid).sum(axis=1)
    log = log + (y * eta - np.logaddexp(0, eta)).sum(axis=1)
    weight = np.exp(log - log.max())
    weight = weight / weight.sum()
    mean = weight @ grid
    sd = np.sqrt(weight @ grid**2 - mean**2)
    near(posterior, "b", mean[0], sd[0])
    near(posterior, "w", mean[1:], sd[1:])
    assert rules(posterior)["w"] == "normal-Bernoulli logits"


@pytest.mark.parametrize("by", ["p", "mean"])
def test_negative_binomial_regression_by_quadrature(by):
    x = RNG.normal(size=20)
    y = RNG.negative_binomial(3, 1 / (1 + np.exp(0.5 * x) / 3))

    def call(self, x):
        w = self.sample("w", Normal(0, 1))
        self.sample(
            "y",
            NegativeBinomial(dispersion=3.0, p=at.sigmoid(-w * x))
            if by == "p"
            else NegativeBinomial(at.exp(w * x), 3.0),
        )

    posterior = fit(call, x, y=y)
    w = np.linspace(-4, 4, 2000)[:, None]
    p = expit(-w * x) if by == "p" else 3 / (3 + np.exp(w * x))
    log = stats.nbinom(3, p).logpmf(y).sum(axis=1) + stats.norm.logpdf(w[:, 0])
    weight = np.exp(log - log.max()) / np.exp(log - log.max()).sum()
    mean = weight @ w[:, 0]
    near(posterior, "w", mean, np.sqrt(weight @ w[:, 0] ** 2 - mean**2))


@pytest.mark.slow
def test_horseshoe_regression_by_importance_sampling():
    x = RNG.normal(size=(12, 2))
    y = x @ [2.0, 0.0] + RNG.normal(size=12)

    def call(self, x):
        tau = self.sample("tau", HalfCauchy(1))
        lam = self.sample("lam", HalfCauchy(1), shape=(2,))
        w = self.sample("w", Normal(0, lam * tau))
        self.sample("y", Normal(x @ w, 1.0))

    posterior = fit(call, x, y=y, inference=Gibbs(chains=2, draws=15_000, warmup=500))
    # scales from the prior, weighted by the density of y given them; w given both is normal
    rng = np.random.default_rng(0)
    scale = np.abs(rng.standard_cauchy((400_000, 2)) * rng.standard_cauchy((400_000, 1)))
    q = x.T @ x + np.eye(2) / scale[:, :, None] ** 2
    inverse = np.linalg.inv(q)
    m = inverse @ (x.T @ y)
    log = -0.5 * np.linalg.slogdet(q)[1] - np.log(scale).sum(axis=1) + 0.5 * m @ (x.T @ y)
    weight = np.exp(log - log.max())
    weight = weight / weight.sum()
    mean = weight @ m
    second = weight @ (m**2 + np.diagonal(inverse, axis1=1, axis2=2))
    near(posterior, "w", mean, np.sqrt(second - mean**2), of=6)


def test_a_mixture_by_its_assignments():
    y = np.r_[np.linspace(-2.5, -1.5, 12), np.linspace(1.6, 2.4, 8)]

    def call(self):
        p = self.sample("p", Dirichlet([1.0, 1.0]))
        z = self.sample("z", Categorical(p), shape=(20,))
        mu = self.sample("mu", Normal([-1.0, 1.0], 0.3))
        self.sample("y", Normal(mu[z], 0.5))

    posterior = fit(call, y=y)
    assert rules(posterior)["z"] == "enumeration"
    assert posterior.chains["z"].dtype.kind == "i"
    # the clusters are far apart: given them all is conjugate
    np.testing.assert_array_equal(posterior.chains["z"][:, -1], [[0] * 12 + [1] * 8] * 2)
    near(posterior, "p", [13 / 22, 9 / 22], np.sqrt(13 * 9 / 22**2 / 23))
    precision = 1 / 0.09 + np.array([12, 8]) / 0.25
    total = np.array([y[:12].sum(), y[12:].sum()])
    mean = (np.array([-1.0, 1.0]) / 0.09 + total / 0.25) / precision
    near(posterior, "mu", mean, precision**-0.5)


def test_student_t_regression_by_quadrature():
    y = np.array([0.5, 1.0, -0.3, 9.0, 0.7])

    def call(self):
        mu = self.sample("mu", Normal(0, 3))
        self.sample("y", StudentT(2.0, mu, 1.0), shape=(5,))

    posterior = fit(call, y=y)
    mu = np.linspace(-10, 15, 4000)
    log = stats.norm(0, 3).logpdf(mu) + stats.t(2, mu[:, None]).logpdf(y).sum(axis=1)
    weight = np.exp(log - log.max()) / np.exp(log - log.max()).sum()
    mean = weight @ mu
    near(posterior, "mu", mean, np.sqrt(weight @ mu**2 - mean**2))


def half_normal(self):
    mu = self.sample("mu", Normal(0, 2))
    sd = self.sample("sd", HalfNormal(2))
    self.sample("y", Normal(mu, sd), shape=(5,))


def test_nuts_draws_what_no_rule_does():
    y = np.array([1.0, 3.0, 2.5, -0.5, 4.0])
    posterior = fit(half_normal, y=y, inference=Gibbs(chains=2, draws=2000, warmup=300))
    mu, sd = np.meshgrid(np.linspace(-6, 8, 300), np.linspace(0.05, 10, 600), indexing="ij")
    log = stats.norm(0, 2).logpdf(mu) + stats.halfnorm(0, 2).logpdf(sd)
    log = log + stats.norm(mu[..., None], sd[..., None]).logpdf(y).sum(axis=-1)
    weight = np.exp(log - log.max()) / np.exp(log - log.max()).sum()
    for site, value in (("mu", mu), ("sd", sd)):
        mean = (weight * value).sum()
        near(posterior, site, mean, np.sqrt((weight * value**2).sum() - mean**2))
    assert "half-normal prior is not conjugate" in rules(posterior)["sd"]
    assert "NUTS" in str(posterior.explain())
    assert posterior.stats["diverging"].shape == (2, 2000)


def test_nuts_beside_a_discrete_site_by_summation():
    y = np.array([0, 2, 1, 0, 1, 6, 3, 5])
    n = np.arange(8)

    def call(self, n):
        change = self.sample("change", DiscreteUniform(0, 7))
        before = self.sample("before", Exponential(1.0))
        after = self.sample("after", Exponential(1.0))
        self.sample("y", Poisson(at.switch(n < change, before, after)))

    posterior = fit(call, n, y=y, inference=Gibbs(chains=2, draws=2000, warmup=300))
    told = rules(posterior)
    assert told["change"] == "enumeration"
    assert told["before"].startswith("NUTS, because") and "before by NUTS" in posterior.why
    # given the change point both rates are gamma
    first = np.array([y[:c].sum() for c in n])
    shapes, rates = 1 + np.array([first, y.sum() - first]), 1 + np.array([n, 8 - n])
    log = (gammaln(shapes) - shapes * np.log(rates)).sum(axis=0)
    weight = np.exp(log - log.max()) / np.exp(log - log.max()).sum()
    for site, shape, rate in zip(("before", "after"), shapes, rates, strict=True):
        mean = weight @ (shape / rate)
        second = weight @ (shape * (shape + 1) / rate**2)
        near(posterior, site, mean, np.sqrt(second - mean**2))
    near(posterior, "change", weight @ n, np.sqrt(weight @ n**2 - (weight @ n) ** 2))


def test_improper_priors_need_no_draws_of_them():
    def call(self):
        b = self.sample("b", Flat())
        k = self.sample("k", Bernoulli(0.5))
        self.sample("y", Normal(b + k, 1.0), shape=(3,))

    posterior = fit(call, y=[-0.5, 0.2, 0.9])
    near(posterior, "b", 0.2 - 0.5, np.sqrt(1 / 3 + 1 / 4))
    assert posterior.predict(n=7)["y"].shape == (7, 3)


def test_a_flat_site_that_nothing_depends_on_is_one_error():
    def call(self):
        self.sample("unused", Flat())
        self.sample("y", Normal(self.sample("mu", Normal(0, 1)), 1.0))

    with pytest.raises(FitError, match=r"(?s)cannot be normalized.*unused"):
        fit(call, y=1.0)


def test_a_half_flat_mean_stays_positive():
    def call(self):
        b = self.sample("b", HalfFlat())
        self.sample("y", Normal(b, 1.0))

    posterior = fit(call, y=-0.3, inference=Gibbs(chains=2, draws=2000, warmup=300))
    truth = stats.truncnorm(0.3, np.inf, -0.3, 1)
    near(posterior, "b", truth.mean(), truth.std())
    with pytest.raises(ArgumentError, match="no exact posterior"):
        fit(call, y=-0.3, inference=Exact())


def test_a_graph_with_integer_parameters_by_quadrature():
    srng, x = at.random.RandomStream(0), at.dvector("x")
    slope, sd = srng.normal(0, 2, name="slope"), srng.gamma(2, 1, name="sd")
    model = ae.Model.from_graph({"y": srng.normal(slope * x, sd)}, inputs=[x])
    # noisy: on a line without noise the density of sd is about sd^-3 near 0, which is improper
    x, y = np.arange(5.0), np.array([0.2, 1.1, 2.9, 3.7, 5.5])
    method = Gibbs(chains=2, draws=2000, warmup=300)
    posterior = model.observe({"y": y}).fit(x, inference=method)
    grid = np.linspace(0.02, 12, 4000)
    covariance = grid[:, None, None] ** 2 * np.eye(5) + 4 * np.outer(x, x)
    log = -0.5 * np.linalg.slogdet(covariance)[1] + stats.gamma(2).logpdf(grid)
    log = log - 0.5 * np.einsum("i,gij,j->g", y, np.linalg.inv(covariance), y)
    weight = np.exp(log - log.max()) / np.exp(log - log.max()).sum()
    variance = 1 / (1 / 4 + x @ x / grid**2)
    given = variance * (x @ y) / grid**2
    mean = weight @ given
    near(posterior, "slope", mean, np.sqrt(weight @ (variance + given**2) - mean**2))
    near(posterior, "sd", weight @ grid, np.sqrt(weight @ grid**2 - (weight @ grid) ** 2))


def test_no_nuts_on_other_backends():
    with ae.Backend("c"), pytest.raises(ArgumentError, match="no rule can draw 'sd'"):
        fit(half_normal, y=np.zeros(5))


def test_the_seed_decides_and_thinning_keeps_every_other_draw():
    def call(self):
        mu = self.sample("mu", Normal(0, 2))
        precision = self.sample("precision", Gamma(2, 2))
        self.sample("y", Normal(mu, precision**-0.5), shape=(3,))

    y = [1.0, 2.0, 3.0]
    run = {"chains": 2, "warmup": 10}
    one = fit(call, y=y, inference=Gibbs(draws=40, seed=1, **run)).chains
    two = fit(call, y=y, inference=Gibbs(draws=40, seed=1, **run)).chains
    thin = fit(call, y=y, inference=Gibbs(draws=20, thin=2, seed=1, **run)).chains
    np.testing.assert_array_equal(one["mu"], two["mu"])
    np.testing.assert_array_equal(one["mu"][:, 1::2], thin["mu"])
    assert not np.allclose(one["mu"][0], one["mu"][1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda self: self.sample("k", Poisson(3.0)), "discrete site 'k'.*not finite"),
        (lambda self: self.sample("y", Normal(0, 1)), "all sites are observed"),
    ],
)
def test_what_no_step_can_draw_is_one_error(call, message):
    def body(self):
        k = call(self)
        if k.name == "k":
            self.sample("y", Normal(k, 1.0))

    with pytest.raises(ArgumentError, match="(?s)" + message):
        fit(body, y=1.0)


def test_rates_shared_by_plates():
    def call(self):
        p = self.sample("p", Beta(1, 1))
        z = self.sample("z", Bernoulli(p), shape=(6,))
        self.sample("y", Normal(3.0 * z, 1.0))

    y = np.array([0.0, 3.1, 2.5, 0.4, 1.5, 3.3])
    posterior = fit(call, y=y)
    # sum over all 64 assignments
    z = (np.arange(64)[:, None] >> np.arange(6)) & 1
    k = z.sum(axis=1)
    log = stats.norm(3.0 * z, 1).logpdf(y).sum(axis=1) + betaln(1 + k, 7 - k)
    weight = np.exp(log - log.max()) / np.exp(log - log.max()).sum()
    mean = weight @ ((1 + k) / 8)
    second = weight @ ((1 + k) * (2 + k) / 72)
    near(posterior, "p", mean, np.sqrt(second - mean**2))
    np.testing.assert_allclose(posterior.mean("z"), weight @ z, atol=0.05)


def test_what_nothing_was_drawn_from_is_drawn_anew():
    def call(self):
        rate = self.sample("rate", Gamma(2, 1))
        self.sample("y", Poisson(rate), shape=(3,))
        self.sample("next", Poisson(rate))

    posterior = fit(call, y=[1, 2, 4])
    assert rules(posterior) == {"rate": "gamma-Poisson", "next": "no children"}
    near(posterior, "next", 9 / 4, np.sqrt(9 / 4 + 9 / 16))


@pytest.mark.parametrize(
    "wrong",
    [
        {"chains": "4"},
        {"draws": 2.5},
        {"thin": 1.5},
        {"warmup": -3},
        {"max_depth": 0},
        {"seed": -1},
        {"target_acceptance": 1.0},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_arguments(wrong):
    name = next(iter(wrong))
    with pytest.raises(ArgumentError, match="acceptance" if "acc" in name else f"`{name}` is an"):
        Gibbs(**wrong)
