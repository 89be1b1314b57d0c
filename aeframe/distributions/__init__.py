"""Distributions: what a Model samples, each with its Aesara Op, its support and its draws."""

from aeframe.distributions.base import Distribution
from aeframe.distributions.continuous import HalfNormal, Normal
from aeframe.distributions.discrete import Bernoulli

__all__ = ["Bernoulli", "Distribution", "HalfNormal", "Normal"]
