"""Recurrent layers over sequences (n, t, i), with masks for sequences of unequal length."""

from __future__ import annotations

from copy import copy
from typing import Any

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Variable

from aeframe.core.cells import Initializer, Parameter
from aeframe.core.errors import ArgumentError, ShapeError
from aeframe.core.shapes import shape_text
from aeframe.core.structure import register
from aeframe.core.trace import current_path
from aeframe.nn.initializers import Array, glorot_uniform, orthogonal, zeros
from aeframe.nn.layers import Layer, float_like
from aeframe.nn.ops import GRUOp, LSTMOp, RecurrentOp, SimpleRNNOp


@register
def unit_forget_bias(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Zero, and one for the forget gate of an LSTM (Jozefowicz et al. 2015).

    >>> unit_forget_bias(np.random.default_rng(0), (4,))
    array([0., 1., 0., 0.])
    """
    return np.repeat([0.0, 1.0, 0.0, 0.0], shape[0] // 4)


class Recurrent(Layer):
    """Base of the recurrent layers: (n, t, i) → (n, units), or (n, t, units).

    Parameters
    ----------
    units
        The width of the state; parameters are made at the first call.
    return_sequences
        Whether the states at all times are returned, instead of the last one.
    reverse
        Whether time runs from the end to the start. A sequence that is returned stays aligned
        with the input; the last state is then the one at the start.
    init, recurrent_init
        First values of the weights on the input and on the state.
    dtype
        Of the parameters; by default that of the input they are first called on.

    Raises
    ------
    ShapeError, DtypeError
        When the input is no (n, t, i) of the width of the first call, or the mask no boolean
        (n, t).
    """

    op: type[RecurrentOp]
    init_b: Initializer = staticmethod(zeros)

    def __init__(
        self,
        units: int,
        *,
        return_sequences: bool = False,
        reverse: bool = False,
        init: Initializer = glorot_uniform,
        recurrent_init: Initializer = orthogonal,
        dtype: str | None = None,
    ) -> None:
        if not isinstance(units, int) or units < 1:
            raise ArgumentError(
                f"{type(self).__name__} takes a positive number of units",
                expected=f"{type(self).__name__}(64)",
                got=repr(units),
            )
        self.units, self.return_sequences, self.reverse = units, return_sequences, reverse
        self.init_w, self.init_v = init, recurrent_init
        self.w: Parameter | None = None
        self.v: Parameter | None = None
        self.b: Parameter | None = None
        if dtype is not None:
            self.dtype = dtype

    def __call__(self, x: Variable, mask: Variable | None = None) -> Variable:
        """The states of ``x``; where ``mask`` (n, t) is false they are carried on unchanged."""
        if self.w is None:
            self._build(x)
        assert self.v is not None
        zero = at.zeros((1, self.units), dtype=self.v.type.dtype)
        first = at.zeros_like(x[:, 0, :1], dtype=self.v.type.dtype) + zero
        masks = [] if mask is None else [mask]
        op = type(self).op(self.reverse)
        node = op.make_node(x, self.w, self.v, self.b, *[first] * op.states, *masks)
        return node.outputs[0 if self.return_sequences else 1]

    def _build(self, x: Variable) -> None:
        if x.type.ndim != 3 or x.type.shape[2] is None:
            raise ShapeError(
                "a recurrent layer takes sequences of known width",
                path=current_path(),
                expected="(n, t, width)",
                got=shape_text(x.type.shape),
                fix="give the input an axis of time, and a static width",
            )
        dtype: Any = vars(self).get("dtype") or float_like(x, self.dtype)
        op, u = type(self).op, self.units
        shapes = (x.type.shape[2], op.gates * u), (u, op.gates * u), (op.biases * u,)
        inits = self.init_w, self.init_v, type(self).init_b
        self.w, self.v, self.b = (
            Parameter(init=init, shape=shape, dtype=dtype)
            for init, shape in zip(inits, shapes, strict=True)
        )


class SimpleRNN(Recurrent):
    """h ← tanh(x w + h v + b) (Elman 1990); see :class:`Recurrent`.

    >>> SimpleRNN(4)(np.ones((2, 5, 3))).shape
    (2, 4)
    """

    op = SimpleRNNOp


class GRU(Recurrent):
    """Gated recurrent unit (Cho et al. 2014) in PyTorch's form; see :class:`Recurrent`.

    >>> GRU(4, return_sequences=True)(np.ones((2, 5, 3))).shape
    (2, 5, 4)
    """

    op = GRUOp


class LSTM(Recurrent):
    """Long short-term memory (Hochreiter and Schmidhuber 1997); see :class:`Recurrent`.

    The bias of the forget gate starts at one.

    >>> x, there = np.ones((1, 3, 2)), np.array([[True, True, False]])
    >>> layer = LSTM(4)
    >>> np.allclose(layer(x, mask=there), layer(x[:, :2]))
    True
    """

    op = LSTMOp
    init_b = staticmethod(unit_forget_bias)


class Bidirectional(Layer):
    """A recurrent layer over time in both directions, side by side: (n, t, i) → (..., 2 · units).

    Raises
    ------
    ArgumentError
        When the part is no recurrent layer, or was called before.

    >>> Bidirectional(GRU(4))(np.ones((2, 5, 3))).shape
    (2, 8)
    """

    def __init__(self, layer: Recurrent) -> None:
        if not isinstance(layer, Recurrent) or layer.w is not None:
            raise ArgumentError(
                "Bidirectional takes a recurrent layer that was not called yet",
                expected="Bidirectional(nn.LSTM(64))",
                got=repr(layer),
            )
        self.forward, self.backward = layer, copy(layer)
        self.backward.reverse = not layer.reverse

    def __call__(self, x: Variable, mask: Variable | None = None) -> Variable:
        """The two results, joined along the last axis."""
        return at.concatenate([self.forward(x, mask), self.backward(x, mask)], axis=-1)
