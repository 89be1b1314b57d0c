"""aeframe: `train_on_batch` and `predict`, on each backend."""

from __future__ import annotations

from functools import partial

import numpy as np
from models_ours import MODELS
from systems import Data, Runner

import aeframe as ae
from aeframe import nn

OPTIMIZERS = {
    "transformer": lambda: ae.AdamW(1e-3, weight_decay=0.01),
    "resnet18": lambda: ae.SGD(0.01, momentum=0.9),
}


class OursRunner(Runner):
    """The loop a user writes; the loss stays on the device until it is asked for."""

    def __init__(self, task: str, backend: str, data: Data) -> None:
        optimizer = OPTIMIZERS.get(task, partial(ae.Adam, 1e-3))()
        self.model = MODELS[task]()
        self.model.compile(optimizer=optimizer, loss=nn.softmax_cross_entropy, backend=backend)
        self.data, self.taken = data, 0

    @property
    def parameters(self) -> int:
        """Known after the first call, which makes them."""
        cells = self.model.store.values()
        return sum(cell.numpy().size for cell in cells if isinstance(cell, ae.Parameter))

    def step(self) -> None:
        self.logs = self.model.train_on_batch(*self.data[self.taken])
        self.taken += 1

    def sync(self) -> float:
        return float(self.logs["loss"])

    def infer(self, x: np.ndarray) -> np.ndarray:
        return self.model.predict(x)


def build(task: str, backend: str, data: Data) -> Runner:
    """A runner of aeframe on `backend`."""
    return OursRunner(task, backend, data)
