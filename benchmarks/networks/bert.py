"""Eight encoder layers of BERT-Large (Devlin et al. 2019) over 64 positions, TASO's size.

The attention stands there in plain products, as TASO draws it; the layers have the feed-forward
half, biases and normalization of the paper, which TASO leaves out.
"""

from __future__ import annotations

import aesara.tensor as at
import numpy as np

import aeframe as ae
from aeframe import nn

LAYERS, WIDTH, HEADS, LENGTH = 8, 1024, 16, 64
SHAPE = (LENGTH, WIDTH)


class Attention(nn.Layer):
    """Each position looks at all of one sequence: (t, width) → (t, width)."""

    def __init__(self, width: int, heads: int) -> None:
        self.heads = heads
        self.q, self.k, self.v, self.out = (nn.Dense(width) for _ in range(4))

    def __call__(self, x):
        t, width = x.type.shape
        split = (t, self.heads, width // self.heads)
        q = self.q(x).reshape(split).dimshuffle(1, 0, 2)
        k = self.k(x).reshape(split).dimshuffle(1, 2, 0)
        v = self.v(x).reshape(split).dimshuffle(1, 0, 2)
        weights = nn.softmax(at.batched_dot(q, k) / np.sqrt(split[2], dtype="float32"))
        return self.out(at.batched_dot(weights, v).dimshuffle(1, 0, 2).reshape((t, width)))


class Layer(nn.Layer):
    """Attention and two wide layers, each added to its input and normalized."""

    def __init__(self, width: int, heads: int) -> None:
        self.attend = nn.Sequential(nn.Residual(Attention(width, heads)), nn.LayerNorm(1e-12))
        wide = (nn.Dense(4 * width), nn.gelu, nn.Dense(width))
        self.think = nn.Sequential(nn.Residual(*wide), nn.LayerNorm(1e-12))

    def __call__(self, x):
        return self.think(self.attend(x))


def build() -> ae.Module:
    """(64, 1024) → (64, 1024)."""
    return nn.Sequential(*(Layer(WIDTH, HEADS) for _ in range(LAYERS)))
