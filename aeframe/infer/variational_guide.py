"""The guide of a Model: the pass that gives every free site a draw that is learned.

Each free site's prior is put in a family by the rules, and each parameter of that becomes

    λ·θ(parents) + (1 − λ)·α,  element by element,

where θ is the prior's parameter on the guide's own draws of the parents, λ = sigmoid(l) starts at
½ and α = forward(a) at θ (Ambrogioni et al. 2021, eq. 5). The blend is made on the parameter's
own scale, as in TensorFlow Probability: the sets that parameters lie in are convex, and for
Gaussian chains the blend then holds the exact posterior.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Apply, Variable

from aeframe.core.errors import ArgumentError
from aeframe.core.graph import Graph, replay
from aeframe.core.shapes import narrow
from aeframe.core.supports import Support
from aeframe.gp.linalg import TriangularSolveOp
from aeframe.infer.variational_families import Family
from aeframe.infer.variational_rules import BlendOp, OwnOp
from aeframe.prob.density import realize
from aeframe.prob.sites import SiteOp, rewrite_sites, tell
from aeframe.prob.unconstrain import static_sites
from aeframe.rewrites import Pass, Report, Rule, Step, find_rule

Treated = Callable[["Learned", Variable], Variable]


@dataclass(frozen=True)
class Learned:
    """A parameter of one site's family that the guide learns, and its places in the vector.

    Attributes
    ----------
    site, index
        Whose it is, and its number among the parameters of the family.
    support, shape
        The set it lies in, and its shape.
    own
        Where α lies in the vector.
    weight
        Where λ lies, ``None`` where it has none.
    """

    site: str
    index: int
    support: Support
    shape: tuple[int, ...]
    own: slice
    weight: slice | None

    def value(self, theta: Variable, vector: Variable) -> Variable:
        """λ·θ + (1 − λ)·α, or α alone."""
        free = self.support.free_shape(self.shape)
        alpha = self.support.forward(_part(vector, self.own, free))
        if self.weight is None:
            return alpha
        weight = at.sigmoid(_part(vector, self.weight, self.shape))
        return weight * theta + (1.0 - weight) * alpha

    def start(self, theta: Variable) -> Variable:
        """The part of the vector at which α is θ, flat."""
        spread = at.broadcast_to(theta, self.shape)
        return at.flatten(self.support.inverse(spread, xp=at))


@dataclass(frozen=True)
class Conditional:
    """One site of the guide: the rules that made it, its family and where its noise lies."""

    node: Apply
    rules: tuple[str, str]
    family: Family
    parameters: tuple[Variable, ...]
    learned: tuple[Learned | None, ...]
    shape: tuple[int, ...]
    noise: slice


@dataclass(frozen=True)
class Guide:
    """A guide, symbolically.

    Attributes
    ----------
    inputs
        The data.
    noise, vector
        Standard normal noise, and all that the guide learns: two vectors.
    held
        The vector again, where the density of a draw is evaluated but not learned through: the
        gradient of −log q by it has mean 0 (Roeder, Wu and Duvenaud 2017).
    values
        Free site → the guide's draw.
    log_q
        The log density of the draw, by ``held``.
    score
        The log density of its discrete part, by ``vector``; ``None`` where there is none.
    start
        The vector to start from, of noise and data.
    center
        The noise at which all draws are medians.
    conditionals
        What was made of each site, by name.
    mixing
        Where the entries of the joint normal's matrix lie.
    """

    inputs: tuple[Variable, ...]
    noise: Variable
    vector: Variable
    held: Variable
    values: Mapping[str, Variable]
    log_q: Variable
    score: Variable | None
    start: Variable
    center: np.ndarray
    conditionals: Mapping[str, Conditional]
    mixing: slice

    @property
    def size(self) -> int:
        """How many numbers the guide learns."""
        return int(self.vector.type.shape[0])


class ToGuide(Pass):
    """Replace the free sites of a lowered Model by draws of a guide.

    The graph that it returns has two more inputs in front: noise, and the vector to learn.

    Parameters
    ----------
    rules
        Substitutions and surrogates, or their names; the first that matches is taken.
    """

    def __init__(self, rules: Sequence[Rule | str]) -> None:
        self.rules = tuple(r if isinstance(r, str) else r.name for r in rules)

    def __call__(self, graph: Graph) -> tuple[Graph, Report]:
        """Rewrite the free sites."""
        guide = self.guide(graph)
        makers = {
            c.node: lambda node, c=c: SiteOp(c.node.op.name, "do", c.node.op.support)(
                guide.values[c.node.op.name]
            )
            for c in guide.conditionals.values()
        }
        steps = [
            Step(", ".join(c.rules), name, tell(c.node), str(c.family))
            for name, c in guide.conditionals.items()
        ]
        made = rewrite_sites(graph, makers)
        inputs = (guide.noise, guide.vector, *graph.inputs)
        return Graph(inputs, made.outputs, made.updates, made.names), Report("guide", tuple(steps))

    def guide(self, graph: Graph) -> Guide:
        """The guide itself.

        Raises
        ------
        ArgumentError
            When nothing is free, or no rule fits a site.
        """
        nodes = static_sites(graph)
        if not nodes:
            raise ArgumentError(
                "there is nothing to infer: all sites are observed",
                fix="use `model.log_prob({}, ...)` for the log joint",
            )
        places = _Places()
        rules = [find_rule(name) for name in self.rules]
        conditionals = {name: places.add(node, *_family(node, rules)) for name, node in nodes.items()}
        joint = sum(_size(c.noise) for c in conditionals.values() if c.family.joint)
        mixing = places.take(joint * joint)
        noise, vector, held = (
            at.TensorType("float64", (n,))(name=name)
            for name, n in (("noise", places.noise), ("guide", places.size), ("held", places.size))
        )
        first = _Draws(graph, conditionals, noise, None, None)
        drawn = _Draws(graph, conditionals, noise, vector, mixing)
        density = _Density(conditionals, drawn, held, mixing)
        starts = at.zeros((places.size,), dtype="float64")
        for learned, theta in first.thetas:
            starts = at.set_subtensor(starts[learned.own], learned.start(theta))
        center = np.concatenate(
            [np.full(_size(c.noise), c.family.center) for c in conditionals.values()]
        )
        return Guide(
            tuple(graph.inputs),
            noise,
            vector,
            held,
            drawn.values,
            density.log_q,
            density.score,
            starts,
            center,
            conditionals,
            mixing,
        )


def _family(node: Apply, rules: Sequence[Rule]) -> tuple[tuple[str, str], Variable]:
    """The names of the rules that fit a site, and its family on its parameters."""
    for first in rules:
        (found,) = first.apply(node) or [None]
        owner = getattr(found, "owner", None)
        if owner is None or not isinstance(owner.op, Family):
            continue
        if owner.op.discrete != node.op.support.discrete:
            continue
        for second in rules:
            (made,) = second.apply(owner) or [None]
            if made is not None:
                return (first.name, second.name), made
        raise _no_rule(node, f"a surrogate of {owner.op}")
    raise _no_rule(node, "a substitution for its distribution")


def _no_rule(node: Apply, wanted: str) -> ArgumentError:
    name, discrete = node.op.name, node.op.support.discrete
    return ArgumentError(
        f"no rule makes a guide of {name!r}",
        path=name,
        expected=wanted,
        got=tell(node) + (", which is discrete" if discrete else ""),
        fix="observe it, sum it out, or use ae.StructuredVI(), whose guide may be discrete"
        if discrete
        else "add a rule: StructuredVI(rules=(Definition(name, prior(TheRV, 'a', 'b'), "
        "term(NormalFamily)(Var('a'), Var('b'))), *ASVI)), see aeframe.infer.variational_rules",
    )


class _Places:
    """Where noise and what is learned lie, site after site."""

    def __init__(self) -> None:
        self.noise, self.size = 0, 0

    def take(self, n: int) -> slice:
        """The next ``n`` places of the vector."""
        self.size += n
        return slice(self.size - n, self.size)

    def add(self, node: Apply, rules: tuple[str, str], made: Variable) -> Conditional:
        """The conditional of a site, with places for what it learns."""
        family, support = made.owner.op, node.op.support
        shape = tuple(node.outputs[0].type.shape)
        shape = shape if family.discrete else support.free_shape(shape)
        parameters, learned = [], list[Learned | None]()
        for i, (marked, of) in enumerate(zip(made.owner.inputs, family.supports, strict=True)):
            marker = getattr(marked.owner, "op", None)
            treated = of is not None and isinstance(marker, BlendOp | OwnOp)
            theta = marked.owner.inputs[0] if isinstance(marker, BlendOp | OwnOp) else marked
            parameters.append(theta)
            learned.append(self._learned(node, i, of, family, shape, theta, marker) if treated else None)
        size = int(np.prod(shape, dtype=np.int64))
        self.noise += size
        noise = slice(self.noise - size, self.noise)
        return Conditional(node, rules, family, tuple(parameters), tuple(learned), shape, noise)

    def _learned(self, node, i, support, family, shape, theta, marker):  # type: ignore[no-untyped-def]
        own_shape = family.parameter_shape(i, shape, theta.type.shape)
        own = self.take(int(np.prod(support.free_shape(own_shape), dtype=np.int64)))
        n = int(np.prod(own_shape, dtype=np.int64))
        weight = self.take(n) if isinstance(marker, BlendOp) else None
        return Learned(node.op.name, i, support, own_shape, own, weight)


class _Draws:
    """The guide's draws, site by site: each on the draws of its parents.

    Without a vector, parameters are the prior's.
    """

    def __init__(
        self,
        graph: Graph,
        conditionals: Mapping[str, Conditional],
        noise: Variable,
        vector: Variable | None,
        mixing: slice | None,
    ) -> None:
        self.values: dict[str, Variable] = {}
        self.free: dict[str, Variable] = {}
        self.parameters: dict[str, list[Variable]] = {}
        self.ends: dict[str, list[Variable]] = {}
        self.thetas: list[tuple[Learned, Variable]] = []
        self.vector = vector
        mixed = noise if vector is None or mixing is None else _mixed(conditionals, noise, vector, mixing)
        realized = realize(graph, {})
        for name, c in conditionals.items():
            site = c.node.outputs[0]
            given = replay([*c.parameters, *c.node.inputs[1:]], realized)
            self.parameters[name], self.ends[name] = given[: len(c.parameters)], given[len(c.parameters) :]
            used = self._used(c, self.parameters[name])
            part = _part(mixed if c.family.joint else noise, c.noise, c.shape)
            self.free[name] = c.family.draw(part, *used)
            value = self.free[name]
            if not c.family.discrete:
                value = c.node.op.support.forward(value, *self.ends[name])
            self.values[name] = _typed(value, site)
            realized[site] = self.values[name]

    def _used(self, c: Conditional, thetas: Sequence[Variable]) -> list[Variable]:
        self.thetas += [(k, t) for k, t in zip(c.learned, thetas, strict=True) if k is not None]
        if self.vector is None:
            return list(thetas)
        return parameters_at(c, thetas, self.vector)


def parameters_at(c: Conditional, thetas: Sequence[Variable], vector: Variable) -> list[Variable]:
    """The parameters of a site's family, where the prior's are ``thetas``."""
    return [
        t if k is None else k.value(t, vector) for k, t in zip(c.learned, thetas, strict=True)
    ]


class _Density:
    """The log density of the guide's draws."""

    def __init__(
        self,
        conditionals: Mapping[str, Conditional],
        drawn: _Draws,
        held: Variable,
        mixing: slice,
    ) -> None:
        assert drawn.vector is not None
        terms, scores, standard = [], [], []
        for name, c in conditionals.items():
            thetas, value = drawn.parameters[name], drawn.free[name]
            used = parameters_at(c, thetas, held)
            if c.family.joint:
                location, scale = used
                standard.append(at.flatten((value - location) / scale))
                terms.append(-at.log(scale).sum())
            else:
                terms.append(c.family.log_density(value, *used))
            if c.family.discrete:
                by_vector = parameters_at(c, thetas, drawn.vector)
                scores.append(c.family.log_density(value, *by_vector))
            else:
                terms.append(-c.node.op.support.log_jacobian(value, *drawn.ends[name]))
        if standard:
            e = at.concatenate(standard)
            z = TriangularSolveOp()(_triangle(held, mixing), e)
            terms.append((-0.5 * at.square(z) - 0.5 * float(np.log(2.0 * np.pi))).sum())
        self.log_q = at.stack(terms).sum()
        self.score = at.stack(scores).sum() if scores else None


def _triangle(vector: Variable, mixing: slice) -> Variable:
    """I + the part below the diagonal of the joint normal's matrix."""
    n = round(_size(mixing) ** 0.5)
    below = np.tril(np.ones((n, n)), -1)
    return at.constant(np.eye(n)) + _part(vector, mixing, (n, n)) * at.constant(below)


def _mixed(
    conditionals: Mapping[str, Conditional], noise: Variable, vector: Variable, mixing: slice
) -> Variable:
    """The noise, that of joint families mixed by the triangle."""
    joint = [np.arange(c.noise.start, c.noise.stop) for c in conditionals.values() if c.family.joint]
    if not joint:
        return noise
    index = np.concatenate(joint)
    triangle = _triangle(vector, mixing)
    if len(index) == noise.type.shape[0]:
        return at.dot(triangle, noise)
    return at.set_subtensor(noise[index], at.dot(triangle, noise[index]))


def _typed(value: Variable, site: Variable) -> Variable:
    """``value`` with the dtype of the site."""
    return value if value.type.dtype == site.type.dtype else value.astype(site.type.dtype)


def _part(vector: Variable, place: slice, shape: tuple[int, ...]) -> Variable:
    part = at.reshape(vector[place.start : place.stop], shape, ndim=len(shape))
    narrow(part.owner)
    return part


def _size(place: slice) -> int:
    return place.stop - place.start
