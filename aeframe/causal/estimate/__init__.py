"""Effects from data, once an adjustment set or an instrument is known."""

from aeframe.causal.estimate.ask import estimate
from aeframe.causal.estimate.bayes import Bayes
from aeframe.causal.estimate.gformula import GFormula
from aeframe.causal.estimate.independence import IndependenceTests, tests_of
from aeframe.causal.estimate.instrument import TwoStageLeastSquares
from aeframe.causal.estimate.learner import Learner
from aeframe.causal.estimate.problem import ATE, ATT, ATU, AverageEffect, Problem
from aeframe.causal.estimate.refute import (
    EValue,
    Placebo,
    RandomCommonCause,
    Refutation,
    Refuter,
    Subset,
    e_value,
)
from aeframe.causal.estimate.regressor import Network, Regressor, logistic
from aeframe.causal.estimate.resample import Bootstrap
from aeframe.causal.estimate.result import Estimate, Method
from aeframe.causal.estimate.robust import AIPW
from aeframe.causal.estimate.weighting import IPW

__all__ = [
    "AIPW",
    "ATE",
    "ATT",
    "ATU",
    "IPW",
    "AverageEffect",
    "Bayes",
    "Bootstrap",
    "EValue",
    "Estimate",
    "GFormula",
    "IndependenceTests",
    "Learner",
    "Method",
    "Network",
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
    "logistic",
    "tests_of",
]
