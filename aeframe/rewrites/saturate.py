"""Equality saturation: apply equalities in all directions at once, then choose what is best.

Greedy rewriting has to decide at each step; here both sides of a rule are kept, in an e-graph,
and the choice is made at the end, over all graphs that the rules can make (Tate et al. 2009).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, takewhile
from typing import Any

from aesara.configdefaults import config
from aesara.graph.basic import Apply, Variable

from aeframe.core.arguments import count, is_number
from aeframe.core.errors import ArgumentError
from aeframe.core.graph import Graph
from aeframe.core.structure import Structure
from aeframe.rewrites.condition import holds
from aeframe.rewrites.egraph import EGraph
from aeframe.rewrites.match import alike
from aeframe.rewrites.pattern import (
    EACH,
    SIZES,
    Bindings,
    Every,
    Term,
    depth,
    names_of,
)
from aeframe.rewrites.rule import Alternative, Rule
from aeframe.rewrites.split import Needs


@dataclass(frozen=True)
class Limits(Structure):
    """Where saturation stops, should it not come to its end before.

    Attributes
    ----------
    nodes
        Applies in the e-graph.
    iterations
        How often all rules are tried.
    seconds
        Of the clock, for the whole saturation.
    several
        Iterations in which rules with several roots take part: what they make has roots again.
    matches
        Of one rule in one iteration; a rule that has more is put off for an iteration, and then
        for two, four, ... (Willsey et al. 2021, section 5.2).
    uses
        Of one rule in all, or as many as there are Applies given, if these are more: a chain of
        n layers can be merged, and a sum of n parts be ordered, in more than n² ways.
    """

    nodes: int = 10_000
    iterations: int = 12
    seconds: float = 5.0
    several: int = 2
    matches: int = 2_000
    uses: int = 1_000

    def __post_init__(self) -> None:
        for name in ("nodes", "iterations", "several", "matches", "uses"):
            count(name, getattr(self, name), 0)
        if not is_number(self.seconds) or self.seconds < 0:
            raise ArgumentError(
                "`seconds` is a number from 0 up", expected="5.0", got=repr(self.seconds)
            )


@dataclass
class Event:
    """One application of a rule: where it matched, and what it made."""

    rule: str
    root: Apply
    result: Variable
    made: list[Apply] = field(default_factory=list)


@dataclass
class Saturated:
    """An e-graph with the classes of a graph's results, and how it came about.

    Attributes
    ----------
    results
        The classes of the graph's outputs and updates.
    events
        What each rule did, in order.
    stopped
        ``"saturated"``, or the limit that was reached.
    iterations, seconds
        What it took.
    """

    egraph: EGraph
    results: list[Variable]
    given: set[Apply]
    events: list[Event] = field(default_factory=list)
    stopped: str = ""
    iterations: int = 0
    seconds: float = 0.0

    @property
    def note(self) -> str:
        """One line for reports."""
        return (
            f"{self.stopped} after {self.iterations} iterations, {len(self.egraph)} nodes, "
            f"{self.seconds:.2f} s"
        )


def saturate(
    graph: Graph,
    rules: Sequence[Rule],
    limits: Limits = Limits(),
    until: Callable[[EGraph, list[Variable]], bool] = lambda egraph, results: False,
) -> Saturated:
    """All graphs that ``rules`` make of ``graph``, as an e-graph.

    Parameters
    ----------
    graph
        In the vocabulary of the rules, see :func:`aeframe.rewrites.vocabulary.lift`.
    rules
        Equalities, or :class:`Alternative` rules: with one of these each Apply keeps its identity.
    until
        Asked after each iteration with the e-graph and the classes of the results: whether it is
        enough.

    >>> import aesara.tensor as at
    >>> from aeframe.rewrites import Equality, Var, term
    >>> from aeframe.rewrites.vocabulary import AddOp
    >>> a, b, c = Var("a"), Var("b"), Var("c")
    >>> add = term(AddOp)
    >>> assoc = Equality("doctest associativity", add(add(a, b), c), add(a, add(b, c)))
    >>> x, y, z = at.dvectors("x", "y", "z")
    >>> found = saturate(Graph((x, y, z), (AddOp()(AddOp()(x, y), z),)), [assoc])
    >>> found.stopped, len(list(found.egraph.makers(found.results[0])))
    ('saturated', 3)
    """
    return _Saturation(graph, rules, limits).run(until)


class _Saturation:
    """One run: rules in both directions, and what they were applied to already."""

    def __init__(self, graph: Graph, rules: Sequence[Rule], limits: Limits) -> None:
        self.began = time.perf_counter()
        self.limits = limits
        self.rules = [way for rule in rules for way in rule.directions]
        instances = any(isinstance(rule, Alternative) for rule in rules)
        self.reach = max((depth(rule.left) for rule in self.rules), default=1) - 1
        egraph = EGraph(instances)
        results = egraph.add(graph.results)
        self.state = Saturated(egraph, results, set(egraph.applies()))
        self.egraph = egraph
        self.tried: set[Hashable] = set()
        self.waits = dict.fromkeys(range(len(self.rules)), (0, 0))  # bans so far, iteration it ends
        self.left = dict.fromkeys(range(len(self.rules)), max(limits.uses, len(self.state.given)))
        self.origin: dict[Apply, str] = {}

    @config.change_flags(traceback__limit=0)  # what rules make stands at no line of the user's
    def run(self, until: Callable[[EGraph, list[Variable]], bool]) -> Saturated:
        state, egraph = self.state, self.egraph
        while not state.stopped:
            found, put_off = self.search()
            egraph.changed.clear()
            state.stopped = self.apply(found)
            state.iterations += 1
            state.results = [egraph.find(v) for v in state.results]
            if until(egraph, state.results):
                state.stopped = "goal reached"
            elif not state.stopped:
                state.stopped = self.limit(bool(egraph.changed) or put_off)
        state.seconds = time.perf_counter() - self.began
        return state

    def late(self) -> bool:
        return time.perf_counter() - self.began >= self.limits.seconds

    def limit(self, more: bool) -> str:
        if not more:
            spent = not all(self.left.values())
            return f"limit of {self.limits.uses} uses of a rule" if spent else "saturated"
        if len(self.egraph) >= self.limits.nodes:
            return f"limit of {self.limits.nodes} nodes"
        if self.late():
            return f"limit of {self.limits.seconds:g} s"
        if self.state.iterations >= self.limits.iterations:
            return f"limit of {self.limits.iterations} iterations"
        return ""

    def search(self) -> tuple[list[tuple[Rule, list[Apply], Bindings]], bool]:
        """What the rules match where something changed, and whether one was put off."""
        near, now = self.egraph.reach(self.reach), self.state.iterations
        if now < self.limits.several:
            self.needs = Needs(self.egraph.classes(), self.egraph.inputs)
        found: list[tuple[Rule, list[Apply], Bindings]] = []
        put_off = False
        for i, rule in enumerate(self.rules):
            bans, until = self.waits[i]
            if isinstance(rule.left, Every) and now >= self.limits.several:
                continue
            if now < until:
                put_off = True
                continue
            most = self.limits.matches << bans
            matches = self.matches(i, rule, near if now != until or not bans else None)
            new = list(islice(matches, min(most + 1, self.left[i])))
            if self.late():
                put_off = True
                break
            if len(new) > most:
                self.waits[i] = (bans + 1, now + 1 + (1 << bans))
                self.tried.difference_update(key for key, *_ in new)
                put_off = True
                continue
            self.left[i] -= len(new)
            found.extend((rule, roots, bound) for _, roots, bound in new)
        return found, put_off

    def matches(
        self, i: int, rule: Rule, near: set[Apply] | None
    ) -> Iterator[tuple[Hashable, list[Apply], Bindings]]:
        """The new matches of a rule; everywhere if ``near`` is ``None``."""
        if isinstance(rule.left, Every):
            made: Iterator[tuple[list[Apply], Bindings]] = self.siblings(rule, rule.left)
        else:
            made = (
                ([node], bound)
                for node in self.candidates(rule.left.term)
                if near is None or node in near
                for bound in rule.solutions(node, self.egraph)
            )
        for roots, bound in made:
            key = (i, *roots, *_signature(bound))
            if key not in self.tried:
                self.tried.add(key)
                yield key, roots, bound

    def candidates(self, head: Term) -> Iterator[Apply]:
        """The Applies that a pattern with this head may match, while there is time."""
        wanted = head.head if isinstance(head.head, type) else type(head.head)
        kinds = self.egraph.op_types() if head.bind else (wanted,)
        nodes = (n for k in kinds if issubclass(k, wanted) for n in self.egraph.applies(k))
        return takewhile(lambda node: not self.late(), nodes)

    def siblings(self, rule: Rule, left: Every) -> Iterator[tuple[list[Apply], Bindings]]:
        """The groups of Applies that a rule with several roots takes together."""
        # not those that the rule itself made
        nodes = (n for n in self.candidates(left.body.term) if self.origin.get(n) != rule.name)
        for roots, bound in alike(left, nodes, self.egraph, self.needs):
            if holds(rule.where, names_of(bound)):
                yield roots, bound

    def apply(self, found: list[tuple[Rule, list[Apply], Bindings]]) -> str:
        """Put right sides beside left sides; the limit that was reached, if one was."""
        egraph = self.egraph
        for done, (rule, roots, bound) in enumerate(found):
            if any(node not in egraph for node in roots):
                continue
            before = len(egraph)
            made = egraph.add(rule.build({k: self.current(v) for k, v in bound.items()}))
            new = egraph.newest(len(egraph) - before)
            for node in new:
                self.origin[node], node.tag.path = rule.name, getattr(roots[0].tag, "path", None)
            outputs = rule.outputs(roots)
            merged = [egraph.union(a, b, rule.name) for a, b in zip(outputs, made, strict=True)]
            if any(merged):
                self.state.events.append(Event(rule.name, roots[0], made[0], new))
            if done % 64 == 0 and (stop := self.limit(True)) and "iterations" not in stop:
                egraph.rebuild()
                return stop
        egraph.rebuild()
        return ""

    def current(self, value: Any) -> Any:
        """A binding as the e-graph is now."""
        if isinstance(value, Variable):
            return self.egraph.find(value)
        if isinstance(value, tuple) and value and isinstance(value[0], Variable):
            return tuple(self.egraph.find(v) for v in value)
        return value


def _signature(bound: Bindings) -> Iterator[Hashable]:
    for name, value in sorted(bound.items()):
        if name not in (SIZES, EACH):
            yield value
