"""A guide's site as three Applies, so that graphs of many sites stay small."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import aesara.tensor as at
from aesara.graph.basic import Variable

from aeframe.backends import implement
from aeframe.core import TypedOp
from aeframe.infer.variational.families import Family


class ParametersOp(TypedOp):
    """A family's parameters, of the prior's and of what is learned.

    Inputs are the prior's parameters, then the own number of each that is ``learned``, and if
    they are ``blended`` the logits of their weights λ.
    """

    __props__ = ("family", "learned", "blended")

    def __init__(self, family: Family, learned: tuple[int, ...], blended: bool) -> None:
        self.family, self.learned, self.blended = family, learned, blended

    def body(self, *inputs: Variable) -> Sequence[Variable]:
        """The family's blend; or the own numbers, on the scale of the parameters."""
        n, k = len(self.family.supports), len(self.learned)
        found, own, logits = list(inputs[:n]), inputs[n : n + k], iter(inputs[n + k :])
        if self.blended:
            weighted = [self.family.weighted[i] for i in self.learned]
            weights = [at.sigmoid(next(logits)) if w else None for w in weighted]
            made = self.family.blend([found[i] for i in self.learned], own, weights)
        else:
            made = [self._support(i).forward(o) for i, o in zip(self.learned, own, strict=True)]
        for i, value in zip(self.learned, made, strict=True):
            found[i] = value
        return found

    def _support(self, i: int) -> Any:
        return self.family.supports[i]


class FamilyDrawOp(TypedOp):
    """The draw of a family: noise, parameters → draw."""

    __props__ = ("family",)

    def __init__(self, family: Family) -> None:
        self.family = family

    def body(self, *inputs: Variable) -> Variable:
        """The family's."""
        return self.family.draw(*inputs)


class FamilyDensityOp(TypedOp):
    """The log density of a draw: draw, parameters → scalar."""

    __props__ = ("family",)

    def __init__(self, family: Family) -> None:
        self.family = family

    def body(self, *inputs: Variable) -> Variable:
        """The family's."""
        return self.family.log_density(*inputs)


def _traced(node: Any) -> Callable[..., Any]:
    """The body as a function of JAX values: XLA sees the same, Aesara a single Apply."""
    from aeframe.backends.jax.backend import evaluator

    inputs = [v.type() for v in node.inputs]
    inner = evaluator(inputs, node.op.inline(inputs))
    return lambda *values: tuple(inner(values))


for _op in (ParametersOp, FamilyDrawOp, FamilyDensityOp):
    implement("jax", _op)(_traced)
    implement("jax", _op, pullback=True)(_traced)
