"""What two worlds are compared by: a number of each distribution, or a distance of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.stats import wasserstein_distance

from aeframe.core.errors import ArgumentError
from aeframe.core.structure import Structure

Values: TypeAlias = "NDArray[Any]"


class Statistic(Structure):
    """A number of a distribution, from values and their weights; subclass it for others."""

    def __call__(self, values: Values, weights: Values) -> float:
        """Of one world."""
        raise NotImplementedError

    def compare(self, treated: Values, control: Values, weights: Values) -> float:
        """Of two worlds: by default the difference."""
        return self(treated, weights) - self(control, weights)

    def __str__(self) -> str:
        return type(self).__name__.lower()


@dataclass(frozen=True)
class Mean(Statistic):
    """The expectation."""

    def __call__(self, values: Values, weights: Values) -> float:
        """The weighted mean."""
        return float(np.average(values, weights=weights))


@dataclass(frozen=True)
class Quantile(Statistic):
    """The smallest value that at most 1 − q of the others exceed.

    >>> Quantile(0.5)(np.array([3.0, 1.0, 2.0]), np.ones(3) / 3)
    2.0
    """

    q: float

    def __post_init__(self) -> None:
        if not 0 < self.q < 1:
            raise ArgumentError("a quantile is between 0 and 1", got=repr(self.q))

    def __call__(self, values: Values, weights: Values) -> float:
        """The value at which the sum of weights, in order, reaches q."""
        order = np.argsort(values, kind="stable")
        reached = np.cumsum(weights[order])
        place = np.searchsorted(reached, self.q * reached[-1] * (1 - 1e-12))
        return float(values[order][min(place, len(order) - 1)])

    def __str__(self) -> str:
        return f"quantile {self.q:g}"


@dataclass(frozen=True)
class Probability(Statistic):
    """That an event holds, a function from an array of values to booleans.

    >>> Probability(lambda y: y > 1)(np.array([3.0, 1.0]), np.ones(2) / 2)
    0.5
    """

    event: Callable[[Values], Any]

    def __call__(self, values: Values, weights: Values) -> float:
        """The weight of the values for which it holds."""
        return float(np.average(np.asarray(self.event(values)), weights=weights))


class Distance(Mean):
    """A distance between two distributions; of one world it is the mean."""


@dataclass(frozen=True)
class Wasserstein(Distance):
    """The earth mover's distance of order 1."""

    def compare(self, treated: Values, control: Values, weights: Values) -> float:
        """By SciPy."""
        return float(wasserstein_distance(treated, control, weights, weights))

    def __str__(self) -> str:
        return "Wasserstein distance"


@dataclass(frozen=True)
class KolmogorovSmirnov(Distance):
    """The largest difference of the two cumulative distribution functions."""

    def compare(self, treated: Values, control: Values, weights: Values) -> float:
        """At any of the values."""
        points = np.unique(np.concatenate([treated, control]))

        def reached(values: Values) -> Values:
            order = np.argsort(values, kind="stable")
            total = np.concatenate([[0.0], np.cumsum(weights[order])])
            return total[np.searchsorted(values[order], points, side="right")]

        return float(np.abs(reached(treated) - reached(control)).max() / weights.sum())

    def __str__(self) -> str:
        return "Kolmogorov-Smirnov distance"
