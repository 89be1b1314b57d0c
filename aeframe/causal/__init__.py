"""Interventions: passes that set sites of a Model and leave the Model itself as it is."""

from aeframe.causal.intervene import Intervene, intervene

__all__ = ["Intervene", "intervene"]
