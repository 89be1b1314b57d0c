"""The sites of a guide: what is learned of each, its draws, and the density of values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Apply, Variable

from aeframe.core.graph import Graph, replay
from aeframe.core.shapes import narrow
from aeframe.core.supports import Support
from aeframe.gp.linalg import TriangularSolveOp
from aeframe.infer.variational.families import Family
from aeframe.infer.variational.ops import FamilyDensityOp, FamilyDrawOp, ParametersOp
from aeframe.infer.variational.parts import PartsOp
from aeframe.prob.density import realize


@dataclass(frozen=True)
class Learned:
    """A parameter of one site's family that the guide learns, and its places in the vector.

    Attributes
    ----------
    site, index
        Whose it is, and its number among the parameters of the family.
    support, shape
        The set it lies in, and its shape.
    own, weight
        Which parts of the vector its own number and the logit of its λ are; no λ: ``None``.
    """

    site: str
    index: int
    support: Support
    shape: tuple[int, ...]
    own: int
    weight: int | None

    def spread(self, theta: Variable) -> Variable:
        """θ in its shape."""
        return theta if theta.type.shape == self.shape else at.alloc(theta, *self.shape)


@dataclass(frozen=True)
class Conditional:
    """One site of the guide: the rules that made it, its family and where its noise lies."""

    node: Apply
    rules: tuple[str, str]
    family: Family
    parameters: tuple[Variable, ...]
    learned: tuple[Learned | None, ...]
    shape: tuple[int, ...]
    noise: int
    blended: bool

    @property
    def size(self) -> int:
        """How many numbers it is drawn of."""
        return int(np.prod(self.shape, dtype=np.int64))


class Draws:
    """Values of the free sites, each on those of its parents, and the guide's density there."""

    def __init__(self, conditionals: Mapping[str, Conditional]) -> None:
        self.conditionals = conditionals
        self.values: dict[str, Variable] = {}
        self.free: dict[str, Variable] = {}
        self.parameters: dict[str, list[Variable]] = {}
        self.ends: dict[str, list[Variable]] = {}
        self.noise: Variable | None = None
        self.joint: dict[str, list[Variable]] = {}

    def draw(
        self,
        graph: Graph,
        noise: Variable,
        learned: Sequence[Variable] | None,
        mixing: int | None,
    ) -> None:
        """The guide's draws; without what is ``learned``, parameters are the prior's."""
        if learned is not None and mixing is not None:
            joint = [np.full(c.size, c.family.joint) for c in self.conditionals.values()]
            (index,) = np.nonzero(np.concatenate(joint))
            self.noise = noise if len(index) == noise.type.shape[0] else noise[index]
            mixed = at.dot(_triangle(learned[mixing]), self.noise)
            noise = mixed if self.noise is noise else at.set_subtensor(noise[index], mixed)
        shapes = tuple(c.shape for c in self.conditionals.values())
        parts = PartsOp(shapes).make_node(noise).outputs
        realized = realize(graph, {})
        for name, c in self.conditionals.items():
            self._given(name, c, realized)
            thetas = self.parameters[name]
            used = thetas if learned is None else parameters_at(c, thetas, learned)
            if c.family.joint:
                self.joint[name] = used
            self.free[name] = FamilyDrawOp(c.family)(parts[c.noise], *used)
            value = self.free[name]
            if not c.family.discrete:
                value = c.node.op.support.forward(value, *self.ends[name])
            site = c.node.outputs[0]
            dtype = site.type.dtype
            self.values[name] = value if value.type.dtype == dtype else value.astype(dtype)
            realized[site] = self.values[name]

    def take(self, graph: Graph) -> tuple[Variable, ...]:
        """Values that are given: one input for each site."""
        sites = {name: c.node.outputs[0] for name, c in self.conditionals.items()}
        self.values = {name: site.type(name=name) for name, site in sites.items()}
        realized = realize(graph, self.values)
        for name, c in self.conditionals.items():
            self._given(name, c, realized)
            self.free[name] = self.values[name]
            if not c.family.discrete:
                support = c.node.op.support
                found = support.inverse(self.values[name], *self.ends[name], xp=at)
                self.free[name] = _shaped(found, c.shape)
        return tuple(self.values.values())

    def _given(self, name: str, c: Conditional, realized: Mapping[Variable, Variable]) -> None:
        """What the prior says of a site, given its parents."""
        n = len(c.parameters)
        found = replay([*c.parameters, *c.node.inputs[1:]], realized)
        self.parameters[name], self.ends[name] = found[:n], found[n:]

    def log_density(
        self, learned: Sequence[Variable], mixing: int | None, discrete: bool = False
    ) -> Variable:
        """The log density of all values, or of the ``discrete`` ones alone."""
        terms, standard = [], []
        for name, c in self.conditionals.items():
            if discrete and not c.family.discrete:
                continue
            used, value = parameters_at(c, self.parameters[name], learned), self.free[name]
            if c.family.joint:
                location, scale = self.joint.get(name, used)
                standard.append(at.flatten((value - location) / scale))
                terms.append(-at.log(scale).sum())
            else:
                terms.append(FamilyDensityOp(c.family)(value, *used))
            if not c.family.discrete:
                terms.append(-c.node.op.support.log_jacobian(value, *self.ends[name]))
        if standard:
            assert mixing is not None
            z = self.noise
            if z is None:
                z = TriangularSolveOp()(_triangle(learned[mixing]), at.concatenate(standard))
            terms.append((-0.5 * at.square(z) - 0.5 * float(np.log(2.0 * np.pi))).sum())
        return at.stack(terms).sum()


def parameters_at(
    c: Conditional, thetas: Sequence[Variable], parts: Sequence[Variable]
) -> list[Variable]:
    """The parameters of a site's family, where the prior's are ``thetas``."""
    known = [k for k in c.learned if k is not None]
    if not known:
        return list(thetas)
    op = ParametersOp(c.family, tuple(k.index for k in known), c.blended)
    owns = [parts[k.own] for k in known]
    logits = [parts[k.weight] for k in known if k.weight is not None]
    return op.make_node(*thetas, *owns, *logits).outputs


def own_at(c: Conditional, thetas: Sequence[Variable]) -> dict[int, Variable]:
    """Which parts of the vector to start from, of the prior's parameters ``thetas``."""
    known = [k for k in c.learned if k is not None]
    spread = [k.spread(thetas[k.index]) for k in known]
    if c.blended:
        made = c.family.own(spread)
    else:
        made = [k.support.inverse(t, xp=at) for k, t in zip(known, spread, strict=True)]
    return {k.own: value for k, value in zip(known, made, strict=True)}


def _shaped(variable: Variable, shape: tuple[int, ...]) -> Variable:
    """``variable``, which has that shape, with a type that says so."""
    if variable.type.shape == shape:
        return variable
    made = at.reshape(variable, shape, ndim=len(shape))
    narrow(made.owner)
    return made


def _triangle(matrix: Variable) -> Variable:
    """I + the part of the matrix below its diagonal."""
    n = matrix.type.shape[0]
    assert n is not None
    return at.constant(np.eye(n)) + matrix * at.constant(np.tril(np.ones((n, n)), -1))
