"""Distributions made of others: mixtures, inflated zeros, draws in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Variable

from aeframe.core.errors import ArgumentError, DataError, ShapeError
from aeframe.core.supports import Integers, Ordered, Positive, PositiveOrdered, Real, Support
from aeframe.distributions.base import PROBABILITY, Distribution, Domain, as_parameter
from aeframe.distributions.density import inside, leaf_density, log_probability, log_sum_exp
from aeframe.distributions.discrete import BERNOULLI, CATEGORICAL, require_simplex
from aeframe.distributions.draws import (
    Drawn,
    DrawOp,
    Family,
    Shape,
    Size,
    draw_of,
    parameter_ndims,
    standard,
)


def member_draw(
    family: Family, rng: Variable, shape: Sequence[Size], parameters: Sequence[Variable]
) -> Drawn:
    """A draw of one of the families that a combination is made of."""
    event: Shape = (None,) * family.ndim_supp
    return draw_of(family.name, family, event, parameters, rng, shape)


class Combined(Distribution):
    """Base of distributions made of others: their parameters are among its own."""

    def parameters(self) -> tuple[Any, ...]:
        """As tensors, with whole numbers as their distributions have them."""
        return tuple(self.given())

    def given(self) -> list[Variable]:
        """The parameters of :attr:`op`."""
        raise NotImplementedError(f"{type(self).__name__} does not name its parameters")


class ComponentsOp(DrawOp):
    """Base of what has K components: ``(rng, *own parameters, *parameters of the components)``.

    ``families`` has one entry for each component, or a single one whose parameters have a last
    batch axis of K entries. ``counts`` are the numbers of parameters of each family.
    """

    __props__: tuple[str, ...] = ("families", "counts", "shape")
    n_own: ClassVar[int]  # parameters before those of the components
    own_ndims: ClassVar[Sequence[int]]

    def __init__(
        self,
        families: Sequence[Family],
        counts: Sequence[int],
        shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(shape)
        self.families, self.counts = tuple(families), tuple(counts)
        self.dtype = self.families[0].dtype
        self.ndim_supp = self.families[0].ndim_supp
        axis = int(len(self.families) == 1)
        inner = [
            n + axis
            for family, count in zip(self.families, self.counts, strict=True)
            for n in parameter_ndims(family, count)
        ]
        self.ndims_params = (*self.own_ndims, *inner)

    def groups(self, parameters: Sequence[Variable]) -> list[Sequence[Variable]]:
        """The parameters of each family."""
        ends = np.cumsum(self.counts)
        return [parameters[e - n : e] for e, n in zip(ends, self.counts, strict=True)]

    def scores(self, value: Variable, parameters: Sequence[Variable]) -> Variable:
        """The log density of each draw under each component: (..., K)."""
        groups = self.groups(parameters)
        if len(self.families) == 1:
            place = value.type.ndim - self.families[0].ndim_supp
            return leaf_density(self.families[0], at.expand_dims(value, place), *groups[0])
        pairs = zip(self.families, groups, strict=True)
        found = at.broadcast_arrays(*(leaf_density(f, value, *group) for f, group in pairs))
        return at.stack(found, axis=-1)

    def picks(
        self,
        rng: Variable,
        shape: Sequence[Size],
        component: Variable,
        k: int | None,
        parameters: Sequence[Variable],
    ) -> Drawn:
        """A draw of ``shape`` of that of the ``k`` components for each."""
        groups, event = self.groups(parameters), self.families[0].ndim_supp
        cut = len(shape) - event
        index = at.shape_padright(component, event)
        if len(self.families) == 1:
            if k is None:
                raise ShapeError("the number of components is not known", expected="a known size")
            rng, each = member_draw(
                self.families[0], rng, [*shape[:cut], k, *shape[cut:]], groups[0]
            )
            drawn = [at.take(each, i, axis=cut) for i in range(k)]
        else:
            drawn = []
            for family, group in zip(self.families, groups, strict=True):
                rng, one = member_draw(family, rng, shape, group)
                drawn.append(one)
        total = drawn[0]
        for i, one in enumerate(drawn[1:], 1):
            total = at.switch(at.eq(index, i), one, total)
        return rng, total


class IndependentOp(DrawOp):
    """``(rng, *parameters)``: independent draws of one family, their last ``axes`` as one draw."""

    __props__ = ("family", "count", "axes", "shape")

    def __init__(
        self, family: Family, count: int, axes: int, shape: Sequence[int] | None = None
    ) -> None:
        super().__init__(shape)
        self.family, self.count, self.axes = family, count, axes
        self.dtype = family.dtype
        self.ndim_supp = family.ndim_supp + axes
        self.ndims_params = [n + axes for n in parameter_ndims(family, count)]

    def sample(self, rng: Variable, shape: Sequence[Size], *parameters: Variable) -> Drawn:
        """Those of the family."""
        return member_draw(self.family, rng, shape, parameters)

    def log_density(self, value: Variable, *parameters: Variable) -> Variable:
        """Σ log p(xᵢ) over the last axes."""
        each = leaf_density(self.family, value, *parameters)
        return each.sum(axis=list(range(-self.axes, 0)))


class MixtureOp(ComponentsOp):
    """``(rng, weights (..., K), *parameters of the components)``: the component is summed out."""

    own_ndims = (1,)

    def sample(self, rng: Variable, shape: Sequence[Size], *parameters: Variable) -> Drawn:
        """A component, and a draw of it."""
        weights, *inner = parameters
        batch = list(shape)[: len(shape) - self.ndim_supp]
        rng, component = standard(CATEGORICAL, rng, batch, weights)
        return self.picks(rng, shape, component, weights.type.shape[-1], inner)

    def log_density(self, value: Variable, *parameters: Variable) -> Variable:
        """Log Σₖ wₖ pₖ(x)."""
        weights, *inner = parameters
        return log_sum_exp(log_probability(weights) + self.scores(value, inner))


def components_of(
    name: str, components: Any
) -> tuple[list[Distribution], tuple[Family, ...], tuple[int, ...]]:
    """The distributions, families and numbers of parameters of what a user calls components.

    Raises
    ------
    ArgumentError
        When they are no distributions, or draws of different kinds.
    """
    given = list(components) if isinstance(components, list | tuple) else [components]
    if not given or not all(isinstance(c, Distribution) and hasattr(c, "op") for c in given):
        raise ArgumentError(
            f"the components of {name} are distributions",
            expected="a list of distributions, or one whose arguments have a last axis of K",
            got=repr(components),
        )
    kinds = {(c.op.dtype, c.op.ndim_supp) for c in given}
    if len(kinds) > 1:
        raise ArgumentError(
            f"the components of {name} are of different kinds",
            expected="all discrete or all continuous, all numbers or all vectors",
            got=", ".join(type(c).__name__ for c in given),
        )
    return given, tuple(c.op for c in given), tuple(len(c.given()) for c in given)


def common_support(components: Sequence[Distribution]) -> Support:
    """The support of all components, or one that holds them all."""
    first = components[0].support
    if all(c.support == first and not c.support_arguments() for c in components):
        return first
    return Integers() if any(c.support.discrete for c in components) else Real()


@dataclass(frozen=True, eq=False)
class Mixture(Combined):
    """p(x) = Σₖ weights[k] pₖ(x): which component a draw came from is summed out.

    Parameters
    ----------
    weights
        (..., K), each row adds up to 1.
    components
        K distributions, or one whose arguments have a last axis of K entries.

    >>> from aeframe.distributions import Normal
    >>> two = Mixture([0.5, 0.5], [Normal(-1.0, 1.0), Normal(1.0, 1.0)])
    >>> same = Mixture([0.5, 0.5], Normal([-1.0, 1.0], 1.0))
    >>> [round(float(m.log_density(0.0).eval()), 4) for m in (two, same)]
    [-1.4189, -1.4189]
    """

    weights: Any
    components: Any
    domains: ClassVar[Mapping[str, Domain]] = {"weights": PROBABILITY}

    def __post_init__(self) -> None:
        super().__post_init__()
        require_simplex("Mixture", self.weights)
        parts, families, _ = components_of("Mixture", self.components)
        k = as_parameter("Mixture", self.weights).type.shape[-1:]
        if len(families) > 1 and k[0] is not None and k[0] != len(parts):
            raise DataError(
                "Mixture needs a weight for each component",
                expected=f"{len(parts)} weights along the last axis",
                got=f"{k[0]}",
            )

    @property
    def op(self) -> Family:  # type: ignore[override]
        """The mixture of these families."""
        return MixtureOp(*components_of("Mixture", self.components)[1:])

    @property
    def support(self) -> Support:  # type: ignore[override]
        """That of the components."""
        return common_support(components_of("Mixture", self.components)[0])

    def given(self) -> list[Variable]:
        """The weights, and the parameters of each component."""
        parts = components_of("Mixture", self.components)[0]
        return [as_parameter("Mixture", self.weights), *(v for c in parts for v in c.given())]

    def event_shape(self) -> Shape:
        """That of the components."""
        return components_of("Mixture", self.components)[0][0].event_shape()


class ZeroInflatedOp(DrawOp):
    """``(rng, p, *parameters)``: 0 with probability p, else a draw of ``family``."""

    __props__ = ("family", "shape")
    dtype = "int64"

    def __init__(self, family: Family, shape: Sequence[int] | None = None) -> None:
        super().__init__(shape)
        self.family = family
        self.ndims_params = (0, *family.ndims_params)

    def sample(self, rng: Variable, shape: Sequence[Size], *parameters: Variable) -> Drawn:
        """A draw, and whether it counts."""
        p, *inner = parameters
        rng, drawn = member_draw(self.family, rng, shape, inner)
        rng, zero = standard(BERNOULLI, rng, shape, p)
        return rng, at.switch(zero, 0, drawn)

    def log_density(self, value: Variable, *parameters: Variable) -> Variable:
        """log(p [x = 0] + (1 − p) P(x))."""
        p, *inner = parameters
        own = at.log1p(-at.minimum(p, 1.0)) + leaf_density(self.family, value, *inner)
        extra = at.switch(at.eq(value, 0), log_probability(p), -np.inf)
        return log_sum_exp(at.stack(at.broadcast_arrays(own, extra), axis=-1))


@dataclass(frozen=True, eq=False)
class ZeroInflated(Combined):
    """Counts with more zeros: 0 with probability ``p``, else a draw of ``distribution``.

    P(k) = p [k = 0] + (1 − p) P_distribution(k).

    >>> from aeframe.distributions import Poisson
    >>> round(float(ZeroInflated(0.5, Poisson(1.0)).log_density(1).eval()), 4)
    -1.6931
    """

    p: Any
    distribution: Distribution
    domains: ClassVar[Mapping[str, Domain]] = {"p": PROBABILITY}

    def __post_init__(self) -> None:
        super().__post_init__()
        (inner,), *_ = components_of("ZeroInflated", self.distribution)
        if not inner.support.discrete or inner.op.ndim_supp:
            raise ArgumentError(
                "ZeroInflated needs a distribution of counts",
                expected="Poisson, NegativeBinomial, Binomial, ...",
                got=type(inner).__name__,
            )

    @property
    def op(self) -> Family:  # type: ignore[override]
        """Of this family."""
        return ZeroInflatedOp(self.distribution.op)

    @property
    def support(self) -> Support:  # type: ignore[override]
        """That of the distribution."""
        return self.distribution.support

    def given(self) -> list[Variable]:
        """p, and the parameters of the distribution."""
        return [as_parameter("ZeroInflated", self.p), *self.distribution.given()]


class SortedOp(DrawOp):
    """``(rng, *parameters)``: independent draws in increasing order, along the last axis."""

    __props__ = ("family", "shape")
    ndim_supp = 1

    def __init__(self, family: Family, shape: Sequence[int] | None = None) -> None:
        super().__init__(shape)
        self.family = family

    def sample(self, rng: Variable, shape: Sequence[Size], *parameters: Variable) -> Drawn:
        """Draws, sorted."""
        rng, drawn = member_draw(self.family, rng, shape, [_column(p) for p in parameters])
        return rng, at.sort(drawn, axis=-1)

    def log_density(self, value: Variable, *parameters: Variable) -> Variable:
        """Log n! + Σ log p(xᵢ), where they increase."""
        each = leaf_density(self.family, value, *(_column(p) for p in parameters))
        n = value.shape[value.type.ndim - 1]
        rises = at.all(value[..., 1:] >= value[..., :-1], axis=-1)
        return inside(rises, at.gammaln(n + 1.0) + each.sum(axis=-1))


def _column(parameter: Variable) -> Variable:
    return at.shape_padright(parameter)


@dataclass(frozen=True, eq=False)
class Sorted(Combined):
    """``n`` independent draws of ``distribution`` in increasing order: ordered vectors.

    p(x) = n! Π p(xᵢ) for x₁ < ... < xₙ; what cutpoints and the means of a mixture need, whose
    order would else mean nothing.

    >>> from aeframe.distributions import Normal
    >>> Sorted(Normal(0.0, 1.0), 3).support
    Ordered()
    """

    distribution: Distribution
    n: int

    def __post_init__(self) -> None:
        (inner,), *_ = components_of("Sorted", self.distribution)
        if inner.support not in (Real(), Positive()) or inner.op.ndim_supp:
            raise ArgumentError(
                "Sorted takes a distribution on all or on all positive numbers",
                got=type(inner).__name__,
            )
        if not isinstance(self.n, int) or self.n < 1:
            raise ArgumentError("Sorted takes a number of draws", got=repr(self.n))

    @property
    def op(self) -> Family:  # type: ignore[override]
        """Of this family."""
        return SortedOp(self.distribution.op)

    @property
    def support(self) -> Support:  # type: ignore[override]
        """Increasing vectors."""
        return Ordered() if self.distribution.support == Real() else PositiveOrdered()

    def given(self) -> list[Variable]:
        """Those of the distribution."""
        return self.distribution.given()

    def event_shape(self) -> Shape:
        """(n,)."""
        return (self.n,)
