"""Scales: which free sites have a scale that is itself free, the funnels of hierarchical models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aeframe.core.graph import toposort
from aeframe.core.supports import Real
from aeframe.distributions.draws import parts
from aeframe.prob import Model
from aeframe.prob.density import free_sites
from aeframe.prob.programs import arguments, cached, lowered


def free_scales(model: Model, data: Sequence[Any]) -> dict[str, str]:
    """Free site of real numbers → the free site that its scale depends on.

    Such a site can be non-centred: a standard normal, times the scale, plus the location.
    """
    given = arguments(model, data)

    def make() -> dict[str, str]:
        free = free_sites(lowered(model, given.symbols()))
        found: dict[str, str] = {}
        below = [v for n in free.values() for v in n.inputs]
        for name, node in free.items():
            drawn = parts(node.inputs[0])
            if drawn is None or not drawn[1] or not isinstance(node.op.support, Real):
                continue
            above = set(toposort([drawn[1][-1]], below))  # the scale is a family's last argument
            scales = [k for k, n in free.items() if n in above and k != name]
            if scales:
                found[name] = scales[-1]
        return found

    return cached(model, ("free scales", repr(given.types)), make)
