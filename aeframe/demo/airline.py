"""Airline passengers: a search over kernels finds the trend and the season."""

from __future__ import annotations

import time
from importlib.resources import files
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from aeframe import gp
from aeframe.demo.row import Row

TREND = 5.0  # years: an SE that varies more slowly is a trend


def data() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Years and thousands of passengers, month by month from 1949 to 1960."""
    text = files("aeframe").joinpath("demo_data/airline.csv").read_text()
    x, y = np.genfromtxt(text.splitlines(), delimiter=",", skip_header=1).T
    return x, y


def has_period_and_trend(kernel: gp.Kernel) -> bool:
    """Whether a kernel holds a Periodic of one year and a Linear or a long SE."""
    leaves = list(gp.leaf_kernels(kernel))
    yearly = any(
        isinstance(k, gp.Periodic) and abs(float(k.period.value) - 1.0) < 0.02 for k in leaves
    )
    trend = any(
        isinstance(k, gp.Linear) or (isinstance(k, gp.SE) and float(k.lengthscale.value) > TREND)
        for k in leaves
    )
    return yearly and trend


def run(out: Path) -> list[Row]:
    """Search on all twelve years; draw the fit and a forecast."""
    x, y = data()
    start = time.perf_counter()
    model = gp.GP()
    result = model.fit(x, y, search=gp.KernelSearch())
    path = out / "airline.png"
    ax = model.plot(extrapolate=0.25)
    ax.set(xlabel="year", ylabel="passengers (thousands)")
    ax.spines[["top", "right"]].set_visible(False)
    ax.figure.savefig(path, dpi=130)
    plt.close(ax.figure)
    seconds = time.perf_counter() - start
    text = f"{model.kernel}, BIC {result.bic:.1f}"
    reached, expected = has_period_and_trend(model.kernel), "Periodic and a trend"
    return [Row("airline, kernel search", text, expected, reached, seconds, "jax", path)]
