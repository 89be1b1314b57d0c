"""Long training: memory stays flat, nothing is compiled again, a kill loses nothing."""

import time

import numpy as np
import psutil
import pytest

import aeframe as ae
from benchmarks.kill import differing
from tests.train.nets import compiled

STEPS = 100_000


class Memory(ae.Callback):
    """Notes the resident megabytes every thousand steps."""

    def __init__(self):
        self.megabytes, self._process = [], psutil.Process()

    def on_step_end(self, trainer):
        if trainer.step % 1000 == 0:
            self.megabytes.append(self._process.memory_info().rss / 2**20)


@pytest.mark.slow
def test_a_hundred_thousand_steps_keep_memory_flat():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2 * STEPS - 1, 4)).astype("float32")
    memory = Memory()
    model = compiled(ae.nn.Dense(2))
    model.fit(x, x[:, :2], batch_size=2, callbacks=[memory], progress=False)
    assert model._trainer.optimizer.count.value == STEPS == 1000 * len(memory.megabytes)
    assert max(memory.megabytes) - memory.megabytes[0] < 8
    (program,) = model._trainer._programs.values()
    assert program.compilations == 1
    assert len(model._trainer.tally._waiting) == 0


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "c"])
def test_killed_and_resumed_is_not_killed_at_all(backend):
    assert differing(backend, kills=25) == []


@pytest.mark.slow
def test_a_step_costs_little_python():
    model = compiled(ae.nn.Dense(2))
    x = np.zeros((16_000, 4), "float32")
    model.train_on_batch(x[:2], x[:2, :2])
    (program,) = model._trainer._programs.values()
    ((key, run),) = program._executables.items()
    inside = 0.0

    def timed(*arguments):
        nonlocal inside
        start = time.thread_time()
        made = run(*arguments)
        inside += time.thread_time() - start
        return made

    program._executables[key] = timed
    start = time.thread_time()
    model.fit(x, x[:, :2], batch_size=2, progress=False)
    assert (time.thread_time() - start - inside) / 8000 < 100e-6
