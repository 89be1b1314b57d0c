"""The contract of a backend: it compiles a graph to a Program, and says why when it cannot."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from threading import RLock
from typing import Any, ClassVar, Self

import numpy as np
from aesara.graph.basic import Apply, Variable
from aesara.tensor.type import TensorType

from aeframe.backends.claims import implementation
from aeframe.backends.interrupts import interrupts_wait
from aeframe.core.cells import Cell, Store, cells
from aeframe.core.errors import (
    ArgumentError,
    BackendError,
    DtypeError,
    IntermediateError,
    ShapeError,
    StateError,
    nearest,
)
from aeframe.core.expand import expand, trim
from aeframe.core.graph import Graph, replay, require_leaves, toposort
from aeframe.core.ops import IntermediateType
from aeframe.core.shapes import compatible, shape_text, specialize

BUILT_IN = {
    "jax": "aeframe.backends.jax:JaxBackend",
    "c": "aeframe.backends.c:CBackend",
    "numba": "aeframe.backends.numba.backend:NumbaBackend",
}
DEFAULT = "jax"
_CELLS = RLock()
_CURRENT: ContextVar[tuple[Backend, ...]] = ContextVar("aeframe_backends", default=())

Executable = Callable[[list[Any], list[Any], Sequence[Any]], tuple[Sequence[Any], Sequence[Any]]]
Mapped = Callable[[list[Any], Sequence[Any], Sequence[Any]], list[Any]]


@dataclass(frozen=True)
class Diagnosis:
    """Whether a backend can run here: what was found, and what to do if it cannot."""

    available: bool
    found: str
    fix: str = ""


class Backend(ABC):
    """Compiles typed graphs; ``Backend("c")`` selects one, and is a context manager.

    A backend for another language is a subclass in a package of its own, named by an entry point
    of the group ``aeframe.backends``. It says what it claims (:meth:`claims`), how cells are
    loaded (:meth:`load`) and how a concrete graph runs (:meth:`executable`).

    Attributes
    ----------
    takes
        The options that the backend knows.
    options
        Those that were given.

    Raises
    ------
    ArgumentError
        When the backend does not take an option.
    BackendError
        When no backend has that name, or it is not available here.

    >>> with Backend("c"):
    ...     current_backend().name
    'c'
    """

    name = ""
    takes: ClassVar[tuple[str, ...]] = ()
    options: dict[str, Any]

    def __new__(cls, name: str = "", **options: Any) -> Self:
        """An instance of the named backend's class."""
        target = _find(name) if cls is Backend else cls
        return object.__new__(target)  # type: ignore[return-value]

    def __init__(self, name: str = "", **options: Any) -> None:
        unknown = [o for o in options if o not in self.takes]
        if unknown:
            raise ArgumentError(
                f"the backend {self.name!r} does not take the option {unknown[0]!r}",
                expected=", ".join(self.takes) or "no options",
                got=", ".join(f"{o}={options[o]!r}" for o in unknown),
                fix="leave it out, or choose a backend that takes it",
            )
        self.options = options
        diagnosis = self.diagnose()
        if not diagnosis.available:
            raise BackendError(
                f"the backend {self.name!r} is not available",
                got=diagnosis.found,
                fix=diagnosis.fix,
            )

    def __enter__(self) -> Self:
        _CURRENT.set((*_CURRENT.get(), self))
        return self

    def __exit__(self, *exc: object) -> None:
        _CURRENT.set(_CURRENT.get()[:-1])

    def __repr__(self) -> str:
        options = "".join(f", {k}={v!r}" for k, v in self.options.items())
        return f"Backend({self.name!r}{options})"

    @classmethod
    @abstractmethod
    def diagnose(cls) -> Diagnosis:
        """Whether this backend can run here, found out without starting it."""

    def claims(self, node: Apply) -> bool:
        """Whether this backend implements the typed Op of ``node`` itself."""
        return implementation(self.name, node) is not None

    @abstractmethod
    def load(self, cell: Cell) -> Any:
        """The value of a cell as this backend keeps it."""

    @abstractmethod
    def executable(
        self, graph: Graph, updated: Sequence[Variable], fixed: Sequence[Variable]
    ) -> Executable:
        """Make a graph of concrete shapes runnable.

        ``graph.inputs`` are the call's inputs, then ``updated``, then ``fixed``: plain variables
        in the place of cells (``tag.cell``). The result is called with the values of ``updated``
        (which it may destroy), of ``fixed``, and the inputs; it returns the outputs and the new
        values.
        """

    @property
    def multiple(self) -> int:
        """What the rows of a batch, as this process feeds them, must be a multiple of."""
        return 1

    def require_cells(self, store: Store) -> None:
        """Refuse options about cells that none of a model to be trained, or its optimizer, has.

        Raises
        ------
        UnknownNameError
            When an option names cells that are not in ``store``.
        """
        return

    def whole(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of a batch of which this process feeds a part of ``shape``."""
        return tuple(shape)

    def feed(self, arrays: Sequence[Any], axis: int = 0) -> Sequence[Any]:
        """The whole batch, of which ``arrays`` are this process's rows, along ``axis``."""
        return arrays

    def random_states(self, entropy: Sequence[int], n: int) -> Any:
        """``n`` independent random states, rows for an input of :meth:`Program.map`."""
        return np.random.default_rng(list(entropy)).spawn(n)

    def mapped(self, run: Executable, count: int) -> Mapped:
        """Make ``run``, which updates nothing, run once per row of its first ``count`` inputs.

        The result is called with the values of the cells, the rows and the other inputs; it
        returns each output with a leading axis.
        """

        def loop(values: list[Any], rows: Sequence[Any], rest: Sequence[Any]) -> list[Any]:
            # copies: a program may reuse the memory of its outputs
            made = [
                [np.array(o) for o in run([], values, [*row, *rest])[0]]
                for row in zip(*rows, strict=True)
            ]
            return [np.stack(column) for column in zip(*made, strict=True)]

        return loop

    def scanned(self, run: Executable) -> Executable:
        """Make ``run`` repeat itself along the first axis of its inputs, states handed on.

        The outputs get that leading axis.
        """

        def loop(states: list[Any], values: list[Any], rows: Sequence[Any]) -> Any:
            made, latest = [], states
            for row in zip(*rows, strict=True):
                outputs, advanced = run(latest, values, [np.asarray(a) for a in row])
                # copies: a program may reuse the memory of its outputs
                made.append([np.array(o) for o in outputs])
                latest = list(advanced)
            return [np.stack(column) for column in zip(*made, strict=True)], latest

        return loop

    def compile(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        updates: dict[Variable, Variable] | None = None,
    ) -> Program:
        """A Program for a typed graph.

        Raises
        ------
        IntermediateError
            When a kernel, a circuit or a measure is left that no interpretation removed.
        StateError
            When the graph depends on something that is neither an input nor a cell.
        """
        return Program(self, Graph(tuple(inputs), tuple(outputs), dict(updates or {})))


class Program:
    """A compiled callable that borrows cells from a Store and returns those that it updates.

    Static shapes are specialized for each call signature: a new shape compiles once.

    Attributes
    ----------
    compilations
        How many signatures were compiled.
    """

    def __init__(self, backend: Backend, graph: Graph) -> None:
        _refuse_leftovers(graph, backend)
        self.backend, self.graph = backend, graph
        self.updated: list[Cell] = list(graph.updates)
        found = [c for c in cells(graph.results) if c not in graph.updates]
        self.fixed = [c for c in found if c not in set(graph.inputs)]
        require_leaves(graph, [*self.updated, *self.fixed])
        self.compilations = 0
        self._executables: dict[Any, Executable] = {}
        self._mapped: dict[Any, Mapped] = {}

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

        >>> import aesara.tensor as at
        >>> from aeframe.core.cells import State
        >>> x, total = at.dscalar("x"), State(0.0)
        >>> add = Backend("c").compile([x], [2.0 * x], {total: total + x})
        >>> add.scan(np.array([1.0, 2.0, 3.0]))[0], float(total.value)
        (array([2., 4., 6.]), 6.0)
        """
        return self._call("scan", rows)

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
        with _CELLS:  # another thread must not borrow a cell that is being updated
            states, fixed = [load(c) for c in self.updated], [load(c) for c in self.fixed]
            outputs, advanced = run(states, fixed, arrays)
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

        >>> import aesara.tensor as at
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
            executable = self._compile([*first, *rest])
            run = self._mapped[signature] = self.backend.mapped(executable, len(rows))
        return run([self.backend.load(c) for c in self.fixed], list(rows), list(rest))

    def _compile(self, arrays: Sequence[Any]) -> Executable:
        graph = self.graph
        if len(arrays) != len(graph.inputs):
            raise ArgumentError(
                "wrong number of inputs", expected=len(graph.inputs), got=len(arrays)
            )
        types = [_input_type(v, a) for v, a in zip(graph.inputs, arrays, strict=True)]
        cell_variables = [*self.updated, *self.fixed]
        plain = {c: c.type(name=c.name) for c in cell_variables}
        results = replay(graph.results, plain)
        n = len(graph.outputs)
        closed = Graph(
            (*graph.inputs, *plain.values()),
            tuple(results[:n]),
            dict(zip(graph.updates, results[n:], strict=True)),
        )
        concrete = specialize(closed, [*types, *(c.type for c in cell_variables)])
        expanded = expand(trim(concrete), self.backend.claims)
        k, m = len(graph.inputs), len(self.updated)
        self.compilations += 1
        for variable, cell in zip(expanded.inputs[k:], cell_variables, strict=True):
            variable.tag.cell = cell
        return self.backend.executable(
            expanded, expanded.inputs[k : k + m], expanded.inputs[k + m :]
        )


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


def backend_names() -> list[str]:
    """The backends that are built in or installed."""
    found = entry_points(group="aeframe.backends")
    return sorted({*BUILT_IN, *(e.name for e in found)})


def _find(name: str) -> type[Backend]:
    if name in BUILT_IN:
        module, _, attribute = BUILT_IN[name].partition(":")
        return getattr(import_module(module), attribute)
    for entry in entry_points(group="aeframe.backends"):
        if entry.name == name:
            return entry.load()
    raise BackendError(f"no backend is called {name!r}", fix=nearest(name, backend_names()))


def diagnose(name: str) -> Diagnosis:
    """What :meth:`Backend.diagnose` of the named backend says."""
    return _find(name).diagnose()


def current_backend() -> Backend:
    """The innermost ``with Backend(...)``, or JAX."""
    chosen = _CURRENT.get()
    return chosen[-1] if chosen else as_backend(DEFAULT)


_INSTANCES: dict[str, Backend] = {}


def as_backend(choice: str | Backend | None) -> Backend:
    """The backend meant by a name, an instance, or ``None`` (the current one)."""
    if choice is None:
        return current_backend()
    if isinstance(choice, Backend):
        return choice
    if choice not in _INSTANCES:
        _INSTANCES[choice] = _find(choice)(choice)
    return _INSTANCES[choice]


def to_numpy(value: Any) -> Any:
    """An output of a Program as a NumPy array."""
    if value is None:
        raise StateError("a program returned nothing")
    return np.asarray(value)
