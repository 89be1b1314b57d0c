"""Inference: methods that turn a Model with observations into a Posterior."""

from aeframe.infer.climb import Start
from aeframe.infer.conjugate import ConjugatePosterior, Exact, Gibbs, GibbsPosterior
from aeframe.infer.diagnosis import Check, Diagnosis
from aeframe.infer.enumeration import Enumeration, ExactPosterior
from aeframe.infer.fit import choose, fit
from aeframe.infer.laplace import Laplace, LaplacePosterior
from aeframe.infer.maximum import MAP, PointPosterior
from aeframe.infer.nuts import NUTS
from aeframe.infer.posterior import Inference, Posterior
from aeframe.infer.sampled import SampledPosterior
from aeframe.infer.variational import (
    FullRank,
    MeanField,
    StructuredVI,
    VariationalPosterior,
)

__all__ = [
    "MAP",
    "NUTS",
    "Check",
    "ConjugatePosterior",
    "Diagnosis",
    "Enumeration",
    "Exact",
    "ExactPosterior",
    "FullRank",
    "Gibbs",
    "GibbsPosterior",
    "Inference",
    "Laplace",
    "LaplacePosterior",
    "MeanField",
    "PointPosterior",
    "Posterior",
    "SampledPosterior",
    "Start",
    "StructuredVI",
    "VariationalPosterior",
    "choose",
    "fit",
]
