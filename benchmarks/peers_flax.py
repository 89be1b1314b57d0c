"""Flax with Optax: one jitted step that donates its state, and a jitted forward pass."""

from __future__ import annotations

from functools import partial

import jax
import numpy as np
import optax
from jax.experimental import disable_x64
from models_flax import MODELS
from systems import Data, Runner

OPTIMIZERS = {
    "transformer": partial(optax.adamw, 1e-3, weight_decay=0.01),
    "resnet18": partial(optax.sgd, 0.01, momentum=0.9),
}


class FlaxRunner(Runner):
    """A pure step from state and batch to state and loss; x64 stays off, as is JAX's default."""

    context = staticmethod(disable_x64)

    def __init__(self, task: str, data: Data) -> None:
        self.data, self.taken = data, 0
        model = MODELS[task]()
        optimizer = OPTIMIZERS.get(task, partial(optax.adam, 1e-3))()

        def step(state, x, y):
            parameters, statistics, slots, key = state
            key, dropout = jax.random.split(key)

            def loss(parameters):
                logits, moved = model.apply(
                    {"params": parameters, **statistics},
                    x,
                    train=True,
                    rngs={"dropout": dropout},
                    mutable=list(statistics),
                )
                return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean(), moved

            (value, moved), gradient = jax.value_and_grad(loss, has_aux=True)(parameters)
            updates, slots = optimizer.update(gradient, slots, parameters)
            return (optax.apply_updates(parameters, updates), moved, slots, key), value

        def forward(parameters, statistics, x):
            return model.apply({"params": parameters, **statistics}, x, train=False)

        self.program = jax.jit(step, donate_argnums=0)
        self.forward = jax.jit(forward)
        with self.context():
            variables = jax.jit(partial(model.init, train=False))(jax.random.key(0), data[0][0])
            parameters = variables.pop("params")
            slots = optimizer.init(parameters)
            self.state = (parameters, variables, slots, jax.random.key(1))
        self.parameters = sum(p.size for p in jax.tree.leaves(parameters))

    def step(self) -> None:
        self.state, self.last = self.program(self.state, *self.data[self.taken])
        self.taken += 1

    def sync(self) -> float:
        jax.block_until_ready(self.state)
        return float(self.last)

    def infer(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self.forward(*self.state[:2], x))


def build(task: str, backend: str, data: Data) -> Runner:
    """A runner of Flax; its backend is JAX."""
    return FlaxRunner(task, data)
