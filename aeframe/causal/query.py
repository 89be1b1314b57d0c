"""What holds in several worlds, given what is known: by forward draws, exactly, or by abduction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from aesara.graph.basic import Apply
from numpy.typing import NDArray

from aeframe.causal.outcomes import Moments, Outcomes
from aeframe.causal.worlds import Worlds
from aeframe.core.errors import ArgumentError, DataError
from aeframe.distributions import Normal
from aeframe.infer import (
    ConjugatePosterior,
    Enumeration,
    Exact,
    ExactPosterior,
    Inference,
    Posterior,
)
from aeframe.infer.conjugate.closed import Block, One
from aeframe.infer.enumeration import assignments
from aeframe.infer.fit import choose_for_draws
from aeframe.infer.layout import layout
from aeframe.prob import Model, sites_of
from aeframe.prob.density import free_sites
from aeframe.prob.programs import arguments, lowered
from aeframe.prob.simulate import Draws, simulate
from aeframe.prob.sites import find_site

# entries of jointly normal sites up to which moments are found
LARGEST = 200
# the world without changes, where units are selected in it
SEEN = "as seen"


def worlds(
    source: Model | Posterior,
    changes: Mapping[str, Mapping[str, Any]],
    *data: Any,
    given: Mapping[str, Any] | None = None,
    inference: Inference | None = None,
    only: Sequence[str] = (),
    n: int = 1000,
    units: int = 1,
    seed: int = 0,
) -> Outcomes:
    """Draws of all sites in several worlds.

    Parameters
    ----------
    source
        A Model; or a Posterior, for units to come: free sites that no change reaches come from
        its draws, all others (what was observed too) are drawn anew.
    changes
        World → site → what it becomes.
    data
        The arguments of the Model; by default those of the fit.
    given
        What is known of a unit in the world without changes: sites that no world reaches, and
        those that are changed. Of a Model, what it observes is known too. A Posterior is not
        updated by one more unit: its draws must decide what is known, or this must be discrete;
        then the units for which it holds are kept.
    inference
        How to find what is shared from what is known: by default exactly where the shared sites
        are discrete or conjugate, else by Gibbs or NUTS. With :class:`aeframe.Enumeration` the
        answer is exact: all cases, with probabilities; with :class:`aeframe.Exact` so are the
        means and standard deviations.
    only
        Sites that are asked for; by default all.
    n, seed
        Number of draws, and what decides them.
    units
        Number of units that are drawn for each draw of a Posterior.

    Raises
    ------
    ArgumentError
        When what is known is a descendant of what is changed.

    >>> from aeframe.distributions import Normal
    >>> class Chain(Model):
    ...     def __call__(self):
    ...         x = self.sample("x", Normal(0, 1))
    ...         self.sample("y", Normal(2 * x, 1))
    >>> found = worlds(Chain(), {"control": {"x": 0}, "treated": {"x": 1}}, n=5)
    >>> found.dataset()["y"].dims
    ('world', 'draw')
    >>> (found["treated", "y"] - found["control", "y"]).round(12)
    array([2., 2., 2., 2., 2.])
    """
    if isinstance(source, Posterior):
        return _of_units(source, changes, data or source.data, given or {}, only, n, units, seed)
    if not isinstance(source, Model):
        raise ArgumentError("worlds are of a Model or a Posterior", got=repr(source))
    twin = Worlds(source.observe(given) if given else source, changes, only)
    return solve(twin, data, inference, n, seed)


def _of_units(
    posterior: Posterior,
    changes: Mapping[str, Mapping[str, Any]],
    data: Sequence[Any],
    given: Mapping[str, Any],
    only: Sequence[str],
    n: int,
    units: int,
    seed: int,
) -> Outcomes:
    """The worlds of units to come, some for each draw of the posterior."""
    model, draws = posterior.unobserved, posterior.draws(n, seed)
    fixed = {k: np.repeat(v, units, axis=0) for k, v in draws.items()}
    groups = np.repeat(np.arange(n), units)
    nodes = sites_of(lowered(model, arguments(model, data).symbols()).outputs)
    selected = [k for k in given if _undecided(find_site(k, nodes, "condition on"), fixed)]
    held = {k: v for k, v in given.items() if k not in selected}
    _require_discrete(selected, nodes)
    worlds = {SEEN: {}, **changes} if selected else changes
    twin = Worlds(model.observe(held) if held else model, worlds, (*only, *selected))
    found = replace(drawn(twin, data, n * units, seed, fixed), groups=groups)
    if not selected:
        return found
    kept = np.ones(n * units, dtype=bool)
    for name in selected:
        same = found[SEEN, name] == np.asarray(given[name])
        kept &= same.reshape(len(same), -1).all(axis=1)
    if not kept.any():
        raise DataError(
            "what is known holds for none of the units that were drawn",
            got=dict(given),
            fix="raise `units` or `n`",
        )
    return replace(found, draws={k: v[kept] for k, v in found.draws.items()}, groups=groups[kept])


def _undecided(node: Apply, fixed: Draws) -> bool:
    """Whether a site depends on draws that a posterior does not have."""
    above = sites_of(node.inputs[:1])
    return any(n.op.kind == "random" and k not in fixed for k, n in above.items())


def _require_discrete(names: Sequence[str], nodes: Mapping[str, Apply]) -> None:
    for name in names:
        if not nodes[name].op.support.discrete:
            raise ArgumentError(
                f"a unit with this {name!r} is never drawn: it is continuous, and depends on what "
                "the posterior has no draws of",
                path=name,
                fix="know what it depends on too, or pass the Model, which abducts it",
            )


def solve(
    twin: Worlds, data: Sequence[Any], inference: Inference | None, n: int, seed: int
) -> Outcomes:
    """The worlds, given what the Model observes."""
    shared = layout(twin.factual, data)
    forward = inference is None and not shared.observed
    if forward or not layout(twin, data).free:
        return drawn(twin, data, n, seed, {})
    if inference is None and few_cases(twin, data):
        inference = Enumeration()
    if isinstance(inference, Enumeration):
        return cases(twin, data, inference.run(twin, data))
    if not isinstance(inference, Exact) and not shared.free:
        return drawn(twin, data, n, seed, {})
    if inference is None:
        return _by_choice(twin, data, n, seed)
    posterior = inference.run(twin if isinstance(inference, Exact) else twin.factual, data)
    return drawn(twin, data, n, seed, posterior.draws(n, seed), posterior)


def few_cases(twin: Worlds, data: Sequence[Any]) -> bool:
    """Whether all worlds together have few cases, so that summing over them is cheap."""
    free = free_sites(lowered(twin, arguments(twin, data).symbols()))
    return assignments(free) <= Enumeration().limit


def _by_choice(twin: Worlds, data: Sequence[Any], n: int, seed: int) -> Outcomes:
    try:
        posterior: Posterior = Exact().run(twin, data)
    except ArgumentError:
        method, _, found = choose_for_draws(twin.factual, data)
        posterior = method.run(twin.factual, data) if found is None else found
    return drawn(twin, data, n, seed, posterior.draws(n, seed), posterior)


def cases(twin: Worlds, data: Sequence[Any], posterior: ExactPosterior) -> Outcomes:
    """All cases of the worlds, with their probabilities."""
    found = posterior.assignments, posterior.probabilities
    return Outcomes(layout(twin, data), twin.places(*data), *found, posterior)


def drawn(
    twin: Worlds,
    data: Sequence[Any],
    n: int,
    seed: int,
    fixed: Draws,
    posterior: Posterior | None = None,
) -> Outcomes:
    """``n`` draws of all worlds, sites in ``fixed`` as they are there."""
    sites = layout(twin, data)
    own = {k: v for k, v in fixed.items() if k in sites.free}
    found = simulate(twin, n, data, seed, own)
    exact = moments(twin, data, posterior) if isinstance(posterior, ConjugatePosterior) else {}
    return Outcomes(sites, twin.places(*data), found, None, posterior, moments=exact)


def moments(twin: Worlds, data: Sequence[Any], posterior: ConjugatePosterior) -> Moments:
    """Exact mean and sd of the sites that are affine in jointly normal ones.

    For f affine and x = m + L z, z standard, f(x) has the mean f(m) and the variance
    Σ_i (f(m + L_i) − f(m))². That f is affine is seen near and far from m.
    """
    blocks = []
    for part in posterior.parts:
        if isinstance(part, Block) and part.variance is None:
            blocks.append((part.shapes, part.mean, _root(part.covariance)))
        elif isinstance(part, One) and isinstance(part.of, Normal):
            mean, sd = np.asarray(part.of.mean), np.asarray(part.of.sd)
            spread = np.diag(np.broadcast_to(sd, mean.shape).ravel())
            blocks.append(({part.site: mean.shape}, mean.ravel(), spread))
        else:
            return {}
    size = sum(len(mean) for _, mean, _ in blocks)
    if size > LARGEST:
        return {}
    far = np.random.default_rng(0).normal(size=(2, size)) * 1000.0
    eye = np.eye(size)
    z = np.concatenate([np.zeros((1, size)), eye, 1000.0 * eye, -1000.0 * eye, far])
    fixed, start = {}, 0
    for shapes, mean, root in blocks:
        x = mean + z[:, start : start + len(mean)] @ root.T
        start, place = start + len(mean), 0
        for site, shape in shapes.items():
            stop = place + int(np.prod(shape, dtype=int))
            fixed[site] = np.ascontiguousarray(x[:, place:stop]).reshape(len(z), *shape)
            place = stop
    own = {k: v for k, v in fixed.items() if k in layout(twin, data).free}
    found = simulate(twin, len(z), data, 0, own)
    return {k: made for k, v in found.items() if (made := _affine(z, v)) is not None}


def _affine(z: NDArray[Any], v: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Mean and sd of v(z), where its values say that it is affine."""
    if v.dtype.kind != "f" or not np.isfinite(v).all():
        return None
    slopes = v[1 : z.shape[1] + 1] - v[0]
    expected = v[0] + np.tensordot(z, slopes, axes=1)
    scale = 1e-9 * (1.0 + np.abs(z).max() * np.abs(slopes).max(initial=0.0) + np.abs(v[0]).max())
    if not np.allclose(expected, v, rtol=1e-9, atol=scale):
        return None
    return v[0], np.sqrt((slopes**2).sum(axis=0))


def _root(covariance: NDArray[Any]) -> NDArray[Any]:
    """A square root of a covariance, which may be singular."""
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0.0))
