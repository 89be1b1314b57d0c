"""Interventions, and what follows from them: effects and counterfactuals of a Model."""

from aeframe.causal.causation import (
    CausationBounds,
    causation_bounds,
    probability_of_necessity,
    probability_of_necessity_and_sufficiency,
    probability_of_sufficiency,
)
from aeframe.causal.counterfactual import counterfactual
from aeframe.causal.effects import (
    Effect,
    ate,
    att,
    atu,
    cate,
    contrast,
    controlled_direct_effect,
    interventional_direct_effect,
    interventional_indirect_effect,
    natural_direct_effect,
    natural_indirect_effect,
    policy_value,
)
from aeframe.causal.intervene import Intervene, intervene
from aeframe.causal.noise import NOISES, Explicit, GumbelMax, InverseCDF, Noise, location_scale
from aeframe.causal.outcomes import Outcomes
from aeframe.causal.query import worlds
from aeframe.causal.statistics import (
    KolmogorovSmirnov,
    Mean,
    Probability,
    Quantile,
    Statistic,
    Wasserstein,
)
from aeframe.causal.worlds import AsIn, Worlds

__all__ = [
    "NOISES",
    "AsIn",
    "CausationBounds",
    "Effect",
    "Explicit",
    "GumbelMax",
    "Intervene",
    "InverseCDF",
    "KolmogorovSmirnov",
    "Mean",
    "Noise",
    "Outcomes",
    "Probability",
    "Quantile",
    "Statistic",
    "Wasserstein",
    "Worlds",
    "ate",
    "att",
    "atu",
    "cate",
    "causation_bounds",
    "contrast",
    "controlled_direct_effect",
    "counterfactual",
    "intervene",
    "interventional_direct_effect",
    "interventional_indirect_effect",
    "location_scale",
    "natural_direct_effect",
    "natural_indirect_effect",
    "policy_value",
    "probability_of_necessity",
    "probability_of_necessity_and_sufficiency",
    "probability_of_sufficiency",
    "worlds",
]
