"""Folding: what depends on fixed cells alone is computed once for each of their values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from aesara.graph.basic import Apply, Constant, Variable

import aeframe.backends.plain  # noqa: F401 (what plain Ops cost)
from aeframe.backends.work import VIEW, entries, nbytes, work
from aeframe.core.cells import Cell, cells
from aeframe.core.graph import Graph, Merger, replay, toposort
from aeframe.core.ops import WeightOp
from aeframe.core.shapes import concrete, is_tensor

if TYPE_CHECKING:
    from aeframe.backends.program import Program

# FLOPs and bytes below which a second program costs more to compile than it ever saves.
LEAST = 1 << 14
# How many times larger than its cells a result may be that is made of them without operations: a
# FLOPs for each entry of the result above which it is worth memory of its own.
INTENSE = 4


class Folded:
    """Results that a program takes as inputs, computed by a program of their own.

    Attributes
    ----------
    replaced
        Variable of the whole graph → what stands for it in the main program.
    variables
        The latter, each once: one for each output of ``program``.
    program
        Computes their values from cells.
    """

    def __init__(self, replaced: Mapping[Variable, Variable], program: Program) -> None:
        self.replaced, self.program = replaced, program
        self.variables = tuple(dict.fromkeys(replaced.values()))
        self._versions: list[int] | None = None
        self._values: list[Any] = []

    def values(self) -> list[Any]:
        """The results for the cells' present values."""
        versions = [c.version for c in self.program.fixed]
        if versions != self._versions:
            self._versions = None  # an interrupt leaves nothing half done
            # a view in another order would be copied by every kernel at every call
            self._values = [
                np.ascontiguousarray(v) if isinstance(v, np.ndarray) else v for v in self.program()
            ]
            self._versions = [c.version for c in self.program.fixed]
        return self._values


def foldable(graph: Graph, fixed: Iterable[Cell]) -> dict[Variable, Variable]:
    """Which variables of ``graph`` to fold → the same expressions, of known shapes.

    A maximal part that depends on ``fixed`` alone is folded where it is a :class:`WeightOp`, its
    result is no larger than the cells it is made of, or it takes :data:`INTENSE` operations an
    entry: products always are, broadcasts never. Where it is not, what it is made of may be. Views
    are left to the backend, and so is everything where it is less than :data:`LEAST` in all. The
    results of the graph itself are not folded: who calls the program owns them.
    """
    sources = {c for c in fixed if is_tensor(c)}
    nodes = toposort(graph.results, graph.inputs)
    closed, _ = _closed(nodes, sources)
    inside = [o for n in nodes if n in closed for o in n.outputs]
    known = dict(zip(inside, replay(inside, {}, Merger(concrete)), strict=True))
    edge = dict.fromkeys(v for n in nodes if n not in closed for v in n.inputs if v in known)
    chosen: dict[Variable, Variable] = {}
    todo, seen = list(edge), set(graph.results)
    while todo:
        v = todo.pop()
        if v in seen or v not in known:
            continue
        seen.add(v)
        if _pays(known[v]):
            chosen[v] = known[v]
        else:
            todo.extend(v.owner.inputs)
    amount = sum(_amount(n) for n in toposort(chosen.values()))
    return chosen if amount >= LEAST else {}


def _closed(nodes: Sequence[Apply], sources: set[Cell]) -> tuple[set[Apply], set[Apply]]:
    """The Applies that depend on ``sources`` and constants alone, and those on constants alone."""
    still: set[Variable] = set(sources)
    constant: set[Variable] = set()
    closed: set[Apply] = set()
    made: set[Apply] = set()
    for node in nodes:
        fixed = [v for v in node.inputs if not isinstance(v, Constant) and v not in constant]
        if not all(map(is_tensor, node.outputs)) or not all(v in still for v in fixed):
            continue
        (closed if fixed else made).add(node)
        (still if fixed else constant).update(node.outputs)
    return closed, made


def weight_only(graph: Graph) -> set[Apply]:
    """The Applies of ``graph`` that depend on constants, and cells that it does not update."""
    known = {*graph.updates, *graph.inputs}
    sources = {c for c in cells(graph.results) if is_tensor(c) and c not in known}
    return set().union(*_closed(toposort(graph.results, graph.inputs), sources))


def _pays(result: Variable) -> bool:
    """Whether ``result`` is worth keeping."""
    if result.owner is None or None in result.type.shape or work(result.owner).kind is VIEW:
        return False
    nodes = toposort([result])
    if any(None in o.type.shape for n in nodes for o in n.outputs):
        return False
    if isinstance(result.owner.op, WeightOp):
        return True
    made_of = {v for n in nodes for v in n.inputs if v.owner is None and is_tensor(v)}
    if nbytes(result) <= sum(nbytes(v) for v in made_of if not isinstance(v, Constant)):
        return True
    return sum(work(n).flops for n in nodes) >= INTENSE * entries(result)


def _amount(node: Apply) -> float:
    found = work(node)
    return found.flops + found.bytes
