"""Saturation: the pass that replaces a graph by the cheapest one that equalities make of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from typing import Self

from aesara.graph.basic import Apply, Variable

from aeframe.core.cells import cells
from aeframe.core.errors import ArgumentError
from aeframe.core.graph import Graph
from aeframe.rewrites.extract import Choice, Cost, Extraction, Problem
from aeframe.rewrites.optimal import OptimalExtraction
from aeframe.rewrites.passes import Pass
from aeframe.rewrites.report import Report, Step, describe
from aeframe.rewrites.rule import Equality, Rule, find_rule
from aeframe.rewrites.saturate import Event, Limits, Saturated, saturate
from aeframe.rewrites.vocabulary import lift

LEAST_GAIN = 0.03  # of the predicted time: less than the prediction can tell


class Saturation(Pass):
    """Equality saturation, then the cheapest graph; the given one where nothing is cheaper.

    Parameters
    ----------
    rules
        Equalities, or their names.
    cost
        Seconds of an Apply, on the backend that the graph is for.
    extraction
        How the cheapest graph is found.
    limits
        Where saturation stops.
    training
        Whether the weights will change: then only rules are used whose gradients agree too, and
        what depends on weights alone costs as much as anything else.
    """

    def __init__(
        self,
        rules: Sequence[Rule | str],
        cost: Cost,
        extraction: Extraction | None = None,
        limits: Limits | None = None,
        training: bool = False,
    ) -> None:
        if isinstance(rules, str) or not callable(cost):
            raise ArgumentError(
                "a Saturation takes rules and a cost model",
                expected="Saturation(EQUALITIES, Analytic())",
                got=f"{rules!r}, {cost!r}" if isinstance(rules, str) else repr(cost),
            )
        self.rules = tuple(r if isinstance(r, str) else r.name for r in rules)
        self.cost, self.training = cost, training
        self.extraction = extraction or OptimalExtraction()
        self.limits = limits or Limits()

    late = True

    def needs(self) -> Iterable[str]:
        """Its rules."""
        return self.rules

    def in_training(self) -> Self:
        """The same with ``training``."""
        other = copy(self)
        other.training = True
        return other

    def __call__(self, graph: Graph) -> tuple[Graph, Report]:
        """The cheapest graph, and which rules made it."""
        rules = [find_rule(name) for name in self.rules]
        if self.training:
            rules = [r for r in rules if isinstance(r, Equality) and r.gradients]
        lifted = lift(graph)
        found = saturate(lifted, rules, self.limits)
        changing = cells(graph.results) if self.training else graph.updates
        problem = Problem.of(found.egraph, found.results, self.cost, changing, found.given)
        old, new = given(problem, found), self.extraction(problem)
        story = _Story(problem, found, old, new)
        before, after = story.seconds(story.given), story.seconds(story.chosen)
        note = f"{before * 1e6:.4g} → {after * 1e6:.4g} µs predicted; {found.note}"
        if not after < before * (1 - LEAST_GAIN):
            return graph, Report("saturation", (), note)
        return problem.graph(new, lifted), Report("saturation", tuple(story.steps()), note)


def given(problem: Problem, found: Saturated) -> dict[Variable, Apply]:
    """The choice that is the graph which was given."""
    choice = {}
    for variable, makers in problem.makers.items():
        own = [m for m in makers if m in found.given]
        # x · 1 is given, and found to be x: what needs itself is no way to make it
        sound = [m for m in own if variable not in problem.inputs(m)]
        if makers:
            choice[variable] = [*sound, *own, *makers][0]
    return choice


class _Story:
    """Which rules led from one choice to another, and what they gained.

    The gains add up to that of the whole graph. What several rules gained together at a place is
    told at the last of them.
    """

    def __init__(self, problem: Problem, found: Saturated, old: Choice, new: Choice) -> None:
        self.problem, self.found, self.old, self.new = problem, found, old, new
        self.order = problem.order(new) or []
        self.chosen = {new[v] for v in self.order if v in new}
        before = problem.order(old)
        self.given = {old[v] for v in before or [] if v in old}
        if before is None:  # a circle of several: at least what is cheapest
            self.given = found.given & problem.costs.keys()
        self.made_by = {node: event for event in found.events for node in event.made}

    def seconds(self, nodes: Iterable[Apply]) -> float:
        """What these Applies take."""
        return sum(self.problem.costs[node] for node in nodes)

    def steps(self) -> Iterable[Step]:
        """One for each application of a rule that the new graph needs, in order."""
        events = self.used()
        gains = self.gains(events)
        for event in events:
            path = getattr(event.root.tag, "path", None) or ""
            before, after = describe(event.root.outputs[0]), describe(event.result)
            yield Step(event.rule, path, before, after, gains.get(id(event)))

    def gains(self, events: Sequence[Event]) -> dict[int, float]:
        """By event what the place gained that it was the last to change."""
        last = {node: event for event in events for node in (event.root, *event.made)}
        order = {id(event): i for i, event in enumerate(events)}
        found: dict[int, float] = {}
        for place in self.places():
            there = [last[node] for node in place if node in last] or events[-1:]
            for event in sorted(there, key=lambda e: order[id(e)])[-1:]:
                gain = self.seconds(place - self.chosen) - self.seconds(place - self.given)
                found[id(event)] = found.get(id(event), 0.0) + gain
        return found

    def places(self) -> Iterable[set[Apply]]:
        """What goes and what comes, in pieces between the classes that both graphs compute."""
        changed = dict.fromkeys([*self.given, *self.chosen])
        left = {n: None for n in changed if (n in self.given) is not (n in self.chosen)}
        find, inputs = self.problem.egraph.find, self.problem.inputs
        both = set(self.order) & set(self.problem.order(self.old) or [])
        touched: dict[Variable, list[Apply]] = {}
        classes = {
            n: [*map(find, n.outputs), *(v for v in inputs(n) if v not in both)] for n in left
        }
        for node, near in classes.items():
            for v in near:
                touched.setdefault(v, []).append(node)
        while left:
            todo = [left.popitem()[0]]
            place = set(todo)
            while todo:
                found = {n for v in classes[todo.pop()] for n in touched[v] if n in left}
                for node in found:
                    del left[node]
                place |= found
                todo += found
            yield place

    def used(self) -> list[Event]:
        """The applications behind the chosen Applies, and those that made a class shorter."""
        made_by = self.made_by
        needed: dict[int, Event] = {}
        todo = [node for node in self.chosen if node in made_by]
        find = self.problem.egraph.find
        wanted = {find(v) for v in self.order}
        for event in self.found.events:
            gone = event.root in self.given and event.root not in self.chosen
            if not event.made and gone and find(event.result) in wanted:
                needed[id(event)] = event
        while todo:
            event = made_by[todo.pop()]
            if id(event) not in needed:
                needed[id(event)] = event
                todo += [event.root] if event.root in made_by else []
        return [event for event in self.found.events if id(event) in needed]
