"""Observe: the pass that gives sites the values that were seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from aesara.graph.basic import Apply, Variable
from numpy.typing import NDArray

from aeframe.core.cells import State
from aeframe.core.errors import ArgumentError, DataError, NameTakenError
from aeframe.core.graph import Graph
from aeframe.core.shapes import shape_text
from aeframe.prob.sites import (
    ObserveOp,
    SiteOp,
    find_site,
    require_fitting,
    require_possible,
    rewrite_sites,
    site_prefix,
    sites_of,
    tell,
)
from aeframe.rewrites import Pass, Report, Step


class Observe(Pass):
    """Replace sites by what was seen of them; the log joint keeps their densities.

    A site ``draw`` becomes ``ObserveOp(draw, value)``, and what depends on it depends on the
    value. Arrays are kept in cells, so that a file holds them.

    Parameters
    ----------
    values
        Site → number, array or symbolic value.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = {name: as_value(name, v) for name, v in values.items()}

    def __call__(self, graph: Graph) -> tuple[Graph, Report]:
        """Rewrite the observed sites."""
        sites = sites_of(graph.results)
        makers: dict[Apply, Callable[[Apply], Variable]] = {}
        steps: list[Step] = []
        for name, value in self.values.items():
            node = find_site(site_prefix() + name, sites, "observe")
            _require_random(node.op)
            if isinstance(value, State):
                require_possible(node, value.numpy(), "observe")
            seen = require_fitting(node, value, "observe")
            makers[node] = partial(_observed, value=seen)
            after = f"{name} = data {shape_text(seen.type.shape)}"
            steps.append(Step("observe", node.op.name, tell(node), after))
        return rewrite_sites(graph, makers), Report("observe", tuple(steps))


def _observed(node: Apply, value: Variable) -> Variable:
    """The site ``node`` at ``value``, beside its draw."""
    return ObserveOp(node.op.name, node.op.support, node.op.dims)(node.inputs[0], value)


def as_value(name: str, value: Any) -> Variable:
    """A number or an array as a cell of its own, a symbolic value as it is."""
    return value if isinstance(value, Variable) else State(numbers(name, value))


def numbers(name: str, value: Any) -> NDArray[Any]:
    """``value`` as an array of finite numbers."""
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind not in "fiub":
        raise ArgumentError(
            f"the value for {name!r} is no array of numbers",
            path=name,
            expected="a number, an array or a symbolic value",
            got=repr(value),
        )
    if not np.isfinite(array).all():
        raise DataError(
            f"the value for {name!r} holds NaN or infinity",
            path=name,
            expected="finite numbers",
            got=f"{np.size(array) - np.isfinite(array).sum()} of {np.size(array)} are not",
            fix="leave missing entries out, or make them a site of their own",
        )
    return array


def _require_random(op: SiteOp | ObserveOp) -> None:
    if op.kind == "deterministic":
        raise ArgumentError(
            f"{op.name!r} is computed, so it cannot be observed",
            path=op.name,
            expected="a site made with `self.sample`",
            fix="observe what it is computed from, or sample it: "
            f"self.sample({op.name!r}, ae.Normal(value, sd))",
        )
    if op.kind == "do":
        raise NameTakenError(
            f"{op.name!r} is set by an intervention, so it cannot be observed",
            path=op.name,
            fix="observe the model first, or leave out the intervention",
        )
