"""ID and IDC: effects of interventions from observational data, as far as a graph allows.

Shpitser and Pearl, "Identification of joint interventional distributions in recursive
semi-Markovian causal models" (AAAI 2006) and "Identification of conditional interventional
distributions" (UAI 2006). Lines are numbered as there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import networkx as nx

from aeframe.causal.estimand import Estimand, P, Probability, product, quotient, total
from aeframe.causal.graph import CausalGraph, Names
from aeframe.causal.model_graph import as_graph
from aeframe.core.errors import ArgumentError, NotIdentifiableError
from aeframe.prob import Model

Set = frozenset[str]


@dataclass(frozen=True)
class Hedge:
    """Why an effect cannot be identified: two C-forests with the same roots.

    In each, every variable has at most one child and bidirected edges connect all; the larger
    one, ``outer``, has treatments in it, the smaller one none. Two models can then agree on all
    observations and differ in the effect (Shpitser and Pearl 2006, theorem 4).
    """

    outer: CausalGraph
    inner: CausalGraph
    roots: Set

    def __str__(self) -> str:
        roots = ", ".join(sorted(self.roots))
        return f"F = ({self.outer}), F' = ({self.inner}), roots {roots}"


class _HedgeFoundError(Exception):
    """What line 5 throws."""

    def __init__(self, hedge: Hedge) -> None:
        self.hedge = hedge


def identify(
    model: Model | CausalGraph,
    outcome: Names,
    do: Names = (),
    given: Names = (),
    experiments: Iterable[Names] = (),
) -> Estimand:
    """``P(outcome | do(do), given)`` as a function of the observational distribution.

    Parameters
    ----------
    model
        A graph, or a Model that takes no data; else pass ``CausalGraph.of(model, data)``.
        Hidden sites are named there too.
    experiments
        Sets of variables that other studies randomized, each of them at all values: what they
        found may be used beside what was observed (gID: Lee, Correa and Bareinboim, UAI 2019).

    Returns
    -------
    Estimand
        Its free variables are among ``outcome``, ``do`` and ``given``; those that make no
        difference are left out.

    Raises
    ------
    NotIdentifiableError
        When no function of observations is the effect; its ``hedge`` is the proof.
    UnknownNameError
        When a variable is not in the graph.

    >>> print(identify(CausalGraph(["ZX", "ZY", "XY"]), "Y", do="X"))
    Σ_{Z} P(Y | X, Z) P(Z)
    >>> print(identify(CausalGraph(["XM", "MY"], bidirected=["XY"]), "Y", do="X"))
    Σ_{M} P(M | X) Σ_{X'} P(X') P(Y | M, X')
    """
    graph = as_graph(model)
    y, x, z = (graph.check(names) for names in (outcome, do, given))
    if not y or y & x or y & z or x & z:
        raise ArgumentError(
            "outcome, do and given are sets of variables that share nothing",
            expected="an outcome at least",
            got=f"outcome {sorted(y)}, do {sorted(x)}, given {sorted(z)}",
        )
    studies = [graph.check(names) for names in ((), *experiments)]
    try:
        found = _idc(y, x, z, studies, graph)
    except _HedgeFoundError as failure:
        hedge = failure.hedge
        raise NotIdentifiableError(
            f"{P(y, z, x)} is not identifiable",
            expected="no hidden causes that tie the treatment to all of its effects",
            got=f"a hedge: {hedge}",
            fix="measure a hidden cause, find an instrument, or randomize the treatment",
            hedge=hedge,
        ) from None
    found = found.rebuilt(lambda p: _shorter(p, graph))
    # what is left of other variables changes nothing: any weights will do
    spare = found.free - y - x - z
    return total(spare, product(P(spare), found)) if spare else found


def _shorter(p: Probability, graph: CausalGraph) -> Estimand:
    """A probability without the conditions that the graph says change nothing."""
    return P(p.of, graph.without(p.do).relevant(p.of, p.given), p.do)


def _idc(y: Set, x: Set, z: Set, studies: Sequence[Set], graph: CausalGraph) -> Estimand:
    """``P(y | do(x), z)``."""
    # line 1: an observation that says as much as an intervention is one (rule 2 of do-calculus)
    for v in sorted(z):
        rest = z - {v}
        cut = graph.without_incoming(x).without_outgoing({v})
        if cut.separated(y, {v}, x | rest):
            return _idc(y, x | {v}, rest, studies, graph)
    # line 2
    joint = _id_from_studies(y | z, x, studies, graph)
    return quotient(joint, total(y, joint)) if z else joint


def _id_from_studies(y: Set, x: Set, studies: Sequence[Set], graph: CausalGraph) -> Estimand:
    """``P(y | do(x))``: each district's factor from the first study that has it."""
    if len(studies) == 1:
        return _id(y, x, P(graph.nodes), graph)
    causes = graph.without(x).ancestors(y)
    factors = [
        _first(s, [z for z in studies if z.isdisjoint(s)], graph)
        for s in graph.subgraph(causes).districts
    ]
    return total(causes - y, product(*factors))


def _first(s: Set, studies: Sequence[Set], graph: CausalGraph) -> Estimand:
    """``P(s | do(all others))`` by the first study that identifies it."""
    failures = []
    for z in studies:
        rest = graph.without(z)
        try:
            return _id(s, Set(rest.nodes) - s, P(rest.nodes, do=z), rest)
        except _HedgeFoundError as failure:
            failures.append(failure)
    raise failures[0]


def _id(y: Set, x: Set, p: Estimand, graph: CausalGraph) -> Estimand:
    """``P(y | do(x))``, where ``p`` is the distribution of the variables of ``graph``."""
    v = Set(graph.nodes)
    # line 1: nothing is done
    if not x:
        return total(v - y, p)
    # line 2: what does not cause y does not matter
    ancestors = graph.ancestors(y)
    if v - ancestors:
        return _id(y, x & ancestors, total(v - ancestors, p), graph.subgraph(ancestors))
    # line 3: what acts on y through x alone may be set too
    w = v - x - graph.without_incoming(x).ancestors(y)
    if w:
        return _id(y, x | w, p, graph)
    # line 4: one factor for each district of what is left
    districts = graph.without(x).districts
    if len(districts) > 1:
        factors = [_id(s, v - s, p, graph) for s in districts]
        return total(v - y - x, product(*factors))
    (s,) = districts
    # line 5: x shares hidden causes with everything
    if len(graph.districts) == 1:
        inner = graph.subgraph(s)
        raise _HedgeFoundError(Hedge(_forest(graph, y, inner), _forest(inner, y, inner), y))
    # line 6: s is a district of the graph itself
    if s in graph.districts:
        return total(s - y, _factor(s, p, graph))
    # line 7: s lies in a larger district, whose factor is a distribution of its own
    larger = next(d for d in graph.districts if s < d)
    return _id(y, x & larger, _factor(larger, p, graph), graph.subgraph(larger))


def _factor(district: Set, p: Estimand, graph: CausalGraph) -> Estimand:
    """``∏ P(v | all before v)`` over a district, what lies outside at any value."""
    factors: list[Estimand] = []
    for i, v in enumerate(graph.order):
        if v in district:
            later = graph.order[i + 1 :]
            factors.append(quotient(total(later, p), total((v, *later), p)))
    return product(*factors)


def _forest(graph: CausalGraph, roots: Set, inner: CausalGraph) -> CausalGraph:
    """One child for each variable but the roots, and just the bidirected edges to connect all.

    Edges of ``inner`` come first, so that its own forest is part of this one.
    """
    child: dict[str, str] = {}
    for layer in (inner, graph):
        reached = [v for v in layer.nodes if v in roots or v in child]
        for v in reached:  # grows while it is walked
            for parent in layer.directed.predecessors(v):
                if parent not in roots and parent not in child:
                    child[parent] = v
                    reached.append(parent)
    arcs = nx.Graph(graph.bidirected)
    for a, b, edge in arcs.edges(data=True):
        edge["weight"] = 0 if a in inner.directed and b in inner.directed else 1
    return CausalGraph(child.items(), nx.minimum_spanning_edges(arcs, data=False), graph.nodes)
