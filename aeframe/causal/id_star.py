"""ID* and IDC*: probabilities of what would have been, from experiments.

Shpitser and Pearl, "What counterfactuals can be tested" (UAI 2007), whose line numbers stand in
the comments. The counterfactual graph of their line 4 is made as by Correa, Lee and Bareinboim
("Nested counterfactual identification", NeurIPS 2021): every ancestor of an event once for each
world, and two of these are one where their parents have equal values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any

from aeframe.causal.estimand import (
    ONE,
    Estimand,
    P,
    Zero,
    at,
    product,
    quotient,
    renamed,
    total,
)
from aeframe.causal.graph import CausalGraph
from aeframe.causal.identify import identify
from aeframe.causal.model_graph import as_graph
from aeframe.core.errors import ArgumentError, NotIdentifiableError
from aeframe.prob import Model

Do = frozenset[tuple[str, Any]]  # (variable, value), what a world sets


@dataclass(frozen=True)
class Event:
    """``variable`` would have had ``value`` in the world of ``do``, or has it in this one.

    >>> print(Event("Y", 1), Event("Y", 1, do={"X": 0}))
    Y=1 Y_{X=0}=1
    """

    variable: str
    value: Any
    world: Do = frozenset()

    def __init__(self, variable: str, value: Any, do: Mapping[str, Any] | None = None) -> None:
        object.__setattr__(self, "variable", variable)
        object.__setattr__(self, "value", value)
        object.__setattr__(self, "world", frozenset((do or {}).items()))

    def __str__(self) -> str:
        world = ", ".join(f"{v}={x}" for v, x in sorted(self.world))
        where = f"_{{{world}}}" if world else ""
        return f"{self.variable}{where}={self.value}"


@dataclass(frozen=True)
class Symbol:
    """A value that is summed over."""

    name: str


@dataclass(frozen=True)
class Copy:
    """A variable of the counterfactual graph: what it is, and the values of its parents."""

    variable: str
    parents: tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Worlds:
    """The counterfactual graph of some events.

    Attributes
    ----------
    copies
        (variable, what acts on it) → its copy; equal ones are one.
    values
        Copy → its value.
    """

    graph: CausalGraph
    copies: dict[tuple[str, Do], Copy]
    values: dict[Copy, Any]

    def of(self, variable: str, world: Do) -> Copy | None:
        """A variable in a world; none where it is set, or no cause of an event."""
        return self.copies.get((variable, _acting(self.graph, variable, world)))

    def mixed(self) -> tuple[CausalGraph, dict[Copy, str]]:
        """As a causal graph, and the names of the copies there: copies share their noise."""
        names = {copy: f"{copy.variable} {i}" for i, copy in enumerate(self.values)}
        arrows = []
        for (variable, world), copy in self.copies.items():
            for parent in self.graph.parents(variable):
                if (above := self.of(parent, world)) is not None and parent not in dict(world):
                    arrows.append((names[above], names[copy]))
        arcs = [
            (names[a], names[b])
            for a, b in combinations(self.values, 2)
            if a.variable == b.variable or self.graph.bidirected.has_edge(a.variable, b.variable)
        ]
        return CausalGraph(arrows, arcs, tuple(names.values())), names


def _acting(graph: CausalGraph, variable: str, world: Do) -> Do:
    """The part of ``do`` that reaches a variable."""
    causes = graph.without_incoming([v for v, _ in world]).ancestors(variable)
    return frozenset((v, x) for v, x in world if v in causes)


def _make_worlds(events: Iterable[Event], graph: CausalGraph) -> Worlds | None:
    """The counterfactual graph; none where the events exclude each other (lines 2 to 5)."""
    seen: dict[tuple[str, Do], Any] = {}
    nodes: dict[tuple[str, Do], None] = {}
    for event in events:
        world = dict(event.world)
        if event.variable in world:
            if world[event.variable] != event.value:
                return None  # line 2
            continue  # line 3
        key = event.variable, _acting(graph, event.variable, event.world)
        if seen.setdefault(key, event.value) != event.value:
            return None
        causes = graph.without_outgoing(list(world)).ancestors(event.variable)
        nodes |= {(v, _acting(graph, v, event.world)): None for v in graph.order if v in causes}
    made = Worlds(graph, {}, {})
    for variable in graph.order:
        for name, do in [n for n in nodes if n[0] == variable]:
            parents = {
                p: dict(do)[p]
                if p in dict(do)
                else made.values[made.copies[p, _acting(graph, p, do)]]
                for p in sorted(graph.parents(name))
            }
            copy = made.copies[name, do] = Copy(name, tuple(parents.items()))
            primes = "'" * sum(c.variable == name for c in made.values)
            value = made.values.setdefault(copy, Symbol(name + primes))
            if (name, do) in seen:
                if not isinstance(value, Symbol) and value != seen[name, do]:
                    return None  # line 5
                made.values[copy] = seen[name, do]
    return made


def identify_counterfactual(
    model: Model | CausalGraph, events: Iterable[Event], given: Iterable[Event] = ()
) -> Estimand:
    """``P(events | given)`` for events in several worlds, as a function of experiments.

    The answer has terms under ``do``; evaluate it on a Model, or turn it into one of
    observations with :func:`aeframe.causal.observational`.

    Parameters
    ----------
    model
        A graph, or a Model that takes no data.
    events, given
        Conjunctions of events.

    Raises
    ------
    NotIdentifiableError
        When no experiments tell; its ``hedge`` is the pair of values of one variable that hidden
        causes tie together.
    ArgumentError
        When ``given`` cannot happen.

    >>> graph = CausalGraph(["XM", "MY"], bidirected=["XY"])
    >>> print(identify_counterfactual(graph, [Event("Y", 1, {"X": 0})], [Event("X", 1)]))
    (Σ_{M} P(M | do(X=0)) P(X=1, Y=1 | do(M))) / (P(X=1))
    """
    graph = as_graph(model)
    gamma, delta = tuple(events), tuple(given)
    for event in (*gamma, *delta):
        graph.check([event.variable, *(v for v, _ in event.world)])
    return _id_given(gamma, delta, graph)


def observational(estimand: Estimand, model: Model | CausalGraph) -> Estimand:
    """An estimand whose experiments are replaced by what :func:`identify` makes of them.

    Raises
    ------
    NotIdentifiableError
        When one of them is not identifiable.

    >>> graph = CausalGraph(["XM", "MY"], bidirected=["XY"])
    >>> print(observational(P("M", do="X"), graph))
    P(M | X)
    """
    graph = as_graph(model)
    return estimand.rebuilt(lambda p: identify(graph, p.of, p.do, p.given) if p.do else p)


def _id_star(events: Iterable[Event], graph: CausalGraph) -> Estimand:
    """``P(γ)``."""
    # lines 2 to 5
    worlds = _make_worlds(events, graph)
    if worlds is None:
        return Zero()
    # line 6, and line 1 where no event is left
    districts = graph.subgraph({c.variable for c in worlds.values}).districts
    factors = [
        _factor({c: v for c, v in worlds.values.items() if c.variable in district})
        for district in districts
    ]
    symbols = {v.name for v in worlds.values.values() if isinstance(v, Symbol)}
    return total(symbols, product(*factors))


def _factor(district: Mapping[Copy, Any]) -> Estimand:
    """``P_x(var(S))`` for copies that hidden causes connect."""
    values: dict[str, Any] = {}
    for copy, own in district.items():
        for name, value in ((copy.variable, own), *copy.parents):
            # line 8: one world cannot have both
            if values.setdefault(name, value) != value:
                pair = tuple(x.name if isinstance(x, Symbol) else x for x in (values[name], value))
                raise NotIdentifiableError(
                    f"no experiment has {name} at {pair[0]} and at {pair[1]}",
                    path=name,
                    got=f"hidden causes that tie {', '.join(sorted(c.variable for c in district))}",
                    fix="ask for bounds, or measure the hidden causes",
                    hedge=(name, *pair),
                )
    # line 9
    of = {copy.variable for copy in district}
    symbols = {v: x.name for v, x in values.items() if isinstance(x, Symbol)}
    numbers = {v: x for v, x in values.items() if not isinstance(x, Symbol)}
    return renamed(at(P(of, do=set(values) - of), numbers), symbols)


def _idc_star(gamma: tuple[Event, ...], delta: tuple[Event, ...], graph: CausalGraph) -> Estimand:
    """``P(γ | δ)``."""
    # line 1
    worlds = _make_worlds(delta, graph)
    if worlds is None:
        raise ArgumentError(
            "what is given cannot happen",
            got=", ".join(map(str, delta)),
            fix="give one value to each variable of a world",
        )
    # lines 2 and 3
    worlds = _make_worlds((*gamma, *delta), graph)
    if worlds is None:
        return Zero()
    # line 4: an observation that says as much as an intervention is one
    mixed, names = worlds.mixed()

    def copies(events: Iterable[Event]) -> set[str]:
        found = (worlds.of(e.variable, e.world) for e in events if e.variable not in dict(e.world))
        return {names[c] for c in found if c is not None}

    given = copies(delta)
    gamma = tuple(e for e in gamma if not copies([e]) <= given)
    if not gamma:
        return ONE
    asked = copies(gamma)
    for event in delta:
        for name in copies([event]):
            if mixed.without_outgoing({name}).separated({name}, asked, given - {name}):
                rest = [e for e in delta if copies([e]) != {name}]
                set_ = partial(_set, event=event, worlds=worlds)
                return _id_given(tuple(map(set_, gamma)), tuple(map(set_, rest)), graph)
    # line 5
    return quotient(_id_star((*gamma, *delta), graph), _id_star(delta, graph))


def _id_given(gamma: tuple[Event, ...], delta: tuple[Event, ...], graph: CausalGraph) -> Estimand:
    """``P(γ | δ)``, where δ may be nothing."""
    return _idc_star(gamma, delta, graph) if delta else _id_star(gamma, graph)


def _set(one: Event, event: Event, worlds: Worlds) -> Event:
    """``one`` in the world that also sets what ``event`` says, if it is that of ``event``."""
    if event.variable in (one.variable, *dict(one.world)):
        return one
    if worlds.of(event.variable, one.world) != worlds.of(event.variable, event.world):
        return one
    return Event(one.variable, one.value, {**dict(one.world), event.variable: event.value})
