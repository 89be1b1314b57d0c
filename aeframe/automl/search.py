"""The search: children of the best model race by successive halving, the best one goes on."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from aeframe.automl.copies import twin
from aeframe.automl.grow import Grow, key, places, require_alternatives
from aeframe.automl.memory import Memory
from aeframe.automl.merit import Merit
from aeframe.automl.result import AutoMLResult, Candidate, Move
from aeframe.automl.training import Training
from aeframe.automl.worker import Setting, Task, child, lowered, packed, train, trainable
from aeframe.backends import Backend
from aeframe.core.arguments import count
from aeframe.core.errors import ArgumentError, DataError, ShapeError
from aeframe.core.graph import Graph
from aeframe.core.module import Module
from aeframe.core.progress import progress_bar
from aeframe.rewrites import Rule
from aeframe.train.history import short

OFFERED = 2, 5  # children of one parent, and of all, that are looked at for each to be trained
Child = tuple[str, tuple[Candidate, Graph, list[Move]]]


class AutoML:
    """Search over the models that rules lead to, from one model on.

    In each round, children of the best models so far are drawn: one rule at one place or several;
    the most promising of them, as :class:`Merit` says, are trained. They race by successive
    halving (Jamieson and Talwalkar 2016): all are trained for ``rung`` epochs, one in ``factor``
    of them until it has had ``factor`` times as many, and so on. Each begins with the weights that
    its parent had after ``rung`` epochs: what grows out of a network that has settled stays near
    it, and generalizes worse (Ash and Adams 2020).

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
        if self.rung > self.budget:
            raise ArgumentError(
                "the budget does not suffice to train the model that the search begins with",
                expected=f"budget={100 * self.rung}",
                got=self.budget,
            )
        self.within = within or (lambda graph: True)
        self.folder = None if folder is None else Path(folder)
        self.seed, self.jobs, self.backend = count("seed", seed, 0), jobs, backend

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
        race = _Search(self, setting, memory)
        with progress_bar(self.budget, "AutoML", "epoch", progress) as bar:
            race.run(bar)
        best = race.best
        model = child(setting, best.lineage, len(best.lineage), best.checkpoint)
        found = tuple(c for c in race.candidates if c.curve)
        return AutoMLResult(trainable(model, setting), best, found, tuple(race.trace), race.spent)

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
        names = ("children", "rung", "factor", "moves", "seed")
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


def _by_score(candidate: Candidate) -> tuple[float, int]:
    return candidate.score, candidate.number


class _Search:
    """One search: candidates so far, what they cost, and the best of them."""

    def __init__(self, search: AutoML, setting: Setting, memory: Memory) -> None:
        self.search, self.setting, self.memory = search, setting, memory
        self.rng = np.random.default_rng(search.seed)
        graph = lowered(child(setting, (), 0, None), setting)
        self.candidates = [Candidate(0, None, (), 0, key(graph), graph)]
        self.seen = {self.candidates[0].key}
        self.moves: dict[str, list[Move]] = {}
        self.grown: dict[tuple[str, str, int], tuple[Graph, str] | None] = {}
        self.merit = Merit()
        self.trace: list[tuple[int, int]] = []
        self.spent = 0

    @property
    def best(self) -> Candidate:
        """The candidate of the lowest score; the first of those that are equal."""
        return min(self.candidates, key=_by_score)

    def run(self, bar: Any) -> None:
        """Rounds until the budget is spent, or nothing new can be reached."""
        group = self.candidates[:]
        while group and self._race(group, bar):
            group = self._group()

    def _group(self) -> list[Candidate]:
        """The most promising of some children of the best models."""
        wanted, pool = self.search.children, dict[str, tuple[Candidate, Graph, list[Move]]]()
        for parent in sorted((c for c in self.candidates if c.curve), key=_by_score):
            more = min(OFFERED[0], OFFERED[1] - len(pool) // wanted) * wanted
            pool.update(islice(self.children(parent, pool), more))
        offered = list(pool.items())
        chosen = self.merit.choose([graph for _, (_, graph, _) in offered], wanted, self.rng)
        return [self._child(offered[i][0], *offered[i][1]) for i in chosen]

    def _race(self, group: list[Candidate], bar: Any) -> bool:
        """Train, keep the best, train those longer; whether the budget sufficed."""
        factor, epochs, had, left = self.search.factor, self.search.rung, 0, self.search.children
        while left:
            if not self.heat(group, epochs, bar):
                return False
            had += epochs
            epochs, left = had * (factor - 1), left // factor
            group = sorted(group, key=_by_score)[: max(1, min(left, len(group) // factor))]
        return True

    def _child(
        self, name: str, parent: Candidate, graph: Graph, moves: Sequence[Move]
    ) -> Candidate:
        number, lineage = len(self.candidates), (*parent.moves, *moves)
        made = Candidate(number, parent.number, lineage, len(moves), name, graph, parent.young)
        self.candidates.append(made)
        self.seen.add(name)
        return made

    def children(self, parent: Candidate, but: Container[str]) -> Iterator[Child]:
        """Models of some moves more, in random order, that were not seen; built when asked for."""
        for _ in range(20 * self.search.children):
            graph, name, moves = parent.graph, parent.key, list[Move]()
            for _ in range(int(self.rng.integers(1, self.search.moves + 1))):
                found = self._moves(name, graph)
                move = found[int(self.rng.integers(len(found)))] if found else None
                grown = None if move is None else self._grown(name, graph, move)
                if move is None or grown is None:
                    break
                graph, name = grown
                moves.append(move)
            if moves and name not in self.seen and name not in but:
                yield name, (parent, graph, moves)

    def _moves(self, name: str, graph: Graph) -> list[Move]:
        """What can be done with a structure; looked for once."""
        if name not in self.moves:
            found = places(graph, self.search.rules)
            self.moves[name] = [Move(rule.name, i, place.path) for rule, i, place in found]
        return self.moves[name]

    def _grown(self, name: str, graph: Graph, move: Move) -> tuple[Graph, str] | None:
        """The graph after a move, and its key; None where it is not to be considered."""
        step = name, move.rule, move.place
        if step not in self.grown:
            self.grown[step] = None
            with suppress(ShapeError):  # what reads it may not take the new shape
                grown, _ = Grow(move.rule, move.place, self.search.seed)(graph)
                if self.search.within(grown):
                    self.grown[step] = grown, key(grown)
        return self.grown[step]

    def heat(self, group: Sequence[Candidate], epochs: int, bar: Any) -> bool:
        """Train each for ``epochs`` more, if the budget suffices; whether it does."""
        if self.spent + epochs * len(group) > self.search.budget:
            return False
        goals = {c.number: len(c.curve) + epochs for c in group}
        known = {n: self.memory.recall(n, goal) for n, goal in goals.items()}
        tasks = [self._task(c, goals[c.number]) for c in group if known[c.number] is None]
        run = Parallel(n_jobs=self.search.jobs, return_as="generator")
        trained = run(delayed(train)(self.setting, task) for task in tasks)
        for c in group:
            curve, checkpoint = known[c.number] or next(trained)
            if known[c.number] is None:
                self.memory.keep(c.number, goals[c.number], checkpoint)
            self.spent += epochs
            c.curve, c.checkpoint, c.cost = tuple(curve), checkpoint, self.spent
            c.young = c.young or checkpoint
            self.merit.add(c.graph, len(c.curve), c.score)
            best = self.best
            if not self.trace or self.trace[-1][1] != best.number:
                self.trace.append((self.spent, best.number))
            bar.update(epochs)
            bar.set_postfix_str(f"{best.change()}, {short(best.score)}", refresh=False)
        return True

    def _task(self, c: Candidate, epochs: int) -> Task:
        return Task(c.lineage, len(c.lineage) - c.new, c.inherited, c.checkpoint, epochs)
