"""Training: the Trainer, optimizers, schedules, metrics, callbacks, checkpoints and History."""

from aeframe.train import native as native
from aeframe.train.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TerminateOnNaN,
)
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
from aeframe.train.predict import predict
from aeframe.train.schedules import (
    Cosine,
    Exponential,
    InverseRoot,
    OneCycle,
    Schedule,
    Step,
    WarmUp,
)
from aeframe.train.tensorboard import TensorBoard
from aeframe.train.trainer import Trainer, trainer_of
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
    "CSVLogger",
    "Callback",
    "ClipNorm",
    "ClipValue",
    "ConfusionMatrix",
    "Cosine",
    "EarlyStopping",
    "Exponential",
    "Groups",
    "History",
    "InverseRoot",
    "Lion",
    "LossMetric",
    "Metric",
    "ModelCheckpoint",
    "OneCycle",
    "Optimizer",
    "Perplexity",
    "Precision",
    "RMSprop",
    "Recall",
    "ReduceLROnPlateau",
    "Schedule",
    "Step",
    "TensorBoard",
    "TerminateOnNaN",
    "TopKAccuracy",
    "Trainer",
    "WarmUp",
    "predict",
    "trainer_of",
]
