"""A network with batch normalization and parallel branches, rewritten for inference."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from aesara.graph.basic import Variable

import aeframe as ae
from aeframe import nn
from aeframe.demo.row import Row

ROUNDS = 15


class Tower(nn.Layer):
    """Three residual blocks of two convolutions each, normalized, and a head of two layers."""

    def __init__(self) -> None:
        self.stem = nn.Sequential(nn.Conv2D(64, 3, bias=False), nn.BatchNorm(), nn.relu)
        self.blocks = [self._block() for _ in range(3)]
        self.head = nn.Sequential(nn.GlobalAvgPool2D(), nn.Dense(512), nn.Dense(10))

    @staticmethod
    def _block() -> nn.Residual:
        return nn.Residual(
            *(nn.Conv2D(64, 3, bias=False), nn.BatchNorm(), nn.relu),
            *(nn.Conv2D(64, 3, bias=False), nn.BatchNorm()),
        )

    def __call__(self, x: Variable) -> Variable:
        """Images (n, h, w, c) → ten numbers each."""
        y = self.stem(x)
        for block in self.blocks:
            y = nn.relu(block(y))
        return self.head(y)


def seconds(plain: Callable[[], object], fast: Callable[[], object]) -> tuple[float, float]:
    """Median seconds of two calls that take turns."""
    times: tuple[list[float], list[float]] = [], []
    for _ in range(ROUNDS):
        for call, taken in zip((plain, fast), times, strict=True):
            began = time.perf_counter()
            call()
            taken.append(time.perf_counter() - began)
    return median(times[0]), median(times[1])


def run(out: Path) -> list[Row]:
    """Optimize the network, compare numbers and times, draw what changed."""
    began = time.perf_counter()
    model = Tower()
    x = np.random.default_rng(0).normal(size=(1, 56, 56, 3)).astype("float32")
    before = model(x)
    fast = model.optimize()
    after = fast(x)
    error = float(np.abs(after - before).max() / np.abs(before).max())
    old, new = seconds(lambda: model(x), lambda: fast(x))
    rules = sorted({s.rule for s in fast.explain().steps})
    picture = out / "network.png"
    ae.diff(model, fast).plot()[0].figure.savefig(picture)
    print(f"rules that made the network faster: {', '.join(rules)}")
    return [
        Row(
            "a convolutional network, optimize()",
            f"{old * 1e3:.1f} → {new * 1e3:.1f} ms, {len(rules)} rules, error {error:.0e}",
            "the same to 1e-5",
            bool(rules) and error < 1e-5,
            time.perf_counter() - began,
            ae.backends.current_backend().name,
            picture,
        )
    ]
