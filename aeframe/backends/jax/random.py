"""Random variables on JAX: one draw for each of Aesara's, from a key, a shape and parameters.

Aesara's own dispatch lacks some and takes the scale of others for a rate. Parameters are those of
Aesara's Ops, which are SciPy's or NumPy's; a stream advances by one split of its key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import aesara.tensor.random.basic as aer
import jax
import jax.numpy as jnp
from aesara.link.jax.dispatch.random import jax_sample_fn

r = jax.random
Draw = Callable[..., Any]


def hypergeometric(key: Any, shape: Any, f: Any, good: Any, bad: Any, sample: Any) -> Any:
    """How many of ``sample`` balls, drawn one by one without replacement, are good."""
    good, bad, sample = (jnp.broadcast_to(jnp.asarray(v, f), shape) for v in (good, bad, sample))

    def draw(state: Any) -> Any:
        key, left, drawn = state
        key, subkey = r.split(key)
        is_good = r.uniform(subkey, shape, f) * (good + bad - drawn) < left
        going = drawn < sample
        return key, jnp.where(going & is_good, left - 1, left), jnp.where(going, drawn + 1, drawn)

    start = (key, good, jnp.zeros(shape, f))
    _, left, _ = jax.lax.while_loop(lambda state: jnp.any(state[2] < sample), draw, start)
    return good - left


def von_mises(key: Any, shape: Any, f: Any, mu: Any, kappa: Any) -> Any:
    """Best and Fisher (1979): rejection from a wrapped Cauchy, in [−π, π]."""
    kappa = jnp.broadcast_to(jnp.asarray(kappa, f), shape)
    tau = 1 + jnp.sqrt(1 + 4 * kappa**2)
    rho = (tau - jnp.sqrt(2 * tau)) / (2 * jnp.maximum(kappa, 1e-6))
    # the limit of (1 + ρ²) / 2ρ for small κ is 1/κ
    s = jnp.where(kappa < 1e-5, 1 / jnp.maximum(kappa, 1e-12), (1 + rho**2) / (2 * rho))

    def draw(state: Any) -> Any:
        key, w, done = state
        key, subkey = r.split(key)
        u, v = r.uniform(subkey, (2, *shape), f)
        z = jnp.cos(jnp.pi * u)
        new = (1 + s * z) / (s + z)
        y = kappa * (s - new)
        accepted = (y * (2 - y) - v >= 0) | (jnp.log(y / v) + 1 - y >= 0)
        return key, jnp.where(done, w, new), done | accepted

    key, subkey = r.split(key)
    start = (key, jnp.zeros(shape, f), jnp.zeros(shape, bool))
    _, w, _ = jax.lax.while_loop(lambda state: ~jnp.all(state[2]), draw, start)
    angle = jnp.arccos(jnp.clip(w, -1, 1)) * r.rademacher(subkey, shape, f) + mu
    return jnp.mod(angle + jnp.pi, 2 * jnp.pi) - jnp.pi


def wald(key: Any, shape: Any, f: Any, mean: Any, scale: Any) -> Any:
    """Michael, Schucany and Haas (1976): a root of a quadratic in a squared normal."""
    first, second = r.split(key)
    y = mean * r.normal(first, shape, f) ** 2
    # the smaller root, without cancellation: μ (1 + b − √(b² + 2b)) with b = y / 2λ
    b = y / (2 * scale)
    x = mean / (1 + b + jnp.sqrt(b * (b + 2)))
    return jnp.where(r.uniform(second, shape, f) <= mean / (mean + x), x, mean**2 / x)


def ratio(key: Any, shape: Any, f: Any, dfn: Any, dfd: Any) -> Any:
    """F: a ratio of two mean squares."""
    first, second = r.split(key)
    above = r.gamma(first, jnp.asarray(dfn, f) / 2, shape, f) / dfn
    return above * dfd / r.gamma(second, jnp.asarray(dfd, f) / 2, shape, f)


def negative_binomial(key: Any, shape: Any, f: Any, n: Any, p: Any) -> Any:
    """Failures before ``n`` successes: Poisson, its rate from a gamma distribution."""
    first, second = r.split(key)
    rate = r.gamma(first, jnp.asarray(n, f), shape, f) * (1 - p) / p
    return r.poisson(second, rate, shape)


def beta_binomial(key: Any, shape: Any, f: Any, n: Any, a: Any, b: Any) -> Any:
    """Binomial, its probability from a beta distribution."""
    first, second = r.split(key)
    p = r.beta(first, jnp.asarray(a, f), jnp.asarray(b, f), shape, f)
    return binomial(second, shape, f, n, p)


def binomial(key: Any, shape: Any, f: Any, n: Any, p: Any) -> Any:
    """Successes among ``n``; JAX asks for floats."""
    return r.binomial(key, jnp.asarray(n, f), jnp.asarray(p, f), shape, f)


def choice(key: Any, shape: Any, f: Any, a: Any, p: Any, replace: Any) -> Any:
    """Entries of ``a``."""
    return r.choice(key, a, shape, bool(replace), p)


def integers(key: Any, shape: Any, f: Any, low: Any, high: Any) -> Any:
    """From ``low`` up to, but without, ``high``."""
    return r.randint(key, shape, low, high, jnp.int64)


def _located(name: str) -> Draw:
    standard = getattr(r, name)
    return lambda k, shape, f, loc, scale: loc + standard(k, shape, f) * scale


# f is the dtype of the draw, or float64 where that is an integer
DRAWS: dict[type, Draw] = {
    aer.UniformRV: lambda k, shape, f, low, high: r.uniform(k, shape, f, low, high),
    aer.TriangularRV: lambda k, shape, f, a, mode, b: r.triangular(k, a, mode, b, shape, f),
    aer.BetaRV: lambda k, shape, f, a, b: r.beta(k, a, b, shape, f),
    aer.RayleighRV: lambda k, shape, f, scale: scale * jnp.sqrt(2 * r.exponential(k, shape, f)),
    aer.PowerRV: lambda k, shape, f, a: r.uniform(k, shape, f) ** (1 / a),
    **{
        op: _located(op.name)
        for op in (aer.NormalRV, aer.LaplaceRV, aer.LogisticRV, aer.GumbelRV, aer.CauchyRV)
    },
    aer.HalfNormalRV: lambda k, shape, f, loc, scale: loc + scale * abs(r.normal(k, shape, f)),
    aer.HalfCauchyRV: lambda k, shape, f, loc, scale: loc + scale * abs(r.cauchy(k, shape, f)),
    aer.LogNormalRV: lambda k, shape, f, mean, sd: jnp.exp(mean + sd * r.normal(k, shape, f)),
    aer.GammaRV: lambda k, shape, f, a, scale: scale * r.gamma(k, a, shape, f),
    aer.InvGammaRV: lambda k, shape, f, a, scale: scale / r.gamma(k, a, shape, f),
    aer.GenGammaRV: lambda k, shape, f, a, p, scale: scale * r.gamma(k, a / p, shape, f) ** (1 / p),
    aer.ChiSquareRV: lambda k, shape, f, df: 2 * r.gamma(k, df / 2, shape, f),
    aer.FRV: ratio,
    aer.ParetoRV: lambda k, shape, f, b, scale: scale * r.pareto(k, b, shape, f),
    aer.ExponentialRV: lambda k, shape, f, scale: r.exponential(k, shape, f) * scale,
    aer.TruncExponentialRV: lambda k, shape, f, b, loc, scale: (
        loc - scale * jnp.log1p(r.uniform(k, shape, f) * jnp.expm1(-b))
    ),
    aer.WeibullRV: lambda k, shape, f, a: r.exponential(k, shape, f) ** (1 / a),
    aer.VonMisesRV: von_mises,
    aer.WaldRV: wald,
    aer.StudentTRV: lambda k, shape, f, df, loc, scale: loc + scale * r.t(k, df, shape, f),
    aer.MvNormalRV: lambda k, shape, f, mean, cov: r.multivariate_normal(
        k, jnp.asarray(mean, f), jnp.asarray(cov, f), shape, f
    ),
    aer.DirichletRV: lambda k, shape, f, alphas: r.dirichlet(
        k, jnp.asarray(alphas, f), shape[:-1], f
    ),
    aer.BernoulliRV: lambda k, shape, f, p: r.bernoulli(k, p, shape),
    aer.BinomialRV: binomial,
    aer.BetaBinomialRV: beta_binomial,
    aer.NegBinomialRV: negative_binomial,
    aer.PoissonRV: lambda k, shape, f, rate: r.poisson(k, rate, shape),
    aer.GeometricRV: lambda k, shape, f, p: r.geometric(k, p, shape),
    aer.HyperGeometricRV: hypergeometric,
    aer.CategoricalRV: lambda k, shape, f, p: r.categorical(k, jnp.log(p), shape=shape),
    aer.MultinomialRV: lambda k, shape, f, n, p: r.multinomial(
        k, jnp.asarray(n, f), jnp.asarray(p, f), shape=shape
    ),
    aer.RandIntRV: integers,
    aer.IntegersRV: integers,
    aer.ChoiceRV: choice,
    aer.PermutationRV: lambda k, shape, f, x: r.permutation(k, x),
}


def _register(kind: type, draw: Draw) -> None:
    def make(op: Any) -> Callable[..., Any]:
        def sample(rng: dict[str, Any], size: Any, dtype: Any, *parameters: Any) -> Any:
            key, subkey = r.split(rng["jax_state"], 2)
            f = dtype if jnp.issubdtype(dtype, jnp.floating) else jnp.float64
            value = draw(subkey, tuple(size), f, *parameters)
            return {**rng, "jax_state": key}, jnp.asarray(value).astype(dtype)

        return sample

    jax_sample_fn.register(kind)(make)


for _kind, _draw in DRAWS.items():
    _register(_kind, _draw)
