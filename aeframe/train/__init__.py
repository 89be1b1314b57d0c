"""Training: the Trainer, optimizers, schedules, metrics and History."""

from aeframe.train import native as native
from aeframe.train.history import History
from aeframe.train.metrics import Accuracy, Metric
from aeframe.train.optimizers import SGD, Adafactor, Adam, AdamW, Lion, Optimizer, RMSprop
from aeframe.train.schedules import (
    Cosine,
    Exponential,
    InverseRoot,
    OneCycle,
    Schedule,
    Step,
    WarmUp,
)
from aeframe.train.trainer import Trainer, predict, trainer_of
from aeframe.train.wrappers import Accumulate, Average, ClipNorm, ClipValue, Groups

__all__ = [
    "SGD",
    "Accumulate",
    "Accuracy",
    "Adafactor",
    "Adam",
    "AdamW",
    "Average",
    "ClipNorm",
    "ClipValue",
    "Cosine",
    "Exponential",
    "Groups",
    "History",
    "InverseRoot",
    "Lion",
    "Metric",
    "OneCycle",
    "Optimizer",
    "RMSprop",
    "Schedule",
    "Step",
    "Trainer",
    "WarmUp",
    "predict",
    "trainer_of",
]
