"""Outcomes: what sites are in several worlds, as draws or as all cases with probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aeframe.core.errors import UnknownNameError, nearest
from aeframe.core.summary import plain_table, render
from aeframe.infer import Posterior
from aeframe.infer.layout import Layout
from aeframe.infer.table import SHOWN
from aeframe.prob.simulate import Draws
from aeframe.prob.sites import find_site

if TYPE_CHECKING:
    from rich.table import Table
    from xarray import Dataset


# name → exact mean and standard deviation
Moments = Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]


@dataclass(frozen=True, repr=False)
class Outcomes:
    """The sites of a Model in several worlds: its potential outcomes.

    ``outcomes[world, site]`` has all draws, (draw, ...). Draws of one number belong together: what
    the worlds share has one value there.

    Attributes
    ----------
    layout
        The names of sites and axes.
    places
        World → site → the name of its draws.
    draws
        Name → array (draw, ...).
    probabilities
        Of each draw, where these are all cases there are; ``None``: draws, all alike.
    posterior
        Of what is shared, where something was observed.
    groups
        Which draw of a posterior each draw belongs to, where units were drawn for each.
    moments
        Of the draws that these are exactly known of.
    """

    layout: Layout
    places: Mapping[str, Mapping[str, str]]
    draws: Draws
    probabilities: NDArray[np.float64] | None = None
    posterior: Posterior | None = None
    groups: NDArray[np.int64] | None = None
    moments: Moments = field(default_factory=dict)

    @property
    def worlds(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(self.places)

    @property
    def sites(self) -> tuple[str, ...]:
        """The sites that all worlds have."""
        first = next(iter(self.places.values()))
        return tuple(k for k in first if all(p[k] in self.draws for p in self.places.values()))

    def place(self, world: str, site: str) -> str:
        """The name of the draws of a site in a world."""
        if world not in self.places:
            raise UnknownNameError(
                f"there is no world {world!r}", path=world, fix=nearest(world, list(self.worlds))
            )
        return find_site(site, self.places[world], "look at")

    def __getitem__(self, key: tuple[str, str]) -> NDArray[Any]:
        return self.draws[self.place(*key)]

    def mean(self, world: str, site: str) -> NDArray[np.float64]:
        """The expectation of each entry."""
        place = self.place(world, site)
        if place in self.moments:
            return self.moments[place][0]
        return np.asarray(np.average(self.draws[place], axis=0, weights=self.probabilities))

    def sd(self, world: str, site: str) -> NDArray[np.float64]:
        """The standard deviation of each entry."""
        place = self.place(world, site)
        if place in self.moments:
            return self.moments[place][1]
        values = self.draws[place]
        if self.probabilities is None:
            return np.asarray(values.std(axis=0, ddof=1))
        away = (values - self.mean(world, site)) ** 2
        return np.sqrt(np.average(away, axis=0, weights=self.probabilities))

    def noise(self, site: str) -> NDArray[Any]:
        """The draws of a site's noise: that of a counterfactual's two worlds, abducted.

        Of a location-scale family it is standardized: (value − location) / scale.
        """
        return find_site(f"{site}.noise", self.draws, "look at")

    def probability(self, *events: tuple[str, str, Any]) -> float:
        """That all events hold, each a world, a site and its value.

        Among the draws, or exactly where these are all cases.
        """
        holds = np.ones(len(next(iter(self.draws.values()))), dtype=bool)
        for world, site, value in events:
            same = self[world, site] == np.asarray(value)
            holds &= same.reshape(len(same), -1).all(axis=1)
        return float(np.average(holds, weights=self.probabilities))

    def table(self) -> Table:
        """Mean and sd of the sites that differ between worlds, and of the others once.

        With the Monte Carlo standard error of the mean, where this is not exact.
        """
        table = plain_table("", "site", "world", "mean", "mcse", "sd")
        for site in self.sites:
            worlds: dict[str, list[str]] = {}
            for world, places in self.places.items():
                worlds.setdefault(places[site], []).append(world)
            for place, names in worlds.items():
                mean, sd = self.mean(names[0], site), self.sd(names[0], site)
                exact = self.probabilities is not None or place in self.moments
                error = np.zeros_like(sd) if exact else sd / np.sqrt(len(self.draws[place]))
                told = "all" if len(names) == len(self.places) else ", ".join(names)
                for index in list(np.ndindex(mean.shape))[:SHOWN]:
                    numbers = [f"{v[index]:.4g}" for v in (mean, error, sd)]
                    table.add_row(self.layout.entry(place, index), told, *numbers)
        return table

    def __repr__(self) -> str:
        return render(self.table())

    def dataset(self) -> Dataset:
        """Draws by world: an xarray Dataset with the dims ``world`` and ``draw``, and the plates'.

        A site that is the same in all worlds has no dim ``world``. Where the draws are all cases,
        ``probability`` is that of each.
        """
        from xarray import Dataset

        found: dict[str, Any] = {}
        coords: dict[str, Any] = {"world": list(self.worlds)}
        for site in self.sites:
            names = {p[site]: None for p in self.places.values()}
            first = next(iter(names))
            dims = ("draw", *self.layout.dims[first])
            if len(names) == 1:
                found[site] = dims, self.draws[first]
            else:
                found[site] = ("world", *dims), np.stack([self[w, site] for w in self.worlds])
            coords |= {d: v for d, v in self.layout.coords.items() if d in dims}
        if self.probabilities is not None:
            found["probability"] = ("draw",), self.probabilities
        return Dataset(found, coords)
