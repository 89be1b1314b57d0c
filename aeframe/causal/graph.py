"""CausalGraph: variables, what causes what (→), and what a hidden cause has in common (↔).

Directed edges lie in a networkx ``DiGraph``, bidirected ones in a ``Graph`` on the same nodes:
together an acyclic directed mixed graph (Richardson 2003). A Model has one: see
:meth:`CausalGraph.of`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Any

import networkx as nx

from aeframe.core.errors import ArgumentError, UnknownNameError, nearest

if TYPE_CHECKING:
    from aeframe.prob import Model

Names = Iterable[str]  # one name, or some: `"x"` means `("x",)`


@dataclass(frozen=True)
class Independence:
    """``x`` is independent of ``y`` given the variables ``given``.

    >>> print(Independence("x", "y", ("z",)))
    x ⊥ y | z
    """

    x: str
    y: str
    given: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.x} ⊥ {self.y}" + (f" | {', '.join(self.given)}" if self.given else "")


class CausalGraph:
    """An acyclic graph of directed and bidirected edges; it never changes.

    Parameters
    ----------
    directed
        Pairs (cause, effect).
    bidirected
        Pairs of variables that a hidden variable causes.
    nodes
        Variables that may have no edge; all others follow in the order of the edges.
    kinds
        Node → ``"random"``, ``"deterministic"``, ``"observed"``, ``"do"`` or ``"data"``, for
        pictures.

    Raises
    ------
    ArgumentError
        For an edge from a variable to itself, a cycle, or an edge that is no pair of names.

    >>> napkin = CausalGraph(["WR", "RX", "XY"], bidirected=["WX", "WY"])
    >>> sorted(napkin.ancestors("X"))
    ['R', 'W', 'X']
    >>> napkin.separated("W", "X", given="R")
    False
    """

    def __init__(
        self,
        directed: Iterable[Iterable[str]],
        bidirected: Iterable[Iterable[str]] = (),
        nodes: Names = (),
        kinds: Mapping[str, str] | None = None,
    ) -> None:
        arrows, arcs = _edges(directed), _edges(bidirected)
        graph, hidden = nx.DiGraph(), nx.Graph()
        graph.add_nodes_from(as_names(nodes))
        graph.add_edges_from(arrows)
        graph.add_nodes_from(v for arc in arcs for v in arc)
        hidden.add_nodes_from(graph)
        hidden.add_edges_from(arcs)
        if not nx.is_directed_acyclic_graph(graph):
            cycle = [a for a, _ in nx.find_cycle(graph)]
            raise ArgumentError(
                "a causal graph has no cycles",
                got=" → ".join([*cycle, cycle[0]]),
                fix="draw a variable at two times as two nodes",
            )
        self.directed = nx.freeze(graph)
        self.bidirected = nx.freeze(hidden)
        self.kinds = {v: (kinds or {}).get(v, "random") for v in graph}

    @staticmethod
    def of(model: Model, *data: Any, hidden: Names = (), inputs: bool = False) -> CausalGraph:
        """The graph of a Model's sites.

        A site causes another when its value reaches it without passing a third site. A site of
        many entries is one node; parameters that are drawn are sites too.

        Parameters
        ----------
        data
            The data that the model takes.
        hidden
            Sites that nobody can measure; they are projected out.
        inputs
            Whether the model's data are nodes too, under the names of its arguments.

        Raises
        ------
        UnknownNameError
            When there is no such site.

        >>> import aeframe as ae
        >>> class Chain(ae.Model):
        ...     def __call__(self):
        ...         x = self.sample("x", ae.Normal(0, 1))
        ...         self.sample("y", ae.Normal(2 * x, 1))
        >>> print(CausalGraph.of(Chain()))
        x → y
        """
        from aeframe.causal.model_graph import graph_of

        return graph_of(model, data, inputs).project(hidden)

    @property
    def nodes(self) -> tuple[str, ...]:
        """The variables, in the order they came."""
        return tuple(self.directed)

    @cached_property
    def order(self) -> tuple[str, ...]:
        """The variables, each after its causes."""
        return tuple(nx.topological_sort(self.directed))

    def check(self, names: Names) -> frozenset[str]:
        """``names`` as a set.

        Raises
        ------
        UnknownNameError
            When one is no variable of the graph; the message lists the nearest ones.
        """
        found = as_names(names)
        for name in found:
            if name not in self.directed:
                raise UnknownNameError(
                    f"the causal graph has no variable {name!r}",
                    path=name,
                    fix=nearest(name, list(self.nodes)),
                )
        return frozenset(found)

    def parents(self, of: Names) -> frozenset[str]:
        """The direct causes of variables, without themselves."""
        chosen = self.check(of)
        return frozenset(p for v in chosen for p in self.directed.predecessors(v)) - chosen

    def children(self, of: Names) -> frozenset[str]:
        """The direct effects of variables, without themselves."""
        chosen = self.check(of)
        return frozenset(c for v in chosen for c in self.directed.successors(v)) - chosen

    def ancestors(self, of: Names) -> frozenset[str]:
        """Variables and all their causes."""
        return self._reached(of, self.directed.predecessors)

    def descendants(self, of: Names) -> frozenset[str]:
        """Variables and all their effects."""
        return self._reached(of, self.directed.successors)

    def _reached(self, of: Names, step: Any) -> frozenset[str]:
        reached = set(self.check(of))
        todo = list(reached)
        while todo:
            todo += (new := set(step(todo.pop())) - reached)
            reached |= new
        return frozenset(reached)

    @cached_property
    def districts(self) -> tuple[frozenset[str], ...]:
        """The c-components: variables that bidirected edges connect (Tian and Pearl 2002)."""
        return tuple(frozenset(c) for c in nx.connected_components(self.bidirected))

    def subgraph(self, nodes: Names) -> CausalGraph:
        """The graph of these variables and the edges between them."""
        kept = self.check(nodes)
        return self._like(
            [v for v in self.nodes if v in kept],
            [e for e in self.directed.edges if kept.issuperset(e)],
            [e for e in self.bidirected.edges if kept.issuperset(e)],
        )

    def without(self, nodes: Names) -> CausalGraph:
        """The graph of all other variables."""
        return self.subgraph(set(self.nodes) - self.check(nodes))

    def without_incoming(self, nodes: Names) -> CausalGraph:
        """The graph of an experiment on ``nodes``: no edge ends in them, directed or not."""
        cut = self.check(nodes)
        return self._like(
            self.nodes,
            [(a, b) for a, b in self.directed.edges if b not in cut],
            [e for e in self.bidirected.edges if cut.isdisjoint(e)],
        )

    def without_outgoing(self, nodes: Names) -> CausalGraph:
        """The graph in which ``nodes`` have no effects."""
        cut = self.check(nodes)
        return self._like(
            self.nodes,
            [(a, b) for a, b in self.directed.edges if a not in cut],
            self.bidirected.edges,
        )

    def _like(
        self, nodes: Iterable[str], directed: Iterable[Any], bidirected: Iterable[Any]
    ) -> CausalGraph:
        return CausalGraph(directed, bidirected, tuple(nodes), self.kinds)

    def project(self, hidden: Names) -> CausalGraph:
        """The graph of the other variables that says the same of them (Verma and Pearl 1990).

        Effects of a hidden cause get a bidirected edge; what passes through it, a directed one.

        >>> print(CausalGraph(["UX", "UY", "XY"]).project("U"))
        X → Y, X ↔ Y
        """
        arrows, arcs = nx.DiGraph(self.directed), nx.Graph(self.bidirected)
        for h in sorted(self.check(hidden)):
            effects = list(arrows.successors(h))
            arrows.add_edges_from((p, e) for p in list(arrows.predecessors(h)) for e in effects)
            arcs.add_edges_from(combinations(effects, 2))
            arcs.add_edges_from((s, e) for s in list(arcs[h]) for e in effects if s != e)
            arrows.remove_node(h)
            arcs.remove_node(h)
        return self._like(arrows, arrows.edges, arcs.edges)

    @cached_property
    def expanded(self) -> nx.DiGraph:
        """The directed graph in which each bidirected edge is a hidden cause of its ends.

        Its node for ``a ↔ b`` is the pair of both.
        """
        graph = nx.DiGraph(self.directed)
        graph.add_edges_from((e, v) for e in self.bidirected.edges for v in e)
        return graph

    def separated(self, x: Names, y: Names, given: Names = ()) -> bool:
        """Whether ``given`` blocks all paths between ``x`` and ``y`` (m-separation).

        Then these are independent given it in every model with this graph.

        >>> CausalGraph(["XM", "MY"], bidirected=["XY"]).separated("X", "Y", given="M")
        False
        """
        sets = self.check(x), self.check(y), self.check(given)
        for a, b in combinations(sets, 2):
            if both := a & b:
                raise ArgumentError(
                    "separation is a question about three sets that share nothing",
                    got=f"{', '.join(sorted(both))} in two of them",
                )
        return bool(nx.is_d_separator(self.expanded, *sets))

    def relevant(self, of: Names, given: Names) -> frozenset[str]:
        """The smallest part of ``given`` without which nothing is lost in predicting ``of``.

        Given it, ``of`` is independent of the rest of ``given``.

        >>> sorted(CausalGraph(["AB", "BC"]).relevant("C", given=["A", "B"]))
        ['B']
        """
        targets, known = self.check(of), self.check(given)
        kept = self._causes_of_all(targets | known)
        moral = nx.moral_graph(self.expanded.subgraph(kept))
        unknown = moral.subgraph(kept - known)
        near = {u for v in targets for u in nx.node_connected_component(unknown, v)}
        return known & set(nx.node_boundary(moral, near))

    def _causes_of_all(self, of: frozenset[str]) -> set[Any]:
        """The ancestors of variables in the expanded graph, with themselves."""
        causes = self.ancestors(of)
        return {*causes, *(h for v in causes for h in self.expanded.predecessors(v))}

    def independencies(self) -> tuple[Independence, ...]:
        """What the graph says of data: for each pair without an edge, one minimal separating set.

        Pairs that no set separates are left out. In a graph without bidirected edges these
        statements are one for each missing edge.

        >>> [str(i) for i in CausalGraph(["AB", "BC", "CD"]).independencies()]
        ['A ⊥ C | B', 'A ⊥ D | B', 'B ⊥ D | C']
        """
        found = []
        for x, y in combinations(self.order, 2):
            if self.directed.has_edge(x, y) or self.bidirected.has_edge(x, y):
                continue
            restricted = set(self.nodes) - {x, y}
            given = nx.find_minimal_d_separator(self.expanded, x, y, restricted=restricted)
            if given is not None:
                found.append(Independence(x, y, tuple(sorted(given))))
        return tuple(found)

    def plot(self, ax: Any = None) -> Any:
        """A picture in layers, causes above effects; returns the Matplotlib axes.

        Observed variables are grey, variables set by an intervention have a thick frame;
        bidirected edges are dashed.
        """
        from aeframe.causal.picture import draw

        return draw(self, ax)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CausalGraph) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @cached_property
    def _key(self) -> tuple[frozenset[Any], ...]:
        arcs = frozenset(frozenset(e) for e in self.bidirected.edges)
        return frozenset(self.nodes), frozenset(self.directed.edges), arcs

    def __str__(self) -> str:
        arrows = [f"{a} → {b}" for a, b in self.directed.edges]
        arcs = [f"{a} ↔ {b}" for a, b in self.bidirected.edges]
        alone = [v for v in self.nodes if not self.directed.degree(v) + self.bidirected.degree(v)]
        return ", ".join([*arrows, *arcs, *alone])

    def __repr__(self) -> str:
        return f"CausalGraph({self})"


def as_names(names: Names) -> tuple[str, ...]:
    """One name or some as a tuple.

    >>> as_names("size"), as_names(["x", "y"])
    (('size',), ('x', 'y'))
    """
    found = (names,) if isinstance(names, str) else tuple(names)
    for name in found:
        if not isinstance(name, str) or not name:
            raise ArgumentError("a variable needs a name", expected="a text", got=repr(name))
    return found


def _edges(edges: Iterable[Iterable[str]]) -> list[tuple[str, str]]:
    """Edges as pairs of names; a text of two letters is one."""
    if isinstance(edges, str):
        raise ArgumentError("edges are a list of pairs", expected='[("x", "y")]', got=repr(edges))
    pairs = []
    for edge in edges:
        pair = as_names(tuple(edge))
        if len(pair) != 2:
            raise ArgumentError("an edge is a pair of names", expected='("x", "y")', got=repr(edge))
        if pair[0] == pair[1]:
            raise ArgumentError("a variable has no edge to itself", path=pair[0])
        pairs.append(pair)
    return pairs
