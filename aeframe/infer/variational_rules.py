"""Rules that make a guide of a Model, as tables that users extend.

A *substitution* says which family a site's distribution becomes, with the parameters that make
it that distribution, or one close to it, on the unconstrained scale. A *surrogate* says how the
guide's parameters follow from these. Both are declared like all rules:

>>> from aesara.tensor.random.basic import RayleighRV
>>> from aeframe.rewrites import Definition
>>> rayleigh = Definition(  # its square is exponential: log x = log(sd √2) + log(E) / 2
...     "guide: my Rayleigh",
...     prior(RayleighRV, "location", "sd"),
...     term(LogExponentialFamily)(
...         term(at.log)(term(at.mul)(Var("sd"), 2**0.5)), 0.5
...     ),
... )
>>> rules = (rayleigh, *ASVI)  # the first that matches is taken
"""

from __future__ import annotations

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
    StudentTRV,
    UniformRV,
    WeibullRV,
)
from aesara.tensor.random.op import RandomVariable

from aeframe.core import TypedOp
from aeframe.gp.linalg import CholeskyOp
from aeframe.infer.variational_families import (
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
from aeframe.rewrites.pattern import Call


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


def prior(distribution: type[Op], *parameters: str) -> Call:
    """The left side of a substitution: a site drawn by the Op class ``distribution``.

    Its parameters, in the order of the Op, are variables of the given names.
    """
    aesaras = ("size", "dtype") if issubclass(distribution, RandomVariable) else ()
    drawn = term(distribution)(*map(Var, ("rng", *aesaras, *parameters)))[1]
    return term(SiteOp, bind=Prop("site"))(drawn, Rest("of support"))


location, scale, a, b = map(Var, ("location", "scale", "a", "b"))
normal, log = term(NormalFamily), term(at.log)
_LOG_LOG_2 = float(np.log(np.log(2.0)))  # the median of log E, with E exponential
_SPREAD = term(at.log1p)(term(at.true_divide)(1.0, a))  # log(1 + 1/a): a gamma's, as log-normal


def _gamma(mean: Call) -> Call:
    """The log-normal with the mean and the variance of a gamma of shape ``a``."""
    below = term(at.sub)(log(mean), term(at.mul)(0.5, _SPREAD))
    return normal(below, term(at.sqrt)(_SPREAD))


SUBSTITUTIONS = (
    Definition("guide: normal", prior(NormalRV, "location", "scale"), normal(location, scale)),
    Definition(
        "guide: log-normal", prior(LogNormalRV, "location", "scale"), normal(location, scale)
    ),
    Definition(
        "guide: Laplace",
        prior(LaplaceRV, "location", "scale"),
        term(LaplaceFamily)(location, scale),
    ),
    Definition(
        "guide: logistic",
        prior(LogisticRV, "location", "scale"),
        term(LogisticFamily)(location, scale),
    ),
    Definition(
        "guide: Gumbel", prior(GumbelRV, "location", "scale"), term(GumbelFamily)(location, scale)
    ),
    # draws with heavy tails make the ELBO's gradient one without variance
    Definition(
        "guide: Student t as normal",
        prior(StudentTRV, "df", "location", "scale"),
        normal(location, scale),
    ),
    Definition(
        "guide: Cauchy as normal", prior(CauchyRV, "location", "scale"), normal(location, scale)
    ),
    Definition(
        "guide: half-normal",
        prior(HalfNormalRV, "location", "scale"),
        term(LogHalfNormalFamily)(log(scale), 1.0),
    ),
    # the same near 0 and in the middle; its long tail makes gradients without variance
    Definition(
        "guide: half-Cauchy as Weibull",
        prior(HalfCauchyRV, "location", "scale"),
        term(LogExponentialFamily)(term(at.add)(log(scale), -_LOG_LOG_2), 1.0),
    ),
    Definition(
        "guide: exponential as Weibull",
        prior(ExponentialRV, "scale"),
        term(LogExponentialFamily)(log(scale), 1.0),
    ),
    Definition(
        "guide: Weibull",
        prior(WeibullRV, "a"),
        term(LogExponentialFamily)(0.0, term(at.true_divide)(1.0, a)),
    ),
    Definition(
        "guide: uniform as scaled logistic",
        prior(UniformRV, "low", "high"),
        term(LogisticFamily)(0.0, 1.0),
    ),
    Definition(
        "guide: gamma as log-normal",
        prior(GammaRV, "a", "scale"),
        _gamma(term(at.mul)(a, scale)),
    ),
    Definition(
        "guide: inverse gamma as log-normal",
        prior(InvGammaRV, "a", "scale"),
        normal(
            term(at.add)(log(term(at.true_divide)(scale, a)), term(at.mul)(0.5, _SPREAD)),
            term(at.sqrt)(_SPREAD),
        ),
    ),
    Definition(  # the gamma of shape df/2 and rate 1/2, so of mean df
        "guide: chi-square as log-normal",
        prior(ChiSquareRV, "df"),
        normal(
            term(at.sub)(
                log(Var("df")),
                term(at.mul)(0.5, term(at.log1p)(term(at.true_divide)(2.0, Var("df")))),
            ),
            term(at.sqrt)(term(at.log1p)(term(at.true_divide)(2.0, Var("df")))),
        ),
    ),
    Definition(  # the delta method: logit has mean log a/b and variance 1/a + 1/b
        "guide: beta as logit-normal",
        prior(BetaRV, "a", "b"),
        normal(
            log(term(at.true_divide)(a, b)),
            term(at.sqrt)(term(at.add)(term(at.true_divide)(1.0, a), term(at.true_divide)(1.0, b))),
        ),
    ),
    Definition(
        "guide: multivariate normal",
        prior(MvNormalRV, "location", "covariance"),
        term(CorrelatedNormalFamily)(
            location,
            term(RowsOp, unit=False)(term(CholeskyOp)(Var("covariance"))),
            term(RowsOp, unit=True)(term(CholeskyOp)(Var("covariance"))),
        ),
    ),
    Definition("guide: Bernoulli", prior(BernoulliRV, "p"), term(BernoulliFamily)(Var("p"))),
    Definition("guide: categorical", prior(CategoricalRV, "p"), term(CategoricalFamily)(Var("p"))),
    Definition(
        "guide: any support, standard normal",
        term(SiteOp, bind=Prop("site"))(Var("draw"), Rest("of support")),
        normal(0.0, 1.0),
    ),
)

theta = Var("theta")


def _each(marker: type[TypedOp]) -> Call:
    """The family on all its parameters, each under ``marker``."""
    return term(Family, bind=Prop("family"))(Each("thetas", theta, term(marker)(theta)))


_family = term(Family, bind=Prop("family"))(Rest("thetas"))
_located = term(LocationScale, bind=Prop("family"))(location, scale)
_correlated = term(CorrelatedNormalFamily)(location, scale, Var("mixing"))

BLENDED = Definition("guide: λ·θ + (1 − λ)·α", _family, _each(BlendOp))
OWN = Definition("guide: α", _family, _each(OwnOp))
INDEPENDENT = tuple(
    Definition(
        f"guide: {name} normal, α", left, normal(*(term(OwnOp)(v) for v in (location, scale)))
    )
    for name, left in (("located", _located), ("correlated", _correlated))
)
JOINT = tuple(
    Definition(
        f"guide: {name} joint normal, α",
        left,
        term(JointNormalFamily)(*_own),
    )
    for name, left in (("located", _located), ("correlated", _correlated))
)

#: Automatic structured VI: the dependences of the model, blended with parameters of the guide.
ASVI = (*SUBSTITUTIONS, BLENDED)
#: A normal on the unconstrained scale for each entry of each site, independent of all others.
MEAN_FIELD = (*SUBSTITUTIONS, *INDEPENDENT, OWN)
#: One normal over the unconstrained scale of all sites.
FULL_RANK = (*SUBSTITUTIONS, *JOINT)
