"""Keras on JAX: steps inside `fit`, which is faster than `train_on_batch`.

A jitted `stateless_call` predicts, which is faster than `predict_on_batch`.
"""

from __future__ import annotations

import time
from functools import partial

import jax
import numpy as np
from jax.experimental import disable_x64
from models_keras import MODELS, keras
from systems import Data, Runner

OPTIMIZERS = {
    "transformer": partial(keras.optimizers.AdamW, 1e-3, weight_decay=0.01),
    "resnet18": partial(keras.optimizers.SGD, 0.01, momentum=0.9),
}


class Clock(keras.callbacks.Callback):
    """The seconds from an epoch's begin to its end, when its loss has arrived."""

    seconds, loss = 0.0, float("nan")

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.loss = float(logs["loss"])
        self.seconds += time.perf_counter() - self.start


class KerasRunner(Runner):
    """`fit` on as many batches as there are steps to take.

    The time before and after an epoch, which a longer epoch would not have, does not count.
    """

    context = staticmethod(disable_x64)

    def __init__(self, task: str, data: Data) -> None:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.model = MODELS[task]()
        self.model.compile(OPTIMIZERS.get(task, partial(keras.optimizers.Adam, 1e-3))(), loss)
        self.data, self.loss = data, float("nan")
        self.parameters = sum(w.value.size for w in self.model.trainable_variables)

        def forward(trained, others, x):
            return self.model.stateless_call(trained, others, x, training=False)[0]

        self.forward = jax.jit(forward)

    def phase(self, training: bool) -> None:
        variables = self.model.trainable_variables, self.model.non_trainable_variables
        self.values = () if training else [[v.value for v in group] for group in variables]

    def sync(self) -> float:
        return self.loss

    def seconds(self, steps: int) -> float:
        clock = Clock()
        self.phase(training=True)
        with self.context():
            for taken in range(0, steps, len(self.data)):
                rows = min(steps - taken, len(self.data)) * self.data.batch
                self.model.fit(
                    self.data.x[:rows],
                    self.data.y[:rows],
                    batch_size=self.data.batch,
                    shuffle=False,
                    verbose=0,
                    callbacks=[clock],
                )
        self.loss = clock.loss
        return clock.seconds / steps

    def infer(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self.forward(*self.values, x))


def build(task: str, backend: str, data: Data) -> Runner:
    """A runner of Keras; its backend is JAX."""
    keras.utils.set_random_seed(0)
    return KerasRunner(task, data)
