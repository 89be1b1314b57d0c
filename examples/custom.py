"""A layer that is a typed Op of its own, and a training step that ``fit`` does not have.

The layer compares directions: y = scale · cos(x, w). The step is sharpness-aware minimization
(Foret et al. 2021): it takes the gradient not at the parameters but a small way uphill from them,
so that training ends where the loss is flat. ``python examples/custom.py`` takes a few seconds.
"""

# ruff: noqa: I001
from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

import aeframe as ae  # before Aesara, which it mends
import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Variable
from sklearn.datasets import load_digits

from aeframe import nn
from aeframe.core import replay
from aeframe.core.ops import TypedOp, require_ndim, require_size


class CosineOp(TypedOp):
    """The cosines between rows of x (n, i) and columns of w (i, o), times a scale: (n, o)."""

    __props__ = ("scale",)

    def __init__(self, scale: float) -> None:
        self.scale = scale

    def check(self, x: Variable, w: Variable) -> None:
        """The width of ``x`` is the height of ``w``."""
        require_ndim(self, "x", x, 2)
        require_ndim(self, "w", w, 2)
        require_size(self, "x", x, 1, w.type.shape[0])

    def body(self, x: Variable, w: Variable) -> Variable:
        """Both with length 1; the small number keeps the gradient at 0 finite."""
        rows = at.sqrt((x * x).sum(axis=1, keepdims=True) + 1e-6)
        columns = at.sqrt((w * w).sum(axis=0, keepdims=True) + 1e-6)
        return self.scale * at.dot(x / rows, w / columns)


class Cosine(nn.Layer):
    """Cosines with ``units`` learned directions, times a scale: (n, i) → (n, units)."""

    def __init__(self, units: int, scale: float = 10.0) -> None:
        self.units, self.scale = units, scale
        self.w: ae.Parameter | None = None

    def __call__(self, x: Variable) -> Variable:
        """One typed Op; its parameter is made at the first call."""
        if self.w is None:
            shape = (x.type.shape[1], self.units)
            self.w = ae.Parameter(init=nn.he_normal, shape=shape, dtype=self.dtype)
        return CosineOp(self.scale)(x, self.w)


def sharpness_aware(
    model: ae.Module, width: int, rate: float, radius: float
) -> Callable[..., Sequence[Any]]:
    """A program of a batch: one step, which returns the loss and moves the parameters."""
    x, y = at.TensorType("float32", (None, width))("x"), at.lvector("y")
    graph = ae.lower(model, x)
    loss = nn.softmax_cross_entropy(graph.outputs[0], y)
    learned = ae.parameters(loss)
    # the gradient as a function of any parameters, then at two places
    anywhere = [p.type() for p in learned]
    slopes = ae.grad(replay([loss], dict(zip(learned, anywhere, strict=True)))[0], anywhere)
    here = replay(slopes, dict(zip(anywhere, learned, strict=True)))
    length = at.sqrt(sum((g * g).sum() for g in here))
    uphill = [p + np.float32(radius) * g / length for p, g in zip(learned, here, strict=True)]
    there = replay(slopes, dict(zip(anywhere, uphill, strict=True)))
    moved = {p: p - np.float32(rate) * g for p, g in zip(learned, there, strict=True)}
    return ae.Backend("jax").compile([x, y], [loss], {**graph.updates, **moved})


def main() -> None:
    """Train on the digits and say what the test rows say."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--radius", type=float, default=0.05, help="how far uphill")
    parser.add_argument("--quick", action="store_true", help="two epochs")
    options = parser.parse_args()
    x, y = load_digits(return_X_y=True)
    rng, train = np.random.default_rng(0), 1437
    order = rng.permutation(len(x))
    x, y = (x[order] / 16).astype("float32"), y[order]
    model = nn.Sequential(nn.Dense(128), nn.relu, Cosine(10))
    step = sharpness_aware(model, x.shape[1], rate=0.3, radius=options.radius)
    model.init(seed=0)
    for epoch in range(2 if options.quick else options.epochs):
        rows = rng.permutation(train)[: train // 64 * 64].reshape(-1, 64)
        losses = [step(x[batch], y[batch])[0] for batch in rows]
        if epoch % 10 == 9:
            print(f"epoch {epoch + 1:3}  loss {np.mean(losses):.4f}")
    right = model.predict(x[train:]).argmax(axis=1) == y[train:]
    print(f"test accuracy {right.mean():.4f} on {len(right)} rows")
    print(model.view())


if __name__ == "__main__":
    main()
