"""The pictures of a Posterior, by ArviZ; each returns the axes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from aeframe.infer.diagnosis import arviz
from aeframe.prob.sites import find_site

if TYPE_CHECKING:
    from xarray import Dataset

    from aeframe.infer.posterior import Posterior

# more panels than this cannot be read
PANELS, PAIRS = 24, 8


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
    """Scatter plots of pairs."""
    data = _with_stats(posterior, _few(_chosen(posterior, sites), PAIRS))
    stats = getattr(posterior, "stats", {})
    return _draw(
        "pair",
        data,
        divergences="diverging" in stats,
        marginals=True,
        scatter_kwargs={"alpha": 0.3, "s": 6},
    )


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
