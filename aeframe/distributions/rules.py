"""Rules that find the density of a draw: pushed through maps down to random variables.

``LogDensityOp()(draw, value)`` asks for it. Rules answer through monotone maps, affine maps with
any broadcasting of the constants, |x| and x², linear maps, and rearrangements of entries; so
through any chain of them: a flow. What no rule answers is asked of AePPL (mixtures by ``switch``
and ``stack``, clips, rounding, cumulative sums, sums of normals).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Apply, Constant, Variable
from aesara.tensor.elemwise import DimShuffle
from aesara.tensor.math import Dot
from aesara.tensor.nlinalg import det
from aesara.tensor.shape import Reshape, SpecifyShape
from aesara.tensor.slinalg import Cholesky, solve, solve_triangular
from aesara.tensor.subtensor import AdvancedSubtensor, AdvancedSubtensor1, Subtensor
from aesara.tensor.type import TensorType

from aeframe.core.errors import DensityError
from aeframe.core.expand import expand
from aeframe.core.grad import float_literals_like
from aeframe.core.graph import Graph, leaves, replay
from aeframe.core.intermediate import IntermediateOp
from aeframe.core.ops import as_variable
from aeframe.core.shapes import evaluate, is_tensor, narrow
from aeframe.distributions.density import LeafDensityOp, inside, log_sum_exp, without_checks
from aeframe.distributions.draws import DrawOp, parts
from aeframe.distributions.maps import MAPS, Back, Fixed, Random
from aeframe.rewrites import INTERPRETATIONS, Definition, Greedy, Pattern, Prop, Var, term
from aeframe.rewrites.pattern import Bindings


class LogDensityOp(IntermediateOp):
    """The log density of a draw at a value: draw, value → scalar. Rules give it a meaning.

    ``entrywise``: of each entry, for entries that are independent.
    """

    __props__ = ("entrywise",)

    def __init__(self, entrywise: bool = False) -> None:
        self.entrywise = entrywise

    def make_node(self, *inputs: Any) -> Apply:
        """A float64 scalar, or the shape of the value."""
        draw, value = (as_variable(v) for v in inputs)
        shape = value.type.shape if self.entrywise else ()
        return Apply(self, [draw, value], [TensorType("float64", shape)()])

    def _refuse(self, node: Apply) -> NoReturn:
        raise _not_found(node.inputs[0])


@dataclass(frozen=True)
class Drawn(Pattern):
    """A random variable itself."""

    entrywise: bool

    def match(self, variable: Variable, bound: Bindings) -> Bindings | None:
        """Bound as ``family`` and ``parameters``."""
        found = parts(variable)
        if found is None or (self.entrywise and found[0].ndim_supp):
            return None
        return {**bound, "family": found[0], "parameters": found[1]}


@dataclass(frozen=True)
class Leaf(Pattern):
    """The formula of its density."""

    entrywise: bool

    def build(self, bound: Bindings) -> list[Variable]:
        """Of each draw, or their sum."""
        try:
            found = LeafDensityOp(bound["family"])(bound["v"], *bound["parameters"])
        except NotImplementedError as error:
            raise _not_found(None, bound["family"].name) from error
        return [found if self.entrywise else found.sum()]


@dataclass(frozen=True)
class Through(Pattern):
    """The density of ``x`` at the ways back from ``v``, times their slopes."""

    back: Back

    def build(self, bound: Bindings) -> list[Variable]:
        """One way back keeps the question as it was; several need the density of each entry."""
        draw, value, entrywise = bound["x"], bound["v"], bound["entrywise"]
        # logs of small integers and of literals would be float32
        floats = [None if v is None else v.astype("float64") for v in (value, bound.get("c"))]
        with float_literals_like(floats[:1]):
            branches = self.back(*floats)
        each = entrywise or len(branches) > 1
        found = []
        for branch in branches:
            exists, u, slope = branch.exists, branch.u, branch.log_slope
            if draw.type.dtype.startswith(("int", "uint", "bool")):  # points have no slope
                nearest = at.round(u)
                exists, u, slope = exists & at.isclose(nearest, u), nearest, at.zeros_like(slope)
                u = u.astype("int64")
            inner = LogDensityOp(each)(draw, u)
            if not each:
                exists, slope = at.all(exists), slope.sum()
            found.append(inside(exists, inner + slope))
        total = found[0]
        if len(found) > 1:
            total = log_sum_exp(at.stack(found, axis=-1))
        return [total if entrywise or not each else total.sum()]


@dataclass(frozen=True)
class Rearranged(Pattern):
    """``x`` with its entries in other places: reshaped, transposed, indexed by a permutation."""

    def match(self, variable: Variable, bound: Bindings) -> Bindings | None:
        """Bound as ``x`` and ``places``: which entry of x each entry is."""
        node = variable.owner
        if node is None or not isinstance(node.op, _REARRANGING):
            return None
        draw, *others = node.inputs
        shape = draw.type.shape
        if None in shape or any(is_tensor(v) and evaluate(v) is None for v in others):
            return None
        size = int(np.prod(shape))
        numbered = at.as_tensor(np.arange(size).reshape(shape))
        places = evaluate(node.op.make_node(numbered, *others).outputs[0])
        if places is None or not np.array_equal(np.sort(np.ravel(places)), np.arange(size)):
            return None
        return {**bound, "x": draw, "places": places}


_REARRANGING = (
    *(Reshape, DimShuffle, SpecifyShape),
    *(Subtensor, AdvancedSubtensor, AdvancedSubtensor1),
)


@dataclass(frozen=True)
class PutBack(Pattern):
    """The density of ``x`` at the entries of ``v`` in their own places."""

    def build(self, bound: Bindings) -> list[Variable]:
        """And each entry's density where the entry is."""
        draw, value, places = bound["x"], bound["v"], bound["places"]
        order = np.argsort(np.ravel(places))
        back = _reshaped(value.ravel()[order], draw.type.shape)
        found = LogDensityOp(bound["entrywise"])(draw, back)
        if bound["entrywise"]:
            found = _reshaped(found.ravel()[np.ravel(places)], places.shape)
        return [found]


def _reshaped(variable: Variable, shape: Any) -> Variable:
    made = at.reshape(variable, tuple(shape), ndim=len(shape))
    narrow(made.owner)
    return made


@dataclass(frozen=True)
class Solved(Pattern):
    """The density of ``x`` at A⁻¹v, less log |det A| for each vector."""

    transposed: bool

    def build(self, bound: Bindings) -> list[Variable]:
        """V = A x, or v = x A row by row."""
        draw, value, matrix = bound["x"], bound["v"], bound["c"]
        matrix = matrix.T if self.transposed else matrix
        columns = value.T if value.type.ndim > 1 and self.transposed else value
        lower = _is_lower(bound["c"])
        if lower:
            u = solve_triangular(matrix, columns, lower=not self.transposed)
            log_det = at.log(abs(at.diagonal(matrix))).sum()
        else:
            u, log_det = solve(matrix, columns), at.log(abs(det(matrix)))
        vectors = value.size / value.shape[-1 if self.transposed else 0]
        u = u.T if value.type.ndim > 1 and self.transposed else u
        return [LogDensityOp()(draw, u) - vectors * log_det]


def _is_lower(matrix: Variable) -> bool:
    """Whether a matrix is known to be lower triangular."""
    if matrix.owner is not None and isinstance(matrix.owner.op, Cholesky):
        return bool(matrix.owner.op.lower)
    return isinstance(matrix, Constant) and not np.triu(matrix.data, 1).any()


@dataclass(frozen=True)
class Square(Fixed):
    """A square matrix that is not random."""

    def match(self, variable: Variable, bound: Bindings) -> Bindings | None:
        """Of two equal sizes."""
        shape = variable.type.shape
        if len(shape) != 2 or shape[0] is None or shape[0] != shape[1]:
            return None
        return super().match(variable, bound)


v, entrywise, whole = Var("v"), Prop("entrywise"), term(LogDensityOp, entrywise=False)
asked = term(LogDensityOp, entrywise=entrywise)

DENSITIES = [
    *(
        Definition(
            f"density of a random variable{', entry by entry' * e}",
            term(LogDensityOp, entrywise=e)(Drawn(e), v),
            Leaf(e),
        )
        for e in (False, True)
    ),
    # a draw that is broadcast has no density: x has the shape of the result
    *(
        Definition(f"density of {name}", asked(left.sized("*s"), v), Through(back))
        for name, left, back in MAPS
    ),
    Definition("density of entries in other places", asked(Rearranged(), v), PutBack()),
    Definition("density of A x", whole(term(Dot)(Square("c"), Random("x")), v), Solved(False)),
    Definition("density of x A", whole(term(Dot)(Random("x"), Square("c")), v), Solved(True)),
]
INTERPRETATIONS += DENSITIES


def density_of_expression(draw: Variable, value: Variable, entrywise: bool = False) -> Variable:
    """The log density of a random expression, by the rules above and then by AePPL.

    Raises
    ------
    DensityError
        When neither finds one.
    """
    graph = expand(Graph((), (draw,)), lambda node: isinstance(node.op, DrawOp))
    asked = LogDensityOp(entrywise)(graph.outputs[0], value)
    found = Greedy(DENSITIES, name="density")(Graph((), (asked,)))[0]
    (answer,) = replay(found.outputs, {}, _by_aeppl)
    return answer


def _by_aeppl(node: Apply, inputs: list[Variable]) -> Any:
    """A transform: what no rule answered, answered by AePPL.

    It copies the leaves it sees, so stand-ins take the place of cells, and it sees plain Aesara
    only, so typed Ops are expanded.
    """
    if not isinstance(node.op, LogDensityOp):
        return None
    from aeppl.joint_logprob import DensityNotFound, conditional_logprob

    draw, value = inputs
    stand_ins = {v: v.type(name=v.name) for v in leaves([draw])}
    (bare,) = replay([draw], stand_ins)
    plain = expand(Graph((), (bare,))).outputs[0]
    seen = value.type(name=value.name)
    try:
        found, _ = conditional_logprob(realized={plain: seen})
    except (DensityNotFound, NotImplementedError, ValueError) as error:
        raise _not_found(draw) from error
    back = {new: old for old, new in stand_ins.items()}
    (answer,) = replay([found[plain]], {**back, seen: value}, without_checks)
    return [answer if node.op.entrywise else answer.sum()]


def _not_found(draw: Variable | None, got: str | None = None) -> DensityError:
    return DensityError(
        "no log density could be found for an expression",
        expected="a random variable, or an invertible map of one",
        got=got or str(getattr(getattr(draw, "owner", None), "op", draw)),
        fix="sample the random variable itself and make the transform a "
        "`self.deterministic(...)` site",
    )
