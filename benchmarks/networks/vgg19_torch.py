"""VGG-19 in PyTorch."""

from __future__ import annotations

from torch import Tensor, nn

from networks.vgg19 import STAGES


class Flatten(nn.Module):
    """Positions before channels, as aeframe's weights have them."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).flatten(1)


def build() -> nn.Module:
    """(n, 3, 224, 224) → (n, 1000)."""
    parts: list[nn.Module] = []
    inputs = 3
    for width, depth in STAGES:
        for _ in range(depth):
            parts += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU()]
            inputs = width
        parts.append(nn.MaxPool2d(2))
    return nn.Sequential(
        *parts,
        Flatten(),
        *(nn.Linear(512 * 7 * 7, 4096), nn.ReLU(), nn.Dropout(0.5)),
        *(nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(0.5)),
        nn.Linear(4096, 1000),
    )
