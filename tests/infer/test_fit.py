"""Which method ``fit`` chooses, and what it says of the choice."""

import aesara.tensor as at
import numpy as np
import pytest

import aeframe as ae


def model_of(call, **parts):
    made = type("Made", (ae.Model,), {"__call__": call})()
    for name, value in parts.items():
        setattr(made, name, value)
    return made


def coin(self):
    self.sample("y", ae.Bernoulli(0.2 + 0.6 * self.sample("z", ae.Bernoulli(0.5))))


def die(self):
    self.sample("y", ae.Normal(self.sample("die", ae.DiscreteUniform(1, 6)), 1.0))


def coins(self):
    self.sample("y", ae.Poisson(1 + at.sum(self.sample("z", ae.Bernoulli(0.5), shape=(40,)))))


def rate(self):
    self.sample("y", ae.Poisson(self.sample("rate", ae.Gamma(2, 5))), shape=(3,))


def normal(self):
    mu, precision = self.sample("mu", ae.Normal(0, 9)), self.sample("precision", ae.Gamma(2, 2))
    self.sample("y", ae.Normal(mu, precision**-0.5), shape=(3,))


def scale(self):
    mu, sd = self.sample("mu", ae.Normal(0, 9)), self.sample("sd", ae.HalfNormal(1))
    self.sample("y", ae.Normal(mu, sd), shape=(3,))


def clusters(self):
    z = self.sample("z", ae.Bernoulli(0.5), shape=(3,))
    means = self.sample("means", ae.Normal(0, 9), shape=(2,))
    self.sample("y", ae.Normal(at.as_tensor(means)[z], 1.0))


def learned(self):
    self.sample("y", ae.Normal(self.w, self.sample("sd", ae.HalfNormal(1))), shape=(3,))


Y = np.array([1, 0, 2])


@pytest.mark.parametrize(
    ("call", "y", "method", "words"),
    [
        (coin, 1, ae.Enumeration, "few values"),
        (die, 1.0, ae.Enumeration, "few values"),
        (coins, 3, ae.Gibbs, "discrete|exactly"),
        (rate, Y, ae.Exact, "posterior itself"),
        (normal, Y, ae.Gibbs, "exactly given the others"),
        (clusters, Y, ae.Gibbs, "discrete|exactly"),
        (scale, Y, ae.NUTS, "continuous"),
        (learned, Y, ae.MAP, "parameters"),
    ],
    ids=lambda v: getattr(v, "__name__", ""),
)
def test_the_choice_and_its_reason(call, y, method, words):
    parts = {"w": ae.Parameter(0.0)} if call is learned else {}
    chosen, why = ae.infer.choose(model_of(call, **parts).observe({"y": y}), ())
    assert isinstance(chosen, method)
    assert why.startswith("chosen")
    import re

    assert re.search(words, why)


def test_fit_says_why():
    posterior = model_of(rate).observe({"y": Y}).fit()
    assert posterior.why.startswith("chosen, as rules find the posterior itself (")
    assert "gamma-poisson" in posterior.why.lower()
    assert posterior.why in posterior.summary()


def test_fit_finds_an_exact_posterior_once(monkeypatch):
    runs, run = [], ae.Exact.run
    monkeypatch.setattr(ae.Exact, "run", lambda *given: runs.append(given) or run(*given))
    posterior = model_of(rate).observe({"y": Y}).fit()
    assert len(runs) == 1
    assert float(posterior.mean("rate")) == (2 + 3) / (5 + 3)
