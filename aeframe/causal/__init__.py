"""Interventions: passes that set sites of a Model and leave the Model itself as it is."""

from aeframe.causal.adjustment import (
    Instrument,
    backdoor_sets,
    frontdoor_sets,
    instruments,
    optimal_adjustment_set,
)
from aeframe.causal.estimand import Estimand, P
from aeframe.causal.graph import CausalGraph, Independence
from aeframe.causal.id_star import Event, identify_counterfactual, observational
from aeframe.causal.identify import Hedge, identify
from aeframe.causal.intervene import Intervene, intervene
from aeframe.causal.picture import plot

__all__ = [
    "CausalGraph",
    "Estimand",
    "Event",
    "Hedge",
    "Independence",
    "Instrument",
    "Intervene",
    "P",
    "backdoor_sets",
    "frontdoor_sets",
    "identify",
    "identify_counterfactual",
    "instruments",
    "intervene",
    "observational",
    "optimal_adjustment_set",
    "plot",
]
