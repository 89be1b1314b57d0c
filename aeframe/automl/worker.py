"""Training one candidate: bytes in, bytes out, so that any process on any machine can do it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aesara.tensor.type import TensorType

from aeframe.automl.grow import grow
from aeframe.automl.training import training_of
from aeframe.backends import Backend
from aeframe.core import load
from aeframe.core.files import save
from aeframe.core.graph import Graph
from aeframe.core.module import Module, lower
from aeframe.train import Trainer

Lineage = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Setting:
    """What all candidates of a search share.

    Attributes
    ----------
    base
        The file of the model that the search begins with.
    classes
        Those of its Modules, so that a worker that unpickles this knows them.
    """

    base: bytes
    classes: tuple[type, ...]
    data: tuple[Any, ...]
    validation: tuple[Any, ...]
    loss: Callable[..., Any]
    backend: str | Backend | None
    seed: int

    def types(self) -> tuple[TensorType, ...]:
        """Of the model's inputs, for one row."""
        return tuple(TensorType(str(a.dtype), (1, *a.shape[1:])) for a in self.data[:-1])


@dataclass(frozen=True)
class Task:
    """Train the model at the end of ``lineage`` until it has had so many ``epochs`` of its own.

    Attributes
    ----------
    parent
        The checkpoint whose weights it inherits, that of the model after the first ``known``
        rules of the lineage; none for the base.
    own
        Its own last checkpoint; none if it was not trained yet.
    """

    lineage: Lineage
    known: int
    parent: bytes | None
    own: bytes | None
    epochs: int


def packed(model: Module) -> bytes:
    """The file of a model, as bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model")
        save(model, path)
        return path.read_bytes()


def lowered(model: Module, setting: Setting) -> Graph:
    """The graph for one row; the parameters that growing makes exist afterwards."""
    return lower(model, *(t() for t in setting.types()))


def child(setting: Setting, lineage: Lineage, known: int, parent: bytes | None) -> Module:
    """The model at the end of ``lineage``, its weights inherited from those of ``parent``."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        path.write_bytes(setting.base)
        model: Module = load(path)
        if parent is not None:
            model = grow(model, lineage[:known], setting.seed)
            lowered(model, setting)
            path.write_bytes(parent)
            model.load(path)
        model = grow(model, lineage[known if parent is not None else 0 :], setting.seed)
        lowered(model, setting)
        return model


def trainable(model: Module, setting: Setting) -> Module:
    """``model`` compiled as its graph says."""
    optimizer = training_of(lowered(model, setting)).make_optimizer()
    return model.compile(
        optimizer=optimizer, loss=setting.loss, backend=setting.backend, seed=setting.seed
    )


def train(setting: Setting, task: Task) -> tuple[list[float], bytes]:
    """The validation loss of each epoch so far, and the checkpoint at the end."""
    model = child(setting, task.lineage, task.known, None if task.own else task.parent)
    trainer: Trainer = trainable(model, setting)._trainer
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "checkpoint")
        if task.own:
            path.write_bytes(task.own)
        history = trainer.fit(
            *setting.data,
            validation_data=setting.validation,
            epochs=task.epochs,
            batch_size=training_of(lowered(model, setting)).batch_size,
            resume=path if task.own else None,
            progress=False,
        )
        trainer.save(path)
        return [float(v) for v in history["val_loss"]], path.read_bytes()
