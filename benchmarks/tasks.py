"""The training tasks: what is trained on what, and how much work a step is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from machine import Work, adam, dense
from systems import Data


@dataclass(frozen=True)
class Task:
    """A task's data and the work of one step; each system's module has its model by name."""

    name: str
    about: str
    data: Callable[[int], Data]
    work: Work


def _labelled(shape: tuple[int, ...], classes: int, batch: int, batches: int, seed: int) -> Data:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((batches * batch, *shape), np.float32)
    y = rng.integers(0, classes, batches * batch, np.int32)
    return Data.aligned(x, y, batch)


MLP = (784, 512, 512, 10)
MLP_WORK = (
    dense(128, 784, 512, input_gradient=False)
    + dense(128, 512, 512)
    + dense(128, 512, 10)
    + adam(sum((i + 1) * o for i, o in pairwise(MLP)))
)

TASKS = {
    task.name: task
    for task in (
        Task(
            "mlp",
            "784-512-512-10 relu MLP, batch 128, Adam(1e-3), softmax cross-entropy, float32",
            lambda seed: _labelled((784,), 10, batch=128, batches=20, seed=seed),
            MLP_WORK,
        ),
    )
}
