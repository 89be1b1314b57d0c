"""One rule applied at one place: the pass that makes a child of a model, and where it can."""

from __future__ import annotations

import json
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import Any, TypeVar

import numpy as np
from aesara.graph.basic import Apply, Variable

from aeframe.automl.patterns import PARTS, Chain, Inserted, Made, Parts
from aeframe.core import Parameter, State, cells
from aeframe.core.arguments import count
from aeframe.core.cells import Cell
from aeframe.core.errors import ArgumentError, RewriteError
from aeframe.core.graph import Graph, replay, toposort
from aeframe.core.module import Module
from aeframe.core.serialize import encode_graph
from aeframe.core.trace import current_trace, tracing
from aeframe.rewrites import Alternative, Bindings, Pass, Report, Rule, Step, describe, find_rule
from aeframe.rewrites.pattern import Call, Each, Pattern

M = TypeVar("M", bound=Module)


@dataclass(frozen=True)
class Place:
    """An Apply that the left side of a rule matches, and how."""

    rule: Rule
    node: Apply
    bound: Bindings

    @property
    def path(self) -> str:
        """The path of the Module that made the Apply."""
        return getattr(self.node.tag, "path", None) or ""

    def inside(self) -> list[Apply]:
        """The Applies that the left side covers, inputs first."""
        return _between(self.node.outputs, self.bound)


def _between(outputs: Sequence[Variable], bound: Bindings) -> list[Apply]:
    """The Applies from the variables that a pattern has bound to ``outputs``."""
    groups = (value if isinstance(value, tuple) else (value,) for value in bound.values())
    return toposort(outputs, [v for group in groups for v in group if isinstance(v, Variable)])


def places(graph: Graph, rules: Sequence[Rule]) -> Iterator[tuple[Rule, int, Place]]:
    """Where each rule applies: the rule, the number of the place among its own, the place.

    Lazy; rule by rule, places with inputs first. A cell that something else uses too is not
    replaced: a rule changes one layer, and a layer that is called twice is two.
    """
    users: dict[Variable, list[Apply | None]] = defaultdict(list)
    order = toposort(graph.results)
    for node in order:
        for v in node.inputs:
            users[v].append(node)
    for v in graph.outputs:  # updates are carried over
        users[v].append(None)
    for rule in rules:
        found = (Place(rule, n, b) for n in order if (b := rule.matches(n)) is not None)
        alone = (p for p in found if _is_alone(p, users))
        yield from ((rule, i, place) for i, place in enumerate(alone))


def _is_alone(place: Place, users: Mapping[Variable, Sequence[Apply | None]]) -> bool:
    """Whether what the rule replaces has no other use."""
    inside = set(place.inside())
    sides = place.rule.right if isinstance(place.rule.right, tuple) else (place.rule.right,)
    replaced = [v for side in sides for v in _replaced(side, place.bound)]
    if not all(isinstance(v, Cell) and len(users[v]) == 1 for v in replaced):
        return False
    inner = inside - {place.node}
    return all(set(users[v]) <= inside for node in inner for v in node.outputs)


def _replaced(pattern: Pattern, bound: Bindings) -> Iterator[Variable]:
    """The variables that the right side puts new cells in the place of."""
    if isinstance(pattern, Made):
        yield from (bound[v.name] for v in pattern.sources if v.name in bound)
    elif isinstance(pattern, Each):
        yield from bound[pattern.over] if isinstance(pattern.body, Made) else ()
    elif isinstance(pattern, Chain):
        if pattern.value is not None:
            inputs = (v for node, _ in bound[pattern.name] for v in node.inputs)
            yield from (v for v in inputs if isinstance(v, Parameter | State))
        yield from _replaced(pattern.inner, bound)
    elif isinstance(pattern, Call | Inserted):
        for arg in pattern.args if isinstance(pattern, Call) else (pattern.x,):
            yield from _replaced(arg, bound)


class Grow(Pass):
    """One rule applied at one place; the parameters that it makes belong to it.

    ``model.with_pass(Grow("wider"))`` is a model that trains, saves and loads like any other.
    New weights are made of the values that the old ones have when the graph is first built.

    Parameters
    ----------
    rule
        An Alternative, or its name.
    place
        The number of the place among all where the rule applies, inputs first.
    seed
        Of new weights that are drawn.

    Raises
    ------
    RewriteError
        When the rule has no such place in the graph.
    """

    def __init__(self, rule: Rule | str, place: int = 0, seed: int = 0) -> None:
        self.rule = rule if isinstance(rule, str) else rule.name
        find_rule(self.rule)
        self.place, self.seed = count("place", place, 0), count("seed", seed, 0)
        self.made: list[Any] = []

    def __call__(self, graph: Graph) -> tuple[Graph, Report]:
        """``graph`` with the right side in the place of the left one."""
        return self._at_place(graph, bare=False)

    def structure(self, graph: Graph) -> Graph:
        """The same graph to look at: new cells have types and no values, which cost nothing."""
        return self._at_place(graph, bare=True)[0]

    def _at_place(self, graph: Graph, bare: bool) -> tuple[Graph, Report]:
        rule = find_rule(self.rule)
        found = next(islice(places(graph, [rule]), self.place, None), None)
        if found is None:
            n = sum(1 for _ in places(graph, [rule]))
            raise RewriteError(
                f"the rule {self.rule!r} does not apply here",
                path=f"place {self.place}",
                expected=f"a number below {n}" if n else "another rule: this one has no place",
            )
        with nullcontext() if current_trace() else tracing():
            return self._apply(graph, found[2], bare)

    def _apply(self, graph: Graph, place: Place, bare: bool) -> tuple[Graph, Report]:
        trace = current_trace()
        assert trace is not None
        path = self._path(trace.stack)
        drawn = zlib.crc32(f"{path} {self.rule} {self.place}".encode())
        rng = np.random.default_rng([self.seed, drawn])
        parts = Parts(self, path, rng, [] if bare else self.made, bare=bare)
        before = set(trace.updates)
        made = place.rule.replaced(place.node, {**place.bound, PARTS: parts})
        replace = dict(zip(place.node.outputs, made, strict=True))
        self._carry_over(place, made, replace)
        results = replay(graph.results, replace)
        n = len(graph.outputs)
        updates = {
            parts.became.get(c, c): v for c, v in zip(graph.updates, results[n:], strict=True)
        }
        lost = set(cells(graph.outputs)).difference(cells(results[:n]))
        updates = {c: v for c, v in updates.items() if c is not v and c not in lost}
        updates |= {c: v for c, v in trace.updates.items() if c not in before}
        grown = Graph(graph.inputs, tuple(results[:n]), updates, graph.names)
        old, new = describe(place.node.outputs[0]), ", ".join(map(describe, made))
        return grown, Report("grow", (Step(self.rule, place.path, old, new),))

    def _path(self, stack: Sequence[object]) -> str:
        owned = getattr(stack[-1], "passes", ()) if stack else ()
        return next((f"passes[{i}]" for i, p in enumerate(owned) if p is self), "grow")

    def _carry_over(
        self, place: Place, made: Sequence[Variable], replace: dict[Variable, Variable]
    ) -> None:
        """What stays of the left side keeps its path, and its updates go on from the new one."""
        new = _between(made, place.bound)
        for old in place.inside():
            same = next((n for n in new if n.op == old.op), None)
            if same is None:
                continue
            new.remove(same)
            same.tag.path = getattr(old.tag, "path", None)
            for a, b in zip(old.outputs, same.outputs, strict=True):
                replace.setdefault(a, b)
        for node in new:
            path = getattr(node.tag, "path", None) or ""
            if type(node.op) is type(place.node.op) and node is made[0].owner:
                node.tag.path = place.path
            elif not path.startswith("passes["):
                node.tag.path = f"{place.path}/{self.rule}".lstrip("/")


def grow(model: M, lineage: Sequence[tuple[str, int]], seed: int = 0) -> M:
    """``model`` after each ``(rule, place)`` in turn; what one model learned, another can follow.

    Raises
    ------
    RewriteError
        When a rule has no such place in this model.
    """
    for rule, place in lineage:
        model = model.with_pass(Grow(rule, place, seed))
    return model


def key(graph: Graph) -> str:
    """Text that is equal for networks of one structure, whatever their weights and history."""
    fixed = [*graph.inputs, *cells(graph.results)]
    data = encode_graph(fixed, graph.outputs)
    data["nodes"] = [node[:3] for node in data["nodes"]]  # paths tell history
    return sha256(json.dumps(data).encode()).hexdigest()[:16]


def require_alternatives(rules: Sequence[Rule | str]) -> tuple[Rule, ...]:
    """The rules, each an :class:`Alternative`.

    Raises
    ------
    ArgumentError
        When there are none, or one is of another kind.
    """
    several = isinstance(rules, Sequence) and not isinstance(rules, str)
    found = tuple(find_rule(r) if isinstance(r, str) else r for r in rules) if several else ()
    wrong = [r for r in found if not isinstance(r, Alternative)]
    if wrong or not found:
        raise ArgumentError(
            "a search takes Alternatives",
            expected="automl.RULES, or a tuple of some of them",
            got=repr(wrong[0] if wrong else rules),
        )
    return found
