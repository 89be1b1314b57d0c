"""Interventions, identification, and effects from data.

Interventions are passes that set sites of a Model and leave the Model itself as it is.
"""

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
from aeframe.causal.identify import Hedge, identify
from aeframe.causal.intervene import Intervene, intervene

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
    "GFormula",
    "Hedge",
    "Independence",
    "IndependenceTests",
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
    "e_value",
    "estimate",
    "identify",
    "intervene",
    "logistic",
    "tests_of",
]
