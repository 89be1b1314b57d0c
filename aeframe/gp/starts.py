"""First values of kernel parameters, drawn from the scales of the data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.signal import lombscargle

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Scales:
    """What the data says about the sizes of parameters, see :meth:`of`.

    Attributes
    ----------
    variance
        Of the targets.
    low, high, spacing
        For each input column: its ends, and the median step between its distinct values.
    periods, weights
        Periods at the peaks of the periodogram of the first column, and their shares of power.
    """

    variance: float
    low: Array
    high: Array
    spacing: Array
    periods: Array
    weights: Array

    @classmethod
    def of(cls, x: Array, y: Array) -> Self:
        """The scales of inputs (n, d) and targets (n,).

        >>> t = np.arange(60.0)
        >>> round(float(Scales.of(t[:, None], np.sin(2 * np.pi * t / 12)).periods[0]))
        12
        """
        low, high = x.min(axis=0), x.max(axis=0)
        variance = float(np.var(y)) or float(np.mean(y**2)) or 1.0
        steps = [np.diff(np.unique(column)) for column in x.T]
        spacing = np.array([float(np.median(s)) if s.size else 1.0 for s in steps])
        found, weights = _periodogram(x[:, 0], y, spacing[0])
        return cls(variance, low, np.maximum(high, low + spacing), spacing, found, weights)

    @property
    def span(self) -> Array:
        """High − low."""
        return self.high - self.low


Start = Callable[[Scales, np.random.Generator, float], ArrayLike]


def near_default(scales: Scales, rng: np.random.Generator, default: float) -> ArrayLike:
    """The declared value, within a factor of about two."""
    return default * np.exp(rng.normal(0.0, 0.7))


def variances(scales: Scales, rng: np.random.Generator, default: float) -> ArrayLike:
    """Around the variance of the targets, more often below than above."""
    return scales.variance * np.exp(rng.uniform(-4.0, 1.5))


def noise_variances(scales: Scales, rng: np.random.Generator, default: float) -> ArrayLike:
    """From a thousandth to a third of the variance of the targets."""
    return scales.variance * np.exp(rng.uniform(-7.0, -1.0))


def slope_variances(scales: Scales, rng: np.random.Generator, default: float) -> ArrayLike:
    """Slopes that cross the range of the targets within the span of the inputs."""
    return scales.variance / np.mean(scales.span**2) * np.exp(rng.normal(0.0, 1.0))


def lengthscales(scales: Scales, rng: np.random.Generator, default: float) -> ArrayLike:
    """From the spacing of the inputs to twice their span, uniform in the logarithm."""
    low, high = np.log(np.mean(scales.spacing)), np.log(2 * np.mean(scales.span))
    return np.exp(rng.uniform(low, high))


def locations(scales: Scales, rng: np.random.Generator, default: float) -> ArrayLike:
    """Within the inputs, or up to half their span outside."""
    return float(np.mean(scales.low + scales.span * rng.uniform(-0.5, 1.5)))


def periods(scales: Scales, rng: np.random.Generator, default: float) -> ArrayLike:
    """A peak of the periodogram, the strong ones more often; or any period that can be seen."""
    if scales.periods.size and rng.random() < 0.8:
        return rng.choice(scales.periods, p=scales.weights) * np.exp(rng.normal(0.0, 0.02))
    low, high = 2 * scales.spacing[0], max(scales.span[0] / 2, 4 * scales.spacing[0])
    return np.exp(rng.uniform(np.log(low), np.log(high)))


def _periodogram(t: Array, y: Array, spacing: float, peaks: int = 3) -> tuple[Array, Array]:
    """The strongest periods between twice the spacing and half the span, the trend removed."""
    span = float(np.ptp(t))
    none: Any = np.zeros(0)
    if len(t) < 8 or span <= 4 * spacing:
        return none, none
    centred = (t - t.mean()) / span
    residual = y - np.polyval(np.polyfit(centred, y, 3), centred)
    if not np.any(np.abs(residual) > 1e-12 * np.abs(y).max()):
        return none, none
    frequency = np.linspace(2 / span, 0.5 / spacing, min(10 * len(t), 5000))
    power = lombscargle(t - t.mean(), residual, 2 * np.pi * frequency)
    inner = (power[1:-1] >= power[:-2]) & (power[1:-1] >= power[2:])
    tops = np.flatnonzero(inner) + 1
    tops = tops[np.argsort(-power[tops])][:peaks]
    if not tops.size or not power[tops].sum() > 0:
        return none, none
    return 1 / frequency[tops], power[tops] / power[tops].sum()
