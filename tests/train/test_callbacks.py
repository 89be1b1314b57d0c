"""Callbacks: when they are called, what they decide, and the files that they write."""

import csv
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

import aeframe as ae
from aeframe.core.errors import ArgumentError, FileError, UnknownNameError
from tests.train.nets import Net, T, X, Y, by_label, compiled


class Notes(ae.Callback):
    def __init__(self):
        self.notes = []

    def on_fit_begin(self, trainer):
        self.notes.append("fit")

    def on_epoch_begin(self, trainer):
        self.notes.append("epoch")

    def on_step_end(self, trainer):
        self.notes.append(trainer.step)

    def on_epoch_end(self, trainer, logs):
        self.notes.append(sorted(logs))

    def on_fit_end(self, trainer):
        self.notes.append("end")


def test_the_order_of_calls():
    notes = Notes()
    compiled().fit(X, T, epochs=2, validation_split=0.2, callbacks=[notes], progress=False)
    epoch = ["epoch", 1, 2, ["loss", "val_loss"]]
    assert notes.notes == ["fit", *epoch, *epoch, "end"]
    notes.notes.clear()
    with pytest.raises(UnknownNameError):
        compiled().fit(
            X, T, callbacks=[notes, ae.EarlyStopping("los", maximize=True)], progress=False
        )
    assert notes.notes == ["fit"]


class Script(ae.Callback):
    """Puts numbers in the place of the validation loss."""

    def __init__(self, values):
        self.values = values

    def on_epoch_end(self, trainer, logs):
        logs["val_loss"] = trainer.history["val_loss"][-1] = self.values[trainer.epoch - 1]


def scripted(values, *callbacks, **options):
    model = compiled()
    model.fit(
        X,
        T,
        epochs=len(values),
        validation_split=0.2,
        callbacks=[Script(values), *callbacks],
        progress=False,
        **options,
    )
    return model


def test_early_stopping_waits_and_restores():
    values = [5.0, 4.0, 4.0, 3.9, 4.1, 3.8, 9.0, 1.0]
    model = scripted(values, ae.EarlyStopping(patience=2, min_delta=0.2, restore_best=True))
    assert model.history.epochs == 4
    best = scripted(values[:2])
    for path, value in best.store.snapshot().items():
        np.testing.assert_array_equal(model.store[path].value, value)
    assert scripted([1.0, np.nan, np.nan, np.nan], ae.EarlyStopping(patience=2)).history.epochs == 3
    rising = ae.EarlyStopping("val_loss", patience=1, maximize=True)
    assert scripted([1.0, 2.0, 3.0, 2.5, 9.0], rising).history.epochs == 4


def test_the_learning_rate_falls_on_a_plateau():
    values = [5.0, 5.0, 5.0, 5.0, 5.0, 4.0]
    model = scripted(values, ae.ReduceLROnPlateau(factor=0.5, patience=2, minimum=0.03))
    optimizer = model._trainer.optimizer
    assert optimizer.learning_rate.value * optimizer.scale.value == pytest.approx(0.03)
    model = scripted(values[:3], ae.ReduceLROnPlateau(factor=0.5, patience=2))
    assert model._trainer.optimizer.scale.value == pytest.approx(0.5)


def test_nan_ends_training_only_when_asked():
    def fitted(*callbacks):
        model = compiled(optimizer=ae.SGD(1e300))
        model.fit(X, T, batch_size=1, epochs=9, callbacks=list(callbacks), progress=False)
        return model

    with np.errstate(all="ignore"):
        assert fitted().history.epochs == 9
        assert fitted(ae.TerminateOnNaN()).history.epochs == 1


def test_csv(tmp_path):
    path = tmp_path / "log.csv"
    model = compiled(Net(), loss=by_label, metrics=[ae.Accuracy()])
    history = model.fit(
        X, Y, epochs=3, validation_split=0.2, callbacks=[ae.CSVLogger(path)], progress=False
    )
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert [int(r["epoch"]) for r in rows] == [1, 2, 3]
    for name, values in history.logs.items():
        assert [float(r[name]) for r in rows] == values


def crc32c(data):
    """By a table, as in RFC 3720; the code under test goes bit by bit."""
    table = []
    for i in range(256):
        for _ in range(8):
            i = (i >> 1) ^ 0x82F63B78 if i & 1 else i >> 1
        table.append(i)
    crc = 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def unmask(crc):
    rotated = (crc - 0xA282EAD8) & 0xFFFFFFFF
    return ((rotated >> 17) | (rotated << 15)) & 0xFFFFFFFF


def records(data):
    while data:
        (n,) = struct.unpack("<Q", data[:8])
        assert unmask(struct.unpack("<I", data[8:12])[0]) == crc32c(data[:8])
        content = data[12 : 12 + n]
        assert unmask(struct.unpack("<I", data[12 + n : 16 + n])[0]) == crc32c(content)
        yield content
        data = data[16 + n :]


def fields(message):
    """Field number → values of a protocol buffer, by its wire types."""
    found, i = {}, 0

    def varint():
        nonlocal i
        value, shift = 0, 0
        while True:
            byte = message[i]
            i += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while i < len(message):
        key = varint()
        if key & 7 == 0:
            value = varint()
        else:
            size = {1: 8, 5: 4}.get(key & 7) or varint()
            value, i = message[i : i + size], i + size
        found.setdefault(key >> 3, []).append(value)
    return found


def events(folder):
    (file,) = Path(folder).glob("events.out.tfevents.*")
    first, *rest = (fields(r) for r in records(file.read_bytes()))
    assert first[3] == [b"brain.Event:2"] and struct.unpack("<d", first[1][0])[0] > 1.6e9
    found = {}
    for event in rest:
        for value in fields(event[5][0])[1]:
            value = fields(value)
            (number,) = struct.unpack("<f", value[2][0])
            found.setdefault(value[1][0].decode(), []).append((event[2][0], number))
    return found


def test_tensorboard_files(tmp_path):
    model = compiled(Net(), loss=by_label, metrics=[ae.Accuracy()])
    history = model.fit(
        X,
        Y,
        epochs=130,  # a step of two bytes
        batch_size=60,
        validation_split=0.5,
        callbacks=[ae.TensorBoard(tmp_path / "runs")],
        progress=False,
    )
    for run, prefix in (("train", ""), ("validation", "val_")):
        found = events(tmp_path / "runs" / run)
        assert set(found) == {"loss", "accuracy"}
        for name, points in found.items():
            steps, values = zip(*points, strict=True)
            assert list(steps) == list(range(1, 131))
            np.testing.assert_allclose(values, history[prefix + name], rtol=1e-6)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError):
        compiled().fit(X, T, callbacks=[ae.TensorBoard(tmp_path / "file")], progress=False)


ALL = [
    ae.EarlyStopping("loss"),
    ae.ReduceLROnPlateau("loss"),
    ae.ModelCheckpoint("c.safetensors", steps=3),
    ae.TerminateOnNaN(),
    ae.CSVLogger("log.csv"),
    ae.TensorBoard("runs"),
]


@pytest.mark.parametrize("callback", ALL, ids=lambda c: type(c).__name__)
def test_callbacks_are_data(callback):
    assert pickle.loads(pickle.dumps(callback)).fields() == callback.fields()
    assert set(callback.memory) <= set(callback.fields())


WRONG = {
    "which way": (lambda: ae.EarlyStopping("val_accuracy"), ArgumentError),
    "patience": (lambda: ae.EarlyStopping(patience=0), ArgumentError),
    "factor": (lambda: ae.ReduceLROnPlateau(factor=2.0), ArgumentError),
    "best within an epoch": (
        lambda: ae.ModelCheckpoint("c", steps=3, monitor="loss"),
        ArgumentError,
    ),
    "no validation": (
        lambda: compiled().fit(X, T, callbacks=[ae.EarlyStopping()], progress=False),
        UnknownNameError,
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_uses(case):
    wrong, error = WRONG[case]
    with pytest.raises(error) as caught:
        wrong()
    assert caught.value.fix or caught.value.expected or caught.value.got
