"""A variational autoencoder (Kingma and Welling 2014) and the pictures that it draws.

``python examples/vae.py --data mnist.npz`` trains on MNIST, without ``--data`` on the digits of
scikit-learn. It writes ``vae.png``: pictures, what comes back of them, and new ones.
"""

# ruff: noqa: I001
from __future__ import annotations

import argparse
from typing import Any

import aeframe as ae  # before Aesara, which it mends
import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Variable
from numpy.typing import NDArray

from aeframe import nn
from data import digits, mnist


class Gauss(nn.Layer):
    """A draw of N(mean, exp(log variance)), by noise of a stream of its own."""

    def __init__(self) -> None:
        self.rng = ae.RandomState()

    def __call__(self, mean: Variable, log_variance: Variable) -> Variable:
        """The mean + standard deviation · noise, so that gradients reach both."""
        advanced, noise = ae.Normal(at.zeros_like(mean), 1.0).draw(self.rng.read())
        self.rng.write(advanced)
        return mean + at.exp(log_variance / 2) * noise.astype(mean.type.dtype)


class Autoencoder(nn.Layer):
    """Pixels → codes of ``width`` normal variables → logits of pixels."""

    def __init__(self, width: int, pixels: int = 784) -> None:
        self.width = width
        self.encoder = nn.Sequential(nn.Dense(400), nn.relu, nn.Dense(2 * width))
        self.code = Gauss()
        self.decoder = nn.Sequential(nn.Dense(400), nn.relu, nn.Dense(pixels))

    def __call__(self, x: Variable) -> tuple[Variable, Variable, Variable]:
        """Logits of pixels, and mean and log variance of the code."""
        made = self.encoder(x)
        mean, log_variance = made[:, : self.width], made[:, self.width :]
        return self.decoder(self.code(mean, log_variance)), mean, log_variance


@ae.register
def negative_elbo(prediction: tuple[Variable, Variable, Variable], x: Variable) -> Variable:
    """The loss in nats: −E log p(x | z) + KL(q(z | x) ‖ N(0, 1)), the mean over the batch."""
    logits, mean, log_variance = prediction
    pixels = nn.binary_cross_entropy(logits, x) * x.type.shape[1]
    divergence = (at.exp(log_variance) + mean**2 - 1.0 - log_variance).sum(axis=1) / 2
    return pixels + divergence.mean()


def sigmoid(x: NDArray[Any]) -> NDArray[Any]:
    """From logits to grey values."""
    return 1 / (1 + np.exp(-x))


def draw(model: Autoencoder, x: NDArray[Any], path: str) -> None:
    """Write rows of pictures: given, reconstructed, and four rows of new ones."""
    import matplotlib.pyplot as plt

    n = len(x)
    codes = np.random.default_rng(0).normal(size=(4 * n, model.width))
    rows = [x, sigmoid(model.predict(x)[0]), *np.split(sigmoid(model.decoder(codes)), 4)]
    sheet = np.concatenate([np.hstack(row.reshape(-1, 28, 28)) for row in rows])
    figure, ax = plt.subplots(figsize=(n * 0.6, len(rows) * 0.6 + 0.1), layout="constrained")
    ax.imshow(sheet, cmap="gray_r")
    ax.set(xticks=[], yticks=[14, 42, 112], yticklabels=["given", "returned", "new"])
    ax.axhline(56, color="0.7", linewidth=0.8)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Train, say the bound on test pictures, and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="mnist.npz or its folder; the digits if left out")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--width", type=int, default=20, help="of the code")
    parser.add_argument("--out", default="vae.png")
    parser.add_argument("--quick", action="store_true", help="one epoch")
    options = parser.parse_args()
    (x, _), (test, _) = mnist(options.data) if options.data else digits()
    x, test = x.reshape(len(x), -1), test.reshape(len(test), -1)
    model = Autoencoder(options.width)
    model.compile(optimizer=ae.Adam(1e-3), loss=negative_elbo)
    epochs = 1 if options.quick else options.epochs
    history = model.fit(x, x, epochs=epochs, batch_size=128 if len(x) > 10_000 else 32)
    print(history)
    print(f"test bound {-model.evaluate(test, test)['loss']:.1f} nats a picture")
    draw(model, test[:: len(test) // 16][:16], options.out)
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
