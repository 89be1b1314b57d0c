"""The contract of a backend: it compiles a graph to a Program, and says why when it cannot."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, ClassVar, Self

import numpy as np
from aesara.graph.basic import Apply, Variable

from aeframe.backends.claims import implementation
from aeframe.backends.program import Executable, Mapped, Program
from aeframe.core.cells import Cell, RandomState, Store
from aeframe.core.errors import (
    ArgumentError,
    BackendError,
    StateError,
    nearest,
)
from aeframe.core.graph import Graph

BUILT_IN = {
    "jax": "aeframe.backends.jax:JaxBackend",
    "c": "aeframe.backends.c:CBackend",
    "numba": "aeframe.backends.numba.backend:NumbaBackend",
}
DEFAULT = "jax"
_CURRENT: ContextVar[tuple[Backend, ...]] = ContextVar("aeframe_backends", default=())


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
    reentrant
        Whether threads may run one executable at once.
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
    reentrant: ClassVar[bool] = False
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

    def load(self, cell: Cell) -> Any:
        """The value of a cell as this backend keeps it, and lets programs overwrite.

        By default a NumPy array that belongs to the cell, or a NumPy generator.
        """
        if isinstance(cell, RandomState):
            return cell.keep(cell.generator())
        return cell.data if isinstance(cell.data, np.ndarray) else cell.keep(cell.numpy())

    def folds(self, cell: Cell) -> bool:
        """Whether what depends on ``cell`` alone may be computed once, in one place."""
        return True

    @abstractmethod
    def executable(
        self, graph: Graph, updated: Sequence[Variable], fixed: Sequence[Variable]
    ) -> Executable:
        """Make a graph of concrete shapes runnable.

        ``graph.inputs`` are the call's inputs, then ``updated``, then ``fixed``: plain variables
        in the place of cells (``tag.cell``), or of what was folded (None). The result is called
        with the values of ``updated`` (which it may destroy), of ``fixed``, and the inputs; it
        returns the outputs and the new values.
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
