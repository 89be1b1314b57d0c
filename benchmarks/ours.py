"""aeframe: `train_on_batch`, on each backend."""

from __future__ import annotations

from systems import Data, Runner

import aeframe as ae
from aeframe import nn


class MLP(ae.Module):
    def __init__(self):
        self.layers = [nn.Dense(512), nn.Dense(512), nn.Dense(10)]

    def __call__(self, x):
        for layer in self.layers[:-1]:
            x = nn.relu(layer(x))
        return self.layers[-1](x)


MODELS = {"mlp": MLP}


class OursRunner(Runner):
    """The loop a user writes; the loss stays on the device until it is asked for."""

    def __init__(self, model: ae.Module, backend: str, data: Data) -> None:
        model.compile(optimizer=ae.Adam(1e-3), loss=nn.softmax_cross_entropy, backend=backend)
        self.model, self.data, self.taken = model, data, 0

    def step(self) -> None:
        self.logs = self.model.train_on_batch(*self.data[self.taken])
        self.taken += 1

    def sync(self) -> float:
        return float(self.logs["loss"])


def build(task: str, backend: str, data: Data) -> Runner:
    """A runner of aeframe on `backend`."""
    return OursRunner(MODELS[task](), backend, data)
