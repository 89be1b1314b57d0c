"""The recurrent cell of Zoph and Le in PyTorch."""

from __future__ import annotations

from torch import Tensor, nn, relu, sigmoid, tanh

from networks.nasrnn import UNITS


class Network(nn.Module):
    def __init__(self, units: int) -> None:
        super().__init__()
        self.x = nn.ModuleList(nn.Linear(units, units, bias=False) for _ in range(8))
        self.h = nn.ModuleList(nn.Linear(units, units, bias=False) for _ in range(8))

    def forward(self, x: Tensor) -> Tensor:
        state = x.new_zeros(1, x.shape[1])
        for row in x.split(1):
            state = self.cell(row, state)
        return state

    def cell(self, x: Tensor, state: Tensor) -> Tensor:
        t = [u(x) + v(state) for u, v in zip(self.x, self.h, strict=True)]
        a = relu(t[0]) + sigmoid(t[3])
        b = sigmoid(t[1]) + tanh(t[2])
        c = sigmoid(t[4]) * tanh(t[5])
        d = sigmoid(t[6]) * relu(t[7])
        left = sigmoid(b) + tanh(c)
        right = tanh(a) * tanh(d)
        return tanh(tanh(left) * tanh(right))


def build() -> nn.Module:
    """(5, 512) → (1, 512)."""
    return Network(UNITS)
