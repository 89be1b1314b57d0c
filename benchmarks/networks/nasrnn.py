"""The recurrent cell of Zoph and Le (2017, figure 8), 512 units over five steps, as TASO draws it.

Its eight pairs of products, of the input and of the state, stand beside each other.
"""

from __future__ import annotations

import aesara.tensor as at

import aeframe as ae
from aeframe import nn

STEPS, UNITS = 5, 512
SHAPE = (STEPS, UNITS)


class Network(nn.Layer):
    """(steps, units) → the last state, (1, units)."""

    def __init__(self, units: int) -> None:
        self.units = units
        self.x = [nn.Dense(units, bias=False) for _ in range(8)]
        self.h = [nn.Dense(units, bias=False) for _ in range(8)]

    def __call__(self, x):
        state = at.zeros((1, self.units), dtype=x.type.dtype)
        for t in range(x.type.shape[0]):
            state = self.cell(x[t : t + 1], state)
        return state

    def cell(self, x, state):
        t = [u(x) + v(state) for u, v in zip(self.x, self.h, strict=True)]
        a = nn.relu(t[0]) + nn.sigmoid(t[3])
        b = nn.sigmoid(t[1]) + nn.tanh(t[2])
        c = nn.sigmoid(t[4]) * nn.tanh(t[5])
        d = nn.sigmoid(t[6]) * nn.relu(t[7])
        left = nn.sigmoid(b) + nn.tanh(c)
        right = nn.tanh(a) * nn.tanh(d)
        return nn.tanh(nn.tanh(left) * nn.tanh(right))


def build() -> ae.Module:
    """(5, 512) → (1, 512)."""
    return Network(UNITS)
