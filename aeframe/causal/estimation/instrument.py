"""Two-stage least squares: an effect by what moves the treatment and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aeframe.causal.estimation.learner import main_terms
from aeframe.causal.estimation.problem import Problem, Vector, require_columns
from aeframe.causal.estimation.resample import linear_draws
from aeframe.causal.estimation.result import Estimate, Method, shuffled
from aeframe.core.errors import ArgumentError, DataError
from aeframe.infer.diagnosis import Check
from aeframe.prob.design import Design, columns_of

# Staiger and Stock 1997, "Instrumental variables regression with weak instruments"
WEAK = 10.0


@dataclass(frozen=True)
class TwoStageLeastSquares(Method):
    """Linear instrumental variables; the treatment may be any number.

    Standard errors are robust to heteroskedasticity (HC1), and so is the F statistic of the
    instruments in the first stage, which should be above 10. With a binary instrument and
    treatment and no further columns it is Wald's estimate of the effect on compliers. (Wooldridge,
    "Econometric Analysis of Cross Section and Panel Data", chapter 5.)

    Attributes
    ----------
    instruments
        Columns that move the treatment, and the outcome only through it.
    draws, seed
        Of the effect, by the Bayesian bootstrap of its influence function.

    >>> import pandas as pd
    >>> from aeframe.causal import estimate
    >>> z, u = np.repeat([0.0, 1.0], 50), np.tile(np.linspace(-1, 1, 50), 2)
    >>> data = pd.DataFrame({"z": z, "a": z + u, "y": 2 * (z + u) - 3 * u})
    >>> round(estimate(data, "a", "y", method=TwoStageLeastSquares(["z"])).effect, 6)
    2.0
    """

    instruments: Sequence[str]
    draws: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.instruments, str) or not len(self.instruments):
            raise ArgumentError(
                "instruments is a list of columns",
                expected='["z"]',
                got=repr(self.instruments),
            )
        object.__setattr__(self, "instruments", tuple(self.instruments))

    def placebo(self, problem: Problem, rng: np.random.Generator) -> Problem:
        """The outcome in random order: without the treatment no instrument would move it."""
        return shuffled(problem, problem.outcome, rng)

    def run(self, problem: Problem) -> Estimate:
        """Fit both stages.

        Raises
        ------
        UnknownNameError
            When there is no such column.
        DataError
            When an instrument has missing values, or does not vary beside what is adjusted for.
        """
        require_columns(problem.data, self.instruments)
        controls = _matrix(problem, problem.adjust)
        moved = _matrix(problem, self.instruments)[:, 1:]
        a, y = problem.a, problem.y
        left = moved - controls @ _solve(controls, moved)
        small = np.linalg.norm(left, axis=0) <= 1e-8 * np.linalg.norm(moved, axis=0)
        if small.any() or np.linalg.matrix_rank(left) < left.shape[1]:
            raise DataError(
                "an instrument does not vary beside the other columns",
                path=", ".join(self.instruments),
                got=f"adjust={list(problem.adjust)}",
                fix="leave out the instrument that is constant or a sum of other columns",
            )
        # y = X β + ε, X̂ = P_Z X:  β = (X̂ᵀX̂)⁻¹ X̂ᵀy, and β̂ - β = (X̂ᵀX̂)⁻¹ X̂ᵀε
        X, Z = np.column_stack([a, controls]), np.column_stack([moved, controls])
        fitted = np.column_stack([Z @ _solve(Z, a[:, None]), controls])
        effect, influence, se = _robust(fitted, X, y)
        return Estimate(
            problem,
            self,
            effect,
            se,
            linear_draws(effect, influence, self.draws, self.seed),
            "robust standard errors",
            None,
            (self._strength(Z, a, left.shape[1]),),
        )

    def _strength(self, Z: NDArray[np.float64], a: Vector, count: int) -> Check:
        """The robust Wald statistic of the instruments in the first stage, over their number."""
        coefficients = _solve(Z, a[:, None])[:, 0]
        error = a - Z @ coefficients
        bread = np.linalg.pinv(Z.T @ Z)
        rows, columns = Z.shape
        meat = (Z * error[:, None] ** 2).T @ Z * rows / (rows - columns)
        covariance = (bread @ meat @ bread)[:count, :count]
        of = coefficients[:count]
        f = float(of @ np.linalg.pinv(covariance) @ of) / count
        words = f"the first stage has F = {f:.1f}"
        fix = "The instruments are weak: estimate and interval are not to be trusted."
        return Check("first-stage F", f, f > WEAK, words, fix)


def _robust(
    fitted: NDArray[np.float64], X: NDArray[np.float64], y: Vector
) -> tuple[float, Vector, float]:
    """The first coefficient, its influence function (rows sum to 0) and HC1 standard error."""
    coefficients = _solve(fitted, y[:, None])[:, 0]
    error = y - X @ coefficients
    rows, columns = X.shape
    bread = np.linalg.pinv(fitted.T @ fitted)
    influence = rows * (fitted * error[:, None]) @ bread[0]
    se = float(np.sqrt((influence**2).sum() / rows / (rows - columns)))
    return float(coefficients[0]), influence, se


def _solve(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.lstsq(left, right, rcond=None)[0])


def _matrix(problem: Problem, names: Sequence[str]) -> NDArray[np.float64]:
    """A column of ones, and the columns of a frame, labels as indicators."""
    ones = np.ones((len(problem), 1))
    if not names:
        return ones
    formula = main_terms(problem.outcome, names)
    return np.hstack([ones, Design(formula, columns_of(formula, problem.data)).arrays()[0]])
