"""Enumeration: every graph in an e-graph, the cheapest first, one at a time."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from math import inf, isfinite

from aesara.graph.basic import Apply, Variable

from aeframe.rewrites.extract import Choice, Problem
from aeframe.rewrites.fixpoint import Fixpoint
from aeframe.rewrites.split import Needs, reached

ROUNDED = 1 + 1e-9  # what two sums of the same seconds may differ by


def models(
    problem: Problem, most: float = float("inf")
) -> Iterator[tuple[float, dict[Variable, Apply]]]:
    """The distinct graphs of ``problem`` in the order of their costs, with these.

    Best first (Hart et al. 1968, A*): the graph chosen in part goes on that can become the
    cheapest. Nothing is built before it is asked for.

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
    search = _Search(problem)
    later = count(0, -1)  # of equally good ones the one that has got further
    queue = [(0.0, next(later), state) for state in search.start()]
    while queue:
        _, _, state = heapq.heappop(queue)
        chosen = state.choice()
        if search.circular(state, chosen):
            continue
        if not state.pending:
            yield state.cost, chosen
            continue
        variable = min(state.pending, key=lambda v: len(search.makers[v]))
        for node in reversed(search.makers[variable]):
            made = search.step(state, chosen, variable, node)
            if isfinite(made.least) and made.least <= most * ROUNDED:
                heapq.heappush(queue, (made.least, next(later), made))


@dataclass(frozen=True, eq=False)
class _State:
    """A graph chosen in part: the last choice, those before it, and what still has to be chosen.

    ``tree`` and ``needed`` are bounds on all graphs that go on from here, and ``needs`` the
    classes that each of these makes, as bits; see :class:`_Search`.
    """

    last: tuple[Variable, Apply] | None
    before: _State | None
    pending: tuple[Variable, ...]
    cost: float
    tree: float
    needed: float
    needs: int

    @property
    def least(self) -> float:
        """What no graph that goes on from here costs less than; of a whole one its cost."""
        bound = max(self.tree, self.needed)
        return bound if self.pending or self.cost <= bound * ROUNDED else self.cost

    def choice(self) -> dict[Variable, Apply]:
        """All that was chosen."""
        chosen: dict[Variable, Apply] = {}
        state = self
        while state.last is not None and state.before is not None:
            chosen[state.last[0]] = state.last[1]
            state = state.before
        return chosen


class _Search:
    """Two bounds that no graph costs less than, the better of which counts.

    The tree bound lets each of the U(d) that may use a class d pay its part of it,
    h(c) = min over n that make c of cost(n) + Σ h(d) / U(d), and is exact where all of them do,
    as in trees and chains. A choice adds to it cost(n) + Σ h(d) / U(d) − h(c), never less than 0.
    The other bound adds up the cheapest Apply of each class that every graph needs.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.needs = Needs(problem.makers, problem.inputs)
        self.makers = reached(problem, self.needs)
        self.inputs = {n: problem.inputs(n) for nodes in self.makers.values() for n in nodes}
        outputs = Counter(n for nodes in self.makers.values() for n in nodes)
        self.part = {n: problem.costs[n] / outputs[n] for n in outputs}
        self.users = Counter(dict.fromkeys(problem.results, 1))
        for nodes in self.makers.values():
            self.users.update({v for n in nodes for v in self.inputs[n]})
        self.price = self.prices()
        self.least = [
            min((self.part[n] for n in self.makers.get(v, ())), default=0.0) for v in self.needs.bit
        ]

    def prices(self) -> Mapping[Variable, float]:
        """h: the price of each class."""
        price = {v: inf if nodes else 0.0 for v, nodes in self.makers.items()}

        def visit(variable: Variable) -> bool:
            found = min((self.offer(n, price) for n in self.makers[variable]), default=inf)
            cheaper = found < price[variable]
            price[variable] = min(found, price[variable])
            return cheaper

        Fixpoint(self.makers, self.problem.inputs).run(visit)
        return price

    def offer(self, node: Apply, price: Mapping[Variable, float]) -> float:
        return self.part[node] + sum(price[v] / self.users[v] for v in self.inputs[node])

    def start(self) -> Iterator[_State]:
        """The state in which nothing is chosen, if results can be made."""
        results = tuple(dict.fromkeys(self.problem.results))
        if self.needs.possible(results):
            tree = sum(self.price[v] / self.users[v] for v in results)
            needs = self.needs.union(results)
            pending = tuple(v for v in results if self.makers[v])
            yield _State(None, None, pending, 0.0, tree, self.cheapest(needs), needs)

    def step(self, state: _State, chosen: Choice, variable: Variable, node: Apply) -> _State:
        """``state`` with ``node`` for ``variable``."""
        made = [self.problem.egraph.find(o) for o in node.outputs]
        paid = len(made) > 1 and any(chosen.get(v) is node for v in made)
        rest = [v for v in state.pending if v is not variable]
        new = [v for v in self.inputs[node] if self.makers[v] and v not in chosen]
        pending = dict.fromkeys([*rest, *new])
        needs = state.needs | self.needs.union(self.inputs[node])
        more = self.part[node] - self.least[self.needs.bit[variable].bit_length() - 1]
        return _State(
            (variable, node),
            state,
            tuple(pending),
            state.cost + (0.0 if paid else self.problem.costs[node]),
            state.tree + (self.offer(node, self.price) - self.price[variable]),
            state.needed + more + self.cheapest(needs & ~state.needs),
            needs,
        )

    def cheapest(self, needs: int) -> float:
        """The cheapest Apply of each of these classes."""
        total = 0.0
        while needs:
            total += self.least[(needs & -needs).bit_length() - 1]
            needs &= needs - 1
        return total

    def circular(self, state: _State, chosen: Choice) -> bool:
        """Whether the last choice needs what it makes."""
        if state.last is None:
            return False
        variable, node = state.last
        todo = list(self.inputs[node])
        seen = set(todo)
        for v in todo:
            below = [d for d in self.inputs[chosen[v]] if d not in seen] if v in chosen else []
            todo += below
            seen.update(below)
        return variable in seen
