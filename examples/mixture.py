"""A mixture of normal distributions: the labels are summed out, then asked for.

``python examples/mixture.py`` takes half a minute. ``Mixture`` sums over which component a number
came from, so that gradients exist and NUTS applies; ordered means tell the components apart.
"""

# ruff: noqa: I001
from __future__ import annotations

import argparse

import aeframe as ae
import numpy as np
from aeframe.infer import NUTS
from scipy.stats import norm


class Clusters(ae.Model):
    """Three normal components with ordered means."""

    def __call__(self, n=400):  # noqa: D102
        weights = self.sample("weights", ae.Dirichlet(np.ones(3)))
        means = self.sample("means", ae.Sorted(ae.Normal(0, 5), 3))
        sds = self.sample("sds", ae.HalfNormal(2), shape=(3,))
        self.sample("y", ae.Mixture(weights, ae.Normal(means, sds)), shape=(n,))


def main() -> None:
    """Simulate, fit, and say which component each number most likely came from."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few draws")
    draws = 50 if parser.parse_args().quick else 1000
    rng = np.random.default_rng(0)
    label = rng.choice(3, size=400, p=[0.3, 0.5, 0.2])
    y = rng.normal(np.array([-4.0, 0.0, 3.0])[label], np.array([0.7, 1.0, 0.5])[label])
    posterior = Clusters().observe({"y": y}).fit(inference=NUTS(draws=draws, warmup=draws))
    print(posterior.summary())
    found = posterior.draws(200)
    parts = norm(found["means"][:, None], found["sds"][:, None]).pdf(y[:, None])
    odds = found["weights"][:, None] * parts
    chance = (odds / odds.sum(axis=-1, keepdims=True)).mean(axis=0)
    print(f"{np.mean(chance.argmax(axis=1) == label):.1%} of the labels are found")


if __name__ == "__main__":
    main()
