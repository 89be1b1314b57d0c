"""aeframe: models as typed, rewritable graphs.

A user's object lowers to one graph of typed Aesara Ops; passes rewrite that graph; a backend
turns it into a program. The rooms are ``nn``, ``train``, ``gp``, ``circuits``, ``prob``,
``infer`` and ``causal``; they are imported when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from aeframe import compat as compat  # first: Aesara is imported on what it repairs
from aeframe.backends import Backend as Backend
from aeframe.core import Interval as Interval
from aeframe.core import Module as Module
from aeframe.core import Parameter as Parameter
from aeframe.core import Positive as Positive
from aeframe.core import RandomState as RandomState
from aeframe.core import Real as Real
from aeframe.core import Simplex as Simplex
from aeframe.core import State as State
from aeframe.core import TypedOp as TypedOp
from aeframe.core import grad as grad
from aeframe.core import load as load
from aeframe.core import lower as lower
from aeframe.core import outline as outline
from aeframe.core import parameters as parameters
from aeframe.core import register as register
from aeframe.rewrites import Alternative as Alternative
from aeframe.rewrites import Equality as Equality
from aeframe.rewrites import diff as diff

if TYPE_CHECKING:
    from aeframe import automl as automl
    from aeframe import causal as causal
    from aeframe import circuits as circuits
    from aeframe import distributions as distributions
    from aeframe import gp as gp
    from aeframe import infer as infer
    from aeframe import nn as nn
    from aeframe import prob as prob
    from aeframe import train as train
    from aeframe.automl import AutoML as AutoML
    from aeframe.distributions import AR as AR
    from aeframe.distributions import Bernoulli as Bernoulli
    from aeframe.distributions import Beta as Beta
    from aeframe.distributions import BetaBinomial as BetaBinomial
    from aeframe.distributions import Binomial as Binomial
    from aeframe.distributions import Categorical as Categorical
    from aeframe.distributions import Cauchy as Cauchy
    from aeframe.distributions import Censored as Censored
    from aeframe.distributions import ChiSquared as ChiSquared
    from aeframe.distributions import Dirichlet as Dirichlet
    from aeframe.distributions import DirichletMultinomial as DirichletMultinomial
    from aeframe.distributions import DiscreteUniform as DiscreteUniform
    from aeframe.distributions import DoubleExponential as DoubleExponential
    from aeframe.distributions import Exponential as Exponential
    from aeframe.distributions import Flat as Flat
    from aeframe.distributions import Gamma as Gamma
    from aeframe.distributions import GaussianRandomWalk as GaussianRandomWalk
    from aeframe.distributions import Geometric as Geometric
    from aeframe.distributions import Gumbel as Gumbel
    from aeframe.distributions import HalfCauchy as HalfCauchy
    from aeframe.distributions import HalfFlat as HalfFlat
    from aeframe.distributions import HalfNormal as HalfNormal
    from aeframe.distributions import HalfStudentT as HalfStudentT
    from aeframe.distributions import HiddenMarkov as HiddenMarkov
    from aeframe.distributions import HyperGeometric as HyperGeometric
    from aeframe.distributions import InverseGamma as InverseGamma
    from aeframe.distributions import InverseGaussian as InverseGaussian
    from aeframe.distributions import LKJCholesky as LKJCholesky
    from aeframe.distributions import Logistic as Logistic
    from aeframe.distributions import LogNormal as LogNormal
    from aeframe.distributions import Mixture as Mixture
    from aeframe.distributions import Multinomial as Multinomial
    from aeframe.distributions import MultivariateNormal as MultivariateNormal
    from aeframe.distributions import NegativeBinomial as NegativeBinomial
    from aeframe.distributions import Normal as Normal
    from aeframe.distributions import OrderedLogistic as OrderedLogistic
    from aeframe.distributions import Pareto as Pareto
    from aeframe.distributions import Poisson as Poisson
    from aeframe.distributions import Rayleigh as Rayleigh
    from aeframe.distributions import SkewNormal as SkewNormal
    from aeframe.distributions import Sorted as Sorted
    from aeframe.distributions import StudentT as StudentT
    from aeframe.distributions import Transformed as Transformed
    from aeframe.distributions import Triangular as Triangular
    from aeframe.distributions import Truncated as Truncated
    from aeframe.distributions import Uniform as Uniform
    from aeframe.distributions import VonMises as VonMises
    from aeframe.distributions import Weibull as Weibull
    from aeframe.distributions import ZeroInflated as ZeroInflated
    from aeframe.gp import GP as GP
    from aeframe.gp import KernelSearch as KernelSearch
    from aeframe.infer import MAP as MAP
    from aeframe.infer import NUTS as NUTS
    from aeframe.infer import Enumeration as Enumeration
    from aeframe.infer import Exact as Exact
    from aeframe.infer import FullRank as FullRank
    from aeframe.infer import Gibbs as Gibbs
    from aeframe.infer import Laplace as Laplace
    from aeframe.infer import MeanField as MeanField
    from aeframe.infer import StructuredVI as StructuredVI
    from aeframe.prob import LinearModel as LinearModel
    from aeframe.prob import Model as Model
    from aeframe.train import AUC as AUC
    from aeframe.train import F1 as F1
    from aeframe.train import R2 as R2
    from aeframe.train import SGD as SGD
    from aeframe.train import Accuracy as Accuracy
    from aeframe.train import Adafactor as Adafactor
    from aeframe.train import Adam as Adam
    from aeframe.train import AdamW as AdamW
    from aeframe.train import BinaryAccuracy as BinaryAccuracy
    from aeframe.train import Callback as Callback
    from aeframe.train import ConfusionMatrix as ConfusionMatrix
    from aeframe.train import CSVLogger as CSVLogger
    from aeframe.train import EarlyStopping as EarlyStopping
    from aeframe.train import Lion as Lion
    from aeframe.train import LossMetric as LossMetric
    from aeframe.train import ModelCheckpoint as ModelCheckpoint
    from aeframe.train import Perplexity as Perplexity
    from aeframe.train import Precision as Precision
    from aeframe.train import Recall as Recall
    from aeframe.train import ReduceLROnPlateau as ReduceLROnPlateau
    from aeframe.train import RMSprop as RMSprop
    from aeframe.train import TensorBoard as TensorBoard
    from aeframe.train import TerminateOnNaN as TerminateOnNaN
    from aeframe.train import TopKAccuracy as TopKAccuracy

__version__ = "0.1.0"

_ROOMS = ("automl", "causal", "circuits", "distributions", "gp", "infer", "nn", "prob", "train")
_HOMES = {
    "AUC": "train",
    "Accuracy": "train",
    "Adafactor": "train",
    "Adam": "train",
    "AdamW": "train",
    "BinaryAccuracy": "train",
    "ConfusionMatrix": "train",
    "F1": "train",
    "Lion": "train",
    "LossMetric": "train",
    "Perplexity": "train",
    "Precision": "train",
    "R2": "train",
    "RMSprop": "train",
    "Recall": "train",
    "SGD": "train",
    "CSVLogger": "train",
    "Callback": "train",
    "EarlyStopping": "train",
    "ModelCheckpoint": "train",
    "ReduceLROnPlateau": "train",
    "TensorBoard": "train",
    "TerminateOnNaN": "train",
    "TopKAccuracy": "train",
    "AR": "distributions",
    "Bernoulli": "distributions",
    "Beta": "distributions",
    "BetaBinomial": "distributions",
    "Binomial": "distributions",
    "Categorical": "distributions",
    "Cauchy": "distributions",
    "Censored": "distributions",
    "ChiSquared": "distributions",
    "Dirichlet": "distributions",
    "DirichletMultinomial": "distributions",
    "DiscreteUniform": "distributions",
    "DoubleExponential": "distributions",
    "Exponential": "distributions",
    "Flat": "distributions",
    "Gamma": "distributions",
    "GaussianRandomWalk": "distributions",
    "Geometric": "distributions",
    "Gumbel": "distributions",
    "HalfCauchy": "distributions",
    "HalfFlat": "distributions",
    "HalfNormal": "distributions",
    "HalfStudentT": "distributions",
    "HiddenMarkov": "distributions",
    "HyperGeometric": "distributions",
    "InverseGamma": "distributions",
    "InverseGaussian": "distributions",
    "LKJCholesky": "distributions",
    "LogNormal": "distributions",
    "Logistic": "distributions",
    "Mixture": "distributions",
    "Multinomial": "distributions",
    "MultivariateNormal": "distributions",
    "NegativeBinomial": "distributions",
    "Normal": "distributions",
    "OrderedLogistic": "distributions",
    "Pareto": "distributions",
    "Poisson": "distributions",
    "Rayleigh": "distributions",
    "SkewNormal": "distributions",
    "Sorted": "distributions",
    "StudentT": "distributions",
    "Transformed": "distributions",
    "Triangular": "distributions",
    "Truncated": "distributions",
    "Uniform": "distributions",
    "VonMises": "distributions",
    "Weibull": "distributions",
    "ZeroInflated": "distributions",
    "AutoML": "automl",
    "GP": "gp",
    "KernelSearch": "gp",
    "Enumeration": "infer",
    "Exact": "infer",
    "FullRank": "infer",
    "Gibbs": "infer",
    "Laplace": "infer",
    "MeanField": "infer",
    "StructuredVI": "infer",
    "MAP": "infer",
    "NUTS": "infer",
    "LinearModel": "prob",
    "Model": "prob",
}


def __getattr__(name: str) -> Any:
    """Import a room, or a name from its room, at first use."""
    if name in _ROOMS:
        return import_module(f"aeframe.{name}")
    if name in _HOMES:
        return getattr(import_module(f"aeframe.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'aeframe' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_ROOMS, *_HOMES])
