"""Distributions on an interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import aesara.tensor.random.basic as aer
import numpy as np

from aeframe.core.errors import DataError
from aeframe.core.supports import Bounded, Interval, Support
from aeframe.distributions.base import ABOVE_0, FINITE, Distribution, Domain, as_parameter, is_known
from aeframe.distributions.draws import Family

UNIFORM = aer.UniformRV(dtype="float64")


class _Between(Distribution):
    """A distribution between its arguments ``low`` and ``high``."""

    low: Any
    high: Any

    def __post_init__(self) -> None:
        super().__post_init__()
        require_order(type(self).__name__, self.low, self.high)

    @property
    def support(self) -> Support:  # type: ignore[override]
        """The interval."""
        known = is_known(self.low, self.high)
        return Interval(float(self.low), float(self.high)) if known else Bounded()

    def support_arguments(self) -> tuple[Any, ...]:
        """The ends, where they are no numbers."""
        if is_known(self.low, self.high):
            return ()
        name = type(self).__name__
        return as_parameter(name, self.low), as_parameter(name, self.high)


def require_order(name: str, *ends: Any) -> None:
    """Raise :class:`DataError` unless each number lies above the one before."""
    for low, high in pairwise(ends):
        if is_known(low, high) and not low < high:
            raise DataError(
                f"the ends of {name} are in the wrong order",
                expected="each above the one before",
                got=" and ".join(map(str, ends)),
            )


@dataclass(frozen=True, eq=False)
class Uniform(_Between):
    """Equal density between ``low`` and ``high``: p(x) = 1 / (high − low).

    >>> Uniform(0.0, 2.0).support
    Interval(low=0.0, high=2.0)
    """

    low: Any = 0.0
    high: Any = 1.0
    op: ClassVar[Family] = UNIFORM
    domains: ClassVar[Mapping[str, Domain]] = {"low": FINITE, "high": FINITE}


@dataclass(frozen=True, eq=False)
class Triangular(_Between):
    """The density rises from ``low`` to ``mode`` and falls to ``high``, in straight lines.

    p(mode) = 2 / (high − low).

    >>> round(float(Triangular(0.0, 1.0, 2.0).log_density(1.0).eval()), 4)
    0.0
    """

    low: Any
    mode: Any
    high: Any
    op: ClassVar[Family] = aer.TriangularRV(dtype="float64")
    domains: ClassVar[Mapping[str, Domain]] = {"low": FINITE, "mode": FINITE, "high": FINITE}


@dataclass(frozen=True, eq=False)
class Beta(Distribution):
    """The beta distribution of two counts; the mean is alpha / (alpha + beta).

    p(x) = xᵅ⁻¹ (1 − x)ᵝ⁻¹ / B(alpha, beta) for 0 < x < 1.

    >>> round(float(Beta(2.0, 2.0).log_density(0.5).eval()), 4)
    0.4055
    """

    alpha: Any
    beta: Any
    op: ClassVar[Family] = aer.BetaRV(dtype="float64")
    support: ClassVar[Support] = Interval(0.0, 1.0)
    domains: ClassVar[Mapping[str, Domain]] = {"alpha": ABOVE_0, "beta": ABOVE_0}


@dataclass(frozen=True, eq=False)
class VonMises(Distribution):
    """The normal distribution on a circle: angles in radians, from −π to π.

    p(x) = exp(concentration cos(x − mean)) / 2π I₀(concentration).

    >>> round(float(VonMises(0.0, 1.0).log_density(0.0).eval()), 4)
    -1.0738
    """

    mean: Any = 0.0
    concentration: Any = 1.0
    op: ClassVar[Family] = aer.VonMisesRV(dtype="float64")
    support: ClassVar[Support] = Interval(-np.pi, np.pi)
    domains: ClassVar[Mapping[str, Domain]] = {"mean": FINITE, "concentration": ABOVE_0}
