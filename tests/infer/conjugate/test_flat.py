"""Flat priors of scales and rates against closed forms and quadrature."""

import aesara.tensor as at
import numpy as np
import pytest
from scipy import integrate, stats
from scipy.special import gammaln

import aeframe as ae
from aeframe.core.errors import FitError
from aeframe.distributions import (
    DoubleExponential,
    Flat,
    HalfFlat,
    HalfNormal,
    Normal,
    Poisson,
)
from aeframe.infer import Exact, Gibbs

RNG = np.random.default_rng(3)
TIGHT = {"rtol": 1e-9}


def fit(call, *data, inference, **observed):
    made = type("Small", (ae.Model,), {"__call__": call})
    return made().observe(observed).fit(*data, inference=inference)


def regression(self, x):
    w = self.sample("w", Flat(), shape=(x.type.shape[1],))
    sigma = self.sample("sigma", HalfFlat())
    self.sample("y", Normal(x @ w, 2 * sigma))


def test_regression_of_flat_priors_on_coefficients_and_sd():
    n, k = 12, 3
    x = RNG.normal(size=(n, k))
    y = x @ [1.0, -0.5, 2.0] + 0.4 * RNG.normal(size=n)
    w = np.linalg.solve(x.T @ x, x.T @ y)
    rest, df = ((y - x @ w) ** 2).sum(), n - k - 1
    posterior = fit(regression, x, inference=Exact(), y=y)

    def likelihood(sigma):
        """With w integrated out."""
        log = (k - n) * np.log(2 * sigma) - rest / (8 * sigma**2)
        return np.exp(log + (k - n) / 2 * np.log(2 * np.pi) - np.linalg.slogdet(x.T @ x)[1] / 2)

    def moment(p):
        pieces = ((0, 1), (1, np.inf))
        return sum(
            integrate.quad(lambda s: s**p * likelihood(s), *piece, epsabs=0, epsrel=1e-12)[0]
            for piece in pieces
        )

    total, mean, square = map(moment, range(3))
    np.testing.assert_allclose(posterior.log_evidence, np.log(total), **TIGHT)
    np.testing.assert_allclose(posterior.mean("sigma"), mean / total, **TIGHT)
    sd = np.sqrt(square / total - (mean / total) ** 2)
    np.testing.assert_allclose(posterior.sd("sigma"), sd, **TIGHT)
    density = float(posterior.distribution("sigma").log_density(0.3).eval())
    np.testing.assert_allclose(density, np.log(likelihood(0.3) / total), **TIGHT)
    found = posterior.distribution("w")
    np.testing.assert_allclose(found.df, df, **TIGHT)
    np.testing.assert_allclose(found.location, w, **TIGHT)
    spread = np.sqrt(rest / df * np.diag(np.linalg.inv(x.T @ x)))
    np.testing.assert_allclose(found.scale, spread, **TIGHT)
    draws = posterior.draws(40_000)
    np.testing.assert_allclose(draws["w"].std(axis=0), posterior.sd("w"), rtol=0.03)
    np.testing.assert_allclose(draws["sigma"].std(), posterior.sd("sigma"), rtol=0.03)


def test_regression_of_three_observations():
    """Given w, 1/σ² is exponential: its shape, (3 − 1) / 2, is 1."""
    x, y = np.ones((3, 1)), np.array([1.0, 2.0, 6.0])
    posterior = fit(regression, x, inference=Exact(), y=y)
    rest = ((y - 3.0) ** 2).sum()
    for q in (0.1, 0.5, 0.8):
        precision = stats.gamma(0.5, scale=8 / rest).ppf(1 - q)
        np.testing.assert_allclose(posterior.quantile("sigma", q), precision**-0.5, **TIGHT)


@pytest.mark.parametrize("inference", [Exact(), Gibbs()])
def test_one_observation_says_too_little_of_its_sd(inference):
    with pytest.raises(FitError, match=r"(?s)cannot be normalized.*sigma"):
        fit(regression, np.ones((1, 1)), inference=inference, y=[1.0])


def test_each_form_by_its_closed_form():
    y = np.array([-0.4, 1.5, 2.0, -3.0, 0.7])
    counts = np.array([[3, 1, 2], [0, 0, 4]])

    def call(self):
        self.sample("y", Normal(1.0, self.sample("sd", HalfFlat())), shape=(5,))
        self.sample("z", DoubleExponential(0.0, self.sample("scale", HalfFlat())), shape=(5,))
        rate = self.sample("rate", HalfFlat(), shape=(2,))
        self.sample("k", Poisson(rate[:, None]), shape=(2, 3))

    given = {"y": y, "z": y, "k": counts}
    truth = {
        "sd": stats.gengamma(2.0, -2.0, scale=np.sqrt(((y - 1) ** 2).sum() / 2)),
        "scale": stats.invgamma(4.0, scale=np.abs(y).sum()),
        "rate": stats.gamma(counts.sum(axis=1) + 1.0, scale=1 / 3),
    }
    exact = fit(call, inference=Exact(), **given)
    # ∫ σ⁻ⁿ exp(−S / σ²) dσ, ∫ s⁻ⁿ exp(−A / s) ds, ∫ λᴷ exp(−3 λ) dλ
    evidence = (
        (gammaln(2) - np.log(2) - 2 * np.log(((y - 1) ** 2).sum() / 2) - 2.5 * np.log(2 * np.pi))
        + (gammaln(4) - 4 * np.log(np.abs(y).sum()) - 5 * np.log(2))
        + np.sum(gammaln(counts.sum(axis=1) + 1) - (counts.sum(axis=1) + 1) * np.log(3))
        - gammaln(counts + 1).sum()
    )
    np.testing.assert_allclose(exact.log_evidence, evidence, **TIGHT)
    gibbs = fit(call, inference=Gibbs(chains=2, draws=2000, warmup=10), **given)
    for site, known in truth.items():
        for q in (0.1, 0.6):
            np.testing.assert_allclose(exact.quantile(site, q), known.ppf(q), **TIGHT)
        below = (gibbs.chains[site] < known.ppf(0.3)).mean(axis=(0, 1))
        np.testing.assert_allclose(below, 0.3, atol=5 * np.sqrt(0.3 * 0.7 / 4000))


@pytest.mark.slow
def test_a_step_of_nuts_where_data_are_not_all_arrays():
    def call(self, n, x):
        sd = self.sample("sd", HalfNormal(2))
        self.sample("y", Normal(at.stack([x] * n), sd))

    posterior = fit(call, 3, 1.5, inference=Gibbs(chains=2, draws=2000, warmup=300), y=np.arange(3))
    assert "half-normal prior is not conjugate" in str(posterior.explain())

    def density(sd):
        return stats.halfnorm(0, 2).pdf(sd) * stats.norm(1.5, sd).pdf(np.arange(3)).prod()

    total, mean = (integrate.quad(lambda s, p=p: s**p * density(s), 0, 20)[0] for p in range(2))
    assert abs(posterior.chains["sd"].mean() - mean / total) < 0.1


def unidentified(self, x):
    a, b = self.sample("a", Flat()), self.sample("b", Flat())
    self.sample("y", Normal(a + 0.001 * b + x, 1.0))


def location_and_scale(self, x):
    self.sample("y", Normal(self.sample("m", Flat()) + x, self.sample("s", HalfFlat())))


def rates(self, x):
    rate = self.sample("rate", HalfFlat(), shape=(3,))
    self.sample("y", Poisson(rate[np.array([0, 0, 1])]))


@pytest.mark.parametrize(
    ("call", "y", "message"),
    [
        (unidentified, [1.0, 2.0, 3.0], r"(?s)cannot be normalized.*a, b"),
        (location_and_scale, [1.0, 2.0], "no end along 'm', 's'"),
        (location_and_scale, [1.0] * 5, "no end along 'm', 's'"),
        (rates, [3, 2, 4], "no end along 'rate'"),
    ],
    ids=["unidentified", "two", "equal", "empty"],
)
@pytest.mark.filterwarnings("error")
def test_gibbs_refuses_posteriors_that_cannot_be_normalized(call, y, message):
    with pytest.raises(FitError, match=message):
        fit(call, np.zeros(len(y)), inference=Gibbs(draws=500), y=y)


def test_gibbs_takes_the_least_that_can_be_normalized():
    """Three observations: the density of s falls as 1 / s²."""
    posterior = fit(location_and_scale, np.zeros(3), inference=Gibbs(draws=500), y=[1.0, 2.0, 4.0])
    assert set(posterior.stats) == set()
    exact = fit(location_and_scale, np.zeros(3), inference=Exact(), y=[1.0, 2.0, 4.0])
    below = posterior.chains["s"] < exact.quantile("s", 0.5)
    assert abs(below.mean() - 0.5) < 0.1
