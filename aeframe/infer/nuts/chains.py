"""Markov chains on JAX: adaptation and sampling in one compiled program, run piece by piece.

On a CPU each chain is a program of its own in a thread of its own: no chain waits for the longer
trees of another, and XLA's loops hold no lock. Elsewhere all chains are one vectorized program.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from aeframe.core.progress import progress_bar
from aeframe.prob.unconstrain import Vector

# draws that a piece holds at most, and how long a piece should take: the progress bar moves, and
# an interrupt is heard, between pieces
PIECE, SECONDS = 250, 0.25

# the phase after adaptation; blackjax's schedule has 0 (step size) and 1 (mass matrix too)
SAMPLE = 2

Schedule: TypeAlias = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]


@dataclass(frozen=True)
class Kernel:
    """A NUTS kernel with its adaptation, compiled.

    Attributes
    ----------
    start
        Positions, inputs → state.
    advance
        State, key, index of the first step, number of steps, their schedule, inputs → state and
        what each step gave, in arrays that are ``PIECE`` long.
    vectorized
        Whether these take all chains at once.
    """

    start: Callable[..., Any]
    advance: Callable[..., Any]
    vectorized: bool


def make_kernel(
    evaluate: Callable[..., Sequence[Any]],
    target: float,
    depth: int,
    dense: bool,
    vectorized: bool | None = None,
) -> Kernel:
    """The kernel for a density ``evaluate(u, inputs) -> (log density, gradient)``.

    By default it is vectorized over chains where the device is no CPU. Its adaptation is Stan's,
    by blackjax: step size by dual averaging towards the acceptance rate ``target``, the mass
    matrix, diagonal or ``dense``, from windows of draws.
    """
    import jax
    from blackjax.adaptation import window_adaptation
    from blackjax.mcmc import nuts

    @jax.custom_vjp
    def log_density(u: Any, inputs: Any) -> Any:
        return evaluate(u, inputs)[0]

    # the gradient is Aesara's: one program computes both
    log_density.defvjp(evaluate, lambda slope, seed: (seed * slope, None))
    begin, adapt, finish = window_adaptation.base(not dense, target)
    kernel, cond = nuts.build_kernel(), jax.lax.cond

    def start(position: Any, inputs: Any) -> Any:
        state = nuts.init(position, partial(log_density, inputs=inputs)), begin(position, 1.0)
        # the types that steps return: a weak one would be compiled for again
        return jax.tree.map(lambda v: jax.numpy.array(v, jax.numpy.result_type(v)), state)

    def step(state: Any, key: Any, stage: Any, inputs: Any) -> Any:
        state, scale = state
        phase, closes, ends = stage
        density = partial(log_density, inputs=inputs)
        state, info = kernel(key, state, density, scale.step_size, scale.inverse_mass_matrix, depth)
        gave = {
            "u": state.position,
            "lp": state.logdensity,
            "energy": info.energy,
            "diverging": info.is_divergent,
            "acceptance_rate": info.acceptance_rate,
            "n_steps": info.num_integration_steps,
            "tree_depth": info.num_trajectory_expansions,
            "reached_max_depth": ~(info.is_turning | info.is_divergent),
            "step_size": scale.step_size,
        }
        moved = state.position, info.acceptance_rate
        scale = cond(phase == SAMPLE, lambda: scale, lambda: adapt(scale, (phase, closes), *moved))
        scale = cond(ends, lambda: scale._replace(step_size=finish(scale)[0]), lambda: scale)
        return (state, scale), gave

    def advance(state: Any, key: Any, first: Any, count: Any, stages: Any, inputs: Any) -> Any:
        def body(i: Any, carry: Any) -> Any:
            state, kept = carry
            stage = tuple(v[i] for v in stages)
            state, gave = step(state, jax.random.fold_in(key, first + i), stage, inputs)
            return state, {k: kept[k].at[i].set(v) for k, v in gave.items()}

        gives = jax.eval_shape(step, state, key, tuple(v[0] for v in stages), inputs)[1]
        kept = {k: jax.numpy.zeros((PIECE, *v.shape), v.dtype) for k, v in gives.items()}
        return jax.lax.fori_loop(0, count, body, (state, kept))

    if vectorized is None:
        vectorized = jax.default_backend() != "cpu"
    if vectorized:
        start = jax.vmap(start, in_axes=(0, None))
        advance = jax.vmap(advance, in_axes=(0, 0, *[None] * 4))
    return Kernel(jax.jit(start), jax.jit(advance, compiler_options=_options()), vectorized)


@lru_cache
def _options() -> dict[str, Any]:
    """XLA's options for the loop: with fewer copies of what it carries, steps take 0.6 of the time.

    Nothing, where XLA does not know the option.
    """
    import jax

    options = {"xla_cpu_copy_insertion_use_region_analysis": True}
    try:
        jax.jit(lambda x: x + 1.0, compiler_options=options)(0.0)
    except (RuntimeError, ValueError):
        return {}
    return options


@dataclass(frozen=True)
class Chains:
    """What chains gave: statistic → array (chain, draw, ...), with ``u`` the positions.

    ``seconds`` says how long compiling, warmup and sampling took.
    """

    stats: dict[str, NDArray[Any]]
    seconds: dict[str, float]


def run_chains(
    kernel: Kernel, starts: Vector, seed: int, warmup: int, draws: int, inputs: Any
) -> Chains:
    """Adapt and sample from ``starts`` (chain, size); the numbers depend on ``seed`` alone.

    An interrupt ends the run: what was sampled until then is returned, if there is any.
    """
    import jax

    inputs = jax.device_put(inputs)
    root = jax.random.key(seed)
    keys = [jax.random.fold_in(root, chain) for chain in range(len(starts))]
    together = kernel.vectorized
    rows = [(starts, jax.numpy.stack(keys))] if together else zip(starts, keys, strict=True)
    clock = [time.perf_counter()]
    schedule = _schedule(warmup)
    runs = [_Run(kernel, u, key, schedule, inputs) for u, key in rows]
    runs[0].compile()
    clock.append(time.perf_counter())
    stop = threading.Event()
    with (
        progress_bar(len(starts) * (warmup + draws), "NUTS", "draw") as bar,
        ThreadPoolExecutor(min(len(runs), _cores())) as pool,
    ):
        for first, last in ((0, warmup), (warmup, warmup + draws)):
            work = [pool.submit(run.steps, first, last, bar, stop) for run in runs]
            try:
                wait(work)
            except KeyboardInterrupt:
                stop.set()
                wait(work)
                if last == warmup or min(len(w.result()["lp"].T) for w in work) < 1:
                    raise
            found = [w.result() for w in work]
            clock.append(time.perf_counter())
    seconds = dict(zip(("compile", "warmup", "sampling"), np.diff(clock).tolist(), strict=True))
    return Chains(_together(found, together), seconds)


def _together(found: Sequence[dict[str, Any]], vectorized: bool) -> dict[str, NDArray[Any]]:
    """What runs gave as arrays (chain, draw, ...); an interrupt leaves some shorter."""
    if vectorized:
        return found[0]
    length = min(len(part["lp"]) for part in found)
    return {k: np.stack([part[k][:length] for part in found]) for k in found[0]}


class _Run:
    """A chain (or all of them, vectorized) on its way."""

    def __init__(self, kernel: Kernel, u: Any, key: Any, schedule: Schedule, inputs: Any) -> None:
        self.kernel, self.key, self.schedule, self.inputs = kernel, key, schedule, inputs
        self.state, self.count = kernel.start(u, inputs), 10

    def compile(self) -> None:
        """Run no step: what is long the first time is done."""
        self._advance(0, 0)

    def steps(self, first: int, last: int, bar: Any, stop: threading.Event) -> dict[str, Any]:
        """What the steps from ``first`` to ``last`` gave."""
        axis = 1 if self.kernel.vectorized else 0
        parts, at = [self._advance(first, 0)], first
        while at < last and not stop.is_set():
            count = min(self.count, last - at)
            begun = time.perf_counter()
            parts.append(self._advance(at, count))
            at += count
            bar.update(count * (len(self.key) if self.kernel.vectorized else 1))
            pace = count / (time.perf_counter() - begun)
            self.count = int(np.clip(pace * SECONDS, 1, PIECE))
        return {k: np.concatenate([p[k] for p in parts], axis) for k in parts[0]}

    def _advance(self, at: int, count: int) -> dict[str, NDArray[Any]]:
        row = min(at, len(self.schedule[0]) - PIECE)  # from there on there is no adaptation
        stages = tuple(v[row : row + PIECE] for v in self.schedule)
        self.state, gave = self.kernel.advance(self.state, self.key, at, count, stages, self.inputs)
        index = np.s_[:, :count] if self.kernel.vectorized else np.s_[:count]
        return {k: np.asarray(v)[index] for k, v in gave.items()}


@lru_cache(maxsize=8)
def _schedule(warmup: int) -> Schedule:
    """For each step its phase, whether a window of adaptation closes, and whether adaptation ends.

    A piece of sampling follows: each piece has ``PIECE`` steps to look at.
    """
    from blackjax.adaptation.window_adaptation import build_schedule

    phases = np.full(warmup + PIECE, SAMPLE)
    closes, ends = np.zeros(len(phases), dtype=bool), np.zeros(len(phases), dtype=bool)
    if warmup:
        plan = np.asarray(build_schedule(warmup))
        phases[:warmup], closes[:warmup] = plan[:, 0], plan[:, 1] == 1
        ends[warmup - 1] = True
    return phases, closes, ends


def _cores() -> int:
    """The number of cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
