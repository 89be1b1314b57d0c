"""Interventions: passes that set sites of a Model and leave the Model itself as it is."""

from aeframe.causal.estimand import Estimand, P
from aeframe.causal.graph import CausalGraph, Independence
from aeframe.causal.identify import Hedge, identify
from aeframe.causal.intervene import Intervene, intervene

__all__ = [
    "CausalGraph",
    "Estimand",
    "Hedge",
    "Independence",
    "Intervene",
    "P",
    "identify",
    "intervene",
]
