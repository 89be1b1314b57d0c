"""NUTS: Markov chains that follow the gradient of the log density."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from aeframe.backends import to_numpy
from aeframe.core.arguments import acceptance_rate, count
from aeframe.core.errors import FitError
from aeframe.infer.diagnosis import R_HAT, arviz
from aeframe.infer.nuts.chains import Chains, make_kernel, run_chains
from aeframe.infer.nuts.host import host_chains
from aeframe.infer.posterior import Inference
from aeframe.infer.proper import no_end
from aeframe.infer.sampled import SampledPosterior
from aeframe.prob import Model
from aeframe.prob.programs import cached
from aeframe.prob.unconstrain import Unconstrained, Vector, unconstrain

TRIES = 100
# entries of an unconstrained vector that are this far off, and still on their way, have no end
HUGE, MOVING = 1e6, 1.1
# entries that moved this far from starts within ±2 may have no end
WIDE = 200.0


@dataclass(frozen=True)
class NUTS(Inference):
    """The No-U-Turn Sampler, with step size and mass matrix adapted in a warmup.

    Multinomial NUTS (Hoffman and Gelman 2014, arXiv 1111.4246; Betancourt 2017, arXiv
    1701.02434) on the unconstrained scale, with Stan's windows of adaptation. On JAX it is
    blackjax's, compiled with the density; on other backends nutpie's. Trainable parameters keep
    their values.

    Attributes
    ----------
    chains, draws, warmup
        Number of chains, of draws kept from each, and of draws before these that adapt.
    target_acceptance
        The acceptance rate that the step size is adapted to. A higher one means smaller steps:
        slower, with fewer divergences.
    max_depth
        A trajectory has at most ``2 ** max_depth`` steps.
    dense
        Whether the mass matrix has correlations; else it is diagonal.
    seed
        Decides the starts and the draws: the same seed gives the same bits.

    >>> from aeframe.distributions import Normal
    >>> class Mean(Model):
    ...     def __call__(self):
    ...         mu = self.sample("mu", Normal(0, 1))
    ...         self.sample("y", Normal(mu, 1), shape=(3,))
    >>> nuts = NUTS(chains=2, draws=500, warmup=300)
    >>> posterior = Mean().observe({"y": [1.0, 2.0, 3.0]}).fit(inference=nuts)
    >>> posterior.chains["mu"].shape, abs(float(posterior.mean("mu")) - 1.5) < 0.1
    ((2, 500), True)
    """

    chains: int = 4
    draws: int = 1000
    warmup: int = 1000
    target_acceptance: float = 0.8
    max_depth: int = 10
    dense: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in {
            "chains": 1,
            "draws": 1,
            "warmup": 0,
            "max_depth": 1,
            "seed": 0,
        }.items():
            count(name, getattr(self, name), least)
        acceptance_rate(self.target_acceptance)

    def run(self, model: Model, data: Sequence[Any]) -> SampledPosterior:
        """Find a start for each chain, adapt, and sample.

        Raises
        ------
        ArgumentError
            When a free site is discrete, or nothing is free.
        FitError
            When no start has a finite density, or the chains drift off without end.

        Warns
        -----
        RuntimeWarning
            When the run was interrupted: the posterior has the draws until then.
        """
        density = unconstrain(model, data)
        found = self._sample(model, density)
        rows = found.stats["u"]
        _require_proper(model, density, rows, found.stats["lp"])
        why = "as asked"
        if rows.shape[1] < self.draws:
            why = f"interrupted after {rows.shape[1]} of {self.draws} draws"
            warnings.warn(f"NUTS was {why}: the posterior has these", RuntimeWarning, stacklevel=4)
        values = density.space.constrain(rows.reshape(-1, density.size), density.arrays)
        chains = {k: v.reshape(*rows.shape[:2], *v.shape[1:]) for k, v in values.items()}
        stats = {k: v for k, v in found.stats.items() if k != "u"}
        return SampledPosterior(model, tuple(data), self, why, chains, stats, found.seconds)

    def _sample(self, model: Model, density: Unconstrained) -> Chains:
        start = partial(self._start, type(model).__name__, density)
        if density.space.backend.name != "jax":
            return host_chains(self, density, start)
        starts = np.stack([start(chain) for chain in range(self.chains)])
        program, arrays = density.space.density, list(density.arrays)
        run, values = program.executable(starts[0], *arrays)
        run = getattr(run, "program", run)  # without what spreads data over a mesh

        def evaluate(u: Any, inputs: Any) -> Any:
            return run([], inputs[0], [u, *inputs[1]])[0]

        options = self.target_acceptance, self.max_depth, self.dense
        signature = tuple((a.shape, str(a.dtype)) for a in arrays)
        kernel = cached(
            model, ("nuts", id(run), *options, signature), lambda: make_kernel(evaluate, *options)
        )
        return run_chains(kernel, starts, self.seed, self.warmup, self.draws, (values, arrays))

    def _start(self, model: str, density: Unconstrained, chain: int) -> Vector:
        """A place within ±2 where the density and its gradient are finite."""
        rng = np.random.default_rng([self.seed, chain])
        for _ in range(TRIES):
            u = rng.uniform(-2.0, 2.0, density.size)
            log_prob, slope = (to_numpy(v) for v in density.space.density(u, *density.arrays))
            if np.isfinite(log_prob) and np.isfinite(slope).all():
                return u
        raise FitError(
            "no start has a finite log density and gradient",
            path=model,
            got=f"{TRIES} tries for chain {chain}, the last at log density {float(log_prob)}",
            fix="check that the observations are possible under the model: "
            "`model.unconstrain(...).values(u)` shows the sites at a place",
        )


def _require_proper(
    model: Model, density: Unconstrained, rows: NDArray[np.float64], lp: NDArray[np.float64]
) -> None:
    """Refuse chains that went to infinity, or that wander along a ridge without end."""
    spread = np.ptp(rows, axis=(0, 1))
    wide = ~(spread < WIDE)
    far = wide & ~(np.abs(rows).max(axis=(0, 1)) < HUGE)
    for i in np.flatnonzero(wide & np.isfinite(spread)):
        r_hat = arviz().rhat(rows[:, :, i], method="split")
        far[i] &= r_hat > MOVING
        wide[i] = r_hat > R_HAT
    if not far.any() and wide.any():
        far = _ridge(density, rows.reshape(-1, density.size), lp.ravel())
    if not far.any():
        return
    names = [b.name for b in density.space.blocks if far[b.start : b.stop].any()]
    got = f"values up to {np.nanmax(np.abs(rows)):.3g} on the unconstrained scale"
    raise no_end(type(model).__name__, names, got)


def _ridge(density: Unconstrained, rows: Vector, lp: Vector) -> NDArray[np.bool_]:
    """The entries along which the density stays as high as at the draws, far beyond them."""
    top, centred = rows[np.argmax(lp)], rows - rows.mean(axis=0)
    axis = np.linalg.svd(centred, full_matrices=False)[2][0]
    beyond = 3.0 * np.ptp(centred @ axis)

    def objective(u: Vector) -> tuple[float, Vector]:
        log_prob, slope = (to_numpy(v) for v in density.space.density(u, *density.arrays))
        return (-float(log_prob), -slope) if np.isfinite(log_prob) else (1e300, np.zeros_like(u))

    for way in (axis, -axis):
        # the axis is only roughly that of the ridge: climb back to it, and see how far off it is
        done = minimize(objective, top + beyond * way, jac=True, method="L-BFGS-B")
        if -done.fun >= lp.max() - 1.0 and (done.x - top) @ way > beyond / 2:
            return np.asarray(np.abs(done.x - top) > 0.01 * beyond)
    return np.zeros(len(axis), dtype=bool)
