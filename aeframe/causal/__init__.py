"""Interventions, and effects from data.

Interventions are passes that set sites of a Model and leave the Model itself as it is.
"""

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
    Network,
    Placebo,
    RandomCommonCause,
    Regressor,
    Subset,
    TwoStageLeastSquares,
    e_value,
    estimate,
    logistic,
)
from aeframe.causal.intervene import Intervene, intervene

__all__ = [
    "AIPW",
    "ATE",
    "ATT",
    "ATU",
    "IPW",
    "Bayes",
    "Bootstrap",
    "EValue",
    "Estimate",
    "GFormula",
    "Intervene",
    "Network",
    "Placebo",
    "RandomCommonCause",
    "Regressor",
    "Subset",
    "TwoStageLeastSquares",
    "e_value",
    "estimate",
    "intervene",
    "logistic",
]
