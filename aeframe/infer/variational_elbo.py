"""The ELBO of a guide as a graph, its gradient, and the programs that climb it.

    ELBO = E_q[log p(x, z) − log q(z)], over draws z = g(ε; φ) of standard normal noise ε.

Where g is smooth, the gradient goes through it, and −log q adds only what comes through z: the
rest has mean 0 (Roeder, Wu and Duvenaud 2017), so that there is no noise left where q is the
posterior. Discrete draws add the score function, (ELBO − b) ∇ log q(z_discrete), whose baseline b
is a running mean of past ELBOs, independent of the draw (Ranganath, Gerrish and Blei 2014).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Variable
from numpy.typing import NDArray

from aeframe.backends import Program, to_numpy
from aeframe.core import TypedOp
from aeframe.core.cells import Cell, Parameter, State, parameters
from aeframe.core.grad import grad
from aeframe.core.graph import Graph, replay
from aeframe.infer.variational_guide import Guide, ToGuide
from aeframe.prob import Model
from aeframe.prob.density import log_density
from aeframe.prob.programs import Arguments, backend_of, lowered
from aeframe.rewrites import Rule
from aeframe.train import Adam, Optimizer, Schedule

Vector = NDArray[np.float64]
_KEPT = 0.95  # of the baseline at each step


class FiniteOp(TypedOp):
    """Every entry of g, 0 where it is not finite: a step that is left out."""

    def body(self, g: Variable) -> Variable:
        """0 · g is 0 where g is finite, else NaN."""
        return at.switch(at.eq(0.0 * g, 0.0), g, 0.0)


@dataclass(frozen=True)
class Ascent:
    """The bound at some noise, and its gradient, symbolically.

    Attributes
    ----------
    bound
        The mean over the entries of the noise.
    free
        What is differentiated by: the guide's vector, then each of the model's parameters on the
        unconstrained scale.
    gradients
        Of the ELBO, unbiased, by ``free``.
    """

    bound: Variable
    free: tuple[Variable, ...]
    gradients: tuple[Variable, ...]


def ascent(
    graph: Graph,
    guide: Guide,
    noise: Sequence[Variable],
    learned: Sequence[Parameter],
    baseline: Variable,
) -> Ascent:
    """The bound of ``guide`` for the Model ``graph``, over the draws that ``noise`` leads to."""
    parts = [log_density(graph, guide.values) - guide.log_q]
    parts += [] if guide.score is None else [guide.score]
    advantages: dict[Variable, Variable] = {}  # no gradient goes through these
    bounds, objectives = [], []
    for entry in noise:
        bound, *score = replay(parts, {guide.noise: entry})
        bounds.append(bound)
        for each in score:
            advantage = at.dscalar("advantage")
            advantages[advantage] = bound - baseline
            bound = bound + advantage * each
        objectives.append(bound)
    free = {p: p.support.inverse(p, xp=at) for p in learned}
    bounded = {p: p.support.forward(u) for p, u in free.items() if u is not p}
    (objective,) = replay([at.stack(objectives).mean()], bounded)
    wrt = (guide.vector, *free.values())
    found = replay(grad(objective, list(wrt)), advantages)
    bound, *found = replay([at.stack(bounds).mean(), *found], {guide.held: guide.vector})
    return Ascent(bound, wrt, tuple(found))


@dataclass(frozen=True)
class Climb:
    """The programs of one model, signature and set of rules.

    Attributes
    ----------
    guide
        The guide, symbolically.
    vector
        What is learned of the guide, while it is.
    learned
        The model's own trainable parameters.
    data
        Cells for the data of the steps.
    slots
        The optimizer's cells.
    step
        The program noise → ELBO, which takes one step.
    begin
        The program noise, data → the vector to start from.
    evaluate
        The program noise, vector, data → log p, log q and the values of the free sites.
    log_prob
        The program values of the free sites, vector, data → log q.
    """

    guide: Guide
    vector: Parameter
    learned: tuple[Parameter, ...]
    data: tuple[State, ...]
    slots: tuple[Cell, ...]
    baseline: State
    step: Program
    begin: Program
    evaluate: Program
    log_prob: Program

    def reset(self, noise: Vector, arrays: Sequence[NDArray[Any]]) -> None:
        """Go to the start that ``noise`` leads to."""
        for cell, array in zip(self.data, arrays, strict=True):
            cell.restore(array)
        for slot in self.slots:
            slot.restore(np.zeros(slot.type.shape))
        self.vector.restore(np.asarray(to_numpy(self.begin(noise, *arrays)[0])))
        log_p, log_q, *_ = self.evaluate(self.guide.center, self.vector.numpy(), *arrays)
        bound = float(to_numpy(log_p)) - float(to_numpy(log_q))
        self.baseline.restore(np.asarray(bound if np.isfinite(bound) else 0.0))

    def steps(self, noise: Vector) -> Vector:
        """Take a step for each entry of ``noise`` (steps, samples, size); the ELBOs."""
        return np.asarray(to_numpy(self.step.scan(noise)[0]))

    def at(
        self, vector: Vector, noise: Vector, arrays: Sequence[NDArray[Any]]
    ) -> tuple[Vector, Vector, dict[str, NDArray[Any]]]:
        """Log p, log q and the values of the sites at each row of ``noise``."""
        rows = self.evaluate.map([np.ascontiguousarray(noise)], vector, *arrays)
        log_p, log_q, *values = map(to_numpy, rows)
        return log_p, log_q, dict(zip(self.guide.values, values, strict=True))


def climb(
    model: Model, given: Arguments, rules: Sequence[Rule | str], samples: int, schedule: Schedule
) -> Climb:
    """Build the programs, for ``samples`` draws in each step."""
    graph = lowered(model, given.symbols())
    guide = ToGuide(rules).guide(graph)
    backend = backend_of(model)
    log_p = log_density(graph, guide.values)
    model.store  # noqa: B018 (names the cells)
    learned = tuple(p for p in parameters(log_p) if p.trainable)
    plain = {guide.held: guide.vector}
    outputs = replay([log_p, guide.log_q, *guide.values.values()], plain)
    inputs = [guide.noise, guide.vector, *guide.inputs]
    vector = Parameter(np.zeros(guide.size), name="guide")
    data = tuple(State(np.zeros(v.type.shape), dtype=v.type.dtype) for v in guide.inputs)
    optimizer, baseline = Adam(schedule), State(0.0)
    noise = at.TensorType("float64", (samples, *guide.noise.type.shape))(name="noise")
    entries = [noise[k] for k in range(samples)]
    found = ascent(graph, guide, entries, learned, baseline)
    held = {**dict(zip(guide.inputs, data, strict=True)), guide.vector: vector}
    bound, *rest = replay([found.bound, *found.free, *found.gradients], held)
    free, gradients = rest[: len(found.free)], rest[len(found.free) :]
    updates = _updates([vector, *learned], free, gradients, optimizer)
    if guide.score is not None:
        running = _KEPT * baseline + (1.0 - _KEPT) * bound
        updates[baseline] = at.switch(at.eq(0.0 * running, 0.0), running, baseline)
    slots = [optimizer.count, *(s for own in optimizer.state.values() for s in own.values())]
    optimizer.scale.initialize(0, "scale")
    return Climb(
        guide,
        vector,
        learned,
        data,
        tuple(slots),
        baseline,
        backend.compile([noise], [bound], updates),
        backend.compile([guide.noise, *guide.inputs], [guide.start]),
        backend.compile(inputs, outputs),
        backend.compile([*guide.given, *inputs[1:]], [guide.log_prob]),
    )


def _updates(
    cells: Sequence[Parameter],
    free: Sequence[Variable],
    gradients: Sequence[Variable],
    optimizer: Optimizer,
) -> dict[Variable, Variable]:
    """One step of ``optimizer`` uphill on the unconstrained scale of ``cells``."""
    downhill = [FiniteOp()(-g) for g in gradients]
    named = {str(p.name or i): p for i, p in enumerate(cells)}
    optimizer.prepare(named)
    moved, updates = optimizer.updates(list(named), free, downhill)
    return updates | {p: p.support.forward(u) for p, u in zip(cells, moved, strict=True)}
