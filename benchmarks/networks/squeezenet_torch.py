"""SqueezeNet 1.1 in PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from networks.squeezenet import WIDTHS


def conv_relu(inputs: int, outputs: int, kernel: int, **options: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, **options), nn.ReLU())


class Fire(nn.Module):
    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.squeeze = conv_relu(inputs, width, 1)
        self.one = conv_relu(width, 4 * width, 1)
        self.three = conv_relu(width, 4 * width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze(x)
        return torch.cat([self.one(x), self.three(x)], 1)


def build() -> nn.Module:
    """(n, 3, 224, 224) → (n, 1000)."""
    parts: list[nn.Module] = [conv_relu(3, 64, 3, stride=2)]
    inputs = 64
    for widths in WIDTHS:
        parts.append(nn.MaxPool2d(3, 2))
        for width in widths:
            parts.append(Fire(inputs, width))
            inputs = 8 * width
    head = [nn.Dropout(0.5), conv_relu(inputs, 1000, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*parts, *head)
