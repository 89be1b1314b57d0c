"""Interventions, queries, counterfactuals, identification, and effects from data.

Interventions are passes that set sites of a Model and leave the Model itself as it is.
"""

from aeframe.causal.adjustment import (
    Instrument,
    backdoor_sets,
    frontdoor_sets,
    instruments,
    optimal_adjustment_set,
)
from aeframe.causal.estimand import Estimand, P
from aeframe.causal.estimate import (
    AIPW,
    ATE,
    ATT,
    ATU,
    IPW,
    Bayes,
    Bootstrap,
    Estimate,
    EValue,
    GFormula,
    IndependenceTests,
    Learner,
    Method,
    Network,
    Placebo,
    Problem,
    RandomCommonCause,
    Refutation,
    Refuter,
    Regressor,
    Subset,
    TwoStageLeastSquares,
    e_value,
    estimate,
    logistic,
    tests_of,
)
from aeframe.causal.graph import CausalGraph, Independence
from aeframe.causal.id_star import Event, identify_counterfactual, observational
from aeframe.causal.identify import Hedge, identify
from aeframe.causal.intervene import Intervene, intervene
from aeframe.causal.picture import plot

__all__ = [
    "AIPW",
    "ATE",
    "ATT",
    "ATU",
    "IPW",
    "Bayes",
    "Bootstrap",
    "CausalGraph",
    "EValue",
    "Estimand",
    "Estimate",
    "Event",
    "GFormula",
    "Hedge",
    "Independence",
    "IndependenceTests",
    "Instrument",
    "Intervene",
    "Learner",
    "Method",
    "Network",
    "P",
    "Placebo",
    "Problem",
    "RandomCommonCause",
    "Refutation",
    "Refuter",
    "Regressor",
    "Subset",
    "TwoStageLeastSquares",
    "backdoor_sets",
    "e_value",
    "estimate",
    "frontdoor_sets",
    "identify",
    "identify_counterfactual",
    "instruments",
    "intervene",
    "logistic",
    "observational",
    "optimal_adjustment_set",
    "plot",
    "tests_of",
]
