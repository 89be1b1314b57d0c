"""Training: the Trainer, optimizers, schedules, metrics and History."""

from aeframe.train.history import History
from aeframe.train.metrics import (
    AUC,
    F1,
    R2,
    Accuracy,
    BinaryAccuracy,
    ConfusionMatrix,
    LossMetric,
    Metric,
    Perplexity,
    Precision,
    Recall,
    TopKAccuracy,
)
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
    "AUC",
    "F1",
    "R2",
    "SGD",
    "Accumulate",
    "Accuracy",
    "Adafactor",
    "Adam",
    "AdamW",
    "Average",
    "BinaryAccuracy",
    "ClipNorm",
    "ClipValue",
    "ConfusionMatrix",
    "Cosine",
    "Exponential",
    "Groups",
    "History",
    "InverseRoot",
    "Lion",
    "LossMetric",
    "Metric",
    "OneCycle",
    "Optimizer",
    "Perplexity",
    "Precision",
    "RMSprop",
    "Recall",
    "Schedule",
    "Step",
    "TopKAccuracy",
    "Trainer",
    "WarmUp",
    "predict",
    "trainer_of",
]
