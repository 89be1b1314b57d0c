"""NASNet-A (Zoph et al. 2018, figure 4) as TASO stacks it: three stages from 56x56, 128 wide.

A stage is five normal cells and a reduction cell, each of which sees the two outputs before it;
the next stage is twice as wide. A cell joins its five sums: its output is five times its width.
"""

from __future__ import annotations

import aesara.tensor as at

import aeframe as ae
from aeframe import nn
from networks.parts import conv_bn

SHAPE = (1, 224, 224, 3)
STAGES, CELLS, WIDTH = 3, 5, 128


class Separable(nn.Layer):
    """Relu, a kernel for each channel, one over channels, normalization; all that twice."""

    def __init__(self, width: int, kernel: int, stride: int = 1) -> None:
        self.first, self.second = (
            nn.Sequential(
                nn.relu,
                nn.Conv2D(width, kernel, stride=s, groups=width, bias=False),
                conv_bn(width, 1),
            )
            for s in (stride, 1)
        )

    def __call__(self, x):
        return self.second(self.first(x))


def squeeze(width: int) -> nn.Sequential:
    return nn.Sequential(nn.relu, conv_bn(width, 1))


class NormalCell(nn.Layer):
    """Of the outputs before and last, as large as they are."""

    def __init__(self, width: int) -> None:
        self.now, self.old = squeeze(width), squeeze(width)
        self.now_3, self.now_5 = Separable(width, 3), Separable(width, 5)
        self.old_3, self.old_3_too = Separable(width, 3), Separable(width, 3)
        self.old_5 = Separable(width, 5)
        self.mean = nn.AvgPool2D(3, stride=1, padding="same")

    def __call__(self, before, last):
        now, old = self.now(last), self.old(before)
        return at.concatenate(
            [
                self.now_3(now) + now,
                self.old_3(old) + self.now_5(now),
                self.mean(now) + old,
                self.mean(old) + self.mean(old),
                self.old_5(old) + self.old_3_too(old),
            ],
            axis=-1,
        )


class ReductionCell(nn.Layer):
    """Of the outputs before and last, half as high and wide."""

    def __init__(self, width: int) -> None:
        self.now, self.old = squeeze(width), squeeze(width)
        self.old_7, self.old_7_too = Separable(width, 7, 2), Separable(width, 7, 2)
        self.now_5, self.old_5 = Separable(width, 5, 2), Separable(width, 5, 2)
        self.sum_3 = Separable(width, 3)
        self.largest = nn.MaxPool2D(3, stride=2, padding="same")
        self.mean = nn.AvgPool2D(3, stride=2, padding="same")
        self.mean_after = nn.AvgPool2D(3, stride=1, padding="same")

    def __call__(self, before, last):
        now, old = self.now(last), self.old(before)
        first = self.old_7(old) + self.now_5(now)
        second = self.largest(now) + self.old_7_too(old)
        third = self.mean(now) + self.old_5(old)
        fourth = self.largest(now) + self.sum_3(first)
        fifth = self.mean_after(first) + second
        return at.concatenate([first, second, third, fourth, fifth], axis=-1)


class Network(nn.Layer):
    """A stem, the stages, and classes."""

    def __init__(self) -> None:
        self.stem = conv_bn(64, 7, nn.relu, stride=2, padding=3)
        self.pool = nn.MaxPool2D(3, stride=2, padding=1)
        widths = [WIDTH * 2**i for i in range(STAGES)]
        self.stages = [
            [*(NormalCell(w) for _ in range(CELLS)), ReductionCell(2 * w)] for w in widths
        ]
        self.head = nn.Sequential(nn.relu, nn.GlobalAvgPool2D(), nn.Dense(1000))

    def __call__(self, x):
        x = self.pool(self.stem(x))
        for stage in self.stages:
            before, last = x, x
            for cell in stage:
                before, last = last, cell(before, last)
            x = last
        return self.head(x)


def build() -> ae.Module:
    """(n, 224, 224, 3) → (n, 1000)."""
    return Network()
