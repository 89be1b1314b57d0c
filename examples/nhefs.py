"""Does who quits smoking gain weight? The effect in NHEFS, by four methods.

``python examples/nhefs.py`` takes half a minute. The data and the nine confounders are those of
Hernán and Robins, "Causal Inference: What If", chapters 12 and 13: 2.5 kg crude, 3.5 adjusted.
"""

# ruff: noqa: I001
from __future__ import annotations

import argparse
from pathlib import Path

import aeframe as ae
import pandas as pd

CONFOUNDERS = [
    *("sex", "race", "age", "education", "smokeintensity"),
    *("smokeyrs", "exercise", "active", "wt71"),
]
TERMS = (
    "sex + race + age + I(age**2) + C(education) + smokeintensity + I(smokeintensity**2) + smokeyrs"
    " + I(smokeyrs**2) + C(exercise) + C(active) + wt71 + I(wt71**2)"
)


def main() -> None:
    """Estimate, try to refute, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few draws")
    quick = parser.parse_args().quick
    draws, bootstrap = (100, ae.causal.Bootstrap(10)) if quick else (1000, ae.causal.Bootstrap(500))
    data = pd.read_csv(Path(__file__).parent / "data" / "nhefs.csv")
    outcome = ae.LinearModel(f"wt82_71 ~ qsmk * smokeintensity + {TERMS}", data)
    propensity = ae.causal.logistic(f"qsmk ~ {TERMS}")
    methods = {
        "crude": (ae.causal.IPW(bootstrap=bootstrap), []),
        "standardization": (ae.causal.GFormula(outcome, draws=draws), CONFOUNDERS),
        "weighting": (ae.causal.IPW(propensity, bootstrap=bootstrap), CONFOUNDERS),
        "doubly robust": (
            ae.causal.AIPW(outcome, propensity, folds=1 if quick else 5, draws=draws),
            CONFOUNDERS,
        ),
    }
    found = {
        name: ae.causal.estimate(data, "qsmk", "wt82_71", adjust, method)
        for name, (method, adjust) in methods.items()
    }
    for name, estimate in found.items():
        low, high = estimate.interval()
        print(f"{name:<15}  {estimate.effect:.2f} kg, 95% from {low:.2f} to {high:.2f}")
    print(found["doubly robust"])
    print(found["weighting"].refute())
    found["doubly robust"].plot().figure.savefig("nhefs.png", dpi=150)
    print("picture: nhefs.png")


if __name__ == "__main__":
    main()
