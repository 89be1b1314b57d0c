"""Matrix products on bfloat16 operands, added up in float32.

Aesara has no bfloat16: its numbers are float32 numbers with 8 significant bits, as
:class:`RoundOp` makes them. JAX runs the products on true bfloat16 arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from aesara.graph.basic import Apply, Variable
from aesara.graph.op import Op
from aesara.graph.type import Type
from aesara.scalar.basic import UnaryScalarOp, same_out
from aesara.scan.op import Scan
from aesara.tensor.basic import Alloc
from aesara.tensor.blas import BatchedDot
from aesara.tensor.elemwise import Elemwise
from aesara.tensor.math import Dot
from numpy.typing import NDArray

from aeframe.backends import implement
from aeframe.core.errors import DtypeError
from aeframe.core.grad import is_float, vjp
from aeframe.core.graph import replay
from aeframe.core.ops import TypedOp, body_of
from aeframe.core.trace import current_path

PRODUCTS: tuple[type[Op], ...] = (Dot, BatchedDot)


class _Round(UnaryScalarOp):
    """The nearest bfloat16 of a float32 number, ties to even, by its bits."""

    def impl(self, x: Any) -> Any:
        """In NumPy."""
        return nearest(np.asarray(x, dtype="float32"))[()]

    def c_code(self, node: Any, name: str, inputs: Any, outputs: Any, sub: Any) -> str:
        """In C: see :func:`nearest`."""
        (x,), (z,) = inputs, outputs
        return f"""{{
            union {{ npy_float32 number; npy_uint32 bits; }} u;
            u.number = {x};
            if ({x} == {x}) u.bits = (u.bits + 0x7FFFu + ((u.bits >> 16) & 1u)) & 0xFFFF0000u;
            {z} = u.number;
        }}"""

    def c_code_cache_version(self) -> tuple[int, ...]:
        """Of the C code."""
        return (1,)


def nearest(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """The nearest bfloat16 numbers, ties to even: what the lower 16 bits hold is rounded away.

    >>> nearest(np.array([1.00390625, 1.01171875, -3.3], dtype="float32"))
    array([ 1.      ,  1.015625, -3.296875], dtype=float32)
    """
    bits = np.ascontiguousarray(x).view("uint32")
    kept = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(
        0xFFFF0000
    )
    return np.where(np.isnan(x), x, kept.view("float32"))


_round = Elemwise(_Round(same_out, name="round_bfloat16"))


class RoundOp(TypedOp):
    """The nearest bfloat16 number of each entry, ties to even, as float32; gradients pass."""

    def check(self, x: Variable) -> None:
        """Float32 alone is rounded."""
        if x.type.dtype != "float32":
            raise DtypeError(
                "only float32 is rounded to bfloat16",
                path=current_path(),
                expected="float32",
                got=x.type.dtype,
            )

    def body(self, x: Variable) -> Variable:
        """One elementwise Op."""
        return _round(x)

    def pullback(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        cotangents: Sequence[Variable | None],
    ) -> list[Variable | None]:
        """G: steps too small to see have slope 0, but their mean slope is 1."""
        return [cotangents[0]]


class Bfloat16Op(TypedOp):
    """``op`` with its matrix products, those of its gradient too, on bfloat16 operands.

    A product itself (:data:`PRODUCTS`) is run on its rounded operands; any other typed Op has
    the products in its body, and in its pullback, put in this form.
    """

    __props__ = ("op",)

    def __init__(self, op: Op) -> None:
        self.op = op

    def body(self, *inputs: Variable) -> list[Variable]:
        """The Op on rounded operands, or its body with such products."""
        if isinstance(self.op, PRODUCTS):
            return self.op.make_node(*map(RoundOp(), inputs)).outputs
        assert isinstance(self.op, TypedOp)
        return replay(self.op.inline(inputs), {v: v for v in inputs}, in_bfloat16)

    def pullback(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        cotangents: Sequence[Variable | None],
    ) -> list[Variable | None]:
        """The pullback of the Op with its products in this form: each rounds its operands."""
        if isinstance(self.op, TypedOp):
            found = self.op.pullback(inputs, outputs, cotangents)
        else:
            made = self.op.make_node(*inputs).outputs
            found = vjp(made, [g for g in cotangents if g is not None], inputs)
        given = (*inputs, *outputs, *(g for g in cotangents if g is not None))
        known = [g for g in found if g is not None]
        low = iter(replay(known, {v: v for v in given}, in_bfloat16))
        return [None if g is None else next(low) for g in found]

    def __str__(self) -> str:
        return f"Bfloat16({self.op})"


def in_bfloat16(node: Apply, inputs: Sequence[Variable]) -> list[Variable] | None:
    """A transform: float32 Applies with matrix products as :class:`Bfloat16Op`; else ``None``.

    Loops (``Scan``) stay as they are: their products are inside another graph.
    """
    if isinstance(node.op, Bfloat16Op) or _is_sum(node):
        return None
    floats = [v for v in (*inputs, *node.outputs) if is_float(v)]
    if any(v.type.dtype != "float32" for v in floats):
        return None
    if not isinstance(node.op, PRODUCTS) and not (
        isinstance(node.op, TypedOp) and _has_products(node.op, tuple(v.type for v in inputs))
    ):
        return None
    made = Bfloat16Op(node.op).make_node(*inputs)
    made.tag.path = getattr(node.tag, "path", None)
    return made.outputs


@lru_cache(maxsize=8192)
def _is_sum(node: Apply) -> bool:
    """Whether it is a product with equal entries, as gradients of biases are: a sum in float32."""
    made = (v.owner for v in node.inputs)
    return isinstance(node.op, Dot) and any(m and isinstance(m.op, Alloc) for m in made)


def _has_products(op: TypedOp, types: tuple[Type, ...]) -> bool:
    nodes = body_of(op, types).nodes
    inner = [
        _has_products(n.op, tuple(v.type for v in n.inputs))
        for n in nodes
        if isinstance(n.op, TypedOp)
    ]
    looped = any(isinstance(n.op, Scan) for n in nodes)
    return not looped and (any(inner) or any(isinstance(n.op, PRODUCTS) for n in nodes))


@implement("jax", RoundOp)
def _rounded(node: Apply) -> Callable[..., Any]:
    import jax

    # a conversion to bfloat16 and back may be optimized away
    return lambda x: jax.lax.reduce_precision(x, exponent_bits=8, mantissa_bits=7)


@implement("jax", Bfloat16Op)
def _on_bfloat16_arrays(node: Apply) -> Callable[..., Any] | None:
    """``dot_general`` of bfloat16 arrays with a float32 result: what tensor cores do."""
    if not isinstance(node.op.op, PRODUCTS):
        return None
    import jax
    import jax.numpy as jnp

    function = jnp.dot if isinstance(node.op.op, Dot) else jnp.matmul

    def call(x: Any, y: Any) -> Any:
        low = [
            jax.lax.reduce_precision(v, exponent_bits=8, mantissa_bits=7).astype(jnp.bfloat16)
            for v in (x, y)
        ]
        return function(*low, preferred_element_type=jnp.float32)

    return call
