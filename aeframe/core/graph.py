"""Walking and rebuilding graphs, without recursion: chains of many thousands of Applies work.

Aesara's own ``clone_replace`` copies everything above a graph and recurses; here a graph is
replayed in topological order and only what changes is made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any

from aesara.graph.basic import Apply, Constant, Variable

from aeframe.core.errors import StateError

Transform = Callable[[Apply, list[Variable]], Sequence[Variable] | None]


@dataclass(frozen=True)
class Graph:
    """A typed graph: its inputs, its outputs and the new values of the cells it updates.

    Attributes
    ----------
    inputs
        Leaves that a caller supplies, in order.
    outputs
        What the graph computes.
    updates
        Cell → variable that holds the cell's next value.
    names
        Output names, where the outputs have some (the sites of a Model).
    late
        Passes that wait until it is known what the graph is for, training or inference.
    """

    inputs: tuple[Variable, ...]
    outputs: tuple[Variable, ...]
    updates: Mapping[Variable, Variable] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    late: tuple[Any, ...] = ()

    @property
    def results(self) -> tuple[Variable, ...]:
        """Outputs, then the updated values: all that has to be computed."""
        return (*self.outputs, *self.updates.values())

    def with_results(self, results: Sequence[Variable]) -> Graph:
        """The same graph with other expressions in the place of ``results``."""
        n = len(self.outputs)
        updates = dict(zip(self.updates, results[n:], strict=True))
        return Graph(self.inputs, tuple(results[:n]), updates, self.names, self.late)

    def replay(
        self,
        replace: Mapping[Variable, Variable] | None = None,
        transform: Transform | None = None,
    ) -> Graph:
        """Rebuild the graph, see :func:`replay`."""
        return self.with_results(replay(self.results, replace or {}, transform))


def toposort(outputs: Iterable[Variable], stop: Iterable[Variable] = ()) -> list[Apply]:
    """The Applies that ``outputs`` need, each after those it needs; nothing above ``stop``.

    >>> import aesara.tensor as at
    >>> x = at.scalar("x")
    >>> [str(node.op) for node in toposort([at.exp(x) + 1])][-1]
    'Elemwise{add,no_inplace}'
    """
    stopped = stop if isinstance(stop, Mapping) else set(stop)
    done: set[Apply] = set()
    order: list[Apply] = []
    todo = [v.owner for v in outputs if v.owner is not None and v not in stopped]
    todo.reverse()
    while todo:
        node = todo[-1]
        if node in done:
            todo.pop()
            continue
        pending = [
            v.owner
            for v in node.inputs
            if v.owner is not None and v not in stopped and v.owner not in done
        ]
        if pending:
            todo.extend(reversed(pending))
        else:
            todo.pop()
            done.add(node)
            order.append(node)
    return order


def leaves(outputs: Iterable[Variable], stop: Iterable[Variable] = ()) -> list[Variable]:
    """The variables without owner (constants excepted) that ``outputs`` depend on, in order."""
    outputs = list(outputs)
    stopped = dict.fromkeys(stop)
    found: dict[Variable, None] = {}
    for variable in (
        *(v for node in toposort(outputs, stopped) for v in node.inputs),
        *outputs,
    ):
        if variable in stopped or (variable.owner is None and not isinstance(variable, Constant)):
            found[variable] = None
    return list(found)


def remake(node: Apply, inputs: Sequence[Variable]) -> Apply:
    """The same Apply on other inputs; its output types are found anew when input types differ."""
    from aeframe.core.shapes import narrow

    if all(old.type == new.type for old, new in zip(node.inputs, inputs, strict=True)):
        fresh = Apply(node.op, list(inputs), [o.clone() for o in node.outputs])
    else:
        fresh = narrow(node.op.make_node(*inputs))
        for old, new in zip(node.outputs, fresh.outputs, strict=True):
            new.name = old.name
    fresh.tag = copy(node.tag)
    return fresh


def replay(
    outputs: Sequence[Variable],
    replace: Mapping[Variable, Variable],
    transform: Transform | None = None,
) -> list[Variable]:
    """Rebuild ``outputs`` with some variables replaced; untouched parts are shared, not copied.

    Parameters
    ----------
    outputs
        The expressions to rebuild.
    replace
        Variable → variable to use in its place. Nothing above a replaced variable is visited.
    transform
        Called with each Apply and its new inputs; returns the outputs that take its place, or
        ``None`` to keep it.

    >>> import aesara, aesara.tensor as at
    >>> x, y = at.scalars("x", "y")
    >>> (z,) = replay([at.exp(x) * 2], {x: y})
    >>> y in leaves([z]) and x not in leaves([z])
    True
    """
    new: dict[Variable, Variable] = dict(replace)
    for node in toposort(outputs, replace):
        inputs = [new.get(v, v) for v in node.inputs]
        made = transform(node, inputs) if transform is not None else None
        if made is None:
            if all(a is b for a, b in zip(inputs, node.inputs, strict=True)):
                continue
            made = remake(node, inputs).outputs
        for old, out in zip(node.outputs, made, strict=True):
            if old not in replace:
                new[old] = out
    return [new.get(v, v) for v in outputs]


class Merger:
    """A transform that makes one Apply of equal Applies, and one constant of equal small ones.

    Parameters
    ----------
    transform
        Runs first; what it returns is kept as it is.
    """

    def __init__(self, transform: Transform | None = None) -> None:
        self.transform = transform
        self.seen: dict[object, Apply] = {}
        self.constants: dict[object, Constant] = {}

    def constant(self, variable: Variable) -> Variable:
        """The first of the equal constants seen so far."""
        if not isinstance(variable, Constant) or getattr(variable.data, "size", 17) > 16:
            return variable
        key = (variable.type, variable.data.tobytes())
        return self.constants.setdefault(key, variable)

    def __call__(self, node: Apply, inputs: list[Variable]) -> Sequence[Variable] | None:
        """The outputs of the first Apply that is equal to ``node`` on ``inputs``."""
        inputs = [self.constant(v) for v in inputs]
        made = self.transform(node, inputs) if self.transform else None
        if made is not None:
            return made
        key = (node.op, tuple(inputs))
        if key not in self.seen:
            same = all(a is b for a, b in zip(inputs, node.inputs, strict=True))
            self.seen[key] = node if same else remake(node, inputs)
        return self.seen[key].outputs


def require_leaves(graph: Graph, known: Iterable[Variable]) -> None:
    """Raise :class:`StateError` when ``graph`` depends on a leaf that nobody will supply."""
    supplied = {*graph.inputs, *known}
    missing = [v for v in leaves(graph.results, graph.inputs) if v not in supplied]
    if missing:
        raise StateError(
            "the graph depends on a variable that is neither an input nor a cell",
            got=", ".join(str(v) for v in missing),
            fix="list it among the inputs, or make it a Parameter",
        )
