"""AIPW: an outcome model, corrected by weighted residuals. Right if either model is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeframe.causal.estimation.bayes import Bayes
from aeframe.causal.estimation.learner import Fit, Learner
from aeframe.causal.estimation.learners import as_learner
from aeframe.causal.estimation.problem import Problem, Vector
from aeframe.causal.estimation.resample import bayesian_bootstrap, stream
from aeframe.causal.estimation.result import Estimate, Method
from aeframe.causal.estimation.weighting import CERTAIN, overlap, require_trim, room
from aeframe.core.arguments import count
from aeframe.core.errors import ArgumentError


@dataclass(frozen=True)
class AIPW(Method):
    """Augmented inverse probability weighting, cross-fitted and doubly robust.

    The effect is the mean of the efficient influence function, by an outcome model μ and a
    propensity e; it is consistent if either is right. Both are fitted on other rows than those
    they are used on, so that they may be as flexible as a network (Chernozhukov et al. 2018,
    "Double/debiased machine learning"). ``se`` is that of the influence function, or of the
    draws if the outcome model is Bayesian. Draws are those
    of the one-step posterior: of μ from its posterior where it has one, corrected by e, and of the
    data by the Bayesian bootstrap (Yiu, Fong, Holmes and Rousseau 2023, "Semiparametric posterior
    corrections", arXiv 2306.06059). The propensity is that expected (Breunig, Liu and Yu 2022,
    "Double robust Bayesian inference on average treatment effects", arXiv 2211.16298).

    Attributes
    ----------
    outcome, propensity
        A Model, a :class:`Network` or a regressor; by default Bayesian linear and logistic
        regression on the adjustment set.
    folds
        Parts of the rows for cross-fitting; 1 for none.
    trim
        Which rows are left out: see :class:`IPW`.
    draws, seed
        Number of draws; what decides them, and the folds.
    """

    outcome: Any = None
    propensity: Any = None
    folds: int = 5
    trim: float = 0.0
    draws: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        require_trim(self.trim)
        count("folds", self.folds)
        count("draws", self.draws, 2)

    @property
    def learners(self) -> tuple[Learner, Learner]:
        """The models of outcome and treatment."""
        return (
            as_learner(self.outcome, Bayes(), "outcome"),
            as_learner(self.propensity, Bayes(), "propensity"),
        )

    def plus(self, name: str) -> AIPW:
        """With one more column in both models."""
        outcome, propensity = (learner.plus(name) for learner in self.learners)
        return replace(self, outcome=outcome, propensity=propensity)

    def run(self, problem: Problem) -> Estimate:
        """Fit both models on each fold's complement, correct, average.

        Warns when there is little overlap.

        Raises
        ------
        DataError
            When the treatment is not binary, or certain for some rows.
        """
        problem.require_binary()
        (mu0, mu1), e = self._fitted(problem)
        checks = overlap(problem, e, self.trim)
        a, y = problem.a, problem.y
        keep = room(problem.over, e) >= self.trim
        e = np.clip(e, CERTAIN, 1.0 - CERTAIN)
        # Of E[μ(v)] over those with weight h(e):  s μ(v) + h / P(a = v) · 1[a = v] (y - μ(v))
        s, h = problem.over.members(a) * keep, problem.over.tilt(e) * keep
        parts = (
            s * mu0 + (1 - a) * h / (1 - e) * (y - mu0),
            s * mu1 + a * h / e * (y - mu1),
        )
        low, high = (float(p.mean(axis=0).sum() / s.sum()) for p in parts)
        influence = ((parts[1] - parts[0]).mean(axis=0) - s * (high - low)) / s.mean()
        weights = bayesian_bootstrap(self.draws, len(problem), self.seed)
        draws = (weights * (parts[1] - parts[0])).sum(axis=1) / (weights @ s)
        bayesian = self.learners[0].bayesian
        se = draws.std(ddof=1) if bayesian else influence.std(ddof=1) / np.sqrt(len(problem))
        source = "one-step posterior draws" if bayesian else "influence function"
        return Estimate(problem, self, high - low, float(se), draws, source, (low, high), checks)

    def _fitted(self, problem: Problem) -> tuple[list[NDArray[Any]], Vector]:
        """Draws of the mean outcome untreated and treated, and the propensity, of each row."""
        outcome, propensity = self.learners
        data, adjust = problem.data, problem.adjust
        fits: tuple[Fit, Fit] = (
            outcome.bind(data, problem.outcome, (problem.treatment, *adjust), self.draws),
            propensity.bind(data, problem.treatment, adjust, self.draws),
        )
        size = self.draws if outcome.bayesian else 1
        mu, e = [np.zeros((size, len(problem))) for _ in range(2)], np.zeros(len(problem))
        for k, (train, test) in enumerate(self._folds(problem)):
            rows = data.iloc[train]
            mean, treated = (fit(rows, self.seed + k) for fit in fits)
            # all rows are predicted, in one shape that is compiled once
            for v, part in enumerate(mu):
                part[:, test] = mean(problem.do(float(v)))[:, test]
            e[test] = treated(data)[:, test].mean(axis=0)
        return mu, e

    def _folds(self, problem: Problem) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """Rows to fit on, of one number throughout, and to use the fit on; balanced in treatment.

        Where a fold has one row less than the others, one row of its complement is left out.
        """
        rng, n = stream("folds", self.seed), len(problem)
        if self.folds == 1:
            yield np.arange(n), np.arange(n)
            return
        smaller = int(min(problem.a.sum(), (1 - problem.a).sum()))
        if self.folds > smaller:
            raise ArgumentError(
                "there are more folds than rows of a group",
                expected=f"folds <= {smaller}",
                got=f"folds={self.folds}",
            )
        order = rng.permutation(n)
        order = order[np.argsort(problem.a[order], kind="stable")]
        fold = np.empty(n, dtype="int64")
        fold[order] = np.arange(n) % self.folds
        size = n - (-(-n // self.folds))
        for k in range(self.folds):
            yield rng.permutation(np.flatnonzero(fold != k))[:size], np.flatnonzero(fold == k)
