"""aeframe's models."""

from __future__ import annotations

from tasks import BLOCKS, CONTEXT, HEADS, VOCABULARY, WIDTH

import aeframe as ae
from aeframe import nn


class MLP(ae.Module):
    def __init__(self):
        self.layers = [nn.Dense(512), nn.Dense(512), nn.Dense(10)]

    def __call__(self, x):
        for layer in self.layers[:-1]:
            x = nn.relu(layer(x))
        return self.layers[-1](x)


def convnet() -> ae.Module:
    return nn.Sequential(
        nn.Conv2D(32, 3, padding="valid"),
        nn.relu,
        nn.MaxPool2D(2),
        nn.Conv2D(64, 3, padding="valid"),
        nn.relu,
        nn.MaxPool2D(2),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Dense(10),
    )


def lstm() -> ae.Module:
    return nn.Sequential(nn.LSTM(128), nn.Dense(10))


def block() -> ae.Module:
    return nn.Sequential(
        nn.Residual(nn.LayerNorm(), nn.MultiHeadAttention(HEADS, causal=True)),
        nn.Residual(nn.LayerNorm(), nn.Dense(4 * WIDTH), nn.gelu, nn.Dense(WIDTH)),
    )


class Transformer(nn.Layer):
    def __init__(self):
        self.characters = nn.Embedding(VOCABULARY, WIDTH)
        self.positions = ae.Parameter(
            init=nn.truncated_normal, shape=(CONTEXT, WIDTH), dtype="float32"
        )
        self.blocks = nn.Sequential(*(block() for _ in range(BLOCKS)))
        self.head = nn.Sequential(nn.LayerNorm(), nn.Dense(VOCABULARY))

    def __call__(self, x):
        return self.head(self.blocks(self.characters(x) + self.positions))


def convolve(width: int, size: int, stride: int = 1) -> ae.Module:
    return nn.Sequential(nn.Conv2D(width, size, stride=stride, bias=False), nn.BatchNorm())


class ResidualBlock(nn.Layer):
    def __init__(self, width: int, stride: int):
        self.path = nn.Sequential(convolve(width, 3, stride), nn.relu, convolve(width, 3))
        self.short = convolve(width, 1, stride) if stride > 1 else None

    def __call__(self, x):
        return nn.relu(self.path(x) + (x if self.short is None else self.short(x)))


def resnet18() -> ae.Module:
    blocks = [
        ResidualBlock(width, stride)
        for width in (64, 128, 256, 512)
        for stride in (1 if width == 64 else 2, 1)
    ]
    return nn.Sequential(convolve(64, 3), nn.relu, *blocks, nn.GlobalAvgPool2D(), nn.Dense(10))


MODELS = {
    "mlp": MLP,
    "convnet": convnet,
    "lstm": lstm,
    "transformer": Transformer,
    "resnet18": resnet18,
}
