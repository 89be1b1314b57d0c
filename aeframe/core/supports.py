"""Supports: the set a variable lives in, with the smooth map from all reals onto it.

Optimizers and samplers work on the unconstrained scale ``u``; the value is ``forward(u)``. A map
may need arguments, such as the symbolic ends of an interval; supports of vectors and matrices
take any number of leading axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Constant, Variable
from numpy.typing import NDArray

from aeframe.core.errors import ArgumentError, DataError
from aeframe.core.structure import Structure

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Support(Structure):
    """All real numbers; the map is the identity.

    ``discrete`` supports have no such map: nothing moves smoothly between their points.
    """

    discrete: ClassVar[bool] = False

    @property
    def points(self) -> range | None:
        """All values of an entry, where these are finitely many whole numbers in a row."""
        return None

    def forward(self, u: Variable, *arguments: Any) -> Variable:
        """The value of an unconstrained ``u``, symbolically."""
        return u

    def inverse(self, value: Any, *arguments: Any, xp: Any = np) -> Any:
        """The unconstrained ``u`` of a value: NumPy's, or with ``xp=aesara.tensor`` symbolic."""
        return value

    def log_jacobian(self, u: Variable, *arguments: Any) -> Variable:
        """``log |det ∂forward(u)/∂u|``, over all entries, symbolically: a scalar."""
        return at.zeros((), dtype=u.type.dtype)

    def free_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of the unconstrained ``u`` of a value of ``shape``."""
        return tuple(shape)

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

    def forward(self, u: Variable, *arguments: Any) -> Variable:
        """exp(u)."""
        return at.exp(u)

    def inverse(self, value: Any, *arguments: Any, xp: Any = np) -> Any:
        """log(value)."""
        return xp.log(value)

    def log_jacobian(self, u: Variable, *arguments: Any) -> Variable:
        """Σ u, as d exp(u)/du = exp(u)."""
        return u.sum()

    def contains(self, value: Array) -> bool:
        """Finite and above zero."""
        return bool(np.all(np.isfinite(value)) and np.all(value > 0))


@dataclass(frozen=True)
class Bounded(Support):
    """Numbers between ends that are arguments, symbolic or arrays: forward(u, low, high).

    value = low + (high − low) · sigmoid(u). One end may be the number ∞ (not an array of it):
    then value = low + exp(u), or high − exp(u).

    >>> float(Bounded().inverse(np.array(1.0), 0.0, 2.0))
    0.0
    """

    def forward(self, u: Variable, *arguments: Any) -> Variable:
        """As above."""
        low, high = arguments
        below, above = _is_infinite(low), _is_infinite(high)
        if below or above:
            return u if below and above else high - at.exp(u) if below else low + at.exp(u)
        return low + (high - low) * at.sigmoid(u)

    def inverse(self, value: Any, *arguments: Any, xp: Any = np) -> Any:
        """The logit of where the value lies, or the log of its distance from the finite end."""
        low, high = arguments
        if _is_infinite(low):
            return value if _is_infinite(high) else xp.log(high - value)
        if _is_infinite(high):
            return xp.log(value - low)
        return xp.log(value - low) - xp.log(high - value)

    def log_jacobian(self, u: Variable, *arguments: Any) -> Variable:
        """Σ log(high − low) + log sigmoid(u) + log sigmoid(−u); Σ u with one infinite end."""
        low, high = arguments
        below, above = _is_infinite(low), _is_infinite(high)
        if below or above:
            return Real().log_jacobian(u) if below and above else u.sum()
        width = high - low
        log_width = (at if isinstance(width, Variable) else np).log(width).astype(u.type.dtype)
        return (log_width - at.softplus(-u) - at.softplus(u)).sum()


def _is_infinite(end: Any) -> bool:
    value = end.data if isinstance(end, Constant) else end
    return not isinstance(value, Variable) and np.ndim(value) == 0 and bool(np.isinf(value))


@dataclass(frozen=True)
class Interval(Support):
    """Numbers between two numbers, one of which may be infinite; the map is that of `Bounded`.

    >>> float(Interval(0.0, 2.0).inverse(np.array(1.0)))
    0.0
    >>> float(Interval(3.0, np.inf).inverse(np.array(4.0)))
    0.0
    """

    low: float = 0.0
    high: float = 1.0

    def forward(self, u: Variable, *arguments: Any) -> Variable:
        """Low + (high − low) · sigmoid(u)."""
        return Bounded().forward(u, self.low, self.high)

    def inverse(self, value: Any, *arguments: Any, xp: Any = np) -> Any:
        """logit((value − low) / (high − low))."""
        return Bounded().inverse(value, self.low, self.high, xp=xp)

    def log_jacobian(self, u: Variable, *arguments: Any) -> Variable:
        """Σ log(high − low) + log sigmoid(u) + log sigmoid(−u)."""
        return Bounded().log_jacobian(u, self.low, self.high)

    def contains(self, value: Array) -> bool:
        """Strictly between the ends."""
        return bool(np.all(value > self.low) and np.all(value < self.high))


def _excluding(x: Any, xp: Any) -> Any:
    """Sums of all entries before each, along the last axis: 0, x₁, x₁ + x₂, ..."""
    return xp.cumsum(x, axis=x.ndim - 1) - x


@dataclass(frozen=True)
class Simplex(Support):
    """Vectors of positive numbers that sum to 1, by stick-breaking: K entries from K − 1 free ones.

    zₖ = sigmoid(uₖ − log(K − k)) is the part of what is left that goes to entry k, so that u = 0
    gives equal entries (Stan Reference Manual, "Unit simplexes").

    >>> Simplex().contains(np.array([0.25, 0.75])), Simplex().free_shape((5, 3))
    (True, (5, 2))
    """

    def forward(self, u: Variable, *arguments: Any) -> Variable:
        """xₖ = zₖ Π_{j<k} (1 − zⱼ), the last one is what is left."""
        taken, left, before = self._logs(u)
        last = left.sum(axis=-1, keepdims=True)
        return at.exp(at.concatenate([taken + before, last], axis=u.type.ndim - 1))

    def inverse(self, value: Any, *arguments: Any, xp: Any = np) -> Any:
        """Log xₖ − log Σ_{j>k} xⱼ + log(K − k)."""
        after = _excluding(value[..., ::-1], xp)[..., ::-1]
        n = value.shape[value.ndim - 1] - 1
        steps = n - xp.arange(n)
        return xp.log(value[..., :-1]) - xp.log(after[..., :-1]) + xp.log(steps)

    def log_jacobian(self, u: Variable, *arguments: Any) -> Variable:
        """Σₖ log zₖ + log(1 − zₖ) + Σ_{j<k} log(1 − zⱼ)."""
        taken, left, before = self._logs(u)
        return (taken + left + before).sum()

    def _logs(self, u: Variable) -> tuple[Variable, Variable, Variable]:
        """Logs of each part taken, of what that leaves, and of what was left before."""
        n = u.shape[u.type.ndim - 1]
        shifted = u - at.log(n - at.arange(n)).astype(u.type.dtype)
        left = -at.softplus(shifted)
        return -at.softplus(-shifted), left, _excluding(left, at)

    def free_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """One entry less."""
        return (*shape[:-1], shape[-1] - 1)

    def contains(self, value: Array) -> bool:
        """Positive, and the last axis sums to 1."""
        total = np.sum(value, axis=-1)
        return bool(np.all(value > 0) and np.allclose(total, 1.0, atol=1e-5))


@dataclass(frozen=True)
class Softmax(Simplex):
    """The same vectors by softmax, as many free entries as there are: for optimizers only.

    The map is many-to-one (adding a constant to ``u`` changes nothing): it has no Jacobian.
    """

    def forward(self, u: Variable, *arguments: Any) -> Variable:
        """softmax(u)."""
        return at.special.softmax(u, axis=-1)

    def inverse(self, value: Any, *arguments: Any, xp: Any = np) -> Any:
        """log(value), one of the many."""
        return xp.log(value)

    def log_jacobian(self, u: Variable, *arguments: Any) -> Variable:
        """Refuse: a map between spaces of different dimensions has no Jacobian determinant."""
        raise ArgumentError(
            "softmax has no Jacobian determinant", got=str(self), fix="use ae.Simplex()"
        )

    def free_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The same."""
        return tuple(shape)


@dataclass(frozen=True)
class Ordered(Support):
    """Increasing vectors; x₁ = u₁, xₖ = xₖ₋₁ + exp(uₖ).

    >>> Ordered().contains(np.array([-1.0, 0.5, 2.0])), Ordered().contains(np.array([1.0, 1.0]))
    (True, False)
    """

    def forward(self, u: Variable, *arguments: Any) -> Variable:
        """Sums of positive steps."""
        axis = u.type.ndim - 1
        return at.cumsum(at.concatenate([u[..., :1], at.exp(u[..., 1:])], axis=axis), axis=axis)

    def inverse(self, value: Any, *arguments: Any, xp: Any = np) -> Any:
        """The logs of the steps."""
        steps = value[..., 1:] - value[..., :-1]
        return xp.concatenate([value[..., :1], xp.log(steps)], axis=value.ndim - 1)

    def log_jacobian(self, u: Variable, *arguments: Any) -> Variable:
        """Σ_{k>1} uₖ."""
        return u[..., 1:].sum()

    def contains(self, value: Array) -> bool:
        """Finite, and each entry above the one before."""
        return bool(np.all(np.isfinite(value)) and np.all(np.diff(value, axis=-1) > 0))


@dataclass(frozen=True)
class PositiveOrdered(Ordered):
    """Increasing vectors of positive numbers; xₖ = xₖ₋₁ + exp(uₖ), x₀ = 0."""

    def forward(self, u: Variable, *arguments: Any) -> Variable:
        """Sums of positive steps."""
        return at.cumsum(at.exp(u), axis=u.type.ndim - 1)

    def inverse(self, value: Any, *arguments: Any, xp: Any = np) -> Any:
        """The logs of the steps."""
        steps = value[..., 1:] - value[..., :-1]
        return xp.log(xp.concatenate([value[..., :1], steps], axis=value.ndim - 1))

    def log_jacobian(self, u: Variable, *arguments: Any) -> Variable:
        """Σ u."""
        return u.sum()

    def contains(self, value: Array) -> bool:
        """Increasing from above zero."""
        return super().contains(value) and bool(np.all(value > 0))


@dataclass(frozen=True)
class CorrelationCholesky(Support):
    """Cholesky factors L of correlation matrices LLᵀ: (n, n) from n (n − 1) / 2 free numbers.

    z = tanh(u) are canonical partial correlations, row by row below the diagonal;
    Lᵢⱼ = zᵢⱼ Π_{k<j} √(1 − zᵢₖ²) with zᵢᵢ = 1 (Lewandowski, Kurowicka and Joe 2009; Stan Reference
    Manual, "Cholesky factors of correlation matrices"). The Jacobian is that of the entries below
    the diagonal.

    >>> CorrelationCholesky().free_shape((4, 4))
    (6,)
    """

    def forward(self, u: Variable, *arguments: Any) -> Variable:
        """As above."""
        partial, left = self._spread(u)
        n = partial.type.shape[-1]
        own = partial + np.eye(n, dtype=u.type.dtype)
        return own * np.tril(np.ones((n, n), u.type.dtype)) * at.exp(_excluding(left, at) / 2)

    def inverse(self, value: Any, *arguments: Any, xp: Any = np) -> Any:
        """Artanh of Lᵢⱼ / √(1 − Σ_{k<j} Lᵢₖ²)."""
        rows, columns = np.tril_indices(_size(getattr(value, "type", value).shape[-1]), -1)
        left = (1 - _excluding(value**2, xp))[..., rows, columns]
        return xp.arctanh(value[..., rows, columns] / xp.sqrt(left))

    def log_jacobian(self, u: Variable, *arguments: Any) -> Variable:
        """Σ_{j<i} log(1 − zᵢⱼ²) + ½ Σ_{k<j} log(1 − zᵢₖ²)."""
        _, left = self._spread(u)
        n = left.type.shape[-1]
        below = np.tril(np.ones((n, n), u.type.dtype), -1)
        return (left + below * _excluding(left, at) / 2).sum()

    def _spread(self, u: Variable) -> tuple[Variable, Variable]:
        """Z below the diagonal of a matrix, 0 elsewhere, and log(1 − z²)."""
        m = _size(u.type.shape[-1])
        n = (1 + int(np.sqrt(1 + 8 * m))) // 2
        index = np.full((n, n), m)
        index[np.tril_indices(n, -1)] = np.arange(m)
        filled = at.concatenate([u, at.zeros_like(u[..., :1])], axis=u.type.ndim - 1)
        filled = filled[..., index.ravel()].reshape((*filled.shape[:-1], n, n))
        filled = at.specify_shape(filled, (*u.type.shape[:-1], n, n))
        # log(1 − tanh²u) = 2 (log 2 − |u| − log(1 + exp(−2|u|)))
        size = abs(filled)
        left = np.log(2.0).astype(u.type.dtype) - size - at.softplus(-2 * size)
        return at.tanh(filled), 2 * left

    def free_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """One number for each pair."""
        return (*shape[:-2], shape[-1] * (shape[-1] - 1) // 2)

    def contains(self, value: Array) -> bool:
        """Lower triangular with a positive diagonal, rows of length 1."""
        value = np.asarray(value)
        lower = np.all(np.triu(value, 1) == 0) and np.all(np.diagonal(value, 0, -2, -1) > 0)
        return bool(lower and np.allclose(np.sum(value**2, axis=-1), 1.0, atol=1e-6))


def _size(size: Any) -> int:
    if not isinstance(size, int):
        raise ArgumentError("the size of a correlation matrix is not known", got=repr(size))
    return size


@dataclass(frozen=True)
class _Discrete(Support):
    discrete: ClassVar[bool] = True

    def forward(self, u: Variable, *arguments: Any) -> Variable:
        """Refuse: no smooth map leads onto single points."""
        raise DataError(
            f"a value of {self} has no unconstrained scale", expected="a continuous support"
        )

    def inverse(self, value: Any, *arguments: Any, xp: Any = np) -> Any:
        """Refuse, as :meth:`forward`."""
        return self.forward(value)

    def log_jacobian(self, u: Variable, *arguments: Any) -> Variable:
        """Refuse, as :meth:`forward`."""
        return self.forward(u)


@dataclass(frozen=True)
class Binary(_Discrete):
    """The numbers 0 and 1.

    >>> Binary().contains(np.array([0, 1])), Binary().contains(np.array(0.5))
    (True, False)
    """

    @property
    def points(self) -> range:
        """0 and 1."""
        return range(2)

    def contains(self, value: Array) -> bool:
        """Every entry is 0 or 1."""
        return bool(np.all((np.asarray(value) == 0) | (np.asarray(value) == 1)))


@dataclass(frozen=True)
class Integers(_Discrete):
    """Whole numbers from ``low`` to ``high``, both included; ``None``: without end.

    >>> Integers(0).contains(np.array([0, 7])), Integers(0, 5).contains(np.array([0, 7]))
    (True, False)
    """

    low: int | None = None
    high: int | None = None

    @property
    def points(self) -> range | None:
        """From ``low`` to ``high``, where there are both."""
        return None if self.low is None or self.high is None else range(self.low, self.high + 1)

    def contains(self, value: Array) -> bool:
        """Whole and between the ends."""
        value = np.asarray(value)
        low = -np.inf if self.low is None else self.low
        high = np.inf if self.high is None else self.high
        return bool(np.all((value == np.floor(value)) & (value >= low) & (value <= high)))
