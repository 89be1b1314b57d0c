"""Folding: computed once for each value of the cells, and gone from the main program."""

import os
import subprocess
import sys

import aesara.tensor as at
import numpy as np
import pytest
from aesara.tensor.math import Dot

import aeframe as ae
from aeframe import nn
from aeframe.backends import Backend
from aeframe.backends.fold import foldable
from aeframe.core import Graph, Parameter, TypedOp
from aeframe.core.cells import RandomState, cells
from aeframe.core.graph import toposort

BACKENDS = ["jax", "c", "numba"]


def matrix(rng, *shape):
    return rng.normal(size=shape).astype("float32")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def product(rng):
    """``x @ (a @ b)``: the inner product is of weights alone."""
    a, b = Parameter(matrix(rng, 32, 64)), Parameter(matrix(rng, 64, 16))
    x = at.fmatrix("x")
    return x, a, b, at.dot(x, at.dot(a, b))


def dots(graph):
    return [n for n in toposort(graph.results) if isinstance(n.op, Dot)]


def agree(got, wanted):
    np.testing.assert_allclose(np.asarray(got), wanted, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", BACKENDS)
def test_a_product_of_weights_is_gone_from_the_main_program(name, rng):
    x, a, b, y = product(rng)
    program = Backend(name).compile([x], [y])
    assert len(dots(program.graph)) == 1 and program.fixed == []
    rows = matrix(rng, 4, 32)
    for factor in (1, 2, 1):
        a.value = factor * a.value
        for _ in range(2):
            agree(program(rows)[0], rows @ a.value @ b.value)


@pytest.mark.parametrize("name", BACKENDS)
def test_it_is_computed_once_for_each_value(name, rng):
    x, _, b, y = product(rng)
    program = Backend(name).compile([x], [y])
    ran = []
    inner = program.folded.program._call
    program.folded.program._call = lambda *args: ran.append(1) or inner(*args)
    for n in (4, 4, 7):  # a new shape compiles the main program alone
        program(matrix(rng, n, 32))
    assert len(ran) == 1
    b.value = b.value
    program(matrix(rng, 4, 32))
    program(matrix(rng, 4, 32))
    assert len(ran) == 2


class CalledOp(TypedOp):
    """A product that counts how often the C backend calls it."""

    calls = 0

    def body(self, a, b):
        return at.dot(a, b)


@ae.backends.implement("c", CalledOp)
def _called(node):
    def call(a, b):
        CalledOp.calls += 1
        return a @ b

    return call


def test_a_claimed_op_is_called_once(rng):
    x, a, b, _ = product(rng)
    program = Backend("c").compile([x], [at.dot(x, CalledOp()(a, b))])
    CalledOp.calls = 0
    for _ in range(3):
        program(matrix(rng, 4, 32))
    assert CalledOp.calls == 1


@pytest.mark.parametrize("name", BACKENDS)
def test_an_array_overwritten_in_place_is_a_new_value(name, rng):
    x, a, b, y = product(rng)
    grow = Backend(name).compile([], [], {a: a + 1.0})
    program = Backend(name).compile([x], [y])
    rows = matrix(rng, 4, 32)
    for _ in range(3):
        agree(program(rows)[0], rows @ a.value @ b.value)
        grow()


@pytest.mark.parametrize("name", BACKENDS)
def test_a_cell_that_the_program_updates_is_not_folded(name, rng):
    x, a, b, y = product(rng)
    program = Backend(name).compile([x], [y], {a: a + 1.0})
    assert program.folded is None
    rows = matrix(rng, 4, 32)
    old = a.value
    agree(program(rows)[0], rows @ old @ b.value)
    agree(program(rows)[0], rows @ (old + 1) @ b.value)


@pytest.mark.parametrize("name", BACKENDS)
def test_frozen_cells_are_folded_in_training(name, rng):
    x, a, b, y = product(rng)
    w = Parameter(np.ones(16, "float32"))
    program = Backend(name).compile([x], [(y * w).sum()], {w: w * 0.5})
    assert len(dots(program.graph)) == 1
    rows = matrix(rng, 4, 32)
    whole = (rows @ a.value @ b.value).sum()
    got = [float(np.asarray(program(rows)[0])) for _ in range(3)]
    np.testing.assert_allclose(got, [whole, whole / 2, whole / 4], rtol=1e-3)


@pytest.mark.parametrize("name", BACKENDS)
def test_scan_and_map_take_what_was_folded(name, rng):
    x, a, b, y = product(rng)
    program = Backend(name).compile([x], [y])
    rows = matrix(rng, 3, 4, 32)
    for run in (program.scan, lambda r: program.map([r])):
        agree(run(rows)[0], rows @ a.value @ b.value)
        a.value = -a.value
        agree(run(rows)[0], rows @ a.value @ b.value)


@pytest.mark.parametrize("name", BACKENDS)
def test_programs_that_share_cells_fold_each_for_itself(name, rng):
    x, a, b, y = product(rng)
    one = Backend(name).compile([x], [y])
    two = Backend("c" if name == "jax" else "jax").compile([x], [y.sum()])
    rows = matrix(rng, 4, 32)
    for _ in range(3):
        agree(one(rows)[0], rows @ a.value @ b.value)
        agree(two(rows)[0], (rows @ a.value @ b.value).sum())
    version = a.version
    one(rows), two(rows)
    assert a.version == version  # another form of the same value is no new value
    a.value = 2 * a.value
    agree(one(rows)[0], rows @ a.value @ b.value)
    agree(two(rows)[0], (rows @ a.value @ b.value).sum())


def folds(y, fixed=None):
    x = [v for v in [*y.owner.inputs] if v.owner is None and not isinstance(v, Parameter)]
    graph = Graph(tuple(x), (y,))
    return foldable(graph, cells(graph.results) if fixed is None else fixed)


def test_what_is_cheap_and_large_is_not_folded(rng):
    w = Parameter(matrix(rng, 256))
    big = at.broadcast_to(w, (512, 256))
    x = at.TensorType("float32", (512, 256))("x")
    assert folds(x + big) == {}
    assert folds(x + big * 2.0) == {}
    assert folds(at.dot(x, w[:, None] * Parameter(matrix(rng, 512)))) == {}


def test_a_product_is_folded_though_it_is_larger_than_its_factors(rng):
    x = at.TensorType("float32", (4, 256))("x")
    a, b = Parameter(matrix(rng, 256, 8)), Parameter(matrix(rng, 8, 256))
    (found,) = folds(at.dot(x, at.dot(a, b))).values()
    assert found.type.shape == (256, 256)


def test_below_what_is_refused_there_may_be_something_to_fold(rng):
    a, b = Parameter(matrix(rng, 64, 64)), Parameter(matrix(rng, 64, 64))
    small = at.dot(a, b).sum(axis=0)
    x = at.TensorType("float32", (512, 64))("x")
    (found,) = folds(x + at.broadcast_to(small, (512, 64)))
    assert found is small


def test_transposes_and_little_things_are_left_to_the_backend(rng):
    a = Parameter(matrix(rng, 256, 256))
    x = at.TensorType("float32", (512, 256))("x")
    assert folds(at.dot(x, a.T)) == {}
    small = Parameter(matrix(rng, 8, 8))
    assert folds(at.dot(at.TensorType("float32", (2, 8))("x"), at.dot(small, small))) == {}


def test_random_numbers_are_not_folded():
    state = RandomState("rng")
    noise = at.random.normal(0, 1, size=(256, 256), rng=state)
    x = at.TensorType("float64", (256, 256))("x")
    assert folds(x + noise) == {}


def test_results_of_the_graph_are_the_callers(rng):
    a, b = Parameter(matrix(rng, 64, 64)), Parameter(matrix(rng, 64, 64))
    x = at.fmatrix("x")
    merged = at.dot(a, b)
    program = Backend("c").compile([x], [at.dot(x, merged), merged])
    rows = matrix(rng, 2, 64)
    program(rows)[1][:] = 0
    agree(program(rows)[0], rows @ a.value @ b.value)


class Merged(ae.Module):
    """A Dense layer of two factors."""

    def __init__(self, width):
        self.a = Parameter(init=nn.glorot_uniform, shape=(width, 64), dtype="float32")
        self.b = Parameter(init=nn.glorot_uniform, shape=(64, 1), dtype="float32")

    def __call__(self, x):
        return at.dot(x, at.dot(self.a, self.b))


@pytest.mark.parametrize("name", BACKENDS)
def test_new_values_after_fit_load_and_set(name, rng, tmp_path):
    x, y = matrix(rng, 64, 256), matrix(rng, 64, 1)
    model = Merged(256).compile(optimizer=ae.SGD(0.001), loss=nn.mean_squared_error, backend=name)

    def require_newest(model):
        agree(model.predict(x), x @ model.a.value @ model.b.value)

    model(x)
    require_newest(model)
    before = model.a.value
    model.fit(x, y, epochs=2, callbacks=[])
    assert np.abs(before - model.a.value).max() > 0
    require_newest(model)
    model.b.value = np.ones((64, 1))
    require_newest(model)
    model.save(tmp_path / "model")
    model.fit(x, y, epochs=1)
    require_newest(model)
    trained = model.predict(x)
    model.load(tmp_path / "model")
    assert np.abs(model.predict(x) - trained).max() > 0
    require_newest(model)
    require_newest(ae.load(tmp_path / "model"))


ON_A_MESH = """
import aesara.tensor as at, numpy as np
from aeframe.backends import Backend
from aeframe.core import Parameter
rng = np.random.default_rng(0)
shapes = {"a": (32, 64), "b": (64, 16), "c": (16, 64), "d": (64, 16)}
for layout in ({}, {"a": (None, "model")}, {"*": (None, "model")}):
    a, b, c, d = (Parameter(rng.normal(size=s), name=n) for n, s in shapes.items())
    x, rows = at.dmatrix("x"), rng.normal(size=(4, 32))
    y = at.dot(at.dot(x, at.dot(a, b)), at.dot(c, d))
    program = Backend("jax", mesh={"data": 2, "model": 2}, layout=layout).compile([x], [y])
    for _ in range(2):
        wanted = rows @ a.value @ b.value @ c.value @ d.value
        np.testing.assert_allclose(np.asarray(program(rows)[0]), wanted)
        np.testing.assert_allclose(np.asarray(program.scan(rows[None])[0])[0], wanted)
        d.value = -d.value
    print(len(program.folded.variables) if program.folded else 0)
"""


@pytest.mark.slow
def test_on_a_mesh_split_cells_stay_where_they_are():
    flags = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    done = subprocess.run(
        [sys.executable, "-c", ON_A_MESH], env=flags, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["2", "1", "0"]
