"""Expand: put the bodies of typed Ops in their place, except those that a backend claims."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy

from aesara.graph.basic import Apply, Variable

from aeframe.core.graph import Graph, Merger, replay, toposort
from aeframe.core.ops import Pullback, TypedOp, body_of, single_precision_sums


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


def trim(graph: Graph) -> Graph:
    """Let no Pullback make gradients that nothing uses: who claims it would compute them all.

    >>> from aeframe.core.grad import grad
    >>> from aeframe.nn.ops import DenseOp
    >>> import aesara.tensor as at
    >>> x, w = at.dmatrices("x", "w")
    >>> graph = Graph((x, w), tuple(grad(DenseOp()(x, w).sum(), [w])))
    >>> [len(node.outputs) for node in typed_nodes(graph)], typed_nodes(trim(graph))[-1].op.wrt
    ([1, 2], (1,))
    """
    used = {v for node in toposort(graph.results) for v in node.inputs} | set(graph.results)

    def transform(node: Apply, inputs: list[Variable]) -> Sequence[Variable] | None:
        if not isinstance(node.op, Pullback) or used.issuperset(node.outputs):
            return None
        op = copy(node.op)
        op.wrt = tuple(i for i, o in zip(op.wrt, node.outputs, strict=True) if o in used)
        made = op.make_node(*inputs)
        made.tag.path = getattr(node.tag, "path", None)
        fewer = iter(made.outputs)
        return [next(fewer) if o in used else o for o in node.outputs]

    return graph.replay(transform=transform)


def typed_nodes(graph: Graph) -> list[Apply]:
    """The Applies of typed Ops in ``graph``, in topological order."""
    return [node for node in toposort(graph.results) if isinstance(node.op, TypedOp)]
