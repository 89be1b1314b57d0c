"""Exact: the posterior in closed form, where conjugate pairs give one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from threading import Lock
from typing import TYPE_CHECKING, Any

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Variable
from numpy.typing import NDArray

from aeframe.backends import Program, to_numpy
from aeframe.core.arguments import count
from aeframe.core.cells import State
from aeframe.core.errors import ArgumentError
from aeframe.core.summary import plain_table
from aeframe.distributions import Distribution, Exponential, Gamma, InverseGamma
from aeframe.infer.conjugate.closed import Block, One, Part
from aeframe.infer.conjugate.conditional import (
    Conditional,
    NotConjugateError,
    full_conditional,
    improper,
)
from aeframe.infer.conjugate.gaussian import Gaussian, full_gaussian
from aeframe.infer.conjugate.joint import Joint, Stream, joint
from aeframe.infer.conjugate.steps import ConjugateStep, GaussianStep, Step, choose_steps, report
from aeframe.infer.posterior import Inference, Posterior
from aeframe.prob import Model
from aeframe.prob.density import log_density
from aeframe.prob.programs import Arguments, arguments, backend_of, cached
from aeframe.prob.simulate import Draws
from aeframe.prob.sites import find_site
from aeframe.rewrites import Report

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class ConjugatePosterior(Posterior):
    """The distribution of each site in closed form.

    Attributes
    ----------
    parts
        Groups of sites, independent of each other given the observations.
    free
        The sites in the Model's order.
    log_evidence
        The log probability of the observations.
    """

    method: Exact
    parts: tuple[Part, ...]
    free: tuple[str, ...]
    log_evidence: float

    def distribution(self, site: str) -> Distribution:
        """The posterior distribution of a site, with numbers for arguments.

        That of a normal site with several entries is a MultivariateNormal of these in a row;
        where the variance is inferred too, each entry's StudentT.
        """
        return self._part(site).distribution(site)

    def mean(self, site: str) -> NDArray[np.float64]:
        """The exact posterior expectation of a site; of draws for one that is computed."""
        if site not in self.free:
            return super().mean(site)
        return np.asarray(self._part(site).marginal(site).mean())

    def sd(self, site: str) -> NDArray[np.float64]:
        """The exact posterior standard deviation of each entry."""
        return np.asarray(self._part(site).marginal(site).std())

    def quantile(self, site: str, q: float) -> NDArray[np.float64]:
        """The value that each entry lies below with probability ``q``."""
        return np.asarray(self._part(site).marginal(site).ppf(q))

    def draws(self, n: int, seed: int = 0) -> Draws:
        """``n`` independent draws of the free sites."""
        count("n", n)
        rng = np.random.default_rng([seed, len(self.free)])
        found: Draws = {}
        for part in self.parts:
            found |= part.draws(n, rng)
        return {name: found[name] for name in self.free}

    def explain(self) -> Report:
        """By which rule each site was found, and what became of its prior."""
        return self.method.explain(self.model, *self.data)

    def table(self) -> Table:
        """Each site's mean, sd and distribution."""
        table = plain_table("", "site", "entry", "mean", "sd", "5%", "95%", "distribution")
        for name in self.free:
            columns = [self.mean(name), self.sd(name), self.quantile(name, 0.05)]
            columns.append(self.quantile(name, 0.95))
            family = type(self.distribution(name)).__name__
            for index in list(np.ndindex(columns[0].shape))[:12]:
                numbers = [f"{c[index]:.4g}" for c in columns]
                table.add_row(name, ", ".join(map(str, index)), *numbers, family)
        return table

    def _part(self, site: str) -> Part:
        return find_site(site, {k: p for p in self.parts for k in p.sites}, "ask for")


@dataclass(frozen=True)
class Exact(Inference):
    """The posterior in closed form.

    There is one where every free site has a conjugate full conditional in which no other free
    site is left: single sites, jointly normal ones, and a normal block with an unknown variance
    or precision (or sd, where its prior is flat) in common: normal-inverse-gamma.

    >>> from aeframe.distributions import Gamma, Poisson
    >>> class Counts(Model):
    ...     def __call__(self):
    ...         rate = self.sample("rate", Gamma(2, 5))
    ...         self.sample("y", Poisson(rate))
    >>> posterior = Counts().observe({"y": 3}).fit(inference=Exact())
    >>> found = posterior.distribution("rate")
    >>> type(found).__name__, float(found.shape), float(found.rate)
    ('Gamma', 5.0, 6.0)
    """

    def run(self, model: Model, data: Sequence[Any]) -> ConjugatePosterior:
        """Find the distributions, and evaluate their arguments on the data.

        Raises
        ------
        ArgumentError
            When a site has no conjugate full conditional, or it depends on other free sites.
        FitError
            When the posterior cannot be normalized: too little data for an improper prior.
        """
        system, parts, log_joint = self._find(model, data)
        # Bayes' theorem at one place (Chib 1995)
        evidence = log_joint - sum(part.log_density() for part in parts)
        why = "; ".join(f"{s.path} by {s.rule}" for s in system.report.steps)
        free = tuple(system.joint.nodes)
        return ConjugatePosterior(model, tuple(data), self, why, parts, free, evidence)

    def explain(self, model: Model, *data: Any) -> Report:
        """By which rule each site is found, and what becomes of its prior.

        Raises
        ------
        ArgumentError
            When there is no exact posterior.
        FitError
            When the posterior cannot be normalized.
        """
        return self._find(model, data)[0].report

    def _find(self, model: Model, data: Sequence[Any]) -> tuple[System, tuple[Part, ...], float]:
        """The programs, the distributions (numbers show whether a pair is exact), and the density.

        The log joint density is that at the place of the distributions.
        """
        given = arguments(model, data)
        system = self.system(model, given)
        model.init()
        with system.lock:
            for cell, array in zip(system.data, given.arrays, strict=True):
                cell.value = array
            parts = tuple(group.part(system) for group in system.groups)
            place = {k: v for part in parts for k, v in part.place().items()}
            log_joint = system.evaluate(system.log_joint, place)[0]
        return system, parts, float(log_joint)

    def system(self, model: Model, given: Arguments) -> System:
        """The programs for data of these types."""
        return cached(model, ("exact", repr(given.types)), lambda: _compile(model, given))


@dataclass(frozen=True)
class System:
    """The programs of one Model on data of one type; values of free sites are their inputs.

    ``lock`` is to be held while the cells have the data of one fit: another may be under way.
    """

    joint: Joint
    data: tuple[State, ...]
    groups: tuple[Group, ...]
    log_joint: Program
    report: Report
    lock: Lock = field(default_factory=Lock)

    def evaluate(self, program: Program, values: dict[str, Any]) -> list[Any]:
        """The outputs of a program; sites without a value are at 1."""
        rows = [
            np.broadcast_to(np.asarray(values.get(k, 1.0), dtype=v.type.dtype), v.type.shape)
            for k, v in self.joint.held.items()
        ]
        return [to_numpy(v) for v in program(*(np.array(r) for r in rows))]


@dataclass(frozen=True)
class Group:
    """Sites whose distributions are found together: one, or a normal block and its variance.

    ``family`` is that of the last site to the ``power``.
    """

    sites: tuple[str, ...]
    family: type[Distribution] | None
    arguments: Program | None
    power: float = 1.0
    gaussian: Gaussian | None = None
    system: Program | None = None

    def part(self, given: System) -> Part:
        """The distributions, on the data that the cells hold.

        Raises
        ------
        FitError
            When they cannot be normalized.
        """
        if self.gaussian is None:
            return self._one(given, {}, 0)
        assert self.system is not None
        q, h = given.evaluate(self.system, {})
        scale = np.sqrt(np.abs(np.diag(q)))
        if not scale.all():
            raise improper(self.sites)
        eigenvalues = np.linalg.eigvalsh(q / np.outer(scale, scale))
        if not eigenvalues[0] > len(q) * np.finfo(float).eps * eigenvalues[-1]:
            raise improper(self.sites)
        mean, covariance = np.linalg.solve(q, h), np.linalg.inv(q)
        covariance = 0.5 * (covariance + covariance.T)
        shapes = self.gaussian.sites
        if self.family is None:
            return Block(shapes, mean, covariance)
        variance = self.sites[-1]
        power = -1.0 if self.family is InverseGamma else self.power
        q2, h2 = given.evaluate(self.system, {variance: 2.0})
        if not (np.allclose(q2, 2.0**power * q, 1e-10) and np.allclose(h2, 2.0**power * h, 1e-10)):
            raise _not_exact(
                self.sites[0],
                f"its precision is not proportional to {variance} ** {power:g}",
            )
        values = {k: v for k, v in Block(shapes, mean, covariance).place().items() if k in shapes}
        # ∫ uᴬ⁻¹ exp(−u (B(m) + ½ (x−m)ᵀQ(x−m))) dx: A loses half the number of entries
        return Block(shapes, mean, covariance, self._one(given, values, len(mean)))

    def _one(self, given: System, values: dict[str, Any], integrated: int) -> One:
        assert self.family is not None and self.arguments is not None
        numbers = given.evaluate(self.arguments, values)
        numbers[0] = numbers[0] - 0.5 * integrated
        if not all(np.all(np.isfinite(v)) and np.all(v > 0) for v in numbers):
            raise improper(self.sites[-1:])
        return One(self.sites[-1], self.family(*numbers), self.power)


def _compile(model: Model, given: Arguments) -> System:
    symbols, arrays = given.symbols(), iter(given.arrays)
    cells = [State(next(arrays)) if isinstance(t, Variable) else t for t in symbols]
    found = joint(model, cells)
    if not found.nodes:
        raise ArgumentError(
            "there is nothing to infer: all sites are observed",
            path=type(model).__name__,
            fix="use `model.log_prob({}, ...)` for the log joint",
        )
    steps, reasons = choose_steps(found)
    for name, reason in reasons.items():
        raise _not_exact(name, reason)
    inputs, backend = list(found.held.values()), backend_of(model)

    def compiled(outputs: Sequence[Variable]) -> Program:
        return backend.compile(inputs, list(outputs))

    def group(sites: tuple[str, ...], one: str | None, block: tuple[str, ...]) -> Group:
        family, program, power = None, None, 1.0
        if one is not None:
            conditional = _plain(found, one)
            distribution, power = conditional.distribution, conditional.power
            if block and isinstance(distribution, Exponential):  # its shape is to change
                distribution = Gamma(at.ones_like(distribution.rate), distribution.rate)
            family = type(distribution)
            program = compiled(conditional_arguments(distribution))
        if not block:
            return Group(sites, family, program, power)
        gaussian = full_gaussian(found, block, Stream())
        if gaussian.mixture:
            raise _not_exact(block[0], "it needs auxiliary draws")
        return Group(sites, family, program, power, gaussian, compiled(gaussian.system()))

    groups, left = [], {s.sites: s for s in steps}
    while left:
        sites, step = next(iter(left.items()))
        del left[sites]
        around = found.blanket(sites)
        partner = next((s for k, s in left.items() if set(k) == around), None)
        if not around:
            groups.append(group(sites, *_split(step, None)))
        elif partner is not None and found.blanket(partner.sites) == set(sites):
            del left[partner.sites]
            one, block = _split(step, partner)
            groups.append(group((*block, str(one)), one, block))
        else:
            raise _not_exact(
                sites[0], f"its full conditional depends on {', '.join(sorted(around))}"
            )
    total = compiled([log_density(found.graph, found.held)])
    data = tuple(c for c in cells if isinstance(c, State))
    return System(found, data, tuple(groups), total, report(found, steps))


def _split(step: Step, partner: Step | None) -> tuple[str | None, tuple[str, ...]]:
    """The site with a distribution of its own, and the normal block, of one or two steps."""
    pair = [s for s in (step, partner) if s is not None]
    block = [s for s in pair if isinstance(s, GaussianStep)]
    one = [s for s in pair if isinstance(s, ConjugateStep)]
    if len(block) > 1 or len(one) > 1 or len(block) + len(one) < len(pair):
        names = ", ".join(repr(k) for s in pair for k in s.sites)
        raise _not_exact(step.sites[0], f"there is no closed form for {names} together")
    return (one[0].sites[0] if one else None), (block[0].sites if block else ())


def _plain(found: Joint, name: str) -> Conditional:
    """The full conditional, which must not hold draws."""
    try:
        conditional = full_conditional(found, name, Stream())
    except NotConjugateError as reason:
        raise _not_exact(name, str(reason)) from reason
    if conditional.mixture:
        raise _not_exact(name, "its full conditional needs auxiliary draws")
    return conditional


def conditional_arguments(distribution: Distribution) -> list[Variable]:
    """The arguments of a distribution, in order, with all the entries of a draw."""
    return [at.as_tensor(getattr(distribution, f.name)) for f in fields(distribution)]  # type: ignore[arg-type]


def _not_exact(name: str, reason: str) -> ArgumentError:
    return ArgumentError(
        f"there is no exact posterior: {name!r} has no distribution in closed form",
        path=name,
        expected="conjugate pairs, jointly normal sites, or both with one variance",
        got=reason,
        fix="use inference=ae.Gibbs() where the pairs hold given the other sites, or ae.NUTS()",
    )
