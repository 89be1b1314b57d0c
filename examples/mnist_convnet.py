"""The convolutional network of the Keras documentation on MNIST.

``python examples/mnist_convnet.py --data mnist.npz``; 15 epochs reach 0.9927 on the
test images.
"""

# ruff: noqa: I001
from __future__ import annotations

import argparse
from time import perf_counter

import aeframe as ae
from aesara.graph.basic import Variable

from aeframe import nn
from data import digits, mnist


class Convnet(nn.Layer):
    """Two convolutions with pooling, then a linear classifier: (n, 28, 28, 1) → (n, 10)."""

    def __init__(self, dropout: float = 0.5) -> None:
        self.features = nn.Sequential(
            nn.Conv2D(32, 3, padding="valid"),
            nn.relu,
            nn.MaxPool2D(2),
            nn.Conv2D(64, 3, padding="valid"),
            nn.relu,
            nn.MaxPool2D(2),
        )
        self.flatten, self.dropout, self.out = nn.Flatten(), nn.Dropout(dropout), nn.Dense(10)

    def __call__(self, x: Variable) -> Variable:
        """Logits of the ten classes."""
        return self.out(self.dropout(self.flatten(self.features(x))))


def main() -> None:
    """Train, and say the accuracy on the test images."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="mnist.npz or its folder")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--backend", default="jax", help="jax, c or numba")
    parser.add_argument("--save", help="a file for the trained model")
    parser.add_argument("--view", help="an HTML file for its graph")
    parser.add_argument("--quick", action="store_true", help="one epoch on the small digits")
    options = parser.parse_args()
    (x, y), (test_x, test_y) = digits() if options.quick else mnist(options.data)
    model = Convnet().compile(
        optimizer=ae.Adam(1e-3),
        loss=nn.softmax_cross_entropy,
        metrics=[ae.Accuracy()],
        backend=options.backend,
    )
    start = perf_counter()
    epochs = 1 if options.quick else options.epochs
    history = model.fit(x, y, batch_size=options.batch, epochs=epochs)
    seconds = perf_counter() - start
    print(model.summary())
    print(history)
    found = model.evaluate(test_x, test_y)
    print(f"test accuracy {found['accuracy']:.4f}, loss {found['loss']:.4f}, {seconds:.0f} s")
    if options.save:
        model.save(options.save)
    if options.view:
        model.view(x[:1]).save(options.view)


if __name__ == "__main__":
    main()
