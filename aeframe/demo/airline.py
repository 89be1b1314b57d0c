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
    """Search on all years but the last three; draw the forecast over them."""
    x, y = data()
    known = x < 1958.0
    start = time.perf_counter()
    model = gp.GP()
    result = model.fit(x[known], y[known], search=gp.KernelSearch())
    path = out / "airline.png"
    draw(model, x, y, known, path)
    seconds = time.perf_counter() - start
    text = f"{model.kernel}, BIC {result.bic:.1f}"
    reached = has_period_and_trend(model.kernel)
    expected = "Periodic and a trend"
    return [Row("airline, kernel search", text, expected, reached, seconds, "jax", path)]


def draw(
    model: gp.GP,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    known: NDArray[np.bool_],
    path: Path,
) -> None:
    """The fit, the forecast, and what really came."""
    figure, ax = plt.subplots(figsize=(9, 4), layout="constrained")
    model.plot(np.linspace(x[0], x[-1], 400), ax=ax)
    ax.plot(x[~known], y[~known], "o", ms=3, mfc="white", mec="C3", label="not seen")
    ax.axvline(1958.0, color="0.6", lw=0.8, ls=":")
    ax.set(title=str(model.kernel), xlabel="year", ylabel="passengers (thousands)")
    ax.legend(frameon=False, loc="upper left")
    figure.savefig(path, dpi=130)
    plt.close(figure)
