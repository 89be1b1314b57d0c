"""PyTorch: eager with its fused optimizers (the fastest on a CPU), and under `torch.compile`."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from harness import cpus
from models_torch import MODELS
from systems import Data, Runner
from torch.nn.functional import cross_entropy

ADAM = partial(torch.optim.Adam, lr=1e-3, fused=True)
OPTIMIZERS = {
    "transformer": partial(torch.optim.AdamW, lr=1e-3, weight_decay=0.01, fused=True),
    "resnet18": partial(torch.optim.SGD, lr=0.01, momentum=0.9, fused=True),
}
FROZEN = ("resnet18",)
"""Models that predict faster when `torch.compile` takes their weights as constants, and so folds
their batch norms; others lose 0.1 ms a call."""


class TorchRunner(Runner):
    """A training loop as PyTorch's tutorials write it; tensors share the NumPy arrays' memory."""

    def __init__(self, task: str, data: Data, compiled: bool) -> None:
        self.model = MODELS[task]().to(memory_format=torch.channels_last)
        trained = [p for p in self.model.parameters() if p.requires_grad]
        self.parameters = sum(p.numel() for p in trained)
        self.optimizer = OPTIMIZERS.get(task, ADAM)(trained)
        self.batches = [
            (torch.from_numpy(x), torch.from_numpy(y).long())
            for x, y in (data[i] for i in range(len(data)))
        ]
        self.taken = 0

        def loss(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return cross_entropy(self.model(x).flatten(0, -2), y.flatten())

        self.loss, self.forward = loss, self.model.forward
        if compiled:
            self.loss = torch.compile(loss, dynamic=False)
            options = {"freezing": task in FROZEN}
            self.forward = torch.compile(self.forward, dynamic=False, options=options)
        self.last = torch.tensor(float("nan"))

    def phase(self, training: bool) -> None:
        self.model.train(training)

    def step(self) -> None:
        x, y = self.batches[self.taken % len(self.batches)]
        self.taken += 1
        self.last = self.loss(x, y)
        self.optimizer.zero_grad(set_to_none=True)
        self.last.backward()
        self.optimizer.step()

    def sync(self) -> float:
        return self.last.item()

    def infer(self, x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return self.forward(torch.from_numpy(x)).numpy()


def build(task: str, backend: str, data: Data) -> Runner:
    """A runner of PyTorch; `backend` is `eager` or `compile`."""
    torch.set_num_threads(cpus())
    torch.manual_seed(0)
    return TorchRunner(task, data, compiled=backend == "compile")
