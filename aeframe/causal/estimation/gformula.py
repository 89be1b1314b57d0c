"""The g-formula: predict every row treated and untreated, and average."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from aeframe.causal.estimation.bayes import Bayes
from aeframe.causal.estimation.learner import Learner
from aeframe.causal.estimation.learners import as_learner
from aeframe.causal.estimation.problem import Problem, Vector
from aeframe.causal.estimation.resample import Bootstrap, Statistic, bayesian_bootstrap
from aeframe.causal.estimation.result import Estimate, Method
from aeframe.causal.estimation.weighting import extrapolation
from aeframe.core.arguments import count
from aeframe.infer.diagnosis import Check


@dataclass(frozen=True)
class GFormula(Method):
    """Standardization by an outcome model: the average of E[y | do(a), x] over the rows.

    With a Model, draws are from the posterior of its sites and, by the Bayesian bootstrap, of the
    distribution of x. With a network or a regressor they are the bootstrap's. (Robins 1986;
    Hernán and Robins, "Causal Inference: What If", chapter 13.)

    Attributes
    ----------
    outcome
        A Model such as ``ae.LinearModel("y ~ a * x", data)``, a :class:`Network` or a regressor;
        by default a linear (or logistic) model of treatment and adjustment set.
    draws
        From the posterior.
    seed
        Decides the draws.
    bootstrap
        Used where the outcome model has no posterior.

    >>> import pandas as pd
    >>> from aeframe.causal import estimate
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=200)
    >>> a = 1.0 * (rng.normal(size=200) < x / 2)
    >>> data = pd.DataFrame({"x": x, "a": a, "y": 2 * a + 3 * x})
    >>> from sklearn.linear_model import LinearRegression
    >>> method = GFormula(LinearRegression(), bootstrap=Bootstrap(10))
    >>> round(estimate(data, "a", "y", ["x"], method=method).effect, 6)
    2.0
    """

    outcome: Any = None
    draws: int = 1000
    seed: int = 0
    bootstrap: Bootstrap = field(default_factory=Bootstrap)

    def __post_init__(self) -> None:
        count("draws", self.draws, 2)

    @property
    def learner(self) -> Learner:
        """The outcome model."""
        return as_learner(self.outcome, Bayes(), "outcome")

    def plus(self, name: str) -> GFormula:
        """With one more column in the outcome model."""
        return replace(self, outcome=self.learner.plus(name))

    def statistic(self, problem: Problem) -> Statistic:
        """The mean outcome untreated and treated, by an outcome model of its own for each."""
        predictors = (problem.treatment, *problem.adjust)
        fit = self.learner.bind(problem.data, problem.outcome, predictors, 1)

        def means(part: Problem, seed: int) -> list[float]:
            mean, members = fit(part.data, seed), part.over.members(part.a)
            worlds = [mean(part.do(v)).mean(axis=0) for v in (0.0, 1.0)]
            return [float(np.average(w, weights=members)) for w in worlds]

        return means

    def point(self, problem: Problem) -> float:
        """The effect, without the bootstrap."""
        if self.learner.bayesian:
            return self._by_posterior(problem, ()).effect
        low, high = self.statistic(problem)(problem, self.seed)
        return float(high - low)

    def run(self, problem: Problem) -> Estimate:
        """Fit, predict both worlds, average.

        Warns when there is little overlap: what the model says is then extrapolated.

        Raises
        ------
        DataError
            When the treatment is not binary.
        """
        problem.require_binary()
        checks = extrapolation(problem)
        if not self.learner.bayesian:
            low, high = self.statistic(problem)(problem, self.seed)
            drawn = self.bootstrap.run(self, problem)
            return _estimate(problem, self, (low, high), drawn.T, "bootstrap", checks)
        return self._by_posterior(problem, checks)

    def _by_posterior(self, problem: Problem, checks: tuple[Check, ...]) -> Estimate:
        predictors = (problem.treatment, *problem.adjust)
        fit = self.learner.bind(problem.data, problem.outcome, predictors, self.draws)
        mean, members = fit(problem.data, self.seed), problem.over.members(problem.a)
        weights = bayesian_bootstrap(self.draws, len(problem), self.seed) * members
        worlds = [mean(problem.do(v)) for v in (0.0, 1.0)]
        low, high = (float(np.average(w.mean(axis=0), weights=members)) for w in worlds)
        drawn = np.stack([(w * weights).sum(axis=1) / weights.sum(axis=1) for w in worlds])
        return _estimate(problem, self, (low, high), drawn, "posterior draws", checks)


def _estimate(
    problem: Problem,
    method: Method,
    means: tuple[float, float],
    drawn: Vector,
    source: str,
    checks: tuple[Check, ...],
) -> Estimate:
    draws = drawn[1] - drawn[0]
    effect, se = means[1] - means[0], float(draws.std(ddof=1))
    return Estimate(problem, method, effect, se, draws, source, means, checks)
