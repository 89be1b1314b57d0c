"""What Aesara's JAX dispatch lacks, or does at a cost; imported when the backend translates."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
from aesara.graph.basic import Apply
from aesara.link.jax.dispatch import jax_funcify
from aesara.scalar.basic import Add, FloorDivide, Mod, Mul, Sub
from aesara.tensor.basic import Eye
from aesara.tensor.elemwise import DimShuffle, Elemwise
from aesara.tensor.exceptions import NotScalarConstantError
from aesara.tensor.math import MatMul, MaxAndArgmax
from aesara.tensor.shape import SpecifyShape
from aesara.tensor.subtensor import (
    AdvancedIncSubtensor,
    AdvancedIncSubtensor1,
    AdvancedSubtensor,
    AdvancedSubtensor1,
    IncSubtensor,
    Subtensor,
    get_constant_idx,
)


@jax_funcify.register(DimShuffle)
def dimshuffle(op: DimShuffle, node: Apply, **_: Any) -> Callable[..., Any]:
    """Transpose and expand; Aesara's version adds a copy."""

    def call(x: Any) -> Any:
        kept = [i for i in op.new_order if i != "x"]
        dropped = tuple(i for i in range(x.ndim) if i not in kept)
        squeezed = jnp.squeeze(x, axis=dropped) if dropped else x
        order = [i - sum(d < i for d in dropped) for i in kept]
        moved = jnp.transpose(squeezed, order) if order != list(range(len(order))) else squeezed
        added = tuple(i for i, o in enumerate(op.new_order) if o == "x")
        return jnp.expand_dims(moved, added) if added else moved

    return call


@jax_funcify.register(MaxAndArgmax)
def max_and_argmax(op: MaxAndArgmax, **_: Any) -> Callable[..., Any]:
    """Both over any axes; Aesara's version computes the axes in traced arithmetic."""

    def call(x: Any) -> Any:
        axes = tuple(range(x.ndim)) if op.axis is None else tuple(op.axis)
        kept = tuple(i for i in range(x.ndim) if i not in axes)
        flat = jnp.transpose(x, kept + axes).reshape((*(x.shape[i] for i in kept), -1))
        return jnp.max(x, axis=axes), jnp.argmax(flat, axis=-1)

    return call


@jax_funcify.register(MatMul)
def matmul(op: MatMul, node: Apply, **_: Any) -> Callable[..., Any]:
    """Products of stacks of matrices, broadcast."""
    dtype = node.outputs[0].type.dtype
    return lambda a, b: jnp.matmul(a, b).astype(dtype)


@jax_funcify.register(Eye)
def eye(op: Eye, **_: Any) -> Callable[..., Any]:
    """Ones on diagonal k; JAX compares in the dtype of k, and int8 wraps around at 256."""
    return lambda n, m, k: jnp.eye(int(n), int(m), int(k), dtype=op.dtype)


@jax_funcify.register(SpecifyShape)
def specify_shape(op: SpecifyShape, **_: Any) -> Callable[..., Any]:
    """Nothing: shapes are static here, and checked; Aesara's version refuses unknown sizes."""
    return lambda x, *_: x


_ARITHMETIC: dict[type, Callable[..., Any]] = {
    Add: jnp.add,
    Mul: jnp.multiply,
    Sub: jnp.subtract,
    FloorDivide: jnp.floor_divide,
    Mod: jnp.mod,
}


@jax_funcify.register(Elemwise)
def elemwise(op: Elemwise, node: Apply, **_: Any) -> Callable[..., Any]:
    """Arithmetic in JAX's own promotion, argument by argument.

    Aesara's version multiplies scalars by a Python 1, which turns float32 constants to float64,
    and stacks the arguments of sums of three or more.
    """
    function = _ARITHMETIC.get(type(op.scalar_op))
    if function is None:
        return jax_funcify(op.scalar_op, node=node)
    return lambda *arguments: reduce(function, arguments)


def _on_device(op: type) -> None:
    """Let ``op`` index constants by traced numbers: NumPy arrays cannot be."""
    original = jax_funcify.dispatch(op)

    def translate(op: Any, **kwargs: Any) -> Callable[..., Any]:
        call = original(op, **kwargs)
        return lambda x, *rest: call(jnp.asarray(x), *rest)

    jax_funcify.register(op)(translate)


for _read, _changed in (
    (Subtensor, IncSubtensor),
    (AdvancedSubtensor, AdvancedIncSubtensor),
    (AdvancedSubtensor1, AdvancedIncSubtensor1),
):
    _on_device(_read)
    _on_device(_changed)


_indexed = jax_funcify.dispatch(Subtensor)


@jax_funcify.register(Subtensor)
def subtensor(op: Subtensor, node: Apply, **kwargs: Any) -> Callable[..., Any]:
    """Constant slices with a step as XLA's slice: JAX makes a gather of them."""
    call = _indexed(op, node=node, **kwargs)
    try:
        index = get_constant_idx(op.idx_list, node.inputs)
    except NotScalarConstantError:
        return call
    steps = [i.step or 1 if isinstance(i, slice) else 0 for i in index]
    if min(steps, default=1) < 1 or max(steps, default=1) == 1:
        return call

    def slices(x: Any, *_: Any) -> Any:
        whole = [slice(None)] * (x.ndim - len(index))
        found = [range(n)[i] for n, i in zip(x.shape, [*index, *whole], strict=True)]
        ends = zip(*((r.start, r.stop, r.step) for r in found), strict=True)
        return jax.lax.slice(x, *ends)

    return slices
