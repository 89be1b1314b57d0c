"""Expand: put the bodies of typed Ops in their place, except those that a backend claims."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy

from aesara.graph.basic import Apply, Variable

from aeframe.core.graph import Graph, Merger, replay, toposort
from aeframe.core.ops import TypedOp, body_of, single_precision_sums


def expand(graph: Graph, claimed: Callable[[Apply], bool] = lambda node: False) -> Graph:
    """Inline every typed Op, in bodies too, that ``claimed`` does not keep; merge equal Applies.

    >>> from aeframe.nn.ops import ReluOp
    >>> import aesara.tensor as at
    >>> x = at.dvector("x")
    >>> len(typed_nodes(expand(Graph((x,), (ReluOp()(x),)))))
    0
    """

    def transform(node: Apply, inputs: list[Variable]) -> Sequence[Variable] | None:
        if not isinstance(node.op, TypedOp) or claimed(node):
            return single_precision_sums(node, inputs)
        body = body_of(node.op, tuple(v.type for v in inputs))
        path = getattr(node.tag, "path", None)
        new = dict(zip(body.inputs, inputs, strict=True))
        for inner in body.nodes:
            arguments = [new.get(v, v) for v in inner.inputs]
            at_path = inner
            if path is not None and getattr(inner.tag, "path", None) is None:
                at_path = copy(inner)
                at_path.tag = copy(inner.tag)
                at_path.tag.path = path
            made = merger(at_path, arguments)
            assert made is not None
            new.update(zip(inner.outputs, made, strict=True))
        return [new.get(v, v) for v in body.outputs]

    merger = Merger(transform)
    return graph.with_results(replay(graph.results, {}, merger))


def typed_nodes(graph: Graph) -> list[Apply]:
    """The Applies of typed Ops in ``graph``, in topological order."""
    return [node for node in toposort(graph.results) if isinstance(node.op, TypedOp)]
