"""Backends and Programs: selection, state, specialization, refusals, and a backend from outside."""

import subprocess
import sys
from importlib.metadata import EntryPoint

import aesara.tensor as at
import numpy as np
import pytest
from aesara.graph.basic import Constant

import aeframe as ae
from aeframe import nn
from aeframe.backends import Diagnosis, base, current_backend, diagnose, implement
from aeframe.core import Graph, IntermediateOp, IntermediateType, State, grad, toposort
from aeframe.core.errors import (
    ArgumentError,
    BackendError,
    DtypeError,
    IntermediateError,
    ShapeError,
    StateError,
    UnsupportedError,
)
from aeframe.core.shapes import perform
from aeframe.nn.ops import ReluOp

BACKENDS = ("jax", "c", "numba")


def tensor(*shape, dtype="float64"):
    return at.TensorType(dtype, shape)("x")


@pytest.mark.parametrize("name", BACKENDS)
def test_state_comes_back_and_only_what_changes_is_replaced(name):
    count, step = State(np.zeros(2)), State(np.ones(2))
    x = tensor(2)
    program = ae.Backend(name).compile([x], [count * x], {count: count + step})
    kept = step.value
    for i in range(3):
        (out,) = program(np.array([1.0, 2.0]))
        np.testing.assert_array_equal(np.asarray(out), [i, 2.0 * i])
    np.testing.assert_array_equal(count.value, [3.0, 3.0])
    np.testing.assert_array_equal(step.value, kept)


def test_cells_move_between_backends():
    count, x = State(np.zeros(2)), tensor(2)
    programs = [ae.Backend(n).compile([x], [count + x], {count: count + x}) for n in BACKENDS]
    for program in (*programs, *programs):
        program(np.ones(2))
    np.testing.assert_array_equal(count.value, np.full(2, 2.0 * len(BACKENDS)))


@pytest.mark.parametrize("name", BACKENDS)
def test_a_users_array_is_never_overwritten(name):
    start = np.zeros(3)
    cell, x = State(start), tensor(3)
    program = ae.Backend(name).compile([x], [x], {cell: cell + x})
    seen = cell.value
    data = np.ones(3)
    for _ in range(3):
        program(data)
    assert not start.any() and not seen.any() and (data == 1).all()


@pytest.mark.parametrize("name", BACKENDS)
def test_each_shape_compiles_once(name):
    x = tensor(None, 3)
    program = ae.Backend(name).compile([x], [x.sum(axis=0)])
    for n in (2, 2, 5, 2, 5):
        np.testing.assert_array_equal(np.asarray(program(np.ones((n, 3)))[0]), np.full(3, n))
    assert program.compilations == 2


@pytest.mark.parametrize("name", BACKENDS)
def test_wrong_arrays_are_refused_before_anything_runs(name):
    program = ae.Backend(name).compile([tensor(2, 3)], [tensor(2, 3)][:0])
    for wrong, error in [
        (np.ones((2, 4)), ShapeError),
        (np.ones(2), ShapeError),
        (np.ones((2, 3), "float32"), DtypeError),
        (3.0, ArgumentError),
    ]:
        with pytest.raises(error):
            program(wrong)
    with pytest.raises(ArgumentError, match="number of inputs"):
        program()


class ThingType(IntermediateType):
    name = "thing"


class ThingOp(IntermediateOp):
    out_type = ThingType()


class LookOp(IntermediateOp):
    out_type = ThingType()


@pytest.mark.parametrize("name", BACKENDS)
def test_leftovers_are_refused_with_their_path(name):
    class Leaves(ae.Module):
        def __call__(self, x):
            return ThingOp()(x)

    with ae.Backend(name), pytest.raises(IntermediateError, match="left in the graph") as caught:
        Leaves()(np.ones(2))
    assert caught.value.path == "Leaves"


def test_a_free_leaf_is_refused():
    x, stray = tensor(2), at.dscalar("stray")
    with pytest.raises(StateError, match="neither an input nor a cell"):
        ae.Backend("c").compile([x], [x * stray])


def test_selection_by_call_context_and_model():
    assert current_backend().name == "jax"
    with ae.Backend("c") as outer:
        assert current_backend() is outer
        with ae.Backend("jax"):
            assert current_backend().name == "jax"
        assert current_backend() is outer
    model = nn.Dense(2)
    model.compile(optimizer=ae.SGD(0.1), loss=nn.mean_squared_error, backend="c")
    model(np.ones((1, 2)))
    model.predict(np.ones((1, 2)), backend="jax")
    assert [key[3] for key in model._programs] == ["c", "jax"]


def test_unknown_and_missing_backends_say_what_to_do():
    with pytest.raises(BackendError, match="'jax'"):
        ae.Backend("jaxx")


def test_missing_library_is_one_clear_error(monkeypatch):
    monkeypatch.setattr("aeframe.backends.jax.backend.find_spec", lambda name: None)
    assert diagnose("jax") == Diagnosis(False, "JAX is not installed", "pip install jax")
    with pytest.raises(BackendError, match="pip install jax"):
        ae.Backend("jax")


def test_what_a_backend_cannot_do_names_op_path_and_another():
    class Owen(ae.Module):
        def __call__(self, x):
            return at.math.owens_t(x, 1.0)

    with pytest.raises(UnsupportedError, match='backend="c"') as caught:
        Owen()(np.array([0.0]))
    assert "owens_t" in caught.value.problem and caught.value.path == "Owen"
    with ae.Backend("c"):
        assert Owen()(np.array([0.0])).tolist() == [0.125]


class PythonBackend(ae.Backend):
    """A backend in a few lines: each Apply by its ``perform``."""

    name = "python"

    @classmethod
    def diagnose(cls):
        return Diagnosis(True, "Python")

    def load(self, cell):
        return cell.numpy()

    def executable(self, graph, updated, fixed):
        nodes = toposort(graph.results, graph.inputs)

        def run(states, values, arrays):
            known = dict(zip(graph.inputs, [*arrays, *states, *values], strict=True))
            for node in nodes:
                given = [v.data if isinstance(v, Constant) else known[v] for v in node.inputs]
                known.update(zip(node.outputs, perform(node, given), strict=True))
            results = [known[v] for v in graph.results]
            return results[: len(graph.outputs)], results[len(graph.outputs) :]

        return run


@pytest.fixture
def outside(monkeypatch):
    entry = EntryPoint("python", f"{__name__}:PythonBackend", "aeframe.backends")
    monkeypatch.setattr(EntryPoint, "load", lambda self: PythonBackend)
    monkeypatch.setattr(base, "entry_points", lambda group: [entry])


def test_a_backend_from_another_package_trains_a_model(outside):
    x, y = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 2
    losses = {}
    for backend in ("python", "jax"):
        model = nn.Dense(2, dtype="float64").compile(
            optimizer=ae.Adam(0.1), loss=nn.softmax_cross_entropy, backend=backend
        )
        losses[backend] = model.fit(x, y, epochs=3, batch_size=10, progress=False)["loss"]
    np.testing.assert_allclose(losses["python"], losses["jax"], rtol=1e-10)


def test_a_claimed_op_is_run_by_the_backends_own_code():
    class TripleOp(ae.TypedOp):
        def body(self, x):
            return 3.0 * x

    calls = []

    @implement("jax", TripleOp)
    def triple(node):
        if node.inputs[0].type.shape == (1,):
            return None
        return lambda x: calls.append("claimed") or x * 3.0

    for n, claimed in ((2, True), (1, False)):
        x = tensor(n)
        (out,) = ae.Backend("jax").compile([x], [TripleOp()(x)])(np.ones(n))
        assert np.asarray(out).tolist() == [3.0] * n and bool(calls) == claimed
        calls.clear()


def test_the_last_claim_is_asked_first_and_a_pullback_is_claimed_by_its_op():
    class SquareOp(ae.TypedOp):
        def body(self, x):
            return x * x

    calls = []

    def claim(name, run, pullback=False, only=None):
        @implement("jax", SquareOp, pullback=pullback)
        def make(node):
            if only is not None and node.inputs[0].type.shape != only:
                return None
            return lambda *values: calls.append(name) or run(*values)

    claim("first", lambda x: x * x)
    claim("last", lambda x: x * x, only=(2,))
    claim("gradient", lambda x, y, g: (2.0 * x * g,), pullback=True)
    for n, expected in ((2, ["last", "gradient"]), (3, ["first", "gradient"])):
        x = tensor(n)
        y = SquareOp()(x)
        (out,) = ae.Backend("jax").compile([x], grad(y.sum(), [x]))(np.ones(n))
        assert np.asarray(out).tolist() == [2.0] * n and calls == expected
        calls.clear()


def test_backends_agree_on_values_and_gradients():
    x, w = tensor(4, 3), at.TensorType("float64", (3, 2))("w")
    out = at.tanh(ReluOp()(at.dot(x, w))).sum() + at.max(x) - at.mod(x, 0.7).mean()
    graph = Graph((x, w), (out, *grad(out, [w])))
    rng = np.random.default_rng(0)
    data = rng.normal(size=(4, 3)), rng.normal(size=(3, 2))
    results = [ae.Backend(n).compile(graph.inputs, graph.outputs)(*data) for n in BACKENDS]
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-12)


def test_the_import_is_light():
    code = "import aeframe, sys; print([m for m in ('jax','numba','matplotlib','pandas','aeppl')"
    code += " if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_a_graph_in_pieces_gives_the_same(monkeypatch):
    x, count = tensor(3), State(np.zeros(3))
    h = x
    for i in range(30):
        h = at.sin(h) + count if i % 2 else ReluOp()(h) * 1.5
    outputs = [h, *grad(h.sum(), [x])]
    data, found = np.array([0.1, -0.2, 0.3]), []
    for largest in (4000, 10):
        monkeypatch.setattr("aeframe.backends.jax.backend.LARGEST", largest)
        monkeypatch.setattr("aeframe.backends.jax.backend.SEGMENT", 7)
        count.value = np.zeros(3)
        program = ae.Backend("jax").compile([x], outputs, {count: count + x})
        program(data)
        found.append([*map(np.asarray, program(data)), count.value])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
