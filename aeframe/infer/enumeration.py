"""Enumeration: exact answers for Models whose free sites have finitely many values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Apply, Variable
from numpy.typing import NDArray
from scipy.special import logsumexp

from aeframe.backends import Program, to_numpy
from aeframe.core.arguments import count
from aeframe.core.errors import ArgumentError, DataError
from aeframe.core.graph import replay
from aeframe.core.shapes import narrow
from aeframe.core.summary import plain_table
from aeframe.infer.posterior import Inference, Posterior, shown
from aeframe.prob import Model, sites_of
from aeframe.prob.density import log_factors, realize
from aeframe.prob.programs import Arguments, arguments, backend_of, cached, lowered
from aeframe.prob.simulate import Draws
from aeframe.prob.sites import find_site, require_set
from aeframe.prob.unconstrain import static_sites

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class ExactPosterior(Posterior):
    """The probability of every assignment of the free sites.

    Attributes
    ----------
    probabilities
        Of each assignment, given the observations; they sum to 1.
    assignments
        Site → its value in each assignment, (assignments, ...); for all sites, computed ones too.
    free
        The sites that were summed over.
    log_evidence
        The log probability of the observations.
    """

    probabilities: NDArray[np.float64]
    assignments: dict[str, NDArray[Any]]
    free: tuple[str, ...]
    log_evidence: float

    def mean(self, site: str) -> NDArray[np.float64]:
        """The exact posterior expectation of a site."""
        values = find_site(site, self.assignments, "take the mean of")
        return np.tensordot(self.probabilities, values, axes=(0, 0))

    def probability(self, event: Mapping[str, Any]) -> float:
        """The exact posterior probability that sites have the given values."""
        holds = np.ones(len(self.probabilities), dtype=bool)
        for name, value in event.items():
            same = find_site(name, self.assignments, "ask for") == np.asarray(value)
            holds &= same.reshape(len(same), -1).all(axis=1)
        return float(self.probabilities[holds].sum())

    def draws(self, n: int, seed: int = 0) -> Draws:
        """``n`` assignments, each with its probability."""
        count("n", n)
        rng = np.random.default_rng([seed, len(self.free)])
        rows = rng.choice(len(self.probabilities), size=n, p=self.probabilities)
        return {name: self.assignments[name][rows] for name in self.free}

    def table(self) -> Table:
        """Every site's mean."""
        table = plain_table("", "site", "mean")
        for name in self.assignments:
            table.add_row(name, shown(np.asarray(self.mean(name))))
        return table


@dataclass(frozen=True)
class Enumeration(Inference):
    """Sum over every assignment of the free sites, which must all have finitely many values.

    Such are Bernoulli, Categorical, DiscreteUniform, and Binomial of a known ``n``. Parameters of
    the Model keep their values.

    Attributes
    ----------
    limit
        Number of assignments at most: the product of the numbers of values of all free entries.

    >>> from aeframe.distributions import Bernoulli
    >>> class Alarm(Model):
    ...     def __call__(self):
    ...         fire = self.sample("fire", Bernoulli(0.01))
    ...         self.sample("alarm", Bernoulli(at.switch(fire, 0.9, 0.1)))
    >>> posterior = Alarm().observe({"alarm": 1}).fit(inference=Enumeration())
    >>> round(float(posterior.mean("fire")), 6)
    0.083333
    """

    limit: int = 2**20

    def __post_init__(self) -> None:
        count("limit", self.limit)

    def run(self, model: Model, data: Sequence[Any]) -> ExactPosterior:
        """Evaluate the log joint at all assignments in one program.

        Raises
        ------
        ArgumentError
            When a free site has no finite support, or there are too many assignments.
        DataError
            When the observations have probability 0, a set site gets an impossible value, or the
            probabilities of a site do not sum to 1: its parameters are impossible.
        """
        given = arguments(model, data)
        key = ("enumerate", repr(given.types), self.limit)
        program, free, nodes, points = cached(model, key, lambda: self._compile(model, given))
        model.init()
        sizes = [len(p) for p in points]
        places = np.unravel_index(np.arange(math.prod(sizes)), sizes) if sizes else ()
        rows = np.empty((math.prod(sizes), len(sizes)), dtype="int64")
        for i, place in enumerate(places):
            rows[:, i] = points[i].start + place
        found = [to_numpy(v) for v in program.map([rows], *given.arrays)]
        log_joint, factors = found[0], found[1 : 1 + len(free)]
        values = dict(zip(nodes, found[1 + len(free) :], strict=True))
        _require_proper(nodes, values, dict(zip(free, factors, strict=True)))
        log_evidence = float(logsumexp(log_joint))
        if not np.isfinite(log_evidence):
            raise DataError(
                "the observations are impossible: no assignment has a probability above 0",
                path=type(model).__name__,
                got=f"log evidence {log_evidence}",
                fix="check the observed values, and probabilities that are exactly 0 or 1",
            )
        return ExactPosterior(
            model,
            tuple(data),
            self,
            "as asked",
            np.exp(log_joint - log_evidence),
            values,
            free,
            log_evidence,
        )

    def _compile(
        self, model: Model, given: Arguments
    ) -> tuple[Program, tuple[str, ...], dict[str, Apply], list[range]]:
        """The program entries, data → log joint, factors of free sites, and all sites.

        Then the free sites, all sites, and points.

        The points are those of each entry.
        """
        graph = lowered(model, given.symbols())
        nodes = static_sites(graph)
        for name, node in nodes.items():
            if not node.op.support.points:
                raise ArgumentError(
                    f"Enumeration cannot sum over {name!r}: it has no finite support",
                    path=name,
                    expected="Bernoulli, Categorical, DiscreteUniform, or Binomial of a known n",
                    got=str(node.op.support),
                    fix="observe it, or leave the choice of a method to `fit`",
                )
        shapes = {k: node.outputs[0].type.shape for k, node in nodes.items()}
        if assignments(nodes) > self.limit:
            powers = (
                f"{len(n.op.support.points)}^{math.prod(shapes[k])}" for k, n in nodes.items()
            )
            raise ArgumentError(
                f"there are {' · '.join(powers)} assignments to sum over",
                path=type(model).__name__,
                expected=f"at most {self.limit}",
                got=", ".join(f"{k} {s}" for k, s in shapes.items()),
                fix="observe some, raise `limit`, or use inference=ae.Gibbs()",
            )
        points = [
            node.op.support.points for k, node in nodes.items() for _ in range(math.prod(shapes[k]))
        ]
        entries = at.TensorType("int64", (len(points),))(name="entries")
        values: dict[str, Variable] = {}
        start = 0
        for name, shape in shapes.items():
            stop = start + math.prod(shape)
            values[name] = at.reshape(entries[start:stop], shape, ndim=len(shape))
            narrow(values[name].owner)
            start = stop
        sites = sites_of(graph.results)
        computed = replay([n.outputs[0] for n in sites.values()], realize(graph, values))
        factors = log_factors(graph, values)
        total = at.stack(list(factors.values())).sum() if factors else at.zeros(())
        outputs = [total, *(factors[name] for name in nodes), *computed]
        program = backend_of(model).compile([entries, *graph.inputs], outputs)
        return program, tuple(nodes), sites, points


def _require_proper(
    nodes: Mapping[str, Apply],
    values: Mapping[str, NDArray[Any]],
    factors: Mapping[str, NDArray[Any]],
) -> None:
    """Raise :class:`DataError` unless what is set is possible and free sites have mass 1.

    The mass of a site and those before it, over all assignments, counts each of theirs as often
    as the sites after it have assignments.
    """
    weight: Any = 0.0
    reached = 1
    for name, node in nodes.items():
        if node.op.kind == "do":
            require_set(node, values[name][np.broadcast_to(weight, len(values[name])) > -np.inf])
        if name not in factors:
            continue
        weight = weight + factors[name]
        reached *= len(node.op.support.points) ** math.prod(node.outputs[0].type.shape)
        mass = float(np.exp(weight).sum()) * reached / len(weight)
        if not abs(mass - 1.0) < 1e-3:
            raise DataError(
                f"the probabilities of {name!r} do not sum to 1",
                path=name,
                expected="parameters that are possible for every value of what they depend on",
                got=f"a total of {mass:.6g}",
                fix="keep the parameters in range, with at.clip or at.sigmoid",
            )


def assignments(nodes: Mapping[str, Apply]) -> float:
    """How many assignments free sites have; infinite where one has no finite support."""
    total: float = 1
    for node in nodes.values():
        points, shape = node.op.support.points, node.outputs[0].type.shape
        if not points or None in shape:
            return math.inf
        if math.prod(shape) * math.log(len(points)) > 500:  # a number that no float holds
            return math.inf
        total *= len(points) ** math.prod(shape)
    return total
