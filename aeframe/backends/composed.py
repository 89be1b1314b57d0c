"""Programs composed of programs: each (Op, input types) is compiled once in a process.

A search over many structures must not compile each of them. The typed Ops and their pullbacks
stay whole, plain Ops stand beside them, and a new graph over known Ops starts at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aesara.graph.basic import Apply, Constant, Variable
from aesara.scalar.basic import Add, Mul
from aesara.tensor.elemwise import Elemwise
from numpy.typing import NDArray

from aeframe.backends.base import Backend, to_numpy
from aeframe.core.cells import cells
from aeframe.core.expand import expand
from aeframe.core.graph import Graph, replay, require_leaves, toposort
from aeframe.core.shapes import is_tensor, specialize

_PROGRAMS: dict[Any, Callable[[Sequence[Any]], Sequence[Any]]] = {}


def compiled_programs() -> int:
    """How many programs have been compiled in this process for use in compositions."""
    return len(_PROGRAMS)


@dataclass(frozen=True)
class _Step:
    """One Apply: the program, and where its inputs, outputs and dead values lie."""

    run: Callable[[Sequence[Any]], Sequence[Any]]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    dead: tuple[int, ...]


class Composed:
    """A typed graph evaluated Apply by Apply, by programs that all graphs share.

    Parameters
    ----------
    graph
        Its inputs and cells have static shapes; it updates nothing.
    backend
        What compiles the programs.

    >>> import aesara.tensor as at, numpy as np
    >>> from aeframe.backends import Backend
    >>> x = at.TensorType("float64", (2,))("x")
    >>> run = Composed(Graph((x,), (at.exp(x) + x,)), Backend("c"))
    >>> before = compiled_programs()
    >>> again = Composed(Graph((x,), (at.exp(x + x),)), Backend("c"))
    >>> compiled_programs() - before
    0
    >>> again(np.array([0.0, 1.0]))[0].round(3)
    array([1.   , 7.389])
    """

    def __init__(self, graph: Graph, backend: Backend) -> None:
        self.backend = backend
        self.cells = [c for c in cells(graph.results) if c not in set(graph.inputs)]
        require_leaves(graph, self.cells)
        leaves = [*graph.inputs, *self.cells]
        closed = Graph(tuple(leaves), graph.outputs)
        concrete = specialize(closed, [v.type for v in leaves])
        outputs = replay(concrete.outputs, {}, _binary)
        self.n_inputs = len(graph.inputs)
        self._plan(concrete.inputs, outputs)

    def _plan(self, inputs: Sequence[Variable], outputs: Sequence[Variable]) -> None:
        place: dict[Variable, int] = {v: i for i, v in enumerate(inputs)}
        self.constants: list[Any] = []
        nodes = toposort(outputs)
        for v in (v for n in [*(node.inputs for node in nodes), outputs] for v in n):
            if isinstance(v, Constant) and v not in place:
                place[v] = len(place)
                self.constants.append(v.data)
        for node in nodes:
            for out in node.outputs:
                place[out] = len(place)
        last = {place[v]: i for i, node in enumerate(nodes) for v in node.inputs}
        kept = {place[v] for v in outputs} | set(range(len(inputs) + len(self.constants)))
        self.steps = [
            _Step(
                _program(self.backend, node),
                tuple(place[v] for v in node.inputs if not _is_baked(v)),
                tuple(place[v] for v in node.outputs),
                tuple({place[v] for v in node.inputs if last[place[v]] == i} - kept),
            )
            for i, node in enumerate(nodes)
        ]
        self.outputs = [place[v] for v in outputs]
        self.size = len(place)

    def __call__(self, *arrays: Any) -> list[NDArray[Any]]:
        """The outputs on ``arrays``, the values of the graph's inputs."""
        load = self.backend.load
        values = [*arrays, *map(load, self.cells), *self.constants]
        values += [None] * (self.size - len(values))
        for step in self.steps:
            results = step.run([values[i] for i in step.inputs])
            for i, value in zip(step.outputs, results, strict=True):
                values[i] = value
            for i in step.dead:
                values[i] = None
        return [to_numpy(values[i]) for i in self.outputs]


def _binary(node: Apply, inputs: list[Variable]) -> Sequence[Variable] | None:
    """A transform: sums and products of many are taken two at a time, one program for all."""
    op = node.op
    if not isinstance(op, Elemwise) or not isinstance(op.scalar_op, Add | Mul):
        return None
    if len(inputs) == 2:
        return None
    total = inputs[0]
    for v in inputs[1:]:
        total = op(total, v)
    return [total]


def _is_baked(variable: Variable) -> bool:
    """Whether a program holds this input itself: shapes and indices, not numbers of the model."""
    if not isinstance(variable, Constant):
        return False
    return not is_tensor(variable) or not variable.type.dtype.startswith("float")


def _program(backend: Backend, node: Apply) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """The program of an Apply, from the cache where its like was compiled before."""
    described = tuple(_signature(v) if _is_baked(v) else v.type for v in node.inputs)
    key = (backend.name, repr(backend.options), node.op, described)
    if key not in _PROGRAMS:
        inputs = [v if _is_baked(v) else v.type() for v in node.inputs]
        outputs = node.op.make_node(*inputs).outputs
        free = tuple(v for v in inputs if not isinstance(v, Constant))
        concrete = specialize(Graph(free, tuple(outputs)), [v.type for v in free])
        run = backend.executable(expand(concrete, backend.claims), (), ())
        _PROGRAMS[key] = lambda arrays: run([], [], arrays)[0]
    return _PROGRAMS[key]


def _signature(constant: Variable) -> Any:
    data = constant.data
    return (constant.type, data.tobytes() if hasattr(data, "tobytes") else repr(data))
