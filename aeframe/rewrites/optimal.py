"""Optimal extraction, by integer programming."""

from __future__ import annotations

import numpy as np
from aesara.graph.basic import Apply, Variable
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from aeframe.rewrites.extract import Extraction, Problem
from aeframe.rewrites.greedy import GreedyExtraction


class OptimalExtraction(Extraction):
    """The cheapest graph, by integer programming (HiGHS); the greedy one where time runs out.

    minimize Σ cost x  subject to  Σ_{n makes c} x_n ≥ y_c,  x_n ≤ y_c for each input c of n,
    y_result = 1; and, so that nothing needs itself, t_c ≥ t_d + 1 − M (1 − x_n) for an Apply n
    that makes c of d, where c and d may be in a circle.

    Parameters
    ----------
    seconds
        For the solver.
    gap
        How far from the optimum a solution may be, as a share of its cost.
    """

    def __init__(self, seconds: float = 2.0, gap: float = 1e-4) -> None:
        self.seconds, self.gap = seconds, gap

    def __call__(self, problem: Problem) -> dict[Variable, Apply]:
        """The Apply for each class."""
        start = GreedyExtraction()(problem)
        if all(len(nodes) < 2 for nodes in problem.makers.values()):
            return start  # there is no choice
        found = _Program(problem).solve(self.seconds, self.gap)
        if found is None or problem.order(found) is None:
            return start
        return found if problem.cost(found) <= problem.cost(start) else start


class _Program:
    """The program of a :class:`Problem`: columns x of Applies, then y, then t of classes."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.nodes = list(problem.costs)
        self.classes = [v for v, nodes in problem.makers.items() if nodes]
        self.x = {node: i for i, node in enumerate(self.nodes)}
        self.y = {v: len(self.nodes) + i for i, v in enumerate(self.classes)}
        self.size = len(self.nodes) + 2 * len(self.classes)
        self.rows: list[dict[int, float]] = []  # Σ coefficient · variable ≥ bound
        self.bounds: list[float] = []
        for v in self.classes:
            self.at_least({**{self.x[m]: 1.0 for m in problem.makers[v]}, self.y[v]: -1.0}, 0.0)
        for node in self.nodes:
            for v in problem.inputs(node):
                if v in self.y:
                    self.at_least({self.y[v]: 1.0, self.x[node]: -1.0}, 0.0)
        self.forbid_circles()

    def at_least(self, row: dict[int, float], bound: float) -> None:
        self.rows.append(row)
        self.bounds.append(bound)

    def forbid_circles(self) -> None:
        edges = [
            (self.y[v], self.y[below], node)
            for v in self.classes
            for node in self.problem.makers[v]
            for below in self.problem.inputs(node)
            if below in self.y
        ]
        if not edges:
            return
        above, below = np.array([e[:2] for e in edges], np.int32).T
        shape = (self.size, self.size)
        joined = csr_array((np.ones(len(edges)), (above, below)), shape=shape)
        _, circle = connected_components(joined, connection="strong")
        many = np.bincount(circle)
        n = len(self.classes)
        for c, d, node in edges:
            if circle[c] == circle[d]:
                most = float(many[circle[c]])
                self.at_least({c + n: 1.0, d + n: -1.0, self.x[node]: -most}, 1.0 - most)

    def solve(self, seconds: float, gap: float) -> dict[Variable, Apply] | None:
        cost, whole = np.zeros(self.size), np.zeros(self.size)
        cost[: len(self.nodes)] = [self.problem.costs[node] for node in self.nodes]
        whole[: len(self.nodes)] = 1
        lower, upper = np.zeros(self.size), np.ones(self.size)
        upper[len(self.nodes) + len(self.classes) :] = len(self.classes)
        for v in self.problem.results:
            if v in self.y:
                lower[self.y[v]] = 1.0
        solved = milp(
            cost / (cost.max() or 1.0),
            integrality=whole,
            bounds=Bounds(lower, upper),
            constraints=self.constraints(),
            options={"time_limit": seconds, "mip_rel_gap": gap},
        )
        return None if solved.x is None else self.choice(solved.x)

    def constraints(self) -> LinearConstraint:
        entries = [(i, j, c) for i, row in enumerate(self.rows) for j, c in row.items()]
        i, j, c = zip(*entries, strict=True)
        places = np.array([i, j], np.int32)  # HiGHS takes no others
        matrix = csr_array((c, places), shape=(len(self.rows), self.size))
        return LinearConstraint(matrix, np.array(self.bounds), np.inf)

    def choice(self, x: NDArray[np.float64]) -> dict[Variable, Apply]:
        makers = self.problem.makers
        return {v: max(makers[v], key=lambda m: x[self.x[m]]) for v in self.classes}
