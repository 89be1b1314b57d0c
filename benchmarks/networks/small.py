"""Models of a few layers, one for each rewrite that the essay of the project promises.

A name is that of the rewrite and a size: the number of rows, or the height and the width. That of
a low-rank correction ends in its rank, 8 as in Hu et al. 2022 or 64 as in Dettmers et al. 2023. Its
merging saves 2 rank / width of operations and bytes, 1.6 and 12.5% at 1024; what more there is to
win is two calls, another pass over the output, and products too narrow for the machine.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import aesara.tensor as at
from aesara.tensor.type import TensorType

import aeframe as ae
from aeframe import nn
from aeframe.core.module import lower
from networks.bert import Attention

Shape = tuple[int, ...]


def linear() -> ae.Module:
    """Two linear layers in a row: (n, 128) → (n, 128)."""
    return nn.Sequential(nn.Dense(512), nn.Dense(128))


def lora(shape: Shape, rank: int) -> ae.Module:
    """A linear layer with its low-rank correction: (n, i) → (n, i)."""
    layer = nn.Dense(shape[-1])
    lower(layer, TensorType("float32", shape)())  # makes its weight
    return nn.LoRA(layer, rank)


def conv_bn(shape: Shape, bias: bool) -> ae.Module:
    """A convolution and its batch normalization, as wide as the input."""
    return nn.Sequential(nn.Conv2D(shape[-1], 3, bias=bias), nn.BatchNorm(), nn.relu)


class QKV(nn.Layer):
    """Three linear layers on one input, which are then used apart."""

    def __init__(self, width: int) -> None:
        self.q, self.k, self.v = (nn.Dense(width) for _ in range(3))

    def __call__(self, x):
        return at.tanh(self.q(x)) * self.k(x) + self.v(x)


SMALL: dict[str, tuple[Callable[[], ae.Module], Shape]] = {
    **{f"linear-{n}": (linear, (n, 128)) for n in (1, 64, 1024)},
    **{
        f"lora-{n}x{w}-{rank}": (partial(lora, (n, w), rank), (n, w))
        for rank in (8, 64)
        for n, w in ((1, 1024), (16, 1024), (128, 768))
    },
    **{
        f"{name}-{s[1]}x{s[3]}": (partial(conv_bn, s, bias), s)
        for name, bias in (("conv_bn", False), ("conv_bias_bn", True))
        for s in ((1, 56, 56, 64), (1, 14, 14, 256))
    },
    **{f"qkv-{n}x{w}": (partial(QKV, w), (n, w)) for n, w in ((1, 512), (64, 512), (512, 512))},
    **{
        f"attention-{t}x{w}": (partial(Attention, w, w // 64), (t, w))
        for t, w in ((64, 512), (256, 512), (1024, 256))
    },
}
