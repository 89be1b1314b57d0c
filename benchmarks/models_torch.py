"""PyTorch's models; images come as (n, h, w, c), which is PyTorch's channels-last memory format."""

from __future__ import annotations

import torch
from tasks import BLOCKS, CONTEXT, HEADS, VOCABULARY, WIDTH
from torch import Tensor, nn
from torch.nn.functional import relu, scaled_dot_product_attention


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
    )


class ChannelsFirst(nn.Module):
    """A view of images as PyTorch's layers want them; nothing is copied."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 3, 1, 2)


def convnet() -> nn.Module:
    return nn.Sequential(
        ChannelsFirst(),
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(1600, 10),
    )


class LSTM(nn.Module):
    """PyTorch's LSTM has two biases where one does: the second is held at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(64, 128, batch_first=True)
        nn.init.zeros_(self.lstm.bias_hh_l0).requires_grad_(False)
        self.head = nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.lstm(x)
        return self.head(states[:, -1])


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(WIDTH, 3 * WIDTH)
        self.join = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        n, t, _ = x.shape
        split = self.project(x).view(n, t, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        mixed = scaled_dot_product_attention(*split.unbind(), is_causal=True)
        return self.join(mixed.transpose(1, 2).reshape(n, t, WIDTH))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attend = nn.Sequential(nn.LayerNorm(WIDTH), Attention())
        self.think = nn.Sequential(
            nn.LayerNorm(WIDTH),
            nn.Linear(WIDTH, 4 * WIDTH),
            nn.GELU(),
            nn.Linear(4 * WIDTH, WIDTH),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attend(x)
        return x + self.think(x)


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.characters = nn.Embedding(VOCABULARY, WIDTH)
        self.positions = nn.Parameter(0.02 * torch.randn(CONTEXT, WIDTH))
        self.blocks = nn.Sequential(*(Block() for _ in range(BLOCKS)))
        self.head = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, VOCABULARY))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.characters(x) + self.positions))


def convolve(inputs: int, outputs: int, size: int, stride: int = 1) -> list[nn.Module]:
    """A convolution without a bias and its BatchNorm."""
    layer = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)
    return [layer, nn.BatchNorm2d(outputs)]


class ResidualBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.path = nn.Sequential(
            *convolve(inputs, outputs, 3, stride), nn.ReLU(), *convolve(outputs, outputs, 3)
        )
        self.short = nn.Sequential(*(convolve(inputs, outputs, 1, stride) if stride > 1 else []))

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.path(x) + self.short(x))


def resnet18() -> nn.Module:
    parts = [ChannelsFirst(), *convolve(3, 64, 3), nn.ReLU()]
    width = 64
    for wider in (64, 128, 256, 512):
        parts += [
            ResidualBlock(width, wider, 1 if wider == 64 else 2),
            ResidualBlock(wider, wider, 1),
        ]
        width = wider
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))


MODELS = {
    "mlp": mlp,
    "convnet": convnet,
    "lstm": LSTM,
    "transformer": Transformer,
    "resnet18": resnet18,
}
