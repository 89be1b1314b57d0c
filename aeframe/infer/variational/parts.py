"""A vector and its parts, as typed Ops: one Apply each way, however many the parts are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Variable
from aesara.graph.type import Type
from aesara.tensor.type import TensorType

from aeframe.backends import implement
from aeframe.core import TypedOp

Shapes = tuple[tuple[int, ...], ...]


class PartsOp(TypedOp):
    """The vector's entries in a row, as parts of the given shapes: (n,) → shapes.

    >>> [p.eval().tolist() for p in PartsOp(((2,), ())).make_node(at.arange(3.0)).outputs]
    [[0.0, 1.0], 2.0]
    """

    __props__ = ("shapes",)

    def __init__(self, shapes: Shapes) -> None:
        self.shapes = shapes

    @property
    def places(self) -> list[tuple[int, int]]:
        """Where each part starts and stops."""
        stops = np.cumsum([0, *(int(np.prod(s, dtype=np.int64)) for s in self.shapes)])
        return [(int(a), int(b)) for a, b in pairwise(stops)]

    def body(self, vector: Variable) -> list[Variable]:
        """Slices, reshaped."""
        cut = [vector[a:b] for a, b in self.places]
        return [at.reshape(c, s, ndim=len(s)) for c, s in zip(cut, self.shapes, strict=True)]

    def out_types(self, *inputs: Variable) -> Sequence[Type]:
        """Of the shapes."""
        return [TensorType(inputs[0].type.dtype, s) for s in self.shapes]

    def connection_pattern(self, node: Any) -> list[list[bool]]:
        """All parts are of the vector."""
        return [[True] * len(self.shapes)]

    def pullback(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        cotangents: Sequence[Variable | None],
    ) -> list[Variable | None]:
        """The cotangents in a row."""
        found = zip(outputs, cotangents, strict=True)
        return [WholeOp(self.shapes)(*(at.zeros_like(o) if g is None else g for o, g in found))]


class WholeOp(TypedOp):
    """Parts of the given shapes in a row, as one vector: shapes → (n,)."""

    __props__ = ("shapes",)

    def __init__(self, shapes: Shapes) -> None:
        self.shapes = shapes

    def body(self, *parts: Variable) -> Variable:
        """The parts flat, joined."""
        return at.concatenate([at.flatten(p) for p in parts])

    def out_types(self, *inputs: Variable) -> Sequence[Type]:
        """A vector."""
        size = sum(int(np.prod(s, dtype=np.int64)) for s in self.shapes)
        return [TensorType(inputs[0].type.dtype, (size,))]

    def connection_pattern(self, node: Any) -> list[list[bool]]:
        """The vector has all parts."""
        return [[True]] * len(node.inputs)

    def pullback(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        cotangents: Sequence[Variable | None],
    ) -> Sequence[Variable | None]:
        """The cotangent's parts."""
        assert cotangents[0] is not None
        return PartsOp(self.shapes).make_node(cotangents[0]).outputs


@implement("jax", PartsOp)
def _parts_jax(node: Any) -> Callable[..., Any]:
    parts = list(zip(node.op.places, node.op.shapes, strict=True))
    return lambda vector: tuple(vector[a:b].reshape(s) for (a, b), s in parts)


@implement("c", PartsOp)
def _parts(node: Any) -> Callable[..., Any]:
    parts = list(zip(node.op.places, node.op.shapes, strict=True))
    # copies: Aesara may overwrite a part, and the vector is needed again
    return lambda vector: tuple(vector[a:b].reshape(s).copy() for (a, b), s in parts)


@implement("c", WholeOp)
def _whole(node: Any) -> Callable[..., Any]:
    return lambda *parts: np.concatenate([np.ravel(p) for p in parts])


@implement("jax", WholeOp)
def _whole_jax(node: Any) -> Callable[..., Any]:
    import jax.numpy as jnp

    return lambda *parts: jnp.concatenate([jnp.ravel(p) for p in parts])
