"""Stochastic volatility: the variance of a series follows a random walk of its own.

``python examples/stochastic_volatility.py`` takes a minute. The walk is one site of the length of
the series, so that the model is a handful of Applies however long it is.
"""

# ruff: noqa: I001
from __future__ import annotations

import argparse

import aeframe as ae
import aesara.tensor as at
import matplotlib.pyplot as plt
import numpy as np
from aeframe.infer import NUTS


class Volatility(ae.Model):
    """Returns with Student's t errors, their log scale a Gaussian random walk."""

    def __call__(self, steps=300):  # noqa: D102
        self.plate("day", steps)
        step = self.sample("step", ae.Exponential(20.0))
        df = self.sample("df", ae.Gamma(2.0, 0.1))
        first = self.sample("first", ae.Normal(-1.0, 2.0))
        moves = self.sample("moves", ae.Normal(0, 1), dims="day")
        log_scale = self.deterministic("log_scale", first + step * at.cumsum(moves), dims="day")
        self.sample("returns", ae.StudentT(df, 0.0, at.exp(log_scale)), dims="day")


def main() -> None:
    """Simulate returns, fit, and draw the volatility with its truth."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few draws")
    draws = 50 if parser.parse_args().quick else 500
    rng = np.random.default_rng(1)
    truth = np.exp(-1 + 0.08 * np.cumsum(rng.normal(size=300)))
    returns = truth * rng.standard_t(10, size=300)
    model = Volatility().observe({"returns": returns})
    posterior = model.fit(inference=NUTS(draws=draws, warmup=draws, target_acceptance=0.9))
    print(posterior.diagnose())
    scale = np.exp(posterior.dataset()["log_scale"])
    low, middle, high = scale.quantile([0.05, 0.5, 0.95], dim=("chain", "draw")).values
    inside = np.mean((truth > low) & (truth < high))
    print(f"{inside:.0%} of the true volatilities lie in their 90% intervals")
    _, axes = plt.subplots(figsize=(9, 4))
    axes.plot(np.abs(returns), ".", color="0.7", label="|return|")
    axes.fill_between(np.arange(300), low, high, alpha=0.3, label="90% interval")
    axes.plot(middle, label="median")
    axes.plot(truth, "k--", label="truth")
    axes.set(xlabel="day", ylabel="scale")
    axes.legend()
    axes.figure.savefig("stochastic_volatility.png", dpi=150)
    print("picture: stochastic_volatility.png")


if __name__ == "__main__":
    main()
