"""Enumeration against Bayes' theorem by hand."""

import itertools

import aesara.tensor as at
import numpy as np
import pytest
from scipy import stats

import aeframe as ae
from aeframe.core.errors import ArgumentError, DataError, UnknownNameError
from aeframe.infer import Enumeration

RAIN, SPRINKLER, WET = 0.2, (0.4, 0.01), ((0.0, 0.8), (0.9, 0.99))


class Lawn(ae.Model):
    """Rain, sprinkler, wet grass."""

    def __call__(self):
        rain = self.sample("rain", ae.Bernoulli(RAIN))
        sprinkler = self.sample("sprinkler", ae.Bernoulli(at.constant(SPRINKLER)[rain]))
        self.sample("wet", ae.Bernoulli(at.constant(WET)[sprinkler, rain]))
        self.deterministic("either", at.maximum(rain, sprinkler))


def joint(rain, sprinkler, wet):
    def bernoulli(p, value):
        return p if value else 1 - p

    return (
        bernoulli(RAIN, rain)
        * bernoulli(SPRINKLER[rain], sprinkler)
        * bernoulli(WET[sprinkler][rain], wet)
    )


@pytest.mark.parametrize("backend", ["jax", "c"])
def test_posterior_evidence_and_means(backend):
    with ae.Backend(backend):
        posterior = Lawn().observe({"wet": 1}).fit()
    table = {(r, s): joint(r, s, 1) for r, s in itertools.product((0, 1), repeat=2)}
    evidence = sum(table.values())
    np.testing.assert_allclose(np.exp(posterior.log_evidence), evidence, rtol=1e-12)
    rain = sum(p for (r, _), p in table.items() if r) / evidence
    np.testing.assert_allclose(posterior.mean("rain"), rain, rtol=1e-12)
    np.testing.assert_allclose(posterior.mean("either"), 1 - table[0, 0] / evidence, rtol=1e-12)
    np.testing.assert_allclose(
        posterior.probability({"rain": 1, "sprinkler": 1}), table[1, 1] / evidence, rtol=1e-12
    )
    assert isinstance(posterior.method, Enumeration)
    assert "exact" in posterior.summary()


def test_everything_without_observations():
    posterior = Lawn().fit()
    for values in itertools.product((0, 1), repeat=3):
        event = dict(zip(("rain", "sprinkler", "wet"), values, strict=True))
        np.testing.assert_allclose(posterior.probability(event), joint(*values), atol=1e-15)


def test_draws_and_predictions():
    posterior = Lawn().observe({"wet": 1}).fit()
    drawn = posterior.predict(n=4000, seed=1)
    error = np.sqrt(0.25 / 4000)
    assert abs(drawn["rain"].mean() - posterior.mean("rain")) < 3 * error
    assert set(np.unique(drawn["wet"])) == {0, 1}


def test_plates_and_continuous_observations():
    class Mixture(ae.Model):
        def __call__(self):
            z = self.sample("z", ae.Bernoulli(0.3), shape=(4,))
            self.sample("y", ae.Normal(3.0 * z, 1.0))

    y = np.array([0.0, 3.0, 1.5, -1.0])
    posterior = Mixture().observe({"y": y}).fit()
    odds = 0.3 / 0.7 * np.exp(-0.5 * ((y - 3) ** 2 - y**2))
    np.testing.assert_allclose(posterior.mean("z"), odds / (1 + odds), rtol=1e-10)
    assert len(posterior.probabilities) == 16


class Cascade(ae.Model):
    """A die says how biased four coins are; two things of three kinds add to the heads."""

    def __call__(self, shift):
        die = self.sample("die", ae.DiscreteUniform(1, 6))
        kind = self.sample("kind", ae.Categorical([0.2, 0.3, 0.5]), shape=(2,))
        heads = self.sample("heads", ae.Binomial(4, die / 10.0))
        self.sample("y", ae.Normal(heads + kind + shift, 0.7))


@pytest.mark.parametrize("backend", ["jax", "c"])
def test_finite_supports_against_the_sum_by_hand(backend):
    y, shift = np.array([2.0, 3.5]), np.array([0.5, -0.5])
    with ae.Backend(backend):
        posterior = Cascade().observe({"y": y}).fit(shift)
    assert isinstance(posterior.method, Enumeration)
    weights = {}
    for die, a, b, heads in itertools.product(range(1, 7), range(3), range(3), range(5)):
        seen = stats.norm(heads + np.array([a, b]) + shift, 0.7).pdf(y).prod()
        prior = np.array([0.2, 0.3, 0.5])[[a, b]].prod() / 6
        weights[die, a, b, heads] = seen * prior * stats.binom(4, die / 10).pmf(heads)
    total = sum(weights.values())
    np.testing.assert_allclose(np.exp(posterior.log_evidence), total, rtol=1e-7)
    die = sum(w * k[0] for k, w in weights.items()) / total
    kind = [sum(w * k[i] for k, w in weights.items()) / total for i in (1, 2)]
    np.testing.assert_allclose(posterior.mean("die"), die, rtol=1e-7)
    np.testing.assert_allclose(posterior.mean("kind"), kind, rtol=1e-7)
    both = sum(w for k, w in weights.items() if k[0] == 6 and k[3] == 2) / total
    np.testing.assert_allclose(posterior.probability({"die": 6, "heads": 2}), both, rtol=1e-7)


class Improper(ae.Model):
    """A coin that may have the probability 1.4."""

    def __call__(self):
        s = self.sample("s", ae.Bernoulli(0.5))
        c = self.sample("c", ae.Bernoulli(0.8 + 0.6 * s))
        self.sample("y", ae.Normal(c, 1.0))


class Endless(ae.Model):
    def __call__(self):
        n = self.sample("n", ae.Poisson(3.0))
        self.sample("y", ae.Normal(n, 1.0))


class Many(ae.Model):
    """More coins than anybody sums over, or a continuous site."""

    def __call__(self, n=25, real=False):
        if real:
            self.sample("mu", ae.Normal(0, 1))
        self.sample("coins", ae.Bernoulli(0.5), shape=(n,))


@pytest.mark.parametrize(
    ("use", "error", "words"),
    [
        (lambda: Many().fit(inference=Enumeration()), ArgumentError, r"2\^25 assignments"),
        (lambda: Many().fit(3, True, inference=Enumeration()), ArgumentError,
         "'mu': it has no finite"),
        (lambda: Endless().fit(inference=Enumeration()), ArgumentError, "'n': it has no finite"),
        (lambda: Cascade().observe({"y": [1, 2]}).fit(0.0, inference=Enumeration(269)),
         ArgumentError, r"6\^1 · 3\^2"),
        (lambda: Lawn().observe({"wet": 1, "rain": 0, "sprinkler": 0}).fit(inference=Enumeration()),
         DataError, "impossible"),
        (lambda: Improper().observe({"y": 0.3}).fit(inference=Enumeration()), DataError,
         "probabilities of 'c' do not sum to 1"),
        (lambda: Lawn().fit().mean("rian"), UnknownNameError, "did you mean 'rain'"),
    ],
)  # fmt: skip
def test_wrong_uses(use, error, words):
    with pytest.raises(error, match=words):
        use()
