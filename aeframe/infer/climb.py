"""Climb: the highest point of a density on the unconstrained scale, from several starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from aeframe.backends import Program, to_numpy
from aeframe.core.arguments import count
from aeframe.core.errors import FitError
from aeframe.core.structure import Structure
from aeframe.core.summary import plain_table, render
from aeframe.core.supports import Real
from aeframe.infer.diagnosis import EQUAL, Check
from aeframe.prob.unconstrain import Block, Unconstrained, Vector

# A step on the unconstrained scale that no mode inside of a support survives: exp(10), or from
# 1/2 to 1 - 5e-5; it may lose as much as L-BFGS leaves. Entries of a site that are tried.
STEP, SLACK, ENTRIES = 10.0, 1e-7, 100
# Starts that ended this far apart are in different places; a ridge that goes on so far has no end.
APART, FAR = 1e-3, 300.0


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
        for name, least in {"restarts": 1, "steps": 1, "seed": 0}.items():
            count(name, getattr(self, name), least)

    def __call__(
        self, program: Program, density: Unconstrained, path: str
    ) -> tuple[Vector, tuple[Start, ...], tuple[Check, ...]]:
        """The best end, how each start went, and what was checked of the end.

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
        starts = tuple(start for start, _ in found)
        return u, starts, (convergence(starts), *_flatness(program, density, found))

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


def _flatness(
    program: Program, density: Unconstrained, found: Sequence[tuple[Start, Vector]]
) -> Iterator[Check]:
    """Whether the mode lies inside of every support, and whether it is the only place so high."""
    best, u = max(found, key=lambda f: f[0].log_prob)

    def as_high(at: Vector, slack: float) -> bool:
        with np.errstate(all="ignore"):
            value = float(to_numpy(program(at, *density.arrays)[0]))
        return value >= best.log_prob - slack * max(1.0, abs(best.log_prob))

    blocks = density.space.blocks
    ends = [b.name for b in blocks if not isinstance(b.support, Real) and _at_end(u, b, as_high)]
    words = f"The mode lies at the boundary of the support of {', '.join(map(repr, ends))}"
    yield Check(
        "boundary",
        len(ends),
        not ends,
        words if ends else "the mode lies inside of every support",
        "A mode says little there: use NUTS, or a prior that is 0 at the boundary.",
    )
    apart = np.zeros(len(u))
    for start, other in found:
        away = other - u
        away[[i for b in blocks if b.name in ends for i in range(b.start, b.stop)]] = 0.0
        size = float(np.abs(away).max(initial=0.0))
        # any other start may have ended lower on a ridge; as far as there is one, it is straight
        steps = (0.5, FAR / size) if start.converged and size > APART else ()
        if steps and all(as_high(u + step * away, EQUAL) for step in steps):
            apart = np.maximum(apart, np.abs(away) / size)
    # parameters have no posterior: several may well mean the same
    free = [b for b in blocks if b.parameter is None]
    sites = [b.name for b in free if np.any(apart[b.start : b.stop] > APART)]
    words = f"The posterior is improper, without end along {', '.join(map(repr, sites))}"
    yield Check(
        "identified",
        len(sites),
        not sites,
        words if sites else "no start found another place as high, with a straight way to it",
        "Give these sites priors that can be normalized, or drop what the data cannot tell apart.",
    )


def _at_end(u: Vector, block: Block, as_high: Callable[[Vector, float], bool]) -> bool:
    """Whether an entry could go on towards an end of its support and lose nothing."""
    entries = np.arange(block.start, block.stop)
    # what runs to an end is far off; all entries of a large site would take long
    for i in entries[np.argsort(-np.abs(u[entries]))][:ENTRIES]:
        for step in (-STEP, STEP):
            there = u.copy()
            there[i] += step
            if as_high(there, SLACK):
                return True
    return False


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
