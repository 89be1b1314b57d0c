"""Distributions: what a Model samples, each with its Aesara Op, its support and its draws."""

from aeframe.distributions.base import Distribution
from aeframe.distributions.bounded import Beta, Triangular, Uniform, VonMises
from aeframe.distributions.combine import Mixture, Sorted, ZeroInflated
from aeframe.distributions.continuous import (
    Cauchy,
    DoubleExponential,
    Flat,
    Gumbel,
    HalfFlat,
    Logistic,
    Normal,
    SkewNormal,
    StudentT,
)
from aeframe.distributions.density import LeafDensityOp
from aeframe.distributions.discrete import (
    Bernoulli,
    BetaBinomial,
    Binomial,
    Categorical,
    DiscreteUniform,
    Geometric,
    HyperGeometric,
    NegativeBinomial,
    OrderedLogistic,
    Poisson,
)
from aeframe.distributions.draws import DrawOp, parts
from aeframe.distributions.markov import HiddenMarkov
from aeframe.distributions.multivariate import (
    Dirichlet,
    DirichletMultinomial,
    LKJCholesky,
    Multinomial,
    MultivariateNormal,
)
from aeframe.distributions.positive import (
    ChiSquared,
    Exponential,
    Gamma,
    HalfCauchy,
    HalfNormal,
    HalfStudentT,
    InverseGamma,
    InverseGaussian,
    LogNormal,
    Pareto,
    Rayleigh,
    Weibull,
)
from aeframe.distributions.rules import LogDensityOp, density_of_expression
from aeframe.distributions.sequence import AR, GaussianRandomWalk
from aeframe.distributions.transformed import Transformed
from aeframe.distributions.truncated import Censored, Truncated

__all__ = [
    "AR",
    "Bernoulli",
    "Beta",
    "BetaBinomial",
    "Binomial",
    "Categorical",
    "Cauchy",
    "Censored",
    "ChiSquared",
    "Dirichlet",
    "DirichletMultinomial",
    "DiscreteUniform",
    "Distribution",
    "DoubleExponential",
    "DrawOp",
    "Exponential",
    "Flat",
    "Gamma",
    "GaussianRandomWalk",
    "Geometric",
    "Gumbel",
    "HalfCauchy",
    "HalfFlat",
    "HalfNormal",
    "HalfStudentT",
    "HiddenMarkov",
    "HyperGeometric",
    "InverseGamma",
    "InverseGaussian",
    "LKJCholesky",
    "LeafDensityOp",
    "LogDensityOp",
    "LogNormal",
    "Logistic",
    "Mixture",
    "Multinomial",
    "MultivariateNormal",
    "NegativeBinomial",
    "Normal",
    "OrderedLogistic",
    "Pareto",
    "Poisson",
    "Rayleigh",
    "SkewNormal",
    "Sorted",
    "StudentT",
    "Transformed",
    "Triangular",
    "Truncated",
    "Uniform",
    "VonMises",
    "Weibull",
    "ZeroInflated",
    "density_of_expression",
    "parts",
]
