"""``ae.diff``: what leads from one model to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aesara.graph.basic import Apply, Variable

from aeframe.core.cells import Cell
from aeframe.core.errors import ArgumentError, StateError
from aeframe.core.graph import Graph, leaves, toposort
from aeframe.core.module import Module
from aeframe.core.summary import plain_table, render
from aeframe.rewrites.report import Step, describe
from aeframe.rewrites.standard import graph_of


@dataclass(frozen=True)
class Diff:
    """The rewrites that ``b`` has and ``a`` has not, and the terms that only one of them holds.

    Attributes
    ----------
    rewrites
        Steps of the passes that ``b`` adds to ``a``.
    removed, added
        Applies of the graph of ``a`` alone, and of ``b`` alone.
    """

    rewrites: tuple[Step, ...]
    removed: tuple[Apply, ...]
    added: tuple[Apply, ...]

    def __bool__(self) -> bool:
        return bool(self.rewrites or self.removed or self.added)

    def __str__(self) -> str:
        if not self:
            return "no difference"
        table = plain_table("difference", "", "what", "place")
        for s in self.rewrites:
            table.add_row("rule", s.rule, s.path)
        for mark, nodes in (("-", self.removed), ("+", self.added)):
            for node in nodes:
                table.add_row(mark, _text(node), getattr(node.tag, "path", None) or "")
        return render(table, width=120)

    __repr__ = __str__

    def plot(self) -> Any:
        """Both sides as drawings, what differs in red and in green; returns the two Axes."""
        from aeframe.rewrites.draw import draw

        return draw(self.removed, self.added)


def diff(a: Module, b: Module, *inputs: Variable) -> Diff:
    """What leads from ``a`` to ``b``: the rewrites, and the terms removed and added.

    Where one of the two has passes that wait for the phase, both are compared in inference.

    Parameters
    ----------
    a, b
        Two Modules. ``b`` is often ``a`` after ``optimize``, ``intervene`` or ``observe``.
    inputs
        Symbolic inputs for both; left out for kernels, circuits and models, and for Modules
        of which one has been called on data.

    Raises
    ------
    ArgumentError
        When one of the two is no Module.
    StateError
        When there are no inputs, and neither was called.
    """
    for which, given in (("first", a), ("second", b)):
        if not isinstance(given, Module):
            raise ArgumentError(
                f"the {which} of two models to compare is none",
                expected="a Module",
                got=repr(given),
            )
    late = any(each.late for each in (*a.passes, *b.passes))
    _require_inputs(a, b, inputs)
    before, old = graph_of(a, inputs, late, like=b)
    after, new = graph_of(b, inputs, late, like=a)
    shared = a.passes == b.passes[: len(a.passes)]
    known = len(old.reports) if shared else 0
    steps = tuple(s for r in new.reports[known:] for s in r.steps)
    return Diff(steps, *_apart(before, after))


def _require_inputs(a: Module, b: Module, inputs: Sequence[Variable]) -> None:
    if inputs or hasattr(a, "_last_call") or hasattr(b, "_last_call"):
        return
    given = {"first": a, "second": b}.items()
    unknown = [f"the {w}, {type(m).__name__}" for w, m in given if not hasattr(m, "expression")]
    if unknown:
        raise StateError(
            "the inputs of a model to compare are not known: it has not been called yet",
            got=" and ".join(unknown),
            fix="call one of the two on data once, or pass symbolic inputs: ae.diff(a, b, x)",
        )


def _apart(before: Graph, after: Graph) -> tuple[tuple[Apply, ...], tuple[Apply, ...]]:
    """The Applies that only one of two graphs has: equal Ops on equal inputs are the same."""
    names: dict[object, int] = {}
    inputs = dict(zip(_free(after), _free(before), strict=False))

    def name(variable: Variable, known: dict[Variable, int]) -> int:
        variable = inputs.get(variable, variable)
        key = getattr(variable, "signature", lambda: variable)() if not variable.owner else None
        return known[variable] if key is None else names.setdefault(key, len(names))

    def numbered(graph: Graph) -> dict[int, Apply]:
        known: dict[Variable, int] = {}
        found: dict[int, Apply] = {}
        for node in toposort(graph.results):
            key = (node.op, *(name(v, known) for v in node.inputs))
            number = names.setdefault(key, len(names))
            found[number] = node
            for i, out in enumerate(node.outputs):
                known[out] = names.setdefault((number, i), len(names))
        return found

    left, right = numbered(before), numbered(after)
    removed = tuple(n for i, n in left.items() if i not in right)
    return removed, tuple(n for i, n in right.items() if i not in left)


def _free(graph: Graph) -> list[Variable]:
    """The inputs, then what else the graph depends on that is no cell: data, in order."""
    rest = leaves(graph.results, graph.inputs)
    return [*graph.inputs, *(v for v in rest if not isinstance(v, Cell) and v not in graph.inputs)]


def _text(node: Apply) -> str:
    return f"{describe(node.outputs[0], depth=1)}: {node.outputs[0].type}"
