"""Training on a mesh of devices and in several processes, against one device."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import aeframe as ae
from aeframe import nn, train
from aeframe.backends import connect
from aeframe.backends.jax.backend import JaxBackend
from aeframe.backends.jax.mesh import Placement
from aeframe.core.cells import Parameter
from aeframe.core.errors import ArgumentError, ShapeError, UnknownNameError

LAYOUT = {"hidden.w": (None, "model"), "hidden.b": ("model",), "out.w": ("model", None)}
ROOT = Path(__file__).parents[2]

MODEL = """
import json, sys
import numpy as np
import aeframe as ae
from aeframe import nn

class Net(ae.Module):
    def __init__(self):
        self.hidden, self.drop, self.out = nn.Dense(64), nn.Dropout(0.2), nn.Dense(8)

    def __call__(self, x):
        return self.out(self.drop(nn.relu(self.hidden(x))))

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(64, 16)).astype("float32"), rng.integers(0, 8, 64)

def trained(x=X, y=Y, **options):
    model = Net().compile(
        optimizer=ae.Adam(1e-2), loss=nn.softmax_cross_entropy, metrics=[ae.Accuracy()],
        backend=ae.Backend("jax", cache=None, **options),
    )
    return model, [float(model.train_on_batch(x, y)["loss"]) for _ in range(20)]

def shard(cell):
    return cell.data.addressable_shards[0].data.shape
"""
DEVICES = (
    MODEL
    + """
found = {}
layout = json.loads(sys.argv[1])
for name, options in {
    "one": {},
    "data": {"mesh": {"data": 8}},
    "model": {"mesh": {"model": 8}, "layout": layout},
    "both": {"mesh": {"data": 4, "model": 2}, "layout": layout},
}.items():
    model, losses = trained(**options)
    store = model._trainer.store
    paths = ["hidden.w", "out.w", "out.b", "optimizer.state[hidden.w][m]"]
    found[name] = {
        "losses": losses,
        "shards": {p: shard(store[p]) for p in paths},
        "whole": store["hidden.w"].value.shape,
        "predict": model.predict(X).tolist(),
        "fit": model.fit(X, Y, epochs=2, batch_size=16, steps_per_execution=2, progress=False)[
            "loss"
        ],
        "uneven": model.fit(
            X[:51], Y[:51], epochs=2, batch_size=15, validation_split=0.2, progress=False
        )["val_loss"],
    }
print(json.dumps(found))
"""
)
PROCESS = (
    MODEL
    + """
from aeframe.backends import connect

port, index = sys.argv[1], int(sys.argv[2])
connect(f"127.0.0.1:{port}", 2, index)
half = slice(32 * index, 32 * index + 32)
model, losses = trained(X[half], Y[half], mesh={"data": 2})
rows = model.predict(X[half])
w = model.store["out.w"].value.tolist()
loss = model.evaluate(X[half], Y[half], batch_size=24)["loss"]
print(json.dumps({"losses": losses, "rows": np.shape(rows), "w": w, "evaluated": loss}))
"""
)
ONE = MODEL + "model, losses = trained()\nprint(json.dumps([losses, model.evaluate(X, Y)['loss']]))"


def start(code, *arguments, **environment):
    # one thread a process, or the workers of a test run starve each other
    found = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=found,
    )


def read(process):
    out, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    return json.loads(out.splitlines()[-1])


@pytest.fixture(scope="module")
def devices():
    flags = "--xla_force_host_platform_device_count=8"
    return read(start(DEVICES, json.dumps(LAYOUT), XLA_FLAGS=flags))


@pytest.mark.parametrize("kind", ["data", "model", "both"])
def test_losses_are_those_of_one_device(devices, kind):
    one, many = devices["one"], devices[kind]
    np.testing.assert_allclose(many["losses"], one["losses"], rtol=1e-5)
    assert one["losses"][-1] < 0.5 * one["losses"][0]
    np.testing.assert_allclose(many["fit"], one["fit"], rtol=1e-5)
    np.testing.assert_allclose(many["uneven"], one["uneven"], rtol=1e-4)
    np.testing.assert_allclose(many["predict"], one["predict"], rtol=1e-4, atol=1e-5)


def test_memory_is_really_spread(devices):
    assert devices["data"]["shards"]["hidden.w"] == [16, 64]
    for kind, n in (("model", 8), ("both", 2)):
        found = devices[kind]
        assert found["shards"] == {
            "hidden.w": [16, 64 // n],
            "out.w": [64 // n, 8],
            "out.b": [8],
            "optimizer.state[hidden.w][m]": [16, 64 // n],
        }
        assert found["whole"] == [16, 64]


def test_two_processes_give_the_losses_of_one():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    processes = [start(PROCESS, port, str(i)) for i in range(2)]
    alone, evaluated = read(start(ONE))
    first, second = map(read, processes)
    assert first == second
    np.testing.assert_allclose(first["losses"], alone, rtol=1e-5)
    assert first["rows"] == [64, 8]
    assert first["evaluated"] == pytest.approx(evaluated, rel=1e-5)


def test_wrong_meshes_and_layouts_say_what_to_write():
    with pytest.raises(ArgumentError, match="device_count=99"):
        ae.Backend("jax", mesh={"data": 99})
    with pytest.raises(ArgumentError, match="positive"):
        ae.Backend("jax", mesh={"data": 0})
    with pytest.raises(ArgumentError, match="`mesh` is a dict"):
        ae.Backend("jax", mesh=(1,))
    with pytest.raises(ArgumentError, match="`layout` is a dict"):
        ae.Backend("jax", mesh={"data": 1}, layout=[("*.w", ("data",))])
    with pytest.raises(ArgumentError, match="needs a mesh"):
        ae.Backend("jax", layout=LAYOUT)
    with pytest.raises(ArgumentError) as caught:
        ae.Backend("jax", mesh={"data": 1}, layout={"*.w": (None, "modle")})
    assert caught.value.path == "*.w" and "modle" in str(caught.value)
    with pytest.raises(ArgumentError, match="a tuple of axes"):
        ae.Backend("jax", mesh={"model": 1}, layout={"*.w": "model"})
    with pytest.raises(ArgumentError, match="count from 0"):
        connect("127.0.0.1:1", 2, 2)


def test_what_cannot_be_split_evenly_names_the_cell():
    placement = Placement({"data": 1}, {"*.w": (None, "data")})
    placement.sizes["data"] = 4
    with pytest.raises(ShapeError) as caught:
        placement.of_cell(Parameter(np.zeros((16, 10)), name="hidden.w"))
    assert caught.value.path == "hidden.w" and "evenly" in str(caught.value)
    with pytest.raises(ShapeError, match="more axes") as caught:
        placement.of_cell(Parameter(np.zeros(16), name="scale.w"))
    assert caught.value.path == "scale.w" and "(16,)" in caught.value.expected
    with pytest.raises(ShapeError) as caught:
        placement.of_batch("x", (10, 3))
    assert caught.value.path == "x" and "batch size" in caught.value.fix
    assert placement.of_cell(Parameter(np.zeros(10), name="hidden.b")) == placement.whole


class Halves(JaxBackend):
    """A backend whose batches have to be even."""

    multiple = 2


def sequential(layout, optimizer=None):
    backend = ae.Backend("jax", mesh={"data": 1, "model": 1}, layout=layout)
    return nn.Sequential(nn.Dense(4), nn.relu, nn.Dense(2)).compile(
        optimizer=optimizer or ae.Adam(1e-2), loss=nn.softmax_cross_entropy, backend=backend
    )


def test_brackets_in_a_layout_are_those_of_paths():
    model = sequential({"parts[0].w": (None, "model"), "*[2].w": ("model",)})
    model.train_on_batch(np.ones((4, 3)), np.zeros(4, int))
    store = model._trainer.store
    axes = {p: tuple(store[p].data.sharding.spec) for p in ("parts[0].w", "parts[2].w")}
    assert axes == {"parts[0].w": (None, "model"), "parts[2].w": ("model",)}
    assert tuple(store["parts[0].b"].data.sharding.spec) == ()


def test_a_pattern_that_fits_no_cell_is_refused_when_training_starts():
    model = sequential({"parts[0].w": (None, "model"), "part[2].w": ("model",)})
    x, y = np.ones((4, 3)), np.zeros(4, int)
    with pytest.raises(UnknownNameError, match=r"did you mean .*parts\[2\]\.w") as caught:
        model.fit(x, y, progress=False)
    assert caught.value.path == "part[2].w"
    of_slots = sequential({"optimizer.*[m]": (None,)})
    of_slots.evaluate(x, y)  # there are no slots before the first step
    with pytest.raises(ShapeError, match="more axes"):
        sequential({"*": (None, None)}).fit(x, y, progress=False)


@pytest.mark.parametrize(
    ("make", "slot"),
    [
        (lambda: ae.Adam(1e-2), "state[{}][m]"),
        (lambda: train.Average(train.SGD(0.1)), "averages[{}]"),
        (lambda: train.Accumulate(train.SGD(0.1), 2), "totals[{}]"),
        (lambda: train.Groups({"*": ae.Adam(1e-2)}), "groups[*].state[{}][v]"),
        (lambda: train.ClipNorm(train.Average(ae.Adam(1e-2)), 1.0), "optimizer.averages[{}]"),
    ],
)
def test_slots_lie_as_their_parameter_does(make, slot):
    model = sequential({"parts[0].w": (None, "model")}, make())
    model.train_on_batch(np.ones((4, 3)), np.zeros(4, int))
    store = model._trainer.store
    split = store["optimizer." + slot.format("parts[0].w")]
    assert tuple(split.data.sharding.spec) == (None, "model")
    assert tuple(store["optimizer." + slot.format("parts[0].b")].data.sharding.spec) == ()


def test_slots_of_another_shape_are_whole():
    model = sequential({"parts[0].w": ("model",)}, train.Adafactor(factored_from=2))
    model.train_on_batch(np.ones((4, 3)), np.zeros(4, int))
    cell = model._trainer.store["optimizer.state[parts[0].w][columns]"]
    assert cell.value.shape == (4,) and tuple(cell.data.sharding.spec) == ()


def test_rows_that_are_not_filled_up_are_refused_before_the_first_step():
    model = nn.Sequential(nn.Dense(2)).compile(
        optimizer=ae.Adam(1e-2), loss=lambda p, t: ((p - t) ** 2).mean(), backend="jax"
    )
    x, y = np.ones((101, 3)), np.ones((101, 2))
    model._trainer.backend = Halves("jax")
    for rows, given in ((101, {"validation_split": 0.2}), (97, {}), (2, {"batch_size": 1})):
        with pytest.raises(ShapeError, match="a multiple of 2 rows"):
            model.fit(x[:rows], y[:rows], progress=False, **given)
    assert model._trainer.optimizer.count.value == 0
    model.fit(x[:96], y[:96], progress=False)
    assert model._trainer.optimizer.count.value == 3


def test_options_that_a_backend_does_not_take_are_refused():
    for name in ("c", "numba"):
        with pytest.raises(ArgumentError, match=f"'{name}' does not take the option 'mesh'"):
            ae.Backend(name, mesh={"data": 1})
    with pytest.raises(ArgumentError, match="'bogus'") as caught:
        ae.Backend("jax", bogus=1)
    assert caught.value.expected == "cache, mesh, layout"
