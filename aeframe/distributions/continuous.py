"""Distributions on real numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from aesara.tensor.random.basic import HalfNormalRV, NormalRV

from aeframe.core.supports import Positive, Real, Support
from aeframe.distributions.base import Distribution, require_argument

_TINY = float(np.finfo("float64").tiny)


@dataclass(frozen=True, eq=False)
class Normal(Distribution):
    """The normal distribution of a mean and a standard deviation.

    >>> from aeframe.core import RandomState
    >>> _, draw = Normal(0.0, [1.0, 2.0]).draw(RandomState(), (5, 2))
    >>> draw.type.shape
    (5, 2)
    """

    mean: Any = 0.0
    sd: Any = 1.0
    op: ClassVar[NormalRV] = NormalRV(dtype="float64")
    support: ClassVar[Support] = Real()

    def __post_init__(self) -> None:
        require_argument("the mean of Normal", self.mean, -np.inf, np.inf, "a finite number")
        require_argument("the sd of Normal", self.sd, _TINY, np.inf, "a number above 0")

    def parameters(self) -> tuple[Any, ...]:
        """Mean and standard deviation."""
        return self.mean, self.sd


@dataclass(frozen=True, eq=False)
class HalfNormal(Distribution):
    """The distribution of ``|x|``, with x normal of mean 0 and standard deviation ``sd``."""

    sd: Any = 1.0
    op: ClassVar[HalfNormalRV] = HalfNormalRV(dtype="float64")
    support: ClassVar[Support] = Positive()

    def __post_init__(self) -> None:
        require_argument("the sd of HalfNormal", self.sd, _TINY, np.inf, "a number above 0")

    def parameters(self) -> tuple[Any, ...]:
        """Location 0 and scale."""
        return 0.0, self.sd
