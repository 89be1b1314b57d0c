"""A network whose weights are random variables learns the digits, and knows what it does not.

``python examples/bayesian_network.py`` takes a minute. Layers take random variables as weights, so
a Bayesian network is a Model of five lines. Mean-field variational inference fits it; the entropy
of its predictions is larger for images that are no digits.
"""

# ruff: noqa: I001
from __future__ import annotations

import argparse

import aeframe as ae
import numpy as np
from aeframe import nn
from aeframe.infer import MeanField
from numpy.typing import NDArray
from sklearn.datasets import load_digits


class BayesianNetwork(ae.Model):
    """64-32-10, normal weights with variance 1 / inputs (Neal 1996)."""

    def __call__(self, x):  # noqa: D102
        w = self.sample("w", ae.Normal(0, 64**-0.5), shape=(64, 32))
        b = self.sample("b", ae.Normal(0, 1), shape=(32,))
        v = self.sample("v", ae.Normal(0, 32**-0.5), shape=(32, 10))
        c = self.sample("c", ae.Normal(0, 1), shape=(10,))
        hidden = nn.relu(nn.Dense(w, b)(x))
        self.sample("digit", ae.Categorical(logits=nn.Dense(v, c)(hidden)))


def entropy(labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of each row's distribution over labels, from draws (draw, row), in nats."""
    p = np.stack([(labels == k).mean(axis=0) for k in range(10)])
    return -np.sum(p * np.log(np.maximum(p, 1e-12)), axis=0)


def main() -> None:
    """Fit, test, and compare digits with noise."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few steps")
    steps = 100 if parser.parse_args().quick else 4000
    x, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    order = rng.permutation(len(x))
    x, y = x[order] / 16 - 0.3, y[order]
    train, test = slice(None, 1437), slice(1437, None)
    model = BayesianNetwork().observe({"digit": y[train]})
    posterior = model.fit(x[train], inference=MeanField(steps=steps))
    labels = posterior.predict(x[test], n=200)["digit"]
    votes = np.stack([(labels == k).sum(axis=0) for k in range(10)]).argmax(axis=0)
    print(f"accuracy {np.mean(votes == y[test]):.3f}")
    noise = rng.permuted(x[test], axis=1)
    shuffled = posterior.predict(noise, n=200)["digit"]
    print(f"entropy: digits {entropy(labels).mean():.2f}, noise {entropy(shuffled).mean():.2f}")


if __name__ == "__main__":
    main()
