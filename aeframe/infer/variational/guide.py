"""The guide of a Model: the pass that gives every free site a draw that is learned.

Each free site's prior is put in a family by the rules, and the natural parameters η of that become

    λ·η(parents) + (1 − λ)·η(α),  element by element,

with the prior's η on the guide's own draws of the parents, λ = sigmoid(l) from ½, and α from the
prior's (Ambrogioni et al. 2021, eq. 5). Of a normal with location m and scale s they are m/s² and
1/s². TensorFlow Probability blends m and s instead; but conjugate updates add natural parameters,
so that this holds the exact posterior of a normal given its parents, whatever its scale: in a
hierarchy, the draws follow a scale of theirs that goes to 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Apply, Variable

from aeframe.core.errors import ArgumentError
from aeframe.core.graph import Graph
from aeframe.infer.variational.draws import Conditional, Draws, Learned, own_at
from aeframe.infer.variational.families import Family
from aeframe.infer.variational.parts import PartsOp, Shapes, WholeOp
from aeframe.infer.variational.rules import BlendOp, OwnOp
from aeframe.prob.sites import SiteOp, rewrite_sites, tell
from aeframe.prob.unconstrain import static_sites
from aeframe.rewrites import Pass, Report, Rule, Step, find_rule


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
        The log density of the draw, by ``held``; that of joint normals by ``vector``, as their
        entropy is known and their matrix can be near singular.
    score
        The log density of its discrete part, by ``vector``; ``None`` where there is none.
    given, log_prob
        Inputs for a value of each free site, and the guide's log density there, by ``vector``.
    start
        The vector to start from, of noise and data.
    center
        The noise at which all draws are medians.
    conditionals
        What was made of each site, by name.
    shapes
        Of the parts of the vector.
    """

    inputs: tuple[Variable, ...]
    noise: Variable
    vector: Variable
    held: Variable
    values: Mapping[str, Variable]
    log_q: Variable
    score: Variable | None
    given: tuple[Variable, ...]
    log_prob: Variable
    start: Variable
    center: np.ndarray
    conditionals: Mapping[str, Conditional]
    shapes: Shapes

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
        conditionals = {
            name: places.add(node, *_family(node, rules)) for name, node in nodes.items()
        }
        joint = sum(c.size for c in conditionals.values() if c.family.joint)
        mixing = places.take((joint, joint)) if joint else None
        shapes = tuple(places.shapes)
        size = sum(int(np.prod(s, dtype=np.int64)) for s in shapes)
        sizes = {"noise": sum(c.size for c in conditionals.values()), "guide": size, "held": size}
        noise, vector, held = (at.TensorType("float64", (n,))(name=k) for k, n in sizes.items())
        learned, fixed = (PartsOp(shapes).make_node(v).outputs for v in (vector, held))
        first, drawn = (Draws(conditionals) for _ in range(2))
        first.draw(graph, noise, None, None)
        drawn.draw(graph, noise, learned, mixing)
        given = Draws(conditionals)
        values = given.take(graph)
        discrete = any(c.family.discrete for c in conditionals.values())
        starts = [at.zeros(s, dtype="float64") for s in shapes]
        for name, c in conditionals.items():
            for i, start in own_at(c, first.parameters[name]).items():
                starts[i] = start
        center = np.concatenate([np.full(c.size, c.family.center) for c in conditionals.values()])
        return Guide(
            tuple(graph.inputs),
            noise,
            vector,
            held,
            drawn.values,
            drawn.log_density(fixed, mixing),
            drawn.log_density(learned, None, discrete=True) if discrete else None,
            values,
            given.log_density(learned, mixing),
            WholeOp(shapes)(*starts),
            center,
            conditionals,
            shapes,
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
        fix="observe it, or sum it out (a Mixture, a HiddenMarkov); ae.StructuredVI() has guides "
        "of Bernoulli and Categorical sites"
        if discrete
        else "add a rule: StructuredVI(rules=(Definition(name, prior(TheRV, 'a', 'b'), "
        "term(NormalFamily)(Var('a'), Var('b'))), *ASVI)), see aeframe.infer.variational.rules",
    )


class _Places:
    """The parts of noise and of what is learned, site after site."""

    def __init__(self) -> None:
        self.noise = 0
        self.shapes: list[tuple[int, ...]] = []

    def take(self, shape: tuple[int, ...]) -> int:
        """The next part of the vector."""
        self.shapes.append(shape)
        return len(self.shapes) - 1

    def add(self, node: Apply, rules: tuple[str, str], made: Variable) -> Conditional:
        """The conditional of a site, with places for what it learns."""
        family, support = made.owner.op, node.op.support
        shape = tuple(node.outputs[0].type.shape)
        shape = shape if family.discrete else support.free_shape(shape)
        parameters: list[Variable] = []
        learned: list[Learned | None] = []
        blended = False
        for i, (marked, of) in enumerate(zip(made.owner.inputs, family.supports, strict=True)):
            marker = getattr(marked.owner, "op", None)
            theta = marked.owner.inputs[0] if isinstance(marker, BlendOp | OwnOp) else marked
            parameters.append(theta)
            if of is None or theta is marked:
                learned.append(None)
                continue
            blended |= isinstance(marker, BlendOp)
            own_shape = family.parameter_shape(i, shape, theta.type.shape)
            weighted = blended and family.weighted[i]
            own, weight = self.take(own_shape), self.take(own_shape) if weighted else None
            learned.append(Learned(node.op.name, i, of, own_shape, own, weight))
        self.noise += 1
        both = tuple(parameters), tuple(learned)
        return Conditional(node, rules, family, *both, shape, self.noise - 1, blended)
