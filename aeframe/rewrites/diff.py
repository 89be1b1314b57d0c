"""``ae.diff``: what leads from one model to the next."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from aesara.graph.basic import Apply, Variable

from aeframe.core.graph import Graph, toposort
from aeframe.core.module import Module
from aeframe.core.summary import plain_table, render
from aeframe.rewrites.report import Step, describe
from aeframe.rewrites.standard import graph_of


@dataclass(frozen=True)
class Diff:
    """The rewrites that ``b`` has and ``a`` has not, and the terms that only one of them holds.

    Attributes
    ----------
    rewrites
        Steps of the passes that ``b`` adds to ``a``.
    removed, added
        Terms of the graph of ``a`` alone, and of ``b`` alone, as text.
    """

    rewrites: tuple[Step, ...]
    removed: tuple[str, ...]
    added: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.rewrites or self.removed or self.added)

    def __str__(self) -> str:
        if not self:
            return "no difference"
        table = plain_table("difference", "", "what", "place")
        for s in self.rewrites:
            table.add_row("rule", s.rule, s.path)
        for text in self.removed:
            table.add_row("-", text, "")
        for text in self.added:
            table.add_row("+", text, "")
        return render(table, width=120)

    __repr__ = __str__


def diff(a: Module, b: Module, *inputs: Variable) -> Diff:
    """What leads from ``a`` to ``b``: the rewrites, and the terms removed and added.

    Parameters
    ----------
    a, b
        Two Modules. ``b`` is often ``a`` after ``optimize``, ``intervene`` or ``observe``.
    inputs
        Symbolic inputs for both; left out for kernels, circuits and models, and for Modules
        that have been called on data.
    """
    before, old = graph_of(a, inputs)
    after, new = graph_of(b, inputs)
    shared = a.passes == b.passes[: len(a.passes)]
    known = len(old.reports) if shared else 0
    steps = tuple(s for r in new.reports[known:] for s in r.steps)
    left, right = _terms(before), _terms(after)
    return Diff(steps, tuple((left - right).elements()), tuple((right - left).elements()))


def _terms(graph: Graph) -> Counter[str]:
    return Counter(_text(node) for node in toposort(graph.results))


def _text(node: Apply) -> str:
    return f"{describe(node.outputs[0], depth=1)}: {node.outputs[0].type}"
