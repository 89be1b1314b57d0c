"""Flax (linen) with Optax: one jitted step that donates its state.

Linen, because a step of NNX's modules costs about half a millisecond more in Python.
"""

from __future__ import annotations

import jax
import optax
from flax import linen as nn
from jax.experimental import disable_x64
from systems import Data, Runner


class MLP(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for width in (512, 512):
            x = nn.relu(nn.Dense(width)(x))
        return nn.Dense(10)(x)


MODELS = {"mlp": MLP}


class FlaxRunner(Runner):
    """A pure step from state and batch to state and loss; x64 stays off, as is JAX's default."""

    context = staticmethod(disable_x64)

    def __init__(self, model: nn.Module, data: Data) -> None:
        self.data, self.taken = data, 0
        optimizer = optax.adam(1e-3)

        def step(state, x, y):
            parameters, slots = state

            def loss(parameters):
                logits = model.apply(parameters, x)
                return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

            value, gradient = jax.value_and_grad(loss)(parameters)
            updates, slots = optimizer.update(gradient, slots, parameters)
            return (optax.apply_updates(parameters, updates), slots), value

        self.program = jax.jit(step, donate_argnums=0)
        with self.context():
            parameters = jax.jit(model.init)(jax.random.key(0), data[0][0])
            self.state = (parameters, optimizer.init(parameters))

    def step(self) -> None:
        self.state, self.last = self.program(self.state, *self.data[self.taken])
        self.taken += 1

    def sync(self) -> float:
        jax.block_until_ready(self.state)
        return float(self.last)


def build(task: str, backend: str, data: Data) -> Runner:
    """A runner of Flax; its backend is JAX."""
    return FlaxRunner(MODELS[task](), data)
