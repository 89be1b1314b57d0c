"""Distributions of sequences: random walks, autoregression, hidden Markov models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Variable
from aesara.tensor.slinalg import solve_triangular

from aeframe.core.errors import ArgumentError, DataError
from aeframe.core.ops import require_ndim
from aeframe.core.shapes import shape_text
from aeframe.core.supports import Real, Support
from aeframe.distributions.base import (
    ABOVE_0,
    FINITE,
    PROBABILITY,
    Distribution,
    Domain,
    as_parameter,
)
from aeframe.distributions.combine import (
    Combined,
    ComponentsOp,
    IndependentOp,
    common_support,
    components_of,
    member_draw,
)
from aeframe.distributions.continuous import NORMAL, Normal
from aeframe.distributions.density import LOG_2PI, leaf_density, log_probability, log_sum_exp
from aeframe.distributions.discrete import CATEGORICAL, require_simplex
from aeframe.distributions.draws import (
    Drawn,
    DrawOp,
    Family,
    Shape,
    Size,
    batch_shape,
    broadcast_shape,
    parameter_ndims,
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


class HiddenMarkovOp(ComponentsOp):
    """``(rng, initial (K,), transition (K, K), *parameters of emissions)`` → (..., steps, ...).

    The states are summed out by the forward algorithm, as products of T matrices in log space in
    ⌈log₂ T⌉ rounds: no loop, at K times the arithmetic of one.
    """

    __props__ = ("families", "counts", "steps", "shape")
    own_ndims = (1, 2)

    def __init__(
        self,
        families: Sequence[Family],
        counts: Sequence[int],
        steps: int,
        shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(families, counts, shape)
        self.steps = steps
        self.ndim_event = self.ndim_supp
        self.ndim_supp = self.ndim_event + 1

    def check(self, *inputs: Variable) -> None:
        """One set of parameters for all sequences."""
        ndims = parameter_ndims(self, len(inputs) - 1)
        for v, n in zip(inputs[1:], ndims, strict=True):
            if v.type.ndim > n:
                require_ndim(self, "parameter", v, n)

    def sample(self, rng: Variable, shape: Sequence[Size], *parameters: Variable) -> Drawn:
        """States, then an emission of each."""
        batch = list(shape)[: len(shape) - self.ndim_event]
        rng, states = self.states(rng, batch, parameters[:2])
        return self.picks(rng, shape, states, parameters[0].type.shape[0], parameters[2:])

    def states(self, rng: Variable, shape: Sequence[Size], chain: Sequence[Variable]) -> Drawn:
        """The hidden states: for each step a random map from state to state, composed.

        f_t ∘ ... ∘ f₁ for all t by doubling (Hillis and Steele 1986), so that there is no loop.
        """
        initial, transition = chain
        *batch, n = shape
        k = transition.shape[0]
        rng, first = standard(CATEGORICAL, rng, batch, initial)
        rng, moves = standard(CATEGORICAL, rng, [*batch, n - 1, k], transition)
        step = 1
        while step < self.steps - 1:
            # apply the map of step t − step first, then that of t
            composed = _apply(moves[..., step:, :], moves[..., :-step, :])
            moves = at.concatenate([moves[..., :step, :], composed], axis=len(shape) - 1)
            step *= 2
        start = at.shape_padright(first, 2)
        rest = _apply(moves, at.broadcast_to(start, (*batch, n - 1, 1)))[..., 0]
        return rng, at.concatenate([at.shape_padright(first), rest], axis=len(shape) - 1)

    def log_density(self, value: Variable, *parameters: Variable) -> Variable:
        """The log of Σ_states p(states) Π p(xₜ | stateₜ)."""
        initial, transition, *inner = parameters
        scores = self.scores(value, inner)  # (..., T, K)
        first = log_probability(initial) + scores[..., 0, :]
        steps = log_probability(transition) + at.expand_dims(
            scores[..., 1:, :], scores.type.ndim - 1
        )
        n = self.steps - 1
        while n > 1:
            half = n // 2
            even, odd = (steps[..., i : 2 * half : 2, :, :] for i in (0, 1))
            pairs = _log_product(even, odd)
            if n % 2:
                last = steps[..., n - 1 :, :, :]
                pairs = at.concatenate([pairs, last], axis=scores.type.ndim - 2)
            steps, n = pairs, half + n % 2
        paths = at.shape_padright(first) + steps[..., 0, :, :]
        return log_sum_exp(log_sum_exp(paths))


def _apply(maps: Variable, states: Variable) -> Variable:
    """``maps[..., states]``: where each map sends each state."""
    k = maps.shape[maps.type.ndim - 1]
    one = at.eq(at.shape_padright(states), at.arange(k))
    return at.switch(one, at.expand_dims(maps, maps.type.ndim - 1), 0).sum(axis=-1)


def _log_product(a: Variable, b: Variable) -> Variable:
    """log(exp(a) exp(b)) of matrices (..., K, K)."""
    axis = a.type.ndim - 1
    left = at.expand_dims(a, axis)  # (..., i, 1, j)
    right = at.expand_dims(at.swapaxes(b, axis - 1, axis), axis - 1)  # (..., 1, k, j)
    return log_sum_exp(left + right)


@dataclass(frozen=True, eq=False)
class HiddenMarkov(Combined):
    """A sequence whose distribution at each step depends on a hidden state; states are summed out.

    p(x) = Σ_s initial[s₁] p(x₁ | s₁) Πₜ transition[sₜ₋₁, sₜ] p(xₜ | sₜ).

    Parameters
    ----------
    initial, transition
        (K,) and (K, K): probabilities of the first state, and of the next one by row.
    emissions
        K distributions, or one whose arguments have a first axis of K entries. What further axes
        there are is emitted at each step, independently given the state.
    steps
        The length T of the sequence.

    Raises
    ------
    DataError
        When the probabilities are none, or there is not one emission for each state.

    >>> two = [[0.9, 0.1], [0.1, 0.9]]
    >>> hmm = HiddenMarkov([0.5, 0.5], two, Normal([0.0, 0.0], 1.0), steps=3)
    >>> round(float(hmm.log_density([0.0, 0.0, 0.0]).eval()), 4)
    -2.7568
    >>> means = [[0.0, 0.0], [1.0, 5.0]]  # of two numbers in each state
    >>> HiddenMarkov([0.5, 0.5], two, Normal(means, 1.0), steps=3).event_shape()
    (3, 2)
    """

    initial: Any
    transition: Any
    emissions: Any
    steps: int
    domains: ClassVar[Mapping[str, Domain]] = {
        "initial": PROBABILITY,
        "transition": PROBABILITY,
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        require_simplex("HiddenMarkov", self.initial)
        require_simplex("HiddenMarkov", self.transition)
        require_steps("HiddenMarkov", self.steps)
        states, _ = self._axes()
        first, rows = (v.type.shape for v in self.given()[:2])
        if len({states, *first, *rows} - {None}) > 1:
            raise DataError(
                "HiddenMarkov needs an emission, and a row of the transition, for each state",
                expected="initial (K,), transition (K, K), emissions with a first axis of K",
                got=f"{shape_text(first)}, {shape_text(rows)} and {states} emissions",
            )

    def _parts(self) -> list[Distribution]:
        return components_of("HiddenMarkov", self.emissions)[0]

    def _axes(self) -> tuple[int | None, Shape]:
        """The number of states of the emissions, and the shape of what each step has of them."""
        parts = self._parts()
        batches = [batch_shape(type(c).__name__, c.op, c.given()) for c in parts]
        together = broadcast_shape("the emissions of HiddenMarkov", batches)
        if len(parts) > 1:
            return len(parts), together
        return (together[0] if together and together[0] != 1 else None), together[1:]

    @property
    def op(self) -> Family:  # type: ignore[override]
        """With these emissions, of this many steps."""
        _, families, counts = components_of("HiddenMarkov", self.emissions)
        axes = len(self._axes()[1])
        if axes:
            pairs = zip(families, counts, strict=True)
            families = tuple(IndependentOp(f, n, axes) for f, n in pairs)
        return HiddenMarkovOp(families, counts, self.steps)

    @property
    def support(self) -> Support:  # type: ignore[override]
        """That of the emissions."""
        return common_support(self._parts())

    def given(self) -> list[Variable]:
        """Initial and transition probabilities, and the parameters of the emissions."""
        own = [as_parameter("HiddenMarkov", v) for v in (self.initial, self.transition)]
        return [*own, *(v for c in self._parts() for v in c.given())]

    def event_shape(self) -> Shape:
        """(T, ...)."""
        return (self.steps, *self._axes()[1], *self._parts()[0].event_shape())
