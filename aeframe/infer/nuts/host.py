"""Markov chains on backends that JAX cannot trace: nutpie's sampler calls the compiled density."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from threading import RLock
from typing import TYPE_CHECKING

import numpy as np

from aeframe.backends import to_numpy
from aeframe.core.errors import ArgumentError, BackendError
from aeframe.infer.nuts.chains import Chains
from aeframe.prob.unconstrain import Unconstrained, Vector

if TYPE_CHECKING:
    from aeframe.infer.nuts import NUTS

# nutpie's name of a statistic → ours
_NAMES = {
    "logp": "lp",
    "energy": "energy",
    "diverging": "diverging",
    "mean_tree_accept": "acceptance_rate",
    "n_steps": "n_steps",
    "depth": "tree_depth",
    "maxdepth_reached": "reached_max_depth",
    "step_size": "step_size",
}


def host_chains(nuts: NUTS, density: Unconstrained, start: Callable[[int], Vector]) -> Chains:
    """Adapt and sample; ``start`` gives a finite place for a seed.

    Raises
    ------
    BackendError
        When nutpie is not installed.
    ArgumentError
        When the mass matrix is to be dense.
    """
    if find_spec("nutpie") is None:
        raise BackendError(
            f"NUTS on the backend {density.space.backend.name!r} needs nutpie",
            expected="nutpie, which calls the compiled density",
            got="it is not installed",
            fix='pip install "aeframe[nutpie]", or use the JAX backend',
        )
    if nuts.dense:
        raise ArgumentError(
            "nutpie adapts a diagonal mass matrix",
            got="dense=True",
            fix="leave it out, or use the JAX backend",
        )
    import nutpie
    from nutpie.compiled_pyfunc import from_pyfunc

    lock = RLock()  # a program of these backends keeps its workspace between calls

    def log_density(u: Vector) -> tuple[float, Vector]:
        with lock:
            log_prob, slope = density.space.density(u, *density.arrays)
            return float(to_numpy(log_prob)), np.array(to_numpy(slope))

    def first(seed: int) -> Vector:
        with lock:
            return start(seed)

    model = from_pyfunc(
        density.size,
        lambda: log_density,
        lambda *seeds: lambda u: {"u": u},
        [np.dtype("float64")],
        [(density.size,)],
        ["u"],
        make_initial_point_fn=first,
    )
    clock = [time.perf_counter()]
    log_density(np.zeros(density.size))
    clock.append(time.perf_counter())
    found = nutpie.sample(
        model,
        draws=nuts.draws,
        tune=nuts.warmup,
        chains=nuts.chains,
        seed=nuts.seed,
        progress_bar=sys.stderr.isatty(),
        save_warmup=False,
        target_accept=nuts.target_acceptance,
        maxdepth=nuts.max_depth,
    )
    stats = {ours: found.sample_stats[name].values for name, ours in _NAMES.items()}
    stats["u"] = found.posterior["u"].values
    clock.append(time.perf_counter())
    names = ("compile", "warmup and sampling")
    return Chains(stats, dict(zip(names, np.diff(clock).tolist(), strict=True)))
