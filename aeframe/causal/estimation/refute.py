"""Refuters: change the problem so that the right answer is known, and estimate again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from aeframe.causal.estimation.learner import is_binary
from aeframe.causal.estimation.resample import stream
from aeframe.causal.estimation.result import Estimate
from aeframe.core.errors import ArgumentError
from aeframe.core.structure import Structure
from aeframe.core.summary import plain_table, render
from aeframe.infer.diagnosis import Check, Diagnosis


class Refuter(Structure):
    """One attempt to refute an estimate."""

    def __call__(self, estimate: Estimate) -> Check:
        """What was found, whether the estimate stands, in words."""
        raise NotImplementedError


@dataclass(frozen=True)
class Placebo(Refuter):
    """The treatment in random order (for instruments, the outcome): the effect must be 0.

    It is refuted when the mean of the placebos' effects is further from 0 than two standard
    errors of the estimate.

    Attributes
    ----------
    repeats, seed
        How many placebos; what decides them.
    """

    repeats: int = 5
    seed: int = 0

    def __call__(self, estimate: Estimate) -> Check:
        """The mean effect of the placebos."""
        problem, found = estimate.problem, []
        for rng in _streams(self.seed, self.repeats):
            found.append(estimate.method.point(estimate.method.placebo(problem, rng)))
        mean = float(np.mean(found))
        words = (
            f"with a column in random order the effect is {mean:.3g} "
            f"(the real one {estimate.effect:.3g} ± {estimate.se:.2g})"
        )
        fix = "The method finds effects where there are none."
        return Check("placebo", mean, abs(mean) <= 2.0 * estimate.se, words, fix)


@dataclass(frozen=True)
class RandomCommonCause(Refuter):
    """One more column to adjust for, of noise: the effect must stay.

    It is refuted when the effect moves by more than half its standard error.

    Attributes
    ----------
    repeats, seed
        How many columns, one after the other; what decides them.
    """

    repeats: int = 5
    seed: int = 0

    def __call__(self, estimate: Estimate) -> Check:
        """The mean shift of the effect."""
        problem, name, shifts = estimate.problem, "random_common_cause", []
        method = estimate.method.plus(name)
        for rng in _streams(self.seed, self.repeats):
            data = problem.data.assign(**{name: rng.standard_normal(len(problem))})
            wider = replace(problem, data=data, adjust=(*problem.adjust, name))
            shifts.append(method.point(wider) - estimate.effect)
        shift = float(np.mean(shifts))
        words = f"with a random common cause the effect moves by {shift:.2g}"
        fix = "The estimate hangs on which columns are adjusted for: simpler models, more data."
        return Check("random common cause", shift, abs(shift) <= estimate.se / 2, words, fix)


@dataclass(frozen=True)
class Subset(Refuter):
    """A random part of the rows: the effect must move no more than chance moves it.

    With a share f of the rows, the variance of the difference is se² (1/f - 1). It is refuted
    when the root mean square of the differences is more than twice its square root.

    Attributes
    ----------
    share
        Of the rows.
    repeats, seed
        How many subsets; what decides them.
    """

    share: float = 0.8
    repeats: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.0 < self.share < 1.0:
            raise ArgumentError("a share is between 0 and 1", got=repr(self.share))

    def __call__(self, estimate: Estimate) -> Check:
        """The root mean square of the differences."""
        problem, found = estimate.problem, []
        for rng in _streams(self.seed, self.repeats):
            places = rng.permutation(len(problem))[: round(self.share * len(problem))]
            found.append(estimate.method.point(problem.rows(np.sort(places))))
        moved = float(np.sqrt(np.mean((np.array(found) - estimate.effect) ** 2)))
        expected = estimate.se * np.sqrt(1.0 / self.share - 1.0)
        words = (
            f"on {self.share:.0%} of the rows the effect moves by {moved:.2g} "
            f"(by chance {expected:.2g})"
        )
        fix = "Some rows decide the estimate: look for outliers, or weights that are too large."
        return Check("subset", moved, bool(moved <= 2.0 * expected), words, fix)


@dataclass(frozen=True)
class EValue(Refuter):
    """How strong an unmeasured confounder would have to be.

    The E-value is the risk ratio that it needs with both treatment and outcome, given what is
    adjusted for, to explain the effect away: ``RR + √(RR (RR - 1))`` for RR ≥ 1, and of 1 / RR
    else. An outcome that is not binary has ``RR ≈ exp(0.91 d)``, with d the effect in standard
    deviations of the outcome. (VanderWeele and Ding 2017, "Sensitivity analysis in observational
    research: introducing the E-value".)

    Attributes
    ----------
    level
        Of the interval; the estimate is refuted when it holds 0: its E-value is 1.
    """

    level: float = 0.95

    def __call__(self, estimate: Estimate) -> Check:
        """The E-value of the effect, and that of the end of its interval that is nearer to 0."""
        near = _nearer_to_zero(*estimate.interval(self.level))
        point, end = (e_value(risk_ratio(estimate, v)) for v in (estimate.effect, near))
        words = (
            f"to explain the effect away, an unmeasured confounder needs a risk ratio of "
            f"{point:.2f} with treatment and with outcome; {end:.2f} to move the interval to 0"
        )
        return Check("E-value", point, end > 1.0, words, "The interval holds 0 as it is.")


def e_value(ratio: float) -> float:
    """The E-value of a risk ratio.

    >>> round(e_value(3.9), 2), round(e_value(1 / 3.9), 2), e_value(1.0)
    (7.26, 7.26, 1.0)

    Raises
    ------
    ArgumentError
        When it is not above 0.
    """
    if not ratio > 0:
        raise ArgumentError("a risk ratio is above 0", path="ratio", got=repr(ratio))
    ratio = max(ratio, 1.0 / ratio)
    return float(ratio + np.sqrt(ratio * (ratio - 1.0)))


def risk_ratio(estimate: Estimate, effect: float) -> float:
    """The risk ratio, exact or near, if the effect were ``effect``."""
    y = estimate.problem.y
    if is_binary(y) and estimate.means is not None:
        untreated = float(np.clip(estimate.means[0], 1e-6, 1.0))
        return float(np.clip(untreated + effect, 1e-6, 1.0)) / untreated
    return float(np.exp(0.91 * effect / y.std(ddof=1)))


class Refutation(Diagnosis):
    """What the refuters found; as text, a verdict above a table."""

    @property
    def verdict(self) -> str:
        """In one line."""
        failed = [c.name for c in self.checks if not c.good]
        return f"Refuted by {', '.join(failed)}." if failed else "Not refuted."

    def __str__(self) -> str:
        table = plain_table("", "refuter", "", "found")
        for c in self.checks:
            table.add_row(
                c.name,
                "stands" if c.good else "refuted",
                c.words if c.good else f"{c.words}. {c.fix}",
            )
        return f"{self.verdict}\n{render(table)}"

    __repr__ = __str__


def refute(estimate: Estimate, refuters: Sequence[Refuter] = ()) -> Refutation:
    """Run refuters; by default one of each kind."""
    chosen = refuters or (Placebo(), RandomCommonCause(), Subset(), EValue())
    for refuter in chosen:
        if not isinstance(refuter, Refuter):
            raise ArgumentError(
                "not a refuter", expected="estimate.refute(ae.causal.Placebo())", got=repr(refuter)
            )
    return Refutation(tuple(refuter(estimate) for refuter in chosen))


def _nearer_to_zero(low: float, high: float) -> float:
    return 0.0 if low <= 0.0 <= high else min(low, high, key=abs)


def _streams(seed: int, repeats: int) -> list[np.random.Generator]:
    if repeats < 1:
        raise ArgumentError("repeats is a positive integer", got=repr(repeats))
    return [stream("refute", seed, k) for k in range(repeats)]
