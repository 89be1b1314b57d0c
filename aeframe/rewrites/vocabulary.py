"""The vocabulary of rules for plain tensor algebra: sums, products, joins, slices, transposes.

Aesara writes ``a + b`` with a broadcasting ``DimShuffle`` and an Elemwise of many inputs, and
``join`` with its axis as an input. Rules are shorter in Ops that broadcast by themselves and hold
axes as hyperparameters, counted from the last one, so that a rule holds for any number of leading
ones; :func:`lift` puts them in the place of Aesara's, and they expand to these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from math import prod

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Apply, Variable
from aesara.scalar.basic import Add, Mul, TrueDivide
from aesara.tensor.basic import Join
from aesara.tensor.blas import BatchedDot
from aesara.tensor.elemwise import DimShuffle, Elemwise
from aesara.tensor.shape import Reshape
from aesara.tensor.subtensor import Subtensor, get_idx_list
from aesara.tensor.type import TensorType

from aeframe.core.errors import ShapeError
from aeframe.core.graph import Graph, Merger
from aeframe.core.ops import TypedOp, require_ndim, require_size, tensor_like
from aeframe.core.shapes import evaluate, shape_text


class ElementwiseOp(TypedOp):
    """Base of what works on two tensors entry by entry, broadcast, in any order."""

    unordered = True

    def out_types(self, a: Variable, b: Variable) -> tuple[TensorType] | None:
        """The broadcast shape."""
        try:
            return tensor_like(np.broadcast_shapes(a.type.shape, b.type.shape), a, b)
        except ValueError:
            return None  # the body says what is wrong


class AddOp(ElementwiseOp):
    """``a + b``, broadcast."""

    def body(self, a: Variable, b: Variable) -> Variable:
        """The sum."""
        return a + b


class MulOp(ElementwiseOp):
    """``a * b`` entry by entry, broadcast."""

    def body(self, a: Variable, b: Variable) -> Variable:
        """The product."""
        return a * b


class MatMulOp(TypedOp):
    """(..., i, j) @ (..., j, k) → (..., i, k), for each of the same leading axes."""

    def check(self, a: Variable, b: Variable) -> None:
        """As many axes, at least three, the same leading sizes, and inner ones that fit."""
        require_ndim(self, "b", b, max(a.type.ndim, 3))
        for axis in range(b.type.ndim - 2):
            require_size(self, "b", b, axis, a.type.shape[axis])
        require_size(self, "b", b, b.type.ndim - 2, a.type.shape[-1])

    def out_types(self, a: Variable, b: Variable) -> tuple[TensorType]:
        """(..., i, k)."""
        return tensor_like((*a.type.shape[:-1], b.type.shape[-1]), a, b)

    def body(self, a: Variable, b: Variable) -> Variable:
        """One batched product, the leading axes taken together."""
        lead = [a.shape[i] for i in range(a.type.ndim - 2)]
        flat = [v.reshape((-1, v.shape[v.type.ndim - 2], v.shape[v.type.ndim - 1])) for v in (a, b)]
        made = at.batched_dot(*flat)
        return made.reshape((*lead, made.shape[1], made.shape[2]))


class ConcatOp(TypedOp):
    """Tensors joined along an axis, counted from the last: −1 is the features of any layer."""

    __props__ = ("axis",)

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def check(self, *parts: Variable) -> None:
        """All have the same sizes along the other axes."""
        for i, part in enumerate(parts):
            require_ndim(self, f"part {i}", part, parts[0].type.ndim)
            for axis in range(-part.type.ndim, 0):
                if axis != self.axis:
                    require_size(self, f"part {i}", part, axis, parts[0].type.shape[axis])

    def out_types(self, *parts: Variable) -> tuple[TensorType]:
        """The sizes along the axis together."""
        shape = list(parts[0].type.shape)
        shape[self.axis] = sum(p.type.shape[self.axis] for p in parts)
        return tensor_like(shape, *parts)

    def body(self, *parts: Variable) -> Variable:
        """The join."""
        return at.concatenate(parts, axis=self.axis)


class SliceOp(TypedOp):
    """Entries ``start`` to ``stop`` along an axis, counted from the last."""

    __props__ = ("axis", "start", "stop")

    def __init__(self, axis: int, start: int, stop: int) -> None:
        self.axis, self.start, self.stop = axis, start, stop

    def out_types(self, x: Variable) -> tuple[TensorType]:
        """``stop − start`` entries, as far as there are so many."""
        shape = list(x.type.shape)
        shape[self.axis] = len(range(shape[self.axis])[self.start : self.stop])
        return tensor_like(shape, x)

    def body(self, x: Variable) -> Variable:
        """The view."""
        before = x.type.ndim + self.axis
        return x[(*(slice(None),) * before, slice(self.start, self.stop))]


class TransposeOp(TypedOp):
    """Axes in another order."""

    __props__ = ("axes",)

    def __init__(self, axes: Sequence[int]) -> None:
        self.axes = tuple(axes)

    def check(self, x: Variable) -> None:
        """As many axes as the Op orders."""
        require_ndim(self, "x", x, len(self.axes))

    def out_types(self, x: Variable) -> tuple[TensorType]:
        """The sizes in the new order."""
        return tensor_like([x.type.shape[i] for i in self.axes], x)

    def body(self, x: Variable) -> Variable:
        """The view."""
        return x.dimshuffle(*self.axes)


class ReshapeOp(TypedOp):
    """The same entries in another shape."""

    __props__ = ("shape",)

    def __init__(self, shape: Sequence[int]) -> None:
        self.shape = tuple(shape)

    def check(self, x: Variable) -> None:
        """The new shape has as many entries."""
        if None not in x.type.shape and prod(x.type.shape) != prod(self.shape):
            raise ShapeError(
                f"{self} cannot hold its input",
                expected=f"{prod(self.shape)} entries",
                got=shape_text(x.type.shape),
            )

    def out_types(self, x: Variable) -> tuple[TensorType]:
        """The new shape."""
        return tensor_like(self.shape, x)

    def body(self, x: Variable) -> Variable:
        """The view."""
        return x.reshape(self.shape)


Lift = Callable[[Apply, list[Variable]], Variable | None]
LIFTS: dict[type, Lift] = {}


def lifts(op: type) -> Callable[[Lift], Lift]:
    """Register how an Apply of Aesara's ``op`` is written in typed Ops, or that it is not.

    The function gets the Apply and its lifted inputs, and returns the variable or ``None``.
    """

    def add(function: Lift) -> Lift:
        LIFTS[op] = function
        return function

    return add


def lift(graph: Graph) -> Graph:
    """``graph`` with plain sums, products, joins, ... as typed Ops; equal Applies become one.

    >>> x = at.dmatrix("x")
    >>> [str(n.op) for n in [lift(Graph((x,), (x + x.T,))).outputs[0].owner]]
    ['Add']
    """

    def lifted(node: Apply, inputs: list[Variable]) -> Sequence[Variable] | None:
        function = LIFTS.get(type(node.op))
        made = function(node, inputs) if function is not None else None
        if made is None or made.type.ndim != node.outputs[0].type.ndim:
            return None
        if made.owner is not None and getattr(node.tag, "path", None) is not None:
            made.owner.tag.path = node.tag.path
        return [made] if made.type.dtype == node.outputs[0].type.dtype else None

    return graph.replay(transform=Merger(lifted))


@lifts(Elemwise)
def _elementwise(node: Apply, inputs: list[Variable]) -> Variable | None:
    if node.op.inplace_pattern:
        return None
    parts, kind = [_unbroadcast(v) for v in inputs], type(node.op.scalar_op)
    if kind is TrueDivide and (by := evaluate(parts[1])) is not None and by.size == 1:
        return MulOp()(parts[0], np.asarray(1 / by, parts[1].type.dtype).reshape(()))
    op = {Add: AddOp, Mul: MulOp}.get(kind)
    return None if op is None else reduce(op(), parts)


def _unbroadcast(variable: Variable) -> Variable:
    """``variable`` without leading axes of size 1 that Aesara added for broadcasting."""
    node = variable.owner
    if node is None or not isinstance(node.op, DimShuffle):
        return variable
    order, n = node.op.new_order, node.inputs[0].type.ndim
    added = len(order) - n
    if added > 0 and tuple(order) == (*("x",) * added, *range(n)):
        return node.inputs[0]
    return variable


@lifts(Join)
def _join(node: Apply, inputs: list[Variable]) -> Variable | None:
    axis = evaluate(inputs[0])
    n = inputs[1].type.ndim
    return None if axis is None else ConcatOp(int(axis) % n - n)(*inputs[1:])


@lifts(BatchedDot)
def _batched(node: Apply, inputs: list[Variable]) -> Variable | None:
    return MatMulOp()(*inputs) if inputs[0].type.ndim == inputs[1].type.ndim == 3 else None


@lifts(DimShuffle)
def _dimshuffle(node: Apply, inputs: list[Variable]) -> Variable | None:
    order = tuple(node.op.new_order)
    if "x" in order or len(order) != inputs[0].type.ndim:
        return None
    return TransposeOp(order)(inputs[0])


@lifts(Reshape)
def _reshape(node: Apply, inputs: list[Variable]) -> Variable | None:
    shape = node.outputs[0].type.shape
    return None if None in shape else ReshapeOp(shape)(inputs[0])


@lifts(Subtensor)
def _subtensor(node: Apply, inputs: list[Variable]) -> Variable | None:
    """Only a slice of known ends along one axis, with step 1."""
    x, shape = inputs[0], inputs[0].type.shape
    taken = get_idx_list(inputs, node.op.idx_list)
    cut = [i for i, s in enumerate(taken) if s != slice(None)]
    if len(cut) != 1 or not isinstance(taken[cut[0]], slice) or shape[cut[0]] is None:
        return None
    bounds = taken[cut[0]]
    given = (bounds.start, bounds.stop, bounds.step)
    known = [v if v is None or not isinstance(v, Variable) else evaluate(v) for v in given]
    if any(k is None and g is not None for k, g in zip(known, given, strict=True)):
        return None
    start, stop, step = slice(*(None if k is None else int(k) for k in known)).indices(
        shape[cut[0]]
    )
    return SliceOp(cut[0] - x.type.ndim, start, max(start, stop))(x) if step == 1 else None
