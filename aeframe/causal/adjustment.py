"""Adjustment: sets of variables that turn an association into an effect, and instruments.

Backdoor sets are the minimal separators of van der Zander, Liskiewicz and Textor (*Constructing
separators and adjustment sets in ancestral graphs*, AIJ 2019), listed as by Kloks and Kratsch
(1998): the time is linear in the number of sets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations

import networkx as nx

from aeframe.causal.graph import CausalGraph, Names
from aeframe.causal.model_graph import as_graph
from aeframe.core.errors import ArgumentError, NotIdentifiableError
from aeframe.prob import Model

Set = frozenset[str]


def backdoor_sets(model: Model | CausalGraph, outcome: Names, do: Names) -> tuple[Set, ...]:
    """All minimal sets ``z`` with ``P(y | do(x)) = Σ_z P(y | x, z) P(z)``, the smallest first.

    For one treatment they are the minimal sets that satisfy Pearl's backdoor criterion; for
    several, the adjustment criterion (Shpitser, VanderWeele and Robins 2010). There is none
    where adjustment cannot give the effect; :func:`aeframe.causal.identify` may still do so.

    >>> backdoor_sets(CausalGraph(["ZX", "ZY", "XY"]), "Y", do="X")
    (frozenset({'Z'}),)
    """
    graph, y, x = _question(model, outcome, do)
    allowed = Set(graph.nodes) - y - x - _forbidden(graph, y, x)
    return _sorted(_separators(_without_effect(graph, y, x), x, y, allowed))


def frontdoor_sets(model: Model | CausalGraph, outcome: Names, do: Names) -> tuple[Set, ...]:
    """All minimal sets that satisfy Pearl's frontdoor criterion, the smallest first.

    Such a set stops all directed paths from the treatments to the outcomes, nothing confounds it
    with the treatments, and given these nothing confounds it with the outcomes. Then
    ``P(y | do(x)) = Σ_z P(z | x) Σ_x' P(y | x', z) P(x')``. All subsets of what may be in one are
    tried: the time is exponential in the number of ancestors of the outcome.

    >>> graph = CausalGraph(["XM", "MY"], bidirected=["XY"])
    >>> frontdoor_sets(graph, "Y", do="X")
    (frozenset({'M'}),)
    """
    graph, y, x = _question(model, outcome, do)
    unconfounded = graph.without_outgoing(x)
    candidates = sorted(v for v in graph.ancestors(y) - x - y if unconfounded.separated(x, v, ()))
    found: list[Set] = []
    for size in range(len(candidates) + 1):
        for chosen in map(Set, combinations(candidates, size)):
            if any(smaller <= chosen for smaller in found):
                continue
            if graph.without(chosen).descendants(x) & y:
                continue
            if not chosen or graph.without_outgoing(chosen).separated(chosen, y, x):
                found.append(chosen)
    return tuple(found)


def optimal_adjustment_set(model: Model | CausalGraph, outcome: Names, do: Names) -> Set:
    """The adjustment set with the smallest asymptotic variance in a graph without ``↔``.

    ``O = pa(cn) ∖ (de(cn) ∪ x)`` where ``cn`` are the variables on causal paths after ``x``
    (Henckel, Perković and Maathuis 2022; Rotnitzky and Smucler 2020).

    Raises
    ------
    ArgumentError
        When the graph has bidirected edges: then no set need be best. When an outcome is no
        effect of the treatments.
    NotIdentifiableError
        When no adjustment set exists (as for two treatments, one the cause of a confounder).

    >>> sorted(optimal_adjustment_set(CausalGraph(["ZX", "ZY", "XY", "WY"]), "Y", do="X"))
    ['W', 'Z']
    """
    graph, y, x = _question(model, outcome, do)
    if graph.bidirected.edges:
        raise ArgumentError(
            "an optimal adjustment set is defined without hidden causes",
            got=", ".join(f"{a} ↔ {b}" for a, b in graph.bidirected.edges),
            fix="choose one of backdoor_sets(...)",
        )
    forbidden = _forbidden(graph, y, x)
    if untouched := y - forbidden:
        raise ArgumentError(
            f"the treatments have no effect on {', '.join(sorted(untouched))}",
            got=f"no path from {', '.join(sorted(x))}",
        )
    found = graph.parents(_causal(graph, y, x)) - forbidden - x
    if not _without_effect(graph, y, x).separated(x, y, found):
        raise NotIdentifiableError(
            f"no adjustment set gives the effect of {', '.join(sorted(x))}",
            fix="use ae.causal.identify, which is not bound to one set",
        )
    return found


@dataclass(frozen=True)
class Instrument:
    """A variable that moves the treatment and reaches the outcome through it alone.

    ``given`` is what has to be held fixed for that.
    """

    name: str
    given: Set = frozenset()

    def __str__(self) -> str:
        return self.name + (f" | {', '.join(sorted(self.given))}" if self.given else "")


def instruments(model: Model | CausalGraph, outcome: str, do: str) -> tuple[Instrument, ...]:
    """Instruments for the total effect of one variable on another, conditional ones included.

    ``(z, w)`` is listed when ``z`` depends on ``x`` given ``w``, ``w`` is a minimal set that
    separates ``z`` from ``y`` once the causal paths from ``x`` to ``y`` are cut, and neither holds
    an effect of what lies on these (Henckel, Buttenschoen and Maathuis 2024, theorem 3.1). In a
    linear model the effect is then ``cov(z, y | w) / cov(z, x | w)``.

    >>> graph = CausalGraph(["ZX", "XY", "WZ", "WY"], bidirected=["XY"])
    >>> print(*instruments(graph, "Y", do="X"))
    Z | W
    """
    graph, y, x = _question(model, outcome, do)
    if len(x) != 1 or len(y) != 1:
        raise ArgumentError("instruments are for one treatment and one outcome")
    cut = _without_effect(graph, y, x)
    allowed = Set(graph.nodes) - x - y - _forbidden(graph, y, x)
    return tuple(
        Instrument(z, w)
        for z in graph.order
        if z in allowed
        for w in _sorted(_separators(cut, Set({z}), y, allowed - {z}))
        if not graph.separated(z, x, w)
    )


def _question(
    model: Model | CausalGraph, outcome: Names, do: Names
) -> tuple[CausalGraph, Set, Set]:
    """The graph, the outcomes and the treatments."""
    graph = as_graph(model)
    y, x = graph.check(outcome), graph.check(do)
    if not y or not x or y & x:
        raise ArgumentError(
            "an effect is that of some variables on others",
            got=f"outcome {sorted(y)}, do {sorted(x)}",
        )
    return graph, y, x


def _causal(graph: CausalGraph, y: Set, x: Set) -> Set:
    """The variables after ``x`` on directed paths to ``y`` that meet ``x`` only at their start."""
    return (graph.without_incoming(x).descendants(x) - x) & graph.without_outgoing(x).ancestors(y)


def _forbidden(graph: CausalGraph, y: Set, x: Set) -> Set:
    """What no adjustment set may hold: all effects of what is on causal paths."""
    return graph.descendants(_causal(graph, y, x))


def _without_effect(graph: CausalGraph, y: Set, x: Set) -> CausalGraph:
    """The graph without the first edges of causal paths (the proper backdoor graph)."""
    causal = _causal(graph, y, x)
    kept = [(a, b) for a, b in graph.directed.edges if not (a in x and b in causal)]
    return CausalGraph(kept, graph.bidirected.edges, graph.nodes)


def _sorted(sets: Iterable[Set]) -> tuple[Set, ...]:
    return tuple(sorted(sets, key=lambda s: (len(s), sorted(s))))


def _separators(graph: CausalGraph, x: Set, y: Set, allowed: Set) -> Iterator[Set]:
    """The minimal subsets of ``allowed`` that m-separate ``x`` from ``y``.

    They are the minimal vertex separators of the moral graph of the ancestors. A vertex that no
    separator may hold is left out, and its neighbours joined.
    """
    full = graph.expanded
    kept = {a for v in x | y for a in (v, *nx.ancestors(full, v))}
    moral = nx.moral_graph(full.subgraph(kept))
    for v in kept - allowed - x - y:
        moral.add_edges_from(combinations(list(moral[v]), 2))
        moral.remove_node(v)
    # x and y become one vertex each, 0 and 1
    for side, end in ((x, 0), (y, 1)):
        moral.add_edges_from((end, v) for s in side for v in list(moral[s]) if v not in side)
        moral.add_node(end)
        moral.remove_nodes_from(side)
    yield from _vertex_separators(moral, 0, 1)


def _vertex_separators(graph: nx.Graph, a: int, b: int) -> Iterator[Set]:
    """All minimal sets of vertices without which no path leads from ``a`` to ``b``."""

    def nearest(side: set[object]) -> Set | None:
        """The separator next to ``side``, a connected set with ``a`` in it."""
        border = set(nx.node_boundary(graph, side))
        if b in border:
            return None
        beyond = nx.node_connected_component(graph.subgraph(set(graph) - border), b)
        return Set(nx.node_boundary(graph, beyond))

    todo = [nearest({a})]
    seen = set(todo)
    while todo:
        if (found := todo.pop()) is None:
            continue
        yield found
        side = nx.node_connected_component(graph.subgraph(set(graph) - found), a)
        new = {nearest(side | {v}) for v in found} - seen
        seen |= new
        todo += new
