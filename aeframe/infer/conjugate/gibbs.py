"""Gibbs: Markov chains that draw each site, or block of sites, given all others."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Any

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Variable
from numpy.typing import NDArray

from aeframe.backends import Program, to_numpy
from aeframe.backends.native import cpus
from aeframe.core.arguments import acceptance_rate, count
from aeframe.core.cells import RandomState, State
from aeframe.core.errors import ArgumentError
from aeframe.core.graph import replay
from aeframe.core.progress import progress_bar
from aeframe.core.shapes import evaluate
from aeframe.distributions.continuous import FlatOp
from aeframe.infer.conjugate.collapsed import pivot, require_determined
from aeframe.infer.conjugate.joint import Joint, Stream, joint
from aeframe.infer.conjugate.steps import GaussianStep, Step, choose_steps, refuse_discrete, report
from aeframe.infer.conjugate.within import Adaptation, NutsStep, nuts_step
from aeframe.infer.posterior import Inference
from aeframe.infer.proper import require_proper
from aeframe.infer.sampled import SampledPosterior
from aeframe.prob import Model, sites_of
from aeframe.prob.density import realize
from aeframe.prob.programs import Arguments, arguments, backend_of, cached
from aeframe.prob.simulate import Draws, simulate
from aeframe.rewrites import Report

EXACT, ADAPTED = 200, 500  # sweeps of warmup: exact draws only forget the start
PIECE = 50  # sweeps of one call: the progress bar moves, and an interrupt is heard, in between


@dataclass(frozen=True)
class Sweep:
    """One sweep over all sites as a program, which moves the cells that hold their values.

    Attributes
    ----------
    joint, steps
        What is drawn, and how, in order.
    data, values, rng
        The cells: the data, each free site's value, the random state.
    program
        (number) → the sites' new values.
    computed
        (values, data) → the values of the computed sites.
    names
        Those of the computed sites.
    stats
        What steps tell of each draw.
    own
        The first values of cells that steps have of their own.
    lock
        To be held while the cells have the data of one fit: another may be under way.
    """

    joint: Joint
    steps: tuple[Step, ...]
    data: tuple[State, ...]
    values: dict[str, State]
    rng: RandomState
    program: Program
    computed: Program | None
    names: tuple[str, ...]
    stats: tuple[str, ...]
    own: dict[State, NDArray[Any]]
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def adapts(self) -> bool:
        """Whether there is a step of NUTS."""
        return any(isinstance(step, NutsStep) for step in self.steps)

    def chains(
        self, starts: dict[str, NDArray[Any]], seed: int, sweeps: int
    ) -> dict[str, NDArray[Any]]:
        """The values, and what steps tell, after each of ``sweeps`` sweeps: (chain, sweep, ...).

        Chains run side by side where the backend lets them. An interrupt ends all.
        """
        number = len(next(iter(starts.values())))
        stop = threading.Event()
        reentrant = self.program.backend.reentrant
        with (
            progress_bar(number * sweeps, "Gibbs", "sweep") as bar,
            ThreadPoolExecutor(min(number, cpus()) if reentrant else 1) as pool,
        ):
            runs = [
                self._pieces({k: v[c] for k, v in starts.items()}, [seed, c], sweeps, bar)
                for c in range(number)
            ]
            first = next(runs[0])  # compiles, once
            work = [pool.submit(_until, stop, run) for run in runs]
            try:
                wait(work)
            finally:
                stop.set()
            found = [w.result() for w in work]
        found[0].insert(0, first)
        columns = [
            np.stack([np.concatenate([piece[i] for piece in run])[:sweeps] for run in found])
            for i in range(len(first))
        ]
        return dict(zip((*self.values, *self.stats), columns, strict=True))

    def _pieces(
        self, start: dict[str, Any], seed: Sequence[int], sweeps: int, bar: Any
    ) -> Iterator[list[NDArray[Any]]]:
        """One chain, ``PIECE`` sweeps at a time."""
        program, own = self.program.fork()
        for name, cell in self.values.items():
            own[cell].restore(np.asarray(start[name]))
        for cell, value in self.own.items():
            own[cell].restore(value)
        own[self.rng].data = np.random.default_rng(list(seed))
        for first in range(0, sweeps, PIECE):
            yield [to_numpy(v) for v in program.scan(np.arange(first, first + PIECE))]
            bar.update(min(PIECE, sweeps - first))


def _until(stop: threading.Event, pieces: Iterator[list[Any]]) -> list[list[Any]]:
    """All pieces, or those until ``stop`` is set."""
    return list(takewhile(lambda _: not stop.is_set(), pieces))


@dataclass(frozen=True)
class Gibbs(Inference):
    """Gibbs sampling: every site, or block of sites, is drawn from its full conditional.

    Rules choose the steps. Sites that a conjugate pair fits are drawn exactly; normal sites that
    are jointly linear in the means of normals, or in logits given Pólya-Gamma draws (Polson,
    Scott & Windle 2013), together; half-Cauchy scales by Makalic & Schmidt (2016); discrete
    sites of small support by the probability of each value. What is left takes a step of NUTS
    given the others. ``explain`` says which and why.

    Attributes
    ----------
    chains, draws, warmup
        Number of chains, of draws kept from each, and of sweeps before these: by default 200, or
        500 where a step of NUTS adapts in them.
    thin
        Every ``thin``-th sweep is kept.
    target_acceptance, max_depth
        Of NUTS, for the sites that no rule has a step for; see :class:`~aeframe.infer.NUTS`.
    seed
        Decides the starts (draws of the prior, where there are any) and the draws.

    >>> from aeframe.distributions import Gamma, Normal
    >>> class Both(Model):
    ...     def __call__(self):
    ...         mu = self.sample("mu", Normal(0, 10))
    ...         precision = self.sample("precision", Gamma(2, 2))
    ...         self.sample("y", Normal(mu, precision**-0.5), shape=(4,))
    >>> observed = Both().observe({"y": [1.0, 2.0, 3.0, 4.0]})
    >>> posterior = observed.fit(inference=Gibbs(chains=2, draws=500, warmup=50))
    >>> [step.rule for step in posterior.explain().steps]
    ['normal-normal', 'gamma-normal']
    >>> abs(float(posterior.mean("mu")) - 2.5) < 0.1
    True
    """

    chains: int = 4
    draws: int = 1000
    warmup: int | None = None
    thin: int = 1
    target_acceptance: float = 0.8
    max_depth: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        least = {"chains": 1, "draws": 1, "thin": 1, "max_depth": 1, "seed": 0}
        for name, low in least.items():
            count(name, getattr(self, name), low)
        if self.warmup is not None:
            count("warmup", self.warmup, 0)
        acceptance_rate(self.target_acceptance)

    def run(self, model: Model, data: Sequence[Any]) -> GibbsPosterior:
        """Choose the steps, and run the chains from draws of the prior (where it is proper).

        Raises
        ------
        ArgumentError
            When nothing is free, or no step can draw a site.
        FitError
            When the posterior cannot be normalized: a prior is flat, and the data say too little.
        """
        given = arguments(model, data)
        sweep = self.sweep(model, given)
        model.init()
        starts = self._starts(model, sweep.joint, data)
        warmup = ADAPTED if sweep.adapts else EXACT
        warmup = warmup if self.warmup is None else self.warmup
        sweeps = warmup + self.draws * self.thin
        with sweep.lock:
            for cell, array in zip(sweep.data, given.arrays, strict=True):
                cell.value = array
            found = sweep.chains({k: starts[k] for k in sweep.values}, self.seed, sweeps)
        kept = slice(warmup + self.thin - 1, None, self.thin)
        together = {k: v[:, kept] for k, v in found.items()}
        chains = {k: together[k] for k in sweep.values}
        require_proper(type(model).__name__, chains, bool(sweep.joint.flat))
        pivots = {name: s.sites for s in sweep.steps if (name := pivot(s.sites)) in together}
        for name, sites in pivots.items():
            require_determined(sites, together[name])
        if sweep.computed is not None:
            rows = [v.reshape(-1, *v.shape[2:]) for v in chains.values()]
            made = sweep.computed.map(rows)
            for name, value in zip(sweep.names, made, strict=True):
                array = to_numpy(value)
                chains[name] = array.reshape(self.chains, self.draws, *array.shape[1:])
        why = "; ".join(f"{s.path} by {s.rule}" for s in report(sweep.joint, sweep.steps).steps)
        stats = {k: together[k] for k in sweep.stats if k not in pivots}
        return GibbsPosterior(model, tuple(data), self, why, chains, stats)

    def _starts(self, model: Model, found: Joint, data: Sequence[Any]) -> Draws:
        """Draws of the prior; for improper ones, places within ±2 on the unconstrained scale."""
        rng = np.random.default_rng([self.seed, self.chains])
        fixed = {}
        for name, node in found.nodes.items():
            if isinstance(found.factors[name].family, FlatOp):
                shape = (self.chains, *found.factors[name].shape)
                u = at.constant(rng.uniform(-2.0, 2.0, shape))
                fixed[name] = np.asarray(evaluate(node.op.support.forward(u)))
        return simulate(model, self.chains, data, self.seed, fixed)

    def explain(self, model: Model, *data: Any) -> Report:
        """Which site gets which step, by which rule, and what becomes of its prior.

        Raises
        ------
        ArgumentError
            When nothing is free, or no step can draw a site.
        """
        sweep = self.sweep(model, arguments(model, data))
        return report(sweep.joint, sweep.steps)

    def sweep(self, model: Model, given: Arguments) -> Sweep:
        """The program for data of these types."""
        options = Adaptation(self.target_acceptance, self.max_depth, ADAPTED)
        if self.warmup is not None:
            options = replace(options, warmup=self.warmup)
        key = ("gibbs", repr(given.types), options)
        return cached(model, key, lambda: _compile(model, given, options))


@dataclass(frozen=True)
class GibbsPosterior(SampledPosterior):
    """Markov chains of Gibbs sampling."""

    method: Gibbs

    def explain(self) -> Report:
        """Which site was drawn by which rule, and what became of its prior."""
        return self.method.explain(self.model, *self.data)


def _compile(model: Model, given: Arguments, options: Adaptation) -> Sweep:
    arrays = iter(given.arrays)
    cells = [State(next(arrays)) if isinstance(v, Variable) else v for v in given.symbols()]
    found = joint(model, cells)
    steps = _steps(model, found, given, cells, options)
    values = {k: State(np.zeros(v.type.shape, v.type.dtype)) for k, v in found.held.items()}
    rng, number = RandomState(), at.lscalar("sweep")
    stream, now = Stream(rng, number), dict[str, Variable](values)
    for step in steps:
        made = step.update(found, stream)
        now |= stream.replay(made, {found.held[k]: v for k, v in now.items()})
    moved: dict[Variable, Variable] = {cell: now[k] for k, cell in values.items()}
    backend, computed = backend_of(model), _computed(found)
    return Sweep(
        joint=found,
        steps=steps,
        data=tuple(c for c in cells if isinstance(c, State)),
        values=values,
        rng=rng,
        program=backend.compile(
            [number],
            [*now.values(), *stream.stats.values()],
            {**moved, **stream.updates, rng: stream.state},
        ),
        computed=backend.compile(list(found.held.values()), list(computed.values()))
        if computed
        else None,
        names=tuple(computed),
        stats=tuple(stream.stats),
        own={cell: cell.value for cell in stream.updates if isinstance(cell, State)},
    )


def _steps(
    model: Model,
    found: Joint,
    given: Arguments,
    cells: Sequence[Any],
    options: Adaptation,
) -> tuple[Step, ...]:
    """A step for each free site: by a rule, or one of NUTS for those that no rule fits."""
    if not found.nodes:
        raise ArgumentError(
            "there is nothing to infer: all sites are observed",
            path=type(model).__name__,
            fix="use `model.log_prob({}, ...)` for the log joint",
        )
    steps, reasons = choose_steps(found)
    refuse_discrete(found, reasons)
    collapsed = {k for s in steps if isinstance(s, GaussianStep) for k in s.scales}
    reasons = {k: why for k, why in reasons.items() if k not in collapsed}
    if not reasons:
        return steps
    _require_jax(reasons, backend_of(model).name)
    return (*steps, nuts_step(model, found, reasons, given, cells, options))


def _require_jax(reasons: dict[str, str], backend: str) -> None:
    """Refuse sites without a rule where there is no step of NUTS."""
    if backend != "jax":
        raise ArgumentError(
            "no rule can draw " + ", ".join(map(repr, reasons)),
            path=", ".join(reasons),
            expected=f"a conjugate prior, as the backend {backend!r} has no step of NUTS",
            got="; ".join(f"{k}: {v}" for k, v in reasons.items()),
            fix='use backend "jax", or inference=ae.NUTS()',
        )


def _computed(found: Joint) -> dict[str, Variable]:
    """Computed site → its value, a function of those that are held."""
    nodes = sites_of(found.graph.outputs)
    sites = {k: n.outputs[0] for k, n in nodes.items() if n.op.kind == "deterministic"}
    values = replay(list(sites.values()), realize(found.graph, found.held))
    return dict(zip(sites, values, strict=True))
