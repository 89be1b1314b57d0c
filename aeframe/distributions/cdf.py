"""Cumulative probabilities and quantiles: what truncation and censoring need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aesara.tensor as at
import aesara.tensor.random.basic as aer
import numpy as np
from aesara.graph.basic import Variable

from aeframe.core.errors import DensityError
from aeframe.distributions.draws import Family

Formula = Callable[..., Variable]
ROOT_2 = float(np.sqrt(2.0))


@dataclass(frozen=True)
class Cumulative:
    """log P(X ≤ x) and log P(X > x) of a value and parameters, and the quantiles from both ends.

    ``quantile(p)`` is the x with P(X ≤ x) = p, ``upper(q)`` the one with P(X > x) = q, exact for
    small q; ``None`` where there is no closed form.
    """

    log_cdf: Formula
    log_survival: Formula
    quantile: Formula | None = None
    upper: Formula | None = None


CUMULATIVE: dict[type, Cumulative] = {}


def cumulative_of(family: Family) -> Cumulative:
    """The cumulative probabilities of a family.

    Raises
    ------
    DensityError
        When they are not known.
    """
    if type(family) not in CUMULATIVE:
        raise DensityError(
            f"the cumulative distribution function of {family.name} is not known",
            expected=", ".join(sorted(k.__name__ for k in CUMULATIVE)),
            got=family.name,
        )
    return CUMULATIVE[type(family)]


def log_normal_cdf(z: Variable) -> Variable:
    """Log Φ(z), exact in both tails."""
    far = z < -1.0
    low, high = at.switch(far, z, -1.0), at.switch(far, 0.0, z)
    return at.switch(
        far,
        at.log(at.erfcx(-low / ROOT_2) / 2) - low**2 / 2,
        at.log1p(-at.erfc(high / ROOT_2) / 2),
    )


def symmetric(log_cdf: Formula, quantile: Formula | None, shapes: int = 0) -> Cumulative:
    """Of parameters (shapes, location, scale), from the formulas of the standard one."""

    def standard(sign: float) -> Formula:
        def formula(x: Variable, *parameters: Variable) -> Variable:
            location, scale = parameters[shapes:]
            return log_cdf(sign * (x - location) / scale, *parameters[:shapes])

        return formula

    def inverse(sign: float) -> Formula | None:
        def formula(p: Variable, *parameters: Variable) -> Variable:
            assert quantile is not None
            location, scale = parameters[shapes:]
            return location + sign * scale * quantile(p, *parameters[:shapes])

        return None if quantile is None else formula

    return Cumulative(standard(1.0), standard(-1.0), inverse(1.0), inverse(-1.0))


def by_hazard(hazard: Formula, inverse: Formula) -> Cumulative:
    """From the cumulative hazard H(x, *parameters) = −log P(X > x), and the x of an H."""
    return Cumulative(
        lambda x, *p: at.log1mexp(-hazard(x, *p)),
        lambda x, *p: -hazard(x, *p),
        lambda q, *p: inverse(-at.log1p(-q), *p),
        lambda q, *p: inverse(-at.log(q), *p),
    )


def laplace_log_cdf(z: Variable) -> Variable:
    """Z − log 2 below 0, log(1 − exp(−z)/2) above."""
    return at.switch(z < 0, z - np.log(2.0), at.log1p(-at.exp(-abs(z)) / 2))


def laplace_quantile(p: Variable) -> Variable:
    """Log 2p below ½, −log 2(1 − p) above."""
    return at.switch(p < 0.5, at.log(2 * p), -at.log(2 * (1 - p)))


def cauchy_log_cdf(z: Variable) -> Variable:
    """arctan(−1/z)/π for z < 0, where ½ + arctan(z)/π would cancel."""
    low = at.switch(z < -1, z, -1.0)
    return at.log(at.switch(z < -1, at.arctan(-1 / low) / np.pi, 0.5 + at.arctan(z) / np.pi))


def student_log_cdf(z: Variable, df: Variable) -> Variable:
    """½ I_{df/(df + z²)}(df/2, ½) for z < 0."""
    tail = at.betainc(df / 2, 0.5, df / (df + z**2)) / 2
    return at.log(at.switch(z < 0, tail, 1 - tail))


def _of_logs(inner: Cumulative) -> Cumulative:
    """Of exp(x)."""
    assert inner.quantile is not None and inner.upper is not None
    quantile, upper = inner.quantile, inner.upper
    return Cumulative(
        lambda x, *p: inner.log_cdf(at.log(x), *p),
        lambda x, *p: inner.log_survival(at.log(x), *p),
        lambda q, *p: at.exp(quantile(q, *p)),
        lambda q, *p: at.exp(upper(q, *p)),
    )


def _floor(formula: Formula) -> Formula:
    """Of counts: none lie below 0."""

    def counted(k: Variable, *p: Any) -> Variable:
        whole = at.floor(k.astype("float64"))
        return formula(at.maximum(whole, 0.0), whole < 0, *p)

    return counted


def counts(cdf: Formula, survival: Formula) -> Cumulative:
    """Of counts from 0, from P(X ≤ k) and P(X > k)."""
    return Cumulative(
        _floor(lambda k, below, *p: at.switch(below, -np.inf, at.log(cdf(k, *p)))),
        _floor(lambda k, below, *p: at.switch(below, 0.0, at.log(survival(k, *p)))),
    )


NORMAL = symmetric(log_normal_cdf, lambda p: -ROOT_2 * at.erfcinv(2 * p))
CUMULATIVE |= {
    aer.NormalRV: NORMAL,
    aer.LogNormalRV: _of_logs(NORMAL),
    aer.LogisticRV: symmetric(lambda z: -at.softplus(-z), lambda p: at.log(p) - at.log1p(-p)),
    aer.LaplaceRV: symmetric(laplace_log_cdf, laplace_quantile),
    aer.CauchyRV: symmetric(cauchy_log_cdf, lambda p: -1 / at.tan(np.pi * p)),
    aer.StudentTRV: symmetric(student_log_cdf, None, shapes=1),
    aer.GumbelRV: Cumulative(
        lambda x, m, s: -at.exp(-(x - m) / s),
        lambda x, m, s: at.log1mexp(-at.exp(-(x - m) / s)),
        lambda p, m, s: m - s * at.log(-at.log(p)),
        lambda q, m, s: m - s * at.log(-at.log1p(-q)),
    ),
    aer.HalfNormalRV: Cumulative(
        lambda x, m, s: at.log(at.erf((x - m) / (s * ROOT_2))),
        lambda x, m, s: np.log(2.0) + log_normal_cdf(-(x - m) / s),
        lambda p, m, s: m + s * ROOT_2 * at.erfinv(p),
        lambda q, m, s: m + s * ROOT_2 * at.erfcinv(q),
    ),
    aer.HalfCauchyRV: Cumulative(
        lambda x, m, s: at.log(at.arctan((x - m) / s) * (2 / np.pi)),
        lambda x, m, s: np.log(2.0) + cauchy_log_cdf(-(x - m) / s),
        lambda p, m, s: m + s * at.tan(p * (np.pi / 2)),
        lambda q, m, s: m + s / at.tan(q * (np.pi / 2)),
    ),
    aer.ExponentialRV: by_hazard(lambda x, s: x / s, lambda h, s: h * s),
    aer.RayleighRV: by_hazard(lambda x, s: (x / s) ** 2 / 2, lambda h, s: s * at.sqrt(2 * h)),
    aer.UniformRV: Cumulative(
        lambda x, a, b: at.log(at.clip((x - a) / (b - a), 0.0, 1.0)),
        lambda x, a, b: at.log(at.clip((b - x) / (b - a), 0.0, 1.0)),
        lambda p, a, b: a + p * (b - a),
        lambda q, a, b: b - q * (b - a),
    ),
    aer.GammaRV: Cumulative(
        lambda x, a, s: at.log(at.gammainc(a, x / s)),
        lambda x, a, s: at.log(at.gammaincc(a, x / s)),
    ),
    aer.InvGammaRV: Cumulative(
        lambda x, a, s: at.log(at.gammaincc(a, s / x)),
        lambda x, a, s: at.log(at.gammainc(a, s / x)),
    ),
    aer.BetaRV: Cumulative(
        lambda x, a, b: at.log(at.betainc(a, b, x)),
        lambda x, a, b: at.log(at.betainc(b, a, 1 - x)),
    ),
    aer.PoissonRV: counts(
        lambda k, rate: at.gammaincc(k + 1, rate), lambda k, rate: at.gammainc(k + 1, rate)
    ),
    aer.NegBinomialRV: counts(
        lambda k, n, p: at.betainc(n, k + 1, p), lambda k, n, p: at.betainc(k + 1, n, 1 - p)
    ),
    aer.BinomialRV: counts(
        lambda k, n, p: at.switch(k >= n, 1.0, at.betainc(at.maximum(n - k, 1), k + 1, 1 - p)),
        lambda k, n, p: at.switch(k >= n, 0.0, at.betainc(k + 1, at.maximum(n - k, 1), p)),
    ),
    aer.GeometricRV: counts(
        lambda k, p: -at.expm1(k * at.log1p(-p)), lambda k, p: at.exp(k * at.log1p(-p))
    ),
}
