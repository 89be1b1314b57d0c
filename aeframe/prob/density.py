"""The log joint density of a lowered Model, site by site.

Every site's parents get their values first; what is then left of a site's draw is one random
variable, whose formula is its density, or an expression of some, whose density rules find
(:mod:`aeframe.distributions.rules`). The cost is linear in the number of sites, and cells stay
the cells they are.
"""

from __future__ import annotations

from collections.abc import Mapping

import aesara.tensor as at
from aesara.graph.basic import Apply, Variable
from aesara.tensor.random.type import RandomType

from aeframe.core.errors import DensityError, UnknownNameError
from aeframe.core.graph import Graph, leaves, replay, toposort
from aeframe.distributions.density import LeafDensityOp
from aeframe.distributions.draws import Family, parts
from aeframe.distributions.rules import density_of_expression
from aeframe.prob.sites import ObserveOp, find_site, sites_of


def free_sites(graph: Graph) -> dict[str, Apply]:
    """The sites that are drawn and not observed: those that a density needs values for."""
    return {k: n for k, n in sites_of(graph.results).items() if n.op.kind == "random"}


def realize(graph: Graph, values: Mapping[str, Variable]) -> dict[Variable, Variable]:
    """Site → value that takes its place: those given, and those observed."""
    known = sites_of(graph.results)
    realized: dict[Variable, Variable] = {}
    for name, value in values.items():
        realized[find_site(name, known, "give a value to").outputs[0]] = value
    for node in known.values():
        if isinstance(node.op, ObserveOp):
            realized[node.outputs[0]] = node.inputs[1]
    return realized


def log_density(graph: Graph, values: Mapping[str, Variable]) -> Variable:
    """``Σ_site log p(value | parents)`` over the drawn and the observed sites.

    Parameters
    ----------
    graph
        A Model's expression, lowered.
    values
        Free site → value.

    Raises
    ------
    UnknownNameError
        When a free site has no value.
    DensityError
        When a site has no density, or depends on randomness that is no site.
    """
    missing = [name for name in free_sites(graph) if name not in values]
    if missing:
        raise UnknownNameError(
            "the log joint needs a value for every site that is not observed",
            expected=", ".join(map(repr, missing)),
            got=", ".join(map(repr, values)) or "none",
            fix="add them to the values, or observe them",
        )
    factors = list(log_factors(graph, values).values())
    return at.stack(factors).sum() if factors else at.zeros((), dtype="float64")


def log_factors(graph: Graph, values: Mapping[str, Variable]) -> dict[str, Variable]:
    """Drawn or observed site → the log density of all its entries together."""
    nodes = [n for n in sites_of(graph.results).values() if n.op.kind in ("random", "observed")]
    factors = _factors(nodes, realize(graph, values))
    return {n.op.name: f.sum() for n, f in zip(nodes, factors, strict=True)}


def log_likelihoods(graph: Graph, values: Mapping[str, Variable]) -> dict[str, Variable]:
    """Observed site → the log density of each of its entries, given values of the free sites."""
    nodes = [n for n in sites_of(graph.results).values() if n.op.kind == "observed"]
    factors = _factors(nodes, realize(graph, values))
    return {n.op.name: f for n, f in zip(nodes, factors, strict=True)}


def _factors(nodes: list[Apply], realized: Mapping[Variable, Variable]) -> list[Variable]:
    """Each site's log density, for each of its draws."""
    direct = {n: found for n in nodes if (found := parts(n.inputs[0])) is not None}
    given = iter(replay([v for _, arguments in direct.values() for v in arguments], realized))
    parameters = {n: [next(given) for _ in arguments] for n, (_, arguments) in direct.items()}
    factors = []
    for node in nodes:
        value = realized[node.outputs[0]]
        if node in direct:
            factor = _direct(node, direct[node][0], parameters[node], value)
        else:
            (draw,) = replay([node.inputs[0]], realized)
            factor = _derived(node, draw, value)
        factors.append(factor)
    if any(isinstance(v.type, RandomType) for v in leaves(factors)):
        _blame(nodes, factors)
    return factors


def _direct(node: Apply, op: Family, arguments: list[Variable], value: Variable) -> Variable:
    """The density of a draw that is a random variable itself."""
    try:
        return LeafDensityOp(op)(value, *arguments)
    except NotImplementedError as error:
        raise _no_density(node, str(op.name)) from error


def _derived(node: Apply, draw: Variable, value: Variable) -> Variable:
    """The density of a draw that is an expression of random variables."""
    try:
        return density_of_expression(draw, value)
    except DensityError as error:
        raise _no_density(node, error.got) from error


def _no_density(node: Apply, got: object) -> DensityError:
    return DensityError(
        f"no log density could be found for {node.op.name!r}",
        path=node.op.name,
        expected="a distribution, or an invertible map of one",
        got=got,
        fix="sample the random variable itself and make the transform a "
        "`self.deterministic(...)` site",
    )


def _blame(nodes: list[Apply], factors: list[Variable]) -> None:
    """Raise for the first site whose density depends on a random state."""
    for node, factor in zip(nodes, factors, strict=True):
        if any(isinstance(v.type, RandomType) for v in leaves([factor])):
            drawn = [n for n in toposort([factor]) if any(_is_state(v) for v in n.outputs)]
            raise DensityError(
                f"the density of {node.op.name!r} depends on a draw that is no site",
                path=node.op.name,
                got=str(drawn[0].op) if drawn else None,
                fix="draw it with `self.sample(name, distribution)`",
            )


def _is_state(variable: Variable) -> bool:
    return isinstance(variable.type, RandomType)
