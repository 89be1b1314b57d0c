"""Distributions on positive numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import aesara.tensor as at
import aesara.tensor.random.basic as aer
import numpy as np
from aesara.graph.basic import Variable

from aeframe.core.supports import Bounded, Interval, Positive, Support
from aeframe.distributions.base import ABOVE_0, FINITE, Distribution, Domain, as_parameter, is_known
from aeframe.distributions.cdf import CUMULATIVE, by_hazard
from aeframe.distributions.density import inside
from aeframe.distributions.draws import Drawn, DrawOp, Family, Size, standard

EXPONENTIAL = aer.ExponentialRV(dtype="float64")
STUDENT_T = aer.StudentTRV(dtype="float64")


@dataclass(frozen=True, eq=False)
class _Positive(Distribution):
    support: ClassVar[Support] = Positive()


@dataclass(frozen=True, eq=False)
class HalfNormal(_Positive):
    """The distribution of ``|x|``, with x normal of mean 0 and standard deviation ``sd``.

    p(x) = √(2/π) exp(−x² / 2 sd²) / sd for x > 0; its own sd is 0.603 ``sd``.
    """

    sd: Any = 1.0
    op: ClassVar[Family] = aer.HalfNormalRV(dtype="float64")
    domains: ClassVar[Mapping[str, Domain]] = {"sd": ABOVE_0}

    def parameters(self) -> tuple[Any, ...]:
        """Location 0 and scale."""
        return 0.0, self.sd


@dataclass(frozen=True, eq=False)
class HalfCauchy(_Positive):
    """The distribution of ``|x|``, with x Cauchy of location 0; ``scale`` is its median.

    p(x) = 2 / (π scale (1 + (x / scale)²)) for x > 0.

    >>> round(float(HalfCauchy().log_density(1.0).eval()), 4)
    -1.1447
    """

    scale: Any = 1.0
    op: ClassVar[Family] = aer.HalfCauchyRV(dtype="float64")
    domains: ClassVar[Mapping[str, Domain]] = {"scale": ABOVE_0}

    def parameters(self) -> tuple[Any, ...]:
        """Location 0 and scale."""
        return 0.0, self.scale


class HalfStudentTOp(DrawOp):
    """``(rng, df, scale)``: the size of a draw of Student's t."""

    def sample(self, rng: Variable, shape: Sequence[Size], *parameters: Variable) -> Drawn:
        """``scale |t|``."""
        df, scale = parameters
        rng, t = standard(STUDENT_T, rng, shape, df, 0.0, 1.0)
        return rng, scale * abs(t)

    def log_density(self, value: Variable, *parameters: Variable) -> Variable:
        """Twice that of Student's t."""
        df, scale = parameters
        found = at.gammaln((df + 1) / 2) - at.gammaln(df / 2) - at.log(np.pi * df) / 2
        found = found - at.log(scale) - (df + 1) / 2 * at.log1p((value / scale) ** 2 / df)
        return inside(value >= 0, found + np.log(2.0))


@dataclass(frozen=True, eq=False)
class HalfStudentT(_Positive):
    """The distribution of ``|x|``, with x Student's t of location 0, ``df`` and ``scale``.

    p(x) = 2 p_t(x / scale; df) / scale for x > 0.

    >>> round(float(HalfStudentT(df=1.0).log_density(1.0).eval()), 4)
    -1.1447
    """

    df: Any
    scale: Any = 1.0
    op: ClassVar[Family] = HalfStudentTOp()
    domains: ClassVar[Mapping[str, Domain]] = {"df": ABOVE_0, "scale": ABOVE_0}


@dataclass(frozen=True, eq=False)
class LogNormal(_Positive):
    """The distribution of exp(x), with x normal of ``mean`` and ``sd``.

    p(x) = exp(−(log x − mean)² / 2 sd²) / (x sd √2π); ``exp(mean)`` is the median.

    >>> round(float(LogNormal().log_density(1.0).eval()), 4)
    -0.9189
    """

    mean: Any = 0.0
    sd: Any = 1.0
    op: ClassVar[Family] = aer.LogNormalRV(dtype="float64")
    domains: ClassVar[Mapping[str, Domain]] = {"mean": FINITE, "sd": ABOVE_0}


@dataclass(frozen=True, eq=False)
class Exponential(_Positive):
    """The exponential distribution of a rate, in events per unit of x; the mean is 1 / rate.

    p(x) = rate exp(−rate x) for x > 0.

    >>> round(float(Exponential(2.0).log_density(0.5).eval()), 4)
    -0.3069
    """

    rate: Any = 1.0
    op: ClassVar[Family] = EXPONENTIAL
    domains: ClassVar[Mapping[str, Domain]] = {"rate": ABOVE_0}

    def parameters(self) -> tuple[Any, ...]:
        """The scale, 1 / rate."""
        return (inverse_of(self.rate),)


@dataclass(frozen=True, eq=False)
class Gamma(_Positive):
    """The gamma distribution of a shape and a rate; the mean is shape / rate.

    p(x) = rateˢʰᵃᵖᵉ xˢʰᵃᵖᵉ⁻¹ exp(−rate x) / Γ(shape) for x > 0.

    >>> round(float(Gamma(1.0, 2.0).log_density(0.5).eval()), 4)
    -0.3069
    """

    shape: Any
    rate: Any = 1.0
    op: ClassVar[Family] = aer.GammaRV(dtype="float64")
    domains: ClassVar[Mapping[str, Domain]] = {"shape": ABOVE_0, "rate": ABOVE_0}

    def parameters(self) -> tuple[Any, ...]:
        """Shape and scale, 1 / rate."""
        return self.shape, inverse_of(self.rate)


@dataclass(frozen=True, eq=False)
class InverseGamma(_Positive):
    """The distribution of 1/x, with x gamma of this shape and of rate ``scale``.

    p(x) = scaleˢʰᵃᵖᵉ x⁻ˢʰᵃᵖᵉ⁻¹ exp(−scale / x) / Γ(shape); the mean is scale / (shape − 1).

    >>> round(float(InverseGamma(1.0, 1.0).log_density(1.0).eval()), 4)
    -1.0
    """

    shape: Any
    scale: Any = 1.0
    op: ClassVar[Family] = aer.InvGammaRV(dtype="float64")
    domains: ClassVar[Mapping[str, Domain]] = {"shape": ABOVE_0, "scale": ABOVE_0}


@dataclass(frozen=True, eq=False)
class ChiSquared(_Positive):
    """The sum of ``df`` squared standard normals; the mean is ``df``.

    p(x) = xᵈᶠ⸍²⁻¹ exp(−x/2) / (2ᵈᶠ⸍² Γ(df/2)) for x > 0.

    >>> round(float(ChiSquared(2.0).log_density(1.0).eval()), 4)
    -1.1931
    """

    df: Any
    op: ClassVar[Family] = aer.ChiSquareRV(dtype="float64")
    domains: ClassVar[Mapping[str, Domain]] = {"df": ABOVE_0}


class WeibullOp(DrawOp):
    """``(rng, shape, scale)``: scale times the root of a standard exponential."""

    def sample(self, rng: Variable, shape: Sequence[Size], *parameters: Variable) -> Drawn:
        """``scale E^(1 / shape)``."""
        k, scale = parameters
        rng, drawn = standard(EXPONENTIAL, rng, shape, 1.0)
        return rng, scale * drawn ** (1 / k)

    def log_density(self, value: Variable, *parameters: Variable) -> Variable:
        """Log k/s + (k − 1) log(x/s) − (x/s)ᵏ."""
        k, scale = parameters
        z = at.switch(value > 0, value, 1.0) / scale
        return inside(value > 0, at.log(k / scale) + (k - 1) * at.log(z) - z**k)


@dataclass(frozen=True, eq=False)
class Weibull(_Positive):
    """The Weibull distribution of a shape k and a scale s; the mean is s Γ(1 + 1/k).

    p(x) = k/s (x/s)ᵏ⁻¹ exp(−(x/s)ᵏ) for x > 0.

    >>> round(float(Weibull(1.0, 2.0).log_density(2.0).eval()), 4)
    -1.6931
    """

    shape: Any
    scale: Any = 1.0
    op: ClassVar[Family] = WeibullOp()
    domains: ClassVar[Mapping[str, Domain]] = {"shape": ABOVE_0, "scale": ABOVE_0}


@dataclass(frozen=True, eq=False)
class Rayleigh(_Positive):
    """The length of a vector of two normals of mean 0 and sd ``scale``.

    p(x) = x/scale² exp(−x² / 2 scale²) for x > 0.

    >>> round(float(Rayleigh().log_density(1.0).eval()), 4)
    -0.5
    """

    scale: Any = 1.0
    op: ClassVar[Family] = aer.RayleighRV(dtype="float64")
    domains: ClassVar[Mapping[str, Domain]] = {"scale": ABOVE_0}


@dataclass(frozen=True, eq=False)
class InverseGaussian(_Positive):
    """Wald's distribution of a mean μ and a shape λ; the variance is μ³ / λ.

    p(x) = √(λ / 2πx³) exp(−λ (x − μ)² / 2μ²x) for x > 0.

    >>> round(float(InverseGaussian().log_density(1.0).eval()), 4)
    -0.9189
    """

    mean: Any = 1.0
    shape: Any = 1.0
    op: ClassVar[Family] = aer.WaldRV(dtype="float64")
    domains: ClassVar[Mapping[str, Domain]] = {"mean": ABOVE_0, "shape": ABOVE_0}


class ParetoOp(DrawOp):
    """``(rng, shape, scale)``: scale times the exponential of an exponential."""

    def sample(self, rng: Variable, shape: Sequence[Size], *parameters: Variable) -> Drawn:
        """``scale exp(E / shape)``."""
        alpha, scale = parameters
        rng, drawn = standard(EXPONENTIAL, rng, shape, 1.0)
        return rng, scale * at.exp(drawn / alpha)

    def log_density(self, value: Variable, *parameters: Variable) -> Variable:
        """Log α − log s − (α + 1) log(x/s)."""
        alpha, scale = parameters
        ratio = at.switch(value >= scale, value / scale, 1.0)
        return inside(value >= scale, at.log(alpha / scale) - (alpha + 1) * at.log(ratio))


@dataclass(frozen=True, eq=False)
class Pareto(Distribution):
    """Pareto's distribution of a shape α above a scale; the mean is α scale / (α − 1).

    p(x) = α scaleᵅ / xᵅ⁺¹ for x ≥ scale.

    >>> round(float(Pareto(2.0, 1.0).log_density(1.0).eval()), 4)
    0.6931
    """

    shape: Any
    scale: Any = 1.0
    op: ClassVar[Family] = ParetoOp()
    domains: ClassVar[Mapping[str, Domain]] = {"shape": ABOVE_0, "scale": ABOVE_0}

    @property
    def support(self) -> Support:  # type: ignore[override]
        """Numbers above the scale."""
        return Interval(float(self.scale), np.inf) if is_known(self.scale) else Bounded()

    def support_arguments(self) -> tuple[Any, ...]:
        """The scale and infinity, where the scale is no number."""
        return () if is_known(self.scale) else (as_parameter("Pareto", self.scale), np.inf)


def inverse_of(value: Any) -> Any:
    """``1 / value``, a number's as a number."""
    return 1.0 / (value if isinstance(value, Variable) else np.asarray(value, dtype="float64"))


CUMULATIVE |= {
    WeibullOp: by_hazard(lambda x, k, s: (x / s) ** k, lambda h, k, s: s * h ** (1 / k)),
    ParetoOp: by_hazard(lambda x, a, s: a * at.log(x / s), lambda h, a, s: s * at.exp(h / a)),
}
