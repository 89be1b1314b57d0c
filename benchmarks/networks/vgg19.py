"""VGG-19 (Simonyan and Zisserman 2015, table 1, column E)."""

from __future__ import annotations

from aeframe import nn
from networks.parts import conv_relu

SHAPE = (1, 224, 224, 3)
STAGES = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))


def build() -> nn.Sequential:
    """(n, 224, 224, 3) → (n, 1000)."""
    stages = [
        nn.Sequential(*(conv_relu(width, 3) for _ in range(depth)), nn.MaxPool2D(2))
        for width, depth in STAGES
    ]
    return nn.Sequential(
        *stages,
        nn.Flatten(),
        *(nn.Dense(4096, init=nn.he_normal), nn.relu, nn.Dropout(0.5)),
        *(nn.Dense(4096, init=nn.he_normal), nn.relu, nn.Dropout(0.5)),
        nn.Dense(1000),
    )
