"""The noise of mechanisms: what a drawn site would have been, had its parameters been others.

A mechanism ``y ~ p(· | θ)`` is read as ``y = f(θ, e)`` with noise e that does not depend on θ. A
distribution alone does not say which f. For families that are a standard variable, moved and
stretched, :data:`NOISES` says what everyone means by it; for others it is a choice that changes
the answer, so the user makes it: ``noise={"y": GumbelMax()}``, or a row of one's own::

    NOISES[BernoulliRV] = InverseCDF()

Given y and θ, the noise of different sites is independent, so each rule needs to say only one
thing: what y becomes at θ', as a function or as a distribution.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import aesara.tensor as at
import aesara.tensor.random.basic as aer
from aesara.graph.basic import Apply, Variable

from aeframe.core.errors import ArgumentError
from aeframe.core.graph import replay
from aeframe.core.structure import Structure
from aeframe.core.supports import Support
from aeframe.distributions import Categorical, Distribution, Transformed
from aeframe.distributions.cdf import CUMULATIVE
from aeframe.distributions.density import LeafDensityOp
from aeframe.distributions.draws import Family, parts
from aeframe.distributions.maps import MAPS
from aeframe.distributions.multivariate import MultivariateNormalOp
from aeframe.distributions.positive import HalfStudentTOp, WeibullOp
from aeframe.rewrites.match import match

Parameters = Sequence[Variable]
Formula = Callable[..., Variable]


class Noise(Structure):
    """How a mechanism makes its value of noise: subclass it to declare another way."""

    def value(
        self, value: Variable, family: Family, given: Parameters, new: Parameters, support: Support
    ) -> Variable | Distribution:
        """What ``value``, drawn with the parameters ``given``, is with the parameters ``new``.

        A function of the value, or the distribution that it has given the value.

        Raises
        ------
        NotImplementedError
            When the rule does not say.
        """
        raise NotImplementedError

    def of(self, value: Variable, family: Family, given: Parameters) -> Variable | None:
        """The noise itself, where a value and its parameters tell it."""
        return None


@dataclass(frozen=True)
class Explicit(Noise):
    """A pair of formulas: ``noise(value, *parameters)``, and ``back(noise, *parameters)``.

    Attributes
    ----------
    same
        The places of parameters that the distribution of the noise depends on: these must not
        change.
    """

    noise: Formula
    back: Formula
    same: tuple[int, ...] = ()

    def value(
        self, value: Variable, family: Family, given: Parameters, new: Parameters, support: Support
    ) -> Variable:
        """The value of the same noise."""
        for i in self.same:
            if given[i] is not new[i]:
                raise NotImplementedError(
                    f"parameter {i + 1} of {family.name} depends on what is changed, "
                    "and the noise on it"
                )
        return self.back(self.noise(value, *given), *new)

    def of(self, value: Variable, family: Family, given: Parameters) -> Variable:
        """By its formula."""
        return self.noise(value, *given)

    def reproduced(self, value: Variable, given: Parameters) -> Variable:
        """The value that its own noise gives: the same, if the formulas are inverse."""
        return self.back(self.noise(value, *given), *given)


@dataclass(frozen=True)
class InverseCDF(Noise):
    """The noise is uniform, and the value its quantile: y = F⁻¹(u; θ).

    Larger noise is a larger value, whatever the parameters: a monotone mechanism. For continuous
    families with quantiles in closed form, or that are moved and stretched only; and for those
    with finitely many values, whose value at θ' has the distribution
    P(k) = |(F(y − 1), F(y)] ∩ (F'(k − 1), F'(k)]| / p(y).
    """

    def value(
        self, value: Variable, family: Family, given: Parameters, new: Parameters, support: Support
    ) -> Variable | Distribution:
        """Its quantile from the nearer end, or what is left of u's interval."""
        found = CUMULATIVE.get(type(family))
        if found is not None and found.quantile is not None and found.upper is not None:
            low, high = found.log_cdf(value, *given), found.log_survival(value, *given)
            below = found.quantile(at.exp(at.minimum(low, -0.1)), *new)
            above = found.upper(at.exp(at.minimum(high, -0.1)), *new)
            return at.switch(low < high, below, above)
        if type(family) in INCREASING:
            return INCREASING[type(family)].value(value, family, given, new, support)
        p, q = (_probabilities(value, family, v, support) for v in (given, new))
        here = _picked(value, support)
        top, reached = at.cumsum(p, axis=-1), at.cumsum(q, axis=-1)
        end = (top * here).sum(axis=-1, keepdims=True)
        start = end - (p * here).sum(axis=-1, keepdims=True)
        return _among(at.minimum(end, reached) - at.maximum(start, reached - q), q, support)

    def of(self, value: Variable, family: Family, given: Parameters) -> Variable | None:
        """The probability of a smaller value, where these are continuous."""
        found = CUMULATIVE.get(type(family))
        if found is None or found.quantile is None:
            return None
        return at.exp(found.log_cdf(value, *given))


@dataclass(frozen=True)
class GumbelMax(Noise):
    """The value is the k with the largest log p_k + g_k, of independent standard Gumbel noise g.

    For families with finitely many values, in no order (Oberst and Sontag 2019: a value whose odds
    fell is never what it becomes). With p at θ and q at θ', t = p/q, G(t) = Σ_l max(p_l, q_l t),
    and H(t) = ∫₀ᵗ G⁻², a value i stays with probability 1/G(t_i), and becomes j with probability
    q_j (H(t_i) − H(t_j))₊.
    """

    def value(
        self, value: Variable, family: Family, given: Parameters, new: Parameters, support: Support
    ) -> Distribution:
        """The distribution over all values; G is linear between the t, so that H is a sum."""
        p, q = (_probabilities(value, family, v, support) for v in (given, new))
        here = _picked(value, support)
        t = p / at.maximum(q, 1e-150)
        ends = at.sort(at.concatenate([at.zeros_like(t[..., :1]), t], axis=-1), axis=-1)
        g = at.maximum(p[..., None, :], q[..., None, :] * ends[..., :, None]).sum(axis=-1)
        left, right = ends[..., :-1], ends[..., 1:]
        steps = (right - left) / g[..., :-1] / g[..., 1:]
        within = right[..., None, :] <= t[..., :, None]
        h = (steps[..., None, :] * within).sum(axis=-1)
        own = (t * here).sum(axis=-1, keepdims=True)
        stays = 1 / at.maximum(p, q * own).sum(axis=-1, keepdims=True)
        rise = (h * here).sum(axis=-1, keepdims=True) - h
        return _among(at.switch(here, stays, q * at.maximum(rise, 0.0)), q, support)


def _probabilities(
    value: Variable, family: Family, parameters: Parameters, support: Support
) -> Variable:
    """Of all values that a site may have, along a last axis."""
    if not support.points:
        raise NotImplementedError(f"{family.name} has neither a quantile function nor few values")
    each = [at.zeros_like(value) + k for k in support.points]
    return at.stack([at.exp(LeafDensityOp(family)(k, *parameters)) for k in each], axis=-1)


def _picked(value: Variable, support: Support) -> Variable:
    """True at the place of ``value`` among the points."""
    assert support.points
    places = at.constant(list(support.points), dtype="int64")
    return at.eq(at.shape_padright(value), places)


def _among(weights: Variable, otherwise: Variable, support: Support) -> Distribution:
    """One of the points; weights that are all 0, of an impossible value, are as good as any."""
    assert support.points
    weights = at.maximum(weights, 0.0)
    total = weights.sum(axis=-1, keepdims=True)
    chosen = Categorical(at.switch(total > 0, weights / at.maximum(total, 1e-300), otherwise))
    start = support.points[0]
    return Transformed(chosen, lambda k: k + start, image=support) if start else chosen


def location_scale(location: int, scale: int, same: tuple[int, ...] = ()) -> Explicit:
    """Y = location + scale e, from the places of the two parameters."""
    return Explicit(
        lambda y, *p: (y - p[location]) / p[scale],
        lambda e, *p: p[location] + p[scale] * e,
        same,
    )


def scaled(scale: int, same: tuple[int, ...] = ()) -> Explicit:
    """Y = scale e."""
    return Explicit(lambda y, *p: y / p[scale], lambda e, *p: p[scale] * e, same)


# formulas that increase with the noise
INCREASING: dict[type, Explicit] = {
    **{
        family: location_scale(0, 1)
        for family in (
            aer.NormalRV,
            aer.CauchyRV,
            aer.LaplaceRV,
            aer.LogisticRV,
            aer.GumbelRV,
            aer.HalfNormalRV,
            aer.HalfCauchyRV,
        )
    },
    aer.StudentTRV: location_scale(1, 2, same=(0,)),
    aer.ExponentialRV: scaled(0),
    aer.RayleighRV: scaled(0),
    aer.GammaRV: scaled(1, same=(0,)),
    aer.InvGammaRV: scaled(1, same=(0,)),
    WeibullOp: scaled(1, same=(0,)),
    HalfStudentTOp: scaled(1, same=(0,)),
    aer.UniformRV: Explicit(lambda y, a, b: (y - a) / (b - a), lambda e, a, b: a + (b - a) * e),
    aer.LogNormalRV: Explicit(
        lambda y, mean, sd: (at.log(y) - mean) / sd, lambda e, mean, sd: at.exp(mean + sd * e)
    ),
}

NOISES: dict[type, Noise] = {
    **INCREASING,
    MultivariateNormalOp: Explicit(
        lambda y, mean, factor: y - mean, lambda e, mean, factor: mean + e, same=(1,)
    ),
}


def mechanism(node: Apply, value: Variable) -> tuple[Variable, Variable] | None:
    """The draw that a site is a chain of invertible maps of, and its value."""
    draw = node.inputs[0]
    while parts(draw) is None:
        maps = ((back, match(pattern, draw, {})) for _, pattern, back in MAPS)
        back, bound = next((m for m in maps if m[1] is not None), (None, None))
        branches = back(value, bound.get("c")) if back and bound else ()
        if bound is None or len(branches) != 1:
            return None
        draw, value = bound["x"], branches[0].u
    return draw, value


def rule_for(name: str, family: Family, declared: Mapping[str, Noise]) -> Noise:
    """The rule of a site: declared for it, or that of its family.

    Raises
    ------
    ArgumentError
        When there is none.
    """
    rule = declared.get(name, NOISES.get(type(family)))
    if rule is None:
        raise undeclared(name, f"its family is {family.name}")
    return rule


def undeclared(name: str, got: str) -> ArgumentError:
    """The error for a mechanism whose noise is not known."""
    return ArgumentError(
        f"the noise of {name!r} is neither declared nor can it be derived",
        path=name,
        expected="a location and a scale, or a declaration: it decides the counterfactual",
        got=got,
        fix=f"declare it: noise={{{name!r}: ae.causal.InverseCDF()}} for a monotone mechanism, or "
        "ae.causal.GumbelMax() for labels; or make the noise a site of its own and the value a "
        "`self.deterministic(...)` function of it",
    )


def unable(name: str, rule: Noise, got: str) -> ArgumentError:
    """The error for a declared rule that does not cover the mechanism."""
    return ArgumentError(
        f"{type(rule).__name__} cannot say what the noise of {name!r} is",
        path=name,
        expected="a family with finitely many values, or for InverseCDF one whose quantiles have a "
        "closed form (not Beta, Poisson or Binomial of unknown n; Gamma only with a fixed shape)",
        got=got,
        fix=f"noise={{{name!r}: ae.causal.Explicit(noise, back)}} with a pair of formulas, or make "
        "the noise a site of its own and the value a `self.deterministic(...)` function of it",
    )


def coupled(
    natural: Apply, copied: Apply, declared: Mapping[str, Noise]
) -> Variable | Distribution:
    """The value of the site ``copied`` with the noise that gave ``natural`` its value.

    Raises
    ------
    ArgumentError
        When the noise is neither declared nor derivable.
    """
    name = natural.op.name
    before, after = (mechanism(n, natural.outputs[0]) for n in (natural, copied))
    if before is None or after is None:
        raise undeclared(name, "it is an expression of draws that no invertible maps make")
    (family, given), (_, new) = (parts(draw) for draw, _ in (before, after))  # type: ignore[misc]
    rule = rule_for(name, family, declared)
    try:
        made = rule.value(before[1], family, given, new, natural.op.support)
    except NotImplementedError as reason:
        if name in declared:
            raise unable(name, rule, str(reason)) from reason
        raise undeclared(name, str(reason)) from reason
    if isinstance(made, Distribution):
        if copied.inputs[0] is not after[0]:
            raise undeclared(name, "it is a function of a draw with few values")
        return made
    return replay([copied.inputs[0]], {after[0]: made})[0]


def noise_of(node: Apply, declared: Mapping[str, Noise]) -> Variable | None:
    """The noise of a drawn site as a function of its value, where a rule tells it."""
    found = mechanism(node, node.outputs[0])
    if found is None:
        return None
    family, given = parts(found[0])  # type: ignore[misc]
    rule = declared.get(node.op.name, NOISES.get(type(family)))
    return None if rule is None else rule.of(found[1], family, given)


def reproduced(node: Apply, declared: Mapping[str, Noise]) -> tuple[Variable, Variable] | None:
    """What declared formulas make of the noise of a drawn site, and what it should be."""
    found, rule = mechanism(node, node.outputs[0]), declared.get(node.op.name)
    if found is None or not isinstance(rule, Explicit):
        return None
    _, given = parts(found[0])  # type: ignore[misc]
    return rule.reproduced(found[1], given), found[1]
