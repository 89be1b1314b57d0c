"""Effects from data, once an adjustment set or an instrument is known."""

from aeframe.causal.estimation.ask import estimate
from aeframe.causal.estimation.bayes import Bayes
from aeframe.causal.estimation.gformula import GFormula
from aeframe.causal.estimation.independence import IndependenceTests, tests_of
from aeframe.causal.estimation.instrument import TwoStageLeastSquares
from aeframe.causal.estimation.learner import Learner
from aeframe.causal.estimation.problem import Everyone, Population, Problem, Treated, Untreated
from aeframe.causal.estimation.refute import (
    EValue,
    Placebo,
    RandomCommonCause,
    Refutation,
    Refuter,
    Subset,
    e_value,
)
from aeframe.causal.estimation.regressor import Network, Regressor, logistic
from aeframe.causal.estimation.resample import Bootstrap
from aeframe.causal.estimation.result import Estimate, Method
from aeframe.causal.estimation.robust import AIPW
from aeframe.causal.estimation.weighting import IPW

__all__ = [
    "AIPW",
    "IPW",
    "Bayes",
    "Bootstrap",
    "EValue",
    "Estimate",
    "Everyone",
    "GFormula",
    "IndependenceTests",
    "Learner",
    "Method",
    "Network",
    "Placebo",
    "Population",
    "Problem",
    "RandomCommonCause",
    "Refutation",
    "Refuter",
    "Regressor",
    "Subset",
    "Treated",
    "TwoStageLeastSquares",
    "Untreated",
    "e_value",
    "estimate",
    "logistic",
    "tests_of",
]
