"""Work: how much an Apply computes and moves, as the room that owns its Op says.

A count is of the Op's mathematics on its static shapes, not of one implementation. What nobody
has counted is counted by its body.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from aesara.graph.basic import Apply, Variable
from aesara.scan.op import Scan

from aeframe.core.errors import ShapeError
from aeframe.core.ops import Pullback, TypedOp, body_of
from aeframe.core.shapes import is_tensor, type_text

Sample = Callable[..., Sequence[Variable]]
KINDS: dict[str, Kind] = {}


@dataclass(frozen=True)
class Kind:
    """A kind of work that a backend does at a rate of its own.

    Attributes
    ----------
    name
        In files and reports.
    grid
        For each size that the rate depends on, where it is measured, ascending.
    sample
        ``sample(*sizes) -> outputs`` of one Apply of this kind over free inputs; without it the
        rate is that of elementwise work.
    """

    name: str
    grid: tuple[tuple[int, ...], ...] = ()
    sample: Sample | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        KINDS[self.name] = self


ELEMENTWISE, VIEW = Kind("elementwise"), Kind("view")
TRANSCENDENTAL = 10  # an exponential in vector code: a range reduction and a polynomial


@dataclass(frozen=True)
class Work:
    """What one Apply costs, whatever runs it.

    Attributes
    ----------
    flops
        Floating-point operations; a transcendental function counts :data:`TRANSCENDENTAL`.
    bytes
        Of all inputs and outputs, each moved once.
    calls
        Kernels that have to be started one after the other.
    kind, sizes
        What the rate depends on; ``sizes`` are along the axes of ``kind.grid``.
    functions
        How many transcendental functions of single entries are within ``flops``.
    """

    flops: float = 0.0
    bytes: float = 0.0
    calls: int = 1
    kind: Kind = ELEMENTWISE
    sizes: tuple[float, ...] = ()
    functions: float = 0.0


Count = Callable[[Apply], Work]
_COUNTS: dict[tuple[type, bool], Count] = {}


def work_of(op: type, *, pullback: bool = False) -> Callable[[Count], Count]:
    """Register what an Apply of ``op`` (or of a subclass of it) costs: ``count(node) -> Work``.

    Parameters
    ----------
    op
        The class of the Op.
    pullback
        Whether the count is for the Op's gradient instead.
    """

    def add(count: Count) -> Count:
        _COUNTS[op, pullback] = count
        return count

    return add


def work(node: Apply) -> Work:
    """What one run of ``node`` computes and moves.

    Raises
    ------
    ShapeError
        When the static shapes of its inputs or outputs are not all known.

    >>> import aesara.tensor as at
    >>> a, b = at.TensorType("float32", (2, 3))(), at.TensorType("float32", (3, 5))()
    >>> found = work(at.dot(a, b).owner)
    >>> found.flops, found.bytes
    (60.0, 124.0)
    """
    _require_shapes(node)
    if isinstance(node.op, Scan):  # its length is a value, not a type
        return _count(node)
    key = (node.op, tuple(v.type for v in (*node.inputs, *node.outputs)))
    if key not in _KEPT:
        if len(_KEPT) > 100_000:
            _KEPT.clear()
        _KEPT[key] = _count(node)
    return _KEPT[key]


_KEPT: dict[Any, Work] = {}


def _count(node: Apply) -> Work:
    if not any(is_tensor(o) for o in node.outputs):
        return Work()
    pullback = isinstance(node.op, Pullback)
    for cls in type(node.op.op if pullback else node.op).__mro__:
        count = _COUNTS.get((cls, pullback))
        if count is not None:
            return count(node)
    if isinstance(node.op, TypedOp):
        return by_body(node)
    return Work(float(sum(entries(o) for o in node.outputs)), moved(node))


def by_body(node: Apply) -> Work:
    """The sum over the body; what an elementwise loop does between other parts is no call."""
    parts = _body_work(node.op, tuple(v.type for v in node.inputs))
    calls = sum(p.calls for p in parts if p.kind not in (ELEMENTWISE, VIEW))
    if all(p.kind is VIEW for p in parts):
        return Work(calls=0, kind=VIEW)
    moving = [p for p in parts if p.kind is not VIEW]
    other = [p for p in moving if p.kind is not ELEMENTWISE and p.flops > 0]
    main = max(other or moving, key=lambda p: p.flops)
    flops, functions = sum(p.flops for p in parts), sum(p.functions for p in parts)
    return Work(flops, moved(node), max(calls, 1), main.kind, main.sizes, functions)


@lru_cache(maxsize=8192)
def _body_work(op: TypedOp, types: tuple[Any, ...]) -> tuple[Work, ...]:
    return tuple(work(inner) for inner in body_of(op, types).nodes)


def entries(variable: Variable) -> int:
    """How many numbers a tensor of known shape holds; 0 for anything else."""
    return prod(variable.type.shape) if is_tensor(variable) else 0


def nbytes(variable: Variable) -> float:
    """How many bytes a tensor of known shape holds; 0 for anything else."""
    if not is_tensor(variable):
        return 0.0
    return float(prod(variable.type.shape) * np.dtype(variable.type.dtype).itemsize)


def moved(node: Apply) -> float:
    """The bytes of all inputs and outputs of ``node``."""
    return sum(map(nbytes, dict.fromkeys((*node.inputs, *node.outputs))))


def _require_shapes(node: Apply) -> None:
    for v in (*node.inputs, *node.outputs):
        if is_tensor(v) and None in v.type.shape:
            raise ShapeError(
                f"the cost of {node.op} is not known without its shapes",
                path=getattr(node.tag, "path", None),
                expected="static shapes of all inputs and outputs",
                got=type_text(v),
                fix="give the graph's inputs their shapes: `TensorType('float32', (32, 784))`",
            )
