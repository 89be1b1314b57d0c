"""PyMC's NUTS, and nutpie's on a PyMC model."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pymc as pm
from posteriors import Data


def eight_schools(d: Data) -> None:
    """Not centred."""
    mu = pm.Normal("mu", 0, 5)
    tau = pm.HalfCauchy("tau", 5)
    offset = pm.Normal("offset", 0, 1, shape=8)
    theta = pm.Deterministic("theta", mu + tau * offset)
    pm.Normal("y", theta, d["sigma"], observed=d["y"])


def radon(d: Data) -> None:
    """Centred."""
    sigma_y = pm.HalfNormal("sigma_y", 1)
    sigma_alpha = pm.HalfNormal("sigma_alpha", 1)
    mu_alpha = pm.Normal("mu_alpha", 0, 10)
    beta = pm.Normal("beta", 0, 10, shape=2)
    alpha = pm.Normal("alpha", mu_alpha, sigma_alpha, shape=85)
    mean = alpha[d["county"]] + beta[0] * d["uranium"] + beta[1] * d["floor"]
    pm.Normal("y", mean, sigma_y, observed=d["y"])


def horseshoe_logistic(d: Data) -> None:
    """Not centred."""
    p = d["x"].shape[1]
    tau = pm.HalfCauchy("tau", 1)
    local = pm.HalfCauchy("local", 1, shape=p)
    z = pm.Normal("z", 0, 1, shape=p)
    beta = pm.Deterministic("beta", z * local * tau)
    pm.Bernoulli("y", logit_p=pm.math.dot(d["x"], beta), observed=d["y"])


MODELS = {
    "eight_schools": eight_schools,
    "radon": radon,
    "horseshoe_logistic": horseshoe_logistic,
}


def nuts(task: str, backend: str, data: Data) -> Callable[[int], tuple[float, dict, int]]:
    """Seed → seconds of warm-up and sampling, chains by site, divergences."""
    with pm.Model() as model:
        MODELS[task](data)
    settings = {"tune": 1000, "draws": 1000, "chains": 4, "cores": 2}
    if backend == "nutpie":
        import nutpie

        compiled = nutpie.compile_pymc_model(model)

    def run(seed: int) -> tuple[float, dict, int]:
        start = time.perf_counter()
        if backend == "nutpie":
            found = nutpie.sample(compiled, seed=seed, progress_bar=False, **settings)
        else:
            with model:
                found = pm.sample(
                    random_seed=seed,
                    progressbar=False,
                    compute_convergence_checks=False,
                    **settings,
                )
        seconds = time.perf_counter() - start
        if backend == "pymc":  # without the start of its processes and its compiling
            seconds = float(found.posterior.attrs["sampling_time"])
        chains = {str(k): np.asarray(v) for k, v in found.posterior.items()}
        return seconds, chains, int(found.sample_stats["diverging"].sum())

    return run
