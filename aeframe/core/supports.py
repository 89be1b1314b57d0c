"""Supports: the set a parameter lives in, with the smooth map from all reals onto it.

Optimizers and samplers work on the unconstrained scale ``u``; the value is ``forward(u)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Variable
from numpy.typing import NDArray

from aeframe.core.errors import DataError
from aeframe.core.structure import Structure

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Support(Structure):
    """All real numbers; the map is the identity.

    ``discrete`` supports have no such map: nothing moves smoothly between their points.
    """

    discrete: ClassVar[bool] = False

    def forward(self, u: Variable) -> Variable:
        """The value of an unconstrained ``u``, symbolically."""
        return u

    def free_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the unconstrained ``u`` of a value of ``shape``."""
        return shape

    def inverse(self, value: Any, xp: Any = np) -> Any:
        """The unconstrained ``u`` of a value: NumPy's, or with ``xp=aesara.tensor`` symbolic."""
        return value

    def log_jacobian(self, u: Variable) -> Variable:
        """Σ log |d forward(u) / du|, symbolically."""
        return at.zeros((), dtype=u.type.dtype)

    def contains(self, value: Array) -> bool:
        """Whether every entry lies inside."""
        return bool(np.all(np.isfinite(value)))

    def require(self, value: Array) -> None:
        """Raise :class:`DataError` unless ``value`` lies inside."""
        if not self.contains(np.asarray(value)):
            raise DataError("a value lies outside its support", expected=str(self), got=value)


@dataclass(frozen=True)
class Real(Support):
    """All real numbers.

    >>> Real().contains(np.array([-1.0, 2.0]))
    True
    """


@dataclass(frozen=True)
class Positive(Support):
    """Numbers above zero; value = exp(u).

    >>> float(Positive().inverse(np.array(1.0)))
    0.0
    """

    def forward(self, u: Variable) -> Variable:
        """exp(u)."""
        return at.exp(u)

    def inverse(self, value: Any, xp: Any = np) -> Any:
        """log(value)."""
        return xp.log(value)

    def log_jacobian(self, u: Variable) -> Variable:
        """Σ u, as d exp(u)/du = exp(u)."""
        return u.sum()

    def contains(self, value: Array) -> bool:
        """Finite and above zero."""
        return bool(np.all(np.isfinite(value)) and np.all(value > 0))


@dataclass(frozen=True)
class Interval(Support):
    """Numbers between ``low`` and ``high``; value = low + (high − low) · sigmoid(u).

    >>> float(Interval(0.0, 2.0).inverse(np.array(1.0)))
    0.0
    """

    low: float = 0.0
    high: float = 1.0

    def forward(self, u: Variable) -> Variable:
        """Low + (high − low) · sigmoid(u)."""
        return self.low + (self.high - self.low) * at.sigmoid(u)

    def inverse(self, value: Any, xp: Any = np) -> Any:
        """logit((value − low) / (high − low))."""
        p = (value - self.low) / (self.high - self.low)
        return xp.log(p) - xp.log1p(-p)

    def log_jacobian(self, u: Variable) -> Variable:
        """Σ log(high − low) + log sigmoid(u) + log sigmoid(−u)."""
        width = np.log(self.high - self.low).astype(u.type.dtype)
        return (width - at.softplus(-u) - at.softplus(u)).sum()

    def contains(self, value: Array) -> bool:
        """Strictly between the ends."""
        return bool(np.all(value > self.low) and np.all(value < self.high))


@dataclass(frozen=True)
class Simplex(Support):
    """Rows of positive numbers that sum to 1; value = softmax(u) along the last axis.

    The map is many-to-one (adding a constant to ``u`` changes nothing), so it serves
    optimization; it has no Jacobian.

    >>> Simplex().contains(np.array([0.25, 0.75]))
    True
    """

    def forward(self, u: Variable) -> Variable:
        """softmax(u)."""
        return at.special.softmax(u, axis=-1)

    def inverse(self, value: Any, xp: Any = np) -> Any:
        """log(value), one of the many."""
        return xp.log(value)

    def contains(self, value: Array) -> bool:
        """Positive, and the last axis sums to 1."""
        total = np.sum(value, axis=-1)
        return bool(np.all(value > 0) and np.allclose(total, 1.0, atol=1e-5))


@dataclass(frozen=True)
class Binary(Support):
    """The numbers 0 and 1.

    >>> Binary().contains(np.array([0, 1])), Binary().contains(np.array(0.5))
    (True, False)
    """

    discrete: ClassVar[bool] = True

    def forward(self, u: Variable) -> NoReturn:
        """Refuse: no smooth map leads onto two points."""
        raise DataError("a binary value has no unconstrained scale", expected="a real support")

    def contains(self, value: Array) -> bool:
        """Every entry is 0 or 1."""
        return bool(np.all((np.asarray(value) == 0) | (np.asarray(value) == 1)))
