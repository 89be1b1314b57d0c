"""What a search found: the best model, and every candidate with its curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from aeframe.core.cells import count_parameters
from aeframe.core.graph import Graph
from aeframe.core.module import Module
from aeframe.core.summary import plain_table, render


@dataclass(frozen=True)
class Move:
    """One rule applied at one place: its number among the rule's places, and its path.

    Where several places of the rule share the path, the number follows it.
    """

    rule: str
    place: int
    path: str

    def __str__(self) -> str:
        return f"{self.rule} @ {self.path}"


@dataclass
class Candidate:
    """A model of the search: where it comes from, and how its training went.

    Attributes
    ----------
    number, parent
        Its own, and that of the candidate whose weights it inherited.
    moves
        From the base to it; the last ``new`` of them lead from its parent to it.
    key
        Equal for equal structures, see :func:`aeframe.automl.key`.
    curve
        Validation loss after each epoch of its own.
    cost
        Epochs that the search had trained, in all, when it was last trained.
    """

    number: int
    parent: int | None
    moves: tuple[Move, ...]
    new: int
    key: str
    graph: Graph
    inherited: bytes | None = None
    young: bytes | None = None
    curve: tuple[float, ...] = ()
    checkpoint: bytes | None = None
    cost: int = 0

    @property
    def score(self) -> float:
        """The mean of the last half of its curve: one epoch's loss is luck at a high rate.

        Infinite where it is no number, or before training.
        """
        last = self.curve[len(self.curve) // 2 :]
        score = float(np.mean(last)) if last else np.inf
        return score if np.isfinite(score) else np.inf

    @property
    def lineage(self) -> tuple[tuple[str, int], ...]:
        """Rules and places, as :func:`aeframe.automl.grow` takes them."""
        return tuple((m.rule, m.place) for m in self.moves)

    @property
    def parameters(self) -> int:
        """How many numbers it learns."""
        return count_parameters(self.graph.outputs)

    def change(self) -> str:
        """What leads from its parent to it."""
        return ", ".join(map(str, self.moves[len(self.moves) - self.new :])) or "base"


@dataclass(frozen=True)
class AutoMLResult:
    """What :meth:`aeframe.AutoML.fit` returns; prints as a table.

    Attributes
    ----------
    model
        The best model, with its weights, compiled as it was trained.
    best
        Its candidate; ``best.lineage`` can be applied to another model, see
        :func:`aeframe.automl.grow`.
    candidates
        Those that were trained, by number.
    trace
        (epochs trained in all, number of the best candidate), each time the best one changed.
    epochs, budget
        Trained in all, and what there was to spend.
    exhausted
        Whether the search ended since rules led to no model that was not seen.
    """

    model: Module
    best: Candidate
    candidates: tuple[Candidate, ...]
    trace: tuple[tuple[int, int], ...]
    epochs: int
    budget: int
    exhausted: bool

    @property
    def lineage(self) -> tuple[tuple[str, int], ...]:
        """That of the best candidate."""
        return self.best.lineage

    def __str__(self) -> str:
        title = f"{len(self.candidates)} candidates, {self.epochs} epochs"
        table = plain_table(title, "", "parent", "change", "epochs", "parameters", "score")
        for c in sorted(self.candidates, key=lambda c: (c.score, c.number)):
            parent = "" if c.parent is None else str(c.parent)
            row = f"{c.number}", parent, c.change(), str(len(c.curve)), f"{c.parameters:,}"
            table.add_row(*row, f"{c.score:.4f}")
        return f"{render(table, width=120)}\n\n{self.ending()}"

    def ending(self) -> str:
        """Why the search ended, in a sentence."""
        left = self.budget - self.epochs
        if self.exhausted:
            unspent = f"{left} of {self.budget} epochs were not spent"
            return f"The rules lead to no other model within bounds: {unspent}."
        if left:
            return f"{left} of {self.budget} epochs are left, too few for what comes next."
        return f"The budget of {self.budget} epochs is spent."

    __repr__ = __str__

    def plot(self, ax: Any = None) -> Any:
        """Draw score against cost: each candidate's latest score, and the best one so far."""
        import matplotlib.pyplot as plt

        if ax is None:
            ax = plt.figure(figsize=(6.4, 3.8), layout="constrained").subplots()
        shown = [c for c in self.candidates if np.isfinite(c.score)]
        ax.plot([c.cost for c in shown], [c.score for c in shown], "o", ms=4, color="0.7")
        by = {c.number: c for c in self.candidates}
        cost, score = zip(*self._incumbents(), strict=True)
        ax.step([*cost, self.epochs], [*score, score[-1]], where="post", color="C0")
        best = by[self.best.number]
        ax.plot(best.cost, best.score, "o", ms=7, color="C0")
        text = f"{best.change()}\n{best.parameters:,} parameters"
        ax.annotate(text, (best.cost, best.score), (-6, 14), textcoords="offset points", ha="right")
        ax.set(xlabel="epochs trained", ylabel="validation loss", yscale="log")
        ax.spines[["top", "right"]].set_visible(False)
        return ax

    def _incumbents(self) -> list[tuple[int, float]]:
        """Cost and score whenever some candidate was better than all before."""
        points = sorted((c.cost, c.score) for c in self.candidates)
        low = np.minimum.accumulate([s for _, s in points])
        return [(cost, float(s)) for (cost, _), s in zip(points, low, strict=True)]
