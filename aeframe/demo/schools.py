"""Eight schools: one Model, sampled and approximated."""

from __future__ import annotations

import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from aesara.graph.basic import Variable

import aeframe as ae
from aeframe.demo.row import Row
from aeframe.infer import NUTS, SampledPosterior

EFFECT = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
ERROR = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
# posteriordb's reference draws
MU, TAU = 4.41, 3.60


class Schools(ae.Model):
    """Effects of coaching around a common mean (Rubin 1981), not centred."""

    def __call__(self, error: Variable) -> None:
        """``error`` is the standard error of each school's own estimate."""
        self.plate("school", list("ABCDEFGH"))
        mu = self.sample("mu", ae.Normal(0, 5))
        tau = self.sample("tau", ae.HalfCauchy(5))
        offset = self.sample("offset", ae.Normal(0, 1), dims="school")
        theta = self.deterministic("theta", mu + tau * offset, dims="school")
        self.sample("y", ae.Normal(theta, error), dims="school")


def run(out: Path) -> list[Row]:
    """Sample, and draw what is known of each school before and after."""
    start = time.perf_counter()
    model = Schools().observe({"y": EFFECT})
    posterior = model.fit(ERROR, inference=NUTS(target_acceptance=0.95))
    mu, tau = float(posterior.mean("mu")), float(posterior.mean("tau"))
    good = posterior.diagnose().good
    path = out / "eight_schools.png"
    draw(posterior, path)
    seconds = time.perf_counter() - start
    reached = good and abs(mu - MU) < 0.4 and abs(tau - TAU) < 0.4
    result = f"mean {mu:.2f}, scale {tau:.2f}, {'all checks passed' if good else 'checks failed'}"
    expected = f"mean {MU:.2f}, scale {TAU:.2f}"
    return [Row("eight schools, NUTS", result, expected, reached, seconds, "jax", path)]


def draw(posterior: SampledPosterior, path: Path) -> None:
    """Each school's own estimate, and the pooled one."""
    theta = posterior.dataset()["theta"]
    low, middle, high = theta.quantile([0.05, 0.5, 0.95], dim=("chain", "draw")).values
    figure, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
    rows = np.arange(8)
    ax.errorbar(EFFECT, rows + 0.15, xerr=1.645 * ERROR, fmt="o", color="0.6", label="alone")
    pooled = [middle - low, high - middle]
    ax.errorbar(middle, rows - 0.15, xerr=pooled, fmt="o", color="C0", label="pooled")
    ax.set_yticks(rows, theta["school"].values)
    ax.set(xlabel="effect of coaching, 90% intervals", ylabel="school")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)
    figure.savefig(path, dpi=130)
    plt.close(figure)
