"""Interventions: passes that set sites of a Model and leave the Model itself as it is."""

from aeframe.causal.intervene import Intervene, intervene
from aeframe.causal.outcomes import Outcomes
from aeframe.causal.worlds import Worlds, worlds

__all__ = ["Intervene", "Outcomes", "Worlds", "intervene", "worlds"]
