"""aeframe: NUTS, Gibbs where rules find its steps, and structured variational inference."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from posteriors import Data

import aeframe as ae
from aeframe.infer import NUTS, FullRank, Gibbs, Inference, MeanField, StructuredVI


class EightSchools(ae.Model):
    """Not centred."""

    def __call__(self, sigma):
        mu = self.sample("mu", ae.Normal(0, 5))
        tau = self.sample("tau", ae.HalfCauchy(5))
        offset = self.sample("offset", ae.Normal(0, 1), shape=(8,))
        theta = self.deterministic("theta", mu + tau * offset)
        self.sample("y", ae.Normal(theta, sigma))


class Radon(ae.Model):
    """Centred."""

    def __call__(self, county, uranium, floor):
        sigma_y = self.sample("sigma_y", ae.HalfNormal(1))
        sigma_alpha = self.sample("sigma_alpha", ae.HalfNormal(1))
        mu_alpha = self.sample("mu_alpha", ae.Normal(0, 10))
        beta = self.sample("beta", ae.Normal(0, 10), shape=(2,))
        alpha = self.sample("alpha", ae.Normal(mu_alpha, sigma_alpha), shape=(85,))
        mean = alpha[county] + beta[0] * uranium + beta[1] * floor
        self.sample("y", ae.Normal(mean, sigma_y))


class HorseshoeLogistic(ae.Model):
    """Not centred for NUTS, centred for Gibbs."""

    def __init__(self, centred: bool) -> None:
        self.centred = centred

    def __call__(self, x):
        p = x.type.shape[1]
        tau = self.sample("tau", ae.HalfCauchy(1))
        local = self.sample("local", ae.HalfCauchy(1), shape=(p,))
        if self.centred:
            beta = self.sample("beta", ae.Normal(0, tau * local))
        else:
            z = self.sample("z", ae.Normal(0, 1), shape=(p,))
            beta = self.deterministic("beta", z * local * tau)
        self.sample("y", ae.Bernoulli(logits=x @ beta))


ARGUMENTS = {
    "eight_schools": ("sigma",),
    "radon": ("county", "uranium", "floor"),
    "horseshoe_logistic": ("x",),
}


def observed(task: str, data: Data, centred: bool = False) -> tuple[ae.Model, list[np.ndarray]]:
    """The model of a task with its observations, and its data."""
    models = {"eight_schools": EightSchools, "radon": Radon}
    model = models[task]() if task in models else HorseshoeLogistic(centred)
    return model.observe({"y": data["y"]}), [data[k] for k in ARGUMENTS[task]]


def nuts(task: str, backend: str, data: Data) -> Callable[[int], tuple[float, dict, int]]:
    """Seed → seconds of warm-up and sampling, chains by site, divergences."""
    model, arrays = observed(task, data, centred=backend == "gibbs")

    def run(seed: int) -> tuple[float, dict, int]:
        method: Inference = Gibbs(seed=seed) if backend == "gibbs" else NUTS(seed=seed)
        start = time.perf_counter()
        posterior = model.fit(*arrays, inference=method)
        seconds = time.perf_counter() - start
        diverging = posterior.stats.get("diverging", np.zeros(1))
        return seconds, posterior.chains, int(np.sum(diverging))

    return run


def elbo(task: str, backend: str, data: Data) -> Callable[[int], float]:
    """Steps → seconds of as many steps with one particle; `backend` names the guide."""
    model, arrays = observed(task, data)
    method = {"asvi": StructuredVI, "normal": MeanField, "multivariate": FullRank}[backend]

    def run(steps: int) -> float:
        start = time.perf_counter()
        model.fit(*arrays, inference=method(steps=steps, samples=1))
        return time.perf_counter() - start

    return run
