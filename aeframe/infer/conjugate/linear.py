"""Linear forms: expressions that are ``J x + c`` in the values x of some sites.

J is found by pushing the identity through the graph, Apply by Apply. The table of Ops that are
linear is here; what goes through any other is not known to be linear.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aesara.scalar as aes
import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Apply, Variable
from aesara.tensor.basic import Alloc, Join, MakeVector
from aesara.tensor.elemwise import DimShuffle, Elemwise
from aesara.tensor.extra_ops import BroadcastTo
from aesara.tensor.math import Dot, Sum
from aesara.tensor.shape import Reshape, SpecifyShape
from aesara.tensor.subtensor import AdvancedSubtensor, AdvancedSubtensor1, Subtensor

from aeframe.core.graph import replay, toposort
from aeframe.core.shapes import narrow
from aeframe.prob.sites import SiteOp


@dataclass(frozen=True)
class Jacobian:
    """The derivative of a tensor by a site with n entries.

    Attributes
    ----------
    array
        Of the tensor's shape, then n; of a ``diagonal`` one, of the tensor's shape alone, which
        is also the site's: entry by entry.
    diagonal
        Whether each entry depends on that entry of the site only.
    """

    array: Variable
    diagonal: bool = False

    def dense(self) -> Variable:
        """With the axis of the site's entries."""
        if not self.diagonal:
            return self.array
        shape = self.array.type.shape
        n = int(np.prod(shape, dtype=np.int64))
        return at.constant(np.eye(n).reshape(*shape, n)) * self.array[..., None]


Jacobians = dict[Variable, Jacobian]  # site → derivative, where it is not 0


@dataclass(frozen=True)
class Linear:
    """``Σ_s J_s x_s + constant``."""

    jacobians: Jacobians
    constant: Variable


def linear(output: Variable, sites: Sequence[Variable]) -> Linear | None:
    """``output`` as a linear form in ``sites`` together, or ``None`` where it is not known to be.

    >>> x, b = at.TensorType("float64", (2,))("x"), at.dscalar("b")
    >>> form = linear(3.0 * x + b, [x, b])
    >>> form.jacobians[x].array.eval(), form.constant.eval()
    (array([3., 3.]), array([0., 0.]))
    >>> linear(b * x, [x, b]) is None
    True
    """
    known: dict[Variable, Jacobians] = {
        s: {s: Jacobian(at.ones(s.type.shape), diagonal=True)} for s in sites
    }
    for node in toposort([output], sites):
        if not any(v in known for v in node.inputs):
            continue
        pushed = _push(node, known)
        if pushed is None:
            return None
        known[node.outputs[0]] = pushed
    zeros = {s: at.zeros(s.type.shape, dtype=s.type.dtype) for s in sites}
    return Linear(known.get(output, {}), replay([output], zeros)[0])


def _push(node: Apply, known: Mapping[Variable, Jacobians]) -> Jacobians | None:
    """The derivatives of the output of ``node``, from those of its inputs."""
    if isinstance(node.op, Elemwise):
        return _elementwise(node, known)
    places = [i for i, v in enumerate(node.inputs) if v in known]
    if isinstance(node.op, Join | MakeVector):
        return _joined(node, known)
    rule = next((rule for kind, rule in _RULES.items() if isinstance(node.op, kind)), None)
    if rule is None or len(places) != 1:
        return None
    (place,) = places
    if place != 0 and not isinstance(node.op, Dot):
        return None
    if isinstance(node.op, SiteOp):
        return known[node.inputs[0]]
    found: Jacobians = {}
    for site, jacobian in known[node.inputs[place]].items():
        found[site] = Jacobian(rule(node, jacobian.dense(), place))
    return found


def _elementwise(node: Apply, known: Mapping[Variable, Jacobians]) -> Jacobians | None:
    """Sums, differences, products with what does not depend on the sites, and choices by it."""
    op = node.op.scalar_op
    free = [v for v in node.inputs if v in known]
    others = [v for v in node.inputs if v not in known]
    out = node.outputs[0]
    if isinstance(op, aes.Add | aes.Identity):
        terms = [(v, None) for v in free]
    elif isinstance(op, aes.Sub):
        terms = [(v, None if v is node.inputs[0] else at.constant(-1.0)) for v in free]
        if len(free) == 2 and free[0] is free[1]:
            return {}
    elif isinstance(op, aes.Neg):
        terms = [(free[0], at.constant(-1.0))]
    elif isinstance(op, aes.Mul) and len(free) == 1:
        terms = [(free[0], at.mul(*others) if len(others) > 1 else others[0])]
    elif isinstance(op, aes.Switch) and node.inputs[0] not in known:
        first = at.cast(node.inputs[0], out.type.dtype)
        branches = zip(node.inputs[1:], (first, 1 - first), strict=True)
        terms = [(v, factor) for v, factor in branches if v in known]
    elif isinstance(op, aes.TrueDivide) and len(free) == 1 and free[0] is node.inputs[0]:
        terms = [(free[0], at.reciprocal(others[0]))]
    else:
        return None
    found: Jacobians = {}
    for variable, factor in terms:
        for site, jacobian in known[variable].items():
            made = _scaled(jacobian, factor, out)
            found[site] = made if site not in found else _sum(found[site], made)
    return found


def _scaled(jacobian: Jacobian, factor: Variable | None, out: Variable) -> Jacobian:
    """A derivative times a factor, with the axes of ``out``."""
    if jacobian.diagonal and jacobian.array.type.shape == out.type.shape:
        return Jacobian(jacobian.array if factor is None else jacobian.array * factor, True)
    array = jacobian.dense()
    missing = out.type.ndim + 1 - array.type.ndim
    if missing:
        array = array.dimshuffle(*["x"] * missing, *range(array.type.ndim))
    return Jacobian(array if factor is None else array * factor[..., None])


def _sum(a: Jacobian, b: Jacobian) -> Jacobian:
    if a.diagonal and b.diagonal:
        return Jacobian(a.array + b.array, True)
    return Jacobian(a.dense() + b.dense())


def _joined(node: Apply, known: Mapping[Variable, Jacobians]) -> Jacobians | None:
    """Tensors side by side: those that do not depend on a site have zeros."""
    stacked = isinstance(node.op, MakeVector)
    parts = node.inputs if stacked else node.inputs[1:]
    axis = 0 if stacked else getattr(node.inputs[0], "data", None)
    if axis is None:
        return None
    found: Jacobians = {}
    for site in dict.fromkeys(s for v in parts for s in known.get(v, ())):
        n = int(np.prod(site.type.shape, dtype=np.int64))
        arrays = [
            known[v][site].dense()
            if site in known.get(v, ())
            else at.zeros((*(v.shape[i] for i in range(v.type.ndim)), n))
            for v in parts
        ]
        axis = int(axis) % node.outputs[0].type.ndim
        found[site] = Jacobian(at.stack(arrays) if stacked else at.concatenate(arrays, axis))
    return found


def _dot(node: Apply, jacobian: Variable, place: int) -> Variable:
    """``A x`` and ``x A`` along the axis that is summed."""
    a, x = node.inputs
    if place == 1:  # (..., k) · (k, ..., n)
        return at.tensordot(a, jacobian, axes=[[a.type.ndim - 1], [0]])
    inner = a.type.ndim - 1  # (..., k, n) · (k, ...) → (..., n, ...), n goes to the end
    found = at.tensordot(jacobian, x, axes=[[inner], [0]])
    order = [i for i in range(found.type.ndim) if i != inner]
    return found.dimshuffle(*order, inner)


def _sum_axes(node: Apply, jacobian: Variable, _: int) -> Variable:
    ndim = node.inputs[0].type.ndim
    axes = node.op.axis if node.op.axis is not None else range(ndim)
    return jacobian.sum(axis=[a % ndim for a in axes])


def _shuffled(node: Apply, jacobian: Variable, _: int) -> Variable:
    return jacobian.dimshuffle(*node.op.new_order, node.inputs[0].type.ndim)


def _spread(node: Apply, jacobian: Variable, _: int) -> Variable:
    """Broadcasting to a shape: the last axis stays."""
    out = node.outputs[0]
    missing = out.type.ndim + 1 - jacobian.type.ndim
    array = jacobian.dimshuffle(*["x"] * missing, *range(jacobian.type.ndim))
    sizes = [out.shape[i] if s is None else s for i, s in enumerate(out.type.shape)]
    return at.broadcast_to(array, (*sizes, jacobian.shape[jacobian.type.ndim - 1]))


def _reshaped(node: Apply, jacobian: Variable, _: int) -> Variable:
    out = node.outputs[0]
    sizes = [out.shape[i] if s is None else s for i, s in enumerate(out.type.shape)]
    return reshaped(jacobian, (*sizes, jacobian.shape[jacobian.type.ndim - 1]))


def reshaped(variable: Variable, shape: Sequence[Any]) -> Variable:
    """``variable`` in another shape, its type too."""
    made = at.reshape(variable, tuple(shape), ndim=len(shape))
    narrow(made.owner)
    return made


def _indexed(node: Apply, jacobian: Variable, _: int) -> Variable:
    return node.op.make_node(jacobian, *node.inputs[1:]).outputs[0]


_RULES: dict[type, Callable[[Apply, Variable, int], Variable]] = {
    SiteOp: _indexed,
    SpecifyShape: lambda node, jacobian, _: jacobian,
    Dot: _dot,
    Sum: _sum_axes,
    DimShuffle: _shuffled,
    Alloc: _spread,
    BroadcastTo: _spread,
    Reshape: _reshaped,
    Subtensor: _indexed,
    AdvancedSubtensor1: _indexed,
    AdvancedSubtensor: _indexed,
}
