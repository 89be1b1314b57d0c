"""Full conditionals: the distribution of one site given all others, by the conjugate pairs.

The prior gives a form, each child adds to its coefficients: what its entries say is summed down
to the site's shape, whatever broadcasting, indexing and plates lie between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import aesara.tensor as at
from aesara.graph.basic import Variable

from aeframe.core.errors import FitError
from aeframe.core.graph import leaves, replay
from aeframe.core.shapes import evaluate
from aeframe.distributions import Beta, Dirichlet, Distribution, Exponential, Gamma, InverseGamma
from aeframe.infer.conjugate.conjugacy import (
    POSITIVE,
    POSITIVE_PRIORS,
    PROBABILITY,
    PROBABILITY_PRIORS,
    SIMPLEX,
    SIMPLEX_PRIORS,
    Likelihood,
    Pair,
    Prior,
)
from aeframe.infer.conjugate.entry import Entry, entry, keeps_last_axis
from aeframe.infer.conjugate.joint import Factor, Joint, Stream, as_float


class NotConjugateError(Exception):
    """Why a site has no full conditional in closed form; steps are chosen by catching it."""


@dataclass(frozen=True)
class Conditional:
    """The distribution of ``site ** power`` given the other sites.

    Attributes
    ----------
    site
        Its name.
    distribution
        Its arguments are functions of the other sites' values.
    power
        1 unless the distribution is that of a power of the site.
    rules
        The pairs, such as "gamma-Poisson".
    mixture
        Whether the arguments hold draws, and the value of the site itself.
    """

    site: str
    distribution: Distribution
    power: float
    rules: tuple[str, ...]
    mixture: bool

    def draw(self, stream: Stream, shape: Sequence[int]) -> Variable:
        """A draw of the site."""
        drawn = stream.draw(self.distribution, shape)
        return drawn if self.power == 1.0 else drawn ** (1.0 / self.power)


@dataclass(frozen=True)
class Group:
    """Likelihoods of one form, and the priors that fit it."""

    likelihoods: Sequence[Likelihood]
    priors: Sequence[Prior]


GROUPS = (
    Group(POSITIVE, POSITIVE_PRIORS),
    Group(PROBABILITY, PROBABILITY_PRIORS),
    Group(SIMPLEX, SIMPLEX_PRIORS),
)


def full_conditional(joint: Joint, name: str, stream: Stream) -> Conditional:
    """The distribution of the site ``name`` given all others.

    Raises
    ------
    NotConjugateError
        When the prior, or the way the site enters one of its children, has no rule.
    FitError
        When it cannot be normalized.
    """
    own = joint.factors[name]
    reason = None
    for group in GROUPS:
        for prior in group.priors:
            if type(own.family) is prior.family and prior.fits(own.parameters):
                try:
                    return _Sum(joint, own, group, prior, stream).conditional()
                except NotConjugateError as error:
                    reason = error
    if reason is not None:
        raise reason
    family = own.family.name if own.family is not None else "a transform of a random variable"
    raise NotConjugateError(f"no conjugate pair has the prior {family}")


class _Sum:
    """The coefficients of a full conditional, while they are summed."""

    def __init__(
        self, joint: Joint, own: Factor, group: Group, prior: Prior, stream: Stream
    ) -> None:
        self.joint, self.own, self.group, self.prior, self.stream = joint, own, group, prior, stream
        self.site = own.value
        # stands for the value that scale mixtures are drawn given, where the site must not
        self.current = self.site.type(name="current")
        self.first, self.second = self._prior_terms()
        self.rules: list[str] = []
        self.mixture = prior.mixture

    def conditional(self) -> Conditional:
        """Prior and children together."""
        for child in self.joint.around([self.own.name]):
            if child is not self.own:
                self._add(child)
        back = {self.current: self.site}
        a, b, self.stream.state = replay([self.first, self.second, self.stream.state], back)
        power = 1.0
        distribution: Distribution
        if self.group.likelihoods is PROBABILITY:
            distribution = Beta(a, b)
        elif self.group.likelihoods is SIMPLEX:
            distribution = Dirichlet(a)
        else:  # xᴸ exp(−b xᵖ): xᵖ is gamma of (L + 1)/p and b
            power, distribution = self._positive((a + 1) / self.prior.power, b)
        rules = tuple(dict.fromkeys(self.rules)) or (self.prior.name,)
        return Conditional(self.own.name, distribution, power, rules, self.mixture)

    def _positive(self, shape: Variable, b: Variable) -> tuple[float, Distribution]:
        """The power, and its distribution, for a site whose power of the prior is gamma."""
        known, power = evaluate(shape), self.prior.power
        if known is not None and not (known > 0.0).all():
            raise improper([self.own.name])
        if power == -1.0:
            return 1.0, InverseGamma(shape, b)
        # an exponential costs a third of a gamma
        one = known is not None and (known == 1.0).all()
        return power, Exponential(b) if one else Gamma(shape, b)

    def _frozen(self, variables: Sequence[Variable]) -> list[Variable]:
        return replay(variables, {self.site: self.current})

    def _prior_terms(self) -> Pair:
        if self.site in leaves(self.own.parameters):
            raise NotConjugateError("its prior depends on itself")
        start = (self.stream, self.own.shape, self.current) if self.prior.mixture else ()
        first, second = self.prior.terms(*start, *self._frozen(self.own.numbers())[1:])
        return spread(first, self.own.shape), spread(second, self.own.shape)

    def _add(self, child: Factor) -> None:
        """Add what ``child`` says of the site."""
        likelihood, found = self._likelihood(child)
        start = (self.stream, child.shape) if likelihood.mixture else ()
        values = self._frozen(child.numbers())
        terms = likelihood.terms(*start, *values)
        if not likelihood.mixture and self.current in leaves(terms):
            raise NotConjugateError(f"it is in the density of {child.name!r} more than once")
        self.mixture |= likelihood.mixture
        self.rules.append(f"{self.prior.name}-{likelihood.name}")
        event = 1 if self.group.likelihoods is SIMPLEX else 0
        shape = child.shape
        if event and likelihood.family.__name__.startswith("Categorical"):
            shape = (*shape, found.argument.type.shape[-1])
        first, second = (gather(spread(t, shape), found.argument) for t in terms)
        if self.group.likelihoods is PROBABILITY:
            if found.complement:
                first, second = second, first
            self.first += found.summed(first)
            self.second += found.summed(second)
        elif self.group.likelihoods is SIMPLEX:
            self.first += found.summed(first)
        else:
            self.first += found.power * found.summed(first)
            scale = found.scale if found.scaled else at.constant(1.0)
            self.second += found.summed(second * scale**likelihood.power)

    def _likelihood(self, child: Factor) -> tuple[Likelihood, Entry]:
        """The row of ``child``, and how the site enters it."""
        where = [i for i, p in enumerate(child.parameters) if self.site in leaves([p])]
        family = child.family
        told = f"{child.name!r}" + (f" ({family.name})" if family is not None else "")
        if len(where) != 1:
            raise NotConjugateError(f"{told} depends on it in several ways")
        rows = [
            row
            for row in self.group.likelihoods
            if type(family) is row.family and row.parameter == where[0]
        ]
        found = entry(child.parameters[where[0]], self.site)
        if rows and found is None:
            raise NotConjugateError(f"the way it enters {told} has no rule")
        if not rows or found is None or not self._fits(found, rows[0]):
            raise NotConjugateError(
                f"a {self.prior.name} prior is not conjugate to how it enters {told}"
            )
        return rows[0], found

    def _fits(self, found: Entry, row: Likelihood) -> bool:
        if self.group.likelihoods is POSITIVE:
            return not found.complement and found.power * row.power == self.prior.power
        if self.group.likelihoods is SIMPLEX:
            return (
                found.plain and not found.complement and keeps_last_axis(found.argument, found.site)
            )
        return found.plain


def improper(sites: Sequence[str]) -> FitError:
    """The error where priors and observations together do not give a density."""
    return FitError(
        "the posterior cannot be normalized",
        path=", ".join(sites),
        expected="a proper posterior",
        fix="give these sites a proper prior, or observe more",
    )


def spread(term: Variable, shape: Sequence[int]) -> Variable:
    """A term with an entry for each of ``shape``."""
    term = as_float(term)
    return term if term.type.shape == tuple(shape) else at.alloc(term, *shape)


def gather(terms: Variable, argument: Variable) -> Variable:
    """Terms summed to the shape of the argument that was broadcast against them."""
    extra = terms.type.ndim - argument.type.ndim
    if extra:
        terms = terms.sum(axis=list(range(extra)))
    wide = [
        i
        for i, (own, size) in enumerate(zip(terms.type.shape, argument.type.shape, strict=True))
        if size == 1 and own != 1
    ]
    return terms.sum(axis=wide, keepdims=True) if wide else terms
