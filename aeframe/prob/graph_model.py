"""Graphs of Aesara random variables, handed over, as Models."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from aesara.graph.basic import Apply, Constant, Variable
from aesara.tensor.random.op import RandomVariable

from aeframe import distributions
from aeframe.core.errors import ArgumentError, StateError
from aeframe.core.graph import leaves, remake, replay, toposort
from aeframe.core.supports import Real, Support
from aeframe.distributions import Distribution
from aeframe.distributions.images import Ends, between, ends_of, image
from aeframe.prob.model import Model
from aeframe.prob.sites import SiteOp, full_name, record


class GraphModel(Model):
    """A graph of Aesara random variables as a Model; see :meth:`aeframe.Model.from_graph`.

    No file can hold it: the graph is Aesara's.
    """

    def __init__(self, sites: Mapping[str, Variable], inputs: Sequence[Variable]) -> None:
        self._sites, self._inputs = dict(sites), tuple(inputs)
        _require_graph(self._sites, self._inputs)

    def __call__(self, *data: Variable) -> dict[str, Variable]:
        """The sites, each after those it needs; without data, on the graph's own symbols."""
        data = data or self._inputs
        if len(data) != len(self._inputs):
            raise StateError(
                "the graph was not given the data that it takes",
                expected=f"{len(self._inputs)} arguments",
                got=str(len(data)),
            )
        names: dict[Variable, str] = {v: k for k, v in self._sites.items()}
        for node in toposort(self._sites.values()):
            if isinstance(node.op, RandomVariable) and node.outputs[1].name:
                names.setdefault(node.outputs[1], node.outputs[1].name)
        made: dict[str, Variable] = {}

        def transform(node: Apply, inputs: list[Variable]) -> list[Variable] | None:
            """Draw from this Model's stream, and put sites where the names are."""
            outputs = None
            if isinstance(node.op, RandomVariable):
                outputs = remake(node, [self.random_state.read(), *inputs[1:]]).outputs
                self.random_state.write(outputs[0])
            if not any(v in names for v in node.outputs):
                return outputs
            outputs = list(outputs or remake(node, inputs).outputs)
            for i, old in enumerate(node.outputs):
                if old in names:
                    outputs[i] = made[names[old]] = _site(names[old], outputs[i])
            return outputs

        replay(list(names), dict(zip(self._inputs, data, strict=True)), transform)
        return made

    def fields(self) -> dict[str, Any]:
        """What a file would hold: the graph itself, which it refuses."""
        return {**super().fields(), "graph": tuple(self._sites.values())}


def from_graph(sites: Mapping[str, Variable], inputs: Sequence[Variable] = ()) -> GraphModel:
    """A Model of the random variables that ``sites`` depend on."""
    return GraphModel(sites, inputs)


def support_of(draw: Variable) -> tuple[Support, tuple[Any, ...]]:
    """Where a draw lies, and what that depends on; all real numbers where it is not known."""
    node = draw.owner
    if isinstance(node.op, RandomVariable):
        family = _families().get(type(node.op))
        if family is None:
            return Real(), ()
        support = inspect.getattr_static(family, "support")
        if isinstance(support, property):
            numbers = [v.data.item() if _is_number(v) else v for v in node.inputs[3:]]
            found = family(*numbers)
            return found.support, found.support_arguments()
        return support, ()
    ends = image(draw, _known_ends, otherwise=(-np.inf, np.inf))
    return Real() if ends is None else between(*ends), ()


def _known_ends(variable: Variable) -> Ends | None:
    """The ends of a random variable or of a site."""
    op = getattr(variable.owner, "op", None)
    if isinstance(op, RandomVariable):
        return ends_of(support_of(variable)[0])
    return ends_of(op.support) if isinstance(op, SiteOp) else None


@cache
def _families() -> dict[type, type[Distribution]]:
    """The type of a random variable → the first of our distributions that draws with it."""
    found: dict[type, type[Distribution]] = {}
    for name in distributions.__all__:
        family = getattr(distributions, name)
        op = getattr(family, "op", None) if isinstance(family, type) else None
        if isinstance(op, RandomVariable):
            found.setdefault(type(op), family)
    return found


def _site(name: str, draw: Variable) -> Variable:
    """The draw as a site: random unless it is a function of other sites alone."""
    nodes = toposort([draw], stop=[v for v in _sites_above(draw)])
    random = any(isinstance(n.op, RandomVariable) for n in nodes)
    support, arguments = support_of(draw) if random else (Real(), ())
    kind = "random" if random else "deterministic"
    return record(SiteOp(full_name(name), kind, support)(draw, *arguments))


def _sites_above(draw: Variable) -> list[Variable]:
    return [n.outputs[0] for n in toposort([draw]) if isinstance(n.op, SiteOp)]


def _require_graph(sites: Mapping[str, Variable], inputs: Sequence[Variable]) -> None:
    """Raise unless the graph is one of random variables on ``inputs``."""
    if not sites or not all(isinstance(v, Variable) and v.owner for v in sites.values()):
        raise ArgumentError(
            "a Model needs random variables",
            expected='ae.Model.from_graph({"mu": mu, "y": y}), with Aesara random variables',
            got=repr(sites),
        )
    free = [v for v in leaves(sites.values()) if v not in inputs and _is_plain(v)]
    if free:
        raise StateError(
            "the graph depends on symbols that are no data",
            got=", ".join(str(v) for v in free),
            fix="name them: ae.Model.from_graph(sites, inputs=[...])",
        )


def _is_number(variable: Variable) -> bool:
    return isinstance(variable, Constant) and variable.type.ndim == 0


def _is_plain(variable: Variable) -> bool:
    return not hasattr(variable, "get_value") and hasattr(variable.type, "ndim")
