"""The Ops that the Numba backend compiles itself; NumPy and SciPy run all others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

from aesara.graph.basic import Apply, Constant, Variable
from aesara.tensor.basic import Join, MakeVector
from aesara.tensor.blas import BatchedDot
from aesara.tensor.elemwise import CAReduce, Elemwise
from aesara.tensor.extra_ops import CumOp
from aesara.tensor.math import Argmax, Dot, MaxAndArgmax
from aesara.tensor.shape import Reshape
from aesara.tensor.subtensor import (
    AdvancedIncSubtensor,
    AdvancedIncSubtensor1,
    AdvancedSubtensor,
    AdvancedSubtensor1,
    IncSubtensor,
)

from aeframe.backends.numba.formulas import DTYPES, FLOATS, formula, reduction
from aeframe.backends.numba.loops import Emit, Writer, linear, reduce
from aeframe.backends.numba.places import (
    Place,
    constant_indices,
    is_static,
    region,
    row_major,
)

Maker = Callable[[Apply], Emit | None]


def is_elementwise(node: Apply) -> bool:
    """Whether ``node`` has a formula for each entry."""
    if not isinstance(node.op, Elemwise) or len(node.outputs) != 1:
        return False
    if not all(map(is_static, [*node.inputs, *node.outputs])):
        return False
    names = [f"x{i}" for i in range(len(node.inputs))]
    given = [v.type.dtype for v in node.inputs]
    return formula(node.op.scalar_op, names, given, node.outputs[0].type.dtype) is not None


def emitter(node: Apply) -> Emit | None:
    """What writes the loops of ``node``; None where there is nothing."""
    make = next((_MAKERS[k] for k in type(node.op).__mro__ if k in _MAKERS), None)
    tensors = [*node.outputs, *(v for v in node.inputs if not isinstance(v, Constant))]
    if make is None or not all(is_static(v) and v.type.dtype in DTYPES for v in tensors):
        return None
    return make(node)


def _careduce(node: Apply) -> Emit | None:
    (x,), (out,) = node.inputs, node.outputs
    found = reduction(node.op.scalar_op, x.type.dtype)
    if found is None or reduction(node.op.scalar_op, out.type.dtype) is None:
        return None
    start, combine = found
    wide = isinstance(start, int) and not isinstance(start, bool) and out.type.dtype in FLOATS
    accumulator = "float64" if wide else out.type.dtype
    return lambda writer, node: reduce(writer, node, start, combine, accumulator)


def _join(node: Apply) -> Emit | None:
    if not isinstance(node.inputs[0], Constant):
        return None

    def emit(writer: Writer, node: Apply) -> None:
        (out,) = node.outputs
        axis, strides, offset = int(node.inputs[0].data), row_major(out.type.shape), 0
        for piece in node.inputs[1:]:
            writer.copy(piece, out, Place(out, offset, strides))
            offset += strides[axis] * piece.type.shape[axis]

    return emit


def _make_vector(node: Apply) -> Emit | None:
    def emit(writer: Writer, node: Apply) -> None:
        out = writer.array(node.outputs[0])
        for i, v in enumerate(node.inputs):
            writer.write(f"{out}[{i}] = {writer.entry(v, ())}")

    return emit


def _reshaped(node: Apply) -> Emit:
    def emit(writer: Writer, node: Apply) -> None:
        (out,), shape = node.outputs, node.inputs[0].type.shape
        writer.copy(node.inputs[0], out, Place(out, 0, row_major(shape)))

    return emit


def matrix_layout(place: Place, shape: Sequence[int]) -> str | None:
    """``n`` when the last two axes lie in row-major order, ``t`` when transposed, or None."""
    (rows, columns), (s, t) = shape[-2:], place.strides[-2:]
    if (t == 1 or columns == 1) and (s == columns or rows == 1):
        return "n"
    return "t" if (s == 1 or rows == 1) and (t == rows or columns == 1) else None


def takes_matrices(node: Apply) -> bool:
    """Whether ``node`` wants its inputs as matrices in one piece, transposed or not."""
    return isinstance(node.op, Dot | BatchedDot)


def _piece(writer: Writer, v: Variable, start: str, size: int) -> str:
    place = writer.places(v)
    array = writer.array(place.base)
    if start == "" and place.offset == 0 and prod(place.base.type.shape) == size:
        return array
    first = " + ".join(filter(None, [start, str(place.offset)]))
    return f"{array}[{first} : {first} + {size}]"


def _product(
    writer: Writer, operands: Sequence[Variable], shapes: Sequence[Any], starts: Sequence[str]
) -> str:
    """A call of the product of two matrices, operands and output given with their places."""
    a, b, _ = operands
    (m, k), (_, n) = shapes[:2]
    layouts = [
        matrix_layout(Place(p.base, 0, p.strides[-2:] if len(p.strides) > 1 else row_major(s)), s)
        for p, s in zip(map(writer.places, (a, b)), shapes, strict=False)
    ]
    sizes = (m * k, k * n, m * n)
    pieces = [_piece(writer, *args) for args in zip(operands, starts, sizes, strict=True)]
    return f"matmul_{layouts[0]}{layouts[1]}({', '.join(pieces)}, {m}, {k}, {n})"


def _dot(node: Apply) -> Emit | None:
    a, b = node.inputs
    if node.outputs[0].type.dtype not in FLOATS or not prod(a.type.shape) * prod(b.type.shape):
        return None
    if a.type.dtype != b.type.dtype:
        return None

    def emit(writer: Writer, node: Apply) -> None:
        a, b = node.inputs
        left = a.type.shape if a.type.ndim == 2 else (1, *a.type.shape)
        right = b.type.shape if b.type.ndim == 2 else (*b.type.shape, 1)
        writer.write(_product(writer, (a, b, node.outputs[0]), (left, right), ("", "", "")))

    return emit


def _batched_dot(node: Apply) -> Emit | None:
    a, b = node.inputs
    dtypes = {a.type.dtype, b.type.dtype}
    sizes = prod(a.type.shape) * prod(b.type.shape)
    if a.type.ndim != 3 or b.type.ndim != 3 or len(dtypes) > 1 or not sizes:
        return None
    if not dtypes <= set(FLOATS):
        return None

    def emit(writer: Writer, node: Apply) -> None:
        operands = (*node.inputs, node.outputs[0])
        index = writer.name("i")
        starts = [f"{index} * {writer.places(v).strides[0]}" for v in operands]
        writer.write(f"for {index} in range({operands[0].type.shape[0]}):")
        shapes = [v.type.shape[1:] for v in node.inputs]
        writer.write(_product(writer, operands, shapes, starts), 1)

    return emit


def _argmax(node: Apply) -> Emit | None:
    """The index of the first largest entry over all reduced axes together, and that entry."""
    x = node.inputs[0]
    if not prod(x.type.shape):
        return None

    def emit(writer: Writer, node: Apply) -> None:
        x, shape = node.inputs[0], node.inputs[0].type.shape
        axes = range(len(shape)) if node.op.axis is None else node.op.axis
        order = [*(i for i in range(len(shape)) if i not in axes), *axes]
        names, k = writer.indices(shape), len(shape) - len(axes)
        depth = writer.loops([names[i] for i in order[:k]], [shape[i] for i in order[:k]])
        best, place, count = writer.name("t"), writer.name("t"), writer.name("t")
        start = writer.entry(x, ["0" if i in axes else n for i, n in enumerate(names)])
        for line in (f"{best} = {start}", f"{place} = 0", f"{count} = 0"):
            writer.write(line, depth)
        inside = writer.loops([names[i] for i in order[k:]], [shape[i] for i in order[k:]], depth)
        value = writer.name("t")
        writer.write(f"{value} = {writer.entry(x, names)}", inside)
        # the first NaN is the largest, as in NumPy
        larger = f"({value} > {best} or ({value} != {value} and {best} == {best}))"
        writer.write(f"if {larger}:", inside)
        writer.write(f"{best} = {value}", inside + 1)
        writer.write(f"{place} = {count}", inside + 1)
        writer.write(f"{count} += 1", inside)
        index = linear(0, row_major([shape[i] for i in order[:k]]), [names[i] for i in order[:k]])
        for out, result in zip(reversed(node.outputs), (place, best), strict=False):
            writer.write(f"{writer.array(out)}[{index}] = {result}", depth)

    return emit


def _cumulative(node: Apply) -> Emit | None:
    x = node.inputs[0]
    if node.op.axis is None and x.type.ndim != 1:
        return None
    axis = (node.op.axis or 0) % x.type.ndim

    def emit(writer: Writer, node: Apply) -> None:
        (x,), (out,), sign = node.inputs, node.outputs, "+" if node.op.mode == "add" else "*"
        shape, names, total = x.type.shape, writer.indices(x.type.shape), writer.name("t")
        others = [i for i in range(len(shape)) if i != axis]
        depth = writer.loops([names[i] for i in others], [shape[i] for i in others])
        writer.write(f"{total} = np.{out.type.dtype}({0 if sign == '+' else 1})", depth)
        depth = writer.loops([names[axis]], [shape[axis]], depth)
        writer.write(
            f"{total} = np.{out.type.dtype}({total} {sign} {writer.entry(x, names)})", depth
        )
        target = linear(0, row_major(shape), names)
        writer.write(f"{writer.array(out)}[{target}] = {total}", depth)

    return emit


def _inc_subtensor(node: Apply) -> Emit | None:
    indices = constant_indices(node.inputs[2:], node.op.idx_list)
    x, y = node.inputs[:2]
    if indices is None:
        return None
    offset, strides, sizes = region(x.type.shape, row_major(x.type.shape), indices)

    def emit(writer: Writer, node: Apply) -> None:
        (x, y), (out,) = node.inputs[:2], node.outputs
        writer.copy(x, out)
        names = writer.indices(sizes)
        depth = writer.loops(names, sizes)
        given = names[len(sizes) - y.type.ndim :]
        given = ["0" if n == 1 else i for i, n in zip(given, y.type.shape, strict=True)]
        sign = "=" if node.op.set_instead_of_inc else "+="
        target = f"{writer.array(out)}[{linear(offset, strides, names)}]"
        writer.write(f"{target} {sign} {writer.entry(y, given)}", depth)

    return emit if len(sizes) >= y.type.ndim else None


def _row_index(node: Apply, position: int) -> Variable | None:
    """The integer tensor that indexes the first axis, when there is no other index."""
    index = node.inputs[position:]
    plain = len(index) == 1 and is_static(index[0]) and "int" in index[0].type.dtype
    return index[0] if plain else None


def _checked_row(writer: Writer, index: Variable, size: int, depth: int) -> tuple[list[str], str]:
    """Loops over an index tensor; the names of its axes, and a row number that is in range."""
    names, row = writer.indices(index.type.shape), writer.name("t")
    depth = writer.loops(names, index.type.shape, depth)
    writer.write(f"{row} = np.int64({writer.entry(index, names)})", depth)
    writer.write(f"if {row} < {-size} or {row} >= {size}:", depth)
    writer.write('raise IndexError("index out of bounds")', depth + 1)
    writer.write(f"if {row} < 0:", depth)
    writer.write(f"{row} += {size}", depth + 1)
    return names, row


def _take(node: Apply) -> Emit | None:
    index = _row_index(node, 1)
    if index is None:
        return None

    def emit(writer: Writer, node: Apply) -> None:
        x, (out,), shape = node.inputs[0], node.outputs, node.inputs[0].type.shape
        names, row = _checked_row(writer, index, shape[0], 0)
        rest = writer.indices(shape[1:])
        depth = sum(n != "0" for n in names)
        inside = writer.loops(rest, shape[1:], depth)
        target = linear(0, row_major(out.type.shape), [*names, *rest])
        writer.write(f"{writer.array(out)}[{target}] = {writer.entry(x, [row, *rest])}", inside)

    return emit


def _put(node: Apply) -> Emit | None:
    index = _row_index(node, 2)
    x, y = node.inputs[:2]
    if index is None or getattr(node.op, "ignore_duplicates", False):
        return None
    full = (*index.type.shape, *x.type.shape[1:])
    if y.type.ndim > len(full):
        return None

    def emit(writer: Writer, node: Apply) -> None:
        (x, y), (out,), shape = node.inputs[:2], node.outputs, node.inputs[0].type.shape
        writer.copy(x, out)
        names, row = _checked_row(writer, index, shape[0], 0)
        rest = writer.indices(shape[1:])
        inside = writer.loops(rest, shape[1:], sum(n != "0" for n in names))
        given = [*names, *rest][len(full) - y.type.ndim :]
        given = ["0" if n == 1 else i for i, n in zip(given, y.type.shape, strict=True)]
        sign = "=" if node.op.set_instead_of_inc else "+="
        target = f"{writer.array(out)}[{linear(0, row_major(shape), [row, *rest])}]"
        writer.write(f"{target} {sign} {writer.entry(y, given)}", inside)

    return emit


_MAKERS: dict[type, Maker] = {
    CAReduce: _careduce,
    Join: _join,
    MakeVector: _make_vector,
    Reshape: _reshaped,
    Dot: _dot,
    BatchedDot: _batched_dot,
    MaxAndArgmax: _argmax,
    Argmax: _argmax,
    CumOp: _cumulative,
    IncSubtensor: _inc_subtensor,
    AdvancedSubtensor: _take,
    AdvancedSubtensor1: _take,
    AdvancedIncSubtensor: _put,
    AdvancedIncSubtensor1: _put,
}
