"""Enumeration: every graph in an e-graph, the cheapest first, one at a time."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from aesara.graph.basic import Apply, Variable

from aeframe.rewrites.extract import Problem


@dataclass(frozen=True)
class _State:
    """A graph chosen in part: what was chosen, what still has to be, and the cost so far."""

    chosen: dict[Variable, Apply]
    pending: tuple[Variable, ...]
    cost: float


def models(
    problem: Problem, most: float = float("inf")
) -> Iterator[tuple[float, dict[Variable, Apply]]]:
    """The distinct graphs of ``problem`` in the order of their costs, with these.

    Best first: a graph chosen in part costs at least its Applies and, for each class that it still
    needs, the cheapest one. Nothing is built before it is asked for.

    Parameters
    ----------
    most
        Graphs that cost more are left out.

    >>> import aesara.tensor as at
    >>> from aeframe.core.graph import Graph
    >>> from aeframe.rewrites import Equality, Var, saturate, term
    >>> a, b, c = Var("a"), Var("b"), Var("c")
    >>> plus = term(at.add)
    >>> rule = Equality("doctest models", plus(plus(a, b), c), plus(a, plus(b, c)))
    >>> x, y, z = at.dvectors("x", "y", "z")
    >>> found = saturate(Graph((x, y, z), ((x + y) + z,)), [rule])
    >>> problem = Problem.of(found.egraph, found.results, lambda node: 1.0, ())
    >>> [cost for cost, _ in models(problem)]
    [2.0, 2.0]
    """
    least = {
        v: min((problem.costs[m] for m in nodes), default=0.0)
        for v, nodes in problem.makers.items()
    }
    ties = count()
    start = _State({}, tuple(dict.fromkeys(problem.results)), 0.0)
    queue = [(sum(least[v] for v in start.pending), next(ties), start)]
    while queue:
        bound, _, state = heapq.heappop(queue)
        pending = [v for v in state.pending if problem.makers[v]]
        if not pending:
            if problem.order(state.chosen) is not None:
                yield bound, state.chosen
            continue
        variable = min(pending, key=lambda v: len(problem.makers[v]))
        for node in problem.makers[variable]:
            chosen = {**state.chosen, variable: node}
            rest = [v for v in pending if v is not variable]
            rest += [v for v in problem.inputs(node) if v not in chosen and v not in rest]
            paid = node in state.chosen.values()  # an Apply with several outputs
            cost = state.cost + (0.0 if paid else problem.costs[node])
            bound = cost + sum(least[v] for v in rest)
            if bound <= most:
                heapq.heappush(queue, (bound, next(ties), _State(chosen, tuple(rest), cost)))
