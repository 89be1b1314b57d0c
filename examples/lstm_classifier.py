"""An LSTM that reads the rows of a digit as a sequence, of which some are missing.

``python examples/lstm_classifier.py`` takes half a minute. Each picture is a sequence of eight rows
of eight pixels; the last zero to three rows of it are cut off, and the mask says so.
"""

# ruff: noqa: I001
from __future__ import annotations

import argparse

import aeframe as ae
import numpy as np
from aesara.graph.basic import Variable
from sklearn.datasets import load_digits

from aeframe import nn
from aeframe.train import ClipNorm, Cosine


class Reader(nn.Layer):
    """Two LSTMs over time, one in both directions, and a classifier on the last state."""

    def __init__(self, units: int, classes: int) -> None:
        self.both = nn.Bidirectional(nn.LSTM(units, return_sequences=True))
        self.last, self.out = nn.LSTM(units), nn.Dense(classes)

    def __call__(self, x: Variable, there: Variable) -> Variable:
        """Logits (n, classes) of sequences (n, t, i); ``there`` (n, t) says what is no padding."""
        return self.out(self.last(self.both(x, mask=there), mask=there))


def main() -> None:
    """Train, and say the accuracy for each number of rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--units", type=int, default=64)
    parser.add_argument("--quick", action="store_true", help="one epoch, 8 units")
    options = parser.parse_args()
    epochs, units = (1, 8) if options.quick else (options.epochs, options.units)
    rng = np.random.default_rng(0)
    x, y = load_digits(return_X_y=True)
    order = rng.permutation(len(x))
    x, y = x[order].reshape(-1, 8, 8) / 16, y[order]
    lengths = rng.integers(5, 9, len(x))
    there = np.arange(8) < lengths[:, None]
    x[~there] = 99.0  # what is masked does not matter
    train, test = slice(None, 1437), slice(1437, None)
    model = Reader(units, 10).compile(
        optimizer=ClipNorm(ae.Adam(Cosine(5e-3, epochs * 45)), 1.0),
        loss=nn.softmax_cross_entropy,
        metrics=[ae.Accuracy()],
    )
    print(model.fit(x[train], there[train], y[train], epochs=epochs))
    right = model.predict(x[test], there[test]).argmax(axis=1) == y[test]
    for rows in np.unique(lengths):
        found = right[lengths[test] == rows]
        print(f"{rows} rows: accuracy {found.mean():.3f} of {len(found)}")
    print(f"test accuracy {right.mean():.4f}")


if __name__ == "__main__":
    main()
