"""The causal graph of a Model, read off its lowered graph."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from aesara.graph.basic import Apply, Variable
from aesara.tensor.random.type import RandomType

from aeframe.causal.graph import CausalGraph
from aeframe.core.errors import ArgumentError
from aeframe.core.graph import toposort
from aeframe.prob import Model, ObserveOp, SiteOp
from aeframe.prob.programs import arguments, lowered


def as_graph(model: Model | CausalGraph) -> CausalGraph:
    """The graph of a Model that takes no data, or the graph itself."""
    if isinstance(model, CausalGraph):
        return model
    if not isinstance(model, Model):
        raise ArgumentError("a Model or a CausalGraph is needed", got=repr(model))
    return CausalGraph.of(model)


def graph_of(model: Model, data: Sequence[Any], inputs: bool) -> CausalGraph:
    """Sites, and an edge where the value of one reaches another; see :meth:`CausalGraph.of`."""
    symbols = arguments(model, data).symbols()
    lowering = lowered(model, symbols)
    # variable → the sites (and data) that it is made of, passing no other site
    made_of: dict[Variable, dict[str, None]] = {}
    kinds: dict[str, str] = {}
    if inputs:
        for name, symbol in zip(_names(model, symbols), symbols, strict=True):
            if isinstance(symbol, Variable):
                made_of[symbol] = {name: None}
                kinds[name] = "data"
    edges: list[tuple[str, str]] = []
    for node in toposort(lowering.results):
        causes = {name: None for v in _causes(node) for name in made_of.get(v, ())}
        if isinstance(node.op, SiteOp | ObserveOp):
            name = node.op.name
            edges += [(cause, name) for cause in causes]
            kinds[name] = node.op.kind
            causes = {name: None}
        made_of.update(dict.fromkeys(node.outputs, causes))
    return CausalGraph(edges, nodes=tuple(kinds), kinds=kinds)


def _causes(node: Apply) -> list[Variable]:
    """The inputs that a value is made of: no random states, and not what was seen of a draw."""
    inputs = node.inputs[:1] if isinstance(node.op, ObserveOp) else node.inputs
    return [v for v in inputs if not isinstance(v.type, RandomType)]


def _names(model: Model, data: Sequence[Any]) -> list[str]:
    """The names of the arguments that data are bound to."""
    names = list(inspect.signature(type(model).__call__).parameters)[1:]
    return [names[i] if i < len(names) else f"data {i}" for i in range(len(data))]
