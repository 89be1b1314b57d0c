"""SampledPosterior: what Markov chains return."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aeframe.core.errors import ArgumentError
from aeframe.infer.diagnosis import Check, diagnose_chains
from aeframe.infer.posterior import Posterior
from aeframe.infer.scales import free_scales
from aeframe.infer.table import SHOWN, Statistics, statistics, statistics_table
from aeframe.prob.simulate import Draws

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class SampledPosterior(Posterior):
    """Markov chains.

    Attributes
    ----------
    chains
        Site → its values, (chain, draw, ...); for free sites, then computed ones.
    stats
        What the sampler tells of each draw, (chain, draw): ``diverging``, ``energy``,
        ``n_steps``, ``tree_depth``, ``reached_max_depth``, ``acceptance_rate``, ``lp`` (the log
        density on the unconstrained scale), ``step_size``; those that it has.
    seconds
        How long each part of the run took: ``compile``, ``warmup``, ``sampling``.
    """

    chains: dict[str, NDArray[Any]]
    stats: dict[str, NDArray[Any]]
    seconds: dict[str, float] = field(default_factory=dict)

    def draws(self, n: int, seed: int = 0) -> Draws:
        """``n`` of the draws of the free sites; none twice, unless there are fewer."""
        if not isinstance(n, int | np.integer) or n < 1:
            raise ArgumentError("the number of draws is a positive integer", got=repr(n))
        free = {k: self.chains[k] for k in self.layout.free}
        count, length = next(iter(self.chains.values())).shape[:2]
        rng = np.random.default_rng(seed)
        rows = rng.choice(count * length, size=n, replace=n > count * length)
        return {k: v.reshape(-1, *v.shape[2:])[rows] for k, v in free.items()}

    def sampled(self, n: int = 1000, seed: int = 0) -> Draws:
        """All draws of all sites, site → array (chain, draw, ...)."""
        return self.chains

    def statistics(self) -> Statistics:
        """Mean, sd, quantiles, and how well the chains know the mean."""
        return statistics(self.chains, chains=True)

    def table(self) -> Table:
        """The statistics of the entries that are shown."""
        return statistics_table(statistics(self.chains, chains=True, limit=SHOWN), self.layout)

    def checks(self) -> Iterator[Check]:
        """R-hat and ESS of the free sites; energy, divergences and tree depth of the sampler."""
        free = {k: self.chains[k] for k in self.layout.free}
        scales = free_scales(self.model, self.data)
        return diagnose_chains(free, self.stats, self.layout, scales)
