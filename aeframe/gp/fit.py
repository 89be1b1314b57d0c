"""Maximum marginal likelihood: L-BFGS on the unconstrained scale, from several starts."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Variable
from numpy.typing import NDArray
from scipy.optimize import minimize

from aeframe.backends import Backend, as_backend
from aeframe.backends.composed import Composed
from aeframe.core import Graph, Parameter, Positive, grad, lower, parameters, replay
from aeframe.core.cells import count_parameters
from aeframe.core.errors import FitError
from aeframe.core.shapes import evaluate
from aeframe.core.summary import plain_table, render
from aeframe.gp.kernel import Kernel, leaf_kernels
from aeframe.gp.model import GP
from aeframe.gp.starts import Scales
from aeframe.rewrites import inference, interpret

Array = NDArray[np.floating]
REFUSED = 1e25  # the cost where no Cholesky factor exists: any step back is better
LOG_BOUNDS = (-46.0, 46.0)  # positive parameters stay between 1e-20 and 1e20


@dataclass(frozen=True)
class FitStep:
    """One step to the final kernel: how it was reached, and how it fits.

    ``tried`` and ``failed`` count the kernels that were compared in this step.
    """

    move: str
    kernel: str
    log_marginal_likelihood: float
    bic: float
    tried: int = 1
    failed: int = 0


@dataclass(frozen=True)
class FitResult:
    """What :meth:`GP.fit` found; prints as a table.

    Attributes
    ----------
    kernel
        As text.
    log_marginal_likelihood, bic
        log p(y | x), and −2 log p + k ln n for the ``parameters`` k, that of the noise included.
    evaluations, seconds
        What it cost.
    steps
        The way there: the rewrites from the first kernel to the last.
    """

    kernel: str
    log_marginal_likelihood: float
    bic: float
    parameters: int
    evaluations: int
    seconds: float
    steps: tuple[FitStep, ...]

    @property
    def failed(self) -> int:
        """How many kernels could not be fitted."""
        return sum(s.failed for s in self.steps)

    def __str__(self) -> str:
        title = (
            f"{self.kernel}\nlog marginal likelihood {self.log_marginal_likelihood:.2f}, "
            f"BIC {self.bic:.2f} with {self.parameters} parameters; "
            f"{self.evaluations} evaluations in {self.seconds:.1f} s"
        )
        table = plain_table(title, "move", "kernel", "log evidence", "BIC", "tried", "failed")
        for s in self.steps:
            numbers = f"{s.log_marginal_likelihood:.2f}", f"{s.bic:.2f}", str(s.tried)
            table.add_row(s.move, s.kernel, *numbers, str(s.failed))
        return render(table, width=120)

    __repr__ = __str__


class Objective:
    """−log p(y | x) of a GP on its data, with gradient, as a function of one flat vector.

    The vector holds the trainable parameters on the unconstrained scale.
    """

    def __init__(self, gp: GP, backend: Backend) -> None:
        x, y = gp.data["x"], gp.data["y"]
        graph = inference(interpret(lower(gp, x, y, method="log_prob")))
        gp.init()  # a network before a kernel has parameters once it was called
        self.parameters = [p for p in parameters(graph) if p.trainable]
        self.evaluations = 0
        flat: list[Variable] = [p.type() for p in self.parameters]
        values = [p.support.forward(u) for p, u in zip(self.parameters, flat, strict=True)]
        (log_prob,) = replay(graph.outputs, dict(zip(self.parameters, values, strict=True)))
        gradients = grad(log_prob, flat)
        self._run = Composed(Graph(tuple(flat), (log_prob, *gradients)), backend)

    @property
    def size(self) -> int:
        """The number of values that are learned."""
        return count_parameters(self.parameters)

    @property
    def bounds(self) -> list[tuple[float | None, float | None]]:
        """For each entry of the vector."""
        return [
            LOG_BOUNDS if isinstance(p.support, Positive) else (None, None)
            for p in self.parameters
            for _ in range(int(np.prod(p.type.shape)))
        ]

    def position(self) -> Array:
        """Where the parameters are now."""
        parts = [np.ravel(p.support.inverse(p.value)) for p in self.parameters]
        return np.concatenate(parts) if parts else np.zeros(0)

    def move(self, position: Array) -> None:
        """Give the parameters the values at ``position``."""
        for p, u in zip(self.parameters, self._split(position), strict=True):
            p.value = evaluate(p.support.forward(at.constant(u)))

    def _split(self, position: Array) -> list[Array]:
        sizes = [int(np.prod(p.type.shape)) for p in self.parameters]
        parts = np.split(position, np.cumsum(sizes)[:-1]) if sizes else []
        return [
            part.reshape(p.type.shape).astype(p.type.dtype)
            for part, p in zip(parts, self.parameters, strict=True)
        ]

    def __call__(self, position: Array) -> tuple[float, Array]:
        """Cost and gradient; a high cost and no gradient where there is no evidence."""
        self.evaluations += 1
        value, *gradients = self._run(*self._split(position))
        flat = [-np.ravel(g) for g in gradients]
        gradient = np.concatenate(flat).astype("float64") if flat else np.zeros(0)
        if not np.isfinite(value) or not np.all(np.isfinite(gradient)):
            return REFUSED, np.zeros_like(gradient)
        return -float(value), gradient


def best_of(
    objective: Objective, starts: Iterable[Array], restarts: int, steps: int
) -> tuple[float, Array]:
    """The lowest cost that L-BFGS finds from the ``restarts`` best of ``starts``, and where.

    Raises
    ------
    FitError
        When the cost is finite nowhere.
    """
    screened = sorted(((objective(u)[0], i, u) for i, u in enumerate(starts)), key=lambda s: s[:2])
    found = screened[0][0], screened[0][2]
    options = {"maxiter": steps, "maxcor": 20}
    for cost, _, start in screened[:restarts]:
        if cost >= REFUSED or not start.size:
            continue
        ended = minimize(
            objective, start, jac=True, method="L-BFGS-B", bounds=objective.bounds, options=options
        )
        if ended.fun < found[0]:
            found = float(ended.fun), ended.x
    if found[0] >= REFUSED:
        raise FitError(
            "the log marginal likelihood is finite nowhere",
            got=f"{len(screened)} starts",
            fix="check the scale of the data, or give the kernel other first values",
        )
    return found


def draw(leaves: Sequence[Kernel], scales: Scales, rng: np.random.Generator) -> None:
    """Give the trainable parameters of ``leaves`` values drawn from the scales of the data."""
    for leaf in leaves:
        for name, declared in leaf.hypers.items():
            cell = getattr(leaf, name)
            if isinstance(cell, Parameter) and cell.trainable:
                value = declared.start(scales, rng, declared.default)
                cell.value = np.broadcast_to(value, cell.type.shape)


def bic(cost: float, parameters: int, n: int) -> float:
    """2 nll + k ln n."""
    return 2.0 * cost + parameters * float(np.log(n))


def fit(
    gp: GP, restarts: int, steps: int, seed: int, backend: str | Backend | None = None
) -> FitResult:
    """Learn the parameters of a GP that has data: from where they are, and from drawn starts."""
    began = time.perf_counter()
    objective = Objective(gp, as_backend(backend))
    rng = np.random.default_rng(seed)
    x, y = gp.data["x"].value, gp.data["y"].value
    scales, leaves = Scales.of(x, y), [*leaf_kernels(gp.kernel), gp.noise]
    starts = [objective.position()]
    for _ in range(10 * restarts):
        draw(leaves, scales, rng)
        starts.append(objective.position())
    objective.move(starts[0])
    cost, position = best_of(objective, starts[:1], 1, steps)
    if restarts:
        other = best_of(objective, starts[1:], restarts, steps)
        cost, position = min((cost, position), other, key=lambda found: found[0])
    objective.move(position)
    score = bic(cost, objective.size, len(y))
    return FitResult(
        kernel=str(gp.kernel),
        log_marginal_likelihood=-cost,
        bic=score,
        parameters=objective.size,
        evaluations=objective.evaluations,
        seconds=time.perf_counter() - began,
        steps=(FitStep("fit", str(gp.kernel), -cost, score),),
    )
