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
from aeframe.core.cells import Parameter, State, parameters
from aeframe.core.grad import grad
from aeframe.core.graph import Graph, replay
from aeframe.infer.variational.guide import Guide, ToGuide
from aeframe.prob import Model
from aeframe.prob.density import log_density
from aeframe.prob.programs import Arguments, backend_of, lowered
from aeframe.rewrites import Rule
from aeframe.train import Accumulate, Adam, Optimizer, Schedule

Vector = NDArray[np.float64]
_KEPT = 0.95  # of the baseline at each step


class FiniteOp(TypedOp):
    """Every entry of g, 0 where it is not finite: a step that is left out."""

    def body(self, g: Variable) -> Variable:
        """0 · g is 0 where g is finite, else NaN."""
        return at.switch(at.eq(0.0 * g, 0.0), g, 0.0)


@dataclass(frozen=True)
class Ascent:
    """The bound at one draw of a guide's noise, and its gradient, symbolically.

    Attributes
    ----------
    bound
        log p − log q.
    free
        What is differentiated by: the guide's vector, then each of the model's parameters on the
        unconstrained scale.
    gradients
        Of the ELBO, unbiased, by ``free``.
    """

    bound: Variable
    free: tuple[Variable, ...]
    gradients: tuple[Variable, ...]


def ascent(graph: Graph, guide: Guide, learned: Sequence[Parameter], baseline: Variable) -> Ascent:
    """The bound of ``guide`` for the Model ``graph``."""
    bound = log_density(graph, guide.values) - guide.log_q
    objective, advantage = bound, at.dscalar("advantage")  # no gradient goes through that
    if guide.score is not None:
        objective = bound + advantage * guide.score
    free = {p: p.support.inverse(p, xp=at) for p in learned}
    bounded = {p: p.support.forward(u) for p, u in free.items() if u is not p}
    wrt = (guide.vector, *free.values())
    found = grad(replay([objective], bounded)[0], list(wrt))
    found = replay(found, {advantage: bound - baseline})
    bound, *found = replay([bound, *found], {guide.held: guide.vector})
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
        The optimizer's cells, 0 at first.
    step
        The program noise → ELBO, which takes a step, or a share of one.
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
    slots: tuple[State, ...]
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
        bounds = to_numpy(self.step.scan(noise.reshape(-1, noise.shape[-1]))[0])
        return np.asarray(bounds).reshape(noise.shape[:2]).mean(axis=1)

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
    """Build the programs, for steps on the mean gradient of ``samples`` draws."""
    graph = lowered(model, given.symbols())
    guide = ToGuide(rules).guide(graph)
    backend = backend_of(model)
    log_p = log_density(graph, guide.values)
    model.store  # noqa: B018 (names the cells)
    learned = tuple(p for p in parameters(log_p) if p.trainable)
    outputs = [log_p, guide.log_q, *guide.values.values()]
    outputs = replay(outputs, {guide.held: guide.vector})
    inputs = [guide.noise, guide.vector, *guide.inputs]
    vector = Parameter(np.zeros(guide.size), name="guide")
    data = tuple(State(np.zeros(v.type.shape), dtype=v.type.dtype) for v in guide.inputs)
    adam, baseline = Adam(schedule), State(0.0)
    optimizer = Accumulate(adam, samples) if samples > 1 else adam
    found = ascent(graph, guide, learned, baseline)
    held = {**dict(zip(guide.inputs, data, strict=True)), guide.vector: vector}
    bound, *rest = replay([found.bound, *found.free, *found.gradients], held)
    free, gradients = rest[: len(found.free)], rest[len(found.free) :]
    updates = _updates([vector, *learned], free, gradients, optimizer)
    if guide.score is not None:
        running = _KEPT * baseline + (1.0 - _KEPT) * bound
        updates[baseline] = at.switch(at.eq(0.0 * running, 0.0), running, baseline)
    slots = [c for c in updates if isinstance(c, State) and c is not baseline]
    adam.scale.initialize(0, "scale")
    return Climb(
        guide,
        vector,
        learned,
        data,
        tuple(slots),
        baseline,
        backend.compile([guide.noise], [bound], updates),
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
