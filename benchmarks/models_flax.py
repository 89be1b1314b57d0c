"""Flax's models, in linen: a step of NNX's modules costs about half a millisecond more in Python.

Each is called with the batch and whether it trains.
"""

from __future__ import annotations

from functools import partial

import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from tasks import BLOCKS, CONTEXT, HEADS, VOCABULARY, WIDTH


class MLP(nn.Module):
    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        for width in (512, 512):
            x = nn.relu(nn.Dense(width)(x))
        return nn.Dense(10)(x)


class Convnet(nn.Module):
    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        for width in (32, 64):
            x = nn.relu(nn.Conv(width, (3, 3), padding="VALID")(x))
            x = nn.max_pool(x, (2, 2), (2, 2))
        x = nn.Dropout(0.5, deterministic=not train)(x.reshape(len(x), -1))
        return nn.Dense(10)(x)


class LSTM(nn.Module):
    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        states = nn.RNN(nn.OptimizedLSTMCell(128))(x)
        return nn.Dense(10)(states[:, -1])


class Attention(nn.Module):
    """By hand: on a CPU faster than `nn.MultiHeadDotProductAttention` and JAX's own function."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        n, t, _ = x.shape
        split = nn.Dense(3 * WIDTH)(x).reshape(n, t, 3, HEADS, WIDTH // HEADS)
        q, k, v = split.transpose(2, 0, 3, 1, 4)
        scores = q @ k.mT * (WIDTH // HEADS) ** -0.5
        weights = nn.softmax(jnp.where(jnp.tri(t, dtype=bool), scores, -jnp.inf))
        return nn.Dense(WIDTH)((weights @ v).swapaxes(1, 2).reshape(n, t, WIDTH))


class Block(nn.Module):
    @nn.compact
    def __call__(self, x: Array) -> Array:
        x = x + Attention()(nn.LayerNorm()(x))
        y = nn.gelu(nn.Dense(4 * WIDTH)(nn.LayerNorm()(x)), approximate=False)
        return x + nn.Dense(WIDTH)(y)


class Transformer(nn.Module):
    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        positions = self.param("positions", nn.initializers.normal(0.02), (CONTEXT, WIDTH))
        x = nn.Embed(VOCABULARY, WIDTH)(x) + positions
        for _ in range(BLOCKS):
            x = Block()(x)
        return nn.Dense(VOCABULARY)(nn.LayerNorm()(x))


class ResNet18(nn.Module):
    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        convolve = partial(nn.Conv, use_bias=False)
        norm = partial(nn.BatchNorm, use_running_average=not train)

        def block(x: Array, width: int, stride: int) -> Array:
            y = nn.relu(norm()(convolve(width, (3, 3), stride)(x)))
            y = norm()(convolve(width, (3, 3))(y))
            if stride > 1:
                x = norm()(convolve(width, (1, 1), stride)(x))
            return nn.relu(x + y)

        x = nn.relu(norm()(convolve(64, (3, 3))(x)))
        for width in (64, 128, 256, 512):
            x = block(block(x, width, 1 if width == 64 else 2), width, 1)
        return nn.Dense(10)(x.mean((1, 2)))


MODELS = {
    "mlp": MLP,
    "convnet": Convnet,
    "lstm": LSTM,
    "transformer": Transformer,
    "resnet18": ResNet18,
}
