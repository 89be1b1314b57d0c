"""Exact and Gibbs inference: full conditionals that rules find in a Model's graph."""

from aeframe.infer.conjugate.exact import ConjugatePosterior, Exact
from aeframe.infer.conjugate.gibbs import Gibbs, GibbsPosterior

__all__ = ["ConjugatePosterior", "Exact", "Gibbs", "GibbsPosterior"]
