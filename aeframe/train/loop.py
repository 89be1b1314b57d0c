"""The loop of ``fit``: epochs, steps, callbacks, logs, and where training stands."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aeframe.backends import interrupts_between, interrupts_wait, to_numpy
from aeframe.core.errors import ArgumentError, ShapeError
from aeframe.core.progress import progress_bar
from aeframe.train.batch import Batch, Options
from aeframe.train.callbacks import Callback
from aeframe.train.checkpoint import Checkpoint
from aeframe.train.data import Feed, Rows
from aeframe.train.history import History, short
from aeframe.train.prefetch import ahead, stacked

if TYPE_CHECKING:
    from aeframe.train.trainer import Trainer


class Tally:
    """Sums over steps, in float64: of the loss by weight, of weights, of the terms of metrics.

    Results are read from the device when they are ``LAG`` steps old, so that nobody waits for
    them, and then let go.

    Attributes
    ----------
    sums
        What has been read so far.
    """

    LAG = 64

    def __init__(self, trainer: Trainer, sums: Sequence[NDArray[Any]] = ()) -> None:
        self.trainer, self.sums = trainer, list(sums)
        self._waiting: deque[tuple[Sequence[Any], int]] = deque()

    def add(self, outputs: Sequence[Any], steps: int = 0) -> None:
        """Take what a program returned; ``steps`` of it along a first axis, if any."""
        self._waiting.append((outputs, steps))
        if len(self._waiting) >= 2 * self.LAG:
            self.read(self.LAG)

    def read(self, keep: int = 0) -> None:
        """Add up all results but the last ``keep``."""
        while len(self._waiting) > keep:
            outputs, steps = self._waiting.popleft()
            loss, weight, *terms = (np.asarray(to_numpy(v), "float64") for v in outputs)
            found = [loss * weight, weight, *terms]
            if steps:
                found = [v.sum(axis=0) for v in found]
            before = self.sums or map(np.zeros_like, found)
            self.sums = [a + b for a, b in zip(before, found, strict=True)]

    def latest(self) -> float:
        """The loss of the last step."""
        return float(np.ravel(to_numpy(self._waiting[-1][0][0]))[-1])

    def logs(self) -> dict[str, Any]:
        """The loss and each metric, over all steps so far."""
        self.read()
        total, weight, *terms = self.sums
        return {"loss": float(total / weight) if weight else 0.0} | self.trainer.values(terms)


@dataclass(frozen=True)
class Plan:
    """What one ``fit`` was asked to do, see :meth:`aeframe.train.Trainer.fit`."""

    feed: Feed
    options: Options
    validation: Feed | None
    epochs: int
    shuffle: bool
    steps: int | None
    together: int
    callbacks: tuple[Callback, ...]
    resume: str | os.PathLike[str] | None
    prefetch: int
    progress: bool

    def identity(self, seed: int) -> dict[str, Any]:
        """What the order of batches depends on."""
        rows = len(self.feed) if isinstance(self.feed, Rows) else None
        size = self.options.size if rows else None
        return {"rows": rows, "batch_size": size, "shuffle": self.shuffle, "seed": seed}


def in_order(callbacks: Sequence[Callback]) -> tuple[Callback, ...]:
    """Callbacks, checkpoints last: they hold what the others know.

    Raises
    ------
    ArgumentError
        When one is no callback.
    """
    if not isinstance(callbacks, list | tuple):
        raise ArgumentError("`callbacks` is a list", expected="[...]", got=repr(callbacks))
    for callback in callbacks:
        if not isinstance(callback, Callback):
            raise ArgumentError(
                "not a callback", expected='ae.EarlyStopping("val_loss")', got=repr(callback)
            )
    return tuple(sorted(callbacks, key=lambda c: c.last))


def run(trainer: Trainer, plan: Plan) -> History:
    """Do what ``plan`` says; the Trainer knows at any time where it stands."""
    _require_even(plan)
    saved = None if plan.resume is None else Checkpoint.read(plan.resume)
    trainer.callbacks, trainer.identity = plan.callbacks, plan.identity(trainer.seed)
    trainer.step, trainer.stop, trainer.history = 0, False, History()
    trainer.tally = Tally(trainer)
    trainer.log_names = trainer.names(plan.validation is not None)
    if saved:
        saved.place(trainer)
    passed = plan.feed.passed(trainer.history.epochs, trainer.step, plan.steps)
    steps = None if plan.steps is None else passed + plan.steps - trainer.step
    batches = _batches(trainer, plan, steps)
    first = next(batches)
    program = trainer.program("train", first)
    trainer.validate(program, plan.feed.whole() or first)
    if saved:
        saved.restore(trainer)
    for callback in plan.callbacks:
        callback.on_fit_begin(trainer)
    if saved:
        saved.remind(plan.callbacks)
    try:
        with interrupts_between():
            _run(trainer, plan, islice(chain([first], batches), passed, None))
    finally:
        for callback in plan.callbacks:
            callback.on_fit_end(trainer)
    return trainer.history


def _require_even(plan: Plan) -> None:
    """Refuse, before the first step, rows that cannot be split over devices nor are filled up."""
    for feed in (plan.feed, plan.validation):
        if plan.options.pad or not isinstance(feed, Rows):
            continue
        size, multiple = min(plan.options.size, len(feed)), plan.options.multiple
        uneven = [rows for rows in (size, len(feed) % size) if rows % multiple]
        if uneven:
            raise ShapeError(
                "a batch cannot be split evenly over the devices",
                expected=f"a multiple of {multiple} rows",
                got=f"{uneven[0]} rows, of {len(feed)} in batches of {size}",
                fix="choose other sizes, or a loss and metrics that take `weight`: then batches "
                "are filled up",
            )


def _batches(trainer: Trainer, plan: Plan, steps: int | None) -> Iterator[Batch]:
    """The batches of the epoch that the Trainer is in."""
    order = None
    if plan.shuffle and isinstance(plan.feed, Rows):
        rng = np.random.default_rng([trainer.seed, trainer.epoch])
        order = rng.permutation(len(plan.feed))
    return plan.feed.batches(plan.options, steps, order)


def _run(trainer: Trainer, plan: Plan, batches: Iterator[Batch]) -> None:
    steps = plan.steps or plan.feed.steps(plan.options.size)
    total = steps and plan.epochs * steps
    with progress_bar(total, "fit", "step", plan.progress) as bar:
        bar.update(trainer.history.epochs * (steps or 0) + trainer.step)
        while trainer.history.epochs < plan.epochs and not trainer.stop:
            for callback in plan.callbacks:
                callback.on_epoch_begin(trainer)
            if not trainer.stop:
                logs = _epoch(trainer, plan, batches, bar)
                bar.set_postfix({k: short(v) for k, v in logs.items()}, refresh=False)
                batches = _batches(trainer, plan, plan.steps)


def _epoch(trainer: Trainer, plan: Plan, batches: Iterator[Batch], bar: Any) -> dict[str, Any]:
    """The rest of an epoch, from the step that the Trainer is at; its logs."""
    listeners = [c for c in plan.callbacks if c.listens()]
    together = stacked(batches, plan.together) if plan.together > 1 else batches
    shown = time.monotonic()
    with closing(ahead(together, plan.prefetch)) as made:
        for batch in made:
            _step(trainer, batch, plan.feed.checked)
            bar.update(batch.steps or 1)
            if time.monotonic() - shown > 0.5:
                shown = time.monotonic()
                bar.set_postfix(loss=f"{trainer.tally.latest():.4g}", refresh=False)
            for callback in listeners:
                callback.on_step_end(trainer)
            if trainer.stop:
                break
    logs = trainer.tally.logs()
    if plan.validation is not None:
        found = trainer.measure(plan.validation, plan.options.size)
        logs |= {f"val_{name}": value for name, value in found.items()}
    trainer.history.append(logs)
    trainer.epoch, trainer.step, trainer.tally = trainer.epoch + 1, 0, Tally(trainer)
    for callback in plan.callbacks:
        callback.on_epoch_end(trainer, logs)
    return logs


def _step(trainer: Trainer, batch: Batch, checked: bool) -> None:
    """One call of the program; an interrupt waits until the Trainer has taken note of it."""
    program = trainer.program("train", batch)
    if not checked:
        trainer.validate(program, batch)
    call = program.scan if batch.steps else program
    with interrupts_wait() if program.compilations else nullcontext():
        trainer.tally.add(call(*batch.arrays), batch.steps)
        trainer.step += batch.steps or 1
