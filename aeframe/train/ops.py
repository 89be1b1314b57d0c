"""The typed Ops of optimizers: one update of one parameter each."""

from __future__ import annotations

import aesara.tensor as at
from aesara.graph.basic import Variable

from aeframe.core.ops import TypedOp


class SGDOp(TypedOp):
    """Descent: p, g, learning rate → p' = p − rate · g; with a velocity → p', velocity'.

    velocity' = momentum · velocity − rate · g, p' = p + velocity'.
    """

    __props__ = ("momentum",)

    def __init__(self, momentum: float) -> None:
        self.momentum = momentum

    def body(
        self, p: Variable, g: Variable, rate: Variable, velocity: Variable | None = None
    ) -> list[Variable]:
        """The new values."""
        if velocity is None:
            return [p - rate * g]
        velocity = self.momentum * velocity - rate * g
        return [p + velocity, velocity]


class AdamOp(TypedOp):
    """Adam (Kingma and Ba 2015, algorithm 1): p, g, m, v, step, learning rate → p', m', v'.

    ``step`` counts from 1. The bias corrections are taken into the step size, as in the paper's
    section 2: p' = p − rate √(1 − β₂ᵗ)/(1 − β₁ᵗ) · m' / (√v' + ε √(1 − β₂ᵗ)).
    """

    __props__ = ("beta_1", "beta_2", "epsilon")

    def __init__(self, beta_1: float, beta_2: float, epsilon: float) -> None:
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def body(
        self,
        p: Variable,
        g: Variable,
        m: Variable,
        v: Variable,
        step: Variable,
        rate: Variable,
    ) -> list[Variable]:
        """The three new values."""
        t = step.astype(p.type.dtype)
        m = self.beta_1 * m + (1 - self.beta_1) * g
        v = self.beta_2 * v + (1 - self.beta_2) * g * g
        root = at.sqrt(1 - at.pow(self.beta_2, t))
        size = rate * root / (1 - at.pow(self.beta_1, t))
        return [p - size * m / (at.sqrt(v) + self.epsilon * root), m, v]
