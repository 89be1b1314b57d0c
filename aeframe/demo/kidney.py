"""Kidney stones: the treatment that looks worse is better, once the model intervenes."""

from __future__ import annotations

import csv
import time
from importlib.resources import files
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

import aeframe as ae
from aeframe.demo.row import Row
from aeframe.infer import Enumeration

TREATMENTS = {"A": 1, "B": 0}
EXACT = {"A": 0.8325, "B": 0.7789, "effect": 0.0537, "naive": -0.0457}


class KidneyStones(ae.Model):
    """Stone size decides which treatment is given, and both decide recovery.

    1 is a large stone, treatment A (open surgery), recovery. ``rows`` is the shape of the data:
    ``(700,)`` for all patients, ``()`` for one.
    """

    def __init__(self) -> None:
        unit = ae.Interval()
        self.large = ae.Parameter(0.5, support=unit)
        self.treated = ae.Parameter([0.5, 0.5], support=unit)  # by size
        self.cured = ae.Parameter(np.full((2, 2), 0.5), support=unit)  # by treatment and size

    def __call__(self, rows: tuple[int, ...] = ()) -> None:
        """One site for each column of the data."""
        size = self.sample("size", ae.Bernoulli(self.large), shape=rows)
        treatment = self.sample("treatment", ae.Bernoulli(self.treated[size]), shape=rows)
        self.sample("recovered", ae.Bernoulli(self.cured[treatment, size]), shape=rows)


def patients() -> dict[str, NDArray[np.int64]]:
    """One entry for each of the 700 patients: size, treatment and recovered, as 0 and 1."""
    text = files("aeframe").joinpath("demo_data/kidney_stones.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    coded = {
        "size": [r["size"] == "large" for r in rows],
        "treatment": [r["treatment"] == "A" for r in rows],
        "recovered": [r["recovered"] == "1" for r in rows],
    }
    counts = [int(r["n"]) for r in rows]
    return {name: np.repeat(np.array(v, dtype=int), counts) for name, v in coded.items()}


def fitted() -> KidneyStones:
    """The Model with its Parameters at maximum likelihood on all patients."""
    model, data = KidneyStones(), patients()
    model.observe(data).fit(data["size"].shape, inference=ae.MAP(restarts=1))
    return model


def recovery(model: ae.Model) -> float:
    """The exact probability of recovery in a Model of one patient."""
    return float(model.fit(inference=Enumeration()).mean("recovered"))


def by_formula(model: ae.Model) -> dict[str, float]:
    """Recovery under each treatment from the data alone, as the graph of the Model allows."""
    effect = ae.causal.identify(model, "recovered", do="treatment")
    rates = effect.evaluate(patients()).sel(recovered=1)
    return {name: float(rates.sel(treatment=t)) for name, t in TREATMENTS.items()}


def run(out: Path) -> list[Row]:
    """Fit, condition, intervene, identify; draw the graph and the answers side by side."""
    start = time.perf_counter()
    model = fitted()
    seen = {name: recovery(model.observe({"treatment": t})) for name, t in TREATMENTS.items()}
    done = {name: recovery(model.intervene({"treatment": t})) for name, t in TREATMENTS.items()}
    path = out / "kidney_stones.png"
    draw(seen, done, path)
    found = {**done, "effect": done["A"] - done["B"], "naive": seen["A"] - seen["B"]}
    reached = all(abs(found[k] - v) < 1e-4 for k, v in EXACT.items())
    reached &= all(abs(done[k] - v) < 1e-4 for k, v in by_formula(model).items())
    seconds = time.perf_counter() - start

    def text(v: dict[str, float]) -> str:
        effect = f"difference {v['effect']:+.4f}, naive {v['naive']:+.4f}"
        return f"do(A) {v['A']:.4f}, do(B) {v['B']:.4f}, {effect}"

    expected = text(EXACT)
    return [Row("kidney stones, intervene", text(found), expected, reached, seconds, "jax", path)]


def draw(seen: dict[str, float], done: dict[str, float], path: Path) -> None:
    """The graph before and after, and recovery by treatment as observed and as intervened."""
    figure, axes = plt.subplots(2, 2, figsize=(8, 5.6), layout="constrained")
    model = KidneyStones()
    ae.causal.plot(model, model.intervene({"treatment": 1}), ax=axes[0])
    titles = "as observed: P(recovered | treatment)", "intervention: P(recovered | do(treatment))"
    for ax, rates, title in zip(axes[1], (seen, done), titles, strict=True):
        values = list(rates.values())
        best = values.index(max(values))
        ax.plot(values, [0, 1], color="0.8", zorder=0)
        for i, value in enumerate(values):
            ax.plot(value, i, "o", ms=9, color="C0" if i == best else "0.55")
            ax.annotate(
                f"{value:.4f}", (value, i), (0, 10), textcoords="offset points", ha="center"
            )
        ax.set_yticks([0, 1], ["A, open surgery", "B, nephrolithotomy"])
        ax.set(xlabel="probability of recovery", xlim=(0.75, 0.86), ylim=(-0.5, 1.6))
        ax.set_title(title, fontsize=10)
        ax.spines[["top", "right"]].set_visible(False)
    axes[1, 1].set_yticklabels([])
    figure.savefig(path, dpi=130)
    plt.close(figure)
