"""ResNeXt-50 (32x4d) in PyTorch."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import relu

from networks.parts_torch import conv_bn
from networks.resnext50 import GROUPS, STAGES


class Block(nn.Module):
    def __init__(self, inputs: int, width: int, stride: int, widen: bool) -> None:
        super().__init__()
        self.path = nn.Sequential(
            conv_bn(inputs, width, 1, nn.ReLU()),
            conv_bn(width, width, 3, nn.ReLU(), stride=stride, padding=1, groups=GROUPS),
            conv_bn(width, 2 * width, 1),
        )
        self.short = conv_bn(inputs, 2 * width, 1, stride=stride) if widen else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.path(x) + self.short(x))


def build() -> nn.Module:
    """(n, 3, 224, 224) → (n, 1000)."""
    parts = [conv_bn(3, 64, 7, nn.ReLU(), stride=2, padding=3), nn.MaxPool2d(3, 2, padding=1)]
    inputs = 64
    for width, depth in STAGES:
        for i in range(depth):
            stride = 2 if i == 0 and width > 128 else 1
            parts.append(Block(inputs, width, stride, widen=i == 0))
            inputs = 2 * width
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 1000))
