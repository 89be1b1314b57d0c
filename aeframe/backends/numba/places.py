"""Where tensors of known shape lie: views of flat arrays, found without running anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from aesara.compile.ops import DeepCopyOp, ViewOp
from aesara.graph.basic import Apply, Constant, Variable
from aesara.scalar.basic import Cast, Second
from aesara.tensor.basic import Alloc, Split
from aesara.tensor.elemwise import DimShuffle, Elemwise
from aesara.tensor.shape import Reshape, SpecifyShape, Unbroadcast
from aesara.tensor.subtensor import Subtensor, indices_from_subtensor

from aeframe.core.shapes import is_tensor


@dataclass(frozen=True)
class Place:
    """Entry (i, j, ...) of a tensor is entry offset + i · strides[0] + j · strides[1] ... of base.

    ``base`` is the variable whose value is stored, as a flat array in row-major order.
    """

    base: Variable
    offset: int
    strides: tuple[int, ...]


def row_major(shape: Sequence[int]) -> tuple[int, ...]:
    """The strides of an array in row-major order, in entries.

    >>> row_major((2, 3, 4))
    (12, 4, 1)
    """
    return tuple(prod(shape[i + 1 :]) for i in range(len(shape)))


def is_static(variable: Variable) -> bool:
    """Whether ``variable`` is a tensor of known shape."""
    return is_tensor(variable) and None not in variable.type.shape


def dense(place: Place, shape: Sequence[int]) -> bool:
    """Whether the entries lie one after the other in row-major order."""
    wanted = row_major(shape)
    return all(
        s == w or n == 1 for s, w, n in zip(place.strides, wanted, shape, strict=True)
    ) or not prod(shape)


def whole(place: Place, shape: Sequence[int]) -> bool:
    """Whether the entries are all those of the base, in its order."""
    return dense(place, shape) and prod(shape) == prod(place.base.type.shape)


class Places:
    """The places of the variables of a graph, each found once."""

    def __init__(self) -> None:
        self._found: dict[Variable, Place] = {}

    def __call__(self, variable: Variable) -> Place:
        """Where ``variable`` lies: in its own array, or as a view of another's."""
        chain = [variable]
        while chain[-1] not in self._found and self.base(chain[-1]) is not None:
            chain.append(self.base(chain[-1]))
        for v in reversed(chain):
            if v not in self._found:
                made = self._view(v) if self.base(v) is not None else None
                self._found[v] = made or Place(v, 0, row_major(v.type.shape))
        return self._found[variable]

    def base(self, variable: Variable) -> Variable | None:
        """The variable that ``variable`` may be a view of."""
        node = variable.owner
        if node is None or not all(map(is_static, node.outputs)):
            return None
        source = _SOURCE.get(type(node.op))
        v = None if source is None else source(node)
        return v if v is not None and is_static(v) else None

    def _view(self, variable: Variable) -> Place | None:
        node = variable.owner
        v = self.base(variable)
        assert v is not None
        return _VIEW[type(node.op)](node, variable, v, self._found[v])

    def is_view(self, variable: Variable) -> bool:
        """Whether ``variable`` has no array of its own."""
        return self(variable).base is not variable


def _constant(variable: Variable) -> Any:
    return variable.data if isinstance(variable, Constant) else None


def constant_indices(inputs: Sequence[Variable], idx_list: Sequence[Any]) -> list[Any] | None:
    """The index of a Subtensor, whose ``inputs`` are its numbers; None where one is not known."""
    found: list[Any] = []
    for index in indices_from_subtensor(inputs, idx_list):
        parts = (index.start, index.stop, index.step) if isinstance(index, slice) else (index,)
        if not all(p is None or isinstance(p, Constant | int) for p in parts):
            return None
        values = [p if p is None or isinstance(p, int) else p.data for p in parts]
        values = [None if p is None else int(p) for p in values]
        found.append(slice(*values) if isinstance(index, slice) else values[0])
    return found


def _of_first(node: Apply) -> Variable:
    return node.inputs[0]


def _same(node: Apply, out: Variable, v: Variable, place: Place) -> Place | None:
    return place if v.type.dtype == out.type.dtype else None


def _dimshuffle(node: Apply, out: Variable, v: Variable, place: Place) -> Place:
    order = node.op.new_order
    strides = tuple(0 if d == "x" else place.strides[d] for d in order)
    return Place(place.base, place.offset, strides)


def _reshape(node: Apply, out: Variable, v: Variable, place: Place) -> Place | None:
    if not dense(place, v.type.shape):
        return None
    return Place(place.base, place.offset, row_major(out.type.shape))


def region(shape: Sequence[int], strides: Sequence[int], indices: Sequence[Any]) -> Any:
    """Offset, strides and sizes of ``x[indices]`` for a tensor of this shape and these strides.

    >>> region((5, 4), (4, 1), [slice(None, None, -2), 1])
    (17, (-8,), (3,))
    """
    offset, kept, sizes = 0, [], []
    for size, stride, index in zip(shape, strides, indices, strict=False):
        if isinstance(index, slice):
            steps = range(*index.indices(size))
            offset += stride * steps.start if len(steps) else 0
            kept.append(stride * steps.step)
            sizes.append(len(steps))
        else:
            offset += stride * (index + size if index < 0 else index)
    n = len(indices)
    return offset, (*kept, *strides[n:]), (*sizes, *shape[n:])


def _subtensor(node: Apply, out: Variable, v: Variable, place: Place) -> Place | None:
    indices = constant_indices(node.inputs[1:], node.op.idx_list)
    if indices is None:
        return None
    offset, strides, sizes = region(v.type.shape, place.strides, indices)
    return Place(place.base, place.offset + offset, strides) if sizes == out.type.shape else None


def _broadcast(node: Apply, out: Variable, v: Variable, place: Place) -> Place | None:
    if v.type.dtype != out.type.dtype:
        return None
    new = out.type.ndim - v.type.ndim
    sizes = zip(v.type.shape, out.type.shape[new:], place.strides, strict=True)
    strides = tuple(0 if a != b else s for a, b, s in sizes)
    return Place(place.base, place.offset, (0,) * new + strides)


def _split(node: Apply, out: Variable, v: Variable, place: Place) -> Place | None:
    axis, sizes = _constant(node.inputs[1]), _constant(node.inputs[2])
    if axis is None or sizes is None:
        return None
    before = int(sum(sizes[: node.outputs.index(out)]))
    return Place(place.base, place.offset + before * place.strides[int(axis)], place.strides)


def _passed_on(node: Apply) -> Variable | None:
    if isinstance(node.op.scalar_op, Cast):
        return node.inputs[0]
    return node.inputs[1] if isinstance(node.op.scalar_op, Second) else None


_SOURCE: dict[type, Callable[[Apply], Variable | None]] = {
    DimShuffle: _of_first,
    Reshape: _of_first,
    Subtensor: _of_first,
    Split: _of_first,
    Alloc: _of_first,
    Elemwise: _passed_on,
    SpecifyShape: _of_first,
    Unbroadcast: _of_first,
    ViewOp: _of_first,
    DeepCopyOp: _of_first,
}
_VIEW: dict[type, Callable[[Apply, Variable, Variable, Place], Place | None]] = {
    DimShuffle: _dimshuffle,
    Reshape: _reshape,
    Subtensor: _subtensor,
    Split: _split,
    Alloc: _broadcast,
    Elemwise: _broadcast,
    SpecifyShape: _same,
    Unbroadcast: _same,
    ViewOp: _same,
    DeepCopyOp: _same,
}
