"""Keras's models."""

from __future__ import annotations

import os

os.environ["KERAS_BACKEND"] = "jax"

import keras
from keras import layers
from tasks import BLOCKS, CONTEXT, HEADS, VOCABULARY, WIDTH


def mlp() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((784,)),
            layers.Dense(512, activation="relu"),
            layers.Dense(512, activation="relu"),
            layers.Dense(10),
        ]
    )


def convnet() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10),
        ]
    )


def lstm() -> keras.Model:
    return keras.Sequential([keras.Input((128, 64)), layers.LSTM(128), layers.Dense(10)])


class Positions(layers.Layer):
    """Adds a learned vector to each position."""

    def build(self, shape):
        self.table = self.add_weight(shape=shape[1:], initializer="random_normal")

    def call(self, x):
        return x + self.table


def transformer() -> keras.Model:
    tokens = keras.Input((CONTEXT,), dtype="int32")
    x = Positions()(layers.Embedding(VOCABULARY, WIDTH)(tokens))
    for _ in range(BLOCKS):
        y = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(HEADS, WIDTH // HEADS)(y, y, use_causal_mask=True)
        y = layers.Dense(4 * WIDTH, activation="gelu")(layers.LayerNormalization()(x))
        x = x + layers.Dense(WIDTH)(y)
    return keras.Model(tokens, layers.Dense(VOCABULARY)(layers.LayerNormalization()(x)))


def resnet18() -> keras.Model:
    def convolve(x, width: int, size: int, stride: int = 1):
        x = layers.Conv2D(width, size, stride, padding="same", use_bias=False)(x)
        return layers.BatchNormalization()(x)

    def block(x, width: int, stride: int):
        y = convolve(layers.ReLU()(convolve(x, width, 3, stride)), width, 3)
        return layers.ReLU()(y + (convolve(x, width, 1, stride) if stride > 1 else x))

    images = keras.Input((32, 32, 3))
    x = layers.ReLU()(convolve(images, 64, 3))
    for width in (64, 128, 256, 512):
        x = block(block(x, width, 1 if width == 64 else 2), width, 1)
    return keras.Model(images, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))


MODELS = {
    "mlp": mlp,
    "convnet": convnet,
    "lstm": lstm,
    "transformer": transformer,
    "resnet18": resnet18,
}
