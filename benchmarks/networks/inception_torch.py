"""Inception v3 in PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from networks.parts_torch import conv_bn


def conv(inputs: int, outputs: int, *kernel: int) -> nn.Sequential:
    size = kernel if len(kernel) == 2 else (kernel[0], kernel[0])
    around = tuple(k // 2 for k in size)
    return conv_bn(inputs, outputs, size, nn.ReLU(), padding=around)


def small(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return conv_bn(inputs, outputs, 3, nn.ReLU(), stride=stride)


def pooled(inputs: int, outputs: int) -> nn.Sequential:
    pool = nn.AvgPool2d(3, 1, padding=1, count_include_pad=False)
    return nn.Sequential(pool, conv(inputs, outputs, 1))


class Parallel(nn.Module):
    def __init__(self, *parts: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([part(x) for part in self.parts], 1)


def block_35(inputs: int, pool: int) -> Parallel:
    return Parallel(
        conv(inputs, 64, 1),
        nn.Sequential(conv(inputs, 48, 1), conv(48, 64, 5)),
        nn.Sequential(conv(inputs, 64, 1), conv(64, 96, 3), conv(96, 96, 3)),
        pooled(inputs, pool),
    )


def reduce_35(inputs: int) -> Parallel:
    return Parallel(
        small(inputs, 384, 2),
        nn.Sequential(conv(inputs, 64, 1), conv(64, 96, 3), small(96, 96, 2)),
        nn.MaxPool2d(3, 2),
    )


def block_17(inputs: int, width: int) -> Parallel:
    w = width
    return Parallel(
        conv(inputs, 192, 1),
        nn.Sequential(conv(inputs, w, 1), conv(w, w, 1, 7), conv(w, 192, 7, 1)),
        nn.Sequential(
            conv(inputs, w, 1),
            *(conv(w, w, 7, 1), conv(w, w, 1, 7)),
            *(conv(w, w, 7, 1), conv(w, 192, 1, 7)),
        ),
        pooled(inputs, 192),
    )


def reduce_17(inputs: int) -> Parallel:
    return Parallel(
        nn.Sequential(conv(inputs, 192, 1), small(192, 320, 2)),
        nn.Sequential(
            conv(inputs, 192, 1), conv(192, 192, 1, 7), conv(192, 192, 7, 1), small(192, 192, 2)
        ),
        nn.MaxPool2d(3, 2),
    )


def block_8(inputs: int) -> Parallel:
    def wide() -> Parallel:
        return Parallel(conv(384, 384, 1, 3), conv(384, 384, 3, 1))

    return Parallel(
        conv(inputs, 320, 1),
        nn.Sequential(conv(inputs, 384, 1), wide()),
        nn.Sequential(conv(inputs, 448, 1), conv(448, 384, 3), wide()),
        pooled(inputs, 192),
    )


def build() -> nn.Module:
    """(n, 3, 299, 299) → (n, 1000)."""
    return nn.Sequential(
        *(small(3, 32, 2), small(32, 32), conv(32, 64, 3), nn.MaxPool2d(3, 2)),
        *(conv(64, 80, 1), small(80, 192), nn.MaxPool2d(3, 2)),
        *(block_35(192, 32), block_35(256, 64), block_35(288, 64), reduce_35(288)),
        *(block_17(768, 128), block_17(768, 160), block_17(768, 160), block_17(768, 192)),
        *(reduce_17(768), block_8(1280), block_8(2048)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(2048, 1000)),
    )
