"""Conjugate pairs as data: what a density says of one of its parameters, and which priors fit.

A likelihood belongs to one of these groups, by its form in the parameter; the sums over children,
plates and broadcasting are those of :mod:`aeframe.infer.conjugate.conditional`, the same for all.

======================  ===========================================  ==========================
group                   log density as a function of the parameter   prior
======================  ===========================================  ==========================
:data:`POSITIVE`        ``c log x − b xᵖ``                           ``xᵖ`` is gamma
:data:`PROBABILITY`     ``s log x + f log(1 − x)``                   beta
:data:`SIMPLEX`         ``Σ_k c_k log x_k``                          Dirichlet
:data:`LOCATION`        ``−½ w (z − x)²``                            normal
======================  ===========================================  ==========================

A new pair is a new row. Rows that draw from the stream are scale mixtures: given the draw, the
density has the form of its group (Makalic & Schmidt 2016 for half-Cauchy; Polson, Scott & Windle
2013 for logits; Andrews & Mallows 1974 for Student's t).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import aesara.tensor as at
import aesara.tensor.random.basic as aer
from aesara.graph.basic import Variable
from aesara.scalar.math import Sigmoid

from aeframe.distributions import Exponential, Gamma
from aeframe.distributions.continuous import FlatOp
from aeframe.distributions.discrete import BernoulliLogitsOp, BinomialLogitsOp
from aeframe.distributions.multivariate import MultivariateNormalOp
from aeframe.distributions.positive import HalfStudentTOp
from aeframe.gp.linalg import CholeskyInverseOp
from aeframe.infer.conjugate.entry import number
from aeframe.infer.conjugate.joint import Stream
from aeframe.infer.conjugate.polyagamma import PolyaGamma

Pair = tuple[Variable, Variable]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Likelihood:
    """What the density of a family says of one of its parameters.

    Attributes
    ----------
    name
        What reports call it.
    family
        The class of the random variable.
    parameter
        Which of its parameters.
    terms
        ``(value, *parameters) -> pair`` of the group: (c, b), (s, f), (c, c) or (w, z).
    power
        p of :data:`POSITIVE`.
    mixture
        Whether ``terms`` takes the stream and the shape of the value first.
    """

    name: str
    family: type
    parameter: int
    terms: Callable[..., Pair]
    power: float = 1.0
    mixture: bool = False


@dataclass(frozen=True)
class Prior:
    """A prior of a group.

    Attributes
    ----------
    name, family, terms, power, mixture
        As those of a :class:`Likelihood`; ``terms`` takes the value only where it is a mixture.
    where
        Which of its parameters must be which number.
    """

    name: str
    family: type
    terms: Callable[..., Pair]
    power: float = 1.0
    mixture: bool = False
    where: tuple[tuple[int, float], ...] = ()

    def fits(self, parameters: tuple[Variable, ...]) -> bool:
        """Whether the parameters are those that ``where`` asks for."""
        return all(number(parameters[i]) == value for i, value in self.where)


def _half_t(stream: Stream, shape: Shape, x: Variable, df: Variable, scale: Variable) -> Variable:
    """1/a of ``x² | a ~ InverseGamma(df/2, df/a)``, ``a ~ InverseGamma(1/2, 1/scale²)``.

    Given x and the scale, a is inverse gamma of (df + 1)/2 and df/x² + 1/scale².
    """
    return stream.draw(Gamma((df + 1) / 2, df / x**2 + 1 / scale**2), shape)


def _half_cauchy(stream: Stream, shape: Shape, x: Variable, scale: Variable) -> Variable:
    """The same with df = 1: 1/a is exponential."""
    return stream.draw(Exponential(1 / x**2 + 1 / scale**2), shape)


def _half_t_prior(stream: Stream, shape: Shape, x: Variable, df: Variable, scale: Variable) -> Pair:
    return -df - 1, df * _half_t(stream, shape, x, df, scale)


def _half_cauchy_prior(
    stream: Stream, shape: Shape, x: Variable, location: Variable, scale: Variable
) -> Pair:
    return at.constant(-2.0), _half_cauchy(stream, shape, x, scale)


def _half_cauchy_scale(
    stream: Stream, shape: Shape, y: Variable, location: Variable, scale: Variable
) -> Pair:
    return at.constant(-1.0), _half_cauchy(stream, shape, y, scale)


def _half_t_scale(stream: Stream, shape: Shape, y: Variable, df: Variable, scale: Variable) -> Pair:
    return at.constant(-1.0), _half_t(stream, shape, y, df, scale)


def _t_weight(
    stream: Stream, shape: Shape, y: Variable, df: Variable, mean: Variable, scale: Variable
) -> Variable:
    """W of ``y | w ~ Normal(mean, scale/√w)``, ``w ~ Gamma(df/2, df/2)``, given y."""
    return stream.draw(Gamma((df + 1) / 2, (df + ((y - mean) / scale) ** 2) / 2), shape)


def _t_scale(
    stream: Stream, shape: Shape, y: Variable, df: Variable, mean: Variable, scale: Variable
) -> Pair:
    w = _t_weight(stream, shape, y, df, mean, scale)
    return at.constant(-1.0), w * (y - mean) ** 2 / 2


def _t_location(
    stream: Stream, shape: Shape, y: Variable, df: Variable, mean: Variable, scale: Variable
) -> Pair:
    return _t_weight(stream, shape, y, df, mean, scale) / scale**2, y


def _nothing(low: Variable) -> Pair:
    return at.constant(0.0), at.constant(0.0)


ONE, MINUS_ONE = at.constant(1.0), at.constant(-1.0)

POSITIVE = [
    Likelihood("normal", aer.NormalRV, 1, lambda y, m, s: (MINUS_ONE, (y - m) ** 2 / 2), -2),
    Likelihood(
        "log-normal", aer.LogNormalRV, 1, lambda y, m, s: (MINUS_ONE, (at.log(y) - m) ** 2 / 2), -2
    ),
    Likelihood(
        "half-normal", aer.HalfNormalRV, 1, lambda y, m, s: (MINUS_ONE, (y - m) ** 2 / 2), -2
    ),
    Likelihood("Laplace", aer.LaplaceRV, 1, lambda y, m, s: (MINUS_ONE, abs(y - m)), -1),
    Likelihood("Rayleigh", aer.RayleighRV, 0, lambda y, s: (at.constant(-2.0), y**2 / 2), -2),
    Likelihood("Poisson", aer.PoissonRV, 0, lambda y, rate: (y, ONE), 1),
    Likelihood("exponential", aer.ExponentialRV, 0, lambda y, s: (MINUS_ONE, y), -1),
    Likelihood("gamma", aer.GammaRV, 1, lambda y, a, s: (-a, y), -1),
    Likelihood("inverse-gamma", aer.InvGammaRV, 1, lambda y, a, b: (a, 1 / y), 1),
    Likelihood("half-Cauchy", aer.HalfCauchyRV, 1, _half_cauchy_scale, -2, mixture=True),
    Likelihood("half-t", HalfStudentTOp, 1, _half_t_scale, -2, mixture=True),
    Likelihood("t", aer.StudentTRV, 2, _t_scale, -2, mixture=True),
]
POSITIVE_PRIORS = [
    Prior("gamma", aer.GammaRV, lambda a, s: (a - 1, 1 / s), 1),
    Prior("exponential", aer.ExponentialRV, lambda s: (at.constant(0.0), 1 / s), 1),
    Prior("chi-squared", aer.ChiSquareRV, lambda df: (df / 2 - 1, at.constant(0.5)), 1),
    Prior("inverse-gamma", aer.InvGammaRV, lambda a, b: (-a - 1, b), -1),
    Prior(
        "half-normal",
        aer.HalfNormalRV,
        lambda m, s: (at.constant(0.0), 1 / (2 * s**2)),
        2,
        where=((0, 0.0),),
    ),
    Prior("half-Cauchy", aer.HalfCauchyRV, _half_cauchy_prior, -2, mixture=True, where=((0, 0.0),)),
    Prior("half-t", HalfStudentTOp, _half_t_prior, -2, mixture=True),
    # density 1 above 0: of each form
    *(Prior("half-flat", FlatOp, _nothing, power, where=((0, 0.0),)) for power in (-2, -1, 1)),
]
PROBABILITY = [
    Likelihood("Bernoulli", aer.BernoulliRV, 0, lambda y, p: (y, 1 - y)),
    Likelihood("binomial", aer.BinomialRV, 1, lambda y, n, p: (y, n - y)),
    Likelihood("geometric", aer.GeometricRV, 0, lambda y, p: (ONE, y - 1)),
    Likelihood("negative-binomial", aer.NegBinomialRV, 1, lambda y, n, p: (n, y)),
]
PROBABILITY_PRIORS = [
    Prior("beta", aer.BetaRV, lambda a, b: (a, b)),
    Prior("uniform", aer.UniformRV, lambda a, b: (ONE, ONE), where=((0, 0.0), (1, 1.0))),
]


def _one_hot(y: Variable, p: Variable) -> Pair:
    n = p.type.shape[-1]
    counts = at.eq(at.shape_padright(at.cast(y, "int64")), at.arange(n)).astype("float64")
    return counts, counts


SIMPLEX = [
    Likelihood("categorical", aer.CategoricalRV, 0, _one_hot),
    Likelihood("multinomial", aer.MultinomialRV, 1, lambda y, n, p: (y, y)),
]
SIMPLEX_PRIORS = [Prior("Dirichlet", aer.DirichletRV, lambda a: (a, a))]


def _logits(stream: Stream, shape: Shape, kappa: Variable, n: Variable, x: Variable) -> Pair:
    """A density ``exp(κ x) / (2 cosh(x/2))ⁿ``: normal of weight ω given ω ~ PG(n, x)."""
    omega = stream.draw(PolyaGamma(n, x), shape)
    return omega, kappa / omega


def _bernoulli(stream: Stream, shape: Shape, y: Variable, x: Variable) -> Pair:
    return _logits(stream, shape, y - 0.5, ONE, x)


def _binomial(stream: Stream, shape: Shape, y: Variable, n: Variable, x: Variable) -> Pair:
    n = n.astype("float64")
    return _logits(stream, shape, y - n / 2, n, x)


def _negative_binomial(stream: Stream, shape: Shape, y: Variable, n: Variable, x: Variable) -> Pair:
    return _logits(stream, shape, (n - y) / 2, n + y, x)


LOCATION = [
    Likelihood("normal", aer.NormalRV, 0, lambda y, m, s: (s**-2, y)),
    Likelihood("log-normal", aer.LogNormalRV, 0, lambda y, m, s: (s**-2, at.log(y))),
    Likelihood(
        "multivariate normal",
        MultivariateNormalOp,
        0,
        lambda y, m, chol: (CholeskyInverseOp()(chol), y),
    ),
    Likelihood("t", aer.StudentTRV, 1, _t_location, mixture=True),
    Likelihood("Bernoulli logits", BernoulliLogitsOp, 0, _bernoulli, mixture=True),
    Likelihood("binomial logits", BinomialLogitsOp, 1, _binomial, mixture=True),
]
LINKED = [  # of a probability that is sigmoid(x): rows of LOCATION for x
    Likelihood("Bernoulli logits", aer.BernoulliRV, 0, _bernoulli, mixture=True),
    Likelihood("binomial logits", aer.BinomialRV, 1, _binomial, mixture=True),
    Likelihood("negative-binomial logits", aer.NegBinomialRV, 1, _negative_binomial, mixture=True),
]
LOCATION_PRIORS = (aer.NormalRV, aer.StudentTRV, MultivariateNormalOp, FlatOp)


def logit(p: Variable) -> Variable | None:
    """X where ``p = sigmoid(x)``, or log n − y where ``p = n / (n + exp(y))``, as written."""
    node = p.owner
    scalar = getattr(node.op, "scalar_op", None) if node is not None else None
    if isinstance(scalar, Sigmoid):
        return node.inputs[0]
    if type(scalar).__name__ != "TrueDivide":
        return None
    n, total = node.inputs
    parts = total.owner.inputs if total.owner is not None else []
    rest = [v for v in parts if not _same(v, n)]
    if type(getattr(total.owner and total.owner.op, "scalar_op", None)).__name__ != "Add":
        return None
    if len(parts) != 2 or len(rest) != 1 or rest[0].owner is None:
        return None
    if type(getattr(rest[0].owner.op, "scalar_op", None)).__name__ != "Exp":
        return None
    return at.log(n) - rest[0].owner.inputs[0]


def _same(a: Variable, b: Variable) -> bool:
    """Whether two variables are one, but for broadcasting."""
    a, b = (_bare(v) for v in (a, b))
    return a is b or (number(a) is not None and number(a) == number(b))


def _bare(v: Variable) -> Variable:
    while v.owner is not None and type(v.owner.op).__name__ == "DimShuffle":
        v = v.owner.inputs[0]
    return v
