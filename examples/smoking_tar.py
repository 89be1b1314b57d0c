"""Smoking and tar (Pearl 2009, 3.3.3): an effect found though its confounder was never measured.

``python examples/smoking_tar.py`` takes ten seconds. A hidden gene makes people smoke and makes
them ill. Smoking acts through tar alone, and the gene does not: the frontdoor. In these made-up
data smokers are ill far less often, and smoking harms. A Model that knows the gene checks the
formula; without tar there is none, and the refusal carries its proof.
"""

# ruff: noqa: I001
from __future__ import annotations

import argparse

import aeframe as ae
import matplotlib
import pandas as pd
from aeframe.causal import CausalGraph, P, backdoor_sets, frontdoor_sets, identify
from aeframe.core.errors import NotIdentifiableError

matplotlib.use("Agg")

# (smoking, tar, cancer, thousands of people)
COUNTS = [(1, 1, 1, 57), (1, 1, 0, 323), (1, 0, 1, 2), (1, 0, 0, 18)]
COUNTS += [(0, 1, 1, 19), (0, 1, 0, 1), (0, 0, 1, 342), (0, 0, 0, 38)]
TABLE = pd.DataFrame(COUNTS, columns=["smoking", "tar", "cancer", "n"])
EXACT = 0.5025, 0.5475  # P(cancer | do(no smoking)), P(cancer | do(smoking))


class Smoking(ae.Model):
    """The same graph with the gene in it, and numbers of our own."""

    def __call__(self) -> None:  # noqa: D102
        gene = self.sample("gene", ae.Bernoulli(0.4))
        smoking = self.sample("smoking", ae.Bernoulli(0.2 + 0.6 * gene))
        tar = self.sample("tar", ae.Bernoulli(0.1 + 0.8 * smoking))
        self.sample("cancer", ae.Bernoulli(0.1 + 0.2 * tar + 0.5 * gene))


def main() -> None:
    """Identify, evaluate, check on a Model, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the same: nothing is drawn at random")
    parser.parse_args()
    graph = CausalGraph.of(Smoking(), hidden="gene")
    print("graph:", graph)
    for name, sets in (("backdoor", backdoor_sets), ("frontdoor", frontdoor_sets)):
        found = [", ".join(sorted(s)) for s in sets(graph, "cancer", do="smoking")]
        print(f"{name} sets:", "; ".join(found) or "none")
    effect = identify(graph, "cancer", do="smoking")
    print(f"P(cancer | do(smoking)) = {effect}\n")

    def show(way: str, no: float, yes: float) -> None:
        print(f"{way:<34} none {no:.4f}  smoking {yes:.4f}  difference {yes - no:+.4f}")

    seen = P("cancer", "smoking")
    show("exact", *EXACT)
    for way, estimand, source in (
        ("the formula, on the table", effect, TABLE),
        ("as seen in the table", seen, TABLE),
        ("the formula, on the Model's joint", effect, Smoking()),
        ("as seen in the Model", seen, Smoking()),
    ):
        weights = "n" if source is TABLE else None
        rates = estimand.evaluate(source, weights=weights).sel(cancer=1)
        show(way, *(float(rates.sel(smoking=s)) for s in (0, 1)))
    on, off = {"smoking": 1}, {"smoking": 0}
    done = ae.causal.ate(Smoking(), "cancer", on, off, inference=ae.Enumeration())
    show("intervening on the Model", done.value("control"), done.value("treated"))

    try:
        identify(graph.project("tar"), "cancer", do="smoking")
    except NotIdentifiableError as refused:
        print("\nif tar were not measured:", refused, sep="\n")
    axes = ae.causal.plot(Smoking(), Smoking().intervene({"smoking": 1}))
    axes[0].figure.savefig("smoking_tar.png", dpi=150)
    print("picture: smoking_tar.png")


if __name__ == "__main__":
    main()
