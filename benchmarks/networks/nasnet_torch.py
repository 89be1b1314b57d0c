"""NASNet-A in PyTorch."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from networks.nasnet import CELLS, STAGES, WIDTH
from networks.parts_torch import conv_bn


class Same(nn.Module):
    """A convolution or a pooling with stride 2 that pads as Keras does: the odd one after."""

    def __init__(self, kernel: int, outside: float, inner: nn.Module) -> None:
        super().__init__()
        self.around = ((kernel - 2) // 2, (kernel - 1) // 2) * 2
        self.outside, self.inner = outside, inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(pad(x, self.around, value=self.outside))


def depthwise(width: int, kernel: int, stride: int) -> nn.Module:
    layer = partial(nn.Conv2d, width, width, kernel, stride, groups=width, bias=False)
    return layer(padding=kernel // 2) if stride == 1 else Same(kernel, 0.0, layer())


def separable(width: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        *(nn.ReLU(), depthwise(width, kernel, stride), conv_bn(width, width, 1)),
        *(nn.ReLU(), depthwise(width, kernel, 1), conv_bn(width, width, 1)),
    )


def squeeze(inputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.ReLU(), conv_bn(inputs, width, 1))


class NormalCell(nn.Module):
    def __init__(self, before: int, last: int, width: int) -> None:
        super().__init__()
        self.now, self.old = squeeze(last, width), squeeze(before, width)
        self.now_3, self.now_5 = separable(width, 3), separable(width, 5)
        self.old_3, self.old_3_too = separable(width, 3), separable(width, 3)
        self.old_5 = separable(width, 5)
        self.mean = nn.AvgPool2d(3, 1, padding=1, count_include_pad=False)

    def forward(self, before: Tensor, last: Tensor) -> Tensor:
        now, old = self.now(last), self.old(before)
        parts = [
            self.now_3(now) + now,
            self.old_3(old) + self.now_5(now),
            self.mean(now) + old,
            self.mean(old) + self.mean(old),
            self.old_5(old) + self.old_3_too(old),
        ]
        return torch.cat(parts, 1)


class ReductionCell(nn.Module):
    def __init__(self, before: int, last: int, width: int) -> None:
        super().__init__()
        self.now, self.old = squeeze(last, width), squeeze(before, width)
        self.old_7, self.old_7_too = separable(width, 7, 2), separable(width, 7, 2)
        self.now_5, self.old_5 = separable(width, 5, 2), separable(width, 5, 2)
        self.sum_3 = separable(width, 3)
        # at an even size the padding is one row and one column after: a window cut off there
        self.largest = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.mean = nn.AvgPool2d(3, 2, ceil_mode=True)
        self.mean_after = nn.AvgPool2d(3, 1, padding=1, count_include_pad=False)

    def forward(self, before: Tensor, last: Tensor) -> Tensor:
        now, old = self.now(last), self.old(before)
        first = self.old_7(old) + self.now_5(now)
        second = self.largest(now) + self.old_7_too(old)
        third = self.mean(now) + self.old_5(old)
        fourth = self.largest(now) + self.sum_3(first)
        fifth = self.mean_after(first) + second
        return torch.cat([first, second, third, fourth, fifth], 1)


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            conv_bn(3, 64, 7, nn.ReLU(), stride=2, padding=3), nn.MaxPool2d(3, 2, padding=1)
        )
        self.stages = nn.ModuleList()
        inputs = 64
        for width in (WIDTH * 2**i for i in range(STAGES)):
            stage, before, last = nn.ModuleList(), inputs, inputs
            for _ in range(CELLS):
                stage.append(NormalCell(before, last, width))
                before, last = last, 5 * width
            stage.append(ReductionCell(before, last, 2 * width))
            self.stages.append(stage)
            inputs = 10 * width
        head = [nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 1000)]
        self.head = nn.Sequential(*head)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for stage in self.stages:
            before, last = x, x
            for cell in stage:
                before, last = last, cell(before, last)
            x = last
        return self.head(x)


def build() -> nn.Module:
    """(n, 3, 224, 224) → (n, 1000)."""
    return Network()
