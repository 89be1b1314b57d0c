"""How much a computation is: floating-point operations, and bytes of its operands.

A layer's count is that of its forward products; activations, norms and pooling are left out, so a
count divided by the rate of a matrix product is a time below which no program can go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ITEM = 4
"""Bytes of a number: everything is float32."""


@dataclass(frozen=True)
class Work:
    """Floating-point operations and bytes moved, where each operand moves once."""

    flops: float = 0.0
    bytes: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(self.flops + other.flops, self.bytes + other.bytes)

    def __sub__(self, other: Work) -> Work:
        return self + other * -1

    def __mul__(self, times: float) -> Work:
        return Work(self.flops * times, self.bytes * times)

    @property
    def intensity(self) -> float:
        """FLOPs per byte."""
        return self.flops / self.bytes


def gemm(m: int, k: int, n: int) -> Work:
    """A product of an (m, k) and a (k, n) matrix, or of a layer: (m, k) rows to (m, n)."""
    return Work(2.0 * m * k * n, float(ITEM) * (m * k + k * n + m * n))


def convolution(
    batch: int, size: int, kernel: int, inputs: int, outputs: int, stride: int = 1, pad: int = 0
) -> Work:
    """A convolution of square images, `size` wide, by the direct method.

    Products with padded zeros count: a transform such as Winograd's needs fewer operations.
    """
    after = (size + 2 * pad - kernel) // stride + 1
    places = batch * after**2
    numbers = batch * size**2 * inputs + kernel**2 * inputs * outputs + places * outputs
    return Work(2.0 * places * kernel**2 * inputs * outputs, float(ITEM) * numbers)


def recurrence(batch: int, steps: int, gates: int, units: int) -> Work:
    """What each step of a recurrent layer does to its state: (units,) to all gates."""
    numbers = units * gates * units + batch * steps * (gates + 1) * units
    return Work(2.0 * batch * steps * units * gates * units, float(ITEM) * numbers)


def causal_attention(batch: int, steps: int, width: int) -> Work:
    """Scores of each position with those up to it, and their average of the values."""
    pairs = batch * steps * (steps + 1) / 2
    return Work(2 * 2.0 * pairs * width, float(ITEM) * 4 * batch * steps * width)


def training(layers: Sequence[Work], update: Work) -> Work:
    """A training step: forward, the gradients of both operands, and the optimizer's update.

    The first layer's input needs no gradient.
    """
    return sum(layers, Work()) * 3 - layers[0] + update


def adam(parameters: int) -> Work:
    """Adam's update: reads parameter, gradient and two moments, writes all but the gradient."""
    return Work(14.0 * parameters, 7.0 * ITEM * parameters)


def momentum(parameters: int) -> Work:
    """Momentum's update: reads parameter, gradient and velocity, writes all but the gradient."""
    return Work(4.0 * parameters, 5.0 * ITEM * parameters)
