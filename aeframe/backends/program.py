"""Program: a compiled callable that borrows cells from a Store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from copy import copy, deepcopy
from threading import RLock
from typing import TYPE_CHECKING, Any

from aesara.graph.basic import Variable
from aesara.tensor.type import TensorType

from aeframe.backends.fold import Folded, foldable
from aeframe.backends.interrupts import interrupts_wait
from aeframe.backends.shared import shared, structure
from aeframe.core.cells import Cell, RandomState, State, cells
from aeframe.core.errors import (
    ArgumentError,
    DtypeError,
    IntermediateError,
    ShapeError,
    StateError,
)
from aeframe.core.expand import expand, trim
from aeframe.core.graph import Graph, replay, require_leaves, toposort
from aeframe.core.intermediate import IntermediateType
from aeframe.core.shapes import compatible, shape_text, specialize

if TYPE_CHECKING:
    from aeframe.backends.base import Backend

Executable = Callable[[list[Any], list[Any], Sequence[Any]], tuple[Sequence[Any], Sequence[Any]]]
Mapped = Callable[[list[Any], Sequence[Any], Sequence[Any]], list[Any]]

_CELLS = RLock()


class Program:
    """A compiled callable that borrows cells from a Store and returns those that it updates.

    Static shapes are specialized for each call signature: a new shape compiles once. What depends
    on cells alone that it does not update is folded: see :func:`~aeframe.backends.fold.foldable`.

    Attributes
    ----------
    compilations
        How many signatures were compiled.
    """

    def __init__(self, backend: Backend, graph: Graph) -> None:
        _refuse_leftovers(graph, backend)
        self.backend, self.updated = backend, list[Cell](graph.updates)
        require_leaves(graph, [*self.updated, *self._fixed(graph)])
        self.folded = self._fold(graph) if graph.inputs or graph.updates else None
        self.graph = graph if self.folded is None else graph.replay(self.folded.replaced)
        self.fixed = self._fixed(self.graph)
        self.compilations = 0
        self._lock = _CELLS
        self._executables: dict[Any, Executable] = {}
        self._mapped: dict[Any, Mapped] = {}

    def _fixed(self, graph: Graph) -> list[Cell]:
        known = {*graph.updates, *graph.inputs}
        return [c for c in cells(graph.results) if c not in known]

    def _fold(self, graph: Graph) -> Folded | None:
        found = foldable(graph, [c for c in self._fixed(graph) if self.backend.folds(c)])
        if not found:
            return None
        distinct = tuple(dict.fromkeys(found.values()))
        stand_in = {v: v.type(name=v.name) for v in distinct}
        program = Program(self.backend, Graph((), distinct))
        return Folded({v: stand_in[known] for v, known in found.items()}, program)

    def _values(self) -> list[Any]:
        """Of the fixed cells, then of what was folded."""
        values = [self.backend.load(c) for c in self.fixed]
        return values if self.folded is None else [*values, *self.folded.values()]

    def __call__(self, *arrays: Any) -> Sequence[Any]:
        """Run on arrays; the outputs are arrays as the backend keeps them.

        Raises
        ------
        ShapeError, DtypeError
            When an array is not of the input's type.
        """
        return self._call("", arrays)

    def scan(self, *rows: Any) -> Sequence[Any]:
        """Run once for each entry along the first axis of all inputs, one after the other.

        Each run takes the cells that the one before left: the numbers are those of as many calls,
        in one program where the backend can. The outputs have that leading axis.

        >>> import aesara.tensor as at, numpy as np
        >>> from aeframe.backends import Backend
        >>> from aeframe.core.cells import State
        >>> x, total = at.dscalar("x"), State(0.0)
        >>> add = Backend("c").compile([x], [2.0 * x], {total: total + x})
        >>> add.scan(np.array([1.0, 2.0, 3.0]))[0], float(total.value)
        (array([2., 4., 6.]), 6.0)
        """
        return self._call("scan", rows)

    def fork(self) -> tuple[Program, dict[Cell, Cell]]:
        """The same compiled code on cells of its own, and which stands for which that it updates.

        Forks run beside each other, in threads, where the backend is ``reentrant``; the cells
        that they do not update are shared, and must stay as they are meanwhile.

        >>> from aeframe.backends import Backend
        >>> from aeframe.core.cells import State
        >>> total = State(1.0)
        >>> program, own = Backend("c").compile([], [], {total: 2.0 * total}).fork()
        >>> _ = program(), program()
        >>> float(total.value), float(own[total].value)
        (1.0, 4.0)
        """
        made = copy(self)
        made.updated = [_twin(c) for c in self.updated]
        if self.backend.reentrant:
            made._lock = RLock()
        return made, dict(zip(self.updated, made.updated, strict=True))

    def executable(self, *arrays: Any) -> tuple[Executable, list[Any]]:
        """What runs on arrays of these types, and the values that it takes of fixed cells.

        For loops that are compiled around a program: ``run([], values, arrays)`` is
        ``(outputs, [])``; on JAX it may be traced.

        Raises
        ------
        StateError
            When the program updates cells.

        >>> import aesara.tensor as at, numpy as np
        >>> from aeframe.backends import Backend
        >>> x = at.dscalar("x")
        >>> run, values = Backend("jax").compile([x], [2.0 * x]).executable(np.array(1.0))
        >>> float(run([], values, [np.array(3.0)])[0][0])
        6.0
        """
        if self.updated:
            raise StateError("a program that updates cells is not run by others")
        signature = ("", *[(a.shape, a.dtype) if hasattr(a, "shape") else None for a in arrays])
        if signature not in self._executables:
            self._executables[signature] = self._made("", arrays)
        with _CELLS:
            return self._executables[signature], self._values()

    def _call(self, kind: str, arrays: Sequence[Any]) -> Sequence[Any]:
        arrays = self.backend.feed(arrays, 1 if kind else 0)
        signature = (kind, *[(a.shape, a.dtype) if hasattr(a, "shape") else None for a in arrays])
        run = self._executables.get(signature)
        if run is None:  # compiling is long, and may be interrupted
            run = self._executables[signature] = self._made(kind, arrays)
            return self._step(run, arrays)
        with interrupts_wait() if self.updated else nullcontext():
            return self._step(run, arrays)

    def _made(self, kind: str, arrays: Sequence[Any]) -> Executable:
        if not kind:
            return self._compile(arrays)
        single = [a[0] for a in arrays]
        signature = ("", *[(a.shape, a.dtype) for a in single])
        if signature not in self._executables:
            self._executables[signature] = self._compile(single)
        return self.backend.scanned(self._executables[signature])

    def _step(self, run: Executable, arrays: Sequence[Any]) -> Sequence[Any]:
        load = self.backend.load
        with self._lock:  # another thread must not borrow a cell that is being updated
            with _CELLS:
                values = self._values()
            outputs, advanced = run([load(c) for c in self.updated], values, arrays)
            for cell, value in zip(self.updated, advanced, strict=True):
                cell.data = value
        return outputs

    def map(self, rows: Sequence[Any], *rest: Any) -> list[Any]:
        """Run once for each entry along the first axis of ``rows``, which are the first inputs.

        ``rest`` are the other inputs, the same in every run. Rows of random states come from
        :meth:`Backend.random_states`. The outputs have that leading axis.

        Raises
        ------
        StateError
            When the program updates cells: runs side by side have no order.

        >>> import aesara.tensor as at, numpy as np
        >>> from aeframe.backends import Backend
        >>> x, y = at.dscalars("x", "y")
        >>> double = Backend("c").compile([x, y], [2.0 * x + y])
        >>> double.map([np.array([1.0, 2.0])], np.array(0.5))
        [array([2.5, 4.5])]
        """
        if self.updated:
            raise StateError("a program that updates cells cannot be mapped over rows")
        signature = (len(rows), *((a.shape, a.dtype) for a in rest))
        signature += tuple((a.shape[1:], a.dtype) for a in rows if hasattr(a, "shape"))
        run = self._mapped.get(signature)
        if run is None:
            first = [a[0] if hasattr(a, "shape") else a for a in rows]
            run = self._mapped[signature] = self._compile([*first, *rest], len(rows))
        with _CELLS:
            values = self._values()
        return run(values, list(rows), list(rest))

    def _compile(self, arrays: Sequence[Any], mapped: int = 0) -> Any:
        """The Executable for arrays of these types, or what maps it over the first ``mapped``."""
        graph = self.graph
        if len(arrays) != len(graph.inputs):
            raise ArgumentError(
                "wrong number of inputs", expected=len(graph.inputs), got=len(arrays)
            )
        types = [_input_type(v, a) for v, a in zip(graph.inputs, arrays, strict=True)]
        held = [*self.graph.updates, *self.fixed]
        plain = {c: c.type(name=c.name) for c in held}
        others = [] if self.folded is None else self.folded.variables
        results = replay(graph.results, plain)
        n = len(graph.outputs)
        closed = Graph(
            (*graph.inputs, *plain.values(), *others),
            tuple(results[:n]),
            dict(zip(graph.updates, results[n:], strict=True)),
        )
        k, m = len(graph.inputs), len(self.updated)
        self.compilations += 1

        def make() -> Executable:
            concrete = specialize(closed, [*types, *(v.type for v in closed.inputs[k:])])
            expanded = expand(trim(concrete), self.backend.claims)
            inner = expanded.inputs[k:]
            for variable, cell in zip(inner, [*held, *[None] * len(others)], strict=True):
                variable.tag.cell = cell
            return self.backend.executable(expanded, inner[:m], inner[m:])

        key = None
        if not m and not self.backend.options:  # options may be about certain cells
            told = structure(closed)
            key = None if told is None else (self.backend.name, tuple(types), told)
        run = shared(key, make)
        if not mapped:
            return run
        kept = None if key is None else (key, mapped)
        return shared(kept, lambda: self.backend.mapped(run, mapped))


def _twin(cell: Cell) -> Cell:
    """Another cell with the same value."""
    if not isinstance(cell, RandomState):
        return State(cell.numpy())
    twin = RandomState(cell.name)
    if cell.data is not None:
        twin.data = deepcopy(cell.generator())
    return twin


def _input_type(variable: Variable, array: Any) -> Any:
    kind = variable.type
    if not isinstance(kind, TensorType):
        return kind
    name = variable.name or "an input"
    if not hasattr(array, "shape") or not hasattr(array, "dtype"):
        raise ArgumentError(f"{name} is not an array", expected=str(kind), got=type(array).__name__)
    if str(array.dtype) != kind.dtype:
        raise DtypeError(
            f"{name} has the wrong dtype",
            expected=kind.dtype,
            got=str(array.dtype),
            fix=f"pass `array.astype({kind.dtype!r})`",
        )
    if len(array.shape) != kind.ndim or not all(map(compatible, array.shape, kind.shape)):
        raise ShapeError(
            f"{name} has the wrong shape",
            expected=shape_text(kind.shape),
            got=shape_text(array.shape),
        )
    return TensorType(kind.dtype, tuple(array.shape))


def _refuse_leftovers(graph: Graph, backend: Backend) -> None:
    for node in toposort(graph.results):
        for out in node.outputs:
            if isinstance(out.type, IntermediateType):
                raise IntermediateError(
                    f"{node.op} is left in the graph: it makes a {out.type.name}, which "
                    f"{backend.name} cannot run",
                    path=getattr(node.tag, "path", None),
                    fix=out.type.hint,
                )
        for v in node.inputs:
            if v.owner is None and isinstance(v.type, IntermediateType):
                raise IntermediateError(
                    f"{node.op} depends on a free {v.type.name}", fix="give it a value"
                )
