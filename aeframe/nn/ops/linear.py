"""Linear layers and table look-up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import aesara.tensor as at
from aesara.graph.basic import Apply, Variable
from aesara.tensor.type import TensorType
from numpy.typing import NDArray

from aeframe.core.errors import DataError, DtypeError
from aeframe.core.ops import TypedOp, require_ndim, require_size, tensor_like
from aeframe.core.trace import current_path


class BilinearOp(TypedOp):
    """Base of layers that are linear in ``x`` and in ``w``: x, w and perhaps a bias (o,).

    The last axis of ``w`` and of the output are the o features that it makes.

    Attributes
    ----------
    groups
        Into how many parts the features are divided that do not see each other.
    mixed
        How many of the last axes of ``x`` are mixed; the others are a batch.
    """

    groups = 1
    mixed = 1


class DenseOp(BilinearOp):
    """``x @ w + b`` over the last axis of ``x``: (..., i), (i, o), (o,) → (..., o).

    The bias may be left out.
    """

    def check(self, x: Variable, w: Variable, b: Variable | None = None) -> None:
        """The width of ``x`` must be the height of ``w``."""
        require_ndim(self, "w", w, 2)
        if x.type.ndim == 0:
            require_ndim(self, "x", x, 2)
        require_size(self, "x", x, x.type.ndim - 1, w.type.shape[0])
        if b is not None:
            require_ndim(self, "b", b, 1)
            require_size(self, "b", b, 0, w.type.shape[1])

    def out_types(self, x: Variable, w: Variable, *b: Variable) -> tuple[TensorType]:
        """(..., o)."""
        return tensor_like((*x.type.shape[:-1], w.type.shape[1]), x, w, *b)

    def body(self, x: Variable, w: Variable, b: Variable | None = None) -> Variable:
        """One matrix product; leading axes are flattened around it."""
        flat = _matrix(x)
        y = at.dot(flat, w)
        y = y if b is None else y + b
        lead = [x.shape[i] for i in range(x.type.ndim - 1)]
        return y if flat is x else y.reshape((*lead, w.shape[1]))

    def pullback(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        cotangents: Sequence[Variable | None],
    ) -> list[Variable | None]:
        """G wᵀ, xᵀ g, 1ᵀ g: XLA sums columns faster as a product."""
        (x, w, *bias), (g,) = inputs, cotangents
        assert g is not None
        if x.type.ndim == 1:
            return [at.dot(w, g), at.outer(x, g), *(g for _ in bias)]
        flat, rows = _matrix(x), _matrix(g)
        dx = at.dot(rows, w.T)
        ones = at.ones((rows.shape[0],), dtype=g.type.dtype)
        return [
            dx if flat is x else dx.reshape(x.shape),
            at.dot(flat.T, rows),
            *(at.dot(ones, rows) for _ in bias),
        ]


def _matrix(x: Variable) -> Variable:
    """``x`` with its leading axes as one."""
    return x if x.type.ndim <= 2 else x.reshape((-1, x.shape[-1]))


class EmbeddingOp(TypedOp):
    """Rows of a table: (...) integers, (n, d) → (..., d)."""

    def check(self, ids: Variable, table: Variable) -> None:
        """Ids are integers; the table is a matrix."""
        require_ndim(self, "table", table, 2)
        if "int" not in ids.type.dtype:
            raise DtypeError(
                f"{self} takes integers",
                path=current_path(),
                expected="row numbers from 0",
                got=ids.type.dtype,
                fix="pass `ids.astype(int)`",
            )

    def validate(self, node: Apply, index: int, array: NDArray[Any]) -> None:
        """Ids lie between 0 and the number of rows."""
        rows = node.inputs[1].type.shape[0]
        if index != 0 or rows is None or array.size == 0:
            return
        if array.min() < 0 or array.max() >= rows:
            raise DataError(
                "ids are out of range",
                path=getattr(node.tag, "path", None),
                expected=f"integers from 0 to {rows - 1}",
                got=f"from {array.min()} to {array.max()}",
                fix="number the items from 0, or make the table longer",
            )

    def body(self, ids: Variable, table: Variable) -> Variable:
        """table[ids]."""
        return at.take(table, ids, axis=0)
