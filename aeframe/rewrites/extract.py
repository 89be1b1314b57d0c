"""Extraction: which of the graphs in an e-graph is the cheapest.

A graph is one Apply chosen for each class that it needs. Its cost is the sum over these Applies:
what is shared is paid once, and what depends on weights alone costs nothing, for programs fold it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from aesara.graph.basic import Apply, Constant, Variable

from aeframe.core.cells import Cell
from aeframe.core.errors import ArgumentError
from aeframe.core.graph import Graph, remake
from aeframe.core.shapes import is_tensor
from aeframe.core.structure import Structure
from aeframe.rewrites.egraph import EGraph

Cost = Callable[[Apply], float]
Choice = Mapping[Variable, Apply]


@dataclass(frozen=True)
class Problem:
    """The classes that results may need, the Applies to choose from, and what each costs.

    Attributes
    ----------
    makers
        Class → the Applies that can make it. A leaf has none.
    costs
        Seconds, by Apply.
    """

    egraph: EGraph
    results: Sequence[Variable]
    makers: Mapping[Variable, Sequence[Apply]]
    costs: Mapping[Apply, float]

    @classmethod
    def of(
        cls,
        egraph: EGraph,
        results: Sequence[Variable],
        cost: Cost,
        changing: Iterable[Variable] = (),
        keep: Collection[Apply] | None = None,
    ) -> Problem:
        """The problem for ``results``.

        Parameters
        ----------
        changing
            Cells that are no constants between calls.
        keep
            If given, only these are kept of the Applies that no cheapest graph needs.
        """
        wanted = [egraph.find(v) for v in results]
        moving = set(changing)
        makers: dict[Variable, Sequence[Apply]] = {}
        todo = list(wanted)
        while todo:
            variable = todo.pop()
            if variable in makers:
                continue
            leaf = variable.owner is None
            makers[variable] = () if leaf else tuple(egraph.makers(variable))
            todo.extend(egraph.find(v) for node in makers[variable] for v in node.inputs)
        fixed = _fixed(egraph, makers, moving)
        makers.update(_smallest(egraph, makers, fixed))
        costs: dict[Apply, float] = {}
        for variable, nodes in makers.items():
            for node in nodes:
                if node not in costs:
                    costs[node] = 0.0 if variable in fixed else _seconds(node, cost(node))
        if keep is not None:
            for variable, nodes in makers.items():
                makers[variable] = _undominated(egraph, nodes, costs, fixed, keep)
        used = {node for nodes in makers.values() for node in nodes}
        return cls(egraph, wanted, makers, {n: c for n, c in costs.items() if n in used})

    def inputs(self, node: Apply) -> list[Variable]:
        """The classes that ``node`` needs, each once."""
        return self.egraph.inputs(node)

    def order(self, choice: Choice) -> list[Variable] | None:
        """The classes of ``choice`` that the results need, inputs first; ``None`` if in a cycle."""
        done: dict[Variable, bool] = {}
        order: list[Variable] = []
        todo = list(self.results)
        while todo:
            variable = todo[-1]
            if done.get(variable):
                todo.pop()
                continue
            below = self.inputs(choice[variable]) if self.makers[variable] else []
            waiting = [v for v in below if not done.get(v)]
            if not waiting:
                done[variable] = True
                order.append(todo.pop())
            elif variable in done:
                return None
            else:
                done[variable] = False
                if any(done.get(v) is False for v in waiting):
                    return None
                todo.extend(waiting)
        return order

    def cost(self, choice: Choice) -> float:
        """Seconds: each Apply once, even where it makes several of the classes."""
        order = self.order(choice) or []
        chosen = {choice[v] for v in order if self.makers[v]}
        return sum(self.costs[node] for node in chosen)

    def graph(self, choice: Choice, graph: Graph) -> Graph:
        """``graph`` with the chosen Applies."""
        made: dict[Variable, Variable] = {}
        copies: dict[Apply, Apply] = {}
        for variable in self.order(choice) or []:
            if not self.makers[variable]:
                made[variable] = variable
                continue
            node = choice[variable]
            if node not in copies:
                copies[node] = remake(node, [made[self.egraph.find(v)] for v in node.inputs])
            outputs = [self.egraph.find(o) for o in node.outputs]
            made[variable] = copies[node].outputs[outputs.index(variable)]
        return graph.with_results([made[v] for v in self.results])


def _seconds(node: Apply, found: object) -> float:
    if not isinstance(found, int | float | np.number) or not 0 <= found < float("inf"):
        raise ArgumentError(
            f"the cost of {node.op} is no number of seconds",
            path=getattr(node.tag, "path", None),
            expected="a number from 0 up",
            got=repr(found),
        )
    return float(found)


def _fixed(
    egraph: EGraph, makers: Mapping[Variable, Sequence[Apply]], changing: set[Variable]
) -> set[Variable]:
    """The classes that depend on constants and cells alone."""
    users: dict[Variable, list[tuple[Variable, Apply]]] = {}
    missing: dict[Apply, int] = {}
    ready: list[Variable] = []
    for variable, nodes in makers.items():
        known = isinstance(variable, Constant | Cell) and is_tensor(variable)
        if known and variable not in changing:
            ready.append(variable)
        for node in nodes:
            below = {egraph.find(v) for v in node.inputs}
            missing[node] = len(below)
            if not below:
                ready.append(variable)
            for v in below:
                users.setdefault(v, []).append((variable, node))
    fixed: set[Variable] = set()
    while ready:
        variable = ready.pop()
        if variable in fixed:
            continue
        fixed.add(variable)
        counted: set[Apply] = set()
        for above, node in users.get(variable, ()):
            if node not in counted:
                counted.add(node)
                missing[node] -= 1
            if missing[node] == 0:
                ready.append(above)
    return fixed


def _smallest(
    egraph: EGraph, makers: Mapping[Variable, Sequence[Apply]], fixed: set[Variable]
) -> dict[Variable, Sequence[Apply]]:
    """For each class that is computed once the Apply of the smallest expression: no more choice."""
    sizes = {v: 0 for v in fixed if not makers[v]}
    best: dict[Variable, Apply] = {}
    changed = True
    while changed:
        changed = False
        for variable in fixed:
            for node in makers[variable]:
                below = [sizes.get(egraph.find(v)) for v in node.inputs]
                if None in below:
                    continue
                size = 1 + sum(s or 0 for s in below)
                if size < sizes.get(variable, size + 1):
                    sizes[variable], best[variable], changed = size, node, True
    return {variable: (node,) for variable, node in best.items()}


def _undominated(
    egraph: EGraph,
    nodes: Sequence[Apply],
    costs: Mapping[Apply, float],
    fixed: set[Variable],
    keep: Collection[Apply],
) -> tuple[Apply, ...]:
    """Without the Applies that cost no less than another one that needs no more."""
    needs = {n: {egraph.find(v) for v in n.inputs} - fixed for n in nodes}
    kept: list[Apply] = []
    for node in sorted(nodes, key=lambda n: (costs[n], len(needs[n]))):
        several = len(node.outputs) > 1 or node in keep
        if several or not any(needs[k] <= needs[node] for k in kept):
            kept.append(node)
    return tuple(kept)


class Extraction(Structure):
    """A way to choose."""

    def __call__(self, problem: Problem) -> dict[Variable, Apply]:
        """The Apply for each class."""
        raise NotImplementedError
