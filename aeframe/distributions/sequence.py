"""Distributions of sequences: random walks, autoregression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Variable
from aesara.tensor.slinalg import solve_triangular

from aeframe.core.errors import ArgumentError
from aeframe.core.supports import Real, Support
from aeframe.distributions.base import (
    ABOVE_0,
    FINITE,
    Distribution,
    Domain,
    as_parameter,
)
from aeframe.distributions.combine import (
    Combined,
    components_of,
    member_draw,
)
from aeframe.distributions.continuous import NORMAL, Normal
from aeframe.distributions.density import LOG_2PI, leaf_density
from aeframe.distributions.draws import (
    Drawn,
    DrawOp,
    Family,
    Shape,
    Size,
    standard,
)


class _StartedOp(DrawOp):
    """Base of ``(rng, *own parameters, *parameters of the first values)`` → (..., steps)."""

    __props__ = ("start", "steps", "shape")
    ndim_supp = 1

    def __init__(self, start: Family, steps: int, shape: Sequence[int] | None = None) -> None:
        super().__init__(shape)
        self.start, self.steps = start, steps

    def first(
        self, rng: Variable, shape: Sequence[Size], n: int, parameters: Sequence[Variable]
    ) -> Drawn:
        """The first ``n`` values of each sequence."""
        inner = [at.shape_padright(p) for p in parameters]
        return member_draw(self.start, rng, [*shape[:-1], n], inner)

    def first_density(self, value: Variable, parameters: Sequence[Variable]) -> Variable:
        """The log density of the first values together."""
        inner = [at.shape_padright(p) for p in parameters]
        return leaf_density(self.start, value, *inner).sum(axis=-1)


def normal_density(value: Variable, sd: Variable) -> Variable:
    """That of a normal of mean 0."""
    return -((value / sd) ** 2) / 2 - at.log(sd) - LOG_2PI / 2


class RandomWalkOp(_StartedOp):
    """``(rng, sd, *parameters of the start)``: sums of normal steps."""

    def sample(self, rng: Variable, shape: Sequence[Size], *parameters: Variable) -> Drawn:
        """The start, and the sums of steps from it."""
        sd, *inner = parameters
        rng, first = self.first(rng, shape, 1, inner)
        rng, z = standard(NORMAL, rng, [*shape[:-1], self.steps - 1], 0.0, 1.0)
        steps = at.concatenate([first, at.shape_padright(sd) * z], axis=len(shape) - 1)
        return rng, at.cumsum(steps, axis=len(shape) - 1)

    def log_density(self, value: Variable, *parameters: Variable) -> Variable:
        """Log p(x₁) + Σ log N(xₜ − xₜ₋₁; 0, sd)."""
        sd, *inner = parameters
        steps = value[..., 1:] - value[..., :-1]
        walk = normal_density(steps, at.shape_padright(sd)).sum(axis=-1)
        return self.first_density(value[..., :1], inner) + walk


class AROp(_StartedOp):
    """``(rng, coefficients (p,), constant, sd, *parameters of the start)``: autoregression."""

    ndims_params = (1,)

    def sample(self, rng: Variable, shape: Sequence[Size], *parameters: Variable) -> Drawn:
        """The solution x of the banded system xₜ − Σ aᵢ xₜ₋ᵢ = c + sd zₜ."""
        coefficients, constant, sd, *inner = parameters
        p, axis = _order(coefficients), len(shape) - 1
        rng, first = self.first(rng, shape, p, inner)
        rng, z = standard(NORMAL, rng, [*shape[:-1], self.steps - p], 0.0, 1.0)
        moved = at.shape_padright(constant) + at.shape_padright(sd) * z
        right = at.concatenate([first, moved], axis=axis)
        later = (np.arange(self.steps) >= p).astype("float64")[:, None]
        system = at.eye(self.steps) - sum(
            later * np.eye(self.steps, k=-i) * coefficients[i - 1] for i in range(1, p + 1)
        )
        flat = solve_triangular(system, right.reshape((-1, self.steps)).T, lower=True).T
        return rng, flat.reshape(right.shape, ndim=axis + 1)

    def log_density(self, value: Variable, *parameters: Variable) -> Variable:
        """The start, and Σ log N(xₜ − c − Σ aᵢ xₜ₋ᵢ; 0, sd)."""
        coefficients, constant, sd, *inner = parameters
        p, n = _order(coefficients), self.steps
        past = sum(coefficients[i - 1] * value[..., p - i : n - i] for i in range(1, p + 1))
        noise = value[..., p:] - at.shape_padright(constant) - past
        rest = normal_density(noise, at.shape_padright(sd)).sum(axis=-1)
        return self.first_density(value[..., :p], inner) + rest


def _order(coefficients: Variable) -> int:
    p = coefficients.type.shape[0]
    if p is None:
        raise ArgumentError("the number of coefficients of AR is not known")
    return p


class _Sequence(Combined):
    """A distribution of sequences of ``steps`` real numbers, with a distribution of the first."""

    init: Distribution
    steps: int
    support: ClassVar[Support] = Real()

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
        (first,), *_ = components_of(name, self.init)
        if first.support.discrete or first.op.ndim_supp:
            raise ArgumentError(f"{name} starts at a real number", got=repr(first))
        require_steps(name, self.steps)

    def event_shape(self) -> Shape:
        """(steps,)."""
        return (self.steps,)


def require_steps(name: str, steps: Any) -> None:
    """Raise :class:`ArgumentError` unless ``steps`` is a number of 2 or more."""
    if not isinstance(steps, int) or steps < 2:
        raise ArgumentError(f"{name} takes a number of steps, 2 or more", got=repr(steps))


@dataclass(frozen=True, eq=False)
class GaussianRandomWalk(_Sequence):
    """x₁ from ``init``, then xₜ = xₜ₋₁ + sd zₜ with standard normal z; ``steps`` values in all.

    >>> walk = GaussianRandomWalk(Normal(0.0, 1.0), sd=1.0, steps=2)
    >>> round(float(walk.log_density([0.0, 0.0]).eval()), 4)
    -1.8379
    """

    init: Distribution
    sd: Any
    steps: int
    domains: ClassVar[Mapping[str, Domain]] = {"sd": ABOVE_0}

    @property
    def op(self) -> Family:  # type: ignore[override]
        """Of this many steps, with this start."""
        return RandomWalkOp(self.init.op, self.steps)

    def given(self) -> list[Variable]:
        """sd, and the parameters of the start."""
        return [as_parameter("GaussianRandomWalk", self.sd), *self.init.given()]


@dataclass(frozen=True, eq=False)
class AR(_Sequence):
    """Autoregression: xₜ = constant + Σᵢ coefficients[i − 1] xₜ₋ᵢ + sd zₜ; ``steps`` values in all.

    The first p values, as many as there are coefficients, come from ``init`` independently.

    >>> ar = AR([0.5], sd=1.0, steps=2)
    >>> round(float(ar.log_density([0.0, 0.0]).eval()), 4)
    -1.8379
    """

    coefficients: Any
    sd: Any
    steps: int
    constant: Any = 0.0
    init: Distribution = Normal(0.0, 1.0)  # noqa: RUF009 (frozen)
    domains: ClassVar[Mapping[str, Domain]] = {
        "coefficients": FINITE,
        "sd": ABOVE_0,
        "constant": FINITE,
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if as_parameter("AR", self.coefficients).type.ndim != 1:
            raise ArgumentError("the coefficients of AR are a vector", got=self.coefficients)

    @property
    def op(self) -> Family:  # type: ignore[override]
        """Of this many steps, with this start."""
        return AROp(self.init.op, self.steps)

    def given(self) -> list[Variable]:
        """Coefficients, constant, sd, and the parameters of the start."""
        own = (self.coefficients, self.constant, self.sd)
        return [*(as_parameter("AR", v) for v in own), *self.init.given()]
