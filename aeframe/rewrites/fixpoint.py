"""What is known of classes by what is known of their inputs, where these may go in a circle."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from math import inf

from aesara.graph.basic import Apply, Variable

Makers = Mapping[Variable, Sequence[Apply]]
Inputs = Callable[[Apply], Sequence[Variable]]


class Fixpoint:
    """Visits classes inputs first, and again where inputs changed, until nothing changes.

    Without circles each class is visited once, however deep the graph is.

    Attributes
    ----------
    inputs
        Apply → the classes that it takes.

    >>> import aesara.tensor as at
    >>> a = at.dvector("a")
    >>> b = at.exp(a)
    >>> seen = []
    >>> Fixpoint({b: [b.owner], a: []}, lambda node: node.inputs).run(seen.append)
    >>> seen == [a, b]
    True
    """

    def __init__(self, makers: Makers, inputs: Inputs) -> None:
        self.inputs = {n: inputs(n) for nodes in makers.values() for n in nodes}
        self.below = {
            v: dict.fromkeys(d for n in nodes for d in self.inputs[n])
            for v, nodes in makers.items()
        }
        self.order = self._inputs_first()
        self.place = {v: i for i, v in enumerate(self.order)}
        self.above: dict[Variable, list[int]] = {v: [] for v in self.order}
        for variable, below in self.below.items():
            for v in below:
                self.above[v].append(self.place[variable])

    def _inputs_first(self) -> list[Variable]:
        order: dict[Variable, None] = {}
        opened: set[Variable] = set()
        todo = list(self.below)
        while todo:
            variable = todo[-1]
            waiting = (
                [] if variable in opened else [v for v in self.below[variable] if v not in order]
            )
            opened.add(variable)
            if waiting:
                todo += waiting
            else:
                order.setdefault(todo.pop())
        return list(order)

    def run(self, visit: Callable[[Variable], object], until: float = inf) -> None:
        """Visit all classes; ``visit`` says whether what is known of one has changed.

        Raises
        ------
        TimeoutError
            When ``time.perf_counter()`` says ``until``.
        """
        todo = list(range(len(self.order)))
        heapify(todo)
        waiting = set(todo)
        while todo:
            place = heappop(todo)
            waiting.discard(place)
            if time.perf_counter() > until:
                raise TimeoutError
            if visit(self.order[place]):
                for other in self.above[self.order[place]]:
                    if other not in waiting:
                        waiting.add(other)
                        heappush(todo, other)
