"""Schedules against formulas, against optax, and inside a training program."""

import aesara.tensor as at
import matplotlib.pyplot as plt
import numpy as np
import pytest

import aeframe as ae
from aeframe import nn, train
from aeframe.core.errors import ArgumentError
from aeframe.core.serialize import decode_value, encode_value

STEPS = np.arange(25)


def one_cycle(t):
    up = 0.02 + 0.48 * (1 - np.cos(np.pi * t / 6)) / 2
    down = 2e-6 + (0.5 - 2e-6) * (1 + np.cos(np.pi * np.minimum((t - 6) / 14, 1))) / 2
    return np.where(t < 6, up, down)


def warm(t):
    return np.where(
        t < 5, 0.1 * (t + 1) / 6, 0.1 * (1 + np.cos(np.pi * np.minimum((t - 5) / 10, 1))) / 2
    )


# ours, the formula, and optax's
CASES = {
    "Cosine": (
        train.Cosine(0.1, 10, floor=0.01),
        lambda t: 0.01 + 0.09 * (1 + np.cos(np.pi * np.minimum(t / 10, 1))) / 2,
        lambda o: o.cosine_decay_schedule(0.1, 10, alpha=0.1),
    ),
    "Step": (
        train.Step(0.1, 4, factor=0.5),
        lambda t: 0.1 * 0.5 ** (t // 4),
        lambda o: o.exponential_decay(0.1, 4, 0.5, staircase=True),
    ),
    "Exponential": (
        train.Exponential(0.1, 4, 0.5),
        lambda t: 0.1 * 0.5 ** (t / 4),
        lambda o: o.exponential_decay(0.1, 4, 0.5),
    ),
    "InverseRoot": (
        train.InverseRoot(0.3),
        lambda t: np.minimum(0.3, 1 / np.sqrt(t + 1)),
        None,
    ),
    "WarmUp": (
        train.WarmUp(train.Cosine(0.1, 10), 5),
        warm,
        lambda o: o.join_schedules(
            [o.linear_schedule(0.1 / 6, 0.1, 5), o.cosine_decay_schedule(0.1, 10)], [5]
        ),
    ),
    "WarmUp to a number": (
        train.WarmUp(0.1, 5),
        lambda t: 0.1 * np.minimum((t + 1) / 6, 1),
        lambda o: o.linear_schedule(0.1 / 6, 0.1, 5),
    ),
    "OneCycle": (
        train.OneCycle(0.5, 20),
        one_cycle,
        lambda o: o.cosine_onecycle_schedule(20, 0.5),
    ),
}


@pytest.mark.parametrize("backend", ["jax", "c", "numba"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES)
def test_rates_follow_the_formula(case, dtype, backend):
    schedule, formula, _ = CASES[case]
    t = at.TensorType(dtype, (25,))()
    (found,) = ae.Backend(backend).compile([t], [schedule(t)])(STEPS.astype(dtype))
    found = np.asarray(found)
    assert found.dtype == dtype
    loose = 1e-9 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(found, formula(STEPS), rtol=loose, atol=loose / 100)


@pytest.mark.parametrize("case", [c for c, (_, _, theirs) in CASES.items() if theirs])
def test_rates_are_those_of_optax(case):
    optax = pytest.importorskip("optax")
    schedule, _, theirs = CASES[case]
    rates = [float(theirs(optax)(t)) for t in STEPS]
    np.testing.assert_allclose(schedule(STEPS).eval(), rates, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("case", CASES)
def test_equal_schedules_are_one_and_are_written_as_data(case):
    schedule = CASES[case][0]
    again = decode_value(encode_value(schedule))
    assert again == schedule and hash(again) == hash(schedule)


@pytest.mark.parametrize("backend", ["jax", "c", "numba"])
def test_a_program_moves_along_the_schedule(backend):
    class Line(ae.Module):
        dtype = "float64"

        def __init__(self):
            self.a = ae.Parameter(0.0)

        def __call__(self, x):
            return self.a * x

    model = Line().compile(
        optimizer=ae.SGD(train.Step(0.1, 2)),
        loss=lambda p, t: p.mean(),
        backend=backend,
    )
    values = [0.0]
    for _ in range(5):
        model.train_on_batch(np.ones(1), np.ones(1))
        values.append(float(model.a.value))
    np.testing.assert_allclose(-np.diff(values), [0.1, 0.1, 0.01, 0.01, 0.001], rtol=1e-9)
    assert len(model._trainer._programs) == 1


def test_a_schedule_of_a_network_keeps_float32():
    model = nn.Dense(2).compile(
        optimizer=ae.AdamW(train.WarmUp(train.Cosine(1e-2, 50), 5)), loss=nn.mean_squared_error
    )
    losses = model.fit(np.eye(4), np.ones((4, 2)), epochs=40, progress=False)["loss"]
    assert losses[-1] < losses[0] and model.w.value.dtype == "float32"


def test_plot_draws_every_step():
    (line,) = train.Cosine(0.1, 10).plot(25).get_lines()
    np.testing.assert_allclose(line.get_ydata(), train.Cosine(0.1, 10)(STEPS).eval())
    plt.close("all")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: train.Cosine(-1.0, 10),
        lambda: train.Cosine(0.1, 0),
        lambda: train.Step(0.1, 2.5),
        lambda: train.Exponential(0.1, 10, "half"),
        lambda: train.WarmUp(None, 10),
        lambda: train.OneCycle(0.1, 10, rise=1.0),
    ],
)
def test_wrong_uses(wrong):
    with pytest.raises(ArgumentError) as caught:
        wrong()
    assert caught.value.expected
