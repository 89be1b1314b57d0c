"""Learner: what can say the mean of a response in each row of a frame.

A Learner is bound to the columns once (design matrices, programs), fitted on any rows, and then
predicts any rows. Estimators know nothing else of Models, networks or regressors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeframe.core.errors import ArgumentError
from aeframe.core.structure import Structure

Mean = Callable[[Any], NDArray[np.float64]]
"""From a frame to the mean of the response in each row, (draws, rows)."""
Fit = Callable[[Any, int], Mean]
"""From a frame and a seed to the fitted mean."""


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


def numbers(column: Any) -> NDArray[np.float64]:
    """A column as floats."""
    return np.asarray(column, dtype="float64")
