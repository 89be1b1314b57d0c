"""The benchmarks' own parts: operation counts, timing in turn, processes, our tasks."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(FOLDER))

import harness  # noqa: E402
import load  # noqa: E402
import machine  # noqa: E402
import ours  # noqa: E402
import work  # noqa: E402
from systems import Data  # noqa: E402
from tasks import TASKS  # noqa: E402


class Number:
    """A number that counts the products it takes part in."""

    products = 0

    def __mul__(self, other):
        Number.products += 1
        return self

    def __add__(self, other):
        return self


def numbers(*shape):
    return np.full(shape, Number())


def flops(call):
    """Two for each product that `call` makes: the product, and its place in a sum."""
    Number.products = 0
    call()
    return 2 * Number.products


def test_a_matrix_product_is_counted():
    assert work.gemm(3, 4, 5).flops == flops(lambda: numbers(3, 4) @ numbers(4, 5))
    assert work.gemm(3, 4, 5).bytes == 4 * (12 + 20 + 15)


@pytest.mark.parametrize("stride, pad", [(1, 0), (2, 0), (1, 1), (2, 1)])
def test_a_convolution_is_counted(stride, pad):
    x, w = numbers(2, 7 + 2 * pad, 7 + 2 * pad, 3), numbers(27, 4)
    outputs = []

    def convolve():
        for i in range(0, x.shape[1] - 2, stride):
            for j in range(0, x.shape[2] - 2, stride):
                outputs.append(x[:, i : i + 3, j : j + 3].reshape(2, 27) @ w)

    found = work.convolution(2, 7, 3, inputs=3, outputs=4, stride=stride, pad=pad)
    assert found.flops == flops(convolve)
    assert found.bytes == 4 * (2 * 49 * 3 + w.size + sum(y.size for y in outputs))


def test_a_recurrence_is_counted():
    state, r = numbers(2, 3), numbers(3, 4 * 3)
    found = work.recurrence(batch=2, steps=5, gates=4, units=3)
    assert found.flops == flops(lambda: [state @ r for _ in range(5)])
    assert found.bytes == 4 * (r.size + 5 * (2 * 4 * 3 + state.size))


def test_causal_attention_is_counted():
    q, k, v = numbers(3, 2, 6, 8)

    def attend():
        for n in range(2):
            for t in range(6):
                scores = k[n, : t + 1] @ q[n, t]
                scores @ v[n, : t + 1]

    found = work.causal_attention(batch=2, steps=6, width=8)
    assert found.flops == flops(attend)
    assert found.bytes == 4 * 4 * q.size


def test_a_training_step_is_counted():
    x, w, v = numbers(3, 4), numbers(4, 5), numbers(5, 2)

    def step():
        y = x @ w
        dz = y @ v  # as wide as its gradient
        dy = dz @ v.T
        return y.T @ dz, x.T @ dy

    found = work.training([work.gemm(3, 4, 5), work.gemm(3, 5, 2)], work.Work(7.0))
    assert found.flops == flops(step) + 7


def test_samples_settle_and_take_turns():
    asked = []

    def timer(key, step, steps):
        asked.append((key, steps))
        return step

    timers = {"a": partial(timer, "a", 0.01), "b": partial(timer, "b", 1.0)}
    options = dict(rounds=30, sample=0.2, settle=0.4, pause=0.0)
    found = harness.interleave(timers, load.Quiet(0), budget=10.0, **options)
    # a round is 60 steps of a, 2 of b: 2.6 s, and three fit in 10 s
    assert {key: len(values) for key, values in found.items()} == {"a": 3, "b": 3}
    a, b = [("a", 40), ("a", 20)], [("b", 1), ("b", 1)]
    assert asked[-12:] == [*a, *b, *b, *a, *a, *b]
    assert len(harness.interleave(timers, load.Quiet(0), budget=1e3, **options)["a"]) == 30


def test_processor_time_of_grandchildren_is_ours():
    burn = "import time\nwhile time.process_time() < 0.5: pass\nprint(1, flush=True)\ninput()"
    before = load._ticks(os.getpid())
    shell = subprocess.Popen(
        ["sh", "-c", f"'{sys.executable}' -c '{burn}'; true"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    shell.stdout.readline()
    assert load._ticks(os.getpid()) - before >= 0.4 * os.sysconf("SC_CLK_TCK")
    shell.communicate(b"\n")


def test_a_served_process_answers_until_it_dies(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", str(FOLDER))
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\n"
        "from machine import say\n"
        "say(ready=1)\n"
        "for line in sys.stdin:\n"
        "    print('noise', flush=True)\n"
        "    say(twice=2 * int(line))\n"
    )
    with machine.Served([str(program)]) as process:
        assert process.facts == {"ready": 1}
        assert process.ask(4) == {"twice": 8}
        with pytest.raises(RuntimeError, match="ValueError"):
            process.ask("x")


@pytest.mark.parametrize(
    "name", [n if n == "mlp" else pytest.param(n, marks=pytest.mark.slow) for n in TASKS]
)
def test_our_model_of_a_task_trains_and_predicts(name):
    task = TASKS[name]
    full = task.data(0)
    data = Data.aligned(full.x[:2], full.y[:2], batch=2)
    runner = ours.build(name, "jax", data)
    runner.step()
    first = runner.sync()
    for _ in range(3):
        runner.step()
    assert runner.parameters == task.parameters
    assert runner.sync() < first
    classes = 65 if name == "transformer" else 10
    assert runner.infer(data.x).shape == (*data.y.shape, classes)
