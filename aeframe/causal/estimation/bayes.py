"""Bayes: a Model as a learner."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeframe.causal.estimation.learner import (
    Fit,
    Learner,
    Mean,
    is_binary,
    main_terms,
    numbers,
    require_response,
)
from aeframe.core.cells import State
from aeframe.core.errors import ArgumentError, UnknownNameError, nearest
from aeframe.infer import Laplace
from aeframe.infer.posterior import Inference
from aeframe.prob import LinearModel, Model, Observe
from aeframe.prob.families import Bernoulli, Gaussian
from aeframe.prob.programs import cached
from aeframe.prob.simulate import Draws, simulate

# draws of the response whose average stands for its mean, where a Model does not tell the mean
REPEATS = 16


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
            values = model.family.response(numbers(frame[response]))
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
            return tuple(numbers(frame[name]) for name in names)

        def fit(frame: Any, seed: int) -> Mean:
            values = numbers(frame[response])
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


def _showing(model: LinearModel) -> LinearModel:
    """The model with the mean of its response as a site."""
    free = copy(model)
    free.shows_mean = True
    free.__dict__.pop("_programs", None)
    return free


def _arguments(model: Model) -> list[str]:
    return list(signature(type(model).__call__).parameters)[1:]
