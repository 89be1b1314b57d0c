"""The typed Ops of circuits: nodes, semirings, and what an evaluation makes of a node.

Values are kept on the log scale, so every semiring multiplies by ``+``; a semiring *is* the Op
that adds. Log-sum-exp gives log-likelihoods, max the value of the most probable explanation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Apply, Variable
from aesara.tensor.type import TensorType
from numpy.typing import NDArray

from aeframe.core import IntermediateOp, IntermediateType, TypedOp
from aeframe.core.errors import ArgumentError, IntermediateError, ShapeError
from aeframe.core.ops import as_variable, require_ndim
from aeframe.core.shapes import compatible, is_tensor, shape_text
from aeframe.core.trace import current_path


class CircuitType(IntermediateType):
    """The type of circuits."""

    name = "circuit"
    hint = "evaluate it first: `circuit.log_prob(x)` or `circuit.mpe(x)`"

    def example(self, rng: np.random.Generator) -> Variable:
        """A random circuit over three columns, with constants as parameters."""
        from aeframe.circuits.examples import random_expression

        return random_expression(rng, columns=(0, 1, 2))

    def observe(self, variable: Variable, rng: np.random.Generator) -> list[Variable]:
        """The log values of a circuit over three columns on random rows, in every semiring."""
        from aeframe.circuits.examples import observe

        return observe(variable, rng, columns=3)


class NodeOp(IntermediateOp):
    """An intermediate Op that makes a circuit."""

    out_type = CircuitType()


def _require_circuits(op: NodeOp, children: Sequence[Variable]) -> None:
    wrong = [v for v in children if not isinstance(v.type, CircuitType)]
    if wrong or not children:
        raise ArgumentError(
            f"the children of a {op} are circuits",
            path=current_path(),
            expected="one circuit or more",
            got=", ".join(str(v.type) for v in wrong) or "none",
        )


class SumOp(NodeOp):
    """A mixture, ``Σ wₖ cₖ``: weights (k,) or one row for each row of data (n, k), k circuits."""

    def check(self, *inputs: Variable) -> None:
        """One weight for each child."""
        weights, *children = inputs
        _require_circuits(self, children)
        fits = is_tensor(weights) and weights.type.ndim in (1, 2)
        if not fits or not compatible(weights.type.shape[-1], len(children)):
            raise ShapeError(
                "a Sum has one weight for each child",
                path=current_path(),
                expected=f"({len(children)},)",
                got=shape_text(weights.type.shape) if is_tensor(weights) else str(weights.type),
            )


class ProductOp(NodeOp):
    """A factorization, ``Π cₖ``, of circuits over different columns."""

    unordered = True

    def check(self, *inputs: Variable) -> None:
        """At least one circuit."""
        _require_circuits(self, inputs)


class LeafOp(NodeOp):
    """A distribution of one column; its inputs are the parameters."""

    __props__ = ("variable",)

    def __init__(self, variable: int) -> None:
        self.variable = variable

    def draw(
        self, rng: np.random.Generator, n: int, *parameters: NDArray[Any]
    ) -> NDArray[np.floating]:
        """``n`` random values."""
        raise NotImplementedError


class BernoulliOp(LeafOp):
    """1 with probability p, 0 otherwise; ``variable`` is the column."""

    def check(self, *inputs: Variable) -> None:
        """One probability, or one for each row of data."""
        (p,) = inputs
        if not is_tensor(p) or p.type.ndim > 1:
            require_ndim(self, "p", p, 0)

    def draw(
        self, rng: np.random.Generator, n: int, *parameters: NDArray[Any]
    ) -> NDArray[np.floating]:
        """[u < p], with u uniform."""
        (p,) = parameters
        return (rng.random(n) < p).astype("float64")


class Semiring(TypedOp):
    """The addition of a semiring on log values: (..., k) → (...)."""

    def marginalize(self, values: Variable, missing: Variable) -> Variable:
        """What a leaf gives: ``values`` where it is observed, its total where it is missing.

        ``values`` are taken at the mode where the column is missing.
        """
        raise NotImplementedError


class LogSumExpOp(Semiring):
    """log Σ exp: totals of probability.

    >>> float(LogSumExpOp()(at.log(at.as_tensor([0.25, 0.5]))).exp().eval())
    0.75
    """

    def body(self, terms: Variable) -> Variable:
        """Shift by the maximum first, so that nothing overflows."""
        top = at.max(terms, axis=-1, keepdims=True)
        top = at.switch(at.isinf(top), 0.0, top)
        return at.log(at.exp(terms - top).sum(axis=-1)) + top[..., 0]

    def pullback(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        cotangents: Sequence[Variable | None],
    ) -> list[Variable | None]:
        """G · exp(terms − total); zero where the total is log 0."""
        (terms,), (total,), (g,) = inputs, outputs, cotangents
        assert g is not None
        total = at.switch(at.isinf(total), 0.0, total)
        return [_last(g) * at.exp(terms - _last(total))]

    def marginalize(self, values: Variable, missing: Variable) -> Variable:
        """A density sums to 1: log 1 = 0."""
        return at.switch(missing, 0.0, values)


class MaxOp(Semiring):
    """max: the value of the best term; its gradient goes to the first of equal terms.

    >>> float(MaxOp()(at.as_tensor([-1.0, -3.0])).eval())
    -1.0
    """

    def body(self, terms: Variable) -> Variable:
        """The largest term."""
        return at.max(terms, axis=-1)

    def pullback(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        cotangents: Sequence[Variable | None],
    ) -> list[Variable | None]:
        """G at the first term that equals the maximum."""
        (terms,), (best,), (g,) = inputs, outputs, cotangents
        assert g is not None
        k = terms.shape[-1]
        position = at.arange(k)
        first = at.min(at.switch(at.eq(terms, _last(best)), position, k), axis=-1)
        return [at.switch(at.eq(position, _last(first)), _last(g), 0.0)]

    def marginalize(self, values: Variable, missing: Variable) -> Variable:
        """The maximum of a density is its value at the mode."""
        return values


class EvaluateOp(IntermediateOp):
    """The interpretation of a circuit: its log value for each row, circuit, (n, d) → (n,)."""

    __props__ = ("semiring",)

    def __init__(self, semiring: Semiring) -> None:
        self.semiring = semiring

    def make_node(self, *inputs: Any) -> Apply:
        """An Apply on a circuit and a matrix of data."""
        circuit, x = map(as_variable, inputs)
        if not isinstance(circuit.type, CircuitType):
            raise ArgumentError("only circuits are evaluated", got=str(circuit.type))
        require_ndim(self, "x", x, 2)
        node = Apply(self, [circuit, x], [TensorType("float64", x.type.shape[:1])()])
        made_by = circuit.owner.tag if circuit.owner else None  # the value is found at its node
        node.tag.path = getattr(made_by, "path", None) or current_path()
        return node

    def _refuse(self, node: Apply) -> NoReturn:
        raise IntermediateError(
            f"{self} is an interpretation: it has to be pushed down before it runs",
            path=getattr(node.tag, "path", None),
            fix="call `aeframe.rewrites.interpret(graph)` first",
        )


class ColumnOp(TypedOp):
    """One column of the data: (n, d) → (n,)."""

    __props__ = ("variable",)

    def __init__(self, variable: int) -> None:
        self.variable = variable

    def check(self, *inputs: Variable) -> None:
        """The column must exist."""
        (x,) = inputs
        require_ndim(self, "x", x, 2)
        width = x.type.shape[1]
        if width is not None and self.variable >= width:
            raise ShapeError(
                f"a leaf reads column {self.variable}",
                path=current_path(),
                expected=f"(*, {self.variable + 1}) or wider",
                got=shape_text(x.type.shape),
                fix="pass data with a column for each leaf",
            )

    def body(self, *inputs: Variable) -> Variable:
        """The column."""
        (x,) = inputs
        return x[:, self.variable]


class LeafLogOp(TypedOp):
    """The log value of a leaf: its column (n,), parameters → (n,). NaN is a missing value."""

    __props__ = ("semiring",)

    def __init__(self, semiring: Semiring) -> None:
        self.semiring = semiring

    def log_density(self, values: Variable, *parameters: Variable) -> Variable:
        """Of observed values, (n,)."""
        raise NotImplementedError

    def mode(self, *parameters: Variable) -> Variable:
        """The most probable value."""
        raise NotImplementedError

    def statistics(
        self, flow: Variable, column: Variable, *parameters: Variable
    ) -> tuple[Variable, Variable]:
        """Expected totals of what the parameter is the mean of, and of cases.

        ``flow`` is the probability, given the row, that the row belongs to this leaf, (n,).
        """
        raise NotImplementedError

    def filled(self, column: Variable, *parameters: Variable) -> tuple[Variable, Variable]:
        """The column with its mode where it is missing, and where that is."""
        missing = at.isnan(column)
        return at.switch(missing, self.mode(*parameters), column), missing

    def body(self, *inputs: Variable) -> Variable:
        """The density where observed, the semiring's total where missing."""
        column, *parameters = inputs
        values, missing = self.filled(column, *parameters)
        return self.semiring.marginalize(self.log_density(values, *parameters), missing)


class BernoulliLogOp(LeafLogOp):
    """log p for 1, log(1 − p) for 0, log 0 for anything else; of equal modes, 0 is taken.

    >>> column = at.as_tensor([1.0, 0.0, np.nan])
    >>> np.exp(BernoulliLogOp(LogSumExpOp())(column, 0.75).eval())
    array([0.75, 0.25, 1.  ])
    """

    def log_density(self, values: Variable, *parameters: Variable) -> Variable:
        """The log of a choice, not x log p + (1 − x) log(1 − p): p may be 0 or 1."""
        (p,) = parameters
        zero = at.switch(at.eq(values, 0.0), 1.0 - p, 0.0)
        return at.log(at.switch(at.eq(values, 1.0), p, zero))

    def mode(self, *parameters: Variable) -> Variable:
        """[p > 1/2]."""
        (p,) = parameters
        return at.gt(p, 0.5).astype(p.type.dtype)

    def statistics(
        self, flow: Variable, column: Variable, *parameters: Variable
    ) -> tuple[Variable, Variable]:
        """Σ flow · E[x], Σ flow, with E[x] = p where x is missing."""
        (p,) = parameters
        return (flow * at.switch(at.isnan(column), p, column)).sum(), flow.sum()

    def pullback(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        cotangents: Sequence[Variable | None],
    ) -> list[Variable | None]:
        """G / p at 1, g / (p − 1) at 0, nothing elsewhere or where g is 0."""
        (column, p), (g,) = inputs, cotangents
        assert g is not None
        values, missing = self.filled(column, p)
        g = self.semiring.marginalize(g, missing)
        slope = at.switch(at.eq(values, 0.0), p - 1.0, np.inf)
        slope = at.switch(at.eq(values, 1.0), p, slope)
        found = at.switch(at.eq(g, 0.0), 0.0, g / slope)
        return [None, found if p.type.ndim else found.sum()]


class LogProductOp(TypedOp):
    """The product of log values: k times (n,) → (n,)."""

    def body(self, *factors: Variable) -> Variable:
        """Their sum."""
        return at.stack(factors, axis=-1).sum(axis=-1)

    def pullback(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        cotangents: Sequence[Variable | None],
    ) -> list[Variable | None]:
        """G for each factor."""
        return [cotangents[0] for _ in inputs]


class WeightedSumOp(TypedOp):
    """``log Σ wₖ exp vₖ`` in a semiring: weights (k,) or (n, k), k times (n,) → (n,).

    >>> w, a, b = at.as_tensor([0.5, 0.5]), at.as_tensor([-800.0]), at.as_tensor([-800.0])
    >>> WeightedSumOp(LogSumExpOp())(w, a, b).eval()
    array([-800.])
    """

    __props__ = ("semiring",)

    def __init__(self, semiring: Semiring) -> None:
        self.semiring = semiring

    def body(self, *inputs: Variable) -> Variable:
        """The semiring's addition of log w + v."""
        return self.semiring(_terms(*inputs))

    def pullback(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        cotangents: Sequence[Variable | None],
    ) -> list[Variable | None]:
        """Each term's share of g for its value, share / w for its weight (0 where no share)."""
        weights, *values = inputs
        (share,) = self.semiring.pullback([_terms(*inputs)], outputs, cotangents)
        assert share is not None
        slope = at.switch(at.eq(share, 0.0), 0.0, share / weights)
        slope = slope if weights.type.ndim == 2 else slope.sum(axis=0)
        return [slope, *(share[:, k] for k in range(len(values)))]


def _terms(weights: Variable, *values: Variable) -> Variable:
    return at.log(weights) + at.stack(values, axis=-1)


def _last(x: Variable) -> Variable:
    """``x`` with an axis of size 1 at its end."""
    return at.expand_dims(x, -1)
