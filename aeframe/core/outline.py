"""Outline: make any part of a graph a typed Op that rules can target; the inverse of expand."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from aesara.graph.basic import Variable

from aeframe.core.cells import cells
from aeframe.core.graph import replay
from aeframe.core.module import Module, flatten, unflatten
from aeframe.core.ops import TypedOp
from aeframe.core.serialize import decode_graph, encode_graph
from aeframe.core.trace import calling, current_trace, tracing


class OutlinedOp(TypedOp):
    """A typed Op made from a graph: its name, and the graph as data.

    Equal graphs under equal names are equal Ops, so that a rule can ask for
    ``OutlinedOp(name="Block")``.
    """

    __props__ = ("name", "structure")

    def __init__(self, name: str, structure: str) -> None:
        self.name, self.structure = name, structure

    def body(self, *inputs: Variable) -> list[Variable]:
        """The outlined graph on ``inputs``."""
        own, outputs = decode_graph(json.loads(self.structure))
        return replay(outputs, dict(zip(own, inputs, strict=True)))

    def __str__(self) -> str:
        return self.name


def outline(inputs: Sequence[Variable], outputs: Sequence[Variable], name: str) -> OutlinedOp:
    """A typed Op that computes ``outputs`` from ``inputs``; use it on any inputs of like types.

    Raises
    ------
    SerializationError
        When the graph depends on a leaf that is not among ``inputs``.

    >>> import aesara.tensor as at
    >>> x = at.dvector("x")
    >>> swish = outline([x], [x * at.sigmoid(x)], "Swish")
    >>> str(swish(at.dvector("y")).owner.op)
    'Swish'
    """
    data = encode_graph(inputs, outputs)
    for node in data["nodes"]:
        node[3] = None  # a path belongs to one place, an outlined Op to many
    return OutlinedOp(name, json.dumps(data, sort_keys=True))


def outline_call(module: Module, call: Callable[..., Any], inputs: Sequence[Variable]) -> Any:
    """Lower ``call(module, *inputs)`` to one Apply; the cells it reads become inputs."""
    fresh = [v.type(name=v.name) for v in inputs]
    with tracing() as inner, calling(module, ""):
        made = call(module, *fresh)
    results = [*flatten(made), *inner.updates.values()]
    used = cells(results)
    op = outline([*fresh, *used], results, type(module).__name__)
    outputs = op.make_node(*inputs, *(c.read() for c in used)).outputs
    n = len(results) - len(inner.updates)
    trace = current_trace()
    if trace is not None:
        trace.updates.update(zip(inner.updates, outputs[n:], strict=True))
    return unflatten(made, iter(outputs[:n]))
