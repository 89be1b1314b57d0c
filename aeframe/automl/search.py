"""The search: children of the best model race by successive halving, the best one goes on."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from aeframe.automl.copies import twin
from aeframe.automl.grow import require_alternatives
from aeframe.automl.memory import Memory
from aeframe.automl.race import Race
from aeframe.automl.result import AutoMLResult
from aeframe.automl.training import Training
from aeframe.automl.worker import Setting, child, packed, trainable
from aeframe.backends import Backend
from aeframe.core.arguments import count
from aeframe.core.errors import ArgumentError, DataError
from aeframe.core.graph import Graph
from aeframe.core.module import Module
from aeframe.core.progress import progress_bar
from aeframe.rewrites import Rule


class AutoML:
    """Search over the models that rules lead to, from one model on.

    In each round, children of the best models so far are drawn: one rule at one place or several;
    the most promising of them, as :class:`Merit` says, are trained. They race by successive
    halving (Jamieson and Talwalkar 2016): all are trained for ``rung`` epochs, one in ``factor``
    of them until it has had ``factor`` times as many, and so on. Each begins with the weights that
    its parent had after ``rung`` epochs: what grows out of a network that has settled stays near
    it, and generalizes worse (Ash and Adams 2020). Few epochs tell little of where a model ends:
    the last of the budget trains the best ones in full, and the best of those is the result.

    Parameters
    ----------
    model
        Where the search begins; it is not changed. A pass :class:`Training` says how it is
        trained at first; without one, by Adam at a rate of 0.001.
    rules
        Alternatives, or their names; :data:`aeframe.automl.RULES` are all that come along.
    objective
        The loss, ``loss(prediction, target, weight=None)``; its mean on the validation data is
        the score.
    budget
        Epochs to train in all.
    children, rung, factor
        How many children race in a round, the epochs of the first heat, and of how many one goes
        on to the next.
    moves
        The most rules that lead to a child at once.
    finalists, full
        How many are trained in full at least, as many as the budget allows; and how many epochs
        that is, by default so many that the finals take half of the budget. They are the best of
        ``factor`` times as many, trained for ``full / factor`` epochs.
    within
        ``within(graph)`` says whether a model is one to consider.
    folder
        Where training is kept: a search that was killed goes on from there, with the same result.
    seed
        Of everything that is drawn.
    jobs
        How many candidates train at once, as joblib counts; by default what
        ``joblib.parallel_config`` says, which can also name Dask or another backend of joblib.
    backend
        That models are trained on.

    Raises
    ------
    ArgumentError
        When an argument is of the wrong kind.

    >>> import numpy as np
    >>> from aeframe import nn
    >>> model = nn.Sequential(nn.Dense(4), nn.tanh, nn.Dense(2))
    >>> search = AutoML(model, ("wider",), nn.softmax_cross_entropy, budget=2)
    >>> search.fit(np.ones((10, 3)), np.arange(10) % 2).epochs
    2
    """

    def __init__(
        self,
        model: Module,
        rules: Sequence[Rule | str],
        objective: Callable[..., Any],
        budget: int = 200,
        *,
        children: int = 6,
        rung: int = 2,
        factor: int = 3,
        moves: int = 3,
        finalists: int = 2,
        full: int | None = None,
        within: Callable[[Graph], bool] | None = None,
        folder: str | os.PathLike[str] | None = None,
        seed: int = 0,
        jobs: int | None = None,
        backend: str | Backend | None = None,
    ) -> None:
        if not isinstance(model, Module):
            raise ArgumentError("not a model", expected="a Module", got=repr(model))
        if not callable(objective):
            raise ArgumentError(
                "the objective is a loss",
                expected="objective=nn.softmax_cross_entropy",
                got=repr(objective),
            )
        self.model, self.objective = model, objective
        self.rules = require_alternatives(rules)
        self.budget, self.children = count("budget", budget), count("children", children)
        self.factor = count("factor", factor, 2)
        self.rung, self.moves = count("rung", rung), count("moves", moves)
        self.finalists = count("finalists", finalists)
        share = max(self.rung, self.budget // (3 * self.finalists))
        self.full = share if full is None else count("full", full, self.rung)
        least = self.rung + self.reserve
        if least > self.budget:
            raise ArgumentError(
                "the budget does not suffice for the model that the search begins with"
                + (" and the finalists" if self.reserve else ""),
                expected=f"budget={max(2 * least, 100 * self.rung)}",
                got=self.budget,
            )
        if within is not None and not callable(within):
            raise ArgumentError("`within` is a function of a graph", got=repr(within))
        if jobs is not None and (isinstance(jobs, bool) or not isinstance(jobs, int) or jobs == 0):
            raise ArgumentError("`jobs` is an integer", expected="jobs=2", got=repr(jobs))
        self.within = within or (lambda graph: True)
        self.folder = None if folder is None else Path(folder)
        self.seed, self.jobs, self.backend = count("seed", seed, 0), jobs, backend

    @property
    def reserve(self) -> int:
        """The epochs that are kept back for the finals: what they can take at most."""
        half = self.halfway - self.rung
        return self.finalists * (self.factor * half + self.full - self.halfway)

    @property
    def halfway(self) -> int:
        """The epochs after which finalists are chosen."""
        return max(self.rung, self.full // self.factor)

    def fit(
        self,
        *data: Any,
        validation_data: Sequence[Any] | None = None,
        validation_split: float = 0.2,
        progress: bool = True,
    ) -> AutoMLResult:
        """Search on ``(x, ..., y)``.

        Parameters
        ----------
        validation_data
            ``(x, ..., y)`` to score on; by default a share of the last rows.
        validation_split
            That share.
        progress
            Whether to show a bar, where there is a terminal.

        Raises
        ------
        DataError
            When there are no rows, or the arrays differ in length.
        FileError
            When ``folder`` holds another search, or cannot be written.
        """
        setting = self._setting(data, validation_data, validation_split)
        memory = Memory(self.folder)
        if self.folder is not None:
            memory.claim(self._identity(setting))
        race = Race(self, setting, memory)
        with progress_bar(self.budget, "AutoML", "epoch", progress) as bar:
            race.run(bar)
        best = race.best
        model = child(setting, best.lineage, len(best.lineage), race.weights(best))
        model._last_call = ("__call__", setting.types())  # type: ignore[attr-defined]
        found = tuple(c for c in race.candidates if c.curve)
        return AutoMLResult(
            *(trainable(model, setting), best, found, tuple(race.trace)),
            *(race.spent, self.budget, race.exhausted),
        )

    def _setting(self, data: Sequence[Any], given: Any, split: float) -> Setting:
        arrays = _arrays(data, self.model.find_dtype())
        if given is None:
            rows = len(arrays[-1])
            first = rows - int(rows * split) if 0 < split < 1 else rows
            if not 0 < first < rows:
                raise DataError(
                    "there are no rows to validate on",
                    got=f"{rows} rows, validation_split={split}",
                    fix="give a share between 0 and 1, or `validation_data`",
                )
            arrays, valid = [a[:first] for a in arrays], [a[first:] for a in arrays]
        else:
            if not isinstance(given, tuple | list) or len(given) != len(arrays):
                raise ArgumentError(
                    "`validation_data` is what `fit` takes: inputs and target",
                    expected=f"{len(arrays)} arrays",
                    got=f"{len(given)} arrays" if isinstance(given, tuple | list) else "one array",
                    fix="validation_data=(x_valid, y_valid)",
                )
            valid = _arrays(given, self.model.find_dtype())
        model = twin(self.model)
        if not any(isinstance(p, Training) for p in model.passes):
            model = model.with_pass(Training())
        model(*(a[:1] for a in arrays[:-1]))
        model.init(self.seed)
        classes = tuple({type(part): None for part in model.modules().values()})
        return Setting(
            packed(model), classes, tuple(arrays), tuple(valid), self.objective, self.backend,
            self.seed,
        )  # fmt: skip

    def _identity(self, setting: Setting) -> dict[str, Any]:
        """What the course of a search depends on, but for ``within``, which is code."""
        found = sha256(setting.base)
        for array in (*setting.data, *setting.validation):
            found.update(f"{array.dtype} {array.shape}".encode() + array.tobytes())
        names = ("children", "rung", "factor", "moves", "finalists", "seed")
        return {
            **{name: getattr(self, name) for name in names},
            "rules": [r.name for r in self.rules],
            "objective": getattr(self.objective, "__qualname__", repr(self.objective)),
            "model and data": found.hexdigest(),
        }


def _arrays(data: Sequence[Any], dtype: str) -> list[Any]:
    """``(x, ..., y)`` as arrays; those of floating type in the dtype of the model."""
    if len(data) < 2:
        raise DataError("a search needs inputs and a target", fix="fit(x, y)")
    arrays = [np.asarray(a) for a in data]
    lengths = {len(a) if a.ndim else 0 for a in arrays}
    if len(lengths) != 1 or lengths == {0}:
        raise DataError(
            "inputs and target have no rows, or not the same number",
            got=", ".join(str(a.shape) for a in arrays),
        )
    return [a.astype(dtype) if a.dtype.kind == "f" else a for a in arrays]
