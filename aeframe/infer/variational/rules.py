"""Rules that make a guide of a Model, as tables that users extend.

A *substitution* says which family a site's distribution becomes, with the parameters that make
it that distribution, or one close to it, on the unconstrained scale. A *surrogate* says how the
guide's parameters follow from these. Both are declared like all rules:

>>> from aesara.tensor.random.basic import VonMisesRV
>>> von_mises = Definition(  # near its mean a normal, of sd 1/√kappa
...     "guide: my von Mises as normal",
...     prior(VonMisesRV, "mean", "kappa"),
...     term(NormalFamily)(Var("mean"), term(at.pow)(Var("kappa"), -0.5)),
... )
>>> rules = (von_mises, *ASVI)  # the first that matches is taken
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Variable
from aesara.graph.op import Op
from aesara.tensor.random.basic import (
    BernoulliRV,
    BetaRV,
    CategoricalRV,
    CauchyRV,
    ChiSquareRV,
    ExponentialRV,
    GammaRV,
    GumbelRV,
    HalfCauchyRV,
    HalfNormalRV,
    InvGammaRV,
    LaplaceRV,
    LogisticRV,
    LogNormalRV,
    MvNormalRV,
    NormalRV,
    RayleighRV,
    StudentTRV,
    UniformRV,
    WaldRV,
    WeibullRV,
)
from aesara.tensor.random.op import RandomVariable

from aeframe.core import TypedOp
from aeframe.core.supports import Interval, Positive
from aeframe.distributions.continuous import SkewNormalOp
from aeframe.distributions.discrete import BernoulliLogitsOp, CategoricalLogitsOp
from aeframe.distributions.maps import Fixed
from aeframe.distributions.multivariate import MultivariateNormalOp
from aeframe.distributions.positive import HalfStudentTOp, WeibullOp
from aeframe.gp.linalg import CholeskyOp
from aeframe.infer.variational.families import (
    BernoulliFamily,
    CategoricalFamily,
    CorrelatedNormalFamily,
    Family,
    GumbelFamily,
    JointNormalFamily,
    LaplaceFamily,
    LocationScale,
    LogExponentialFamily,
    LogHalfNormalFamily,
    LogisticFamily,
    NormalFamily,
)
from aeframe.prob.sites import SiteOp
from aeframe.rewrites import Definition, Each, Prop, Rest, Var, term
from aeframe.rewrites.pattern import Call, Pattern


class BlendOp(TypedOp):
    """What a guide blends of the prior's parameter θ and one of its own, α: before that, θ."""

    def body(self, theta: Variable) -> Variable:
        """The prior's parameter."""
        return theta


class OwnOp(TypedOp):
    """What a guide learns as a parameter α of its own, started at the prior's: before that, θ."""

    def body(self, theta: Variable) -> Variable:
        """The prior's parameter."""
        return theta


class RowsOp(TypedOp):
    """The lengths of the rows of a Cholesky factor, or with ``unit`` its rows at length 1.

    ``L = diag(lengths) R``: standard deviations, and the factor of the correlations.
    """

    __props__ = ("unit",)

    def __init__(self, unit: bool) -> None:
        self.unit = unit

    def body(self, L: Variable) -> Variable:
        """√Σ_j L²_ij, or L over it."""
        lengths = at.sqrt(at.square(L).sum(axis=1))
        return L / lengths.dimshuffle(0, "x") if self.unit else lengths


def drawn(distribution: type[Op], *parameters: str) -> Call:
    """A draw by the Op class ``distribution``.

    Its parameters, in the order of the Op, are variables of the given names.
    """
    aesaras = ("size", "dtype") if issubclass(distribution, RandomVariable) else ()
    return term(distribution)(*map(Var, ("rng", *aesaras, *parameters)))[1]


def site(draw: Pattern, **props: Any) -> Call:
    """A site that is ``draw``; ``props`` are hyperparameters of the site, such as its support."""
    return term(SiteOp, bind=Prop("site"), **props)(draw, Rest("of support"))


def prior(distribution: type[Op], *parameters: str) -> Call:
    """The left side of most substitutions: a site :func:`drawn` from ``distribution``."""
    return site(drawn(distribution, *parameters))


location, scale, a, b, df, p = map(Var, ("location", "scale", "a", "b", "df", "p"))
normal, weibull = term(NormalFamily), term(LogExponentialFamily)
log, sqrt, add, sub, mul, divide = map(
    term, (at.log, at.sqrt, at.add, at.sub, at.mul, at.true_divide)
)
_LOG_LOG_2 = float(np.log(np.log(2.0)))  # the median of log E, with E exponential
_TINY = 1e-30  # stands for a probability of 0, whose logit no guide could move


def _gamma(mean: Pattern, shape: Pattern, sign: float = -1.0) -> Call:
    """The log-normal with the mean and the variance of a gamma, or of its inverse."""
    spread = term(at.log1p)(divide(1.0, shape))
    return normal(add(log(mean), mul(0.5 * sign, spread)), sqrt(spread))


def _log(probability: Pattern) -> Call:
    return log(term(at.maximum)(probability, _TINY))


def _rows(factor: Pattern) -> Call:
    """A multivariate normal of a Cholesky factor."""
    rows = (term(RowsOp, unit=unit)(factor) for unit in (False, True))
    return term(CorrelatedNormalFamily)(location, *rows)


def _substitution(name: str, left: Call, right: Call) -> Definition:
    return Definition(f"guide: {name}", left, right)


#: Real numbers. Draws with heavy tails would make the ELBO's gradient one without variance.
LOCATED = (
    _substitution("normal", prior(NormalRV, "location", "scale"), normal(location, scale)),
    *(
        _substitution(name, prior(op, "location", "scale"), term(family)(location, scale))
        for name, op, family in (
            ("Laplace", LaplaceRV, LaplaceFamily),
            ("logistic", LogisticRV, LogisticFamily),
            ("Gumbel", GumbelRV, GumbelFamily),
            ("Cauchy as normal", CauchyRV, NormalFamily),
        )
    ),
    _substitution(
        "Student t as normal",
        prior(StudentTRV, "df", "location", "scale"),
        normal(location, scale),
    ),
    _substitution(
        "skew normal as normal",
        prior(SkewNormalOp, "location", "scale", "skew"),
        normal(location, scale),
    ),
    _substitution(
        "multivariate normal", prior(MultivariateNormalOp, "location", "L"), _rows(Var("L"))
    ),
    _substitution(
        "multivariate normal of a covariance",
        prior(MvNormalRV, "location", "covariance"),
        _rows(term(CholeskyOp)(Var("covariance"))),
    ),
)

#: Positive numbers, on the scale of their logarithm. Weibull is as half-Cauchy near 0 and in the
#: middle, without its long tail.
POSITIVE = (
    _substitution("log-normal", prior(LogNormalRV, "location", "scale"), normal(location, scale)),
    _substitution(
        "half-normal",
        prior(HalfNormalRV, "location", "scale"),
        term(LogHalfNormalFamily)(log(scale), 1.0),
    ),
    _substitution(
        "half-Cauchy as Weibull",
        prior(HalfCauchyRV, "location", "scale"),
        weibull(sub(log(scale), _LOG_LOG_2), 1.0),
    ),
    _substitution(
        "half Student t as Weibull",
        prior(HalfStudentTOp, "df", "scale"),
        weibull(sub(log(scale), _LOG_LOG_2), 1.0),
    ),
    _substitution(
        "exponential as Weibull", prior(ExponentialRV, "scale"), weibull(log(scale), 1.0)
    ),
    _substitution("Weibull of scale 1", prior(WeibullRV, "a"), weibull(0.0, divide(1.0, a))),
    _substitution("Weibull", prior(WeibullOp, "a", "scale"), weibull(log(scale), divide(1.0, a))),
    _substitution(
        "Rayleigh as Weibull",
        prior(RayleighRV, "scale"),
        weibull(log(mul(scale, float(np.sqrt(2.0)))), 0.5),
    ),
    _substitution("gamma as log-normal", prior(GammaRV, "a", "scale"), _gamma(mul(a, scale), a)),
    _substitution(
        "inverse gamma as log-normal",
        prior(InvGammaRV, "a", "scale"),
        _gamma(divide(scale, a), a, 1.0),
    ),
    _substitution(  # the gamma of shape df / 2 and scale 2
        "chi-square as log-normal", prior(ChiSquareRV, "df"), _gamma(df, mul(0.5, df))
    ),
    _substitution(  # of mean a and shape b: the variance is a³ / b
        "inverse Gaussian as log-normal", prior(WaldRV, "a", "b"), _gamma(a, divide(b, a))
    ),
)

#: Intervals, on the scale of the logit; and what is discrete.
BOUNDED = (
    _substitution(
        "uniform as scaled logistic",
        prior(UniformRV, "low", "high"),
        term(LogisticFamily)(0.0, 1.0),
    ),
    _substitution(  # the delta method: logit has mean log a/b and variance 1/a + 1/b
        "beta as logit-normal",
        prior(BetaRV, "a", "b"),
        normal(log(divide(a, b)), sqrt(add(divide(1.0, a), divide(1.0, b)))),
    ),
    _substitution(
        "Bernoulli",
        prior(BernoulliRV, "p"),
        term(BernoulliFamily)(sub(_log(p), _log(sub(1.0, p)))),
    ),
    _substitution("Bernoulli of logits", prior(BernoulliLogitsOp, "p"), term(BernoulliFamily)(p)),
    _substitution("categorical", prior(CategoricalRV, "p"), term(CategoricalFamily)(_log(p))),
    _substitution(
        "categorical of logits", prior(CategoricalLogitsOp, "p"), term(CategoricalFamily)(p)
    ),
)

_z, _c, _d = drawn(NormalRV, "location", "scale"), Fixed("c"), Fixed("d")
c, d = Var("c"), Var("d")
_stretched = normal(mul(d, location), mul(term(at.abs)(d), scale))
_maps = {"z": (_z, normal(location, scale))}
_maps |= {"d z": (mul(_d, _z), _stretched), "z d": (mul(_z, _d), _stretched)}


def _shifts(name: str, draw: Call, of: Call) -> Iterator[tuple[str, Call, Call]]:
    """The draw plus and minus c, and c minus the draw."""
    center, sd = of.args
    yield f"c + {name}", add(_c, draw), normal(add(c, center), sd)
    yield f"{name} + c", add(draw, _c), normal(add(c, center), sd)
    yield f"{name} − c", sub(draw, _c), normal(sub(center, c), sd)
    yield f"c − {name}", sub(_c, draw), normal(sub(c, center), sd)


#: Maps of a normal draw z, written as expressions.
TRANSFORMED = (
    _substitution("exp z", site(term(at.exp)(_z), support=Positive()), normal(location, scale)),
    _substitution(
        "sigmoid z",
        site(term(at.sigmoid)(_z), support=Interval(0.0, 1.0)),
        normal(location, scale),
    ),
    *(_substitution(name, site(left), of) for name, (left, of) in _maps.items() if name != "z"),
    *(
        _substitution(shifted, site(left), right)
        for name, (draw, of) in _maps.items()
        for shifted, left, right in _shifts(name, draw, of)
    ),
)

SUBSTITUTIONS = (
    *LOCATED,
    *POSITIVE,
    *BOUNDED,
    *TRANSFORMED,
    _substitution("any support, standard normal", site(Var("draw")), normal(0.0, 1.0)),
)

theta = Var("theta")


def _each(marker: type[TypedOp]) -> Call:
    """The family on all its parameters, each under ``marker``."""
    return term(Family, bind=Prop("family"))(Each("thetas", theta, term(marker)(theta)))


_family = term(Family, bind=Prop("family"))(Rest("thetas"))
_own = tuple(term(OwnOp)(v) for v in (location, scale))
_normals = {
    "located": term(LocationScale, bind=Prop("family"))(location, scale),
    "correlated": term(CorrelatedNormalFamily)(location, scale, Var("mixing")),
}

BLENDED = Definition("guide: λ·η + (1 − λ)·η(α)", _family, _each(BlendOp))
OWN = Definition("guide: α", _family, _each(OwnOp))
INDEPENDENT = tuple(
    Definition(f"guide: {name} normal, α", left, normal(*_own)) for name, left in _normals.items()
)
JOINT = tuple(
    Definition(f"guide: {name} joint normal, α", left, term(JointNormalFamily)(*_own))
    for name, left in _normals.items()
)

#: Automatic structured VI: the dependences of the model, blended with parameters of the guide.
ASVI = (*SUBSTITUTIONS, BLENDED)
#: A normal on the unconstrained scale for each entry of each site, independent of all others.
MEAN_FIELD = (*SUBSTITUTIONS, *INDEPENDENT, OWN)
#: One normal over the unconstrained scale of all sites.
FULL_RANK = (*SUBSTITUTIONS, *JOINT)
