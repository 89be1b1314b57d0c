"""AutoML on digits: rules grow a network of 16 hidden units, on a budget of epochs."""

from __future__ import annotations

import time
from pathlib import Path

import matplotlib.pyplot as plt
from aesara.graph.basic import Variable

import aeframe as ae
from aeframe import automl, nn
from aeframe.demo.digits import data
from aeframe.demo.row import Row

GOAL, EPOCHS = 0.95, 30
RULES = (
    *("wider", "deeper", "skip connection", "dropout", "layer normalization"),
    "learning rate up",
)


class Small(ae.Module):
    """One hidden layer of 16."""

    def __init__(self) -> None:
        self.hidden, self.out = nn.Dense(16), nn.Dense(10)

    def __call__(self, x: Variable) -> Variable:
        """Logits, (n, 64) → (n, 10)."""
        return self.out(nn.relu(self.hidden(x)))


def run(out: Path) -> list[Row]:
    """Search with a fifth of the training images as validation data; draw score against cost."""
    x, y, x_test, y_test = data()
    start = time.perf_counter()
    model = Small().with_pass(automl.Training(learning_rate=3e-3))
    search = ae.AutoML(model, RULES, nn.softmax_cross_entropy, EPOCHS, children=3, backend="jax")
    result = search.fit(x, y)
    accuracy = float((result.model.predict(x_test).argmax(axis=1) == y_test).mean())
    path = out / "automl.png"
    ax = result.plot()
    ax.figure.savefig(path, dpi=130)
    plt.close(ax.figure)
    seconds = time.perf_counter() - start
    rules = ", ".join(rule for rule, _ in result.lineage)
    text = f"test accuracy {accuracy:.4f} after {result.epochs} epochs: {rules}"
    expected = f"≥ {GOAL} in {EPOCHS} epochs"
    reached = accuracy >= GOAL and result.epochs <= EPOCHS
    return [Row("digits, AutoML", text, expected, reached, seconds, "jax", path)]
