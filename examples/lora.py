"""Fine-tuning with few parameters: a network learns the digits, then to read them turned around.

``python examples/lora.py`` takes half a minute. The network is trained on upright digits; turned by
90 degrees it reads next to nothing. Low-rank changes of its frozen layers (Hu et al. 2022) mend
that, and are then merged into them.
"""

# ruff: noqa: I001
from __future__ import annotations

import argparse
from typing import Any

import aeframe as ae
import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from aeframe import nn


def parts(model: ae.Module) -> str:
    """How many parameters are trained, of how many."""
    cells = [c for c in model.store.values() if isinstance(c, ae.Parameter)]
    total = sum(c.value.size for c in cells)
    trained = sum(c.value.size for c in cells if c.trainable)
    return f"{trained:,} of {total:,} parameters trained"


def main() -> None:
    """Train, turn the digits, fine-tune; say the accuracies."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rank", type=int, default=4)
    parser.add_argument("--quick", action="store_true", help="one epoch of each")
    options = parser.parse_args()
    epochs = 1 if options.quick else options.epochs
    rng = np.random.default_rng(0)
    x, y = load_digits(return_X_y=True)
    order = rng.permutation(len(x))
    x, y = x[order] / 16, y[order]
    turned = np.rot90(x.reshape(-1, 8, 8), axes=(1, 2)).reshape(-1, 64)
    train, test = slice(None, 1437), slice(1437, None)
    how = {"loss": nn.softmax_cross_entropy, "metrics": [ae.Accuracy()]}

    def accuracy(images: NDArray[Any]) -> float:
        return model.evaluate(images[test], y[test])["accuracy"]

    model = nn.Sequential(nn.Dense(256), nn.relu, nn.Dense(256), nn.relu, nn.Dense(10))
    model.compile(optimizer=ae.Adam(1e-3), **how).fit(x[train], y[train], epochs=epochs)
    print(f"upright {accuracy(x):.3f}, turned {accuracy(turned):.3f}; {parts(model)}")

    nn.lora(model, options.rank).compile(optimizer=ae.Adam(5e-3), **how)
    model.fit(turned[train], y[train], epochs=epochs)
    print(f"fine-tuned: turned {accuracy(turned):.3f}; {parts(model)}")
    print(model.summary())

    tuned = model.predict(turned[test])
    merged = nn.merge_lora(model).predict(turned[test])
    print(f"merged into plain layers, predictions differ by {np.abs(tuned - merged).max():.1e}")


if __name__ == "__main__":
    main()
