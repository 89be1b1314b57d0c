"""Search over kernels: the moves of the grammar are alternatives, the score is the BIC."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from aesara.graph.basic import Variable

from aeframe.backends import Backend, as_backend
from aeframe.core import Graph, Parameter, cells
from aeframe.core.errors import AeframeError, ArgumentError, FitError
from aeframe.core.progress import progress_bar
from aeframe.gp.fit import FitResult, FitStep, Objective, best_of, bic, draw
from aeframe.gp.kernel import Kernel, Product, Sum, leaf_kernels, to_kernel
from aeframe.gp.kernels import SE, Linear, Periodic
from aeframe.gp.model import GP
from aeframe.gp.ops import KernelOp, ProductKernelOp, SumKernelOp
from aeframe.gp.rules import NORMAL_FORM
from aeframe.gp.starts import Scales
from aeframe.rewrites import Alternative, Greedy, New, Prop, Rest, alternatives, term


@dataclass(frozen=True)
class Candidate:
    """A GP with a kernel that was tried, the leaves that its move added, and its fit."""

    gp: GP
    move: str
    added: tuple[Kernel, ...]
    cost: float = np.inf
    bic: float = np.inf
    parameters: int = 0


@dataclass(frozen=True)
class KernelSearch:
    """Greedy search: S → S + B and S → S × B on every sub-expression, the best BIC goes on.

    Children inherit the parameters of the kernel that they grow from; the parameters of the new
    leaf start from several draws from the scales of the data. Kernels of equal normal form are
    tried once. The search ends at ``depth`` or when no move lowers the BIC.

    Parameters
    ----------
    bases
        Kernel classes; the search begins with one of them.
    depth
        The number of moves, that to the first base included.
    draws, restarts
        Starts of each new kernel that are looked at, and those that are followed.
    steps
        Iterations of L-BFGS at most for each start. The best of each depth gets five times more.
    seed
        Of the draws.
    progress
        Whether a bar shows the best kernel so far, where there is a terminal.
    """

    bases: tuple[type[Kernel], ...] = (SE, Periodic, Linear)
    depth: int = 5
    draws: int = 12
    restarts: int = 2
    steps: int = 30
    seed: int = 0
    progress: bool = True

    def __post_init__(self) -> None:
        if not self.bases or not all(isinstance(b, type) and b.hypers for b in self.bases):
            raise ArgumentError(
                "the bases of a search are kernel classes",
                expected="KernelSearch(bases=(SE, Linear))",
                got=str(self.bases),
            )
        if not isinstance(self.depth, int) or self.depth < 1:
            raise ArgumentError("the depth of a search is a positive integer", got=self.depth)

    def run(self, gp: GP, backend: str | Backend | None = None) -> FitResult:
        """Search on the data of ``gp``, which ends with the best kernel found."""
        began = time.perf_counter()
        race = _Race(self, gp, as_backend(backend))
        best: Candidate | None = None
        history: list[FitStep] = []
        with progress_bar(None, "kernel search", "kernel", self.progress) as bar:
            for _ in range(self.depth):
                found, tried, failed = race.level(race.children(best), bar, best)
                if found is None:
                    break
                if best is None or found.bic < best.bic:
                    found = race.fit(found, 1, 5 * self.steps)
                    history.append(_step(found, tried, failed))
                    best = found
                    # at once: who interrupts the search keeps the best kernel so far
                    gp.kernel, gp.noise, gp.mean = best.gp.kernel, best.gp.noise, best.gp.mean
                else:
                    history.append(replace(_step(found, tried, failed), move="none is better"))
                    break
        if best is None:
            raise FitError("no kernel could be fitted", fix="check the scale of the data")
        return FitResult(
            kernel=str(gp.kernel),
            log_marginal_likelihood=-best.cost,
            bic=best.bic,
            parameters=best.parameters,
            evaluations=race.evaluations,
            seconds=time.perf_counter() - began,
            steps=tuple(history),
        )


def _step(found: Candidate, tried: int, failed: int) -> FitStep:
    return FitStep(found.move, str(found.gp.kernel), -found.cost, found.bic, tried, failed)


class _Race:
    """One search: what was seen, and what it has cost so far."""

    def __init__(self, search: KernelSearch, gp: GP, backend: Backend) -> None:
        self.search, self.gp, self.backend = search, gp, backend
        self.rng = np.random.default_rng(search.seed)
        self.scales = Scales.of(gp.data["x"].value, gp.data["y"].value)
        self.seen: set[str] = set()
        self.evaluations = 0

    def children(self, parent: Candidate | None) -> list[Candidate]:
        """The kernels one move away that were not seen before."""
        if parent is None:
            bases = [base() for base in self.search.bases]
            made = [
                Candidate(self._gp(k, self.gp), f"→ {k}", tuple(leaf_kernels(k))) for k in bases
            ]
            draw([c.gp.noise for c in made], self.scales, self.rng)
        else:
            made = list(self._moved(parent.gp))
        fresh = []
        for candidate in made:
            key = normal_key(candidate.gp.kernel)
            if key not in self.seen:
                self.seen.add(key)
                fresh.append(candidate)
        return fresh

    def _moved(self, parent: GP) -> Iterator[Candidate]:
        start = Graph((), (parent.kernel.expression(),))
        inherited = set(cells(start.outputs))
        rules = [rule for base in self.search.bases for rule in moves(base)]
        for rule, _, graph in alternatives(start, rules):
            (variable,) = Greedy(NORMAL_FORM)(graph)[0].outputs
            copies: dict[Variable, Variable] = {c: _copy(c) for c in cells([variable])}
            kernel = to_kernel(variable, copies)
            new = {copies[c] for c in copies if c not in inherited}
            added = [k for k in leaf_kernels(kernel) if new.intersection(vars(k).values())]
            yield Candidate(self._gp(kernel, parent), rule.name, tuple(added))

    @staticmethod
    def _gp(kernel: Kernel, like: GP) -> GP:
        noise, mean = _copy(like.noise.variance), like.mean
        made = GP(kernel, noise, _copy(mean) if isinstance(mean, Parameter) else mean)
        made.data = like.data
        return made

    def level(
        self, candidates: list[Candidate], bar: Any, best: Candidate | None
    ) -> tuple[Candidate | None, int, int]:
        """Fit each; the best, how many there were, and how many could not be fitted."""
        found: Candidate | None = None
        failed = 0
        bar.total = bar.n + len(candidates)
        for candidate in candidates:
            try:
                fitted = self.fit(candidate, self.search.restarts, self.search.steps)
            except (AeframeError, ArithmeticError, np.linalg.LinAlgError):
                failed += 1
                continue
            finally:
                bar.update()
            if found is None or fitted.bic < found.bic:
                found = fitted
            shown = found if best is None or found.bic < best.bic else best
            bar.set_postfix_str(f"{shown.gp.kernel}, BIC {shown.bic:.1f}")
        return found, len(candidates), failed

    def fit(self, candidate: Candidate, restarts: int, steps: int) -> Candidate:
        """The candidate with its parameters learned, the new ones from several draws."""
        gp = candidate.gp
        objective = Objective(gp, self.backend)
        starts = [objective.position()]
        if candidate.cost == np.inf:
            for _ in range(self.search.draws):
                draw(candidate.added, self.scales, self.rng)
                starts.append(objective.position())
        cost, position = best_of(objective, starts, restarts, steps)
        objective.move(position)
        self.evaluations += objective.evaluations
        score = bic(cost, objective.size, len(gp.data["y"].value))
        return Candidate(gp, candidate.move, candidate.added, cost, score, objective.size)


def moves(base: type[Kernel]) -> tuple[Alternative, Alternative]:
    """S → S + B and S → S × B; a new factor has no scale of its own, for S has one."""
    parts = Rest("parts")
    any_kernel = term(KernelOp, bind=Prop("op"))(parts)
    same = term(Prop("op"))(parts)
    frozen = ("variance",) if "variance" in base.hypers else ()
    return (
        Alternative(f"S → S + {base.__name__}", any_kernel, term(SumKernelOp)(same, New(base))),
        Alternative(
            f"S → S × {base.__name__}", any_kernel, term(ProductKernelOp)(same, New(base, frozen))
        ),
    )


def normal_key(kernel: Kernel) -> str:
    """Text that is equal for kernels equal up to the order of sums and products.

    >>> normal_key(SE() * Linear() + SE()) == normal_key(SE() + Linear() * SE())
    True
    """
    if not isinstance(kernel, Sum | Product):
        return str(kernel)
    joint = " + " if isinstance(kernel, Sum) else " * "
    return "(" + joint.join(sorted(map(normal_key, kernel.parts))) + ")"


def _copy(cell: Variable) -> Variable:
    if not isinstance(cell, Parameter):
        return cell
    made = Parameter(cell.value, dtype=cell.type.dtype, support=cell.support)
    made.trainable = cell.trainable
    return made
