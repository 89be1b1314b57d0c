"""Leaves: distributions of one column."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real as RealNumber

import numpy as np
from aesara.graph.basic import Variable
from numpy.typing import NDArray

from aeframe.circuits.nodes import Circuit, as_symbol
from aeframe.circuits.ops import BernoulliOp
from aeframe.core import Interval, Module, Parameter
from aeframe.core.errors import ArgumentError

Array = NDArray[np.float64]


class Leaf(Circuit):
    """A distribution of one column."""

    column: int
    domain = ""

    @property
    def own_scope(self) -> int:  # type: ignore[override]
        """The column."""
        return 1 << self.column

    @staticmethod
    def accepts(values: Array) -> NDArray[np.bool_]:
        """Which values this distribution can give."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return Module.__repr__(self)


class Bernoulli(Leaf):
    """1 with probability ``p`` in one column.

    Parameters
    ----------
    column
        The column of the data, from 0.
    p
        A number becomes a Parameter; 0 and 1 stay as they are, such a leaf is an indicator. Or a
        Parameter, a symbolic scalar such as a random variable, or a Module without inputs that
        returns one.

    >>> Bernoulli(0, 0.25).log_prob(np.array([[1.0], [np.nan]])).round(4)
    array([-1.3863,  0.    ])
    """

    domain = "0 or 1"

    def __init__(self, column: int, p: float | Variable | Module = 0.5) -> None:
        if isinstance(column, bool) or not isinstance(column, int | np.integer) or column < 0:
            raise ArgumentError(
                "a column is counted from 0", expected="Bernoulli(0, 0.5)", got=repr(column)
            )
        self.column, self.p = int(column), p
        if not isinstance(p, Variable | Module):
            indicator = isinstance(p, RealNumber) and p in (0, 1)
            self.p = float(p) if indicator else Parameter(float(p), support=Interval(0.0, 1.0))

    def term(self, children: Sequence[Variable]) -> Variable:
        """The leaf."""
        return BernoulliOp(self.column)(as_symbol(self.p))

    @staticmethod
    def accepts(values: Array) -> NDArray[np.bool_]:
        """0 or 1."""
        return (values == 0) | (values == 1)
