"""Random circuit expressions, on which the suite tests rules."""

from __future__ import annotations

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Variable

from aeframe.circuits.ops import BernoulliOp, EvaluateOp, LogSumExpOp, MaxOp, ProductOp, SumOp
from aeframe.core import Graph
from aeframe.rewrites import interpret


def random_expression(
    rng: np.random.Generator, columns: tuple[int, ...], depth: int = 3
) -> Variable:
    """A random smooth and decomposable circuit over ``columns``.

    >>> str(random_expression(np.random.default_rng(0), (0, 1)).type)
    'circuit'
    """
    if depth and rng.random() < 0.5:
        weights = at.as_tensor(rng.dirichlet((1.0, 1.0)))
        return SumOp()(weights, *(random_expression(rng, columns, depth - 1) for _ in range(2)))
    if len(columns) == 1:
        return BernoulliOp(columns[0])(at.as_tensor(rng.uniform(0.1, 0.9)))
    cut = int(rng.integers(1, len(columns)))
    mixed = tuple(rng.permutation(columns).tolist())
    parts = (mixed[:cut], mixed[cut:])
    return ProductOp()(*(random_expression(rng, part, max(depth - 1, 0)) for part in parts))


def observe(variable: Variable, rng: np.random.Generator, columns: int) -> list[Variable]:
    """Log values on random rows with missing entries, one variable for each semiring."""
    x = at.as_tensor(rng.choice([0.0, 1.0, np.nan], (6, columns)))
    evaluated = tuple(EvaluateOp(s)(variable, x) for s in (LogSumExpOp(), MaxOp()))
    return list(interpret(Graph((), evaluated)).outputs)
