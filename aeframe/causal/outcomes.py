"""Outcomes: what sites are in several worlds, as draws or as all cases with probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aeframe.infer import Posterior
from aeframe.infer.layout import Layout
from aeframe.prob.simulate import Draws
from aeframe.prob.sites import find_site

if TYPE_CHECKING:
    from xarray import Dataset


@dataclass(frozen=True)
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
    """

    layout: Layout
    places: Mapping[str, Mapping[str, str]]
    draws: Draws
    probabilities: NDArray[np.float64] | None = None
    posterior: Posterior | None = None

    @property
    def worlds(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(self.places)

    @property
    def sites(self) -> tuple[str, ...]:
        """The sites that all worlds have."""
        first = next(iter(self.places.values()))
        return tuple(k for k in first if all(p[k] in self.draws for p in self.places.values()))

    def __getitem__(self, key: tuple[str, str]) -> NDArray[Any]:
        world, site = key
        place = find_site(site, find_site(world, self.places, "look into"), "look at")
        return self.draws[place]

    def mean(self, world: str, site: str) -> NDArray[np.float64]:
        """The expectation of each entry."""
        return np.asarray(np.average(self[world, site], axis=0, weights=self.probabilities))

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
