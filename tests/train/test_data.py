"""What fit takes: arrays, frames, memory maps, iterables, weights; how it pads a batch."""

import threading
import time
import tracemalloc

import numpy as np
import pandas as pd
import pytest

import aeframe as ae
from aeframe import nn
from aeframe.core.errors import ArgumentError, DataError, DtypeError
from tests.train.nets import Net, T, X, Y, by_label, compiled, plain_squares, same, squares

rng = np.random.default_rng(1)


def order(model, n, epoch=0):
    return np.random.default_rng([model._trainer.seed, epoch]).permutation(n)


def step_by_step(model, x, t, size, weight=None, epochs=1):
    """The same epochs, each batch in its own shape."""
    for epoch in range(epochs):
        rows = order(model, len(x), epoch)
        for start in range(0, len(x), size):
            part = rows[start : start + size]
            w = None if weight is None else weight[part]
            model.train_on_batch(x[part], t[part], sample_weight=w)
    return model


@pytest.mark.parametrize("backend", ["jax", "c"])
@pytest.mark.parametrize("norm", [False, True])
def test_a_padded_batch_changes_nothing(norm, backend):
    x, t = X[:50], T[:50]

    def net():
        return compiled(Net(dtype="float64", norm=norm, width=2), backend=backend)

    padded = net()
    history = padded.fit(x, t, batch_size=16, epochs=3, progress=False)
    (program,) = padded._trainer._programs.values()
    assert program.compilations == 1
    same(padded, step_by_step(net(), x, t, 16, epochs=3), exact=False)
    own = net().compile(optimizer=ae.SGD(0.1), loss=plain_squares, backend=backend)
    losses = own.fit(x, t, batch_size=16, epochs=3, progress=False)["loss"]
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-9)


def test_padding_repeats_where_steps_are_rows():
    class Steps(ae.Module):
        dtype = "float64"

        def __init__(self):
            self.norm, self.out = nn.BatchNorm(), nn.Dense(2, dtype="float64")

        def __call__(self, x):
            n, t, k = x.type.shape
            return self.out(self.norm(x.reshape((n * t, k)))).reshape((n, t, 2))

    x, t = rng.normal(size=(10, 3, 4)), rng.normal(size=(10, 3, 2))
    model = compiled(Steps())
    model.fit(x, t, batch_size=4, progress=False)
    same(model, step_by_step(compiled(Steps()), x, t, 4), exact=False)


def test_metrics_do_not_see_padding():
    model = compiled(Net(dtype="float64"), loss=by_label, metrics=[ae.Accuracy()])
    model.compile(optimizer=ae.SGD(1e-30), loss=by_label, metrics=[ae.Accuracy()])
    logs = model.fit(X, Y, batch_size=50, progress=False).logs
    right = (model.predict(X).argmax(1) == Y).mean()
    assert logs["accuracy"][0] == pytest.approx(right, rel=1e-12)
    found = model.evaluate(X, Y, batch_size=50)
    assert found["accuracy"] == pytest.approx(right) and found["loss"] == logs["loss"][0]


def test_a_weight_of_two_is_a_row_twice():
    weight = rng.integers(0, 3, 60).astype(float)
    rows = np.repeat(np.arange(60), weight.astype(int))
    model, twice = (compiled(metrics=[]) for _ in range(2))
    model.fit(X, T, sample_weight=weight, batch_size=60, progress=False)
    twice.fit(X[rows], T[rows], batch_size=len(rows), progress=False)
    same(model, twice, exact=False)
    assert model.evaluate(X, T, sample_weight=weight)["loss"] == pytest.approx(
        model.evaluate(X[rows], T[rows])["loss"]
    )
    scored = compiled(Net(dtype="float64"), loss=by_label, metrics=[ae.Accuracy()])
    a = scored.evaluate(X, Y, sample_weight=weight, batch_size=16)
    assert a["accuracy"] == pytest.approx(scored.evaluate(X[rows], Y[rows])["accuracy"])


def test_weights_of_steps():
    weight = rng.uniform(size=(60, 2))
    model = compiled()
    found = model.evaluate(X, T, sample_weight=weight, batch_size=16)["loss"]
    entries = (model.predict(X) - T) ** 2
    assert found == pytest.approx((weight * entries).sum() / weight.sum())


def test_class_weights_weigh_the_loss_alone():
    heavy = {0: 5.0, 2: 0.5}
    weight = np.array([5.0, 1.0, 0.5])[Y]
    a, b = (compiled(Net(dtype="float64"), loss=by_label, metrics=[ae.Accuracy()]) for _ in "ab")
    first = a.fit(X, Y, class_weight=heavy, batch_size=16, progress=False)
    second = b.fit(X, Y, sample_weight=weight, batch_size=16, progress=False)
    same(a, b, exact=False)
    assert first["loss"] == pytest.approx(second["loss"])
    assert first["accuracy"] != pytest.approx(second["accuracy"])


def test_validation_split_takes_the_last_rows():
    model = compiled()
    history = model.fit(X, T, validation_split=0.2, progress=False)
    assert history["val_loss"][0] == pytest.approx(model.evaluate(X[48:], T[48:])["loss"])
    other = compiled()
    other.fit(X[:48], T[:48], progress=False)
    same(model, other)


def test_without_shuffling_rows_come_in_order():
    model, other = compiled(), compiled()
    model.fit(X, T, shuffle=False, batch_size=20, progress=False)
    for start in (0, 20, 40):
        other.train_on_batch(X[start : start + 20], T[start : start + 20])
    same(model, other, exact=False)


def test_frames_and_lists():
    model = compiled()
    model.fit(X, T, progress=False)
    for x, t in ((pd.DataFrame(X), pd.DataFrame(T)), (X.tolist(), T.tolist())):
        other = compiled()
        other.fit(x, t, progress=False)
        same(model, other)
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [True, False], "c": [3, 4]})
    assert nn.Dense(1)(frame).shape == (2, 1)
    labels = compiled(Net(), loss=by_label)
    labels.fit(X, pd.Series(Y), progress=False)
    frame["name"] = ["x", "y"]
    with pytest.raises(DtypeError, match="name"):
        compiled().fit(frame, T[:2])


def test_a_memory_map_is_read_as_it_is_needed(tmp_path):
    files = []
    for name, data in (("x", X), ("t", T)):
        files.append(np.memmap(tmp_path / name, data.dtype, "w+", shape=data.shape))
        files[-1][:] = data
    model, other = compiled(), compiled()
    model.fit(*files, batch_size=16, epochs=2, progress=False)
    other.fit(X, T, batch_size=16, epochs=2, progress=False)
    same(model, other)
    made = model.predict(files[0], batch_size=16)
    np.testing.assert_array_equal(made, model.predict(X, batch_size=16))
    files[0][59] = np.nan
    with pytest.raises(DataError, match="NaN"):
        model.fit(*files, batch_size=16, progress=False)
    model.fit(*(f[:59] for f in files), batch_size=16, progress=False)


def test_a_memory_map_is_never_copied_whole(tmp_path):
    x = np.memmap(tmp_path / "x", "float64", "w+", shape=(200_000, 100))
    t = np.zeros((200_000, 1), "float32")
    model = compiled(nn.Dense(1, dtype="float32"), loss=squares)
    model.fit(x, t, batch_size=32, steps_per_epoch=1, progress=False)  # imports and compiles
    tracemalloc.start()
    model.fit(x, t, batch_size=32, steps_per_epoch=20, progress=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < x.nbytes / 4  # a float32 copy would be half


def batches(size=20, n=60):
    return [(X[i : i + size], T[i : i + size]) for i in range(0, n, size)]


def test_iterables_of_batches():
    class Dataset:
        def __iter__(self):
            yield from batches(16)

    model = compiled()
    model.fit(X, T, shuffle=False, batch_size=16, epochs=3, progress=False)
    for source in (Dataset(), batches(16)):
        other = compiled()
        history = other.fit(source, epochs=3, validation_data=Dataset(), progress=False)
        same(model, other)
        assert history["val_loss"][2] == pytest.approx(model.evaluate(X, T)["loss"])
        (program,) = (p for p in other._trainer._programs.values() if p.updated)
        assert program.compilations == 1
    assert other.evaluate(Dataset())["loss"] == pytest.approx(model.evaluate(X, T)["loss"])
    made = model.predict(b[0] for b in batches(16))
    np.testing.assert_allclose(made, model.predict(X), rtol=1e-12)


def test_batches_with_weights():
    weight = rng.uniform(size=60)
    given = [((x,), t, w) for (x, t), w in zip(batches(), np.split(weight, 3), strict=True)]
    a, b = compiled(), compiled()
    a.fit(given, progress=False)
    b.fit(X, T, sample_weight=weight, batch_size=20, shuffle=False, progress=False)
    same(a, b, exact=False)
    validated = compiled().fit(X, T, validation_data=((X,), T, weight), progress=False)
    assert np.isfinite(validated["val_loss"][0])


def test_a_generator_runs_once_and_an_endless_one_by_steps():
    with pytest.raises(DataError, match="no more batches"):
        compiled().fit((b for b in batches()), epochs=2, progress=False)

    def endless():
        while True:
            yield from batches()

    a, b = compiled(), compiled()
    assert a.fit(endless(), steps_per_epoch=2, epochs=3, progress=False).epochs == 3
    b.fit(batches(), steps_per_epoch=2, epochs=3, progress=False)
    for x, t in batches() * 2:
        if not hasattr(b, "_other"):
            b._other = compiled()
        b._other.train_on_batch(x, t)
    same(a, b)
    same(a, b._other, exact=False)


def test_steps_per_epoch_on_arrays():
    model = compiled()
    model.fit(X, T, batch_size=10, steps_per_epoch=2, epochs=3, progress=False)
    assert model._trainer.optimizer.count.value == 6


def threads():
    return [t for t in threading.enumerate() if t.name == "aeframe batches"]


def test_batches_are_made_ahead_and_the_thread_ends():
    made = []

    def source():
        for batch in batches(4):
            made.append(threading.current_thread().name)
            yield batch

    compiled().fit(source(), progress=False)
    assert made[0] == "MainThread" and set(made[1:]) == {"aeframe batches"}
    assert not threads()
    made.clear()
    compiled().fit(source(), prefetch=0, progress=False)
    assert set(made) == {"MainThread"}


def test_the_thread_hands_on_errors_and_interrupts():
    def broken():
        yield from batches()
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        compiled().fit(broken(), progress=False)

    def interrupted():
        yield from batches(2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compiled().fit(interrupted(), progress=False)

    def slow():
        while True:
            time.sleep(0.01)
            yield batches()[0]

    class Stop(ae.Callback):
        def on_step_end(self, trainer):
            trainer.stop = trainer.step == 3

    model = compiled()
    model.fit(slow(), steps_per_epoch=10**6, epochs=2, callbacks=[Stop()], progress=False)
    assert model._trainer.optimizer.count.value == 3 and not threads()


WRONG = {
    "text": (lambda: compiled().fit(pd.DataFrame({"a": ["x"]}), T[:1]), DtypeError),
    "class of arrays": (lambda: compiled().fit(5), ArgumentError),
    "negative weight": (lambda: compiled().fit(X, T, sample_weight=-np.ones(60)), DataError),
    "few weights": (lambda: compiled().fit(X, T, sample_weight=np.ones(5)), DataError),
    "cube of weights": (lambda: compiled().fit(X, T, sample_weight=np.ones((60, 1, 1))), DataError),
    "weights of a loss without": (
        lambda: compiled(loss=plain_squares).fit(X, T, sample_weight=np.ones(60)),
        ArgumentError,
    ),
    "class weights of a loss without": (
        lambda: compiled(loss=plain_squares).fit(X, T, class_weight={0: 1.0}),
        ArgumentError,
    ),
    "class weights as a list": (lambda: compiled().fit(X, T, class_weight=[1.0]), ArgumentError),
    "weights beside batches": (
        lambda: compiled().fit(batches(), sample_weight=np.ones(60)),
        ArgumentError,
    ),
    "split of batches": (lambda: compiled().fit(batches(), validation_split=0.5), ArgumentError),
    "split of all": (lambda: compiled().fit(X, T, validation_split=1.0), ArgumentError),
    "no batch": (lambda: compiled().fit([1, 2]), DataError),
    "no batches": (lambda: compiled().fit([]), DataError),
    "weights unmarked": (lambda: compiled().fit([(X, T, np.ones(60))]), ArgumentError),
    "NaN in a batch": (lambda: compiled().fit([(X * np.nan, T)]), DataError),
    "labels in a batch": (
        lambda: compiled(Net(), loss=nn.softmax_cross_entropy).fit([(X, Y), (X, Y + 1)]),
        DataError,
    ),
    "labels in evaluate": (
        lambda: compiled(Net(), loss=nn.softmax_cross_entropy).evaluate(X, Y + 1),
        DataError,
    ),
    "steps": (lambda: compiled().fit(X, T, steps_per_epoch=0), ArgumentError),
    "together": (lambda: compiled().fit(X, T, steps_per_execution=0.5), ArgumentError),
    "callbacks": (lambda: compiled().fit(X, T, callbacks=["early"]), ArgumentError),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_uses(case):
    wrong, error = WRONG[case]
    with pytest.raises(error) as caught:
        wrong()
    assert caught.value.problem
