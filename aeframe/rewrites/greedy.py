"""Greedy extraction, from the leaves up."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import itemgetter

import numpy as np
from aesara.graph.basic import Apply, Variable

from aeframe.rewrites.extract import Choice, Extraction, Problem
from aeframe.rewrites.fixpoint import Fixpoint

Known = tuple[float, int]  # the price of a class, and the Applies that it needs as bits
Price = Callable[[Apply, int], float]
ROUNDS = 3
LESS = 1 - 1e-6  # what a price must fall to, for sums are rounded


class GreedyExtraction(Extraction):
    """Each class by itself takes what is cheapest with all that it needs; the best of a few prices.

    A class pays for all that it needs, each Apply once; or it shares the price of a part with
    those that may use it too, and then with those that do. The first sees no gain in what pays
    only if many use it, the second hopes for too many, the third learns from it.

    Parameters
    ----------
    seconds
        After these no other price is tried.
    """

    def __init__(self, seconds: float = 1.0) -> None:
        self.seconds = seconds

    def __call__(self, problem: Problem) -> dict[Variable, Apply]:
        """The Apply for each class."""
        until = time.perf_counter() + self.seconds
        walk = _Bottom(problem)
        found = [walk.run(walk.once)]
        for _ in range(ROUNDS):
            if time.perf_counter() > until:
                break
            users = walk.users if len(found) == 1 else _uses(problem, found[-1])
            found.append(walk.run(partial(walk.shared, users)))
        whole = [choice for choice in found if problem.order(choice) is not None]
        # prices of trees grow from part to whole, so that nothing can need itself
        return min(whole or [walk.run(walk.tree)], key=problem.cost)


def _uses(problem: Problem, choice: Choice) -> Mapping[Variable, int]:
    """How many of the chosen Applies take each class."""
    order = problem.order(choice)
    chosen = {choice[v] for v in order or choice if v in choice}
    return Counter(v for node in chosen for v in problem.inputs(node))


class _Bottom:
    """One walk after the other, each with its prices."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.bit = {node: i for i, node in enumerate(problem.costs)}
        self.costs = np.array([*problem.costs.values()])
        self.walk = Fixpoint(problem.makers, problem.inputs)
        self.inputs = self.walk.inputs
        self.users = Counter(v for inputs in self.inputs.values() for v in inputs)
        self.known: dict[Variable, Known] = {}

    def run(self, price: Price) -> dict[Variable, Apply]:
        """The choice by ``price``, which gets an Apply and the bits of all that it needs."""
        makers, known = self.problem.makers, self.known
        known.clear()
        known.update((v, (0.0, 0)) for v, nodes in makers.items() if not nodes)
        best: dict[Variable, Apply] = {}

        def visit(variable: Variable) -> bool:
            nodes = makers[variable]
            offers = [o for n in nodes if (o := self.offer(variable, nodes, n, price))]
            if not offers:
                return False  # a leaf, or an input is not known yet
            least, used, node = min(offers, key=itemgetter(0))
            if variable in known and least >= LESS * known[variable][0]:
                return False
            known[variable], best[variable] = (least, used), node
            return True

        self.walk.run(visit)
        return best

    def offer(
        self, variable: Variable, makers: Sequence[Apply], node: Apply, price: Price
    ) -> tuple[float, int, Apply] | None:
        """What ``variable`` costs if ``node`` makes it; nothing may need what makes itself."""
        used = 0
        for v in self.inputs[node]:
            if v not in self.known or v is variable:
                return None
            used |= self.known[v][1]
        if any(used >> self.bit[m] & 1 for m in makers):
            return None
        used |= 1 << self.bit[node]
        return price(node, used), used, node

    def once(self, node: Apply, used: int) -> float:
        """All Applies that are needed, each once."""
        if len(self.inputs[node]) == 1:
            return self.known[self.inputs[node][0]][0] + self.problem.costs[node]
        packed = np.frombuffer(used.to_bytes(len(self.bit) // 8 + 1, "little"), np.uint8)
        chosen = np.unpackbits(packed, count=len(self.bit), bitorder="little")
        return float(self.costs @ chosen)

    def shared(self, users: Mapping[Variable, int], node: Apply, used: int) -> float:
        """The Apply, and a share of each input."""
        parts = (self.known[v][0] / max(users.get(v, 1), 1) for v in self.inputs[node])
        return self.problem.costs[node] + sum(parts)

    def tree(self, node: Apply, used: int) -> float:
        """The Apply, and each input in full."""
        return self.problem.costs[node] + sum(self.known[v][0] for v in self.inputs[node])
