"""Circuits as Modules: ``0.4 * (a * b) + 0.6 * (c * d)``."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real as RealNumber
from typing import Any

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Variable
from numpy.typing import ArrayLike, NDArray

from aeframe.circuits.data import as_matrix, on_data, require_data
from aeframe.circuits.ops import EvaluateOp, LogSumExpOp, ProductOp, SumOp
from aeframe.circuits.structure import (
    Problem,
    assemble,
    child_scopes,
    columns_of,
    overlap,
    post_order,
    rewritten,
    scopes,
)
from aeframe.core import Module, Parameter, Softmax, graph_method
from aeframe.core.errors import ArgumentError, CircuitError
from aeframe.core.trace import current_path

Array = NDArray[np.float64]


class Circuit(Module):
    """A probability distribution made of sums, products and leaves.

    Multiply circuits over different columns, add weighted circuits over the same columns::

        0.4 * (a * b) + 0.6 * (c * d)

    A node that is used twice is one node. A circuit reads a matrix with one row for each case;
    NaN is a missing value. Subclasses give ``children`` and :meth:`term`.
    """

    dtype = "float64"
    children: Sequence[Circuit] = ()
    own_scope = 0
    __array_ufunc__ = None  # NumPy numbers leave `*` and `+` to us

    def term(self, children: Sequence[Variable]) -> Variable:
        """The expression of this node over those of its children."""
        raise NotImplementedError

    def problem(self, scopes: Sequence[int]) -> Problem | None:
        """What is wrong with this node over children with these scopes."""
        return None

    @property
    def scope(self) -> tuple[int, ...]:
        """The columns this circuit is a distribution of."""
        return columns_of(scopes(post_order(self))[id(self)])

    @property
    def width(self) -> int:
        """How many columns the data has: up to the last one in the scope."""
        return self.scope[-1] + 1

    @property
    def smooth(self) -> bool:
        """Whether the children of every Sum have the same columns."""
        nodes = child_scopes(post_order(self))
        return all(len(set(s)) == 1 for node, s in nodes if isinstance(node, Sum | Mixture))

    @property
    def decomposable(self) -> bool:
        """Whether the children of every Product have different columns."""
        nodes = child_scopes(post_order(self))
        return not any(overlap(s) for node, s in nodes if isinstance(node, Product))

    @graph_method
    def expression(self) -> Variable:
        """The circuit as a symbolic variable.

        Raises
        ------
        CircuitError
            When it is not smooth or not decomposable, or weights do not add up to 1.
        """
        return assemble(self)

    @on_data
    @graph_method
    def log_prob(self, x: Variable) -> Variable:
        """The log-likelihood of each row: (n, columns) → (n,). NaN marginalizes.

        Raises
        ------
        ShapeError, DataError
            When ``x`` has another number of columns, or values that a leaf cannot take.
        """
        return EvaluateOp(LogSumExpOp())(assemble(self), as_matrix(self, x))

    __call__ = log_prob

    @on_data
    @graph_method
    def mpe(self, x: Variable) -> Variable:
        """``x`` with its NaNs replaced by the most probable explanation.

        Exact where at most one child of each Sum is positive for every complete row; elsewhere
        it is the best assignment of the best choice of children. Of equal choices the first
        child is taken, of equal values 0.
        """
        from aeframe.circuits.queries import most_probable

        return most_probable(rewritten(self, assemble(self)), as_matrix(self, x))

    def sample(self, n: int, seed: int = 0, evidence: ArrayLike | None = None) -> Array:
        """``n`` draws, (n, columns), given ``evidence``: one row, or one for each draw.

        Columns that are not NaN in the evidence keep their values.
        """
        from aeframe.circuits.queries import sample

        given = np.full(self.width, np.nan) if evidence is None else np.asarray(evidence)
        rows = np.broadcast_to(given, (n, given.shape[-1]))
        return sample(self, require_data(self, rows), seed)

    @on_data
    @graph_method
    def conditionals(self, x: Variable) -> list[list[Variable]]:
        """For each node of the expression, what :meth:`sample` needs to choose below it."""
        from aeframe.circuits.queries import conditionals

        return conditionals(rewritten(self, assemble(self)), as_matrix(self, x))

    def fit(self, *data: Any, **options: Any) -> Any:
        """Learn weights and leaves by EM, see :func:`aeframe.circuits.em.fit`."""
        from aeframe.circuits.em import fit

        return fit(self, *data, **options)

    def __mul__(self, other: Any) -> Product:
        return Product([self, other]) if isinstance(other, Circuit) else NotImplemented

    def __rmul__(self, weight: Any) -> Circuit:
        if not isinstance(weight, RealNumber):
            raise ArgumentError(
                "a weight in front of a circuit is a number",
                expected="0.4 * circuit",
                got=str(weight),
                fix="Sum(children, weights=vector) takes symbolic weights",
            )
        return mixture([float(weight)], [self])

    def __add__(self, other: Any) -> Circuit:
        if not isinstance(other, Circuit):
            return NotImplemented
        raise ArgumentError(
            "each part of a sum of circuits needs a weight",
            expected="weights that add up to 1",
            got=f"{self!r} + {other!r}",
            fix="0.5 * a + 0.5 * b",
        )

    def __repr__(self) -> str:
        columns = ", ".join(map(str, self.scope[:8])) + ", ..." * (len(self.scope) > 8)
        return f"{type(self).__name__}({len(self.children)} children, columns {columns})"


class Product(Circuit):
    """Independent circuits over different columns.

    >>> from aeframe.circuits import Bernoulli
    >>> (Bernoulli(0, 0.5) * Bernoulli(1, 0.25)).log_prob(np.array([[1.0, 1.0]])).round(4)
    array([-2.0794])
    """

    def __init__(self, children: Sequence[Circuit]) -> None:
        self.children = _require_circuits(self, children)

    def term(self, children: Sequence[Variable]) -> Variable:
        """Their product."""
        return ProductOp()(*children)

    def problem(self, scopes: Sequence[int]) -> Problem | None:
        """Columns that two children have."""
        shared = overlap(scopes)
        if not shared:
            return None
        return Problem(
            "two children of a Product have a column in common",
            expected="a column of its own for each child",
            got=f"column {', '.join(map(str, columns_of(shared)))} in more than one",
            fix="mix circuits over the same column with a Sum: 0.5 * a + 0.5 * b",
        )


class Sum(Circuit):
    """A mixture of circuits over the same columns.

    Parameters
    ----------
    children
        The circuits.
    weights
        Numbers that add up to 1 (all equal if left out) become a Parameter. Or a Parameter, a
        symbolic vector such as a random variable, or a Module without inputs that returns one.

    >>> from aeframe.circuits import Bernoulli
    >>> c = 0.5 * Bernoulli(0, 0.1) + 0.5 * Bernoulli(0, 0.3)
    >>> np.exp(c.log_prob(np.array([[1.0], [np.nan]])))
    array([0.2, 1. ])
    """

    def __init__(
        self, children: Sequence[Circuit], weights: ArrayLike | Variable | Module | None = None
    ) -> None:
        self.children = _require_circuits(self, children)
        self.weights = weights
        if not isinstance(weights, Variable | Module):
            k = len(self.children)
            given = np.full(k, 1 / k) if weights is None else np.array(weights, dtype="float64")
            found = _wrong_weights(given, k)
            if found is not None:
                raise CircuitError(found.problem, expected=found.expected, got=found.got)
            self.weights = Parameter(given / given.sum(), support=Softmax())

    def term(self, children: Sequence[Variable]) -> Variable:
        """Their mixture."""
        return SumOp()(as_symbol(self.weights), *children)

    def problem(self, scopes: Sequence[int]) -> Problem | None:
        """Columns that only some children have, or weights that do not add up to 1."""
        if isinstance(self.weights, Parameter) and self.weights.data is not None:
            found = _wrong_weights(self.weights.numpy(), len(self.children))
            if found is not None:
                return found
        odd = next((scope for scope in scopes if scope != scopes[0]), None)
        if odd is None:
            return None
        return Problem(
            "the children of a Sum have different columns",
            expected=f"columns {', '.join(map(str, columns_of(scopes[0])))} in every child",
            got=f"columns {', '.join(map(str, columns_of(odd)))} in one",
            fix="multiply the child with circuits over the columns that it lacks",
        )


class Mixture(Circuit):
    """A Sum in the making: ``0.4 * a``, until its weights add up to 1."""

    def __init__(self, weights: Sequence[float], children: Sequence[Circuit]) -> None:
        self.weights, self.children = list(weights), _require_circuits(self, children)

    def __add__(self, other: Any) -> Circuit:
        if not isinstance(other, Mixture):
            return super().__add__(other)
        return mixture([*self.weights, *other.weights], [*self.children, *other.children])

    def problem(self, scopes: Sequence[int]) -> Problem | None:
        """A circuit is a distribution: the weights do not add up to 1."""
        return _wrong_weights(np.array(self.weights), len(self.children))


def mixture(weights: Sequence[float], children: Sequence[Circuit]) -> Circuit:
    """A Sum once the weights add up to 1, a :class:`Mixture` until then."""
    if abs(sum(weights) - 1.0) < 1e-9 and min(weights) > 0:
        return Sum(children, weights)
    return Mixture(weights, children)


def as_symbol(value: Any) -> Variable:
    """A parameter of a node as a symbolic variable: itself, or what a Module returns."""
    if isinstance(value, Module):
        made = value()
        if not isinstance(made, Variable):
            raise ArgumentError(
                f"{type(value).__name__} gives no parameter of a circuit",
                path=current_path(),
                expected="one symbolic variable",
                got=type(made).__name__,
            )
        return made
    return value if isinstance(value, Variable) else at.as_tensor(value)


def _require_circuits(node: Circuit, children: Sequence[Any]) -> list[Circuit]:
    given = list(children)
    if not given or not all(isinstance(c, Circuit) for c in given):
        raise ArgumentError(
            f"the children of a {type(node).__name__} are circuits",
            expected="a list of one circuit or more",
            got=repr(given),
        )
    return given


def _wrong_weights(weights: NDArray[np.floating], k: int) -> Problem | None:
    fine = weights.shape == (k,) and bool(np.all(weights > 0))
    if fine and abs(weights.sum() - 1.0) < 1e-5:
        return None
    total = f"{weights.sum():.6g}"
    return Problem(
        f"the weights of a Sum add up to {total}" if fine else "wrong weights of a Sum",
        expected=f"{k} positive numbers that add up to 1",
        got=np.array2string(weights, precision=4, threshold=8),
        fix="divide the weights by their sum; leave a child of weight 0 out",
    )
