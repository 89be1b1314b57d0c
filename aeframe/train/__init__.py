"""Training: the Trainer, optimizers, metrics, callbacks, checkpoints and History."""

from aeframe.train.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TerminateOnNaN,
)
from aeframe.train.history import History
from aeframe.train.metrics import Accuracy, Metric
from aeframe.train.optimizers import SGD, Adam, Optimizer
from aeframe.train.predict import predict
from aeframe.train.tensorboard import TensorBoard
from aeframe.train.trainer import Trainer, trainer_of

__all__ = [
    "SGD",
    "Accuracy",
    "Adam",
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "History",
    "Metric",
    "ModelCheckpoint",
    "Optimizer",
    "ReduceLROnPlateau",
    "TensorBoard",
    "TerminateOnNaN",
    "Trainer",
    "predict",
    "trainer_of",
]
