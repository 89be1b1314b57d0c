"""AutoML: growth rules on typed graphs, and the search over them."""

from aeframe.automl.copies import reinitialize, twin
from aeframe.automl.grow import Grow, Place, grow, key, places, require_alternatives
from aeframe.automl.merit import Merit
from aeframe.automl.patterns import Chain, Inserted, Made
from aeframe.automl.result import AutoMLResult, Candidate, Move
from aeframe.automl.rules import ARCHITECTURE, PRESERVING, RULES, TRAINING
from aeframe.automl.search import AutoML
from aeframe.automl.training import Training, TrainingOp, training_of

__all__ = [
    "ARCHITECTURE",
    "PRESERVING",
    "RULES",
    "TRAINING",
    "AutoML",
    "AutoMLResult",
    "Candidate",
    "Chain",
    "Grow",
    "Inserted",
    "Made",
    "Merit",
    "Move",
    "Place",
    "Training",
    "TrainingOp",
    "grow",
    "key",
    "places",
    "reinitialize",
    "require_alternatives",
    "training_of",
    "twin",
]
