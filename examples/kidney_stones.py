"""Kidney stones (Charig et al. 1986): the treatment that looks worse is better.

``python examples/kidney_stones.py`` takes ten seconds. Doctors gave open surgery (A) to those with
large stones, so more of its patients stayed ill. Three ways to the effect of the treatment itself:
a Model that intervenes, the formula that its graph gives, on the table, and a posterior.
"""

# ruff: noqa: I001
from __future__ import annotations

import argparse

import aeframe as ae
import numpy as np
import pandas as pd

# (large stone, treatment A, recovered, patients)
COUNTS = [(0, 1, 1, 81), (0, 1, 0, 6), (1, 1, 1, 192), (1, 1, 0, 71)]
COUNTS += [(0, 0, 1, 234), (0, 0, 0, 36), (1, 0, 1, 55), (1, 0, 0, 25)]
TABLE = pd.DataFrame(COUNTS, columns=["size", "treatment", "recovered", "n"])
EXACT = 0.8325462174, 0.7788750000  # by the backdoor formula, from the counts
A, B = {"treatment": 1}, {"treatment": 0}


class KidneyStones(ae.Model):
    """The size decides which treatment is given, and both decide recovery."""

    def __call__(self, rows: tuple[int, ...] = ()) -> None:  # noqa: D102
        large = self.sample("large", ae.Beta(1, 1))
        treated = self.sample("treated", ae.Beta(1, 1), shape=(2,))  # by size
        cured = self.sample("cured", ae.Beta(1, 1), shape=(2, 2))  # by treatment and size
        size = self.sample("size", ae.Bernoulli(large), shape=rows)
        treatment = self.sample("treatment", ae.Bernoulli(treated[size]), shape=rows)
        self.sample("recovered", ae.Bernoulli(cured[treatment, size]), shape=rows)


def main() -> None:
    """One line for each way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few draws")
    draws = 100 if parser.parse_args().quick else 1000

    def show(way: str, a: float, b: float, note: str = "") -> None:
        print(f"{way:<34} A {a:.4f}  B {b:.4f}  difference {a - b:+.4f}  {note}")

    show("exact", *EXACT)
    graph = ae.causal.CausalGraph(
        [("size", "treatment"), ("size", "recovered"), ("treatment", "recovered")]
    )
    seen = ae.causal.P("recovered", "treatment")
    done = ae.causal.identify(graph, "recovered", do="treatment")
    for way, estimand in (("as seen", seen), ("the formula, on the table", done)):
        rates = estimand.evaluate(TABLE, weights="n").sel(recovered=1)
        show(way, *(float(rates.sel(treatment=t)) for t in (1, 0)), str(estimand))

    patients = TABLE.loc[np.repeat(TABLE.index, TABLE["n"])]
    columns = {name: patients[name].to_numpy() for name in ("size", "treatment", "recovered")}
    model = KidneyStones().observe(columns)
    posterior = model.fit((len(patients),), inference=ae.Exact())
    effect = ae.causal.ate(posterior, "recovered", A, B, (), n=draws, units=2000)
    print(effect)


if __name__ == "__main__":
    main()
