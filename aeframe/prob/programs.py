"""From a Model and data to a lowered graph and compiled programs, each made once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from aesara.tensor.type import TensorType
from numpy.typing import NDArray

from aeframe.backends import Backend, as_array, as_backend
from aeframe.backends.run import cached as cached_on
from aeframe.core.errors import StateError
from aeframe.core.graph import Graph
from aeframe.core.module import Module, is_array, lower
from aeframe.rewrites import inference, interpret

T = TypeVar("T")


@dataclass(frozen=True)
class Arguments:
    """A call's data: arrays in the Model's dtype, and with types in their place.

    ``types`` holds a type for each array and other values (shapes, switches) as they are.
    """

    types: tuple[Any, ...]
    arrays: tuple[NDArray[Any], ...]

    def symbols(self) -> tuple[Any, ...]:
        """Fresh symbolic inputs in the place of the arrays."""
        return tuple(
            t(name=f"data {i}") if isinstance(t, TensorType) else t
            for i, t in enumerate(self.types)
        )


def arguments(model: Module, data: Sequence[Any]) -> Arguments:
    """Data as arrays and their types."""
    data = model.read(*data) if hasattr(model, "read") else data
    types: list[Any] = []
    arrays: list[NDArray[Any]] = []
    for i, value in enumerate(data):
        if not is_array(value):
            types.append(value)
            continue
        arrays.append(as_array(value, model.find_dtype(), f"data {i}"))
        types.append(TensorType(str(arrays[-1].dtype), arrays[-1].shape))
    return Arguments(tuple(types), tuple(arrays))


def lowered(model: Module, data: Sequence[Any]) -> Graph:
    """The sites of a Model as a graph in the inference phase, kernels and the like interpreted."""
    require_data(model, data)
    return inference(interpret(lower(model, *data, method="expression")))


def takes_data(model: Module) -> bool:
    """Whether the model's call has arguments, required or not."""
    return len(inspect.signature(type(model).__call__).parameters) > 1


def accepts(model: Module, data: Sequence[Any]) -> bool:
    """Whether ``data`` fit the arguments of the model's call."""
    try:
        inspect.signature(type(model).__call__).bind(model, *data)
    except TypeError:
        return False
    return True


def require_data(model: Module, data: Sequence[Any]) -> None:
    """Raise :class:`StateError` unless ``data`` fit the arguments of the model's call."""
    if not accepts(model, data):
        _, *wanted = inspect.signature(type(model).__call__).parameters
        name, got = type(model).__name__, f"{len(data)} argument{'s' * (len(data) != 1)}"
        if not wanted:
            raise StateError(
                f"{name} takes no data",
                expected="no arguments",
                got=got,
                fix="leave them out; what is observed goes into `observe`, and data are the "
                f"arguments of {name}.__call__",
            )
        raise StateError(
            f"{name} was not given the data that it takes",
            expected=", ".join(wanted),
            got=got,
            fix="pass the model's data, such as model.log_prob(values, x)",
        )


def backend_of(model: Module) -> Backend:
    """The backend that a Model's programs run on: its own choice, or the current one."""
    return as_backend(getattr(model, "_backend", None))


def cached(model: Module, key: Sequence[Any], make: Callable[[], T]) -> T:
    """What ``make`` returns for this model and its backend, made again when either changes."""
    return cached_on(model, key, backend_of(model), make)
