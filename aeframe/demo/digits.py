"""Digits: a network learns scikit-learn's handwritten digits, on JAX and on C."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from aesara.graph.basic import Variable
from sklearn.datasets import load_digits

import aeframe as ae
from aeframe import nn
from aeframe.demo.row import Row

GOAL = 0.96


class Digits(ae.Module):
    """A hidden layer of 128, dropout, ten classes."""

    def __init__(self) -> None:
        self.hidden = nn.Dense(128)
        self.dropout = nn.Dropout(0.2)
        self.out = nn.Dense(10)

    def __call__(self, x: Variable) -> Variable:
        """Logits, (n, 64) → (n, 10)."""
        return self.out(self.dropout(nn.relu(self.hidden(x))))


def data(seed: int = 0) -> tuple[Any, Any, Any, Any]:
    """Training and test images in [0, 1] with their labels; one fifth is for testing."""
    digits = load_digits()
    order = np.random.default_rng(seed).permutation(len(digits.target))
    x, y = digits.data[order] / 16.0, digits.target[order]
    n = len(y) // 5
    return x[n:], y[n:], x[:n], y[:n]


def run(out: Path) -> list[Row]:
    """Train on each backend; draw the curves and the test images that the network gets wrong."""
    x, y, x_test, y_test = data()
    rows = []
    for backend in ("jax", "c"):
        start = time.perf_counter()
        model = Digits().compile(
            optimizer=ae.Adam(3e-3),
            loss=nn.softmax_cross_entropy,
            metrics=[ae.Accuracy()],
            backend=backend,
        )
        history = model.fit(x, y, epochs=25, batch_size=32, validation_data=(x_test, y_test))
        accuracy = model.evaluate(x_test, y_test)["accuracy"]
        path = out / f"digits-{backend}.png"
        draw(history, x_test, y_test, model.predict(x_test), path)
        seconds = time.perf_counter() - start
        result, reached = f"test accuracy {accuracy:.4f}", accuracy >= GOAL
        rows.append(Row("digits, MLP", result, f"≥ {GOAL}", reached, seconds, backend, path))
    return rows


def draw(history: Any, x: Any, y: Any, logits: Any, path: Path) -> None:
    """The losses on the left; on the right the images with the least probable true label."""
    figure = plt.figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(1.1, 1))[0]
    history.plot(left)
    shifted = logits - logits.max(axis=1, keepdims=True)
    logp = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    hardest = np.argsort(logp[np.arange(len(y)), y])[:10]
    right.suptitle("the ten hardest test images")
    for ax, i in zip(right.subplots(2, 5).flat, hardest, strict=True):
        ax.imshow(x[i].reshape(8, 8), cmap="gray_r")
        guess = int(logits[i].argmax())
        ax.set_title(f"{y[i]} as {guess}", fontsize=9, color="C3" if guess != y[i] else "black")
        ax.axis("off")
    figure.savefig(path, dpi=130)
    plt.close(figure)
