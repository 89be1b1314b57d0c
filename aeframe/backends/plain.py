"""What the plain Ops of Aesara cost."""

from __future__ import annotations

from math import prod
from typing import Any

import aesara.tensor as at
from aesara.graph.basic import Apply, Constant, Variable
from aesara.scalar import basic as scalar
from aesara.scan.op import Scan
from aesara.tensor.basic import Alloc, Join, Split
from aesara.tensor.blas import BatchedDot
from aesara.tensor.elemwise import CAReduce, DimShuffle, Elemwise
from aesara.tensor.extra_ops import BroadcastTo
from aesara.tensor.math import Dot, MatMul, MaxAndArgmax
from aesara.tensor.nlinalg import SVD, Det, Eigh, MatrixInverse
from aesara.tensor.shape import Reshape, Shape, Shape_i, SpecifyShape, Unbroadcast
from aesara.tensor.slinalg import Cholesky, Solve, SolveTriangular, cholesky
from aesara.tensor.special import LogSoftmax, Softmax
from aesara.tensor.subtensor import (
    AdvancedIncSubtensor,
    AdvancedIncSubtensor1,
    AdvancedSubtensor,
    AdvancedSubtensor1,
    IncSubtensor,
    Subtensor,
)

from aeframe.backends.work import (
    TRANSCENDENTAL,
    VIEW,
    Kind,
    Work,
    entries,
    moved,
    nbytes,
    work,
    work_of,
)

SIMPLE = (
    scalar.Sub,
    scalar.Neg,
    scalar.Abs,
    scalar.Sqr,
    scalar.Sqrt,
    scalar.TrueDivide,
    scalar.Reciprocal,
    scalar.Sgn,
    scalar.Switch,
    scalar.ScalarMaximum,
    scalar.ScalarMinimum,
    scalar.Clip,
    scalar.LogicalComparison,
    scalar.BinaryBitOp,
    scalar.UnaryBitOp,
)


def matrix(*shape: int) -> Variable:
    """A free float32 tensor."""
    return at.TensorType("float32", shape)()


PRODUCTS = ((1, 8, 64, 512), (32, 1024), (32, 512, 3072))
PRODUCT = Kind("product", PRODUCTS, lambda m, k, n: [at.dot(matrix(m, k), matrix(k, n))])
BATCHED = Kind(
    "batched product",
    ((16, 128), (16, 128)),
    lambda m, n: [at.batched_dot(matrix(8, m, 64), matrix(8, 64, n))],
)
ROWS = Kind(
    "rows",
    ((16, 1024), (16, 256)),
    lambda m, n: [at.special.softmax(matrix(m, n), axis=-1)],
)
MOVE = Kind(
    "move",
    ((1 << 12, 1 << 16, 1 << 20),),
    lambda n: [at.concatenate([matrix(n // 64, 32), matrix(n // 64, 32)], axis=1)],
)
SLICE = Kind(
    "slice",
    ((1 << 12, 1 << 16, 1 << 20),),
    lambda n: [matrix(64, n // 32)[:, : n // 64]],
)
DECOMPOSITION = Kind(
    "decomposition",
    ((16, 128, 512),),
    lambda n: [cholesky(matrix(n, n) + n * at.eye(n, dtype="float32"))],
)
LOOP = Kind("loop")


@work_of(Dot)
def _dot(node: Apply) -> Work:
    a, b = node.inputs
    k = a.type.shape[-1] if a.type.ndim else 1
    m = a.type.shape[0] if a.type.ndim == 2 else 1
    n = b.type.shape[-1] if b.type.ndim == 2 else 1
    return Work(2.0 * m * k * n, moved(node), 1, PRODUCT, (m, k, n))


@work_of(BatchedDot)
@work_of(MatMul)
def _batched(node: Apply) -> Work:
    a, out = node.inputs[0], node.outputs[0]
    k = a.type.shape[-1]
    flops = 2.0 * entries(out) * k
    if out.type.ndim < 3:
        m, n = (1, 1, *out.type.shape)[-2:]
        return Work(flops, moved(node), 1, PRODUCT, (m, k, n))
    return Work(flops, moved(node), 1, BATCHED, out.type.shape[-2:])


def scalar_work(op: Any, n_inputs: int) -> tuple[int, int]:
    """Operations, and transcendental functions among them, of one entry of an elementwise Op."""
    if isinstance(op, scalar.Composite):
        inner = [scalar_work(n.op, len(n.inputs)) for n in op.fgraph.apply_nodes]
        return sum(a for a, _ in inner), sum(b for _, b in inner)
    if isinstance(op, scalar.Cast | scalar.Identity | scalar.Second):
        return 0, 0
    if isinstance(op, scalar.Add | scalar.Mul):  # of any number
        return n_inputs - 1, 0
    return (1, 0) if isinstance(op, SIMPLE) else (TRANSCENDENTAL, 1)


@work_of(Elemwise)
def _elementwise(node: Apply) -> Work:
    n = entries(node.outputs[0])
    flops, functions = scalar_work(node.op.scalar_op, len(node.inputs))
    return Work(float(flops * n), moved(node), functions=float(functions * n))


@work_of(CAReduce)
@work_of(MaxAndArgmax)
def _reduction(node: Apply) -> Work:
    return Work(float(entries(node.inputs[0])), moved(node), 1, ROWS, _rows(node))


@work_of(Softmax)
@work_of(LogSoftmax)
def _softmax(node: Apply) -> Work:
    # maximum, difference, exponential, sum, quotient
    flops = float((4 + TRANSCENDENTAL) * entries(node.inputs[0]))
    return Work(flops, moved(node), 1, ROWS, _rows(node))


def _rows(node: Apply) -> tuple[float, ...]:
    *lead, last = node.inputs[0].type.shape or (1,)
    return (prod(lead), last)


@work_of(DimShuffle)
def _dimshuffle(node: Apply) -> Work:
    kept = [i for i in node.op.new_order if i != "x"]
    if kept == sorted(kept) or node.inputs[0].type.ndim == 2:  # products read it as it lies
        return Work(calls=0, kind=VIEW)
    return Work(0.0, moved(node), 1, MOVE, (entries(node.outputs[0]),))


@work_of(Reshape)
@work_of(BroadcastTo)
@work_of(Unbroadcast)
@work_of(SpecifyShape)
@work_of(Shape)
@work_of(Shape_i)
def _view(node: Apply) -> Work:
    return Work(calls=0, kind=VIEW)


@work_of(Join)
@work_of(Split)
@work_of(Alloc)
@work_of(Subtensor)
@work_of(AdvancedSubtensor)
@work_of(AdvancedSubtensor1)
def _move(node: Apply) -> Work:
    """What is made is read and written; some backends read a slice where it lies."""
    made, kind = sum(map(nbytes, node.outputs)), SLICE if isinstance(node.op, Subtensor) else MOVE
    return Work(0.0, 2 * made, 1, kind, (sum(map(entries, node.outputs)),))


@work_of(IncSubtensor)
@work_of(AdvancedIncSubtensor)
@work_of(AdvancedIncSubtensor1)
def _put(node: Apply) -> Work:
    made, part = node.outputs[0], node.inputs[1]
    flops = 0.0 if node.op.set_instead_of_inc else float(entries(part))
    return Work(flops, nbytes(made) + 2 * nbytes(part), 1, MOVE, (entries(made),))


# FLOPs for each n³: Golub and Van Loan, Matrix Computations, 4th edition
CUBES = {Cholesky: 1 / 3, Det: 2 / 3, MatrixInverse: 2.0, Eigh: 9.0, SVD: 21.0}


@work_of(Cholesky)
@work_of(Det)
@work_of(MatrixInverse)
@work_of(Eigh)
@work_of(SVD)
def _decomposition(node: Apply) -> Work:
    n = node.inputs[0].type.shape[-1]
    factor = next(f for op, f in CUBES.items() if isinstance(node.op, op))
    return Work(factor * n**3, moved(node), 1, DECOMPOSITION, (n,))


@work_of(SolveTriangular)
def _triangular(node: Apply) -> Work:
    n = node.inputs[0].type.shape[-1]
    return Work(float(n * entries(node.inputs[1])), moved(node), 1, DECOMPOSITION, (n,))


@work_of(Solve)
def _solve(node: Apply) -> Work:
    n = node.inputs[0].type.shape[-1]
    flops = 2 / 3 * n**3 + 2.0 * n * entries(node.inputs[1])
    return Work(flops, moved(node), 1, DECOMPOSITION, (n,))


@work_of(Scan)
def _scan(node: Apply) -> Work:
    first = node.inputs[0]
    steps = int(first.data) if isinstance(first, Constant) else 1
    inner = [work(n) for n in node.op.fgraph.toposort()]
    flops, calls = sum(w.flops for w in inner), sum(w.calls for w in inner)
    return Work(steps * flops, moved(node), steps * max(calls, 1), LOOP)
