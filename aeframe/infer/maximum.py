"""MAP: the most probable values of the free sites, by gradient ascent from several starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from aeframe.backends import to_numpy
from aeframe.core.errors import ArgumentError, FitError
from aeframe.core.structure import Structure
from aeframe.core.summary import plain_table, render
from aeframe.infer.diagnosis import Check, Diagnosis
from aeframe.infer.posterior import Inference, Posterior, shown
from aeframe.prob import Model
from aeframe.prob.simulate import Draws
from aeframe.prob.unconstrain import Block, Unconstrained, Vector, unconstrain

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class Start(Structure):
    """How one start ended: log joint, steps, largest gradient entry, and in SciPy's words."""

    log_prob: float
    steps: int
    gradient: float
    converged: bool
    message: str


@dataclass(frozen=True)
class PointPosterior(Posterior):
    """One value for each site: the best that a search found.

    Attributes
    ----------
    values
        Free site → value.
    parameters
        Parameter's path → value; the cells hold them too.
    log_prob
        The log joint there.
    starts
        How each start of the search ended, in order.
    """

    values: dict[str, NDArray[Any]]
    parameters: dict[str, NDArray[Any]]
    log_prob: float
    starts: tuple[Start, ...]

    @property
    def converged(self) -> bool:
        """Whether the start that was best met the convergence test."""
        return max(self.starts, key=lambda s: s.log_prob).converged

    def draws(self, n: int, seed: int = 0) -> Draws:
        """The same values ``n`` times."""
        return {k: np.repeat(v[None], n, axis=0) for k, v in self.values.items()}

    def table(self) -> Table:
        """The values of sites, then of parameters."""
        table = plain_table("", "site", "value")
        for name, value in (self.values | self.parameters).items():
            table.add_row(name, shown(value))
        return table

    def diagnose(self) -> Diagnosis:
        """Whether the search converged."""
        best = max(self.starts, key=lambda s: s.log_prob)
        words = "the search converged" if best.converged else "The search did not converge"
        fix = "See `report()`; raise `steps` or `restarts`, or give priors that hold it."
        return Diagnosis((Check("convergence", best.gradient, best.converged, words, fix),))

    def report(self) -> str:
        """A table of the starts: where each ended, and whether it converged."""
        table = plain_table("starts", "log joint", "steps", "gradient", "converged", "message")
        for s in self.starts:
            converged = "yes" if s.converged else "no"
            table.add_row(
                f"{s.log_prob:.6g}", str(s.steps), f"{s.gradient:.1e}", converged, s.message
            )
        return render(table)


@dataclass(frozen=True)
class MAP(Inference):
    """Maximum a posteriori, by L-BFGS-B with exact gradients.

    The mode is that of the density on the sites' own scale, with no Jacobian (as Stan's and
    PyMC's optimizers have it); the search runs on the unconstrained scale of their supports.
    Trainable Parameters of the Model have no prior: theirs is maximum likelihood, and their cells
    hold the result.

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

    >>> from aeframe.distributions import Normal
    >>> class Mean(Model):
    ...     def __call__(self):
    ...         mu = self.sample("mu", Normal(0, 1))
    ...         self.sample("y", Normal(mu, 1), shape=(3,))
    >>> posterior = Mean().observe({"y": [1.0, 2.0, 3.0]}).fit(inference=MAP())
    >>> round(float(posterior.values["mu"]), 6)
    1.5
    """

    restarts: int = 4
    seed: int = 0
    steps: int = 2000

    def __post_init__(self) -> None:
        if self.restarts < 1 or self.steps < 1:
            raise ArgumentError("MAP needs at least one start and one step", got=str(self))

    def run(self, model: Model, data: Sequence[Any]) -> PointPosterior:
        """Search from every start and keep the best.

        Raises
        ------
        ArgumentError
            When a free site is discrete, or nothing is free.
        FitError
            When no start reached a finite log joint.
        """
        density = unconstrain(model, data, with_parameters=True)
        model.init(self.seed)
        found = [self._search(density, k) for k in range(self.restarts)]
        best, u = max(found, key=lambda f: f[0].log_prob)
        if not np.isfinite(best.log_prob):
            raise FitError(
                "no start reached a finite log joint",
                path=type(model).__name__,
                got=f"{self.restarts} starts, all at {best.log_prob}",
                fix="check that the observations are possible under the model; "
                "a scale that can reach 0 needs a prior",
            )
        values = density.values(u)
        learned = {b.name: b.parameter for b in density.space.blocks if b.parameter is not None}
        for name, cell in learned.items():
            cell.value = values[name]
        return PointPosterior(
            model,
            tuple(data),
            self,
            "as asked",
            {k: v for k, v in values.items() if k not in learned},
            {k: values[k] for k in learned},
            best.log_prob,
            tuple(s for s, _ in found),
        )

    def _search(self, density: Unconstrained, k: int) -> tuple[Start, Vector]:
        """One start, the ``k``-th."""
        rng = np.random.default_rng([self.seed, k])
        first = np.concatenate([_first(block, rng, k) for block in density.space.blocks])

        def objective(u: Vector) -> tuple[float, Vector]:
            found = density.space.joint(u, *density.arrays)
            log_prob, slope = (to_numpy(v) for v in found)
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


def _first(block: Block, rng: np.random.Generator, k: int) -> Vector:
    """Where the ``k``-th start of a site or a parameter lies."""
    cell, size = block.parameter, block.stop - block.start
    if cell is None:
        return rng.uniform(-2.0, 2.0, size)
    if k > 0 and cell.init is not None:
        return np.ravel(block.support.inverse(cell.init(rng, block.shape)))
    noise = rng.standard_normal(size) if k > 0 else 0.0
    return np.ravel(block.support.inverse(np.asarray(cell.value, dtype="float64"))) + noise
