"""The typed Ops of optimizers: one update of one parameter each.

p is the parameter, g its gradient; ``step`` counts from 1. A prime marks the new value.
"""

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


class NesterovOp(TypedOp):
    """Descent with Nesterov's momentum (Sutskever et al. 2013): p, g, rate, velocity → p', vel.'.

    velocity' = momentum · velocity − rate · g, p' = p + momentum · velocity' − rate · g.
    """

    __props__ = ("momentum",)

    def __init__(self, momentum: float) -> None:
        self.momentum = momentum

    def body(self, p: Variable, g: Variable, rate: Variable, velocity: Variable) -> list[Variable]:
        """The two new values."""
        velocity = self.momentum * velocity - rate * g
        return [p + self.momentum * velocity - rate * g, velocity]


class AdamOp(TypedOp):
    """Adam (Kingma and Ba 2015, algorithm 1): p, g, m, v, step, learning rate → p', m', v'.

    The bias corrections are taken into the step size, as in the paper's section 2:
    p' = p − rate √(1 − β₂ᵗ)/(1 − β₁ᵗ) · m' / (√v' + ε √(1 − β₂ᵗ)).
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


class AdamWOp(TypedOp):
    """Adam with decoupled decay (Loshchilov and Hutter 2019, algorithm 2): p, g, m, v, step, rate.

    The result of :class:`AdamOp` less rate · decay · p.
    """

    __props__ = ("beta_1", "beta_2", "epsilon", "decay")

    def __init__(self, beta_1: float, beta_2: float, epsilon: float, decay: float) -> None:
        self.beta_1, self.beta_2, self.epsilon, self.decay = beta_1, beta_2, epsilon, decay

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
        adam = AdamOp(self.beta_1, self.beta_2, self.epsilon)
        moved, m, v = adam.make_node(p, g, m, v, step, rate).outputs
        return [moved - rate * self.decay * p, m, v]


class RMSpropOp(TypedOp):
    """RMSprop (Tieleman and Hinton 2012): p, g, rate, v[, mean][, velocity] → their new values.

    v' = ρ v + (1 − ρ) g²; centred, mean' = ρ mean + (1 − ρ) g is taken off:
    d = rate · g / √(v' − mean'² + ε). With momentum velocity' = momentum · velocity + d and
    p' = p − velocity', else p' = p − d.
    """

    __props__ = ("rho", "momentum", "epsilon", "centered")

    def __init__(self, rho: float, momentum: float, epsilon: float, centered: bool) -> None:
        self.rho, self.momentum, self.epsilon, self.centered = rho, momentum, epsilon, centered

    def body(
        self, p: Variable, g: Variable, rate: Variable, v: Variable, *more: Variable
    ) -> list[Variable]:
        """The new values."""
        v = self.rho * v + (1 - self.rho) * g * g
        spread, new = v, [v]
        if self.centered:
            mean = self.rho * more[0] + (1 - self.rho) * g
            spread, new = v - mean * mean, [v, mean]
        move = rate * g / at.sqrt(spread + self.epsilon)
        if self.momentum:
            move = self.momentum * more[-1] + move
            new.append(move)
        return [p - move, *new]


class LionOp(TypedOp):
    """Lion (Chen et al. 2023, algorithm 2): p, g, m, learning rate → p', m'.

    p' = p − rate (sign(β₁ m + (1 − β₁) g) + decay · p), m' = β₂ m + (1 − β₂) g.
    """

    __props__ = ("beta_1", "beta_2", "decay")

    def __init__(self, beta_1: float, beta_2: float, decay: float) -> None:
        self.beta_1, self.beta_2, self.decay = beta_1, beta_2, decay

    def body(self, p: Variable, g: Variable, m: Variable, rate: Variable) -> list[Variable]:
        """The two new values."""
        direction = at.sgn(self.beta_1 * m + (1 - self.beta_1) * g)
        if self.decay:
            direction = direction + self.decay * p
        return [p - rate * direction, self.beta_2 * m + (1 - self.beta_2) * g]


class AdafactorOp(TypedOp):
    """Adafactor (Shazeer and Stern 2018, algorithms 4 and 5): p, g, step, rate, then v or (r, c).

    β = 1 − step^−decay weighs the past. The second moment is V = β v + (1 − β)(g² + ε₁), or of its
    rows r and columns c alone, V = r cᵀ / mean(r). The update u = g / √V is divided by
    max(1, RMS(u) / threshold); p' = p − rate · max(ε₂, RMS(p)) · u, without the maximum unless
    ``relative``.
    """

    __props__ = ("decay", "epsilon_1", "epsilon_2", "threshold", "relative")

    def __init__(
        self, decay: float, epsilon_1: float, epsilon_2: float, threshold: float, relative: bool
    ) -> None:
        self.decay, self.epsilon_1, self.epsilon_2 = decay, epsilon_1, epsilon_2
        self.threshold, self.relative = threshold, relative

    def body(
        self, p: Variable, g: Variable, step: Variable, rate: Variable, *moments: Variable
    ) -> list[Variable]:
        """The new parameter, then the new moments."""
        beta = 1.0 - at.pow(step.astype(p.type.dtype), -self.decay)
        square = g * g + self.epsilon_1
        parts = [square] if len(moments) == 1 else [_mean(square, -1), _mean(square, -2)]
        new = [beta * old + (1.0 - beta) * s for old, s in zip(moments, parts, strict=True)]
        if len(new) == 1:
            update = g / at.sqrt(new[0])
        else:
            rows, columns = new
            share = rows / _mean(rows, -1, keepdims=True)
            update = g / at.sqrt(at.shape_padright(share)) / at.sqrt(at.expand_dims(columns, -2))
        update = update / at.maximum(_rms(update) / self.threshold, 1.0)
        if self.relative:
            rate = rate * at.maximum(_rms(p), self.epsilon_2)
        return [p - rate * update, *new]


class ClipNormOp(TypedOp):
    """g₁, ..., gₙ → each times min(1, limit / norm), with the norm of all of them together."""

    __props__ = ("limit",)

    def __init__(self, limit: float) -> None:
        self.limit = limit

    def body(self, *gradients: Variable) -> list[Variable]:
        """Pascanu et al. 2013, algorithm 1."""
        dtype = max((g.type.dtype for g in gradients), key=lambda d: int(d[5:]))
        squares = [(g * g).sum().astype(dtype) for g in gradients]
        total = at.add(*squares) if len(squares) > 1 else squares[0]
        limit = at.as_tensor(self.limit, dtype=dtype)
        factor = limit / at.maximum(at.sqrt(total), limit)
        return [g * factor.astype(g.type.dtype) for g in gradients]


class ClipValueOp(TypedOp):
    """Every entry of g between −limit and limit."""

    __props__ = ("limit",)

    def __init__(self, limit: float) -> None:
        self.limit = limit

    def body(self, g: Variable) -> Variable:
        """max(−limit, min(g, limit))."""
        return at.maximum(at.minimum(g, self.limit), -self.limit)


def _mean(x: Variable, axis: int, keepdims: bool = False) -> Variable:
    """The mean along one axis in the dtype of ``x``."""
    return x.sum(axis=axis, keepdims=keepdims) / x.shape[axis].astype(x.type.dtype)


def _rms(x: Variable) -> Variable:
    """√ mean(x²)."""
    size = x.size if x.type.ndim else at.as_tensor(1)
    return at.sqrt((x * x).sum() / size.astype(x.type.dtype))
