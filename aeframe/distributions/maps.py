"""Invertible maps from number to number, as patterns with the way back.

For y = f(x) the density is p_y(v) = Σ p_x(u) |du/dv|, over the u with f(u) = v.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Variable
from aesara.tensor.basic import _convert_to_float64
from aesara.tensor.random.type import RandomType

from aeframe.core.graph import leaves
from aeframe.core.shapes import evaluate
from aeframe.rewrites.pattern import SIZES, Bindings, Call, Pattern, term


@dataclass(frozen=True)
class Branch:
    """One way back from v: where there is one, the u, and log |du/dv|."""

    exists: Variable
    u: Variable
    log_slope: Variable


Back = Callable[..., Sequence[Branch]]


def is_random(variable: Variable) -> bool:
    """Whether ``variable`` depends on a random state."""
    return any(isinstance(v.type, RandomType) for v in leaves([variable]))


@dataclass(frozen=True)
class Random(Pattern):
    """Any tensor that is random; its shape is named ``s``."""

    name: str

    def match(self, variable: Variable, bound: Bindings) -> Bindings | None:
        """Bound by its name; the second time it is the same variable."""
        if self.name in bound:
            return bound if bound[self.name] is variable else None
        if not is_random(variable):
            return None
        sizes = {**bound.get(SIZES, {}), "s": tuple(variable.type.shape)}
        return {**bound, self.name: variable, SIZES: sizes}


@dataclass(frozen=True)
class Fixed(Pattern):
    """Any tensor that is not random."""

    name: str

    def match(self, variable: Variable, bound: Bindings) -> Bindings | None:
        """Bound by its name."""
        return None if is_random(variable) else {**bound, self.name: variable}


x, c = Random("x"), Fixed("c")


def always(v: Variable) -> Variable:
    """A condition that holds for each entry."""
    return at.ones_like(v, dtype="bool")


def where(exists: Variable, v: Variable, otherwise: float) -> Variable:
    """``v`` where there is a way back, a harmless number elsewhere."""
    return at.switch(exists, v, otherwise)


def one(v: Variable, u: Variable, log_slope: Any = 0.0) -> list[Branch]:
    """A single way back from everywhere."""
    return [Branch(always(v), u, at.as_tensor(log_slope) + at.zeros_like(v, dtype="float64"))]


def of_exp(v: Variable, c: None) -> list[Branch]:
    """U = log v."""
    u = at.log(where(v > 0, v, 1.0))
    return [Branch(v > 0, u, -u)]


def of_expm1(v: Variable, c: None) -> list[Branch]:
    """U = log(1 + v)."""
    u = at.log1p(where(v > -1, v, 0.0))
    return [Branch(v > -1, u, -u)]


def of_sigmoid(v: Variable, c: None) -> list[Branch]:
    """U = logit v."""
    exists = (v > 0) & (v < 1)
    p = where(exists, v, 0.5)
    return [Branch(exists, at.log(p) - at.log1p(-p), -at.log(p) - at.log1p(-p))]


def of_softplus(v: Variable, c: None) -> list[Branch]:
    """U = log(exp(v) − 1) = v + log(1 − exp(−v))."""
    p = where(v > 0, v, 1.0)
    return [Branch(v > 0, p + at.log1mexp(-p), -at.log1mexp(-p))]


def of_tanh(v: Variable, c: None) -> list[Branch]:
    """U = artanh v."""
    p = where(abs(v) < 1, v, 0.0)
    return [Branch(abs(v) < 1, at.arctanh(p), -at.log1p(-(p**2)))]


def of_sqrt(v: Variable, c: None) -> list[Branch]:
    """U = v²."""
    p = where(v > 0, v, 1.0)
    return [Branch(v > 0, p**2, at.log(2 * p))]


def of_abs(v: Variable, c: None) -> list[Branch]:
    """U = ±v."""
    flat = at.zeros_like(v, dtype="float64")
    return [Branch(v >= 0, v, flat), Branch(v > 0, -v, flat)]


def of_reciprocal(v: Variable, c: Variable | None) -> list[Branch]:
    """U = c / v, c = 1 if there is none."""
    p = where(at.neq(v, 0), v, 1.0)
    top = at.as_tensor(1.0) if c is None else c
    return [Branch(at.neq(v, 0), top / p, at.log(abs(top)) - 2 * at.log(abs(p)))]


def of_power(v: Variable, c: Variable) -> list[Branch]:
    """U = v^(1/c); an even c has ±u, an odd one keeps the sign, any other needs u > 0."""
    value = evaluate(c)
    whole = value is not None and bool(np.all(value == np.floor(value)))
    even = whole and bool(np.all(value % 2 == 0))
    odd = whole and bool(np.all(value % 2 == 1))
    exists = at.neq(v, 0) if odd else v > 0
    size = abs(where(exists, v, 1.0))
    u = size ** (1 / c)
    log_slope = (1 / c - 1) * at.log(size) - at.log(abs(c))
    first = Branch(exists, at.sgn(v) * u if odd else u, log_slope)
    return [first, Branch(exists, -u, log_slope)] if even else [first]


def of_square(v: Variable, c: None) -> list[Branch]:
    """U = ±√v."""
    return of_power(v, at.as_tensor(2.0))


def of_exponential(v: Variable, c: Variable) -> list[Branch]:
    """Y = cˣ: u = log v / log c."""
    log_v = at.log(where(v > 0, v, 1.0))
    return [Branch(v > 0, log_v / at.log(c), -log_v - at.log(abs(at.log(c))))]


def of_logit(v: Variable, c: None) -> list[Branch]:
    """U = sigmoid v."""
    return one(v, at.sigmoid(v), -at.softplus(v) - at.softplus(-v))


def log_cosh(v: Variable) -> Variable:
    """Without overflow."""
    return abs(v) + at.softplus(-2 * abs(v)) - np.log(2.0)


LOG, SUB, DIV = term(at.log), term(at.sub), term(at.true_divide)
LOG_1MX = (LOG(SUB(1.0, x)), term(at.log1p)(term(at.neg)(x)))

# what comes first is tried first: whole patterns before their parts
MAPS: list[tuple[str, Call, Back]] = [
    ("a logit", LOG(DIV(x, SUB(1.0, x))), of_logit),
    ("a difference of logs", SUB(LOG(x), LOG_1MX[0]), of_logit),
    ("a difference of log and log1p", SUB(LOG(x), LOG_1MX[1]), of_logit),
    ("exp", term(at.exp)(x), of_exp),
    ("expm1", term(at.expm1)(x), of_expm1),
    ("log", LOG(x), lambda v, c: one(v, at.exp(v), v)),
    ("log1p", term(at.log1p)(x), lambda v, c: one(v, at.expm1(v), v)),
    ("sigmoid", term(at.sigmoid)(x), of_sigmoid),
    ("softplus", term(at.softplus)(x), of_softplus),
    ("tanh", term(at.tanh)(x), of_tanh),
    ("arctanh", term(at.arctanh)(x), lambda v, c: one(v, at.tanh(v), -2 * log_cosh(v))),
    ("sinh", term(at.sinh)(x), lambda v, c: one(v, at.arcsinh(v), -at.log1p(v**2) / 2)),
    ("arcsinh", term(at.arcsinh)(x), lambda v, c: one(v, at.sinh(v), log_cosh(v))),
    ("sqrt", term(at.sqrt)(x), of_sqrt),
    ("a square", term(at.square)(x), of_square),
    ("a product with itself", term(at.mul)(x, x), of_square),
    ("a size", term(at.abs)(x), of_abs),
    ("a power", term(at.pow)(x, c), of_power),
    ("an exponential", term(at.pow)(c, x), of_exponential),
    ("a negative", term(at.neg)(x), lambda v, c: one(v, -v)),
    ("a reciprocal", term(at.reciprocal)(x), of_reciprocal),
    ("a constant over", DIV(c, x), of_reciprocal),
    ("a sum", term(at.add)(x, c), lambda v, c: one(v, v - c)),
    ("a sum, reversed", term(at.add)(c, x), lambda v, c: one(v, v - c)),
    ("a difference", SUB(x, c), lambda v, c: one(v, v + c)),
    ("a difference, reversed", SUB(c, x), lambda v, c: one(v, c - v)),
    ("a product", term(at.mul)(x, c), lambda v, c: one(v, v / c, -at.log(abs(c)))),
    ("a product, reversed", term(at.mul)(c, x), lambda v, c: one(v, v / c, -at.log(abs(c)))),
    ("a quotient", DIV(x, c), lambda v, c: one(v, v * c, at.log(abs(c)))),
    ("a conversion", term(_convert_to_float64)(x), lambda v, c: one(v, v)),
]
