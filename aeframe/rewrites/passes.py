"""Passes: objects that rewrite a graph and report what they did."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Self

from aesara.graph.basic import Apply, Variable

from aeframe.core.errors import RewriteError
from aeframe.core.graph import Graph, Merger
from aeframe.core.structure import Structure
from aeframe.rewrites.pattern import Every
from aeframe.rewrites.report import Report, Step, describe
from aeframe.rewrites.rule import Rule, find_rule


class Pass(Structure):
    """Takes a graph, returns a graph and a :class:`Report`.

    Attributes
    ----------
    late
        Whether it waits until it is known if the graph is for training or for inference.
    """

    late: ClassVar[bool] = False

    def in_training(self) -> Self:
        """The pass for graphs whose weights change."""
        return self

    def needs(self) -> Iterable[str]:
        """The names of the rules that it applies."""
        return ()

    def __call__(self, graph: Graph) -> tuple[Graph, Report]:
        """Rewrite ``graph``; the graph that was given is left as it is."""
        raise NotImplementedError


class Pipeline(Pass):
    """Passes in a row.

    >>> from aeframe.core.graph import Graph
    >>> graph, report = Pipeline(Greedy(()), Greedy(()))(Graph((), ()))
    >>> report.steps
    ()
    """

    def __init__(self, *passes: Pass) -> None:
        self.passes = passes

    def __call__(self, graph: Graph) -> tuple[Graph, Report]:
        """Run each pass on the graph of the one before."""
        steps: list[Step] = []
        for each in self.passes:
            graph, report = each(graph)
            steps.extend(report.steps)
        return graph, Report(type(self).__name__, tuple(steps))


class Greedy(Pass):
    """Apply rules wherever they match, inputs first, until none does.

    Equal Applies become one on the way, so that shared parts are rewritten once. The order of
    ``rules`` decides where several match.

    Parameters
    ----------
    rules
        Rules, or names of rules.
    name
        What reports call the pass.
    limit
        Number of rewrites after which the rules are taken to run forever.

    Raises
    ------
    RewriteError
        When the limit is reached.
    """

    def __init__(self, rules: Sequence[Rule | str], name: str = "rewrite", limit: int = 100_000):
        self.rules = tuple(r if isinstance(r, str) else r.name for r in rules)
        self.name, self.limit = name, limit

    def needs(self) -> Iterable[str]:
        """Its rules."""
        return self.rules

    def __call__(self, graph: Graph) -> tuple[Graph, Report]:
        """Rewrite the whole graph."""
        run = _Run(_index(self.rules), self.limit)
        results = [run.normal(v) for v in graph.results]
        return graph.with_results(results), Report(self.name, tuple(run.steps))


def _index(names: Sequence[str]) -> dict[Any, list[Rule]]:
    """Rules by the head of their left side: an Op class or an Op."""
    index: dict[Any, list[Rule]] = {}
    for name in names:
        found = find_rule(name)
        if isinstance(found.left, Every):
            raise RewriteError(
                f"the rule {name!r} has several roots: it cannot be applied at one place",
                fix="use it in a Saturation, as model.optimize(rule) does",
            )
        index.setdefault(found.left.term.head, []).append(found)
    return index


class _Run:
    """One run of a greedy pass: an agenda instead of recursion, normal forms by variable."""

    def __init__(self, index: dict[Any, list[Rule]], limit: int) -> None:
        self.index, self.limit = index, limit
        self.done: dict[Variable, Variable] = {}
        self.became: dict[Apply, tuple[Apply, list[Variable]]] = {}
        self.merger = Merger()
        self.steps: list[Step] = []

    def normal(self, root: Variable) -> Variable:
        """The normal form of ``root``."""
        todo: list[Apply] = [root.owner] if root.owner is not None else []
        while todo:
            node = todo[-1]
            if node.outputs[0] in self.done:
                todo.pop()
                continue
            waiting = self.became[node][1] if node in self.became else node.inputs
            pending = [v.owner for v in waiting if v.owner is not None and v not in self.done]
            if pending:
                todo.extend(reversed(pending))
            elif node in self.became:
                merged, made = self.became[node]
                outputs = [self.done.get(v, v) for v in made]
                self._finish(merged, outputs)
                self._finish(node, outputs)
            else:
                self._visit(node)
        return self.done.get(root, root)

    def _finish(self, node: Apply, outputs: Sequence[Variable]) -> None:
        for old, new in zip(node.outputs, outputs, strict=True):
            self.done[old] = new
            self.done.setdefault(new, new)

    def _visit(self, node: Apply) -> None:
        """Rewrite ``node``, whose inputs are normal, by the first rule that matches."""
        outputs = self.merger(node, [self.done.get(v, v) for v in node.inputs])
        assert outputs is not None
        merged = outputs[0].owner
        if outputs[0] in self.done:
            self._finish(node, [self.done[o] for o in outputs])
            return
        for rule in self._candidates(merged.op):
            made = rule.apply(merged)
            if made is not None and any(
                a is not b for a, b in zip(made, merged.outputs, strict=True)
            ):
                self._record(rule, merged, made)
                self.became[node] = (merged, made)
                return
        self._finish(merged, outputs)
        self._finish(node, outputs)

    def _candidates(self, op: Any) -> list[Rule]:
        found = [r for cls in type(op).__mro__ for r in self.index.get(cls, ())]
        return found + self.index.get(op, [])

    def _record(self, rule: Rule, node: Apply, made: list[Variable]) -> None:
        if len(self.steps) >= self.limit:
            raise RewriteError(
                f"the rules were applied {self.limit} times and did not come to an end",
                got=f"last: {rule}",
                fix="leave out one of two rules that undo each other, or raise `limit`",
            )
        path = getattr(node.tag, "path", None)
        after = ", ".join(describe(v) for v in made)
        self.steps.append(Step(rule.name, path or "", describe(node.outputs[0]), after))
        for variable in made:
            if variable.owner is not None and getattr(variable.owner.tag, "path", None) is None:
                variable.owner.tag.path = path
