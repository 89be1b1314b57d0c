"""Steps: how a sweep of Gibbs sampling draws each site given the others, chosen by rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Apply, Variable
from aesara.tensor.elemwise import DimShuffle, Elemwise
from aesara.tensor.subtensor import AdvancedSubtensor, AdvancedSubtensor1

from aeframe.core.errors import ArgumentError
from aeframe.core.graph import remake, replay, toposort
from aeframe.core.structure import Structure
from aeframe.distributions import Categorical, LeafDensityOp
from aeframe.distributions.continuous import FlatOp
from aeframe.infer.conjugate.collapsed import (
    draw_with_scales,
    is_accepted,
    proposal,
    scales_of,
)
from aeframe.infer.conjugate.conditional import NotConjugateError, full_conditional
from aeframe.infer.conjugate.gaussian import full_gaussian, may_be_normal
from aeframe.infer.conjugate.joint import Factor, Joint, Stream
from aeframe.prob.sites import SiteOp, tell
from aeframe.rewrites import Report
from aeframe.rewrites import Step as Rewrite

BLOCK = 1000  # entries above which normal sites are not drawn together: Q has as many rows


@dataclass(frozen=True)
class Step(Structure):
    """A draw of some sites that leaves the posterior as it is.

    Attributes
    ----------
    sites
        Their names.
    """

    sites: tuple[str, ...]

    def update(self, joint: Joint, stream: Stream) -> dict[str, Variable]:
        """Site → its next value, a function of the values that ``joint`` holds."""
        raise NotImplementedError

    def rewrites(self, joint: Joint) -> list[Rewrite]:
        """For each site: the rule, the site, its prior, and what it is drawn from."""
        raise NotImplementedError


@dataclass(frozen=True)
class ConjugateStep(Step):
    """One site from its full conditional, by a conjugate pair."""

    def update(self, joint: Joint, stream: Stream) -> dict[str, Variable]:
        """A draw of the full conditional."""
        (name,) = self.sites
        found = full_conditional(joint, name, stream)
        return {name: found.draw(stream, joint.factors[name].shape)}

    def rewrites(self, joint: Joint) -> list[Rewrite]:
        """The pairs, and the distribution."""
        (name,) = self.sites
        found = full_conditional(joint, name, Stream())
        family = type(found.distribution).__name__
        left = name if found.power == 1.0 else f"{name} ^ {found.power:g}"
        given = ", given an auxiliary draw" if found.mixture else ""
        after = f"{left} | rest ~ {family}{given}"
        return [Rewrite(" and ".join(found.rules), name, tell(joint.nodes[name]), after)]


@dataclass(frozen=True)
class GaussianStep(Step):
    """Sites together from their joint normal full conditional.

    Attributes
    ----------
    scales
        Numbers that are drawn before, with these integrated out.
    members
        The steps of scales that are drawn with them, several times in a sweep.
    mixture
        Whether the joint normal is given draws that make it so.
    """

    scales: tuple[str, ...] = ()
    members: tuple[ConjugateStep, ...] = ()
    mixture: bool = False

    def update(self, joint: Joint, stream: Stream) -> dict[str, Variable]:
        """A draw of it."""
        found = full_gaussian(joint, self.sites, stream)
        updates = [step.update for step in self.members]
        return draw_with_scales(joint, found, updates, self.scales, stream)

    def rewrites(self, joint: Joint) -> list[Rewrite]:
        """The pairs of each site, and the block."""
        found = full_gaussian(joint, self.sites, Stream())
        kind = "Normal" if found.separate else "MultivariateNormal"
        given = ", given Pólya-Gamma or scale draws" if found.mixture else ""
        after = f"{', '.join(self.sites)} | rest ~ {kind}{given}"
        if self.scales:
            after += f", after {', '.join(self.scales)} without them"
        rows = [r for step in self.members for r in step.rewrites(joint)]
        return [*rows] + [
            Rewrite(
                " and ".join(found.rules.get(name, ("normal",))),
                name,
                tell(joint.nodes[name]),
                after,
            )
            for name in self.sites
        ]


@dataclass(frozen=True)
class StretchStep(Step):
    """Normal sites together times a number g: a Metropolis step without mixture draws.

    Pólya-Gamma draws hold the length of a vector of coefficients most of all (Liu & Sabatti 2000:
    such a group of moves has the Jacobian gⁿ).
    """

    def update(self, joint: Joint, stream: Stream) -> dict[str, Variable]:
        """The sites, stretched where that is accepted."""
        held = [joint.held[name] for name in self.sites]
        n = sum(int(np.prod(v.type.shape, dtype=np.int64)) for v in held)
        density = at.constant(0.0)
        for factor in joint.around(self.sites):
            if not isinstance(factor.family, FlatOp):
                assert factor.family is not None
                density += LeafDensityOp(factor.family)(factor.value, *factor.parameters).sum()
        now, log_density = list(held), density
        for _ in range(2):
            move = proposal(stream, n, 1.0)
            moved = [v * at.exp(move) for v in now]
            (other,) = replay([density], dict(zip(held, moved, strict=True)))
            accepted = is_accepted(stream, other - log_density + n * move)
            now = [at.switch(accepted, *pair) for pair in zip(moved, now, strict=True)]
            log_density = at.switch(accepted, other, log_density)
        return dict(zip(self.sites, now, strict=True))

    def rewrites(self, joint: Joint) -> list[Rewrite]:
        """None: another step draws the sites."""
        return []


@dataclass(frozen=True)
class EnumerationStep(Step):
    """A discrete site by the probability of each of its values.

    Attributes
    ----------
    low, high
        The values that it can have.
    """

    low: int = 0
    high: int = 1

    def update(self, joint: Joint, stream: Stream) -> dict[str, Variable]:
        """A draw of each entry, given that the entries are independent given all other sites."""
        (name,) = self.sites
        site, shape = joint.held[name], joint.factors[name].shape
        scores = []
        for value in range(self.low, self.high + 1):
            fixed = at.alloc(at.constant(value, dtype=site.type.dtype), *shape)
            terms = [_entrywise(f, site, fixed, shape) for f in joint.around([name])]
            scores.append(sum(terms[1:], start=terms[0]))
        logits = at.stack(scores, axis=-1)
        drawn = stream.draw(Categorical(logits=logits), shape)
        return {name: (drawn + self.low).astype(site.type.dtype)}

    def rewrites(self, joint: Joint) -> list[Rewrite]:
        """The number of values."""
        (name,) = self.sites
        count = self.high - self.low + 1
        after = f"{name} | rest ~ Categorical, by its {count} log densities"
        return [Rewrite("enumeration", name, tell(joint.nodes[name]), after)]


@dataclass(frozen=True)
class PriorStep(Step):
    """A site that nothing was drawn from: its distribution given the sites that it depends on."""

    def update(self, joint: Joint, stream: Stream) -> dict[str, Variable]:
        """A draw as the Model has it."""
        (name,) = self.sites
        node = joint.nodes[name].inputs[0].owner
        parameters = joint.factors[name].parameters
        inputs = [stream.state, *node.inputs[1 : len(node.inputs) - len(parameters)], *parameters]
        stream.state, drawn = remake(node, inputs).outputs
        return {name: drawn}

    def rewrites(self, joint: Joint) -> list[Rewrite]:
        """The prior itself."""
        (name,) = self.sites
        prior = tell(joint.nodes[name])
        return [Rewrite("no children", name, prior, f"{name} | rest: the same")]


def ancestral(joint: Joint, name: str) -> PriorStep:
    """The step for a site that nothing was drawn from.

    Raises
    ------
    NotConjugateError
        When something was.
    """
    children = [f for f in joint.around([name]) if f.name != name]
    if children or joint.factors[name].family is None:
        raise NotConjugateError("other sites were drawn from it")
    return PriorStep((name,))


def enumeration(joint: Joint, name: str) -> EnumerationStep:
    """The step for a discrete site of small support.

    Raises
    ------
    NotConjugateError
        When its support is not finite, or its entries are not independent given the rest.
    """
    support, site = joint.nodes[name].op.support, joint.held[name]
    points = support.points
    if not points:
        raise NotConjugateError(f"its support, {support}, is not finite")
    if len(points) > 256:
        raise NotConjugateError(f"it has {len(points)} values")
    shape = joint.factors[name].shape
    for factor in joint.around([name]):
        if factor.family is None:
            raise NotConjugateError(f"{factor.name!r} is a transform of a random variable")
        batch = len(factor.shape) - factor.family.ndim_supp
        inputs = [factor.value, *factor.parameters]
        alike = factor.shape[: len(shape)] == shape and batch >= len(shape)
        if not alike or not all(_aligned(v, site, len(factor.shape)) for v in inputs):
            raise NotConjugateError(f"its entries meet in {factor.name!r}")
    return EnumerationStep((name,), points[0], points[-1])


def _entrywise(factor: Factor, site: Variable, fixed: Variable, shape: tuple[int, ...]) -> Variable:
    """The log density of a factor where the site has the values ``fixed``, for each entry of it."""
    value, *parameters = replay([factor.value, *factor.parameters], {site: fixed})
    assert factor.family is not None
    density = LeafDensityOp(factor.family)(value, *parameters)
    batch = factor.shape[: len(factor.shape) - factor.family.ndim_supp]
    if density.type.shape != batch:
        density = at.alloc(density, *batch)
    axes = list(range(len(shape), len(batch)))
    return density.sum(axis=axes) if axes else density


def _aligned(variable: Variable, site: Variable, ndim: int) -> bool:
    """Whether entry i of ``variable`` depends on entry i of the site alone.

    The first axes of the variable, once broadcast to ``ndim`` axes, are those of the site.
    """
    first = site.type.ndim
    if first == 0:
        return True
    known = {site}
    for node in toposort([variable], [site]):
        if known.isdisjoint(node.inputs):
            continue
        if not _keeps(node, known, first):
            return False
        known.update(node.outputs)
    return variable not in known or variable.type.ndim == ndim


def _keeps(node: Apply, known: set[Variable], first: int) -> bool:
    """Whether an Apply leaves the first axes where they are."""
    out = node.outputs[0].type.ndim
    if isinstance(node.op, SiteOp):
        return True
    if isinstance(node.op, Elemwise):
        return all(v.type.ndim == out for v in node.inputs if v in known)
    if isinstance(node.op, DimShuffle):
        return tuple(node.op.new_order[:first]) == tuple(range(first))
    if isinstance(node.op, AdvancedSubtensor1 | AdvancedSubtensor):
        # x[z]: one row for each entry of z
        return node.inputs[0] not in known and len(node.inputs) == 2
    return False


def choose_steps(joint: Joint) -> tuple[tuple[Step, ...], dict[str, str]]:
    """A step for each site that a rule has one for, and why the others have none.

    Normal sites that are jointly linear are drawn together: it mixes best.
    """
    steps: dict[str, Step] = {}
    reasons: dict[str, str] = {}
    blocks: list[list[str]] = []
    for name, node in joint.nodes.items():
        try:
            if node.op.support.discrete:
                steps[name] = enumeration(joint, name)
            elif may_be_normal(joint.factors[name]):
                full_gaussian(joint, [name], Stream())
                _place(joint, name, blocks)
            else:
                full_conditional(joint, name, Stream())
                steps[name] = ConjugateStep((name,))
        except NotConjugateError as reason:
            try:
                steps[name] = ancestral(joint, name)
            except NotConjugateError:
                reasons[name] = str(reason)
    for block in blocks:
        steps[block[0]] = _with_scales(joint, block, steps)
    ordered = [steps[name] for name in joint.nodes if name in steps]
    mixtures = [s for s in ordered if isinstance(s, GaussianStep) and s.mixture]
    return (*(StretchStep(s.sites) for s in mixtures), *ordered), reasons


def _with_scales(joint: Joint, block: Sequence[str], steps: dict[str, Step]) -> GaussianStep:
    """The step of a block, with those steps of its scales that it repeats."""
    found = scales_of(joint, block)
    scalars = tuple(k for k in found if np.prod(joint.factors[k].shape) == 1)
    if not full_gaussian(joint, block, Stream()).mixture:
        return GaussianStep(tuple(block), scalars)
    members = [s for k in found if isinstance(s := steps.get(k), ConjugateStep)]
    for member in members:
        del steps[member.sites[0]]
    return GaussianStep(tuple(block), scalars, tuple(members), mixture=True)


def _place(joint: Joint, name: str, blocks: list[list[str]]) -> None:
    """Put a normal site into the blocks that it is jointly normal with, which become one."""
    block = [name]
    for other in [b for b in blocks if joint.blanket(b) & {name}]:
        together = [*other, *block]
        size = sum(int(np.prod(joint.factors[k].shape, dtype=np.int64)) for k in together)
        if size > BLOCK:
            continue
        try:
            full_gaussian(joint, together, Stream())
        except NotConjugateError:
            continue
        blocks.remove(other)
        block = together
    blocks.append(block)


def report(joint: Joint, steps: Sequence[Step]) -> Report:
    """Which site gets which step, and why."""
    rows = [r for step in steps for r in step.rewrites(joint)]
    told = {r.path for r in rows}
    for step in steps:
        for name in step.scales if isinstance(step, GaussianStep) else ():
            if name not in told:
                after = f"{name} | rest but {', '.join(step.sites)} by a Metropolis step"
                rows.append(Rewrite("collapsed scale", name, tell(joint.nodes[name]), after))
    return Report("steps", tuple(rows))


def refuse_discrete(joint: Joint, reasons: dict[str, str]) -> None:
    """Raise :class:`ArgumentError` for a discrete site that no step can draw."""
    for name, reason in reasons.items():
        if joint.nodes[name].op.support.discrete:
            raise ArgumentError(
                f"no step can draw the discrete site {name!r}: {reason}",
                path=name,
                expected="finitely many values, each entry independent given the other sites",
                got=tell(joint.nodes[name]),
                fix="observe it, sum it out (a Mixture), or give it a conjugate prior",
            )
