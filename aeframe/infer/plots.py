"""The pictures of a Posterior, by ArviZ; each returns the axes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aeframe.core.errors import ArgumentError
from aeframe.infer.diagnosis import arviz
from aeframe.prob.sites import find_site

if TYPE_CHECKING:
    from xarray import DataArray, Dataset

    from aeframe.infer.posterior import Posterior

# more panels than this cannot be read
PANELS, PAIRS = 24, 6


def _draw(kind: str, data: Any, **options: Any) -> Any:
    """ArviZ's plot of that kind; it uses what Matplotlib has deprecated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return getattr(arviz(), f"plot_{kind}")(data, **options)


def _apart(axes: Any) -> Any:
    """Panels that do not run into each other."""
    np.ravel(axes)[0].figure.tight_layout()
    return axes


def plot_trace(posterior: Posterior, sites: Sequence[str] | None) -> Any:
    """Densities and traces, one row for each site."""
    data = _chosen(posterior, sites)
    return _apart(_draw("trace", _with_stats(posterior, data), combined=False, compact=True))


def plot_ranks(posterior: Posterior, sites: Sequence[str] | None) -> Any:
    """Rank plots, one panel for each entry."""
    return _apart(_draw("rank", _few(_chosen(posterior, sites), PANELS)))


def plot_pairs(posterior: Posterior, sites: Sequence[str] | None) -> Any:
    """Scatter plots of pairs of entries, each site's first ones."""
    from xarray import Dataset

    chosen, layout = _chosen(posterior, sites), posterior.layout
    places = [
        (str(site), index, rank)
        for site, values in chosen.data_vars.items()
        for rank, index in enumerate(np.ndindex(values.shape[2:]))
        if np.ptp(_entry(values, rank)) > 0
    ]
    first = sorted(places, key=lambda place: place[-1])[:PAIRS]  # in turn from each site
    shown = {layout.entry(s, i): (s, k) for s, i, k in places if (s, i, k) in first}
    if len(shown) < 2:
        raise ArgumentError(
            "pairs need two entries that vary",
            path="sites",
            got=", ".join(shown) or "none",
            fix="name more `sites`, or use `plot()`",
        )
    data = Dataset({k: (("chain", "draw"), _entry(chosen[s], r)) for k, (s, r) in shown.items()})
    stats = getattr(posterior, "stats", {})
    axes = _draw(
        "pair",
        _with_stats(posterior, data),
        divergences="diverging" in stats,
        marginals=True,
        scatter_kwargs={"alpha": 0.3, "s": 8, "marker": "o", "edgecolors": "none"},
        figsize=(1.6 * len(shown) + 2, 1.6 * len(shown) + 2),
        textsize=9,
    )
    if len(shown) < len(places):
        np.ravel(axes)[0].figure.suptitle(
            f"{len(shown)} of {len(places)} entries, {len(places) - len(shown)} left out: "
            "name `sites` to choose"
        )
    return axes if len(shown) == 2 else _apart(axes)


def _entry(values: DataArray, rank: int) -> NDArray[np.float64]:
    """The draws of a site's entry, (chain, draw)."""
    return values.values.reshape(*values.shape[:2], -1)[:, :, rank]


def plot_predictive(posterior: Posterior, n: int, seed: int) -> Any:
    """The observed values' distribution among those of replicated data."""
    made = posterior.inference_data(predictive=True, n=max(n, 100), seed=seed)
    return _draw("ppc", made, num_pp_samples=n, random_seed=seed)


def _chosen(posterior: Posterior, sites: Sequence[str] | None) -> Dataset:
    data = posterior.dataset()
    names = posterior.layout.free if sites is None else tuple(sites)
    for name in names:
        find_site(name, {str(k): v for k, v in data.data_vars.items()}, "plot")
    return data[list(names)]


def _few(data: Dataset, limit: int) -> Dataset:
    """The first entries of each site, so that there are about ``limit`` in all."""
    each = max(1, limit // max(1, len(data.data_vars)))
    sizes = {d: int(max(1, each)) for d in data.sizes if d not in ("chain", "draw")}
    return data.isel({d: slice(n) for d, n in sizes.items()})


def _with_stats(posterior: Posterior, data: Dataset) -> Any:
    from xarray import Dataset

    stats = getattr(posterior, "stats", None)
    groups = {"posterior": data}
    if stats:
        groups["sample_stats"] = Dataset({k: (("chain", "draw"), v) for k, v in stats.items()})
    return arviz().InferenceData(**groups)
