"""What typed Ops have to say about data that is given to them directly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from aesara.graph.basic import Apply
from numpy.typing import NDArray

from aeframe.core.graph import Graph, toposort
from aeframe.core.ops import TypedOp

Check = Callable[[Sequence[NDArray[Any]]], None]


def checks_of(graph: Graph) -> list[Check]:
    """What the typed Ops that take data directly have to say about it."""
    position = {v: i for i, v in enumerate(graph.inputs)}

    def check(node: Apply, index: int, place: int) -> Check:
        return lambda arrays: node.op.validate(node, index, arrays[place])

    return [
        check(node, index, position[v])
        for node in toposort(graph.results)
        if isinstance(node.op, TypedOp) and type(node.op).validate is not TypedOp.validate
        for index, v in enumerate(node.inputs)
        if v in position
    ]
