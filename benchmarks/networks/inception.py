"""Inception v3 (Szegedy et al. 2016, table 1), without its auxiliary classifier."""

from __future__ import annotations

import aeframe as ae
from aeframe import nn
from networks.parts import conv_bn

SHAPE = (1, 299, 299, 3)


def conv(width: int, *kernel: int, **options) -> nn.Sequential:
    """A convolution, normalization, relu."""
    return conv_bn(width, kernel if len(kernel) == 2 else kernel[0], nn.relu, **options)


def small(width: int, stride: int = 1) -> nn.Sequential:
    """A 3x3 convolution that gets smaller at the border."""
    return conv(width, 3, stride=stride, padding="valid")


def pooled(width: int) -> nn.Sequential:
    return nn.Sequential(nn.AvgPool2D(3, stride=1, padding="same"), conv(width, 1))


def block_35(pool: int) -> nn.Parallel:
    """Figure 5: a 5x5 kernel beside two of 3x3."""
    return nn.Parallel(
        conv(64, 1),
        nn.Sequential(conv(48, 1), conv(64, 5)),
        nn.Sequential(conv(64, 1), conv(96, 3), conv(96, 3)),
        pooled(pool),
    )


def reduce_35() -> nn.Parallel:
    """Figure 10: from 35x35 to 17x17."""
    return nn.Parallel(
        small(384, 2),
        nn.Sequential(conv(64, 1), conv(96, 3), small(96, 2)),
        nn.MaxPool2D(3, stride=2),
    )


def block_17(width: int) -> nn.Parallel:
    """Figure 6: 7x7 kernels as 1x7 and 7x1."""
    return nn.Parallel(
        conv(192, 1),
        nn.Sequential(conv(width, 1), conv(width, 1, 7), conv(192, 7, 1)),
        nn.Sequential(
            conv(width, 1),
            *(conv(width, 7, 1), conv(width, 1, 7)),
            *(conv(width, 7, 1), conv(192, 1, 7)),
        ),
        pooled(192),
    )


def reduce_17() -> nn.Parallel:
    """From 17x17 to 8x8."""
    return nn.Parallel(
        nn.Sequential(conv(192, 1), small(320, 2)),
        nn.Sequential(conv(192, 1), conv(192, 1, 7), conv(192, 7, 1), small(192, 2)),
        nn.MaxPool2D(3, stride=2),
    )


def block_8() -> nn.Parallel:
    """Figure 7: 1x3 and 3x1 beside each other."""

    def wide() -> nn.Parallel:
        return nn.Parallel(conv(384, 1, 3), conv(384, 3, 1))

    return nn.Parallel(
        conv(320, 1),
        nn.Sequential(conv(384, 1), wide()),
        nn.Sequential(conv(448, 1), conv(384, 3), wide()),
        pooled(192),
    )


def build() -> ae.Module:
    """(n, 299, 299, 3) → (n, 1000)."""
    return nn.Sequential(
        *(small(32, 2), small(32), conv(64, 3), nn.MaxPool2D(3, stride=2)),
        *(conv(80, 1), small(192), nn.MaxPool2D(3, stride=2)),
        *(block_35(32), block_35(64), block_35(64), reduce_35()),
        *(block_17(128), block_17(160), block_17(160), block_17(192), reduce_17()),
        *(block_8(), block_8(), nn.GlobalAvgPool2D(), nn.Dropout(0.5), nn.Dense(1000)),
    )
