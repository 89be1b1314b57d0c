"""Run a method of a Module on arrays: lower, interpret, inference phase, compile, call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import is_
from typing import Any, Self, TypeVar

import numpy as np
from aesara.tensor.type import TensorType
from numpy.typing import NDArray

from aeframe.backends.base import Backend, as_backend, to_numpy
from aeframe.backends.program import Program
from aeframe.core.cells import Cell
from aeframe.core.checks import Check, checks_of
from aeframe.core.errors import DataError, DtypeError
from aeframe.core.module import Module, is_array, lower_with_reports, unflatten
from aeframe.core.places import without_truth
from aeframe.core.structure import Structure, walk
from aeframe.rewrites import interpret
from aeframe.rewrites.standard import inference_with_reports, record

T = TypeVar("T")


def as_array(value: Any, dtype: str, name: str) -> NDArray[Any]:
    """Data as an array: floats in ``dtype``, integers and booleans as they are.

    Raises
    ------
    DtypeError
        When it holds anything but numbers.
    """
    try:
        array = _frame(value, name) if hasattr(value, "columns") else np.asarray(value)
    except ValueError as error:  # rows of unequal length
        raise DtypeError(
            f"{name} is no array of numbers", got=str(error), fix="give all rows the same length"
        ) from error
    if array.dtype.kind == "f":
        return array.astype(dtype, copy=False)
    if array.dtype.kind not in "iub":
        raise DtypeError(
            f"{name} is no array of numbers",
            expected="floats, integers or booleans",
            got=str(array.dtype),
            fix="encode text and objects as numbers first",
        )
    return array


def _frame(frame: Any, name: str) -> NDArray[Any]:
    """The columns of a pandas frame in one dtype.

    Raises
    ------
    DtypeError
        When a column holds anything but numbers, with the names of such columns.
    """
    kinds = {str(c): getattr(kind, "kind", "O") for c, kind in frame.dtypes.items()}
    other = [c for c, kind in kinds.items() if kind not in "fiub"]
    if other:
        raise DtypeError(
            f"{name} has columns that are no numbers",
            expected="floats, integers or booleans",
            got=", ".join(other),
            fix="encode text and categories as numbers first, such as with `pandas.get_dummies`",
        )
    array = np.asarray(frame)
    return array.astype("float64") if array.dtype == object else array


def require_finite(name: str, array: NDArray[Any]) -> None:
    """Raise :class:`DataError` when rows of floats hold NaN or infinity."""
    finite = np.isfinite(array)
    if not finite.all():
        rows = np.flatnonzero(~finite.reshape(len(array), -1).all(axis=1))
        raise DataError(
            f"{name} holds NaN or infinity",
            path=name,
            expected="finite numbers",
            got=f"{len(rows)} such rows, the first is row {rows[0]}",
            fix="drop these rows or fill them in",
        )


def fingerprint(module: Module) -> tuple[Any, ...]:
    """What a compiled method of ``module`` depends on besides its inputs."""
    return tuple(
        (path, id(part) if isinstance(part, Cell) else _plain(part)) for path, part in walk(module)
    )


def _plain(part: Any) -> Any:
    if part is None or isinstance(part, str | int | float | bool):
        return part
    if isinstance(part, list | tuple | dict):
        return len(part)
    return id(part)


@dataclass
class _Kept:
    """What was made for a Module, and how the Module was then.

    ``parts`` holds every object and container of the tree with what was in it: as long as these
    are the very same objects, the fingerprint need not be taken again.
    """

    made: Any
    fingerprint: tuple[Any, ...]
    parts: list[tuple[Any, list[Any]]]

    @classmethod
    def of(cls, module: Module, made: Any) -> Self:
        """``made``, for ``module`` as it is now."""
        parts = [part for _, part in walk(module) if isinstance(part, Structure | list | dict)]
        return cls(made, fingerprint(module), [(part, _inner(part)) for part in parts])

    def holds(self, module: Module) -> bool:
        """Whether ``module`` has the structure that it had then."""
        if all(_same(_inner(part), inner) for part, inner in self.parts):
            return True
        return self.fingerprint == fingerprint(module)


def _inner(part: Any) -> list[Any]:
    if isinstance(part, list):
        return part.copy()
    if isinstance(part, dict):
        return [*part, *part.values()]
    return [value for name, value in vars(part).items() if name[0] != "_"]


def _same(a: list[Any], b: list[Any]) -> bool:
    return len(a) == len(b) and all(map(is_, a, b))


def cached(module: Module, key: Sequence[Any], backend: Backend, make: Callable[[], T]) -> T:
    """What ``make`` returns, made again only when the structure of ``module`` has changed."""
    full = (*key, backend.name, repr(backend.options))
    kept: dict[Any, _Kept] = module.__dict__.setdefault("_programs", {})
    if full not in kept or not kept[full].holds(module):
        made = make()
        kept[full] = _Kept.of(module, made)
    return kept[full].made


def program_for(
    module: Module,
    method: str,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    backend: Backend,
) -> tuple[Program, Any, list[Check]]:
    """The compiled method for symbolic arguments, in the inference phase, its nesting and checks.

    Cells that have no value yet get their first one (seed 0).
    """

    def symbol(value: Any) -> Any:
        return without_truth(value()) if isinstance(value, TensorType) else value

    def make() -> tuple[Program, Any, list[Check]]:
        inputs = tuple(symbol(a) for a in args)
        named = {k: symbol(v) for k, v in kwargs.items()}
        graph, made, reports = lower_with_reports(module, inputs, named, method)
        for i, v in enumerate(graph.inputs):
            v.name = f"input {i}" if v.name is None else v.name
        graph, more = inference_with_reports(interpret(graph))
        record(module, [*reports, *more])
        module.init()
        program = backend.compile(graph.inputs, graph.outputs, dict(graph.updates))
        return program, made, checks_of(graph)

    return cached(module, (method, repr(args), repr(kwargs)), backend, make)


def run(
    module: Module,
    method: str,
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] | None = None,
    backend: str | Backend | None = None,
) -> Any:
    """The result of a graph method on arrays, as NumPy arrays nested like the symbolic result.

    A new shape compiles once.
    """
    chosen = as_backend(backend or getattr(module, "_backend", None))
    dtype = module.find_dtype()
    kwargs = kwargs or {}
    arrays: list[NDArray[Any]] = []

    def typed(value: Any, name: str) -> Any:
        if not is_array(value):
            return value
        arrays.append(as_array(value, dtype, name))
        return TensorType(str(arrays[-1].dtype), chosen.whole(arrays[-1].shape))

    types = tuple(typed(a, f"argument {i}") for i, a in enumerate(args))
    named = {k: typed(v, k) for k, v in kwargs.items()}
    program, made, checks = program_for(module, method, types, named, chosen)
    module._last_call = (method, types)  # type: ignore[attr-defined]
    for check in checks:
        check(arrays)
    outputs = program(*arrays)
    return unflatten(made, iter([to_numpy(v) for v in outputs]))
