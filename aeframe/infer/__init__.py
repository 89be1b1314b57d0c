"""Inference: methods that turn a Model with observations into a Posterior."""

from aeframe.infer.enumeration import Enumeration, ExactPosterior
from aeframe.infer.fit import choose, fit
from aeframe.infer.maximum import MAP, PointPosterior, Start
from aeframe.infer.posterior import Inference, Posterior

__all__ = [
    "MAP",
    "Enumeration",
    "ExactPosterior",
    "Inference",
    "PointPosterior",
    "Posterior",
    "Start",
    "choose",
    "fit",
]
