"""How a site enters an argument entry by entry: as a power of it, or as one minus it.

The way from the site to the argument is a chain of Applies: broadcasting, indexing and reshaping
choose entries (a matrix S of zeros and ones), elementwise Ops act on each. What many entries of
the argument say of one entry of the site is their sum, Sᵀ: the gradient of S θ.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import aesara.scalar as aes
import aesara.tensor as at
from aesara.graph.basic import Apply, Constant, Variable
from aesara.tensor.basic import Alloc
from aesara.tensor.elemwise import DimShuffle, Elemwise
from aesara.tensor.extra_ops import BroadcastTo
from aesara.tensor.shape import Reshape, SpecifyShape
from aesara.tensor.subtensor import AdvancedSubtensor, AdvancedSubtensor1, Subtensor

from aeframe.core.grad import vjp
from aeframe.core.graph import replay, toposort
from aeframe.core.shapes import is_tensor, narrow
from aeframe.prob.sites import SiteOp

CHOOSING = (
    *(DimShuffle, Subtensor, AdvancedSubtensor, AdvancedSubtensor1),
    *(Alloc, BroadcastTo, Reshape, SpecifyShape, SiteOp),
)
_POWERS = {aes.Sqrt: 0.5, aes.Sqr: 2.0, aes.Reciprocal: -1.0, aes.Identity: 1.0}


@dataclass(frozen=True)
class Entry:
    """``argument = scale · S θ ** power``, or ``1 − S θ`` where it is a ``complement``.

    Attributes
    ----------
    site, argument
        θ, and what depends on it.
    chosen
        S θ, in the shape of the argument.
    power
        1 for a selection of its entries, -0.5 for the sd of a precision.
    scaled
        Whether there is a ``scale``.
    complement
        Whether it is one minus the site.
    """

    site: Variable
    argument: Variable
    chosen: Variable
    power: float = 1.0
    scaled: bool = False
    complement: bool = False

    @property
    def plain(self) -> bool:
        """Whether the entries of the argument are entries of the site, or one minus these."""
        return self.power == 1.0 and not self.scaled

    @property
    def scale(self) -> Variable:
        """The argument where the site is one everywhere."""
        ones = at.ones(self.site.type.shape, dtype=self.site.type.dtype)
        return replay([self.argument], {self.site: ones})[0]

    def summed(self, terms: Variable) -> Variable:
        """Sᵀ ``terms``: what belongs to each entry of the site, summed to its shape."""
        if self.chosen is self.site:
            return terms
        (found,) = vjp([self.chosen], [terms], [self.site])
        assert found is not None
        return found


def entry(argument: Variable, site: Variable) -> Entry | None:
    """How ``site`` enters ``argument``, if it does so in one of the ways above.

    >>> rate = at.dvector("rate")
    >>> entry(at.sqrt(2.0 / rate[:, None]), rate).power
    -0.5
    >>> entry(at.exp(rate), rate) is None
    True
    """
    found, last, reached = Entry(site, argument, site), site, {site}
    for node in toposort([argument], [site]):
        places = [i for i, v in enumerate(node.inputs) if v in reached]
        if not places:
            continue
        made = _through(found, node, places[0])
        if made is None or len(places) > 1 or node.inputs[places[0]] is not last:
            return None
        found, last = made, node.outputs[0]
        reached.update(node.outputs)
    return found if last is argument else None


def _through(found: Entry, node: Apply, place: int) -> Entry | None:
    """The entry after one more Apply of the chain, which takes it as input ``place``."""
    if isinstance(node.op, SiteOp):
        return found if place == 0 else None
    if isinstance(node.op, CHOOSING):
        chosen = node.op.make_node(found.chosen, *node.inputs[1:]).outputs[0]
        return replace(found, chosen=narrow(chosen.owner).outputs[0]) if place == 0 else None
    if found.complement or not isinstance(node.op, Elemwise):
        return None
    op, out = node.op.scalar_op, node.outputs[0]
    if found.chosen.type.shape != out.type.shape:
        sizes = [out.shape[i] if s is None else s for i, s in enumerate(out.type.shape)]
        found = replace(found, chosen=at.alloc(found.chosen, *sizes))
    if type(op) in _POWERS:
        return replace(found, power=found.power * _POWERS[type(op)])
    if isinstance(op, aes.Mul):
        return replace(found, scaled=True)
    if isinstance(op, aes.TrueDivide):
        return replace(found, scaled=True, power=found.power if place == 0 else -found.power)
    if isinstance(op, aes.Pow) and place == 0:
        exponent = number(node.inputs[1])
        return replace(found, power=found.power * exponent) if exponent else None
    if isinstance(op, aes.Sub) and place == 1 and found.plain and number(node.inputs[0]) == 1.0:
        return replace(found, complement=True)
    return None


def number(variable: Variable) -> float | None:
    """The value of a constant whose entries are all the same."""
    while variable.owner is not None and isinstance(variable.owner.op, DimShuffle | Alloc):
        variable = variable.owner.inputs[0]
    if not isinstance(variable, Constant):
        return None
    first = variable.data.flat[0] if variable.data.size else None
    return float(first) if first is not None and (variable.data == first).all() else None


def keeps_last_axis(argument: Variable, site: Variable) -> bool:
    """Whether a plain chain chooses whole rows: the last axis of the site stays the last."""
    while argument is not site:
        node = argument.owner
        assert node is not None
        below = node.inputs[0]
        ndim = below.type.ndim
        if isinstance(node.op, DimShuffle):
            order = node.op.new_order
            if not order or order[-1] != ndim - 1:
                return False
        elif isinstance(node.op, Subtensor):
            if len(node.op.idx_list) >= ndim:
                return False
        elif isinstance(node.op, AdvancedSubtensor1 | AdvancedSubtensor):
            chosen = node.inputs[1:]  # one array for each of the first axes
            if len(chosen) >= ndim or not all(is_tensor(v) for v in chosen):
                return False
        elif not isinstance(node.op, Alloc | BroadcastTo | SpecifyShape | SiteOp):
            return False
        argument = below
    return True
