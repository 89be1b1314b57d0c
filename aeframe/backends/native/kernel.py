"""Kernels as data: which function, on which inputs, which sizes; and how backends call them."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from aesara.graph.basic import Apply
from aesara.tensor.type import TensorType
from numpy.typing import NDArray

from aeframe.backends.claims import implement
from aeframe.backends.native.build import Library, library
from aeframe.core.shapes import is_tensor


@dataclass(frozen=True)
class Kernel:
    """One call of a function of ``kernels/``, which makes the outputs of a typed Op's Apply.

    Attributes
    ----------
    name
        Of the C++ function.
    inputs
        Which inputs of the Apply it takes.
    sizes, reals
        The numbers that it needs besides, in the order that its comment names.
    in_place
        Pairs (i, o): the memory of its i-th input may become that of its o-th output.
    order
        In which order the axes of arrays lie in memory, where an array has as many axes; by
        default in their own. Applied twice it gives that back.
    """

    name: str
    inputs: tuple[int, ...]
    sizes: tuple[int, ...]
    reals: tuple[float, ...] = ()
    in_place: tuple[tuple[int, int], ...] = ()
    order: tuple[int, ...] = ()


Make = Callable[[Apply], Kernel | None]


def claim(op: type, *, pullback: bool = False) -> Callable[[Make], Make]:
    """Register a kernel for a typed Op, or for its gradient, on every backend that can call it.

    ``make(node)`` returns the kernel, or ``None`` where what the backend does by itself is
    faster. It works on float32 on the CPU, where the library could be compiled.
    """

    def add(make: Make) -> Make:
        def found(node: Apply) -> Kernel | None:
            kernel = make(node) if is_single(node) else None
            return kernel if kernel is not None and isinstance(library(), Library) else None

        def on_jax(node: Apply) -> Callable[..., Any] | None:
            kernel = found(node)
            if kernel is None or not _is_one_cpu():
                return None
            return lambda *values: _outputs(node, kernel, values, _call_jax)

        def on_c(node: Apply) -> Callable[..., Any] | None:
            kernel = found(node)
            if kernel is None:
                return None
            return lambda *values: _outputs(node, kernel, values, _call_on_arrays)

        implement("jax", op, pullback=pullback)(on_jax)
        implement("c", op, pullback=pullback)(on_c)
        return make

    return add


def is_single(node: Apply) -> bool:
    """Whether all floats of an Apply are float32, and all its shapes are known."""
    tensors = [v for v in (*node.inputs, *node.outputs) if is_tensor(v)]
    return all(
        None not in v.type.shape and (v.type.dtype == "float32" or "float" not in v.type.dtype)
        for v in tensors
    )


def _outputs(
    node: Apply,
    kernel: Kernel,
    values: Sequence[Any],
    call: Callable[[Kernel, Sequence[Any], Sequence[Any]], Sequence[Any]],
) -> tuple[Any, ...]:
    """The outputs of ``node`` on ``values``."""
    types = [_in_order(o.type, kernel) for o in node.outputs]
    results = call(kernel, types, [_in_order(values[i], kernel) for i in kernel.inputs])
    return tuple(_in_order(v, kernel) for v in results)


def _in_order(value: Any, kernel: Kernel) -> Any:
    """An array, a variable or a type with its axes in the order of the kernel."""
    if value.ndim < 2 or value.ndim != len(kernel.order):
        return value
    if isinstance(value, TensorType):
        return value.clone(shape=tuple(value.shape[i] for i in kernel.order))
    return value.transpose(*kernel.order)


_registered: set[str] = set()


def _call_jax(kernel: Kernel, types: Sequence[Any], values: Sequence[Any]) -> Sequence[Any]:
    """Through XLA's foreign function interface, under a name that changes with the sources."""
    import jax

    found = library()
    assert isinstance(found, Library)
    target = f"aeframe_{kernel.name}_{found.key}"
    if target not in _registered:
        function = getattr(found.functions, f"{kernel.name}_xla")
        jax.ffi.register_ffi_target(target, jax.ffi.pycapsule(function), platform="cpu")
        _registered.add(target)
    call = jax.ffi.ffi_call(
        target,
        [jax.ShapeDtypeStruct(t.shape, t.dtype) for t in types],
        vmap_method="sequential",
        input_output_aliases=dict(kernel.in_place),
    )
    return call(*values, np.array(kernel.sizes, np.int64), np.array(kernel.reals, np.float64))


def _is_one_cpu() -> bool:
    """Whether JAX computes on the CPU, as one device; XLA would gather what is spread over many."""
    import jax

    return jax.default_backend() == "cpu" and jax.device_count() == 1


def _call_on_arrays(kernel: Kernel, types: Sequence[Any], values: Sequence[Any]) -> Sequence[Any]:
    """Into new arrays, from contiguous ones."""
    made = [np.empty(t.shape, t.dtype) for t in types]
    call_numpy(kernel, [np.ascontiguousarray(v) for v in values], made)
    return made


def call_numpy(
    kernel: Kernel, inputs: Sequence[NDArray[Any]], outputs: Sequence[NDArray[Any]]
) -> None:
    """Run a kernel on contiguous arrays, writing into ``outputs``."""
    found = library()
    assert isinstance(found, Library)

    def pointers(arrays: Sequence[NDArray[Any]]) -> Any:
        return (ctypes.c_void_p * len(arrays))(*(a.ctypes.data for a in arrays))

    sizes = (ctypes.c_int64 * len(kernel.sizes))(*kernel.sizes)
    reals = (ctypes.c_double * len(kernel.reals))(*kernel.reals)
    getattr(found.functions, kernel.name)(pointers(inputs), pointers(outputs), sizes, reals)
