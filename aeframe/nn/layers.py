"""Layers: Modules that lower to one typed Op each."""

from __future__ import annotations

from math import prod
from typing import Any

from aesara.graph.basic import Variable

from aeframe.core.cells import Initializer, Parameter, RandomState
from aeframe.core.errors import ArgumentError, ShapeError
from aeframe.core.module import Module
from aeframe.core.shapes import shape_text
from aeframe.core.trace import current_path
from aeframe.nn.initializers import glorot_uniform, truncated_normal, zeros
from aeframe.nn.ops import DenseOp, DropoutOp, EmbeddingOp


class Layer(Module):
    """Base of the layers: they compute in float32 unless a ``dtype`` is given."""

    dtype: str = "float32"


class Dense(Layer):
    """``x @ w + b`` over the last axis: (..., i) → (..., units).

    Parameters
    ----------
    units
        The width of the output; parameters are made at the first call. Or the weight itself: a
        tensor of shape (i, o), such as a random variable of a Model.
    bias
        Whether there is a bias; or, with a given weight, the bias itself, a tensor (o,).
    init
        First value of the weight.
    dtype
        Of the parameters; by default that of the input they are first called on.

    Raises
    ------
    ShapeError
        When the input does not have the width of the first call.

    >>> import numpy as np
    >>> Dense(3)(np.ones((2, 5))).shape
    (2, 3)
    """

    def __init__(
        self,
        units: int | Variable,
        bias: bool | Variable | None = True,
        *,
        init: Initializer = glorot_uniform,
        dtype: str | None = None,
    ) -> None:
        self.w: Variable | None = None
        self.b: Variable | None = None
        if isinstance(units, Variable):
            self.units: int | None = units.type.shape[-1]
            self.w, self.b = units, bias if isinstance(bias, Variable) else None
        elif isinstance(units, int) and units > 0:
            self.units = units
        else:
            raise ArgumentError(
                "Dense takes a positive width or a weight", expected="Dense(50)", got=repr(units)
            )
        self.bias = bias is not False and bias is not None
        self.init_w = init
        if dtype is not None:
            self.dtype = dtype

    def __call__(self, x: Variable) -> Variable:
        """The layer on ``x``, (..., i) → (..., units)."""
        if self.w is None:
            self._build(x)
        return DenseOp()(x, self.w) if self.b is None else DenseOp()(x, self.w, self.b)

    def _build(self, x: Variable) -> None:
        width = x.type.shape[-1] if x.type.ndim else None
        if width is None:
            raise ShapeError(
                "the width of the input must be known at the first call",
                path=current_path(),
                expected="(*, width)",
                got=shape_text(x.type.shape),
                fix="give the symbolic input a static shape",
            )
        assert self.units is not None
        dtype = vars(self).get("dtype") or float_like(x, self.dtype)
        self.w = Parameter(init=self.init_w, shape=(width, self.units), dtype=dtype)
        if self.bias:
            self.b = Parameter(init=zeros, shape=(self.units,), dtype=dtype)


class Embedding(Layer):
    """Rows of a learned table: (...) integers below ``items`` → (..., width).

    Raises
    ------
    DtypeError, DataError
        When the ids are no integers, or out of range.

    >>> import numpy as np
    >>> Embedding(10, 4)(np.array([[1, 2, 3]])).shape
    (1, 3, 4)
    """

    def __init__(
        self,
        items: int,
        width: int,
        *,
        init: Initializer = truncated_normal,
        dtype: str = "float32",
    ) -> None:
        self.dtype = dtype
        self.table = Parameter(init=init, shape=(items, width), dtype=dtype)

    def __call__(self, ids: Variable) -> Variable:
        """The rows of ``ids``."""
        return EmbeddingOp()(ids, self.table)


class Flatten(Layer):
    """All axes but the first as one: (n, ...) → (n, product of the rest).

    >>> import numpy as np
    >>> Flatten()(np.ones((2, 3, 4))).shape
    (2, 12)
    """

    def __call__(self, x: Variable) -> Variable:
        """``x`` as a matrix, of known width where the sizes are known."""
        inner = x.type.shape[1:]
        return x.reshape((x.shape[0], -1 if None in inner else prod(inner)))


class Dropout(Layer):
    """Zero each entry with probability ``rate`` in training; the identity in inference.

    >>> import numpy as np
    >>> Dropout(0.5)(np.ones(3))
    array([1., 1., 1.], dtype=float32)
    """

    def __init__(self, rate: float) -> None:
        self.rate = DropoutOp(rate).rate
        self.rng = RandomState()

    def __call__(self, x: Variable) -> Variable:
        """``x`` with entries dropped; the random state advances."""
        advanced, y = DropoutOp(self.rate)(self.rng.read(), x)
        self.rng.write(advanced)
        return y


def float_like(x: Variable, default: str) -> str:
    """The dtype of ``x`` if it is floating, else the default."""
    dtype: Any = x.type.dtype
    return dtype if dtype.startswith("float") else default
