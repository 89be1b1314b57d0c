"""The loop: several steps as one program, sums of logs, interrupts, History."""

import signal

import aesara.tensor as at
import matplotlib.pyplot as plt
import numpy as np
import pytest

import aeframe as ae
from aeframe.core.cells import State
from aeframe.train.loop import Tally
from tests.train.nets import Net, T, X, Y, by_label, compiled, same


@pytest.mark.parametrize("backend", ["jax", "c"])
def test_steps_together_are_steps_alone(backend):
    def fitted(together):
        model = compiled(
            Net(0.3, "float64", width=3, norm=True),
            optimizer=ae.Adam(0.01),
            loss=by_label,
            metrics=[ae.Accuracy()],
            backend=backend,
        )
        history = model.fit(
            X, Y, batch_size=8, epochs=3, steps_per_execution=together, progress=False
        )
        return model, history

    (alone, a), (together, b) = fitted(1), fitted(3)
    same(alone, together, exact=False)
    assert together._trainer.optimizer.count.value == 24
    for name in ("loss", "accuracy"):
        np.testing.assert_allclose(a[name], b[name], rtol=1e-12)


def test_a_graph_in_pieces_is_repeated_too(monkeypatch):
    monkeypatch.setattr("aeframe.backends.jax.backend.LARGEST", 5)
    x, total = at.TensorType("float64", (2,))("x"), State(np.zeros(2))
    h = x
    for _ in range(9):
        h = at.sin(h) + total
    program = ae.Backend("jax").compile([x], [h.sum()], {total: total + x})
    rows = np.arange(6.0).reshape(3, 2)
    (repeated,) = program.scan(rows)
    total.value = np.zeros(2)
    np.testing.assert_allclose(repeated, [program(row)[0] for row in rows], rtol=1e-12)


def test_batches_of_iterables_run_together():
    batches = [(X[i : i + 16], T[i : i + 16]) for i in range(0, 60, 16)]
    a, b = compiled(), compiled()
    a.fit(batches, steps_per_execution=3, epochs=2, progress=False)
    b.fit(batches, epochs=2, progress=False)
    same(a, b, exact=False)


def test_sums_do_not_depend_on_when_they_are_read():
    trainer = compiled(loss=by_label, metrics=[ae.Accuracy()])._trainer
    trainer.counts = (2,)
    rng = np.random.default_rng(0)
    rows = rng.uniform(size=(500, 4)).astype("float32")
    late, early = Tally(trainer), Tally(trainer)
    for i, row in enumerate(rows):
        late.add(row)
        early.add(row)
        if i % 7 == 0:
            early.read()
        assert len(late._waiting) < 2 * Tally.LAG
    assert late.logs() == early.logs()
    loss, weight, right, n = rows.astype("float64").T
    logs = late.logs()
    assert logs["loss"] == pytest.approx((loss * weight).sum() / weight.sum())
    assert logs["accuracy"] == pytest.approx(right.sum() / n.sum())


def test_an_array_for_a_metric():
    class Confusion(ae.train.Metric):
        name = "confusion"

        def terms(self, prediction, target, weight=None):
            guess = at.eq(at.arange(3), at.argmax(prediction, axis=1)[:, None])
            truth = at.eq(at.arange(3), target[:, None])
            counts = truth.astype("float64")
            if weight is not None:
                counts = counts * weight[:, None]
            return (at.dot(counts.T, guess.astype("float64")),)

        def value(self, counts):
            return counts

    model = compiled(Net(dtype="float64"), loss=by_label, metrics=[Confusion()])
    history = model.fit(X, Y, batch_size=16, epochs=2, validation_data=(X, Y), progress=False)
    found = history["val_confusion"][-1]
    expected = np.zeros((3, 3))
    np.add.at(expected, (Y, model.predict(X).argmax(1)), 1)
    np.testing.assert_array_equal(found, expected)
    assert "(3, 3)" in str(history)
    assert len(history.plot().flat) == 1
    plt.close("all")


def test_train_on_batch_weighs():
    a, b = compiled(), compiled()
    weight = np.r_[np.ones(30), np.zeros(30)]
    loss = a.train_on_batch(X, T, sample_weight=weight)["loss"]
    assert float(loss) == pytest.approx(float(b.train_on_batch(X[:30], T[:30])["loss"]))
    same(a, b, exact=False)


def test_an_interrupt_between_steps_leaves_a_place_to_go_on_from(tmp_path):
    class Interrupt(ae.Callback):
        def on_step_end(self, trainer):
            if trainer.step == 2:
                signal.raise_signal(signal.SIGINT)

    usual = signal.getsignal(signal.SIGINT)
    whole, model = compiled(), compiled()
    whole.fit(X, T, batch_size=16, progress=False)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, T, batch_size=16, callbacks=[Interrupt()], progress=False)
    assert signal.getsignal(signal.SIGINT) is usual
    model._trainer.save(tmp_path / "c")
    other = compiled()
    other.fit(X, T, batch_size=16, resume=tmp_path / "c", progress=False)
    same(whole, other)
    assert whole.history.logs == other.history.logs


def test_history_draws_a_panel_for_each_log():
    model = compiled(Net(), loss=by_label, metrics=[ae.Accuracy()])
    history = model.fit(X, Y, epochs=2, validation_split=0.2, progress=False)
    axes = history.plot().ravel()
    assert [ax.get_title() for ax in axes] == ["loss", "accuracy"]
    for ax, name in zip(axes, ("loss", "accuracy"), strict=True):
        labels = {line.get_label(): line.get_ydata() for line in ax.get_lines()}
        assert list(labels["validation"]) == history[f"val_{name}"]
    plt.close("all")
