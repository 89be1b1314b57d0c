"""What holds in several worlds, given what is known: by forward draws, exactly, or by abduction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeframe.causal.outcomes import Moments, Outcomes
from aeframe.causal.worlds import Worlds
from aeframe.core.errors import ArgumentError
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


def worlds(
    source: Model | Posterior,
    changes: Mapping[str, Mapping[str, Any]],
    *data: Any,
    given: Mapping[str, Any] | None = None,
    inference: Inference | None = None,
    n: int = 1000,
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
        those that are changed. Of a Model, what it observes is known too. With a Posterior, which
        one more unit does not update, what decides them must be among its draws.
    inference
        How to find what is shared from what is known: by default exactly where the shared sites
        are discrete or conjugate, else by Gibbs or NUTS. With :class:`aeframe.Enumeration` the
        answer is exact: all cases, with probabilities; with :class:`aeframe.Exact` so are the
        means and standard deviations.
    n, seed
        Number of draws, and what decides them.

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
        data, model = data or source.data, source.unobserved
        twin = Worlds(model.observe(given) if given else model, changes)
        fixed = source.draws(n, seed)
        require_decided(twin.factual, data, fixed, given or {})
        return drawn(twin, data, n, seed, fixed)
    if not isinstance(source, Model):
        raise ArgumentError("worlds are of a Model or a Posterior", got=repr(source))
    twin = Worlds(source.observe(given) if given else source, changes)
    return solve(twin, data, inference, n, seed)


def solve(
    twin: Worlds, data: Sequence[Any], inference: Inference | None, n: int, seed: int
) -> Outcomes:
    """The worlds, given what the Model observes."""
    shared = layout(twin.factual, data)
    if not shared.free or (inference is None and not shared.observed):
        return drawn(twin, data, n, seed, {})
    if inference is None and _few(twin, data):
        inference = Enumeration()
    if isinstance(inference, Enumeration):
        return cases(twin, data, inference.run(twin, data))
    if inference is None:
        return _by_choice(twin, data, n, seed)
    posterior = inference.run(twin if isinstance(inference, Exact) else twin.factual, data)
    return drawn(twin, data, n, seed, posterior.draws(n, seed), posterior)


def _few(twin: Worlds, data: Sequence[Any]) -> bool:
    """Whether all worlds together have few cases."""
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
    return Outcomes(sites, twin.places(*data), found, None, posterior, exact)


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


def require_decided(
    model: Model, data: Sequence[Any], fixed: Draws, given: Mapping[str, Any]
) -> None:
    """Refuse knowledge of a unit from which a posterior's draws cannot tell the rest."""
    nodes = sites_of(lowered(model, arguments(model, data).symbols()).outputs)
    for name in given:
        above = sites_of(find_site(name, nodes, "condition on").inputs[:1])
        free = [k for k, node in above.items() if node.op.kind == "random" and k not in fixed]
        if free:
            raise ArgumentError(
                f"{name!r} says something of {', '.join(map(repr, free))}, of which the "
                "posterior has no draws",
                path=name,
                fix="know these too, or fit the model with this unit among its data",
            )
