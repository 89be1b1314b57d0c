"""The rule sets that every room adds to, and the passes made of them.

``INTERPRETATIONS`` push Gram matrices, densities and the like down to the leaves; ``INFERENCE``
turns the training graph into the inference graph; ``SIMPLIFICATIONS`` are equalities that pay
on every backend; ``EQUALITIES`` are all that saturation may use, whether they pay or not.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from aesara.graph.basic import Variable

from aeframe.core.errors import StateError
from aeframe.core.graph import Graph
from aeframe.core.module import Module, lower_with_reports
from aeframe.rewrites.passes import Greedy
from aeframe.rewrites.report import Explanation, Report
from aeframe.rewrites.rule import Equality, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

INTERPRETATIONS: list[Rule] = []
INFERENCE: list[Rule] = []
SIMPLIFICATIONS: list[Rule] = []
EQUALITIES: list[Equality] = []


def interpret(graph: Graph) -> Graph:
    """Push every interpretation (Gram matrix, density, ...) down until only tensors are left."""
    return Greedy(INTERPRETATIONS, name="interpret")(graph)[0]


def inference(graph: Graph) -> Graph:
    """The inference phase: no dropout, frozen statistics, no updates of what stays the same."""
    return inference_with_reports(graph)[0]


def inference_with_reports(graph: Graph) -> tuple[Graph, list[Report]]:
    """The inference phase, and what the passes did that waited for it."""
    return finish(_without_training(graph))


def _without_training(graph: Graph) -> Graph:
    made = Greedy(INFERENCE, name="inference")(graph)[0]
    kept = {cell: v for cell, v in made.updates.items() if v is not cell}
    return Graph(made.inputs, made.outputs, kept, made.names, made.late)


def finish(graph: Graph, training: bool = False) -> tuple[Graph, list[Report]]:
    """The graph after the passes that waited for its phase, and what these did."""
    reports = []
    late, graph = graph.late, replace(graph, late=())
    for each in late:
        graph, report = (each.in_training() if training else each)(graph)
        reports.append(report)
    return graph, reports


def graph_of(
    module: Module,
    inputs: Sequence[Variable] = (),
    in_inference: bool = False,
    like: Module | None = None,
) -> tuple[Graph, Explanation]:
    """The graph of ``module`` after its passes, and what they did.

    Without inputs: the module's own expression (a kernel, a circuit, a model), or the graph of
    its last call on arrays, or that of a Module ``like`` it if it was not called. A graph with
    passes that wait for the phase is that of inference.

    Raises
    ------
    StateError
        When there are neither inputs nor a last call.
    """
    if not inputs and hasattr(module, "expression"):
        graph, _, reports = lower_with_reports(module, (), {}, "expression")
        return graph, Explanation(tuple(reports))
    method, args = "__call__", tuple(inputs)
    if not inputs:
        last = getattr(module, "_last_call", None) or getattr(like, "_last_call", None)
        if last is None:
            raise StateError(
                f"{type(module).__name__} has not been called yet, so its graph is not known",
                fix="call it on data once, or pass symbolic inputs here",
            )
        method, types = last
        args = tuple(t() for t in types)
    graph, _, reports = lower_with_reports(module, args, {}, method)
    if graph.late or in_inference:
        graph, more = inference_with_reports(interpret(graph))
        reports = [*reports, *more]
    return graph, Explanation(tuple(reports))


def explain(module: Module, inputs: Sequence[Any] = ()) -> Explanation:
    """What the passes of ``module`` do to its graph, as tables.

    A model from a file that has not been called yet tells what was done to it before; then the
    passes run anew, and a note says so if they do something else here.
    """
    saved = vars(module).get("_saved_lineage")
    if saved is not None and not inputs and not hasattr(module, "_last_call"):
        return saved
    found = graph_of(module, tuple(inputs))[1]
    rules = [[step.rule for step in each.steps] for each in (saved or found, found)]
    if rules[0] != rules[1]:
        before = ", ".join(dict.fromkeys(rules[0])) or "none"
        return replace(found, note=f"searched anew here; as it was saved: {before}")
    return found


def record(module: Module, reports: Iterable[Report]) -> None:
    """Keep what passes did to ``module``, for the file that it may be saved in."""
    found = Explanation(tuple(reports))
    if found.reports:
        module._lineage = found  # type: ignore[attr-defined]
