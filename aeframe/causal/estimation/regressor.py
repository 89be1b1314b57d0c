"""Learners without a posterior: regressors as in scikit-learn, and networks."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from aeframe.causal.estimation.learner import (
    Fit,
    Learner,
    Mean,
    is_binary,
    main_terms,
    numbers,
    require_response,
)
from aeframe.core.errors import ArgumentError, StateError
from aeframe.core.module import Module
from aeframe.prob.design import Design, columns_of


@dataclass(frozen=True)
class Regressor(Learner):
    """An object with ``fit(X, y)`` and ``predict(X)`` as in scikit-learn; one answer, no draws.

    Columns are standardized. Where there is a ``predict_proba``, the mean is the probability
    of 1.

    Attributes
    ----------
    estimator
        It is cloned for each fit.
    formula
        What the columns of X are; by default each predictor, labels as indicators.
    """

    estimator: Any
    formula: str | None = None

    def plus(self, name: str) -> Regressor:
        """The learner with one more term."""
        return replace(self, formula=self.formula and f"{self.formula} + {name}")

    def bind(self, data: Any, response: str, predictors: Sequence[str], draws: int) -> Fit:
        """Fit a clone of the estimator."""
        from sklearn.base import clone

        columns = Columns(self.formula, data, response, predictors)
        if not columns.design.names:
            return _average(response)
        whole = is_binary(data[response]) and hasattr(self.estimator, "predict_proba")

        def fit(frame: Any, seed: int) -> Mean:
            made = clone(self.estimator)
            if "random_state" in made.get_params():
                made.set_params(random_state=seed)
            y = numbers(frame[response])
            x = columns(frame)
            kept = np.ptp(x, axis=0) > 0  # a constant tells nothing, and makes x singular
            if not kept.any():
                return _average(response)(frame, seed)
            made.fit(x[:, kept], y.astype("int64") if whole else y)

            def mean(rows: Any) -> NDArray[np.float64]:
                x = columns(rows)[:, kept]
                found = made.predict_proba(x)[:, 1] if whole else made.predict(x)
                return np.asarray(found, dtype="float64").reshape(1, -1)

            return mean

        return fit


def logistic(formula: str | None = None) -> Regressor:
    """Logistic regression by maximum likelihood, of a formula or of all predictors."""
    from sklearn.linear_model import LogisticRegression

    return Regressor(LogisticRegression(C=np.inf, solver="newton-cholesky"), formula)


@dataclass(frozen=True)
class Network(Learner):
    """A network compiled with optimizer and loss; a copy of it is trained for each fit.

    Columns are standardized, and so is a response that is not binary. A binary one is learned as
    logits: compile with ``nn.binary_cross_entropy``. The output is one number a row.

    Attributes
    ----------
    module
        Compiled, and not trained; it stays so.
    epochs, batch_size
        As in ``module.fit``.
    formula
        What the inputs are; by default each predictor, labels as indicators.
    """

    module: Module
    epochs: int
    batch_size: int = 32
    formula: str | None = None

    def plus(self, name: str) -> Network:
        """The learner with one more term."""
        return replace(self, formula=self.formula and f"{self.formula} + {name}")

    def bind(self, data: Any, response: str, predictors: Sequence[str], draws: int) -> Fit:
        """Train a copy of the module."""
        columns = Columns(self.formula, data, response, predictors)
        if not columns.design.names:
            return _average(response)
        binary = is_binary(data[response])
        y = numbers(data[response])
        centre, scale = (0.0, 1.0) if binary else (y.mean(), y.std() or 1.0)

        def fit(frame: Any, seed: int) -> Mean:
            made = _untrained(self.module)
            target = ((numbers(frame[response]) - centre) / scale)[:, None]
            made.fit(
                columns(frame).astype("float32"),
                target.astype("float32"),
                epochs=self.epochs,
                batch_size=self.batch_size,
                progress=False,
            )

            def mean(rows: Any) -> NDArray[np.float64]:
                found = np.asarray(made.predict(columns(rows).astype("float32")), dtype="float64")
                found = found.reshape(1, len(rows))
                return np.asarray(expit(found) if binary else centre + scale * found)

            return mean

        return fit


class Columns:
    """The standardized columns of a formula, of any rows."""

    def __init__(
        self, formula: str | None, data: Any, response: str, predictors: Sequence[str]
    ) -> None:
        formula = formula or main_terms(response, predictors)
        self.design = Design(formula, columns_of(formula, data))
        require_response(self.design.name, response)
        if self.design.groups:
            raise ArgumentError(
                "only a linear model has group-level terms",
                path=formula,
                fix="use ae.LinearModel(formula, data), or `C(group)` in place of `1 | group`",
            )

    def __call__(self, frame: Any) -> NDArray[np.float64]:
        """(rows, columns)."""
        x = self.design.arrays(frame)[0]
        return np.asarray((x - self.design.mean) / self.design.sd)


def _untrained(module: Module) -> Module:
    """A copy of a module and its trainer; the backend is the same one."""
    trainer = getattr(module, "_trainer", None)
    if trainer is None:
        raise StateError(
            "the network is not compiled",
            path=type(module).__name__,
            fix="net.compile(optimizer=ae.Adam(1e-3), loss=nn.mean_squared_error)",
        )
    if trainer.epoch:
        raise StateError(
            "the network is trained already, on rows that its estimate is about",
            path=type(module).__name__,
            expected="a network that was not trained",
            got=f"{trainer.epoch} epochs",
            fix="make it anew",
        )
    return deepcopy(module, {id(trainer.backend): trainer.backend})


def _average(response: str) -> Fit:
    """Without predictors the mean is the average."""

    def fit(frame: Any, seed: int) -> Mean:
        average = float(frame[response].mean())
        return lambda rows: np.full((1, len(rows)), average)

    return fit
