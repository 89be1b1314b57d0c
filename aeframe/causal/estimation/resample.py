"""Uncertainty without a likelihood: the bootstrap and the Bayesian bootstrap."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from numpy.typing import NDArray

from aeframe.causal.estimation.problem import Problem, Vector
from aeframe.core.arguments import count
from aeframe.core.structure import Structure

Statistic = Callable[[Problem, int], Any]


class Resampled(Protocol):
    """A method whose answer on resampled rows is found anew."""

    def statistic(self, problem: Problem) -> Statistic:
        """A function from a problem on other rows, and a seed, to numbers."""
        ...


@dataclass(frozen=True)
class Bootstrap(Structure):
    """Rows drawn with replacement, and the whole method repeated (Efron 1979).

    Attributes
    ----------
    replicates
        How often.
    seed
        Decides the rows.
    jobs
        Processes, as joblib counts; by default what ``joblib.parallel_config`` says, else one.
    """

    replicates: int = 200
    seed: int = 0
    jobs: int | None = None

    def __post_init__(self) -> None:
        count("replicates", self.replicates, 2)

    def run(self, method: Resampled, problem: Problem) -> NDArray[np.float64]:
        """The statistic of each replicate, (replicates, ...)."""
        seeds = stream("replicates", self.seed).integers(2**31, size=self.replicates)
        parts = np.array_split(seeds, min(effective_n_jobs(self.jobs), self.replicates))
        found = Parallel(n_jobs=self.jobs)(delayed(_part)(method, problem, p) for p in parts)
        return np.concatenate([np.asarray(f, dtype="float64") for f in found])


def _part(method: Resampled, problem: Problem, seeds: NDArray[Any]) -> list[Any]:
    """Some replicates: what is prepared for the columns serves them all."""
    statistic = method.statistic(problem)
    found = []
    for seed in map(int, seeds):
        rng, places = stream("rows", seed), np.array([], dtype="int64")
        while len(np.unique(problem.a[places])) < 2:  # there must be something to compare
            places = rng.integers(0, len(problem), len(problem))
        found.append(statistic(problem.rows(places), seed))
    return found


def stream(purpose: str, seed: int, *more: int) -> np.random.Generator:
    """Random numbers of our own: others than data have that were made with the same seed."""
    return np.random.default_rng([zlib.crc32(purpose.encode()), seed, *more])


def bayesian_bootstrap(draws: int, rows: int, seed: int) -> NDArray[np.float64]:
    """Weights of the rows that sum to 1, Dirichlet(1, ..., 1), (draws, rows) (Rubin 1981)."""
    weights = stream("weights", seed).exponential(size=(draws, rows))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def linear_draws(effect: float, influence: Vector, draws: int, seed: int) -> Vector:
    """Draws of an estimate that is linear in the rows: effect + Σ wᵢ φᵢ, with Σ φᵢ = 0."""
    return np.asarray(effect + bayesian_bootstrap(draws, len(influence), seed) @ influence)
