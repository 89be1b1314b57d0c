"""Expectation maximization: every expected count is a derivative of the log-likelihood.

For a Sum, the expected number of times that child k is chosen is ``wₖ ∂L/∂wₖ``; for a leaf with
log value ℓ, the probability that a row belongs to it is ``∂L/∂ℓ`` (Darwiche 2003). So the E-step
is one backward pass, and the M-step normalizes. Missing values count as their expectation.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Apply, Variable
from aesara.tensor.type import TensorType

from aeframe.backends import Backend, Program, as_backend
from aeframe.circuits.data import require_data
from aeframe.circuits.ops import LogSumExpOp, WeightedSumOp
from aeframe.circuits.queries import evaluate
from aeframe.core import Parameter, lower, toposort, vjp
from aeframe.core.errors import DataError, FitError
from aeframe.core.progress import progress_bar
from aeframe.core.summary import plain_table, render

if TYPE_CHECKING:
    from aeframe.circuits.nodes import Circuit

SMALLEST = 1e-12  # weights and probabilities stay inside their supports


@dataclass(frozen=True)
class FitResult:
    """What :meth:`Circuit.fit` did; prints as a table.

    Attributes
    ----------
    log_likelihood
        Of the fitted circuit, the mean over the rows.
    history
        The same before each step.
    converged
        Whether the last step gained less than the tolerance.
    seconds
        Compilation included.
    """

    log_likelihood: float
    history: tuple[float, ...]
    converged: bool
    seconds: float

    def __str__(self) -> str:
        table = plain_table("expectation maximization", "", "log-likelihood of a row")
        table.add_row("before", f"{self.history[0]:.6f}")
        table.add_row(f"after {len(self.history)} steps", f"{self.log_likelihood:.6f}")
        end = "converged" if self.converged else "stopped at the last step"
        table.add_row(end, f"{self.seconds:.1f} s")
        return render(table)

    __repr__ = __str__


def fit(
    circuit: Circuit,
    data: Any,
    *,
    steps: int = 100,
    tolerance: float = 1e-6,
    progress: bool = True,
    backend: str | Backend | None = None,
) -> FitResult:
    """Fit weights and leaves to data by full-batch EM; the likelihood never falls.

    Parameters
    ----------
    data
        A row for each case, NaN where a value is missing.
    steps
        At most so many.
    tolerance
        Stop when a step gains less than this in the mean log-likelihood of a row.
    progress
        Whether to show a bar, where there is a terminal.

    Raises
    ------
    DataError
        When there are no rows, or a row has probability 0.
    FitError
        When a trainable Parameter is not one that EM can learn.
    """
    started = time.perf_counter()
    x = require_data(circuit, data)
    if not len(x):
        raise DataError("there are no rows to fit to", got=str(x.shape))
    program = em_step(circuit, as_backend(backend))
    history: list[float] = []
    converged = False
    with progress_bar(steps, "EM", "step", progress) as bar:
        for _ in range(steps):
            history.append(_finite(program(x)[0]))
            bar.set_postfix(log_likelihood=f"{history[-1]:.4f}", refresh=False)
            bar.update()
            converged = len(history) > 1 and history[-1] - history[-2] < tolerance
            if converged:
                break
    final = _finite(np.mean(circuit.log_prob(x)))
    return FitResult(final, tuple(history), converged, time.perf_counter() - started)


def _finite(value: Any) -> float:
    if not np.isfinite(number := float(value)):
        raise DataError(
            "a row of the data has probability 0 under the circuit",
            got=f"mean log-likelihood {number}",
            fix="give leaves probabilities between 0 and 1, or leave the row out",
        )
    return number


def em_step(circuit: Circuit, backend: Backend) -> Program:
    """A Program from data to the mean log-likelihood; each call makes one step of EM."""
    x = TensorType("float64", (None, circuit.width))(name="data")
    expression = lower(circuit, method="expression").outputs[0]
    value, leaves = evaluate(expression, x, LogSumExpOp())
    weights = _weights(value)
    wrt = [*weights, *(leaf.outputs[0] for leaf in leaves)]
    slopes = vjp([value], [at.ones_like(value)], wrt)
    updates = {w: _shares(w, s) for w, s in zip(weights, slopes, strict=False)}
    updates |= _means(leaves, slopes[len(weights) :])
    _require_all(circuit, updates)
    return backend.compile([x], [value.sum() / x.shape[0]], updates)


def _is_learned(variable: Variable) -> bool:
    return isinstance(variable, Parameter) and variable.trainable


def _weights(value: Variable) -> list[Variable]:
    sums = (n for n in toposort([value]) if isinstance(n.op, WeightedSumOp))
    return list(dict.fromkeys(n.inputs[0] for n in sums if _is_learned(n.inputs[0])))


def _shares(weights: Variable, slope: Variable) -> Variable:
    """The next weights: w ∂L/∂w, normalized; the old ones where no row comes by."""
    counts = weights * slope
    total = counts.sum()
    shares = at.maximum(counts / at.switch(total > 0, total, 1.0), SMALLEST)
    return at.switch(total > 0, shares / shares.sum(), weights)


def _means(leaves: Sequence[Apply], flows: Sequence[Variable]) -> dict[Variable, Variable]:
    """The next parameter of each leaf: the expected mean; leaves may share a parameter."""
    found: dict[Variable, list[tuple[Variable, Variable]]] = {}
    for leaf, flow in zip(leaves, flows, strict=True):
        for p in filter(_is_learned, leaf.inputs[1:]):
            found.setdefault(p, []).append(leaf.op.statistics(flow, *leaf.inputs))
    updates = {}
    for p, pairs in found.items():
        sums, cases = (at.stack(part).sum() for part in zip(*pairs, strict=True))
        mean = at.clip(sums / at.switch(cases > 0, cases, 1.0), SMALLEST, 1 - SMALLEST)
        updates[p] = at.switch(cases > 0, mean, p)
    return updates


def _require_all(circuit: Circuit, updates: dict[Variable, Variable]) -> None:
    beyond = [
        path
        for path, cell in circuit.store.items()
        if isinstance(cell, Parameter) and cell.trainable and cell not in updates
    ]
    if beyond:
        raise FitError(
            "EM cannot learn a parameter that is not itself a weight or a leaf's parameter",
            path=", ".join(beyond),
            fix=f"circuit.freeze({beyond[0]!r}), or train the circuit by gradient",
        )
