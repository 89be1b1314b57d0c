"""Credible intervals of effects: the posterior's, not that of a few units."""

import numpy as np

import aeframe as ae
from aeframe.causal import policy_value


class Shifted(ae.Model):
    def __call__(self):
        shift = self.sample("shift", ae.Normal(0, 0.1))
        self.sample("seen", ae.Normal(shift, 0.1))
        x = self.sample("x", ae.Normal(0, 1))
        self.sample("y", ae.Normal(shift + x, 1))


def test_few_units_do_not_widen_the_credible_interval():
    posterior = Shifted().observe({"seen": 0.0}).fit(inference=ae.Exact())
    found = policy_value(posterior, "y", {"x": 0.0}, n=2000, units=100)
    np.testing.assert_allclose(found.draws.std(), 0.1 / np.sqrt(2), rtol=0.15)
    np.testing.assert_allclose(found.error(), np.sqrt((0.005 + 0.01) / 2000), rtol=0.1)
    assert len(policy_value(posterior, "y", {"x": 0.0}, n=2).outcomes["policy", "y"]) == 100
