"""Files: structure and values, atomic writes, and nothing that a bad file can do."""

import json
import os

import aesara.tensor as at
import numpy as np
import pytest
from aesara.raise_op import Assert
from safetensors import safe_open
from safetensors.numpy import save as to_bytes

import aeframe as ae
from aeframe import nn
from aeframe.core.errors import FileError, SerializationError
from aeframe.core.serialize import decode_graph, encode_graph


class Net(ae.Module):
    def __init__(self, width=4, activation=nn.relu):
        self.width, self.activation = width, activation
        self.layers = [nn.Dense(width), nn.Dense(2)]
        self.drop = nn.Dropout(0.25)
        self.scale = ae.Parameter([1.0, 2.0], support=ae.Positive())
        self.note = {"tags": ("a", None, 1.5)}

    def __call__(self, x):
        first, last = self.layers
        return last(self.drop(self.activation(first(x)))) * self.scale


@pytest.fixture
def saved(tmp_path):
    model = Net()
    x = np.random.default_rng(0).normal(size=(3, 5))
    y = model(x)
    path = tmp_path / "net.safetensors"
    model.save(path)
    return model, x, y, path


def rewrite(path, change):
    """The file with its header changed by ``change``."""
    with safe_open(path, framework="numpy") as file:
        header = json.loads(file.metadata()["aeframe"])
        values = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    change(header)
    path.write_bytes(to_bytes(values, metadata={"aeframe": json.dumps(header)}))


def test_a_model_comes_back_whole(saved):
    model, x, y, path = saved
    again = ae.load(path)
    np.testing.assert_array_equal(again(x), y)
    assert again.note == model.note and again.activation is nn.relu
    assert again.store["scale"].support == ae.Positive()
    assert list(again.store) == list(model.store)
    rng = model.store["drop.rng"].generator()
    assert again.store["drop.rng"].generator().random() == rng.random()


def test_values_load_into_a_model_of_the_same_structure(saved):
    _, x, y, path = saved
    other = Net()
    other.init(7)
    other(x)
    np.testing.assert_array_equal(other.load(path)(x), y)


def test_values_of_another_model_are_refused_and_nothing_changes(saved):
    _, x, _, path = saved
    other = Net(width=6)
    before = other(x)
    with pytest.raises(FileError, match="another model"):
        other.load(path)
    np.testing.assert_array_equal(other(x), before)


def test_a_failed_write_leaves_the_old_file(saved, monkeypatch):
    model, _, _, path = saved
    old = path.read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(FileError, match="No space left"):
        model.save(path)
    assert path.read_bytes() == old and os.listdir(path.parent) == [path.name]


def test_missing_foreign_truncated_and_later_files(saved, tmp_path):
    _, _, _, path = saved
    with pytest.raises(FileError, match="no such file"):
        ae.load(tmp_path / "missing")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileError, match="damaged"):
        ae.load(path)
    path.write_bytes(to_bytes({"a": np.ones(2)}))
    with pytest.raises(FileError, match="not written by aeframe"):
        ae.load(path)
    path.write_bytes(whole)
    rewrite(path, lambda h: h.update(version=99))
    with pytest.raises(FileError, match="later version"):
        ae.load(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda h: h["objects"][0].update({"class": "os:system"}),
        lambda h: h["objects"][0].update({"class": "subprocess:Popen"}),
        lambda h: h["objects"][0]["fields"].update(activation={"function": "os:system"}),
        lambda h: h["objects"][0]["fields"].update(_programs={"dict": {}}),
        lambda h: h["objects"][0]["fields"].update(scale={"cell": "../../etc/passwd"}),
        lambda h: h.update(objects=[1, 2]),
        lambda h: h.pop("objects"),
        lambda h: h.update(objects=[]),
    ],
)
def test_a_tampered_file_is_refused(saved, change):
    path = saved[3]
    rewrite(path, change)
    with pytest.raises(FileError):
        ae.load(path)


class Link(ae.Module):
    def __init__(self, next_one):
        self.next_one = next_one


def test_no_depth_of_nesting_is_too_much(tmp_path):
    chain = None
    for _ in range(3000):
        chain = Link(chain)
    chain.save(tmp_path / "chain")
    again, n = ae.load(tmp_path / "chain"), 0
    while again is not None:
        again, n = again.next_one, n + 1
    assert n == 3000


def test_a_flipped_bit_is_noticed(saved):
    path = saved[3]
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(FileError, match="not those that were written"):
        ae.load(path)


def test_text_that_would_reach_c_code_is_refused(tmp_path):
    x = at.dvector("x")
    message = Assert('\\"); system("id"); //')(x, at.lt(x.sum(), 0.0))
    with pytest.raises(SerializationError):
        ae.outline([x], [message], "F")
    data = encode_graph([x], [x.sum()])
    data["ops"][0]["props"]["dtype"] = 'float64"); system("id"); //'
    with pytest.raises(FileError, match="no name"):
        decode_graph(data)


def test_code_is_never_written(tmp_path):
    model = Net(activation=lambda x: x)
    model(np.ones((1, 2)))
    with pytest.raises(SerializationError, match="activation"):
        model.save(tmp_path / "x")
    assert not list(tmp_path.iterdir())
