"""Which classes every graph needs, and the parts into which extraction falls because of them.

A class that every graph makes is paid for in any case: who else uses it has no say in how it is
made. So the choices on its two sides are independent, and each part is solved by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from math import inf
from operator import and_, or_

import numpy as np
from aesara.graph.basic import Apply, Variable
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from aeframe.rewrites.extract import Problem
from aeframe.rewrites.fixpoint import Fixpoint, Inputs, Makers


@dataclass(frozen=True)
class Part:
    """Classes whose choices depend on each other, and on no others.

    Attributes
    ----------
    makers
        Class → the Applies that can make it, without those that need what they make.
    needed
        The classes among them that every graph makes.
    """

    makers: Makers
    needed: Collection[Variable]


def parts(problem: Problem, until: float = inf) -> list[Part]:
    """The parts of a problem that leave a choice.

    Raises
    ------
    TimeoutError
        When ``time.perf_counter()`` says ``until`` before they are known.

    >>> import aesara.tensor as at
    >>> from aeframe.rewrites.egraph import EGraph
    >>> egraph = EGraph()
    >>> parts(Problem.of(egraph, egraph.add([at.exp(at.dvector())]), lambda node: 1.0))
    []
    """
    needs = Needs(problem.makers, problem.inputs, until)
    makers = reached(problem, needs)
    needed = needs.of(problem.results)
    index = {v: i for i, v in enumerate(makers)}
    edges = [(v, d) for v, nodes in makers.items() for n in nodes for d in problem.inputs(n)]
    circle = _components(index, edges, directed=True)
    joined = [(v, d) for v, d in edges if d not in needed or circle[index[v]] == circle[index[d]]]
    one = {node: v for v, nodes in makers.items() for node in nodes}
    joined += [(v, one[node]) for v, nodes in makers.items() for node in nodes]
    found: dict[int, dict[Variable, Sequence[Apply]]] = {}
    for v, label in zip(makers, _components(index, joined), strict=True):
        found.setdefault(label, {})[v] = makers[v]
    several = [part for part in found.values() if any(len(nodes) > 1 for nodes in part.values())]
    return [Part(part, needed.intersection(part)) for part in several]


class Needs:
    """For each class the classes that every graph of it makes, itself among them.

    needs(c) = {c} ∪ ⋂ over n that make c of ⋃ over the inputs d of n of needs(d)

    Raises :class:`TimeoutError` when ``time.perf_counter()`` says ``until``.
    """

    def __init__(self, makers: Makers, inputs: Inputs, until: float = inf) -> None:
        self.bit = {v: 1 << i for i, v in enumerate(makers)}
        self.known: dict[Variable, int] = {}  # as bits; what nothing can make is missing
        walk = Fixpoint(makers, inputs)

        def visit(variable: Variable) -> bool:
            below = [walk.inputs[n] for n in makers[variable]]
            ways = [self.union(classes) for classes in below if self.possible(classes)]
            if below and not ways:
                return False
            found = reduce(and_, ways or [0]) | self.bit[variable]
            changed = self.known.get(variable) != found
            self.known[variable] = found
            return changed

        walk.run(visit, until)

    def union(self, classes: Iterable[Variable]) -> int:
        """What one of ``classes`` needs, as bits."""
        return reduce(or_, (self.known[v] for v in classes), 0)

    def possible(self, classes: Iterable[Variable]) -> bool:
        """Whether all of ``classes`` can be made."""
        return all(v in self.known for v in classes)

    def of(self, classes: Iterable[Variable]) -> set[Variable]:
        """What one of ``classes`` needs."""
        bits = self.union(classes)
        return {v for v, bit in self.bit.items() if bits & bit}

    def __call__(self, a: Variable, b: Variable) -> bool:
        """Whether ``a`` needs ``b``."""
        return bool(self.known.get(a, 0) & self.bit[b])


def reached(problem: Problem, needs: Needs) -> dict[Variable, Sequence[Apply]]:
    """What results may need, without the Applies that need what they make."""
    makers: dict[Variable, Sequence[Apply]] = {}
    todo = list(problem.results)
    while todo:
        variable = todo.pop()
        if variable in makers:
            continue
        below = {node: problem.inputs(node) for node in problem.makers[variable]}
        makers[variable] = [
            node
            for node, inputs in below.items()
            if needs.possible(inputs) and not any(needs(v, variable) for v in inputs)
        ]
        todo.extend(v for node in makers[variable] for v in below[node])
    return makers


def _components(
    index: Mapping[Variable, int],
    edges: Sequence[tuple[Variable, Variable]],
    directed: bool = False,
) -> NDArray[np.int32]:
    """The number of the component of each class."""
    places = np.array([(index[a], index[b]) for a, b in edges], np.int32).reshape(-1, 2).T
    matrix = csr_array((np.ones(places.shape[1]), tuple(places)), shape=(len(index),) * 2)
    kind = "strong" if directed else "weak"
    return connected_components(matrix, directed=True, connection=kind)[1]
