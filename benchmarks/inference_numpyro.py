"""NumPyro: NUTS with parallel or vectorized chains, and automatic guides."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=4")

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.infer import MCMC, NUTS, SVI, Trace_ELBO
from numpyro.infer.autoguide import AutoMultivariateNormal, AutoNormal
from posteriors import Data

numpyro.enable_x64()


def eight_schools(d: Data) -> Callable[[], None]:
    """Not centred."""

    def model() -> None:
        mu = numpyro.sample("mu", dist.Normal(0, 5))
        tau = numpyro.sample("tau", dist.HalfCauchy(5))
        with numpyro.plate("school", 8):
            offset = numpyro.sample("offset", dist.Normal(0, 1))
            theta = numpyro.deterministic("theta", mu + tau * offset)
            numpyro.sample("y", dist.Normal(theta, d["sigma"]), obs=d["y"])

    return model


def radon(d: Data) -> Callable[[], None]:
    """Centred."""

    def model() -> None:
        sigma_y = numpyro.sample("sigma_y", dist.HalfNormal(1))
        sigma_alpha = numpyro.sample("sigma_alpha", dist.HalfNormal(1))
        mu_alpha = numpyro.sample("mu_alpha", dist.Normal(0, 10))
        beta = numpyro.sample("beta", dist.Normal(0, 10).expand([2]))
        with numpyro.plate("county", 85):
            alpha = numpyro.sample("alpha", dist.Normal(mu_alpha, sigma_alpha))
        mean = alpha[d["county"]] + beta[0] * d["uranium"] + beta[1] * d["floor"]
        numpyro.sample("y", dist.Normal(mean, sigma_y), obs=d["y"])

    return model


def horseshoe_logistic(d: Data) -> Callable[[], None]:
    """Not centred."""
    p = d["x"].shape[1]

    def model() -> None:
        tau = numpyro.sample("tau", dist.HalfCauchy(1))
        local = numpyro.sample("local", dist.HalfCauchy(jnp.ones(p)))
        z = numpyro.sample("z", dist.Normal(jnp.zeros(p), 1))
        beta = numpyro.deterministic("beta", z * local * tau)
        numpyro.sample("y", dist.Bernoulli(logits=d["x"] @ beta), obs=d["y"])

    return model


MODELS = {
    "eight_schools": eight_schools,
    "radon": radon,
    "horseshoe_logistic": horseshoe_logistic,
}


def nuts(task: str, backend: str, data: Data) -> Callable[[int], tuple[float, dict, int]]:
    """Seed → seconds of warm-up and sampling, chains by site, divergences."""
    model = MODELS[task](data)
    mcmc = MCMC(
        NUTS(model),
        num_warmup=1000,
        num_samples=1000,
        num_chains=4,
        chain_method=backend,
        progress_bar=False,
    )

    def run(seed: int) -> tuple[float, dict, int]:
        key = jax.random.PRNGKey(seed)
        start = time.perf_counter()
        mcmc.run(key)
        found = mcmc.get_samples(group_by_chain=True)
        jax.block_until_ready(found)
        seconds = time.perf_counter() - start
        diverging = int(np.sum(mcmc.get_extra_fields()["diverging"]))
        return seconds, {k: np.asarray(v) for k, v in found.items()}, diverging

    return run


def elbo(task: str, backend: str, data: Data) -> Callable[[int], float]:
    """Steps → seconds of as many steps with one particle; `backend` names the guide."""
    model = MODELS[task](data)
    guide = {"normal": AutoNormal, "multivariate": AutoMultivariateNormal}[backend](model)
    svi = SVI(model, guide, numpyro.optim.Adam(0.01), Trace_ELBO())
    first = svi.init(jax.random.PRNGKey(0))

    @jax.jit
    def climb(state: Any, steps: int) -> Any:  # as svi.run, which compiles at each call
        return jax.lax.fori_loop(0, steps, lambda _, s: svi.update(s)[0], state)

    def run(steps: int) -> float:
        start = time.perf_counter()
        jax.block_until_ready(climb(first, steps))
        return time.perf_counter() - start

    return run
