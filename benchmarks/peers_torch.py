"""PyTorch: eager with fused Adam (the fastest of its Adams on a CPU), and under `torch.compile`."""

from __future__ import annotations

import torch
from harness import cpus
from systems import Data, Runner
from torch import nn
from torch.nn.functional import cross_entropy


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
    )


MODELS = {"mlp": mlp}


class TorchRunner(Runner):
    """A training loop as PyTorch's tutorials write it; tensors share the NumPy arrays' memory."""

    def __init__(self, model: nn.Module, data: Data, compiled: bool) -> None:
        self.optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
        self.batches = [
            (torch.from_numpy(x), torch.from_numpy(y).long())
            for x, y in (data[i] for i in range(len(data)))
        ]
        self.taken = 0

        def loss(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return cross_entropy(model(x), y)

        self.loss = torch.compile(loss) if compiled else loss
        self.last = torch.tensor(float("nan"))

    def step(self) -> None:
        x, y = self.batches[self.taken % len(self.batches)]
        self.taken += 1
        self.last = self.loss(x, y)
        self.optimizer.zero_grad(set_to_none=True)
        self.last.backward()
        self.optimizer.step()

    def sync(self) -> float:
        return self.last.item()


def build(task: str, backend: str, data: Data) -> Runner:
    """A runner of PyTorch; `backend` is `eager` or `compile`."""
    torch.set_num_threads(cpus())
    torch.manual_seed(0)
    return TorchRunner(MODELS[task](), data, compiled=backend == "compile")
