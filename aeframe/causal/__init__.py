"""Interventions, and what follows from them: effects and counterfactuals of a Model."""

from aeframe.causal.counterfactual import counterfactual
from aeframe.causal.intervene import Intervene, intervene
from aeframe.causal.noise import NOISES, Explicit, GumbelMax, InverseCDF, Noise, location_scale
from aeframe.causal.outcomes import Outcomes
from aeframe.causal.query import worlds
from aeframe.causal.worlds import Worlds

__all__ = [
    "NOISES",
    "Explicit",
    "GumbelMax",
    "Intervene",
    "InverseCDF",
    "Noise",
    "Outcomes",
    "Worlds",
    "counterfactual",
    "intervene",
    "location_scale",
    "worlds",
]
