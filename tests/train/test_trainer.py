"""Training: optimizers against their formulas, fit, evaluate, predict, and what they refuse."""

import signal
from concurrent.futures import ThreadPoolExecutor

import aesara.tensor as at
import matplotlib.pyplot as plt
import numpy as np
import pytest

import aeframe as ae
from aeframe import nn
from aeframe.core import expand, grad, toposort
from aeframe.core.errors import ArgumentError, DataError, GradientError, StateError

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(60, 4)), rng.integers(0, 3, 60)


class Net(ae.Module):
    def __init__(self, rate=0.0, dtype=None):
        self.hidden, self.drop = nn.Dense(8, dtype=dtype), nn.Dropout(rate)
        self.out = nn.Dense(3, dtype=dtype)

    def __call__(self, x):
        return self.out(self.drop(nn.relu(self.hidden(x))))


class Line(ae.Module):
    dtype = "float64"

    def __init__(self, support=None):
        self.a = ae.Parameter(0.5, support=support or ae.Real())

    def __call__(self, x):
        return self.a * x


def compiled(model=None, **options):
    options = {"optimizer": ae.Adam(1e-2), "loss": nn.softmax_cross_entropy} | options
    return (model or Net()).compile(**options)


def test_a_positive_parameter_stays_positive():
    model = Line(ae.Positive()).compile(optimizer=ae.SGD(0.5), loss=nn.mean_squared_error)
    history = model.fit(np.ones(20), -np.ones(20), epochs=20, progress=False)
    assert 0 < float(model.a.value) < 0.2 and history["loss"][-1] < history["loss"][0]


@pytest.mark.parametrize("backend", ["jax", "c", "numba"])
def test_fit_learns_and_repeats_itself(backend):
    def losses(seed):
        model = compiled(Net(0.2), backend=backend, seed=seed, metrics=[ae.Accuracy()])
        return model, model.fit(X, Y, epochs=5, batch_size=16, progress=False)

    model, history = losses(0)
    assert history["loss"][-1] < history["loss"][0] and history.epochs == 5
    assert history.logs == losses(0)[1].logs != losses(1)[1].logs
    logits = model.predict(X, batch_size=16)
    assert logits.shape == (60, 3)
    assert model.evaluate(X, Y)["accuracy"] == pytest.approx((logits.argmax(1) == Y).mean())
    np.testing.assert_allclose(logits, model(X), rtol=1e-5, atol=1e-6)


def test_backends_take_the_same_steps():
    found = []
    for backend in ("jax", "c", "numba"):
        model = compiled(Net(dtype="float64"), backend=backend)
        found.append(model.fit(X, Y, epochs=3, progress=False)["loss"])
    for other in found[1:]:
        np.testing.assert_allclose(found[0], other, rtol=1e-9)


def test_an_epoch_is_weighted_by_rows():
    model = compiled(optimizer=ae.SGD(1e-9))
    loss = model.fit(X, Y, batch_size=50, progress=False)["loss"][0]
    assert loss == pytest.approx(model.evaluate(X, Y)["loss"], rel=1e-5)


def test_frozen_parameters_stay_and_others_move():
    model = compiled()
    model(X)
    model.freeze("hidden")
    before = model.store.snapshot()
    model.fit(X, Y, progress=False)
    moved = {p for p, v in model.store.snapshot().items() if not np.array_equal(v, before[p])}
    assert moved == {"drop.rng", "out.w", "out.b"}
    model.freeze("hidden", frozen=False)
    model.fit(X, Y, progress=False)
    assert not np.array_equal(model.store["hidden.w"].value, before["hidden.w"])


def test_the_learning_rate_is_a_cell():
    model = compiled()
    model.train_on_batch(X, Y)
    programs = len(model._trainer._programs)
    model._trainer.optimizer.learning_rate.value = 1e-30
    before = model.store["out.w"].value
    model.train_on_batch(X, Y)
    np.testing.assert_allclose(model.store["out.w"].value, before, atol=1e-7)
    assert len(model._trainer._programs) == programs


def test_the_whole_training_step_is_float32():
    model = compiled(Net(0.1), metrics=[ae.Accuracy()])
    model.train_on_batch(X, Y)
    (program,) = model._trainer._programs.values()
    graph = expand(program.graph)
    for node in toposort(graph.results):
        for v in (*node.inputs, *node.outputs):
            assert getattr(v.type, "dtype", "") != "float64", node
        assert getattr(node.op, "acc_dtype", None) != "float64", node


def test_a_step_does_not_recompile():
    model = compiled()
    for _ in range(5):
        model.train_on_batch(X, Y)
    (program,) = model._trainer._programs.values()
    assert program.compilations == 1


def test_the_store_holds_everything_that_training_changes():
    model = compiled(Net(0.5))
    model.fit(X, Y, progress=False)
    paths = set(model._trainer.store)
    assert {"hidden.w", "drop.rng", "optimizer.count", "optimizer.state[hidden.w][m]"} <= paths


def test_history_prints_and_plots():
    history = compiled().fit(X, Y, epochs=2, validation_data=(X, Y), progress=False)
    assert len(str(history).splitlines()) == 4 and "val_loss" in str(history)
    ((axes,),) = history.plot()
    assert [line.get_label() for line in axes.get_lines()] == ["training", "validation"]
    plt.close("all")


def test_a_loss_of_ones_own():
    def absolute(prediction, target):
        return abs(prediction - target).mean()

    model = Line().compile(optimizer=ae.SGD(0.1), loss=absolute)
    assert model.fit(np.ones(8), np.ones(8), epochs=9, progress=False)["loss"][-1] < 0.5


WRONG = {
    "not compiled": (lambda: Net().fit(X, Y), StateError),
    "no target": (lambda: compiled().fit(X), ArgumentError),
    "NaN": (lambda: compiled().fit(np.full((2, 4), np.nan), Y[:2]), DataError),
    "lengths": (lambda: compiled().fit(X, Y[:-1]), DataError),
    "no rows": (lambda: compiled().fit(X[:0], Y[:0]), DataError),
    "labels": (lambda: compiled().fit(X, Y + 1), DataError),
    "loss": (lambda: compiled(loss=lambda p, t: p.sum(axis=1)).fit(X, Y), GradientError),
    "optimizer": (lambda: compiled(optimizer="adam"), ArgumentError),
    "metric": (lambda: compiled(metrics=["accuracy"]), ArgumentError),
    "rate": (lambda: ae.Adam(-1.0), ArgumentError),
    "nothing to train": (lambda: compiled(nn.Dropout(0.1)).fit(X, Y), StateError),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_uses(case):
    wrong, error = WRONG[case]
    with pytest.raises(error) as caught:
        wrong()
    assert caught.value.problem


def test_adam_graph_differentiates_through_itself():
    p, g = at.dscalar(), at.dscalar()
    op = ae.train.ops.AdamOp(0.9, 0.999, 1e-8)
    new = op.make_node(p, g, *(at.constant(0.0) for _ in "mv"), at.constant(1), at.constant(0.1))
    assert float(grad(new.outputs[0], [p])[0].eval({p: 3.0, g: 0.5})) == 1.0


def test_predict_keeps_the_nesting():
    class Two(ae.Module):
        def __call__(self, x):
            return {"twice": 2.0 * x, "parts": (x, [x.sum(axis=1)])}

    made = Two().predict(X, batch_size=32)
    np.testing.assert_allclose(made["twice"], 2 * X)
    np.testing.assert_allclose(made["parts"][1][0], X.sum(axis=1))


@pytest.mark.parametrize("backend", ["jax", "c", "numba"])
def test_an_interrupt_keeps_the_work(backend, monkeypatch):
    model = compiled(backend=backend)
    model.train_on_batch(X, Y)
    (program,) = model._trainer._programs.values()
    (key, run), *_ = program._executables.items()

    def interrupted(*arguments):
        signal.raise_signal(signal.SIGINT)
        return run(*arguments)

    program._executables[key] = interrupted
    before = model._trainer.optimizer.count.value
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, batch_size=60, epochs=3, progress=False)
    assert model._trainer.optimizer.count.value == before + 1
    assert model.history.epochs == 0
    assert all(np.isfinite(v).all() for v in model.store.snapshot().values())
    program._executables[key] = run
    model.fit(X, Y, batch_size=60, progress=False)


def test_two_threads_share_a_model():
    model = compiled()
    model.train_on_batch(X, Y)
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(model.train_on_batch, X, Y) for _ in range(40)]
        assert all(np.isfinite(float(f.result()["loss"])) for f in futures)
    assert model._trainer.optimizer.count.value == 41
