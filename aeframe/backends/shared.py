"""Compiled code is shared by graphs of one structure: new values of cells compile nothing.

A Model that was intervened on again, or observed again, is a new graph on new cells. Where only
the values differ, its programs run what was compiled before.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import get_ident
from typing import Any, TypeVar

from aesara.graph.basic import Constant, Variable

from aeframe.core.graph import Graph, toposort

T = TypeVar("T")

# how many are kept when no program is left that runs them
KEPT = 256

_MADE: OrderedDict[Hashable, Any] = OrderedDict()


def shared(key: Hashable, make: Callable[[], T]) -> T:
    """What ``make`` returned for this key in this thread; ``None`` as key is never shared."""
    if key is None:
        return make()
    own = get_ident(), key  # compiled code may work in memory of its own
    if own not in _MADE:
        _MADE[own] = make()
    _MADE.move_to_end(own)
    while len(_MADE) > KEPT:
        _MADE.popitem(last=False)
    return _MADE[own]


def structure(graph: Graph) -> Hashable:
    """Equal for graphs that compute the same from their inputs; ``None`` where that is not known.

    >>> import aesara.tensor as at
    >>> x, y = at.dscalars("x", "y")
    >>> structure(Graph((x,), (2.0 * x,))) == structure(Graph((y,), (2.0 * y,)))
    True
    >>> structure(Graph((x,), (2.0 * x,))) == structure(Graph((x,), (3.0 * x,)))
    False
    """
    place: dict[Variable, int] = {}

    def told(variable: Variable) -> Hashable:
        if isinstance(variable, Constant):
            return variable.signature()
        return place[variable]

    for v in graph.inputs:
        place[v] = len(place)
    nodes: list[Hashable] = []
    for node in toposort(graph.results, graph.inputs):
        nodes.append((node.op, *map(told, node.inputs), *(o.type for o in node.outputs)))
        for out in node.outputs:
            place[out] = len(place)
    results = tuple(map(told, graph.results))
    key = tuple(v.type for v in graph.inputs), tuple(nodes), results, len(graph.outputs)
    try:
        hash(key)
    except TypeError:  # a constant that cannot be compared
        return None
    return key
