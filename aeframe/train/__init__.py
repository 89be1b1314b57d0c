"""Training: the Trainer, optimizers, metrics and History."""

from aeframe.train import native as native
from aeframe.train.history import History
from aeframe.train.metrics import Accuracy, Metric
from aeframe.train.optimizers import SGD, Adam, Optimizer
from aeframe.train.trainer import Trainer, predict, trainer_of

__all__ = [
    "SGD",
    "Accuracy",
    "Adam",
    "History",
    "Metric",
    "Optimizer",
    "Trainer",
    "predict",
    "trainer_of",
]
