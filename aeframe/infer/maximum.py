"""MAP: the most probable values of the free sites, by gradient ascent from several starts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aeframe.core.arguments import count
from aeframe.core.errors import ArgumentError
from aeframe.core.summary import plain_table
from aeframe.infer.climb import Climb, Start, report
from aeframe.infer.diagnosis import Check
from aeframe.infer.posterior import Inference, Posterior, shown
from aeframe.prob import Model
from aeframe.prob.simulate import Draws
from aeframe.prob.unconstrain import unconstrain

if TYPE_CHECKING:
    from rich.table import Table


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
    searched
        What was checked of the search.
    """

    values: dict[str, NDArray[Any]]
    parameters: dict[str, NDArray[Any]]
    log_prob: float
    starts: tuple[Start, ...]
    searched: tuple[Check, ...]

    @property
    def converged(self) -> bool:
        """Whether the start that was best met the convergence test."""
        return max(self.starts, key=lambda s: s.log_prob).converged

    def draws(self, n: int, seed: int = 0) -> Draws:
        """The same values ``n`` times."""
        count("n", n)
        return {k: np.repeat(v[None], n, axis=0) for k, v in self.values.items()}

    def table(self) -> Table:
        """The values of sites, then of parameters."""
        table = plain_table("", "site", "value")
        for name, value in (self.values | self.parameters).items():
            table.add_row(name, shown(value))
        return table

    def checks(self) -> Iterable[Check]:
        """Whether the search converged, inside of the supports, to the only place this high."""
        return self.searched

    def loo(self) -> Any:
        """Refuse: cross-validation needs the spread of a posterior."""
        raise _no_spread(self, "loo")

    def plot(self, sites: Sequence[str] | None = None) -> Any:
        """Refuse: a point has no density."""
        raise _no_spread(self, "plot")

    def plot_ranks(self, sites: Sequence[str] | None = None) -> Any:
        """Refuse: a point has no chains."""
        raise _no_spread(self, "plot_ranks")

    def plot_pairs(self, sites: Sequence[str] | None = None) -> Any:
        """Refuse: a point has no scatter."""
        raise _no_spread(self, "plot_pairs")

    def report(self) -> str:
        """A table of the starts: where each ended, and whether it converged."""
        return report(self.starts)


def _no_spread(posterior: PointPosterior, method: str) -> ArgumentError:
    return ArgumentError(
        f"`{method}` needs draws that differ: MAP is one value for each site",
        path=type(posterior.model).__name__,
        expected="a posterior with a spread",
        got=str(posterior.method),
        fix="fit with inference=ae.NUTS(), or look at `summary()` and `plot_predictive()`",
    )


@dataclass(frozen=True)
class MAP(Inference):
    """Maximum a posteriori, by L-BFGS-B with exact gradients.

    The mode is that of the density on the sites' own scale, with no Jacobian (as Stan's and
    PyMC's optimizers have it); the search runs on the unconstrained scale of their supports.
    Trainable Parameters of the Model have no prior: theirs is maximum likelihood, and their cells
    hold the result.

    Attributes
    ----------
    restarts, seed, steps
        Number of starts, what decides them, and after how many steps one ends: see
        :class:`~aeframe.infer.climb.Climb`.

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
        self._climb()

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
        u, starts, searched = self._climb()(density.space.joint, density, type(model).__name__)
        values = density.values(u)
        learned = {b.name: b.parameter for b in density.space.blocks if b.parameter is not None}
        for name, cell in learned.items():
            cell.value = values[name]
        return PointPosterior(
            model,
            tuple(data),
            self,
            "as asked",
            {b.name: values[b.name] for b in density.space.blocks if b.parameter is None},
            {name: values[name] for name in learned},
            max(s.log_prob for s in starts),
            starts,
            searched,
        )

    def _climb(self) -> Climb:
        return Climb(self.restarts, self.seed, self.steps)
