"""Checkpoints: training goes on bit for bit, within an epoch too; wrong files are refused."""

import os

import numpy as np
import pytest
from safetensors.numpy import save as to_bytes

import aeframe as ae
from aeframe.core.errors import FileError
from tests.train.nets import Net, T, X, Y, by_label, compiled, same


class CrashError(Exception):
    pass


class CrashAt(ae.Callback):
    def __init__(self, epoch, step):
        self.epoch, self.step = epoch, step

    def on_step_end(self, trainer):
        if (trainer.epoch, trainer.step) == (self.epoch, self.step):
            raise CrashError


def network(backend="jax", **options):
    return compiled(
        Net(0.3, norm=True),
        optimizer=ae.Adam(0.01),
        loss=by_label,
        metrics=[ae.Accuracy()],
        backend=backend,
        **options,
    )


def fit(model, path=None, callbacks=(), **options):
    options = {"batch_size": 8, "epochs": 4, "validation_split": 0.2, "progress": False} | options
    callbacks = [ae.EarlyStopping(patience=9, restore_best=True), *callbacks]
    return model.fit(X, Y, callbacks=callbacks, resume=path, **options)


@pytest.mark.parametrize("backend", ["jax", "c"])
@pytest.mark.parametrize("place", [(0, 4), (2, 1), (2, 6)])
def test_training_goes_on_bit_for_bit(place, backend, tmp_path):
    path = tmp_path / "run"
    whole = network(backend)
    history = fit(whole)
    with pytest.raises(CrashError):
        fit(network(backend), callbacks=[CrashAt(*place), ae.ModelCheckpoint(path, steps=2)])
    model = network(backend)
    assert fit(model, path).logs == history.logs
    same(whole, model)
    assert model._trainer.epoch == 4


def test_with_steps_together_and_iterables(tmp_path):
    path = tmp_path / "run"
    batches = [(X[i : i + 8], Y[i : i + 8]) for i in range(0, 60, 8)]

    def run(model, **options):
        model.fit(batches, epochs=3, steps_per_epoch=5, progress=False, **options)
        return model

    whole = run(network(), steps_per_execution=2)
    for place in ((0, 5), (1, 2)):
        with pytest.raises(CrashError):
            save = ae.ModelCheckpoint(path, steps=2)
            run(network(), steps_per_execution=2, callbacks=[CrashAt(*place), save])
        same(whole, run(network(), steps_per_execution=2, resume=path))


def test_what_has_ended_stays_as_it_was(tmp_path):
    path = tmp_path / "run"
    model = network()
    history = fit(model, callbacks=[ae.ModelCheckpoint(path)])
    again = network()
    assert fit(again, path).logs == history.logs
    same(model, again)
    more = network()
    assert fit(more, path, epochs=6).epochs == 6
    whole = network()
    fit(whole, epochs=6)
    same(whole, more)


def test_stopped_early_stays_stopped(tmp_path):
    path = tmp_path / "run"
    model = compiled(optimizer=ae.SGD(1e-30))
    stop = ae.EarlyStopping("loss", patience=2, min_delta=1.0)
    model.fit(X, T, epochs=9, callbacks=[ae.ModelCheckpoint(path), stop], progress=False)
    assert model.history.epochs == 3
    again = compiled(optimizer=ae.SGD(1e-30))
    again.fit(X, T, epochs=9, callbacks=[stop], resume=path, progress=False)
    assert again.history.epochs == 3


def test_the_best_is_kept_and_read(tmp_path):
    class Script(ae.Callback):
        def on_epoch_end(self, trainer, logs):
            logs["loss"] = [3.0, 1.0, 2.0][trainer.epoch - 1]

    path = tmp_path / "best"
    model = compiled()
    keep = ae.ModelCheckpoint(path, monitor="loss")
    model.fit(X, T, epochs=3, callbacks=[keep, Script()], progress=False)
    second = compiled()
    second.fit(X, T, epochs=2, progress=False)
    loaded = Net(dtype="float64", width=2)
    loaded(X)
    loaded.load(path)
    np.testing.assert_array_equal(loaded(X), second(X))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("written") / "run"
    fit(network(), callbacks=[ae.ModelCheckpoint(path)], epochs=1)
    return path.read_bytes()


@pytest.fixture
def saved(written, tmp_path):
    path = tmp_path / "run"
    path.write_bytes(written)
    return path


def damaged(path):
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    fit(network(), path)


def cut(path):
    path.write_bytes(path.read_bytes()[:200])
    fit(network(), path)


def later(path):
    path.write_bytes(to_bytes({"a": X}, metadata={"aeframe": '{"version": 9, "training": {}}'}))
    fit(network(), path)


def a_model(path):
    model = network()
    model(X)
    model.save(path)
    fit(network(), path)


def another(path):
    model = compiled(Net(0.3), optimizer=ae.Adam(0.01), loss=by_label, metrics=[ae.Accuracy()])
    fit(model, path)


def wider(path):
    net = Net(0.3, norm=True)
    net.hidden = ae.nn.Dense(9)
    fit(compiled(net, optimizer=ae.Adam(0.01), loss=by_label, metrics=[ae.Accuracy()]), path)


WRONG = {
    "missing": (lambda path: fit(network(), str(path) + "x"), "no such file"),
    "damaged": (damaged, "damaged"),
    "cut": (cut, "damaged"),
    "later": (later, "later version"),
    "a model": (a_model, "not a checkpoint"),
    "another model": (another, "another model or optimizer"),
    "other shapes": (wider, "another model or optimizer"),
    "another optimizer": (
        lambda path: fit(network().compile(optimizer=ae.SGD(0.1), loss=by_label), path),
        "another model or optimizer",
    ),
    "other data": (lambda path: fit(network(), path, batch_size=16), "other data"),
    "another seed": (lambda path: fit(network(seed=3), path), "other data"),
    "as a model": (lambda path: ae.load(path), "is a checkpoint"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_files(case, saved):
    wrong, words = WRONG[case]
    with pytest.raises(FileError, match=words) as caught:
        wrong(saved)
    assert caught.value.path.startswith(str(saved))


def test_what_killed_writers_left_is_removed(tmp_path):
    old, new = (tmp_path / f".run.partial-{name}" for name in ("old", "new"))
    old.touch()
    new.touch()
    os.utime(old, (0, 0))
    compiled().fit(X, T, callbacks=[ae.ModelCheckpoint(tmp_path / "run")], progress=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == [new.name, "run"]


def test_a_folder_that_is_not_there(tmp_path):
    model = compiled()
    with pytest.raises(FileError, match="cannot write"):
        save = ae.ModelCheckpoint(tmp_path / "no" / "run")
        model.fit(X, T, callbacks=[save], progress=False)
