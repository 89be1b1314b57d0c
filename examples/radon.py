"""Radon in Minnesota: a linear model with an intercept for each of 85 counties.

``python examples/radon.py`` takes a minute. What formulas write in one line is a Model like any
other: here it is compared with the same model without counties by leave-one-out cross-validation.
"""

# ruff: noqa: I001
from __future__ import annotations

import argparse
from pathlib import Path

import aeframe as ae
import pandas as pd
from aeframe.infer import NUTS


def main() -> None:
    """Fit with and without counties, compare, draw the effect of the floor."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few draws")
    draws = 60 if parser.parse_args().quick else 1000
    data = pd.read_csv(Path(__file__).parent / "data" / "radon.csv")
    data["county"] = [f"county {i:02d}" for i in data["county"]]
    formulas = {
        "pooled": "log_radon ~ floor + log_uranium",
        "by county": "log_radon ~ floor + log_uranium + (1 | county)",
    }
    nuts = NUTS(draws=draws, warmup=draws)
    for name, formula in formulas.items():
        model = ae.LinearModel(formula, data)
        posterior = model.fit(inference=nuts)
        print(name, posterior.summary(), posterior.loo(), sep="\n")
    axes = model.plot_effects(posterior, "log_uranium", by="floor")
    axes.figure.savefig("radon.png", dpi=150)
    print("picture: radon.png")


if __name__ == "__main__":
    main()
