"""Climb: the highest point of a density on the unconstrained scale, from several starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from aeframe.backends import Program, to_numpy
from aeframe.core.errors import ArgumentError, FitError
from aeframe.core.structure import Structure
from aeframe.core.summary import plain_table, render
from aeframe.infer.diagnosis import Check
from aeframe.prob.unconstrain import Block, Unconstrained, Vector


@dataclass(frozen=True)
class Start(Structure):
    """How one start ended: log density, steps, largest gradient entry, and in SciPy's words."""

    log_prob: float
    steps: int
    gradient: float
    converged: bool
    message: str


@dataclass(frozen=True)
class Climb:
    """L-BFGS-B with exact gradients.

    Attributes
    ----------
    restarts
        Number of starts. Sites start uniformly within ±2 on the unconstrained scale. The first
        start takes parameters as they are; the others draw them anew where they have an
        initializer, and move them by standard normal noise where not.
    seed
        Decides the starts.
    steps
        Steps after which a start ends.
    """

    restarts: int = 4
    seed: int = 0
    steps: int = 2000

    def __post_init__(self) -> None:
        if self.restarts < 1 or self.steps < 1:
            raise ArgumentError("a climb needs at least one start and one step", got=str(self))

    def __call__(
        self, program: Program, density: Unconstrained, path: str
    ) -> tuple[Vector, tuple[Start, ...]]:
        """The best end, and how each start went.

        Raises
        ------
        FitError
            When no start reached a finite log density.
        """
        found = [self._one(program, density, k) for k in range(self.restarts)]
        best, u = max(found, key=lambda f: f[0].log_prob)
        if not np.isfinite(best.log_prob):
            raise FitError(
                "no start reached a finite log joint",
                path=path,
                got=f"{self.restarts} starts, all at {best.log_prob}",
                fix="check that the observations are possible under the model; "
                "a scale that can reach 0 needs a prior",
            )
        return u, tuple(start for start, _ in found)

    def _one(self, program: Program, density: Unconstrained, k: int) -> tuple[Start, Vector]:
        """The ``k``-th start."""
        rng = np.random.default_rng([self.seed, k])
        first = np.concatenate([_first(block, rng, k) for block in density.space.blocks])

        def objective(u: Vector) -> tuple[float, Vector]:
            log_prob, slope = (to_numpy(v) for v in program(u, *density.arrays))
            # a step out of the domain: worse than anything, so that the line search turns back
            finite = np.isfinite(log_prob)
            return (-float(log_prob), -slope) if finite else (1e300, np.zeros_like(u))

        options = {"maxiter": self.steps, "maxfun": 20 * self.steps, "maxcor": 20}
        done = minimize(
            objective,
            first,
            jac=True,
            method="L-BFGS-B",
            options={**options, "ftol": 1e-14, "gtol": 1e-8},
        )
        log_prob = -float(done.fun) if done.fun < 1e300 else -np.inf
        slope = float(np.max(np.abs(done.jac), initial=0.0))
        # no progress is no convergence: on the way to a density without bound the slope stays
        flat = slope <= 1e-4 * max(1.0, abs(log_prob))
        start = Start(log_prob, int(done.nit), slope, bool(done.success and flat), done.message)
        return start, done.x


def convergence(starts: Sequence[Start]) -> Check:
    """Whether the best start converged."""
    best = max(starts, key=lambda s: s.log_prob)
    words = "the search converged" if best.converged else "The search did not converge"
    fix = "See `report()`; raise `steps` or `restarts`, or give priors that hold it."
    return Check("convergence", best.gradient, best.converged, words, fix)


def report(starts: Sequence[Start]) -> str:
    """A table of the starts: where each ended, and whether it converged."""
    table = plain_table("starts", "log density", "steps", "gradient", "converged", "message")
    for s in starts:
        converged = "yes" if s.converged else "no"
        table.add_row(f"{s.log_prob:.6g}", str(s.steps), f"{s.gradient:.1e}", converged, s.message)
    return render(table)


def _first(block: Block, rng: np.random.Generator, k: int) -> Vector:
    """Where the ``k``-th start of a site or a parameter lies."""
    cell, size = block.parameter, block.stop - block.start
    if cell is None:
        return rng.uniform(-2.0, 2.0, size)
    if k > 0 and cell.init is not None:
        return np.ravel(block.support.inverse(cell.init(rng, block.shape)))
    noise = rng.standard_normal(size) if k > 0 else 0.0
    return np.ravel(block.support.inverse(np.asarray(cell.value, dtype="float64"))) + noise
