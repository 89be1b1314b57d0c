"""Walking and checking circuits, without recursion; shared nodes are visited once.

Scopes are sets of columns, kept as the bits of an integer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from aesara.graph.basic import Variable

from aeframe.core import Graph, Module
from aeframe.core.errors import CircuitError
from aeframe.core.structure import walk
from aeframe.core.trace import calling, current_trace

if TYPE_CHECKING:
    from aeframe.circuits.nodes import Circuit


@dataclass(frozen=True)
class Problem:
    """Why a node is no node of a circuit."""

    problem: str
    expected: str
    got: str
    fix: str


def post_order(root: Circuit) -> list[Circuit]:
    """The nodes of a circuit, each once, children before parents."""
    done: set[int] = set()
    order: list[Circuit] = []
    todo = [root]
    while todo:
        node = todo[-1]
        pending = [c for c in node.children if id(c) not in done]
        if id(node) in done:
            todo.pop()
        elif pending:
            todo.extend(reversed(pending))
        else:
            todo.pop()
            done.add(id(node))
            order.append(node)
    return order


def scopes(order: list[Circuit]) -> dict[int, int]:
    """The scope of each node, by ``id``."""
    found: dict[int, int] = {}
    for node in order:
        scope = node.own_scope
        for child in node.children:
            scope |= found[id(child)]
        found[id(node)] = scope
    return found


def columns_of(scope: int) -> tuple[int, ...]:
    """A scope as columns, in order.

    >>> columns_of(0b101)
    (0, 2)
    """
    return tuple(i for i, bit in enumerate(reversed(bin(scope)[2:])) if bit == "1")


def child_scopes(order: list[Circuit]) -> Iterator[tuple[Circuit, list[int]]]:
    """Each node with the scopes of its children."""
    scope = scopes(order)
    for node in order:
        yield node, [scope[id(c)] for c in node.children]


def overlap(scopes: Sequence[int]) -> int:
    """The columns that more than one scope has.

    >>> overlap([0b011, 0b110])
    2
    """
    union = shared = 0
    for scope in scopes:
        shared |= union & scope
        union |= scope
    return shared


def check(root: Circuit, order: list[Circuit], prefix: str = "") -> None:
    """Raise :class:`CircuitError` at the first node that is not as nodes must be."""
    for node, below in child_scopes(order):
        found = node.problem(below)
        if found is not None:
            path = prefix + next(path for path, part in walk(root) if part is node)
            raise CircuitError(**asdict(found), path=path or f"the root, a {type(node).__name__}")


def assemble(root: Circuit) -> Variable:
    """The expression of a circuit; a part that has passes of its own is rewritten by them."""
    order = post_order(root)
    trace = current_trace()
    prefix = trace.paths[-1] + "." if trace and trace.paths and trace.paths[-1] else ""
    check(root, order, prefix)
    paths = {id(part): prefix + path for path, part in walk(root) if isinstance(part, Module)}
    made: dict[int, Variable] = {}
    for node in order:
        with calling(node, paths[id(node)].removesuffix(".")):
            variable = node.term([made[id(c)] for c in node.children])
            made[id(node)] = variable if node is root else rewritten(node, variable)
    return made[id(root)]


def rewritten(circuit: Circuit, variable: Variable) -> Variable:
    """The expression of a circuit after its passes."""
    graph = Graph((), (variable,))
    trace = current_trace()
    for each in circuit.passes:
        graph, report = each(graph)
        if trace is not None:
            trace.reports.append(report)
    return graph.outputs[0]
