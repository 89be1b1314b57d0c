"""Checkpoints: one file that holds all that training goes on from."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save as to_bytes

from aeframe.core.cells import RandomState
from aeframe.core.errors import FileError
from aeframe.core.files import FORMAT, VERSION, digest, read, write_atomically
from aeframe.core.serialize import decode_value, encode_value
from aeframe.train.history import History

if TYPE_CHECKING:
    from aeframe.train.callbacks import Callback
    from aeframe.train.trainer import Trainer

SUM, MEMORY = "@sum", "@memory"  # no path of a cell starts so


def save(trainer: Trainer, path: str | os.PathLike[str]) -> None:
    """Write all cells, where training stands, its logs and what callbacks remember, atomically.

    Raises
    ------
    FileError
        When the file cannot be written; what was there stays.
    """
    trainer.tally.read()
    values = trainer.store.snapshot()
    values |= {f"{SUM}[{i}]": np.asarray(v) for i, v in enumerate(trainer.tally.sums)}
    notes = [_noted(c, f"{MEMORY}[{i}]", values) for i, c in enumerate(trainer.callbacks)]
    training = {
        "epoch": trainer.epoch,
        "step": trainer.step,
        "logs": {k: [encode_value(v) for v in logs] for k, logs in trainer.history.logs.items()},
        "identity": trainer.identity,
        "callbacks": notes,
    }
    header = {"format": FORMAT, "version": VERSION, "training": training}
    header["sha256"] = digest(values)
    write_atomically(path, to_bytes(values, metadata={FORMAT: json.dumps(header)}))


def _noted(callback: Callback, place: str, values: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """What a callback remembers as JSON; its dicts of arrays go to ``values``."""
    memory: dict[str, Any] = {}
    for name in callback.memory:
        value = getattr(callback, name)
        if isinstance(value, dict):
            values |= {f"{place}.{name}.{k}": np.asarray(v) for k, v in value.items()}
            memory[name] = {"arrays": list(value)}
        else:
            memory[name] = encode_value(value)
    return {"class": callback.saved_as, "memory": memory}


@dataclass(frozen=True)
class Checkpoint:
    """A file that :func:`save` wrote."""

    path: str
    training: Mapping[str, Any]
    values: Mapping[str, NDArray[Any]]

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Checkpoint:
        """Read and check a file.

        Raises
        ------
        FileError
            When it is missing, damaged, of a later version, or no checkpoint.
        """
        header, values = read(path)
        if "training" not in header:
            raise FileError(
                "the file holds a model, not a checkpoint of training",
                path=os.fspath(path),
                fix="`model.load(path)` reads it, then `fit` without `resume`",
            )
        return cls(os.fspath(path), header["training"], values)

    def place(self, trainer: Trainer) -> None:
        """Put the Trainer where it was: epoch, step, logs and their sums.

        Raises
        ------
        FileError
            When other data or another batch size would give it other batches.
        """
        try:
            saved = self.training["identity"]
            logs = self.training["logs"].items()
            history = History({k: [decode_value(v) for v in values] for k, values in logs})
            epoch, step = int(self.training["epoch"]), int(self.training["step"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise FileError(f"the checkpoint is malformed: {error}", path=self.path) from error
        differing = [k for k, v in trainer.identity.items() if saved.get(k, v) != v]
        if differing:
            raise FileError(
                "the checkpoint is of training on other data, so its place there is not known",
                path=self.path,
                expected=", ".join(f"{k} {saved[k]}" for k in differing),
                got=", ".join(f"{k} {trainer.identity[k]}" for k in differing),
                fix="resume with the same data and options; or `model.load(path)`, then `fit`",
            )
        trainer.epoch, trainer.step, trainer.history = epoch, step, history
        sums = sum(1 for name in self.values if name.startswith(SUM))
        trainer.tally.sums = [self.values[f"{SUM}[{i}]"] for i in range(sums)]

    def restore(self, trainer: Trainer) -> None:
        """Put the values of all cells back; all or nothing.

        Raises
        ------
        FileError
            When they are those of another model or optimizer.
        """
        store = trainer.store
        own = {p: v for p, v in self.values.items() if not p.startswith("@")}
        differing = sorted(set(store) ^ set(own))
        differing += [
            f"{p}: {own[p].shape} for {cell.type.shape}"
            for p, cell in store.items()
            if p in own and not isinstance(cell, RandomState) and own[p].shape != cell.type.shape
        ]
        if differing:
            raise FileError(
                "the checkpoint is of another model or optimizer",
                path=self.path,
                expected=f"the cells of {type(trainer.module).__name__}",
                got=", ".join(differing[:6]) + (" ..." if len(differing) > 6 else ""),
                fix="build and compile the model as it was when the checkpoint was written",
            )
        store.restore(own)

    def remind(self, callbacks: Sequence[Callback]) -> None:
        """Give callbacks back what they knew, each to the next one of its class."""
        notes = list(enumerate(self.training["callbacks"]))
        for callback in callbacks:
            found = next((n for n in notes if n[1]["class"] == callback.saved_as), None)
            if found is None:
                continue
            notes.remove(found)
            place, memory = f"{MEMORY}[{found[0]}]", found[1]["memory"]
            for name in set(callback.memory) & set(memory):
                value = memory[name]
                if isinstance(value, dict) and "arrays" in value:
                    arrays = {k: self.values[f"{place}.{name}.{k}"] for k in value["arrays"]}
                    setattr(callback, name, arrays)
                else:
                    setattr(callback, name, decode_value(value))
