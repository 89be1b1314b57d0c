"""Densities: the formula of each random variable, and the interpretation that finds others.

:class:`LeafDensityOp` is the formula of one family. :class:`LogDensityOp` asks for the density of
any draw; rules (:mod:`aeframe.distributions.rules`) push it through transforms down to leaves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import aesara.tensor as at
import aesara.tensor.random.basic as aer
import numpy as np
from aesara.graph.basic import Apply, Variable
from aesara.raise_op import CheckAndRaise
from aesara.tensor.random.type import RandomGeneratorType

from aeframe.core.graph import replay
from aeframe.core.ops import TypedOp
from aeframe.distributions.draws import DrawOp, Family

Formula = Callable[..., Variable]
LOG_2PI = float(np.log(2 * np.pi))


def inside(condition: Variable, log_density: Variable) -> Variable:
    """``log_density`` where the value lies in the support, −∞ elsewhere."""
    return at.switch(condition, log_density, -np.inf)


def binomial_coefficient(n: Variable, k: Variable) -> Variable:
    """Log (n choose k)."""
    return at.gammaln(n + 1) - at.gammaln(k + 1) - at.gammaln(n - k + 1)


def log_beta(a: Variable, b: Variable) -> Variable:
    """Log B(a, b)."""
    return at.gammaln(a) + at.gammaln(b) - at.gammaln(a + b)


def times_log(x: Variable, y: Variable) -> Variable:
    """``x log y``, with 0 log 0 = 0."""
    nothing = at.eq(x, 0)
    return at.switch(nothing, 0.0, x * at.log(at.switch(nothing, 1.0, y)))


def log_sum_exp(x: Variable) -> Variable:
    """Log Σ exp(x) along the last axis; −∞ where all entries are."""
    top = x.max(axis=-1, keepdims=True)
    top = at.switch(at.isinf(top), 0.0, top)
    return at.log(at.exp(x - top).sum(axis=-1)) + top[..., 0]


def log_probability(p: Variable) -> Variable:
    """Log p; −∞ for what is none, as outside of a support further up."""
    return at.log(at.maximum(p, 0.0))


def rayleigh(value: Variable, scale: Variable) -> Variable:
    """x/s² exp(−x²/2s²)."""
    x = at.switch(value > 0, value, 1.0)
    return inside(value > 0, at.log(x) - 2 * at.log(scale) - (x / scale) ** 2 / 2)


def fisher(value: Variable, d1: Variable, d2: Variable) -> Variable:
    """The density of F with d₁ and d₂ degrees of freedom."""
    x = at.switch(value > 0, value, 1.0)
    ratio = d1 / d2
    found = d1 / 2 * at.log(ratio) + (d1 / 2 - 1) * at.log(x) - log_beta(d1 / 2, d2 / 2)
    return inside(value > 0, found - (d1 + d2) / 2 * at.log1p(ratio * x))


def power(value: Variable, a: Variable) -> Variable:
    """A xᵃ⁻¹ on [0, 1]."""
    return inside((value >= 0) & (value <= 1), at.log(a) + times_log(a - 1, abs(value)))


def generalized_gamma(value: Variable, a: Variable, p: Variable, scale: Variable) -> Variable:
    """p/s (x/s)ᵃ⁻¹ exp(−(x/s)ᵖ) / Γ(a/p), as Aesara's ``GenGammaRV``."""
    z = at.switch(value > 0, value, 1.0) / scale
    found = at.log(p) - at.log(scale) + (a - 1) * at.log(z) - z**p - at.gammaln(a / p)
    return inside(value > 0, found)


def truncated_exponential(
    value: Variable, b: Variable, location: Variable, scale: Variable
) -> Variable:
    """exp(−z) / (1 − exp(−b)) on 0 ≤ z ≤ b, z = (x − location) / scale."""
    z = (value - location) / scale
    return inside((z >= 0) & (z <= b), -z - at.log(scale) - at.log1mexp(-b))


def discrete_uniform(value: Variable, low: Variable, high: Variable) -> Variable:
    """1/(high − low) for low ≤ k < high."""
    return inside((value >= low) & (value < high), -at.log(high - low) + 0.0 * value)


def zipf(value: Variable, a: Variable) -> Variable:
    """k⁻ᵃ/ζ(a); ζ by Euler and Maclaurin's sum, to 1e-12 for a ≥ 1.05."""
    n = 16
    head = sum((at.power(float(k), -a) for k in range(1, n)), start=at.zeros_like(a))
    tail = at.power(float(n), 1 - a) / (a - 1) + at.power(float(n), -a) / 2
    falling, factors = a, (1 / 12, -1 / 720, 1 / 30240, -1 / 1209600)
    for i, factor in enumerate(factors):
        tail = tail + factor * falling * at.power(float(n), -a - 2 * i - 1)
        falling = falling * (a + 2 * i + 1) * (a + 2 * i + 2)
    return inside(value >= 1, -a * at.log(at.maximum(value, 1)) - at.log(head + tail))


def logistic(value: Variable, location: Variable, scale: Variable) -> Variable:
    """exp(−z) / s (1 + exp(−z))², without overflow."""
    z = abs(value - location) / scale
    return -z - at.log(scale) - 2 * at.softplus(-z)


def von_mises(value: Variable, mean: Variable, concentration: Variable) -> Variable:
    """exp(κ cos(x − μ)) / 2π I₀(κ) on [−π, π]; large κ by the series of I₀ in A&S 9.7.1."""
    k = concentration
    large, x = k > 100.0, at.maximum(k, 100.0)
    series = 1 + 1 / (8 * x) * (1 + 9 / (16 * x) * (1 + 25 / (24 * x) * (1 + 49 / (32 * x))))
    log_i0 = at.switch(
        large,
        x - at.log(2 * np.pi * x) / 2 + at.log(series),
        at.log(at.i0(at.minimum(k, 100.0))),
    )
    found = k * at.cos(value - mean) - LOG_2PI - log_i0
    return inside((value >= -np.pi) & (value <= np.pi), found)


def categorical(value: Variable, p: Variable) -> Variable:
    """Log pₖ."""
    return log_probability(picked(p, value)) - at.log(p.sum(axis=-1))


def picked(numbers: Variable, value: Variable) -> Variable:
    """The entry ``value`` along the last axis of ``numbers``, broadcast; 0 where there is none."""
    n = numbers.shape[numbers.type.ndim - 1]
    one = at.eq(at.shape_padright(at.cast(value, "int64")), at.arange(n))
    return at.switch(one, numbers, 0.0).sum(axis=-1)


def multinomial(value: Variable, n: Variable, p: Variable) -> Variable:
    """N! Π pₖˣᵏ / xₖ!."""
    possible = at.all(value >= 0, axis=-1) & at.eq(value.sum(axis=-1), n)
    terms = times_log(value, p) - at.gammaln(at.maximum(value, 0) + 1.0)
    return inside(possible, at.gammaln(n + 1.0) + terms.sum(axis=-1))


def half_cauchy(value: Variable, location: Variable, scale: Variable) -> Variable:
    """2 / (π s (1 + z²)) for x ≥ location."""
    z = (value - location) / scale
    return inside(z >= 0, np.log(2 / np.pi) - at.log(scale) - at.log1p(z**2))


def gamma(value: Variable, shape: Variable, scale: Variable) -> Variable:
    """xᵃ⁻¹ exp(−x/s) / (sᵃ Γ(a)) for x ≥ 0."""
    z = at.switch(value >= 0, value, scale) / scale
    found = times_log(shape - 1, z) - z - at.log(scale) - at.gammaln(shape)
    return inside(value >= 0, found)


def inverse_gamma(value: Variable, shape: Variable, scale: Variable) -> Variable:
    """sᵃ x⁻ᵃ⁻¹ exp(−s/x) / Γ(a) for x > 0."""
    z = scale / at.switch(value > 0, value, scale)
    return inside(value > 0, (shape + 1) * at.log(z) - z - at.log(scale) - at.gammaln(shape))


def log_normal(value: Variable, mean: Variable, sd: Variable) -> Variable:
    """The normal density of log x, over x."""
    log_x = at.log(at.switch(value > 0, value, 1.0))
    found = -(((log_x - mean) / sd) ** 2) / 2 - LOG_2PI / 2 - at.log(sd) - log_x
    return inside(value > 0, found)


def beta(value: Variable, a: Variable, b: Variable) -> Variable:
    """xᵃ⁻¹ (1 − x)ᵇ⁻¹ / B(a, b) on [0, 1]."""
    within = (value >= 0) & (value <= 1)
    x = at.switch(within, value, 0.5)
    return inside(within, times_log(a - 1, x) + times_log(b - 1, 1 - x) - log_beta(a, b))


def hypergeometric(value: Variable, good: Variable, bad: Variable, n: Variable) -> Variable:
    """(good choose k) (bad choose n − k) / (good + bad choose n)."""
    possible = (value >= at.maximum(0, n - bad)) & (value <= at.minimum(good, n))
    k = at.switch(possible, value, at.maximum(0, n - bad)).astype("float64")
    found = binomial_coefficient(good, k) + binomial_coefficient(bad, n - k)
    return inside(possible, found - binomial_coefficient(good + bad, n))


LACKING: dict[type, Formula] = {  # what AePPL has no density for
    aer.RayleighRV: rayleigh,
    aer.FRV: fisher,
    aer.PowerRV: power,
    aer.GenGammaRV: generalized_gamma,
    aer.TruncExponentialRV: truncated_exponential,
    aer.RandIntRV: discrete_uniform,
    aer.IntegersRV: discrete_uniform,
    aer.ZipfRV: zipf,
}
# AePPL's overflow, round to float32, refuse batches, or have gradients that are not numbers
# once an entry lies outside of the support
REPAIRED: dict[type, Formula] = {
    aer.HalfCauchyRV: half_cauchy,
    aer.GammaRV: gamma,
    aer.InvGammaRV: inverse_gamma,
    aer.ChiSquareRV: lambda value, df: gamma(value, df / 2, at.as_tensor(2.0)),
    aer.LogNormalRV: log_normal,
    aer.BetaRV: beta,
    aer.HyperGeometricRV: hypergeometric,
    aer.LogisticRV: logistic,
    aer.VonMisesRV: von_mises,
    aer.CategoricalRV: categorical,
    aer.MultinomialRV: multinomial,
}


def leaf_density(family: Family, value: Variable, *parameters: Variable) -> Variable:
    """The log density of each draw, in plain Aesara.

    Raises
    ------
    NotImplementedError
        When nothing is known about ``family``.
    """
    if isinstance(family, DrawOp):
        return family.log_density(value, *parameters)
    own = LACKING.get(type(family)) or REPAIRED.get(type(family))
    if own is not None:
        return own(value, *parameters)
    aeppl = _aeppl()
    unused = RandomGeneratorType()(), at.constant([], dtype="int64"), at.constant(0)
    return replay([aeppl(family, [value], *unused, *parameters)], {}, without_checks)[0]


def _aeppl() -> Any:
    """AePPL's densities, with those that it lacks."""
    from aeppl.logprob import _logprob

    for kind, formula in LACKING.items():
        if kind not in _logprob.registry:
            _logprob.register(kind)(_as_aeppl(formula))
    return _logprob


def _as_aeppl(formula: Formula) -> Formula:
    return lambda op, values, rng, size, dtype, *parameters, **_: formula(values[0], *parameters)


def without_checks(node: Apply, inputs: list[Variable]) -> Any:
    """A transform: what AePPL would stop the program for has density 0 instead."""
    if not isinstance(node.op, CheckAndRaise):
        return None
    value, *conditions = inputs
    holds = conditions[0]
    for other in conditions[1:]:
        holds = at.and_(holds, other)
    return [at.switch(holds, value, at.as_tensor(-np.inf, dtype=value.type.dtype))]


class LeafDensityOp(TypedOp):
    """The log density of each draw of one family: value, parameters → (batch,).

    Its body is asked for once for each set of types.
    """

    __props__ = ("op",)

    def __init__(self, op: Family) -> None:
        self.op = op.sized(None) if isinstance(op, DrawOp) else op

    def body(self, *inputs: Variable) -> Variable:
        """The formula, see :func:`leaf_density`."""
        return leaf_density(self.op, *inputs)

    def __str__(self) -> str:
        return f"log density of {self.op.name}"
