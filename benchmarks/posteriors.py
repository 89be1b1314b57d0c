"""The posteriors that inference is timed on: their data, the same for every system."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

Data = dict[str, np.ndarray]


def eight_schools() -> Data:
    """Rubin (1981): effects of coaching, not centred."""
    return {
        "y": np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0]),
        "sigma": np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0]),
    }


@cache
def radon() -> Data:
    """919 houses in 85 counties: an intercept for each county, centred."""
    rows = np.loadtxt(
        Path(__file__).parent.parent / "examples" / "data" / "radon.csv", delimiter=",", skiprows=1
    )
    county, floor, uranium, y = rows.T
    return {"county": county.astype("int64"), "floor": floor, "uranium": uranium, "y": y}


@cache
def horseshoe_logistic(n: int = 1000, p: int = 100) -> Data:
    """5 of 100 coefficients are not 0."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, p))
    beta = np.zeros(p)
    beta[:5] = [2.0, -2.0, 1.5, -1.0, 1.0]
    return {"x": x, "y": rng.binomial(1, 1 / (1 + np.exp(-x @ beta)))}


TASKS = {
    "eight_schools": (eight_schools, ("mu", "tau", "theta")),
    "radon": (radon, ("mu_alpha", "sigma_alpha", "sigma_y", "alpha", "beta")),
    "horseshoe_logistic": (horseshoe_logistic, ("beta",)),
}
"""Task → its data, and the sites whose smallest effective sample size counts."""
