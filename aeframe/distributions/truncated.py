"""Truncation and censoring: draws within bounds, and draws of which only a bound is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Variable

from aeframe.core.errors import ArgumentError
from aeframe.core.supports import Bounded, Integers, Interval, Positive, Real, Support
from aeframe.distributions.base import (
    FINITE,
    Distribution,
    as_parameter,
    is_known,
    require_argument,
)
from aeframe.distributions.bounded import UNIFORM, require_order
from aeframe.distributions.cdf import Cumulative, cumulative_of
from aeframe.distributions.combine import Combined, member_draw
from aeframe.distributions.density import inside, leaf_density
from aeframe.distributions.draws import Drawn, DrawOp, Family, Size, standard


class BoundedOp(DrawOp):
    """Base of ``(rng, low, high, *parameters)``, with those of the ends that there are."""

    __props__ = ("family", "has_low", "has_high", "shape")

    def __init__(
        self, family: Family, has_low: bool, has_high: bool, shape: Sequence[int] | None = None
    ) -> None:
        super().__init__(shape)
        self.family, self.has_low, self.has_high = family, has_low, has_high
        self.dtype = family.dtype
        self.ndims_params = (*(0,) * (int(has_low) + int(has_high)), *family.ndims_params)

    def ends(
        self, parameters: Sequence[Variable]
    ) -> tuple[Variable | None, Variable | None, list[Variable]]:
        """Low, high, and the parameters of the family."""
        rest = list(parameters)
        low = rest.pop(0) if self.has_low else None
        high = rest.pop(0) if self.has_high else None
        return low, high, rest

    @property
    def is_discrete(self) -> bool:
        """Whether draws are whole numbers."""
        return self.dtype.startswith("int")

    def below(self, end: Variable) -> Variable:
        """The largest value that is smaller than ``end``; itself where values lie dense."""
        return end - 1 if self.is_discrete else end


class TruncatedOp(BoundedOp):
    """``(rng, low, high, *parameters)``: a draw, given that it lies within the ends."""

    def sample(self, rng: Variable, shape: Sequence[Size], *parameters: Variable) -> Drawn:
        """By the quantile of a uniform number, from the end whose probability is smaller."""
        low, high, inner = self.ends(parameters)
        known = cumulative_of(self.family)
        if known.quantile is None or known.upper is None:
            raise ArgumentError(
                f"a truncated {self.family.name} cannot be drawn",
                expected="a distribution whose quantiles have a closed form",
                got=self.family.name,
                fix="observe it; its density is known",
            )
        rng, u = standard(UNIFORM, rng, shape, 0.0, 1.0)
        p_low = 0.0 if low is None else at.exp(known.log_cdf(low, *inner))
        p_high = 1.0 if high is None else at.exp(known.log_cdf(high, *inner))
        q_low = 1.0 if low is None else at.exp(known.log_survival(low, *inner))
        q_high = 0.0 if high is None else at.exp(known.log_survival(high, *inner))
        from_below = known.quantile(p_low + u * (p_high - p_low), *inner)
        from_above = known.upper(q_high + u * (q_low - q_high), *inner)
        drawn = at.switch(at.lt(q_low, p_low), from_above, from_below)
        drawn = drawn if low is None else at.maximum(drawn, low)
        return rng, drawn if high is None else at.minimum(drawn, high)

    def log_density(self, value: Variable, *parameters: Variable) -> Variable:
        """Log p(x) − log P(low ≤ X ≤ high)."""
        low, high, inner = self.ends(parameters)
        found = leaf_density(self.family, value, *inner) - self.log_mass(low, high, inner)
        if low is not None:
            found = inside(value >= low, found)
        return found if high is None else inside(value <= high, found)

    def log_mass(
        self, low: Variable | None, high: Variable | None, inner: Sequence[Variable]
    ) -> Variable:
        """Log P(low ≤ X ≤ high), without cancellation in either tail."""
        known = cumulative_of(self.family)
        if low is None:
            return known.log_cdf(high, *inner)
        low = self.below(low)
        if high is None:
            return known.log_survival(low, *inner)
        low_p, low_q = known.log_cdf(low, *inner), known.log_survival(low, *inner)
        high_p, high_q = known.log_cdf(high, *inner), known.log_survival(high, *inner)
        upper = low_q < low_p
        more, less = at.switch(upper, low_q, high_p), at.switch(upper, high_q, low_p)
        return more + at.log1mexp(less - more)


class CensoredOp(BoundedOp):
    """``(rng, low, high, *parameters)``: a draw, moved to the nearer end if it lies outside."""

    def sample(self, rng: Variable, shape: Sequence[Size], *parameters: Variable) -> Drawn:
        """The draw, clipped."""
        low, high, inner = self.ends(parameters)
        rng, drawn = member_draw(self.family, rng, shape, inner)
        drawn = drawn if low is None else at.maximum(drawn, low)
        return rng, drawn if high is None else at.minimum(drawn, high)

    def log_density(self, value: Variable, *parameters: Variable) -> Variable:
        """Log p(x) between the ends, log P(X ≤ low) and log P(X ≥ high) at them."""
        low, high, inner = self.ends(parameters)
        known: Cumulative = cumulative_of(self.family)
        found = leaf_density(self.family, value, *inner)
        if low is not None:
            found = at.switch(at.eq(value, low), known.log_cdf(low, *inner), found)
            found = inside(value >= low, found)
        if high is not None:
            at_high = known.log_survival(self.below(high), *inner)
            found = inside(value <= high, at.switch(at.eq(value, high), at_high, found))
        return found


class _Bounds(Combined):
    """A distribution of numbers with ends, one of which may be ``None``."""

    distribution: Distribution
    low: Any
    high: Any
    kind: ClassVar[type[BoundedOp]]

    def __post_init__(self) -> None:
        name = type(self).__name__
        inner = self.distribution
        if not isinstance(inner, Distribution) or getattr(inner, "op", None) is None:
            raise ArgumentError(f"{name} takes a distribution", got=repr(inner))
        if inner.op.ndim_supp:
            raise ArgumentError(f"{name} takes a distribution of numbers", got=repr(inner))
        if self.low is None and self.high is None:
            raise ArgumentError(f"{name} needs an end", expected="low, high or both", got="neither")
        for end in ("low", "high"):
            if getattr(self, end) is not None:
                require_argument(f"the {end} of {name}", getattr(self, end), FINITE)
        if self.low is not None and self.high is not None:
            require_order(name, self.low, self.high)
        cumulative_of(inner.op)

    def _ends(self) -> tuple[Any, Any]:
        """The ends that cut something off."""
        start = _start(self.distribution.support)
        idle = self.low is not None and is_known(self.low) and self.low <= start
        return None if idle else self.low, self.high

    @property
    def op(self) -> Family:  # type: ignore[override]
        """Of this family, with these ends."""
        low, high = self._ends()
        if low is None and high is None:
            return self.distribution.op
        return self.kind(self.distribution.op, low is not None, high is not None)

    def given(self) -> list[Variable]:
        """The ends that there are, and the parameters of the distribution."""
        ends = [as_parameter(type(self).__name__, e) for e in self._ends() if e is not None]
        return [*ends, *self.distribution.given()]


def _start(support: Support) -> float:
    """The lower end of a support, as far as it is known."""
    if isinstance(support, Positive):
        return 0.0
    if isinstance(support, Integers) and support.low is not None:
        return float(support.low)
    return support.low if isinstance(support, Interval) else -np.inf


@dataclass(frozen=True, eq=False)
class Truncated(_Bounds):
    """The distribution of x given that low ≤ x ≤ high; draws beyond are thrown away.

    p(x) = p_distribution(x) / P(low ≤ X ≤ high) between the ends, 0 beyond.

    Parameters
    ----------
    distribution
        Of numbers, with a known cumulative distribution function.
    low, high
        The ends, both included; ``None``: there is none.

    Raises
    ------
    DensityError
        When the cumulative distribution function is not known.

    >>> from aeframe.distributions import Normal
    >>> half = Truncated(Normal(0.0, 1.0), low=0.0)
    >>> half.support, round(float(half.log_density(0.0).eval()), 4)
    (Positive(), -0.2258)
    """

    distribution: Distribution
    low: Any = None
    high: Any = None
    kind: ClassVar[type[BoundedOp]] = TruncatedOp

    @property
    def support(self) -> Support:  # type: ignore[override]
        """What of the distribution's lies between the ends."""
        inner = self.distribution.support
        low, high = self._ends()
        if not is_known(*(e for e in (low, high) if e is not None)):
            return Integers() if inner.discrete else Bounded()
        if isinstance(inner, Integers):
            ends = inner.low if low is None else int(np.ceil(low)), inner.high
            return Integers(ends[0], ends[1] if high is None else int(np.floor(high)))
        start = _start(inner) if low is None else float(low)
        stop = inner.high if isinstance(inner, Interval) else np.inf
        stop = stop if high is None else min(float(high), stop)
        plain: dict[tuple[float, float], Support] = {
            (-np.inf, np.inf): Real(),
            (0.0, np.inf): Positive(),
        }
        return plain.get((start, stop), Interval(start, stop))

    def support_arguments(self) -> tuple[Any, ...]:
        """The ends, where they are no numbers."""
        if self.support != Bounded():
            return ()
        low, high = self._ends()
        start = _start(self.distribution.support)
        return (
            start if low is None else as_parameter("Truncated", low),
            np.inf if high is None else as_parameter("Truncated", high),
        )


@dataclass(frozen=True, eq=False)
class Censored(_Bounds):
    """The distribution of min(max(x, low), high): a value at an end says x lies at or beyond it.

    p(x) between the ends; P(X ≤ low) and P(X ≥ high) at them.

    Parameters
    ----------
    distribution
        Of numbers, with a known cumulative distribution function.
    low, high
        Where the instrument saturates; ``None``: it does not.

    Raises
    ------
    DensityError
        When the cumulative distribution function is not known.

    >>> from aeframe.distributions import Normal
    >>> round(float(Censored(Normal(0.0, 1.0), high=0.0).log_density(0.0).eval()), 4)
    -0.6931
    """

    distribution: Distribution
    low: Any = None
    high: Any = None
    kind: ClassVar[type[BoundedOp]] = CensoredOp

    @property
    def support(self) -> Support:  # type: ignore[override]
        """All numbers: the ends themselves are values."""
        return Integers() if self.distribution.support.discrete else Real()
