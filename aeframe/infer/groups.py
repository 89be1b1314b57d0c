"""A Posterior as an ArviZ InferenceData, group by group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aeframe.backends import Program, to_numpy
from aeframe.infer.diagnosis import arviz
from aeframe.prob.density import free_sites, log_likelihoods, realize
from aeframe.prob.programs import Arguments, arguments, backend_of, cached, lowered
from aeframe.prob.sites import sites_of

if TYPE_CHECKING:
    from arviz import InferenceData

    from aeframe.infer.posterior import Posterior


def inference_data(
    posterior: Posterior, predictive: bool, prior: bool, n: int, seed: int
) -> InferenceData:
    """See :meth:`Posterior.inference_data`."""
    layout, draws = posterior.layout, posterior.sampled(n, seed)
    leading = ("chain", "draw")
    groups = {"posterior": layout.dataset(draws, leading)}
    stats = getattr(posterior, "stats", None)
    if stats:
        from xarray import Dataset

        groups["sample_stats"] = Dataset({k: (leading, v) for k, v in stats.items()})
    if layout.observed:
        seen, likelihoods = observations(posterior, draws)
        groups["log_likelihood"] = layout.dataset(likelihoods, leading)
        groups["observed_data"] = layout.dataset(seen, ())
    if predictive and layout.observed:
        made = posterior.predict(n=n, seed=seed)
        observed = {k: made[k][None] for k in layout.observed}
        groups["posterior_predictive"] = layout.dataset(observed, leading)
    if prior:
        made = posterior.unobserved.prior_predictive(n, *posterior.data, seed=seed)
        for group, names in (
            ("prior", (*layout.free, *layout.computed)),
            ("prior_predictive", layout.observed),
        ):
            if names:
                groups[group] = layout.dataset({k: made[k][None] for k in names}, leading)
    return arviz().InferenceData(**groups)


def observations(
    posterior: Posterior, draws: Mapping[str, NDArray[Any]]
) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[np.float64]]]:
    """What was observed, site → array, and its log likelihood, site → (chain, draw, ...).

    ``draws`` are those of the free sites, (chain, draw, ...).
    """
    model = posterior.model
    given = arguments(model, posterior.data)
    names, free, seen, likelihood = cached(
        model, ("log_likelihood", repr(given.types)), lambda: _compile(posterior, given)
    )
    model.init()
    observed = dict(zip(names, map(to_numpy, seen(*given.arrays)), strict=True))
    rows = [np.ascontiguousarray(draws[k].reshape(-1, *draws[k].shape[2:])) for k in free]
    leading = next(iter(draws.values())).shape[:2]
    found = likelihood.map(rows, *given.arrays)
    entries = [to_numpy(v) for v in found]
    shaped = [v.reshape(*leading, *v.shape[1:]) for v in entries]
    return observed, dict(zip(names, shaped, strict=True))


def _compile(
    posterior: Posterior, given: Arguments
) -> tuple[list[str], list[str], Program, Program]:
    """Observed sites, free sites, and the programs for the observations and their densities."""
    graph = lowered(posterior.model, given.symbols())
    free = {k: n.outputs[0].type(name=k) for k, n in free_sites(graph).items()}
    likelihoods = log_likelihoods(graph, free)
    sites = sites_of(graph.results)
    values = realize(graph, free)
    backend = backend_of(posterior.model)
    seen = backend.compile(graph.inputs, [values[sites[k].outputs[0]] for k in likelihoods])
    program = backend.compile([*free.values(), *graph.inputs], list(likelihoods.values()))
    return list(likelihoods), list(free), seen, program
