"""Inference: methods that turn a Model with observations into a Posterior."""

from aeframe.infer.climb import Start
from aeframe.infer.enumeration import Enumeration, ExactPosterior
from aeframe.infer.fit import choose, fit
from aeframe.infer.laplace import Laplace, LaplacePosterior
from aeframe.infer.maximum import MAP, PointPosterior
from aeframe.infer.posterior import Inference, Posterior

__all__ = [
    "MAP",
    "Enumeration",
    "ExactPosterior",
    "Inference",
    "Laplace",
    "LaplacePosterior",
    "PointPosterior",
    "Posterior",
    "Start",
    "choose",
    "fit",
]
