"""Learners: what can say the mean of a response in each row of a frame.

A Learner is bound to the columns once (design matrices, programs), fitted on any rows, and then
predicts any rows. Estimators know nothing else of Models, networks or regressors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from copy import copy, deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from aeframe.core.cells import State
from aeframe.core.errors import ArgumentError, StateError, UnknownNameError, nearest
from aeframe.core.module import Module
from aeframe.core.structure import Structure
from aeframe.infer import Laplace
from aeframe.infer.posterior import Inference
from aeframe.prob import LinearModel, Model, Observe
from aeframe.prob.design import Design, columns_of
from aeframe.prob.families import Bernoulli, Gaussian
from aeframe.prob.programs import accepts, cached
from aeframe.prob.simulate import Draws, simulate

Mean = Callable[[Any], NDArray[np.float64]]
"""From a frame to the mean of the response in each row, (draws, rows)."""
Fit = Callable[[Any, int], Mean]
"""From a frame and a seed to the fitted mean."""
# draws of the response whose average stands for its mean, where a Model does not tell the mean
REPEATS = 16


class Learner(Structure):
    """Base of what models a response given predictors: an outcome or a propensity."""

    bayesian = False

    def bind(self, data: Any, response: str, predictors: Sequence[str], draws: int) -> Fit:
        """How to fit the mean of ``response``; ``data`` shows the columns and their labels.

        Parameters
        ----------
        predictors
            The columns to use where the learner does not name its own.
        draws
            How many draws of the mean; one, if not :attr:`bayesian`.
        """
        raise NotImplementedError

    def plus(self, name: str) -> Learner:
        """The learner with one more predictor."""
        raise NotImplementedError


def as_learner(thing: Any, default: Learner, role: str) -> Learner:
    """A learner from what a user gave: a Model, a regressor, a learner, or nothing.

    Raises
    ------
    ArgumentError
        When it is none of these; a network needs :class:`Network`.
    """
    if thing is None:
        return default
    if isinstance(thing, Learner):
        return thing
    if isinstance(thing, Model):
        return Bayes(thing)
    if isinstance(thing, Module):
        raise ArgumentError(
            f"a network as the {role} model needs its number of epochs",
            path=role,
            expected=f"{role}=ae.causal.Network(net, epochs=50)",
            got=type(thing).__name__,
        )
    if hasattr(thing, "fit") and hasattr(thing, "predict") and not isinstance(thing, type):
        return Regressor(thing)
    raise ArgumentError(
        f"this is no {role} model",
        path=role,
        expected="a Model, ae.causal.Network(net, epochs=50) or a scikit-learn regressor",
        got=repr(thing),
    )


def main_terms(response: str, predictors: Sequence[str]) -> str:
    """The formula in which every predictor is a term of its own.

    >>> main_terms("y", ["a", "blood pressure"])
    'y ~ a + `blood pressure`'
    """
    terms = [n if re.fullmatch(r"[A-Za-z_]\w*", n) else f"`{n}`" for n in (response, *predictors)]
    return f"{terms[0]} ~ {' + '.join(terms[1:]) or '1'}"


def is_binary(values: Any) -> bool:
    """Whether all values are 0 or 1."""
    return bool(np.isin(np.asarray(values), [0, 1]).all())


@dataclass(frozen=True)
class Bayes(Learner):
    """A Model, fitted by an Inference; draws of the mean are draws from its posterior.

    Attributes
    ----------
    model
        A :class:`~aeframe.LinearModel`, or a Model with a site called as the response whose call
        has arguments called as columns of the frame; its mean is then that of some draws. By
        default a linear model of the predictors, logistic for a response of 0 and 1.
    inference
        By default Laplace's approximation: with many rows for each coefficient, posteriors of
        these models are near to normal.
    terms
        What is added to the formula of a linear model.
    """

    model: Model | None = None
    inference: Inference = field(default_factory=lambda: Laplace(restarts=1))
    terms: tuple[str, ...] = ()

    bayesian = True

    def plus(self, name: str) -> Bayes:
        """The learner with one more term.

        Raises
        ------
        ArgumentError
            When the Model has no formula.
        """
        if self.model is None:
            return self
        if not isinstance(self.model, LinearModel):
            raise ArgumentError(
                "a predictor can be added to a formula only",
                path=type(self.model).__name__,
                fix="leave RandomCommonCause out",
            )
        return replace(self, terms=(*self.terms, name))

    def bind(self, data: Any, response: str, predictors: Sequence[str], draws: int) -> Fit:
        """Fit by posterior; programs are compiled once for each number of rows."""
        model = self.model
        if model is None:
            family = Bernoulli() if is_binary(data[response]) else Gaussian()
            model = LinearModel(main_terms(response, predictors), data, family)
        if isinstance(model, LinearModel):
            return self._linear(model, data, response, draws)
        return self._any(model, data, response, draws)

    def _linear(self, model: LinearModel, data: Any, response: str, draws: int) -> Fit:
        if self.terms:
            formula = " + ".join([model.formula, *self.terms])
            model = LinearModel(formula, data, model.family, model.coefficients, model.priors)
        require_response(model.design.name, response)
        # programs are kept with the model, so that whoever binds it again finds them
        free = cached(model, ("mean",), lambda: _showing(model))
        refit = cached(model, ("refit", response), lambda: Refit(model, response))

        def fit(frame: Any, seed: int) -> Mean:
            values = model.family.response(_values(frame[response]))
            posterior = refit(self.inference, values, (frame,))
            drawn = posterior.draws(draws, seed)

            def mean(rows: Any) -> NDArray[np.float64]:
                return np.asarray(simulate(free, draws, model.read(rows), seed, drawn)["mean"])

            return mean

        return fit

    def _any(self, model: Model, data: Any, response: str, draws: int) -> Fit:
        names = _arguments(model)
        for name in names:
            if name not in data.columns:
                known = [str(c) for c in data.columns]
                raise UnknownNameError(
                    f"{type(model).__name__} takes {name!r}, and the data have no such column",
                    path=name,
                    fix=nearest(name, known),
                )
        refit = cached(model, ("refit", response), lambda: Refit(model, response))

        def columns(frame: Any) -> tuple[NDArray[Any], ...]:
            return tuple(_values(frame[name]) for name in names)

        def fit(frame: Any, seed: int) -> Mean:
            values = _values(frame[response])
            drawn: Draws = refit(self.inference, values, columns(frame)).draws(draws, seed)

            def mean(rows: Any) -> NDArray[np.float64]:
                given, total = columns(rows), np.zeros((draws, len(rows)))
                for k in range(REPEATS):  # the same noise whatever the treatment is
                    total += simulate(model, draws, given, seed + k, drawn)[response]
                return total / REPEATS

            return mean

        return fit


class Refit:
    """Fits of one Model on different rows: what was observed changes in place of the graph."""

    def __init__(self, model: Model, response: str) -> None:
        self.model, self.response = model, response
        self.seen: dict[int, Model] = {}

    def __call__(self, inference: Inference, values: NDArray[Any], data: tuple[Any, ...]) -> Any:
        """The posterior given values of the response."""
        seen = self.seen.get(len(values))
        if seen is None:
            seen = self.seen[len(values)] = self.model.observe({self.response: values})
        observed = seen.passes[-1]
        assert isinstance(observed, Observe)
        cell = observed.values[self.response]
        assert isinstance(cell, State)
        cell.value = values
        return seen.fit(*data, inference=inference)


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
            y = _values(frame[response])
            made.fit(columns(frame), y.astype("int64") if whole else y)

            def mean(rows: Any) -> NDArray[np.float64]:
                x = columns(rows)
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
        y = _values(data[response])
        centre, scale = (0.0, 1.0) if binary else (y.mean(), y.std() or 1.0)

        def fit(frame: Any, seed: int) -> Mean:
            made = _untrained(self.module)
            target = ((_values(frame[response]) - centre) / scale)[:, None]
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


def require_response(found: str, wanted: str) -> None:
    """Raise :class:`ArgumentError` unless a formula is about this column."""
    if found != wanted:
        raise ArgumentError(
            "the formula is about another response",
            path=found,
            expected=f'"{wanted} ~ ..."',
            got=f'"{found} ~ ..."',
            fix="transform the column in the data first" if wanted in found else None,
        )


def _showing(model: LinearModel) -> LinearModel:
    """The model with the mean of its response as a site."""
    free = copy(model)
    free.shows_mean = True
    free.__dict__.pop("_programs", None)
    return free


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


def _arguments(model: Model) -> list[str]:
    from inspect import signature

    names = list(signature(type(model).__call__).parameters)[1:]
    assert accepts(model, names)
    return names


def _values(column: Any) -> NDArray[np.float64]:
    return np.asarray(column, dtype="float64")
