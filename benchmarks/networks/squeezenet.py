"""SqueezeNet 1.1 (Iandola et al. 2016, with the strides of the authors' second release)."""

from __future__ import annotations

from aeframe import nn
from networks.parts import conv_relu

SHAPE = (1, 224, 224, 3)
WIDTHS = ((16, 16), (32, 32), (48, 48, 64, 64))
"""The squeeze layers' widths between the poolings; an expansion has four times as many, twice."""


def fire(width: int) -> nn.Sequential:
    """Squeeze, then expand by two kernels side by side."""
    expand = nn.Parallel(conv_relu(4 * width, 1), conv_relu(4 * width, 3))
    return nn.Sequential(conv_relu(width, 1), expand)


def build() -> nn.Sequential:
    """(n, 224, 224, 3) → (n, 1000)."""
    stages = [
        nn.Sequential(nn.MaxPool2D(3, stride=2), *(fire(width) for width in widths))
        for widths in WIDTHS
    ]
    return nn.Sequential(
        conv_relu(64, 3, stride=2, padding="valid"),
        *stages,
        nn.Dropout(0.5),
        conv_relu(1000, 1),
        nn.GlobalAvgPool2D(),
    )
