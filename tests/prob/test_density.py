"""The log joint of Models whose sites are expressions, mixtures and sequences."""

import aesara.tensor as at
import numpy as np
import pytest
from scipy import stats

import aeframe as ae


class Flow(ae.Model):
    """A transformed site, a bounded one with a random end, and a mixture that depends on both."""

    def __call__(self):
        p = self.sample("p", ae.Transformed(ae.Normal(0.3, 1.2), at.sigmoid))
        high = self.sample("high", ae.HalfNormal(2.0))
        x = self.sample("x", ae.Uniform(0.0, high))
        weights = at.stack([p, 1 - p])
        self.sample("y", ae.Mixture(weights, ae.Normal(at.stack([x, -x]), 0.5)), shape=(3,))


VALUES = {"p": 0.3, "high": 1.5, "x": 0.8, "y": np.array([0.5, -1.0, 2.0])}


@pytest.mark.parametrize("backend", ["jax", "c"])
def test_a_joint_of_derived_sites(backend):
    wanted = stats.norm(0.3, 1.2).logpdf(np.log(0.3 / 0.7)) - np.log(0.3 * 0.7)
    wanted += stats.halfnorm(0.0, 2.0).logpdf(1.5) - np.log(1.5)
    parts = 0.3 * stats.norm(0.8, 0.5).pdf(VALUES["y"]) + 0.7 * stats.norm(-0.8, 0.5).pdf(
        VALUES["y"]
    )
    with ae.Backend(backend):
        found = Flow().log_prob(VALUES)
        np.testing.assert_allclose(found, wanted + np.log(parts).sum(), rtol=1e-9)
        assert Flow().log_prob({**VALUES, "x": 1.6}) == -np.inf
        assert Flow().log_prob({**VALUES, "p": 1.1}) == -np.inf


def test_draws_of_derived_sites():
    found = Flow().prior_predictive(500, seed=3)
    assert np.all((found["p"] > 0) & (found["p"] < 1))
    assert np.all(found["x"] < found["high"])
    assert found["y"].shape == (500, 3)
