"""The training tasks: what is trained on what, and how much work that is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from systems import Data
from work import Work, adam, causal_attention, convolution, gemm, momentum, recurrence, training

VOCABULARY, CONTEXT, WIDTH, BLOCKS, HEADS = 65, 128, 128, 4, 4
"""The character transformer."""


@dataclass(frozen=True)
class Task:
    """A task's data, size and work; each system's module has its model by name."""

    name: str
    about: str
    parameters: int
    """How many numbers are trained; every system must have as many."""
    data: Callable[[int], Data]
    """The batches, from a seed."""
    layers: Callable[[int], Sequence[Work]]
    """The products of a forward pass on so many rows, layer by layer."""
    update: Callable[[int], Work] = adam
    """The optimizer's work for so many parameters."""
    steps: int = 50
    """After how many steps a process's peak memory and loss are read."""

    def step_work(self, batch: int) -> Work:
        """The work of a training step."""
        return training(self.layers(batch), self.update(self.parameters))

    def infer_work(self, rows: int) -> Work:
        """The work of a forward pass."""
        return sum(self.layers(rows), Work())


def labelled(shape: tuple[int, ...], batch: int, batches: int) -> Callable[[int], Data]:
    """Normal inputs with labels out of ten."""

    def data(seed: int) -> Data:
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((batches * batch, *shape), np.float32)
        return Data.aligned(x, rng.integers(0, 10, batches * batch, np.int32), batch)

    return data


def characters(batch: int, batches: int) -> Callable[[int], Data]:
    """Random texts; the labels are the next characters."""

    def data(seed: int) -> Data:
        rng = np.random.default_rng(seed)
        text = rng.integers(0, VOCABULARY, (batches * batch, CONTEXT + 1), np.int32)
        return Data.aligned(text[:, :-1], text[:, 1:], batch)

    return data


def mlp(rows: int) -> list[Work]:
    return [gemm(rows, i, o) for i, o in pairwise((784, 512, 512, 10))]


def convnet(rows: int) -> list[Work]:
    return [
        convolution(rows, 28, 3, 1, 32),
        convolution(rows, 13, 3, 32, 64),
        gemm(rows, 1600, 10),
    ]


def lstm(rows: int) -> list[Work]:
    steps, inputs, units = 128, 64, 128
    return [
        gemm(rows * steps, inputs, 4 * units),
        recurrence(rows, steps, 4, units),
        gemm(rows, units, 10),
    ]


def transformer(rows: int) -> list[Work]:
    places = rows * CONTEXT
    block = [
        gemm(places, WIDTH, 3 * WIDTH),
        causal_attention(rows, CONTEXT, WIDTH),
        gemm(places, WIDTH, WIDTH),
        gemm(places, WIDTH, 4 * WIDTH),
        gemm(places, 4 * WIDTH, WIDTH),
    ]
    embedding = Work()  # rows of a table, no products
    return [embedding, *block * BLOCKS, gemm(places, WIDTH, VOCABULARY)]


def resnet18(rows: int) -> list[Work]:
    layers = [convolution(rows, 32, 3, 3, 64, pad=1)]
    size, width = 32, 64
    for wider in (64, 128, 256, 512):
        stride = 1 if wider == 64 else 2
        layers.append(convolution(rows, size, 3, width, wider, stride, pad=1))
        if stride == 2:
            layers.append(convolution(rows, size, 1, width, wider, stride))
        size, width = size // stride, wider
        layers += [convolution(rows, size, 3, width, width, pad=1)] * 3
    return [*layers, gemm(rows, 512, 10)]


TASKS = {
    task.name: task
    for task in (
        Task(
            "mlp",
            "784-512-512-10 relu MLP; batch 128, Adam",
            669_706,
            labelled((784,), batch=128, batches=20),
            mlp,
        ),
        Task(
            "convnet",
            "the Keras documentation's MNIST convnet: two 3x3 convolutions (32 and 64), each with "
            "relu and 2x2 max pooling, dropout 0.5, dense; 28x28, batch 128, Adam",
            34_826,
            labelled((28, 28, 1), batch=128, batches=20),
            convnet,
        ),
        Task(
            "lstm",
            "LSTM of 128 units over 128 steps of 64 features, a dense layer on its last state; "
            "batch 64, Adam",
            100_106,
            labelled((128, 64), batch=64, batches=8),
            lstm,
        ),
        Task(
            "transformer",
            "character transformer: 65 characters, context 128, width 128, 4 pre-LayerNorm blocks "
            "of 4 heads and an exact-GELU MLP of 512, learned positions; batch 32, AdamW",
            826_433,
            characters(batch=32, batches=20),
            transformer,
        ),
        Task(
            "resnet18",
            "ResNet-18 as on CIFAR: 3x3 stem of 64, four stages of two blocks (64 to 512), "
            "BatchNorm; 32x32x3, batch 32, SGD with momentum",
            11_173_962,
            labelled((32, 32, 3), batch=32, batches=8),
            resnet18,
            momentum,
            steps=8,
        ),
    )
}
