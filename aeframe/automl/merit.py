"""What makes a model good, learned from the scores so far: which children are worth training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aeframe.automl.training import TrainingOp
from aeframe.core.cells import count_parameters
from aeframe.core.graph import Graph, toposort

Array = NDArray[np.float64]


class Merit:
    """Bayesian linear regression of the log score on what a graph is made of, and on its epochs.

    Children are chosen by Thompson sampling: each place goes to the child that is best under
    weights drawn anew from the posterior (Russo et al. 2018), so that what is unknown is tried.

    >>> Merit().choose([], 3, np.random.default_rng(0))
    []
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []
        self.scores: list[float] = []

    def add(self, graph: Graph, epochs: int, score: float) -> None:
        """A model was trained for so many epochs."""
        if np.isfinite(score) and score > 0:
            self.rows.append(features(graph) | {"epochs": np.log(epochs)})
            self.scores.append(float(np.log(score)))

    def choose(self, graphs: Sequence[Graph], n: int, rng: np.random.Generator) -> list[int]:
        """Which ``n`` of the graphs to train, the most promising first."""
        left = list(range(len(graphs)))
        if len(graphs) <= n or not self.rows:
            return left[:n]
        longest = max(row["epochs"] for row in self.rows)
        new = [features(g) | {"epochs": longest} for g in graphs]
        x = _table([*self.rows, *new])
        known, asked = x[: len(self.rows)], x[len(self.rows) :]
        y = np.array(self.scores)
        # posterior of y = X w + e with w ~ N(0, s² I): N(A⁻¹ Xᵀ y, s² A⁻¹), A = XᵀX + I
        inverse = np.linalg.inv(known.T @ known + np.eye(x.shape[1]))
        mean = inverse @ known.T @ (y - y.mean())
        scale = np.sqrt(np.mean((known @ mean - (y - y.mean())) ** 2))
        root = scale * np.linalg.cholesky(inverse)
        chosen = []
        for _ in range(n):
            predicted = asked[left] @ (mean + root @ rng.normal(size=len(mean)))
            chosen.append(left.pop(int(np.argmin(predicted))))
        return chosen


def features(graph: Graph) -> dict[str, float]:
    """How often each kind of Op occurs, how many parameters there are, and how they are trained."""
    found: dict[str, float] = {}
    for node in toposort(graph.outputs):
        op = node.op
        if isinstance(op, TrainingOp):
            found |= {f"optimizer {op.optimizer}": 1.0, "rate": np.log(op.learning_rate)}
            found |= {"decay": op.weight_decay, "batch": np.log(op.batch_size)}
        else:
            found[str(op)] = found.get(str(op), 0.0) + 1.0
    return found | {"parameters": float(np.log(1 + count_parameters(graph.outputs)))}


def _table(rows: Sequence[dict[str, float]]) -> Array:
    """A column for each feature that varies and one for its square, each of variance 1."""
    names = sorted({name for row in rows for name in row})
    x = np.array([[row.get(name, 0.0) for name in names] for row in rows])
    x = x - x.mean(axis=0)
    x = x[:, x.std(axis=0) > 1e-9]
    x = x / x.std(axis=0)
    square = x**2 - 1.0
    square = square[:, square.std(axis=0) > 1e-9]
    return np.concatenate([x, square / np.maximum(square.std(axis=0), 1e-9)], axis=1)
