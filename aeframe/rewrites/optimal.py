"""Optimal extraction, by integer programming."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping

import numpy as np
from aesara.graph.basic import Apply, Variable
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from aeframe.rewrites.extract import Choice, Extraction, Problem
from aeframe.rewrites.greedy import GreedyExtraction
from aeframe.rewrites.split import Part, parts


class OptimalExtraction(Extraction):
    """The cheapest graph, by integer programming (HiGHS); the greedy one where time runs out.

    For each part by itself: minimize Σ cost x  subject to  Σ_{n makes c} x_n ≥ y_c,  x_n ≤ y_d
    for each input d of n, y = 1 for what every graph needs; and for each circle c₁ → … → cₖ → c₁
    of a solution  Σᵢ Σ_{n makes cᵢ of cᵢ₊₁} x_n ≤ k − 1, until none goes round in one.

    Parameters
    ----------
    seconds
        For all of it.
    gap
        How far from the optimum a solution may be, as a share of its cost.
    """

    def __init__(self, seconds: float = 2.5, gap: float = 1e-4) -> None:
        self.seconds, self.gap = seconds, gap

    def __call__(self, problem: Problem) -> dict[Variable, Apply]:
        """The Apply for each class."""
        until = time.perf_counter() + self.seconds
        start = GreedyExtraction(self.seconds / 2)(problem)
        found = dict(start)
        try:
            todo = sorted(parts(problem, until), key=lambda part: len(part.makers))
        except TimeoutError:
            return start
        for part in todo:
            if time.perf_counter() > until:
                break
            program = _Program(problem, part)
            made = program.solve(start, until, self.gap)
            if made and program.cost(made) < program.cost(start):
                found |= made
        return start if problem.order(found) is None else found


class _Program:
    """The program of a :class:`Part`: columns x of Applies, then y of classes."""

    def __init__(self, problem: Problem, part: Part) -> None:
        self.problem, self.makers = problem, part.makers
        self.nodes = list(dict.fromkeys(n for nodes in part.makers.values() for n in nodes))
        self.classes = [v for v, nodes in part.makers.items() if nodes]
        self.x = {node: i for i, node in enumerate(self.nodes)}
        self.y = {v: len(self.nodes) + i for i, v in enumerate(self.classes)}
        self.least = np.zeros(len(self.nodes) + len(self.classes))
        self.least[[self.y[v] for v in part.needed if v in self.y]] = 1.0
        self.most = np.ones(self.least.size)
        self.rows: list[Mapping[int, float]] = []  # Σ coefficient · variable ≥ bound
        self.bounds: list[float] = []
        for v in self.classes:
            self.at_least({**{self.x[m]: 1.0 for m in part.makers[v]}, self.y[v]: -1.0}, 0.0)
        for node in self.nodes:
            for v in problem.inputs(node):
                if v in self.y:
                    self.at_least({self.y[v]: 1.0, self.x[node]: -1.0}, 0.0)

    def at_least(self, row: Mapping[int, float], bound: float) -> None:
        self.rows.append(row)
        self.bounds.append(bound)

    def solve(self, start: Choice, until: float, gap: float) -> dict[Variable, Apply] | None:
        """The cheapest choice; ``None`` if the clock says ``until`` before there is one.

        From half of the time on what went round in a circle is given up, but for ``start``.
        """
        exact = (time.perf_counter() + until) / 2
        while (left := until - time.perf_counter()) > 0:
            x = self.solution(left, gap)
            if x is None:
                return None
            choice = self.choice(x)
            circle = self.circle(choice)
            if not circle:
                return choice
            self.forbid(circle)
            if time.perf_counter() > exact:
                self.most[[self.x[choice[v]] for v in circle if choice[v] is not start[v]]] = 0.0
        return None

    def solution(self, seconds: float, gap: float) -> NDArray[np.float64] | None:
        n = len(self.nodes)
        cost, whole = np.zeros(self.least.size), np.zeros(self.least.size)
        cost[:n] = [self.problem.costs[node] for node in self.nodes]
        whole[:n] = 1
        return milp(
            cost / (cost.max() or 1.0),
            integrality=whole,
            bounds=Bounds(self.least, self.most),
            constraints=self.constraints(),
            options={"time_limit": seconds, "mip_rel_gap": gap},
        ).x

    def constraints(self) -> LinearConstraint:
        entries = [(i, j, c) for i, row in enumerate(self.rows) for j, c in row.items()]
        i, j, c = zip(*entries, strict=True)
        places = np.array([i, j], np.int32)  # HiGHS takes no others
        matrix = csr_array((c, places), shape=(len(self.rows), self.least.size))
        return LinearConstraint(matrix, np.array(self.bounds), np.inf)

    def choice(self, x: NDArray[np.float64]) -> dict[Variable, Apply]:
        return {v: max(self.makers[v], key=lambda m: x[self.x[m]]) for v in self.classes}

    def cost(self, choice: Choice) -> float:
        """Seconds of the Applies that what is needed takes of ``choice``."""
        todo = [v for v in self.classes if self.least[self.y[v]]]
        seen = set(todo)
        for v in todo:
            below = [d for d in self.problem.inputs(choice[v]) if d in self.y and d not in seen]
            todo += below
            seen.update(below)
        return sum(self.problem.costs[node] for node in {choice[v] for v in todo})

    def circle(self, choice: Choice) -> list[Variable]:
        """Classes of which each needs the next one, and the last the first; none if there are."""
        path: dict[Variable, None] = {}
        done: set[Variable] = set()
        todo = [v for v in self.classes if self.least[self.y[v]]]
        while todo:
            variable = todo[-1]
            if variable in path or variable in done:
                path.pop(variable, None)
                done.add(todo.pop())
                continue
            path[variable] = None
            below = [v for v in self.problem.inputs(choice[variable]) if v in self.y]
            for v in below:
                if v in path:
                    walked = list(path)
                    return walked[walked.index(v) :]
            todo += below
        return []

    def forbid(self, circle: list[Variable]) -> None:
        row = Counter[int]()
        for v, below in zip(circle, [*circle[1:], circle[0]], strict=True):
            row.update(self.x[n] for n in self.makers[v] if below in self.problem.inputs(n))
        self.at_least({x: -float(k) for x, k in row.items()}, 1.0 - len(circle))
