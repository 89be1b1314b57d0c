"""The course of a search: rounds of children that race by successive halving, and the finals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from joblib import Parallel, delayed

from aeframe.automl.grow import Grow, key, places
from aeframe.automl.memory import Memory
from aeframe.automl.merit import Merit
from aeframe.automl.result import Candidate, Move
from aeframe.automl.worker import Setting, Task, child, lowered, train
from aeframe.core.errors import FileError, ShapeError
from aeframe.core.graph import Graph
from aeframe.train.history import short

if TYPE_CHECKING:
    from aeframe.automl.search import AutoML

OFFERED = 2, 5  # children of one parent, and of all, that are looked at for each to be trained
Child = tuple[str, tuple[Candidate, Graph, list[Move]]]


def _by_score(candidate: Candidate) -> tuple[float, int]:
    return candidate.score, candidate.number


class Race:
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
        self.limit = search.budget - search.reserve
        self.exhausted = False

    @property
    def best(self) -> Candidate:
        """The candidate of the lowest score; of those trained in full, if there are any."""
        full = [c for c in self.candidates if len(c.curve) >= self.search.full]
        return min(full or self.candidates, key=_by_score)

    def run(self, bar: Any) -> None:
        """Rounds until the rest is the finalists', or nothing new can be reached; the finals."""
        group = self.candidates[:]
        while group and self._race(group, bar):
            self._forget()
            group = self._group()
        self.exhausted = not group
        self.limit = self.search.budget
        entrants = self._leaders()[: self.search.factor * self.search.finalists]
        for goal in (self.search.halfway, self.search.full):
            self.heat(self._affordable(entrants, goal), goal, bar)
            entrants.sort(key=_by_score)

    def _affordable(self, group: Sequence[Candidate], goal: int) -> list[Candidate]:
        """Those of the group that the budget allows to train until ``goal``, the first first."""
        found, left = list[Candidate](), self.limit - self.spent
        for c in group:
            cost = goal - len(c.curve)
            if 0 < cost <= left:
                found.append(c)
                left -= cost
        return found

    def _leaders(self) -> list[Candidate]:
        """The best so far, whose weights are kept: parents to be, and finalists."""
        trained = sorted((c for c in self.candidates if c.curve), key=_by_score)
        return trained[: max(self.search.children, self.search.factor * self.search.finalists)]

    def _forget(self) -> None:
        """Let go of weights that nothing goes on from: who is no leader now never is again."""
        leaders = self._leaders()
        kept = {c.number: (self.search.rung, len(c.curve)) for c in leaders}
        for c in self.candidates:
            if c.number not in kept:
                c.young = c.checkpoint = None
        self.memory.prune({c.number: kept.get(c.number) for c in self.candidates})

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
        factor, goal, left = self.search.factor, self.search.rung, self.search.children
        while left:
            if not self.heat(group, goal, bar):
                return False
            goal, left = goal * factor, left // factor
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
            found = list(places(graph, self.search.rules))
            often = Counter((rule.name, place.path) for rule, _, place in found)
            self.moves[name] = [
                Move(rule.name, i, f"{at.path} [{i}]" if often[rule.name, at.path] > 1 else at.path)
                for rule, i, at in found
            ]
        return self.moves[name]

    def _grown(self, name: str, graph: Graph, move: Move) -> tuple[Graph, str] | None:
        """The graph after a move, and its key; None where it is not to be considered."""
        step = name, move.rule, move.place
        if step not in self.grown:
            self.grown[step] = None
            with suppress(ShapeError):  # what reads it may not take the new shape
                grown = Grow(move.rule, move.place, self.search.seed).structure(graph)
                if self.search.within(grown):
                    self.grown[step] = grown, key(grown)
        return self.grown[step]

    def heat(self, group: Sequence[Candidate], goal: int, bar: Any) -> bool:
        """Train each until it has had ``goal`` epochs, if the budget suffices; whether it does."""
        if self.spent + sum(goal - len(c.curve) for c in group) > self.limit:
            return False
        known = {c.number: self.memory.recall(c.number, goal) for c in group}
        tasks = [self._task(c, goal) for c in group if known[c.number] is None]
        run = Parallel(n_jobs=self.search.jobs, return_as="generator")
        trained = run(delayed(train)(self.setting, task) for task in tasks) if tasks else iter(())
        for c in group:
            heat = known[c.number]
            if heat is None:
                heat = next(trained)
                self.memory.keep(c.number, *heat)
            curve, checkpoint = heat
            epochs = goal - len(c.curve)
            self.spent += epochs
            c.young, c.inherited = c.young if c.curve else checkpoint, None
            c.curve, c.checkpoint, c.cost = tuple(curve), checkpoint, self.spent
            self.merit.add(c.graph, len(c.curve), c.score)
            best = self.best
            if not self.trace or self.trace[-1][1] != best.number:
                self.trace.append((self.spent, best.number))
            bar.update(epochs)
            bar.set_postfix_str(f"{best.change()}, {short(best.score)}", refresh=False)
        return True

    def _task(self, c: Candidate, epochs: int) -> Task:
        own = self.weights(c) if c.curve else None
        return Task(c.lineage, len(c.lineage) - c.new, c.inherited, own, epochs)

    def weights(self, c: Candidate) -> bytes:
        """The last checkpoint of a candidate that was trained.

        Raises
        ------
        FileError
            When a search of a larger budget has deleted it.
        """
        if c.checkpoint is None:
            raise FileError(
                "a search went further in this folder, and left no weights to go on from",
                path=str(self.memory.folder),
                fix="give the budget of that search, or another folder",
            )
        return c.checkpoint
