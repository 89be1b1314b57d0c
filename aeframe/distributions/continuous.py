"""Distributions on all real numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

import aesara.tensor as at
import aesara.tensor.random.basic as aer
import numpy as np
from aesara.graph.basic import Variable

from aeframe.core.errors import ArgumentError
from aeframe.core.supports import Positive, Real, Support
from aeframe.distributions.base import ABOVE_0, FINITE, Distribution, Domain
from aeframe.distributions.cdf import log_normal_cdf
from aeframe.distributions.density import LOG_2PI
from aeframe.distributions.draws import Drawn, DrawOp, Family, Size, standard

NORMAL = aer.NormalRV(dtype="float64")


@dataclass(frozen=True, eq=False)
class Normal(Distribution):
    """The normal distribution of a mean and a standard deviation.

    p(x) = exp(−(x − mean)² / 2 sd²) / (sd √2π).

    >>> from aeframe.core import RandomState
    >>> _, draw = Normal(0.0, [1.0, 2.0]).draw(RandomState(), (5, 2))
    >>> draw.type.shape
    (5, 2)
    """

    mean: Any = 0.0
    sd: Any = 1.0
    op: ClassVar[Family] = NORMAL
    support: ClassVar[Support] = Real()
    domains: ClassVar[Mapping[str, Domain]] = {"mean": FINITE, "sd": ABOVE_0}


@dataclass(frozen=True, eq=False)
class _Located(Distribution):
    location: Any = 0.0
    scale: Any = 1.0
    support: ClassVar[Support] = Real()
    domains: ClassVar[Mapping[str, Domain]] = {"location": FINITE, "scale": ABOVE_0}


@dataclass(frozen=True, eq=False)
class Cauchy(_Located):
    """The Cauchy distribution of a location (its median) and a scale; it has no mean.

    p(x) = 1 / (π scale (1 + z²)), z = (x − location) / scale.

    >>> round(float(Cauchy().log_density(0.0).eval()), 4)
    -1.1447
    """

    op: ClassVar[Family] = aer.CauchyRV(dtype="float64")


@dataclass(frozen=True, eq=False)
class DoubleExponential(_Located):
    """Laplace's distribution of a location (its mean) and a scale; the sd is √2 scale.

    p(x) = exp(−|x − location| / scale) / (2 scale).

    >>> round(float(DoubleExponential().log_density(1.0).eval()), 4)
    -1.6931
    """

    op: ClassVar[Family] = aer.LaplaceRV(dtype="float64")


@dataclass(frozen=True, eq=False)
class Logistic(_Located):
    """The logistic distribution of a location (its mean) and a scale; the sd is π scale / √3.

    p(x) = exp(−z) / scale (1 + exp(−z))², z = (x − location) / scale.

    >>> round(float(Logistic().log_density(0.0).eval()), 4)
    -1.3863
    """

    op: ClassVar[Family] = aer.LogisticRV(dtype="float64")


@dataclass(frozen=True, eq=False)
class Gumbel(_Located):
    """The distribution of maxima, of a location (its mode) and a scale.

    p(x) = exp(−z − exp(−z)) / scale, z = (x − location) / scale.

    >>> round(float(Gumbel().log_density(0.0).eval()), 4)
    -1.0
    """

    op: ClassVar[Family] = aer.GumbelRV(dtype="float64")


@dataclass(frozen=True, eq=False)
class StudentT(Distribution):
    """Student's t of degrees of freedom, a location (its mean, df > 1) and a scale.

    p(x) = Γ((df + 1)/2) / (Γ(df/2) √(π df) scale) · (1 + z²/df)^(−(df + 1)/2),
    z = (x − location) / scale; the sd is scale √(df / (df − 2)).

    >>> round(float(StudentT(df=1.0).log_density(0.0).eval()), 4)
    -1.1447
    """

    df: Any
    location: Any = 0.0
    scale: Any = 1.0
    op: ClassVar[Family] = aer.StudentTRV(dtype="float64")
    support: ClassVar[Support] = Real()
    domains: ClassVar[Mapping[str, Domain]] = {
        "df": ABOVE_0,
        "location": FINITE,
        "scale": ABOVE_0,
    }


class SkewNormalOp(DrawOp):
    """``(rng, location, scale, skew)``: location + scale (δ |z₀| + √(1 − δ²) z₁)."""

    def sample(self, rng: Variable, shape: Sequence[Size], *parameters: Variable) -> Drawn:
        """Azzalini (1985): δ = skew / √(1 + skew²)."""
        location, scale, skew = parameters
        rng, half = standard(NORMAL, rng, shape, 0.0, 1.0)
        rng, other = standard(NORMAL, rng, shape, 0.0, 1.0)
        rest = 1 / at.sqrt(1 + skew**2)
        return rng, location + scale * rest * (skew * abs(half) + other)

    def log_density(self, value: Variable, *parameters: Variable) -> Variable:
        """2 φ(z) Φ(skew z) / scale."""
        location, scale, skew = parameters
        z = (value - location) / scale
        found = np.log(2.0) - LOG_2PI / 2 - at.log(scale) - z**2 / 2
        return found + log_normal_cdf(skew * z)


@dataclass(frozen=True, eq=False)
class SkewNormal(Distribution):
    """The skew normal distribution (Azzalini 1985); skew 0 is normal, above 0 leans right.

    p(x) = 2/scale φ(z) Φ(skew z), z = (x − location) / scale.

    >>> round(float(SkewNormal(0.0, 1.0, 0.0).log_density(0.0).eval()), 4)
    -0.9189
    """

    location: Any = 0.0
    scale: Any = 1.0
    skew: Any = 0.0
    op: ClassVar[Family] = SkewNormalOp()
    support: ClassVar[Support] = Real()
    domains: ClassVar[Mapping[str, Domain]] = {
        "location": FINITE,
        "scale": ABOVE_0,
        "skew": FINITE,
    }


class FlatOp(DrawOp):
    """``(rng, low)``: density 1 above ``low``; nothing can be drawn."""

    drawable = False

    def body(self, *inputs: Variable) -> NoReturn:
        """Refuse: who asks wants to draw."""
        raise ArgumentError(
            "Flat and HalfFlat are improper: nothing can be drawn from them",
            expected="a proper prior, such as ae.Normal(0, 10)",
            fix="give the site such a prior, or observe it",
        )

    def log_density(self, value: Variable, *parameters: Variable) -> Variable:
        """0, or −∞ below ``low``."""
        return at.switch(value > parameters[0], 0.0, -np.inf)


class _Improper(Distribution):
    """The base of what cannot be drawn: it leaves the random state to the other sites."""

    def draw(self, rng: Variable, shape: Sequence[Size] | None = None) -> Drawn:
        """The random state as it is, and what is refused where a program needs it."""
        return rng, super().draw(rng, shape)[1]


@dataclass(frozen=True, eq=False)
class Flat(_Improper):
    """Density 1 on all real numbers: an improper prior, which cannot be drawn from.

    >>> float(Flat().log_density(3.0).eval())
    0.0
    """

    op: ClassVar[Family] = FlatOp()
    support: ClassVar[Support] = Real()

    def parameters(self) -> tuple[Any, ...]:
        """The lower end: none."""
        return (-np.inf,)


@dataclass(frozen=True, eq=False)
class HalfFlat(_Improper):
    """Density 1 on all positive numbers: an improper prior, which cannot be drawn from.

    >>> float(HalfFlat().log_density(-3.0).eval())
    -inf
    """

    op: ClassVar[Family] = FlatOp()
    support: ClassVar[Support] = Positive()

    def parameters(self) -> tuple[Any, ...]:
        """The lower end."""
        return (0.0,)
