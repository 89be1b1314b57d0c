"""Recurrent layers: one typed Op each, a scan over time inside, a pullback by hand.

Each cell is written once, for Aesara and for JAX alike: its functions take the namespace ``xp``,
:mod:`aesara.tensor` or :mod:`jax.numpy`. The product with the inputs is taken before the scan,
and the gradients of the weights after it, each in one product over all times.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import aesara
import aesara.tensor as at
from aesara.graph.basic import Variable

from aeframe.core.errors import DtypeError, ShapeError
from aeframe.core.graph import Merger, replay
from aeframe.core.ops import TypedOp, require_ndim, require_size
from aeframe.core.shapes import concrete, shape_text
from aeframe.core.trace import current_path

Values = Sequence[Any]


class RecurrentOp(TypedOp):
    """What the recurrent Ops share: x, w, v, b, the first states, and a mask if there is one.

    x (n, t, i), w (i, ``gates`` · u), v (u, ``gates`` · u), b (``biases`` · u,), ``states`` first
    states (n, u), mask (n, t) boolean. Where the mask is false the states are carried, and the
    output repeats them.

    The outputs are the sequence y (n, t, u), the last states (n, u), and what the pullback wants
    again: all states and the ``saved`` activations, (t, n, u) in the order of processing.

    Parameters
    ----------
    reverse
        Whether time runs from the end to the start; ``y`` stays aligned with ``x``.
    """

    __props__ = ("reverse",)
    gates = biases = states = 1
    saved = 0

    def __init__(self, reverse: bool = False) -> None:
        self.reverse = reverse

    def join(self, xp: Any, u: int, p: Any, q: Any) -> Any:
        """What the cell takes, (n, ``biases`` · u) without the bias, from x @ w and h @ v."""
        return p + q

    def parts(self, xp: Any, u: int, da: Any) -> tuple[Any, Any]:
        """The cotangents of x @ w and of h @ v, from that of what the cell takes."""
        return da, da

    def step(self, xp: Any, u: int, a: Any, old: Values) -> tuple[list[Any], list[Any]]:
        """The next states and what is saved, from the activations ``a`` and the states."""
        raise NotImplementedError

    def back(
        self, xp: Any, old: Values, new: Values, saved: Values, d: Values
    ) -> tuple[Any, list[Any]]:
        """The cotangents of ``a`` and, as far as they do not pass through it, of the states."""
        raise NotImplementedError

    def check(self, x: Variable, w: Variable, v: Variable, b: Variable, *rest: Variable) -> None:
        """All widths follow from the units of ``v``; a mask is boolean."""
        for name, value, ndim in (("x", x, 3), ("w", w, 2), ("v", v, 2), ("b", b, 1)):
            require_ndim(self, name, value, ndim)
        units = v.type.shape[0]
        if units is None:
            raise ShapeError(
                f"{self} must know its number of units",
                path=current_path(),
                expected=f"(units, {self.gates} · units)",
                got=shape_text(v.type.shape),
                fix="give `v` a static shape",
            )
        require_size(self, "x", x, 2, w.type.shape[0])
        require_size(self, "w", w, 1, self.gates * units)
        require_size(self, "v", v, 1, self.gates * units)
        require_size(self, "b", b, 0, self.biases * units)
        for name, state in zip("hc", rest[: self.states], strict=False):
            require_ndim(self, name, state, 2)
            require_size(self, name, state, 0, x.type.shape[0])
            require_size(self, name, state, 1, units)
        for mask in rest[self.states :]:
            require_mask(self, mask, *x.type.shape[:2])

    def body(
        self, x: Variable, w: Variable, v: Variable, b: Variable, *rest: Variable
    ) -> list[Variable]:
        """One product for all times, then a scan over the cell."""
        first, masks = rest[: self.states], [self.ordered(m) for m in rest[self.states :]]
        u = v.type.shape[0]
        p = _product(self.ordered(x), w)

        def cell(p: Variable, *others: Variable) -> list[Variable]:
            old, (v, b) = others[len(masks) : -2], others[-2:]
            new, saved = self.step(at, u, self.join(at, u, p, at.dot(old[0], v)) + b, old)
            for m in others[: len(masks)]:
                new = [at.where(m[:, None], s, o) for s, o in zip(new, old, strict=True)]
            return [*new, *saved]

        made = _scan(cell, [p, *masks], [*first, *[None] * self.saved], [v, b], _steps(x))
        history = made[: self.states]
        return [self.ordered(history[0], back=True), *(s[-1] for s in history), *made]

    def ordered(self, value: Any, back: bool = False) -> Any:
        """(n, t, ...) as users see it → (t, n, ...) in the order of processing, or ``back``."""
        if self.reverse and back:
            value = value[::-1]
        value = value.swapaxes(0, 1)
        return value[::-1] if self.reverse and not back else value

    def pullback(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        cotangents: Sequence[Variable | None],
    ) -> list[Variable | None]:
        """A scan from the last step to the first, then one product for each weight.

        What is saved has gradients only in second derivatives; the body is differentiated then.
        """
        if any(g is not None for g in cotangents[1 + self.states :]):
            return list(super().pullback(inputs, outputs, cotangents))
        x, w, v, _, *rest = inputs
        k, u, masks = self.states, v.type.shape[0], [self.ordered(m) for m in rest[self.states :]]
        history, saved = outputs[1 + k : 1 + 2 * k], outputs[1 + 2 * k :]
        dy, *last = cotangents[: 1 + k]
        before = [at.concatenate([s[None], h[:-1]]) for s, h in zip(rest, history, strict=False)]
        dys = [] if dy is None else [self.ordered(dy)]
        start = [at.zeros_like(s) if g is None else g for s, g in zip(rest, last, strict=False)]

        def cell(*arguments: Variable) -> list[Variable]:
            given = iter(arguments)
            dh = [next(given) for _ in dys]
            mask = [next(given)[:, None] for _ in masks]
            old, new, kept = ([next(given) for _ in part] for part in (before, history, saved))
            d, v = [next(given) for _ in start], next(given)
            d[0] = sum(dh, d[0])
            nothing = at.zeros_like(d[0])
            live = [at.where(m, s, nothing) for m in mask for s in d] or d
            da, direct = self.back(at, old, new, kept, live)
            direct[0] = direct[0] + at.dot(self.parts(at, u, da)[1], v.T)
            for m in mask:
                direct = [s + at.where(m, nothing, r) for s, r in zip(direct, d, strict=True)]
            return [*direct, da]

        sequences = [*dys, *masks, *before, *history, *saved]
        *dstates, da = _scan(cell, sequences, [*start, None], [v], _steps(x), go_backwards=True)
        da = da[::-1]
        dp, dq = self.parts(at, u, da)
        return [
            self.ordered(_product(dp, w.T), back=True),
            at.dot(_rows(self.ordered(x)).T, _rows(dp)),
            at.dot(_rows(before[0]).T, _rows(dq)),
            _rows(da).sum(axis=0),
            *(s[-1] for s in dstates),
            *(None for _ in masks),
        ]


class SimpleRNNOp(RecurrentOp):
    """h ← tanh(x w + h v + b) (Elman 1990)."""

    def step(self, xp: Any, u: int, a: Any, old: Values) -> tuple[list[Any], list[Any]]:
        """The next state."""
        return [xp.tanh(a)], []

    def back(
        self, xp: Any, old: Values, new: Values, saved: Values, d: Values
    ) -> tuple[Any, list[Any]]:
        """1 − h² times the cotangent."""
        return d[0] * (1 - new[0] * new[0]), [xp.zeros_like(d[0])]


class GRUOp(RecurrentOp):
    """h ← z h + (1 − z) tanh(x w_c + b_c + r (h v_c + b_h)), z and r sigmoids (Cho et al. 2014).

    Gates in Keras's order z, r, c, the reset gate after the product as in Keras and PyTorch; the
    bias has four parts, z, r, c and the one inside the reset gate.
    """

    gates, biases, saved = 3, 4, 4

    def join(self, xp: Any, u: int, p: Any, q: Any) -> Any:
        """Z and r add up; the two parts of the candidate stay apart."""
        return xp.concatenate([p[:, : 2 * u] + q[:, : 2 * u], p[:, 2 * u :], q[:, 2 * u :]], axis=1)

    def parts(self, xp: Any, u: int, da: Any) -> tuple[Any, Any]:
        """Without the last part, and without the one before."""
        return da[..., : 3 * u], xp.concatenate([da[..., : 2 * u], da[..., 3 * u :]], axis=-1)

    def step(self, xp: Any, u: int, a: Any, old: Values) -> tuple[list[Any], list[Any]]:
        """The next state; the gates, the candidate, and what the reset gate multiplies."""
        z, r, c, inner = _quarters(u, a)
        z, r = sigmoid(xp, z), sigmoid(xp, r)
        c = xp.tanh(c + r * inner)
        return [z * old[0] + (1 - z) * c], [z, r, c, inner]

    def back(
        self, xp: Any, old: Values, new: Values, saved: Values, d: Values
    ) -> tuple[Any, list[Any]]:
        """Cotangents of z, r, c and the inner part; z of it goes straight to the old state."""
        (z, r, c, inner), (dh,) = saved, d
        dc = dh * (1 - z) * (1 - c * c)
        dz, dr = dh * (old[0] - c) * z * (1 - z), dc * inner * r * (1 - r)
        return xp.concatenate([dz, dr, dc, dc * r], axis=1), [dh * z]


class LSTMOp(RecurrentOp):
    """c ← f c + i g, h ← o tanh c; i, f, o sigmoids, g tanh (Hochreiter and Schmidhuber 1997).

    Gates in the order i, f, g, o of Keras and PyTorch; states h and c.
    """

    gates = biases = saved = 4
    states = 2

    def step(self, xp: Any, u: int, a: Any, old: Values) -> tuple[list[Any], list[Any]]:
        """The next states; the four gates."""
        i, f, g, o = _quarters(u, a)
        i, f, g, o = sigmoid(xp, i), sigmoid(xp, f), xp.tanh(g), sigmoid(xp, o)
        c = f * old[1] + i * g
        return [o * xp.tanh(c), c], [i, f, g, o]

    def back(
        self, xp: Any, old: Values, new: Values, saved: Values, d: Values
    ) -> tuple[Any, list[Any]]:
        """Cotangents of i, f, g, o; f of it goes straight to the old c."""
        (i, f, g, o), tanh_c = saved, xp.tanh(new[1])
        do, dc = d[0] * tanh_c, d[1] + d[0] * o * (1 - tanh_c * tanh_c)
        di, df, dg = dc * g * i * (1 - i), dc * old[1] * f * (1 - f), dc * i * (1 - g * g)
        return xp.concatenate([di, df, dg, do * o * (1 - o)], axis=1), [xp.zeros_like(do), dc * f]


def require_mask(op: TypedOp, mask: Variable, n: int | None, t: int | None) -> None:
    """Raise unless ``mask`` is boolean (n, t)."""
    require_ndim(op, "mask", mask, 2)
    require_size(op, "mask", mask, 0, n)
    require_size(op, "mask", mask, 1, t)
    if mask.type.dtype != "bool":
        raise DtypeError(
            f"{op} got a wrong `mask`",
            path=current_path(),
            expected="bool, true where there is an entry",
            got=mask.type.dtype,
            fix="pass `mask.astype(bool)`, or compare: `ids != 0`",
        )


def sigmoid(xp: Any, x: Any) -> Any:
    """σ(x) = (1 + tanh(x / 2)) / 2, which cannot overflow."""
    return 0.5 * xp.tanh(0.5 * x) + 0.5


def _quarters(u: int, a: Any) -> list[Any]:
    return [a[:, k * u : (k + 1) * u] for k in range(4)]


def _rows(x: Variable) -> Variable:
    """(t, n, k) as (t · n, k)."""
    return x.reshape((x.shape[0] * x.shape[1], x.shape[2]))


def _product(x: Variable, w: Variable) -> Variable:
    """(t, n, k) @ (k, m) as one product of matrices."""
    return at.dot(_rows(x), w).reshape((x.shape[0], x.shape[1], w.shape[1]))


def _steps(x: Variable) -> int | Variable:
    """The length of a sequence: a number where it is known, which keeps the scan's graph small."""
    static = x.type.shape[1]
    return x.shape[1] if static is None else static


def _scan(
    cell: Callable[..., Any],
    sequences: Values,
    first: Values,
    constants: Values,
    steps: int | Variable,
    go_backwards: bool = False,
) -> list[Variable]:
    def narrowed(*arguments: Variable) -> list[Variable]:
        # Scan takes the static shapes of its outputs from the inner graph, and Aesara loses them
        return replay(cell(*arguments), {}, Merger(concrete))

    made, _ = aesara.scan(
        narrowed,
        sequences=list(sequences),
        outputs_info=list(first),
        non_sequences=list(constants),
        n_steps=steps,
        go_backwards=go_backwards,
        strict=True,
        return_list=True,
    )
    return made
