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
        before, after = problem.cost(old), problem.cost(new)
        if problem.order(old) is None:  # a circle of several: at least what is cheapest
            before = sum(c for node, c in problem.costs.items() if node in found.given)
        note = f"{before * 1e6:.4g} → {after * 1e6:.4g} µs predicted; {found.note}"
        if not after < before * (1 - LEAST_GAIN):
            return graph, Report("saturation", (), note)
        steps = tuple(_Story(problem, found, old, new).steps())
        return problem.graph(new, lifted), Report("saturation", steps, note)


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
    """Which rules led from one choice to another, and what each of their places gained."""

    def __init__(self, problem: Problem, found: Saturated, old: Choice, new: Choice) -> None:
        self.problem, self.found, self.old, self.new = problem, found, old, new
        self.order = problem.order(new) or []
        self.chosen = {new[v] for v in self.order if v in new}
        self.given = {old[v] for v in problem.order(old) or [] if v in old}
        self.told: set[Apply] = set()

    def steps(self) -> Iterable[Step]:
        """One for each application of a rule that the new graph needs, in order."""
        place = {v: i for i, v in enumerate(self.order)}
        for event in self.used():
            root = self.problem.egraph.find(event.root.outputs[0])
            gain = self.gain(root) if root in place else None
            path = getattr(event.root.tag, "path", None) or ""
            before, after = describe(event.root.outputs[0]), describe(event.result)
            yield Step(event.rule, path, before, after, gain)

    def used(self) -> list[Event]:
        """The applications behind the chosen Applies, and those that made a class shorter."""
        made_by = {node: event for event in self.found.events for node in event.made}
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

    def gain(self, root: Variable) -> float | None:
        """Seconds that go at ``root`` less those that come, each Apply told once."""
        lost = self.only(root, self.old, self.chosen)
        won = self.only(root, self.new, self.given)
        if not lost and not won:
            return None
        costs = self.problem.costs
        return sum(costs[node] for node in lost) - sum(costs[node] for node in won)

    def only(self, root: Variable, choice: Choice, others: set[Apply]) -> list[Apply]:
        """The Applies below ``root`` that ``others`` are without."""
        seen, found, todo = {root}, [], [root]
        while todo:
            variable = todo.pop()
            node = choice.get(variable)
            if node is None or node in others or node in self.told:
                continue
            self.told.add(node)
            found.append(node)
            below = [v for v in self.problem.inputs(node) if v not in seen]
            seen.update(below)
            todo += below
        return found
