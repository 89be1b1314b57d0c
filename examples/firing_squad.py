"""A firing squad (Pearl 2009, 7.1): the prisoner is dead, and would he live had A not shot.

``python examples/firing_squad.py`` takes ten seconds. The court orders, the captain signals, A
and B shoot; A is nervous and may shoot without a signal. Seeing, doing and imagining give three
answers from one Model; all are exact, as it has few cases.
"""

from __future__ import annotations

import argparse

import aeframe as ae


class Squad(ae.Model):
    """Two causes outside, the court's order and A's nerves; all else follows from them."""

    def __call__(self) -> None:  # noqa: D102
        order = self.sample("order", ae.Bernoulli(0.6))
        nervous = self.sample("nervous", ae.Bernoulli(0.3))
        signal = self.deterministic("signal", order)
        a = self.deterministic("A shoots", signal | nervous)
        b = self.deterministic("B shoots", signal)
        self.deterministic("dead", a | b)


def main() -> None:
    """Print each rung beside its known answer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the same: nothing is drawn at random")
    parser.parse_args()
    squad, spared = Squad(), {"A shoots": 0}

    def show(question: str, answer: float, exact: float) -> None:
        print(f"{question:<62} {answer:.6f}  exact {exact:.6f}")

    show("P(dead)", float(squad.fit().mean("dead")), 0.72)
    done = squad.intervene(spared)
    show("doing: P(dead) when A must not shoot", float(done.fit().mean("dead")), 0.6)
    told = squad.counterfactual(evidence={"dead": 1}, do=spared)
    alive = told.probability(("counterfactual", "dead", 0))
    show("imagining: P(alive had A not shot), knowing he is dead", alive, 1 / 6)
    calm = squad.counterfactual(evidence={"dead": 1, "nervous": 0}, do=spared)
    alive = calm.probability(("counterfactual", "dead", 0))
    show("the same, knowing also that A was calm", alive, 0.0)
    shoot = {"A shoots": 1}
    necessity = ae.causal.probability_of_necessity(squad, {"dead": 1}, shoot, spared)
    show("PN: A's shot was necessary, given that he shot", necessity, 1 / 6)
    sufficiency = ae.causal.probability_of_sufficiency(squad, {"dead": 1}, shoot, spared)
    show("PS: it would have been enough, given that nobody shot", sufficiency, 1.0)
    print("\nwhat the intervention changed:", ae.diff(squad, done), sep="\n")


if __name__ == "__main__":
    main()
