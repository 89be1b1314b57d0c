"""Estimate: an effect, how sure it is, and what was checked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from aeframe.causal.estimation.problem import Problem, Vector
from aeframe.core.errors import ArgumentError
from aeframe.core.structure import Structure
from aeframe.core.summary import plain_table, render
from aeframe.infer.diagnosis import Check

if TYPE_CHECKING:
    from rich.table import Table

    from aeframe.causal.estimation.refute import Refutation, Refuter


class Method(Structure):
    """A way to estimate an effect from data: one method, :meth:`run`."""

    def run(self, problem: Problem) -> Estimate:
        """The estimate."""
        raise NotImplementedError(f"{type(self).__name__} does not say how to run")

    def point(self, problem: Problem) -> float:
        """The effect alone, where that is cheaper than the estimate."""
        return self.run(problem).effect

    def placebo(self, problem: Problem, rng: np.random.Generator) -> Problem:
        """The problem without an effect: the treatment in random order."""
        return shuffled(problem, problem.treatment, rng)

    def plus(self, name: str) -> Method:
        """The method with one more column in its models; that column is in ``adjust`` too."""
        return self


@dataclass(frozen=True)
class Estimate:
    """An effect with its uncertainty.

    Attributes
    ----------
    problem, method
        What was asked, and how it was answered.
    effect
        In units of the outcome (for 2SLS: per unit of the treatment).
    se
        Its standard error, or posterior standard deviation.
    draws
        Of the effect: from the posterior or the bootstrap, as ``source`` says, (n,).
    source
        Where the uncertainty comes from.
    means
        The mean outcome untreated and treated, where the method has them.
    checks
        What was looked at: overlap, strength of instruments.
    """

    problem: Problem
    method: Method
    effect: float
    se: float
    draws: Vector
    source: str
    means: tuple[float, float] | None = None
    checks: tuple[Check, ...] = ()

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """The central interval of the draws that holds ``level`` of them."""
        if not 0 < level < 1:
            raise ArgumentError("a level is between 0 and 1", expected="0.95", got=repr(level))
        low, high = np.quantile(self.draws, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)

    def table(self) -> Table:
        """Mean outcomes and the effect."""
        problem, (low, high) = self.problem, self.interval()
        table = plain_table("", "", "estimate", "se", "2.5%", "97.5%")
        for value, mean in enumerate(self.means or ()):
            table.add_row(
                f"mean {problem.outcome}, do({problem.treatment} = {value})", f"{mean:.4g}"
            )
        table.add_row(self.name, *(f"{v:.4g}" for v in (self.effect, self.se, low, high)))
        return table

    @property
    def name(self) -> str:
        """Which effect of what on what."""
        problem = self.problem
        kind = "effect" if self.means is None else problem.over.label
        return f"{kind} of {problem.treatment} on {problem.outcome}"

    def summary(self) -> str:
        """The table, and each check that failed, in words."""
        head = f"{type(self.method).__name__}, {len(self.problem)} rows, {self.source}"
        told = [f"{c.words}. {c.fix}".strip() for c in self.checks if not c.good]
        return "\n".join([head, render(self.table()), *told])

    __str__ = summary

    def plot(self) -> Any:
        """The draws of the effect, its 95% interval and 0; returns the axes."""
        import matplotlib.pyplot as plt

        _, axes = plt.subplots()
        axes.hist(self.draws, bins="auto", density=True, alpha=0.4)
        low, high = self.interval()
        axes.axvspan(low, high, alpha=0.15)
        axes.axvline(self.effect, label=f"{self.effect:.3g}, 95%: {low:.3g} to {high:.3g}")
        axes.axvline(0.0, color="black", linestyle="--", linewidth=0.8)
        axes.set(xlabel=self.name, ylabel="density")
        axes.legend()
        return axes

    def refute(self, *refuters: Refuter) -> Refutation:
        """What becomes of the estimate where it should vanish, or stay: see the refuters.

        By default a placebo, a random common cause, subsets and the E-value.
        """
        from aeframe.causal.estimation.refute import refute

        return refute(self, refuters)


def shuffled(problem: Problem, name: str, rng: np.random.Generator) -> Problem:
    """The problem with one column in random order."""
    mixed = problem.data[name].to_numpy()[rng.permutation(len(problem))]
    return replace(problem, data=problem.data.assign(**{name: mixed}))
