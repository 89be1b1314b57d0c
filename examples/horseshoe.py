"""Sparse logistic regression: the horseshoe prior, sampled by Gibbs steps that rewrites find.

``python examples/horseshoe.py`` takes half a minute. Five of a hundred coefficients are not 0. The
model is written as a formula; its shape tells that Pólya-Gamma and horseshoe steps apply
(Polson, Scott and Windle 2013; Makalic and Schmidt 2016), and ``fit`` takes them.
"""

# ruff: noqa: I001
from __future__ import annotations

import argparse

import aeframe as ae
import numpy as np
import pandas as pd
from aeframe.prob import Horseshoe, families


def main() -> None:
    """Simulate, fit, and print the coefficients that are surely not 0."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few rows")
    n, p = (100, 10) if parser.parse_args().quick else (1000, 100)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, p))
    truth = np.zeros(p)
    truth[:5] = [2.0, -2.0, 1.5, -1.0, 1.0]
    names = [f"x{i}" for i in range(p)]
    data = pd.DataFrame(x, columns=names)
    data["y"] = rng.binomial(1, 1 / (1 + np.exp(-x @ truth)))
    model = ae.LinearModel(
        f"y ~ 0 + {' + '.join(names)}",
        data,
        family=families.Bernoulli(),
        coefficients=Horseshoe(),
    )
    posterior = model.fit()
    print(posterior.method, "-", posterior.why)
    found = posterior.statistics()["coefficients"]
    sure = (found["5%"] > 0) | (found["95%"] < 0)
    for i in np.flatnonzero(sure):
        print(f"{names[i]:4} {found['mean'][i]:6.2f} ± {found['sd'][i]:.2f}, truth {truth[i]:4.1f}")


if __name__ == "__main__":
    main()
