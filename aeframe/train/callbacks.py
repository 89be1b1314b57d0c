"""Callbacks: what happens beside the steps of ``fit``."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from aeframe.core.arguments import count, is_number
from aeframe.core.cells import State
from aeframe.core.errors import ArgumentError, UnknownNameError, nearest
from aeframe.core.files import write_atomically
from aeframe.core.structure import Structure
from aeframe.train.checkpoint import save

if TYPE_CHECKING:
    from aeframe.train.trainer import Trainer


class Callback(Structure):
    """Base of the callbacks: override what you need.

    ``trainer`` knows ``module``, ``optimizer``, ``epoch``, ``step``, ``history`` and ``store``;
    ``trainer.stop = True`` ends training after the step or epoch that is going on.

    Attributes
    ----------
    memory
        Names of attributes that a checkpoint keeps: numbers, strings, arrays, dicts of arrays.
    last
        Whether it is called after all that are not.

    >>> class Patience(Callback):
    ...     def on_step_end(self, trainer):
    ...         trainer.stop = trainer.step >= 100
    """

    memory: ClassVar[tuple[str, ...]] = ()
    last: ClassVar[bool] = False

    def on_fit_begin(self, trainer: Trainer) -> None:
        """Before the first step; what a checkpoint remembers is given back after it."""

    def on_epoch_begin(self, trainer: Trainer) -> None:
        """Before the steps of an epoch, or the rest of them where training is resumed."""

    def on_step_end(self, trainer: Trainer) -> None:
        """After each call of a program: ``steps_per_execution`` steps."""

    def on_epoch_end(self, trainer: Trainer, logs: Mapping[str, Any]) -> None:
        """After an epoch, when ``history`` has its ``logs`` and ``epoch`` counts it."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """After training, also when it was interrupted or failed."""

    def listens(self) -> bool:
        """Whether it is to be called after steps."""
        return type(self).on_step_end is not Callback.on_step_end


class _Monitor(Callback):
    """Base of the callbacks that follow one log.

    Parameters
    ----------
    monitor
        A log such as ``"val_loss"``.
    min_delta
        A change of at most this much is none.
    maximize
        Whether larger is better. Losses are minimized; of anything else it has to be said.

    Raises
    ------
    ArgumentError
        When it is not known which way is better.
    UnknownNameError
        When training begins, if nothing is logged under that name.
    """

    memory: ClassVar[tuple[str, ...]] = ("best", "wait")

    def __init__(self, monitor: str, min_delta: float, maximize: bool | None) -> None:
        if maximize is None and not monitor.endswith("loss"):
            raise ArgumentError(
                f"is a larger {monitor!r} better?",
                fix=f"{type(self).__name__}({monitor!r}, maximize=True), or False",
            )
        self.monitor, self.min_delta, self.maximize = monitor, min_delta, bool(maximize)
        self.best: float | None = None
        self.wait = 0

    def on_fit_begin(self, trainer: Trainer) -> None:
        """Forget the last training."""
        if self.monitor not in trainer.log_names:
            raise UnknownNameError(
                f"nothing is logged as {self.monitor!r}",
                expected=", ".join(trainer.log_names),
                fix=nearest(self.monitor, trainer.log_names),
            )
        self.best, self.wait = None, 0

    def improved(self, logs: Mapping[str, Any]) -> bool:
        """Whether the log is better than ever; NaN never is."""
        value = logs[self.monitor]
        if np.ndim(value):
            raise ArgumentError(
                f"{self.monitor!r} is no number", expected="a scalar log", got=str(np.shape(value))
            )
        gain = 0.0 if self.best is None else (value - self.best) * (1 if self.maximize else -1)
        better = not math.isnan(value) and (self.best is None or gain > self.min_delta)
        self.best = float(value) if better else self.best
        self.wait = 0 if better else self.wait + 1
        return better


class EarlyStopping(_Monitor):
    """Stop when a log has not become better for ``patience`` epochs.

    Parameters
    ----------
    monitor, min_delta, maximize
        Which log, what counts as better (by more than ``min_delta``), and which way; ``maximize``
        has to be said unless the log is a loss.
    patience
        Epochs without improvement.
    restore_best
        Whether the model gets the values of its best epoch back when training ends.

    >>> EarlyStopping("val_accuracy", maximize=True).patience
    5
    """

    memory: ClassVar[tuple[str, ...]] = ("best", "wait", "values")

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 5,
        min_delta: float = 0.0,
        restore_best: bool = False,
        maximize: bool | None = None,
    ) -> None:
        super().__init__(monitor, min_delta, maximize)
        self.patience, self.restore_best = count("patience", patience), restore_best
        self.values: dict[str, Any] = {}

    def on_fit_begin(self, trainer: Trainer) -> None:
        """Forget the last training."""
        super().on_fit_begin(trainer)
        self.values = {}

    def on_epoch_begin(self, trainer: Trainer) -> None:
        """Stop; also at once where training that had been stopped is resumed."""
        trainer.stop = trainer.stop or self.wait >= self.patience

    def on_epoch_end(self, trainer: Trainer, logs: Mapping[str, Any]) -> None:
        """Look at the log."""
        if self.improved(logs) and self.restore_best:
            self.values = trainer.module.store.snapshot()

    def on_fit_end(self, trainer: Trainer) -> None:
        """Put the best values back."""
        if self.values:
            trainer.module.store.restore(self.values)


class ReduceLROnPlateau(_Monitor):
    """Multiply the learning rate by ``factor`` when a log has not become better for a while.

    Parameters
    ----------
    monitor, min_delta, maximize
        As in :class:`EarlyStopping`.
    factor
        Between 0 and 1.
    patience
        Epochs without improvement.
    minimum
        The learning rate never falls below.

    What changes is the optimizer's ``scale``, so schedules and groups fall as a whole.

    Raises
    ------
    ArgumentError
        When there is a ``minimum``, but no one number that is the learning rate.

    >>> ReduceLROnPlateau("loss", factor=0.5).factor
    0.5
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        min_delta: float = 1e-4,
        minimum: float = 0.0,
        maximize: bool | None = None,
    ) -> None:
        super().__init__(monitor, min_delta, maximize)
        if not is_number(factor) or not 0 < factor < 1:
            raise ArgumentError("`factor` lies between 0 and 1", got=repr(factor))
        self.factor, self.minimum, self.patience = factor, minimum, count("patience", patience)

    def on_fit_begin(self, trainer: Trainer) -> None:
        """Make sure that it is known what the minimum is one of."""
        super().on_fit_begin(trainer)
        rate = getattr(trainer.optimizer, "learning_rate", None)
        if self.minimum > 0 and not isinstance(rate, State):
            raise ArgumentError(
                "`minimum` needs an optimizer with one number as its learning rate",
                got=repr(rate),
                fix="leave `minimum` out",
            )

    def on_epoch_end(self, trainer: Trainer, logs: Mapping[str, Any]) -> None:
        """Look at the log."""
        if not self.improved(logs) and self.wait >= self.patience:
            scale, least = trainer.optimizer.scale, 0.0
            if self.minimum > 0:
                least = self.minimum / trainer.optimizer.learning_rate.value
            scale.value = np.maximum(least, self.factor * scale.value)
            self.wait = 0


class ModelCheckpoint(_Monitor):
    """Write a checkpoint after every ``epochs`` epochs, and within them every ``steps`` steps.

    ``model.fit(..., resume=path)`` goes on from it, ``model.load(path)`` reads its values. With
    ``monitor`` it is written only when that log is better than ever.

    Parameters
    ----------
    path
        The file; each checkpoint takes the place of the one before.
    epochs, steps
        How often; ``steps=None`` for not within an epoch.
    monitor, maximize
        As in :class:`EarlyStopping`.

    >>> ModelCheckpoint("run.safetensors", steps=1000).epochs
    1
    """

    last = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        epochs: int = 1,
        steps: int | None = None,
        monitor: str | None = None,
        maximize: bool | None = None,
    ) -> None:
        if monitor is not None and steps is not None:
            raise ArgumentError("`monitor` is known at the end of epochs only", fix="no `steps`")
        super().__init__(monitor or "loss", 0.0, maximize)
        self.path, self.only_best = os.fspath(path), monitor is not None
        self.epochs = count("epochs", epochs)
        self.steps = None if steps is None else count("steps", steps)
        self._written = 0

    def on_epoch_begin(self, trainer: Trainer) -> None:
        """Count steps from here."""
        self._written = trainer.step

    def on_step_end(self, trainer: Trainer) -> None:
        """Write, if it is time."""
        if self.steps is not None and trainer.step - self._written >= self.steps:
            self._written = trainer.step
            save(trainer, self.path)

    def on_epoch_end(self, trainer: Trainer, logs: Mapping[str, Any]) -> None:
        """Write, if it is time."""
        on_time = trainer.history.epochs % self.epochs == 0
        if on_time and (self.improved(logs) or not self.only_best):
            save(trainer, self.path)

    def listens(self) -> bool:
        """Only with ``steps``."""
        return self.steps is not None


class TerminateOnNaN(Callback):
    """Stop when the loss is NaN or infinite: noticed within 128 calls, or at the epoch's end."""

    def on_step_end(self, trainer: Trainer) -> None:
        """Look at the sum of the losses, as far as it has been read from the device."""
        if trainer.tally.sums and not np.isfinite(trainer.tally.sums[0]):
            trainer.stop = True

    def on_epoch_end(self, trainer: Trainer, logs: Mapping[str, Any]) -> None:
        """Look at the loss."""
        trainer.stop = trainer.stop or not math.isfinite(logs["loss"])


class CSVLogger(Callback):
    """Write the logs of all epochs to a CSV file, anew after each: one line for an epoch.

    >>> CSVLogger("run.csv").path
    'run.csv'
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)

    def on_epoch_end(self, trainer: Trainer, logs: Mapping[str, Any]) -> None:
        """Write the file; logs that are no numbers are left out."""
        table = {n: v for n, v in trainer.history.logs.items() if np.ndim(v[0]) == 0}
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["epoch", *table])
        for i, row in enumerate(zip(*table.values(), strict=True), 1):
            writer.writerow([i, *map(float, row)])
        write_atomically(self.path, stream.getvalue().encode())
