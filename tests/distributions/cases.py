"""Every distribution on numbers, beside SciPy's (or a formula where SciPy has none)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import aesara.tensor as at
import aesara.tensor.random.basic as aer
import numpy as np
from scipy import special, stats

import aeframe as ae
from aeframe.distributions.base import Distribution


@dataclass(frozen=True)
class Case:
    """``make(*parameters)`` is the distribution, ``reference(*parameters)`` SciPy's."""

    make: Callable[..., Any]
    reference: Callable[..., Any]
    parameters: Sequence[Any]
    extreme: Sequence[float] = ()  # more values, outside of the support and far out
    discrete: bool = False


@dataclass(frozen=True, eq=False)
class Raw(Distribution):
    """One of Aesara's random variables that has no class of ours."""

    kind: type
    given_parameters: tuple

    @property
    def op(self):
        return self.kind(dtype="int64" if self.kind is aer.ZipfRV else "float64")

    def parameters(self):
        return self.given_parameters


def raw(kind):
    return lambda *parameters: Raw(kind, parameters)


class Folded:
    """The size of a symmetric variable."""

    def __init__(self, whole):
        self.whole = whole

    def logpdf(self, x):
        return np.where(x >= 0, np.log(2) + self.whole.logpdf(x), -np.inf)

    def cdf(self, x):
        return 2 * self.whole.cdf(x) - 1

    def rvs(self, size, random_state):
        return abs(self.whole.rvs(size=size, random_state=random_state))


class VonMises:
    """SciPy's, on [−π, π] whatever the mean is."""

    def __init__(self, mean, concentration):
        self.mean, self.centred = mean, stats.vonmises(concentration)

    def logpdf(self, x):
        return np.where(abs(x) <= np.pi, self.centred.logpdf(x - self.mean), -np.inf)

    def uniform(self, x):
        turned = np.mod(x - self.mean + np.pi, 2 * np.pi) - np.pi
        return self.centred.cdf(turned)

    def rvs(self, size, random_state):
        return self.centred.rvs(size=size, random_state=random_state) * 0.5


def categories(p):
    p = np.asarray(p)
    return stats.rv_discrete(values=(np.arange(len(p)), p / p.sum()))


def ordinal(eta, cutpoints):
    cumulative = special.expit(np.asarray(cutpoints) - eta)
    return categories(np.diff(cumulative, prepend=0.0, append=1.0))


def expit(n, logits):
    return stats.binom(n, special.expit(logits))


class Blend:
    """A mixture of SciPy's, with more than one component or extra zeros."""

    def __init__(self, weights, parts):
        self.weights, self.parts = weights, parts

    def together(self, name, x):
        return sum(w * getattr(p, name)(x) for w, p in zip(self.weights, self.parts, strict=True))

    def pdf(self, x):
        return self.together("pdf", x)

    def pmf(self, x):
        return self.together("pmf", x)

    def cdf(self, x):
        return self.together("cdf", x)

    def logpdf(self, x):
        return np.log(self.pdf(x))

    def logpmf(self, x):
        return np.log(self.pmf(x))

    def rvs(self, size, random_state):
        return self.parts[-1].rvs(size=size, random_state=random_state)


class Within:
    """SciPy's, given that low ≤ x ≤ high."""

    def __init__(self, whole, low, high, step=0):
        self.whole, self.low, self.high = whole, low, high
        self.below = whole.cdf(low - step)
        self.mass = whole.cdf(high) - self.below

    def inside(self, x):
        return (x >= self.low) & (x <= self.high)

    def logpdf(self, x):
        return np.where(self.inside(x), self.whole.logpdf(x) - np.log(self.mass), -np.inf)

    def pmf(self, x):
        return np.where(self.inside(x), self.whole.pmf(x) / self.mass, 0.0)

    def logpmf(self, x):
        return np.log(self.pmf(x))

    def cdf(self, x):
        return np.clip((self.whole.cdf(x) - self.below) / self.mass, 0.0, 1.0)

    def rvs(self, size, random_state):
        u = np.random.default_rng(random_state).uniform(size=size)
        return self.whole.ppf(self.below + u * self.mass)


def truncated(make, n):
    """The first ``n`` parameters are those of the distribution, the others the ends."""
    return lambda *parameters: ae.Truncated(make(*parameters[:n]), *parameters[n:])


def within(make, n, step=0):
    return lambda *p: Within(make(*p[:n]), *p[n:], *[np.inf] * (n + 2 - len(p)), step=step)


OUT = (-1.5, -0.1)
C = Case
CASES = {
    "Normal": C(ae.Normal, stats.norm, (0.5, 1.3), (-40.0,)),
    "Cauchy": C(ae.Cauchy, stats.cauchy, (0.5, 1.3), (-1e6,)),
    "DoubleExponential": C(ae.DoubleExponential, stats.laplace, (0.5, 1.3), (-900.0,)),
    "Logistic": C(ae.Logistic, stats.logistic, (0.5, 1.3), (-2000.0, 2000.0)),
    "Gumbel": C(ae.Gumbel, stats.gumbel_r, (0.5, 1.3), (500.0,)),
    "StudentT": C(ae.StudentT, stats.t, (3.5, 0.5, 1.3), (-1e6,)),
    "SkewNormal": C(
        ae.SkewNormal, lambda a, b, c: stats.skewnorm(c, a, b), (0.5, 1.3, 2.5), (-8.0, 9.0)
    ),
    "HalfNormal": C(ae.HalfNormal, lambda s: stats.halfnorm(0.0, s), (1.3,), OUT),
    "HalfCauchy": C(ae.HalfCauchy, lambda s: stats.halfcauchy(0.0, s), (1.3,), OUT),
    "HalfStudentT": C(ae.HalfStudentT, lambda df, s: Folded(stats.t(df, 0.0, s)), (3.5, 1.3), OUT),
    "LogNormal": C(
        ae.LogNormal, lambda m, s: stats.lognorm(s, scale=np.exp(m)), (0.5, 1.3), (*OUT, 0.0)
    ),
    "Exponential": C(ae.Exponential, lambda r: stats.expon(scale=1 / r), (2.3,), OUT),
    "Gamma": C(ae.Gamma, lambda a, r: stats.gamma(a, scale=1 / r), (1.7, 2.3), OUT),
    "InverseGamma": C(ae.InverseGamma, lambda a, s: stats.invgamma(a, scale=s), (2.7, 1.3), OUT),
    "ChiSquared": C(ae.ChiSquared, stats.chi2, (3.5,), OUT),
    "Weibull": C(ae.Weibull, lambda k, s: stats.weibull_min(k, scale=s), (1.7, 1.3), OUT),
    "Rayleigh": C(ae.Rayleigh, lambda s: stats.rayleigh(scale=s), (1.3,), OUT),
    "InverseGaussian": C(
        ae.InverseGaussian, lambda m, s: stats.invgauss(m / s, scale=s), (1.7, 1.3), OUT
    ),
    "Pareto": C(ae.Pareto, lambda a, s: stats.pareto(a, scale=s), (2.7, 1.3), (*OUT, 1.2)),
    "Uniform": C(ae.Uniform, lambda a, b: stats.uniform(a, b - a), (-0.5, 1.5), (-0.6, 1.6)),
    "Triangular": C(
        ae.Triangular,
        lambda a, m, b: stats.triang((m - a) / (b - a), a, b - a),
        (-0.5, 0.3, 1.5),
        (-0.6, 1.6),
    ),
    "Beta": C(ae.Beta, stats.beta, (1.7, 2.3), (-0.1, 1.1)),
    "VonMises": C(ae.VonMises, VonMises, (0.3, 1.7), (-3.2, 3.2)),
    "VonMises, narrow": C(ae.VonMises, VonMises, (0.3, 800.0)),
    "F": C(raw(aer.FRV), stats.f, (5.5, 7.5), OUT),
    "Power": C(raw(aer.PowerRV), stats.powerlaw, (2.3,), (-0.1, 1.1)),
    "GenGamma": C(
        raw(aer.GenGammaRV),
        lambda a, p, s: stats.gengamma(a / p, p, scale=s),
        (1.7, 2.3, 1.3),
        OUT,
    ),
    "TruncExponential": C(raw(aer.TruncExponentialRV), stats.truncexpon, (2.3, 0.5, 1.3), (0.4,)),
    "Bernoulli": C(ae.Bernoulli, stats.bernoulli, (0.3,), (-1, 2), True),
    "Bernoulli, logits": C(
        lambda a: ae.Bernoulli(logits=a),
        lambda a: stats.bernoulli(special.expit(a)),
        (-1.3,),
        (-1, 2),
        True,
    ),
    "Binomial": C(ae.Binomial, stats.binom, (9, 0.3), (-1, 10), True),
    "Binomial, logits": C(lambda n, a: ae.Binomial(n, logits=a), expit, (9, -0.7), (-1, 10), True),
    "Geometric": C(ae.Geometric, stats.geom, (0.3,), (-1, 0), True),
    "Poisson": C(ae.Poisson, stats.poisson, (2.3,), (-1, 60), True),
    "NegativeBinomial": C(
        ae.NegativeBinomial, lambda m, f: stats.nbinom(f, f / (f + m)), (2.3, 1.7), (-1, 60), True
    ),
    "BetaBinomial": C(ae.BetaBinomial, stats.betabinom, (9, 1.7, 2.3), (-1, 10), True),
    "HyperGeometric": C(
        ae.HyperGeometric, lambda g, b, n: stats.hypergeom(g + b, g, n), (9, 7, 5), (-1, 6), True
    ),
    "DiscreteUniform": C(
        ae.DiscreteUniform, lambda a, b: stats.randint(a, b + 1), (-2, 4), (-3, 5), True
    ),
    "Zipf": C(raw(aer.ZipfRV), stats.zipf, (2.3,), (-1, 0, 1000), True),
    "Categorical": C(ae.Categorical, categories, ([0.2, 0.5, 0.3],), (-1, 3), True),
    "Categorical, logits": C(
        lambda a: ae.Categorical(logits=a),
        lambda a: categories(special.softmax(a)),
        ([0.2, -0.5, 1.3],),
        (-1, 3),
        True,
    ),
    "OrderedLogistic": C(ae.OrderedLogistic, ordinal, (0.3, [-1.0, 0.2, 1.5]), (-1, 4), True),
    "Mixture": C(
        lambda w, a, b, r: ae.Mixture(w, [ae.Normal(a, b), ae.Exponential(r)]),
        lambda w, a, b, r: Blend(w, [stats.norm(a, b), stats.expon(scale=1 / r)]),
        ([0.3, 0.7], -1.5, 0.7, 2.3),
        (-3.0,),
    ),
    "Mixture, one family": C(
        lambda w, m, s: ae.Mixture(w, ae.Normal(m, s)),
        lambda w, m, s: Blend(w, [stats.norm(v, s) for v in m]),
        ([0.3, 0.2, 0.5], [-1.5, 0.0, 2.0], 0.7),
        (-8.0,),
    ),
    "Mixture of counts": C(
        lambda w, r, n, p: ae.Mixture(w, [ae.Poisson(r), ae.Binomial(n, p)]),
        lambda w, r, n, p: Blend(w, [stats.poisson(r), stats.binom(n, p)]),
        ([0.3, 0.7], 6.5, 5, 0.3),
        (-1, 40),
        True,
    ),
    "ZeroInflated": C(
        lambda p, r: ae.ZeroInflated(p, ae.Poisson(r)),
        lambda p, r: Blend([p, 1 - p], [stats.randint(0, 1), stats.poisson(r)]),
        (0.3, 2.3),
        (-1, 0, 40),
        True,
    ),
    "Truncated normal": C(
        truncated(ae.Normal, 2), within(stats.norm, 2), (0.5, 1.3, -0.4, 1.9), (-0.5, 2.0)
    ),
    "Truncated far out": C(
        truncated(ae.Normal, 2),
        lambda m, s, a: stats.truncnorm((a - m) / s, np.inf, m, s),
        (0.5, 1.3, 16.0),
        (15.0,),
    ),
    "Truncated logistic": C(
        truncated(ae.Logistic, 2), within(stats.logistic, 2), (0.5, 1.3, 1.0), (0.0,)
    ),
    "Truncated double exponential": C(
        truncated(ae.DoubleExponential, 2), within(stats.laplace, 2), (0.5, 1.3, -1.0, 1.0)
    ),
    "Truncated Cauchy": C(
        truncated(ae.Cauchy, 2), within(stats.cauchy, 2), (0.5, 1.3, -2.0, 2.5), (3.0,)
    ),
    "Truncated Gumbel": C(
        truncated(ae.Gumbel, 2), within(stats.gumbel_r, 2), (0.5, 1.3, 1.0, 2.5), (3.0,)
    ),
    "Truncated half normal": C(
        truncated(ae.HalfNormal, 1),
        within(lambda s: stats.halfnorm(0, s), 1),
        (1.3, 0.4, 2.5),
        (3.0,),
    ),
    "Truncated half Cauchy": C(
        truncated(ae.HalfCauchy, 1),
        within(lambda s: stats.halfcauchy(0, s), 1),
        (1.3, 0.4, 2.5),
        (3.0,),
    ),
    "Truncated log normal": C(
        truncated(ae.LogNormal, 2),
        within(lambda m, s: stats.lognorm(s, scale=np.exp(m)), 2),
        (0.5, 1.3, 1.0, 4.0),
        (5.0,),
    ),
    "Truncated exponential": C(
        truncated(ae.Exponential, 1),
        within(lambda r: stats.expon(scale=1 / r), 1),
        (2.3, 0.2, 0.9),
        (1.0,),
    ),
    "Truncated Weibull": C(
        truncated(ae.Weibull, 2),
        within(lambda k, s: stats.weibull_min(k, scale=s), 2),
        (1.7, 1.3, 0.4, 2.0),
        (2.1,),
    ),
    "Truncated gamma": C(
        truncated(ae.Gamma, 2),
        within(lambda a, r: stats.gamma(a, scale=1 / r), 2),
        (1.7, 2.3, 0.4, 2.0),
        (2.1,),
    ),
    "Truncated beta": C(truncated(ae.Beta, 2), within(stats.beta, 2), (1.7, 2.3, 0.4, 0.9)),
    "Truncated t": C(truncated(ae.StudentT, 3), within(stats.t, 3), (3.5, 0.5, 1.3, -1.0, 2.0)),
    "Truncated Poisson": C(
        truncated(ae.Poisson, 1), within(stats.poisson, 1, 1), (2.3, 1, 5), (0, 6), True
    ),
    "Truncated negative binomial": C(
        truncated(ae.NegativeBinomial, 2),
        within(lambda m, f: stats.nbinom(f, f / (f + m)), 2, 1),
        (2.3, 1.7, 1),
        (0,),
        True,
    ),
    "Truncated binomial": C(
        truncated(ae.Binomial, 2), within(stats.binom, 2, 1), (9, 0.3, 1, 9), (0, 10), True
    ),
    "Transformed": C(
        lambda m, s: ae.Transformed(ae.Normal(m, s), at.exp, ae.Positive()),
        lambda m, s: stats.lognorm(s, scale=np.exp(m)),
        (0.5, 1.3),
        OUT,
    ),
}
# JAX has no Zipf draw, and these have no quantiles in closed form
UNDRAWN = {
    *("Zipf", "Truncated gamma", "Truncated beta", "Truncated t", "Truncated Poisson"),
    *("Truncated negative binomial", "Truncated binomial"),
}
# incomplete gamma and beta functions: XLA needs seconds for each, and has no derivative by shapes
SLOW = {
    *("Truncated beta", "Truncated t", "Truncated Poisson", "Truncated negative binomial"),
    *("Truncated gamma", "Truncated binomial"),
}
SHAPES = {"Truncated gamma": (1,), "Truncated beta": (1, 2), "Truncated t": (1,)}
