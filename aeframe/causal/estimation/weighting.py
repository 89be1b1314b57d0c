"""Inverse probability weighting, and whether treated and untreated overlap."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from aeframe.causal.estimation.learner import Learner
from aeframe.causal.estimation.learners import as_learner
from aeframe.causal.estimation.problem import Population, Problem, Vector
from aeframe.causal.estimation.regressor import logistic
from aeframe.causal.estimation.resample import Bootstrap, Statistic
from aeframe.causal.estimation.result import Estimate, Method
from aeframe.core.errors import ArgumentError, DataError
from aeframe.infer.diagnosis import Check

# a treatment this improbable does not happen; weights are cut off there, and where there are more
# such rows than MOST nothing makes up for that
CERTAIN, MOST = 1e-6, 0.1
# stabilized weights above LARGE are so; effective rows are few below this part of them
LARGE, FEW = 20.0, 0.1


@dataclass(frozen=True)
class IPW(Method):
    """Inverse probability weighting: each row counts by one over the probability of its treatment.

    Weights are normalized within treated and untreated (Hájek), so that stabilized and plain ones
    give the same effect; :meth:`weights` gives the stabilized ones, whose mean is 1. Standard
    errors are the bootstrap's, the propensity fitted anew. (Hernán and Robins, "Causal Inference:
    What If", chapter 12.)

    Attributes
    ----------
    propensity
        A model of the treatment; by default logistic regression on the adjustment set. Another
        formula: ``ae.causal.logistic("a ~ x + I(x**2)")``.
    trim
        Rows whose propensity e is not between ``trim`` and ``1 - trim`` are left out, and the
        effect is that on the others. For the effect on the treated, those with a ratio
        ``(1 - e) / e`` below ``trim``; on the untreated, ``e / (1 - e)``.
    bootstrap
        Replicates, seed and processes.
    """

    propensity: Any = None
    trim: float = 0.0
    bootstrap: Bootstrap = field(default_factory=Bootstrap)

    def __post_init__(self) -> None:
        require_trim(self.trim)

    @property
    def learner(self) -> Learner:
        """The model of the treatment."""
        return as_learner(self.propensity, logistic(), "propensity")

    def plus(self, name: str) -> IPW:
        """With one more column in the model of the treatment."""
        return replace(self, propensity=self.learner.plus(name))

    def propensities(self, problem: Problem) -> Vector:
        """The probability of treatment in each row, (rows,)."""
        fit = self.learner.bind(problem.data, problem.treatment, problem.adjust, 1)
        return np.asarray(fit(problem.data, self.bootstrap.seed)(problem.data).mean(axis=0))

    def weights(self, problem: Problem) -> Vector:
        """Stabilized weights, (rows,): of mean 1 among treated and untreated; 0 where trimmed."""
        return balance(problem, self.propensities(problem), self.trim)

    def statistic(self, problem: Problem) -> Statistic:
        """The weighted mean outcome untreated and treated, the propensity fitted for each."""
        fit = self.learner.bind(problem.data, problem.treatment, problem.adjust, 1)

        def means(part: Problem, seed: int) -> tuple[float, float]:
            part.require_binary()
            return _means(part, fit(part.data, seed)(part.data).mean(axis=0), self.trim)

        return means

    def point(self, problem: Problem) -> float:
        """The effect, without the bootstrap."""
        low, high = self.statistic(problem)(problem, self.bootstrap.seed)
        return high - low

    def run(self, problem: Problem) -> Estimate:
        """Fit the propensity, weigh, and repeat.

        Warns when there is little overlap.

        Raises
        ------
        DataError
            When the treatment is not binary, or certain for some rows.
        """
        problem.require_binary()
        propensity = self.propensities(problem)
        checks = overlap(problem, propensity, self.trim)
        low, high = _means(problem, propensity, self.trim)
        drawn = self.bootstrap.run(self, problem)
        draws = drawn[:, 1] - drawn[:, 0]
        se = float(draws.std(ddof=1))
        return Estimate(problem, self, high - low, se, draws, "bootstrap", (low, high), checks)


def room(over: Population, propensity: Vector) -> Vector:
    """One over the larger of a row's two weights, (rows,): min(e, 1 - e) / h(e)."""
    e = np.clip(propensity, CERTAIN, 1.0 - CERTAIN)
    return np.asarray(np.minimum(e, 1.0 - e) / over.tilt(e))


def balance(problem: Problem, propensity: Vector, trim: float) -> Vector:
    """h(e) / P(own treatment), of mean 1 in each group; 0 where trimmed, (rows,)."""
    e = np.clip(propensity, CERTAIN, 1.0 - CERTAIN)
    a, tilt = problem.a, problem.over.tilt(e)
    weights = np.where(a == 1.0, tilt / e, tilt / (1.0 - e))
    weights *= room(problem.over, propensity) >= trim
    for group in (a == 1.0, a == 0.0):
        total = weights[group].sum()
        if total == 0.0:
            raise DataError(
                "trimming leaves no rows to compare",
                path=problem.treatment,
                got=f"trim={trim:g}, propensities from {propensity.min():.3g} "
                f"to {propensity.max():.3g}",
                fix="trim less",
            )
        weights[group] *= group.sum() / total
    return np.asarray(weights)


def overlap(problem: Problem, propensity: Vector, trim: float) -> tuple[Check, ...]:
    """Positivity: how far out propensities are, and how many rows the weights leave.

    The second is Kish's effective sample size (Σw)² / Σw², of the group where it is smaller; it
    should not be far below the size of the smaller group. Warns where a check fails.

    Raises
    ------
    DataError
        When the treatment is certain for many of the rows that are not trimmed.
    """
    rooms = room(problem.over, propensity)
    e, rooms = np.clip(propensity, CERTAIN, 1.0 - CERTAIN)[rooms >= trim], rooms[rooms >= trim]
    certain = rooms < 2.0 * CERTAIN
    if certain.mean() > MOST:
        raise DataError(
            f"no overlap: {problem.treatment!r} is certain given what is adjusted for",
            path=problem.treatment,
            expected=f"probabilities of treatment between {CERTAIN:g} and 1 - {CERTAIN:g}",
            got=f"{int(certain.sum())} of {len(rooms)} rows outside",
            fix="leave these rows out (trim=0.05), or what decides the treatment but is no "
            "confounder",
        )
    weights, a = balance(problem, propensity, trim), problem.a
    out = _alone(problem, e)
    groups = [weights[a == v] for v in (0.0, 1.0)]
    rows = min(float(w.sum() ** 2 / (w**2).sum()) for w in groups)
    checks = (
        Check(
            "propensity",
            out,
            out < FEW / 2,
            f"{out:.0%} of the rows hardly ever have one of the treatments (stabilized weights "
            f"above {LARGE:g})",
            "Trim them (trim=0.05), or ask for the effect on those who overlap.",
        ),
        Check(
            "effective rows",
            rows,
            rows > FEW * min(map(len, groups)),
            f"the weights leave {rows:.0f} effective rows in a group",
            "A few rows decide the estimate: trim (trim=0.05), or rely on an outcome model.",
        ),
    )
    _warn(checks)
    return checks


def extrapolation(problem: Problem) -> tuple[Check, ...]:
    """Positivity without weights, by logistic regression of the treatment; warns where it fails."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it diverges where there is no overlap
        propensity = IPW().propensities(problem)
    out = _alone(problem, np.clip(propensity, CERTAIN, 1.0 - CERTAIN))
    check = Check(
        "propensity",
        out,
        out < FEW / 2,
        f"{out:.0%} of the rows hardly ever have one of the treatments",
        "What they would be with it is extrapolated by the outcome model: leave these rows out, "
        "or compare with another outcome model.",
    )
    _warn((check,))
    return (check,)


def _alone(problem: Problem, e: Vector) -> float:
    """The part of the rows that would have a large weight with one of the treatments.

    By the larger of both stabilized weights, the one that a row does not have among them.
    """
    p, h = problem.a.mean(), problem.over.tilt(e)
    largest = h / h.mean() * np.maximum(p / e, (1.0 - p) / (1.0 - e))
    return float((largest > LARGE).mean())


def _warn(checks: Sequence[Check]) -> None:
    for check in checks:
        if not check.good:
            warnings.warn(f"little overlap: {check.words}. {check.fix}", stacklevel=5)


def require_trim(trim: float) -> None:
    """Raise :class:`ArgumentError` unless 0 <= trim < 0.5."""
    if not 0.0 <= trim < 0.5:
        raise ArgumentError(
            "trim is a probability below one half", expected="trim=0.05", got=repr(trim)
        )


def _means(problem: Problem, propensity: Vector, trim: float) -> tuple[float, float]:
    weights, a, y = balance(problem, propensity, trim), problem.a, problem.y
    low, high = (float(np.average(y[a == v], weights=weights[a == v])) for v in (0, 1))
    return low, high
