"""ResNeXt-50 (32x4d) (Xie et al. 2017, table 1)."""

from __future__ import annotations

import aeframe as ae
from aeframe import nn
from networks.parts import conv_bn

SHAPE = (1, 224, 224, 3)
STAGES = ((128, 3), (256, 4), (512, 6), (1024, 3))
"""Width and number of the blocks of each stage."""
GROUPS = 32


class Block(nn.Layer):
    """1x1, 3x3 in groups, 1x1, and a shortcut (figure 3c)."""

    def __init__(self, width: int, stride: int, widen: bool) -> None:
        self.path = nn.Sequential(
            conv_bn(width, 1, nn.relu),
            conv_bn(width, 3, nn.relu, stride=stride, padding=1, groups=GROUPS),
            conv_bn(2 * width, 1),
        )
        self.short = conv_bn(2 * width, 1, stride=stride) if widen else None

    def __call__(self, x):
        return nn.relu(self.path(x) + (x if self.short is None else self.short(x)))


def build() -> ae.Module:
    """(n, 224, 224, 3) → (n, 1000)."""
    blocks = [
        Block(width, stride=2 if first and width > 128 else 1, widen=first)
        for width, depth in STAGES
        for first in (True, *[False] * (depth - 1))
    ]
    return nn.Sequential(
        conv_bn(64, 7, nn.relu, stride=2, padding=3),
        nn.MaxPool2D(3, stride=2, padding=1),
        *blocks,
        nn.GlobalAvgPool2D(),
        nn.Dense(1000),
    )
