"""A network as the outcome model: an effect behind confounding that is not linear.

``python examples/outcome_network.py`` takes half a minute. The data are simulated, so the effect
is known: 2 for everyone. Treatment and outcome depend on waves and products of what was measured; a
linear model misses them, a network finds them, and AIPW corrects what it still misses.
"""

# ruff: noqa: I001
from __future__ import annotations

import argparse
from typing import Any

import aeframe as ae
import numpy as np
import pandas as pd
from sklearn.linear_model import LinearRegression

from aeframe import nn
from aeframe.causal import AIPW, Bootstrap, GFormula, Network, logistic


def simulated(n: int, seed: int = 0) -> pd.DataFrame:
    """Four causes of treatment and outcome, of which three matter."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2, 2, (n, 4))
    risk = np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] / 2
    treated = rng.random(n) < 1 / (1 + np.exp(-risk))
    outcome = 2.0 * treated + 3.0 * risk + rng.normal(size=n)
    columns = {f"x{k}": x[:, k] for k in range(4)}
    return pd.DataFrame({**columns, "treated": treated, "outcome": outcome})


def network(loss: Any, epochs: int) -> Network:
    """Two hidden layers, ready to be trained on each fold."""
    layers = nn.Dense(32), nn.relu, nn.Dense(32), nn.relu, nn.Dense(1)
    net = nn.Sequential(*layers).compile(optimizer=ae.Adam(5e-3), loss=loss)
    return Network(net, epochs=epochs, batch_size=64)


def main() -> None:
    """Compare linear models and networks, with and without the correction."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few rows, one epoch")
    quick = parser.parse_args().quick
    data = simulated(200 if quick else 4000)
    outcome = network(nn.mean_squared_error, 1 if quick else 20)
    propensity = network(nn.binary_cross_entropy, 1 if quick else 10)
    folds, bootstrap = (2, Bootstrap(2)) if quick else (5, Bootstrap(10))
    methods = {
        "linear": GFormula(LinearRegression(), bootstrap=bootstrap),
        "linear, doubly robust": AIPW(LinearRegression(), logistic(), folds=folds),
        "network": GFormula(outcome, bootstrap=bootstrap),
        "network, doubly robust": AIPW(outcome, propensity, folds=folds),
    }
    causes = [c for c in data if c.startswith("x")]
    print("the effect is 2")
    for name, method in methods.items():
        found = ae.causal.estimate(data, "treated", "outcome", causes, method)
        print(f"{name:<23} {found.effect:.2f} ± {found.se:.2f}")


if __name__ == "__main__":
    main()
