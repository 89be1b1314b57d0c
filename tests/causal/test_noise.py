"""Rules of noise: back and forth, against SciPy, extended by a user, refused where unknown."""

import aesara.tensor as at
import aesara.tensor.random.basic as aer
import numpy as np
import pytest
from scipy import stats

import aeframe as ae
from aeframe.causal import NOISES, Explicit, GumbelMax, InverseCDF, Noise, counterfactual
from aeframe.core.errors import ArgumentError, DataError

CF = "counterfactual"


class Mechanism(ae.Model):
    """A cause and one mechanism."""

    def __init__(self, law):
        self.law = law

    def __call__(self):
        x = self.sample("x", ae.Normal(0, 1))
        self.sample("y", self.law(x))


def moved(law, y, noise=None):
    """Y at x = 1, had x been 0."""
    model = Mechanism(law)
    found = counterfactual(
        model, evidence={"x": 1.0, "y": y}, do={"x": 0.0}, noise={"y": noise} if noise else {}
    )
    return found.mean(CF, "y")


E = np.e
CASES = {
    "normal": (lambda x: ae.Normal(2 * x, at.exp(x)), 3.0, 1.0 / E),
    "cauchy": (lambda x: ae.Cauchy(x, 1 + x), 3.0, 1.0),
    "laplace": (lambda x: ae.DoubleExponential(x, 1 + x), 3.0, 1.0),
    "logistic": (lambda x: ae.Logistic(x, 1 + x), 3.0, 1.0),
    "gumbel": (lambda x: ae.Gumbel(x, 1 + x), 3.0, 1.0),
    "student": (lambda x: ae.StudentT(3.0, x, 1 + x), 3.0, 1.0),
    "half normal": (lambda x: ae.HalfNormal(at.exp(x)), 3.0, 3.0 / E),
    "half cauchy": (lambda x: ae.HalfCauchy(at.exp(x)), 3.0, 3.0 / E),
    "exponential": (lambda x: ae.Exponential(at.exp(x)), 3.0, 3.0 * E),
    "gamma": (lambda x: ae.Gamma(2.0, at.exp(x)), 3.0, 3.0 * E),
    "inverse gamma": (lambda x: ae.InverseGamma(2.0, at.exp(x)), 3.0, 3.0 / E),
    "weibull": (lambda x: ae.Weibull(2.0, at.exp(x)), 3.0, 3.0 / E),
    "rayleigh": (lambda x: ae.Rayleigh(at.exp(x)), 3.0, 3.0 / E),
    "uniform": (lambda x: ae.Uniform(x, 3 * x + 1), 2.0, 1.0 / 3.0),
    "log normal": (lambda x: ae.LogNormal(x, 1 + x), E**3, E),
    "transformed": (lambda x: ae.Transformed(ae.Normal(x, 1.0), at.exp), E**3, E**2),
    "vector": (
        lambda x: ae.MultivariateNormal(at.stack([x, 2 * x]), np.array([[1.0, 0.5], [0.5, 1.0]])),
        np.array([3.0, 3.0]),
        np.array([2.0, 1.0]),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_families_of_which_the_noise_is_derived(name):
    law, y, expected = CASES[name]
    np.testing.assert_allclose(moved(law, y), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("law", "before", "after", "y"),
    [
        (lambda x: ae.Normal(x, 1 + x), stats.norm(1, 2), stats.norm(0, 1), 9.0),
        (lambda x: ae.Logistic(x, 1 + x), stats.logistic(1, 2), stats.logistic(0, 1), -30.0),
        (lambda x: ae.HalfNormal(1 + x), stats.halfnorm(0, 2), stats.halfnorm(0, 1), 0.1),
        (lambda x: ae.Exponential(1 + x), stats.expon(0, 0.5), stats.expon(0, 1), 20.0),
    ],
)
def test_quantiles(law, before, after, y):
    """In the far tails too."""
    low = before.cdf(y) < 0.5
    expected = after.ppf(before.cdf(y)) if low else after.isf(before.sf(y))
    np.testing.assert_allclose(moved(law, y, InverseCDF()), expected, rtol=1e-8)


class Counts(ae.Model):
    """One of five counts, by a coin."""

    def __call__(self):
        x = self.sample("x", ae.Bernoulli(0.5))
        self.sample("y", ae.Binomial(4, 0.3 + 0.4 * x))


def test_counts_by_their_cumulative_probabilities():
    found = counterfactual(
        Counts(), evidence={"x": 0, "y": 2}, do={"x": 1}, noise={"y": InverseCDF()}
    )
    p, q = stats.binom(4, 0.3), stats.binom(4, 0.7)
    low, high = p.cdf(1), p.cdf(2)
    for k in range(5):
        overlap = max(0.0, min(high, q.cdf(k)) - max(low, q.cdf(k - 1)))
        np.testing.assert_allclose(
            found.probability((CF, "y", k)), overlap / (high - low), atol=1e-10
        )


def test_a_coupling_keeps_the_distribution_of_the_world():
    """Averaged over the factual value, the counterfactual one is as under the intervention."""
    for noise in (InverseCDF(), GumbelMax()):
        found = counterfactual(Counts(), evidence={"x": 0}, do={"x": 1}, noise={"y": noise})
        for k in range(5):
            expected = stats.binom(4, 0.7).pmf(k)
            np.testing.assert_allclose(found.probability((CF, "y", k)), expected, atol=1e-10)


def test_a_label_whose_odds_fell_is_never_what_it_becomes():
    """Oberst and Sontag 2019, counterfactual stability."""
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.6, 0.1, 0.3])

    class Labels(ae.Model):
        def __call__(self):
            x = self.sample("x", ae.Bernoulli(0.5))
            self.sample("y", ae.Categorical(at.constant(np.array([p, q]))[x]))

    found = counterfactual(
        Labels(), evidence={"x": 0, "y": 0}, do={"x": 1}, noise={"y": GumbelMax()}
    )
    assert found.probability((CF, "y", 1)) == 0.0
    assert 0 < found.probability((CF, "y", 2)) < 0.3


class Clock(Noise):
    """The value goes on by what its rate has changed."""

    def value(self, value, family, given, new, support):
        return value + new[0] - given[0]


def test_scaling_is_monotone():
    law = lambda x: ae.Gamma(2.0, at.exp(x))  # noqa: E731
    np.testing.assert_allclose(moved(law, 3.0, InverseCDF()), moved(law, 3.0))


def test_formulas_that_are_not_inverse_are_refused():
    wrong = Explicit(lambda y, m, s: (y - m) / s, lambda e, m, s: m + 2 * s * e)
    with pytest.raises(DataError, match=r"'y' are not inverse(.|\n)*6 for 3"):
        moved(lambda x: ae.Normal(x - 1.0, 1.0), 3.0, wrong)


def test_a_rule_of_ones_own(monkeypatch):
    law = lambda x: ae.VonMises(x, 1.0)  # noqa: E731
    with pytest.raises(ArgumentError, match="declare it: noise="):
        moved(law, 0.5)
    np.testing.assert_allclose(moved(law, 0.5, Clock()), -0.5)
    monkeypatch.setitem(NOISES, aer.VonMisesRV, Clock())
    np.testing.assert_allclose(moved(law, 0.5), -0.5)
    other = Explicit(lambda y, m, s: -y + m, lambda e, m, s: m - e)
    np.testing.assert_allclose(moved(lambda x: ae.Normal(x, 1.0), 3.0, other), 2.0)


@pytest.mark.parametrize(
    ("law", "noise", "words"),
    [
        (lambda x: ae.Gamma(at.exp(x), 1.0), None, "parameter 1 of gamma depends"),
        (lambda x: ae.Beta(at.exp(x), 1.0), None, "its family is beta"),
        (lambda x: ae.Beta(at.exp(x), 1.0), InverseCDF(), "neither a quantile"),
        (lambda x: ae.Normal(x, 1.0), GumbelMax(), "few values"),
        (lambda x: ae.Transformed(ae.Normal(x, 1.0), at.square), None, "no invertible maps"),
        (lambda x: ae.Beta(at.exp(x), 1.0), InverseCDF(), r"cannot say(.|\n)*Explicit\(noise"),
        (lambda x: ae.Gamma(at.exp(x), 1.0), InverseCDF(), r"cannot say(.|\n)*parameter 1 of"),
    ],
)
def test_what_is_refused(law, noise, words):
    with pytest.raises(ArgumentError, match=words):
        moved(law, 0.5, noise)
