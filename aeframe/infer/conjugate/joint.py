"""The log joint density of a Model as a product of factors, one for each drawn or observed site.

Steps that draw some sites given all others read it: which factors a site is part of, and how.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import aesara.tensor as at
from aesara.graph.basic import Apply, Variable
from aesara.tensor.random.type import RandomGeneratorType

from aeframe.core.cells import Cell
from aeframe.core.expand import expand
from aeframe.core.graph import Graph, leaves, replay
from aeframe.core.module import Module
from aeframe.distributions import Distribution
from aeframe.distributions.continuous import FlatOp
from aeframe.distributions.draws import DrawOp, Family, parts
from aeframe.prob.density import realize
from aeframe.prob.programs import lowered
from aeframe.prob.sites import ObserveOp, SiteOp, sites_of
from aeframe.prob.unconstrain import static_sites


class Stream:
    """The random numbers of a sweep: each draw takes the state that the last one left.

    Attributes
    ----------
    state
        What the last draw left.
    sweep
        The number of the sweep, from 0.
    updates
        Cell → its next value, of steps that have some of their own.
    stats
        What steps tell of a draw.
    """

    def __init__(self, state: Variable | None = None, sweep: Variable | None = None) -> None:
        self.state = RandomGeneratorType()() if state is None else state
        self.sweep = at.lscalar("sweep") if sweep is None else sweep
        self.updates: dict[Cell, Variable] = {}
        self.stats: dict[str, Variable] = {}

    def draw(self, distribution: Distribution, shape: Sequence[int]) -> Variable:
        """A draw of ``distribution``."""
        self.state, drawn = distribution.draw(self.state, tuple(shape))
        return drawn

    def replay(
        self, values: Mapping[str, Variable], known: Mapping[Variable, Variable]
    ) -> dict[str, Variable]:
        """``values`` with what is ``known`` of their symbols; all that the stream holds too."""
        groups: list[Mapping[Any, Variable]] = [values, self.updates, self.stats]
        self.state, *found = replay([self.state, *(v for g in groups for v in g.values())], known)
        left = iter(found)
        made, self.updates, self.stats = ({key: next(left) for key in g} for g in groups)
        return made


@dataclass(frozen=True)
class Factor:
    """The density of one site at its value.

    Attributes
    ----------
    name
        Of the site.
    family
        What it was drawn from; ``None`` where its draw is a transform of a random variable.
    parameters
        Those of ``family``, as functions of the values of the free sites.
    value
        Of the site: a symbol where it is free, what was observed where not.
    shape
        Of the site.
    node
        The site's Apply.
    """

    name: str
    family: Family | None
    parameters: tuple[Variable, ...]
    value: Variable
    shape: tuple[int, ...]
    node: Apply

    @cached_property
    def depends(self) -> frozenset[Variable]:
        """The leaves that its value and its parameters depend on."""
        return frozenset(leaves([self.value, *self.parameters]))

    def numbers(self) -> list[Variable]:
        """The value and the parameters in float64."""
        return [as_float(v) for v in (self.value, *self.parameters)]


def as_float(v: Variable) -> Variable:
    """``v`` in float64: integers have no negative powers."""
    return v if v.type.dtype == "float64" else v.astype("float64")


@dataclass(frozen=True)
class Joint:
    """The factors of a lowered Model.

    Attributes
    ----------
    graph
        The lowered Model; all typed Ops but sites and draws are expanded.
    nodes
        Free site → its Apply.
    held
        Free site → the symbol that stands for its value.
    factors
        Those of all drawn and observed sites, in order.
    """

    graph: Graph
    nodes: dict[str, Apply]
    held: dict[str, Variable]
    factors: dict[str, Factor]

    @property
    def flat(self) -> set[str]:
        """The sites whose priors cannot be normalized."""
        return {k for k in self.nodes if isinstance(self.factors[k].family, FlatOp)}

    def around(self, names: Collection[str]) -> list[Factor]:
        """The factors that sites are part of: their priors, and the densities of their children."""
        symbols = {self.held[name] for name in names}
        return [f for f in self.factors.values() if not symbols.isdisjoint(f.depends)]

    def blanket(self, names: Collection[str]) -> set[str]:
        """The other free sites in the factors around ``names``."""
        found = {v for f in self.around(names) for v in f.depends}
        return {k for k, v in self.held.items() if v in found} - set(names)


def joint(model: Module, data: Sequence[Variable]) -> Joint:
    """The factors of ``model`` on ``data``, which are symbolic or cells.

    Raises
    ------
    ShapeError
        When the shape of a free site is not known.
    """
    graph = expand(lowered(model, data), lambda node: isinstance(node.op, _KEPT))
    nodes = static_sites(graph)
    held = {name: n.outputs[0].type(name=name) for name, n in nodes.items()}
    realized = realize(graph, held)
    factors: dict[str, Factor] = {}
    for name, node in sites_of(graph.results).items():
        if node.op.kind not in ("random", "observed"):
            continue
        found = parts(node.inputs[0])
        family, parameters = (None, [node.inputs[0]]) if found is None else found
        site = node.outputs[0]
        factors[name] = Factor(
            name,
            family,
            tuple(replay(parameters, realized)),
            realized[site],
            tuple(node.inputs[1].type.shape if node.op.kind == "observed" else site.type.shape),
            node,
        )
    return Joint(graph, nodes, held, factors)


_KEPT = (SiteOp, ObserveOp, DrawOp)
