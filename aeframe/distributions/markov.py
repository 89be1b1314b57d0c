"""Hidden Markov models, their states summed out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import aesara.tensor as at
from aesara.graph.basic import Variable

from aeframe.core.errors import DataError, ShapeError
from aeframe.core.ops import require_ndim
from aeframe.core.shapes import shape_text
from aeframe.core.supports import Support
from aeframe.distributions.base import (
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
)
from aeframe.distributions.density import log_probability, log_sum_exp
from aeframe.distributions.discrete import CATEGORICAL, require_simplex
from aeframe.distributions.draws import (
    Drawn,
    Family,
    Shape,
    Size,
    batch_shape,
    broadcast_shape,
    parameter_ndims,
    standard,
)
from aeframe.distributions.sequence import require_steps


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
        there are is emitted at each step, independently given the state. Arguments broadcast as in
        NumPy, from the right: of two channels, a sd of each state is ``sd[:, None]``, (K, 1), and a
        sd of each channel ``sd[None, :]``.
    steps
        The length T of the sequence.

    Raises
    ------
    DataError
        When the probabilities are none, or there is not one emission for each state.
    ShapeError
        When an argument has fewer axes than another, and K entries: of the states, or channels?

    >>> from aeframe.distributions import Normal
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
        count = together[0] if together and together[0] != 1 else None
        _require_first_axis(parts[0], len(together), count)
        return count, together[1:]

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


def _require_first_axis(emission: Distribution, ndim: int, states: int | None) -> None:
    """Raise unless each argument of ``ndim`` axes or fewer says which axis the states have."""
    given = emission.given()
    for v, own in zip(given, parameter_ndims(emission.op, len(given)), strict=True):
        shape = v.type.shape[: v.type.ndim - own]
        if 0 < len(shape) < ndim and (shape[0] in (None, states) or states is None):
            axes = ", ".join(["None"] * (ndim - len(shape)))
            raise ShapeError(
                "an argument of the emissions of HiddenMarkov has one entry for each state, or "
                "for each channel: its shape does not tell",
                path=type(emission).__name__,
                expected=f"{ndim} axes, the first of the states, as another argument has",
                got=shape_text(shape),
                fix=f"write sd[:, {axes}] for one of each state, sd[{axes}, :] for one of each "
                "channel",
            )
