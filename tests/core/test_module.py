"""Modules: paths, shared parts, first call, freezing, summaries, typed Modules, state."""

import aesara.tensor as at
import numpy as np
import pytest

import aeframe as ae
from aeframe import nn
from aeframe.core import toposort, typed_nodes
from aeframe.core.errors import ArgumentError, ShapeError, StateError, UnknownNameError


class Encoder(ae.Module):
    def __init__(self):
        self.layers = [nn.Dense(4), nn.Dense(3)]
        self.heads = {"a": nn.Dense(2)}

    def __call__(self, x):
        for layer in self.layers:
            x = nn.relu(layer(x))
        return self.heads["a"](x)


class Shared(ae.Module):
    def __init__(self):
        self.first = nn.Dense(3, bias=False)
        self.second = self.first

    def __call__(self, x):
        return self.second(self.first(x))


class Block(ae.Module, typed=True):
    def __init__(self):
        self.dense, self.dropout = nn.Dense(3), nn.Dropout(0.5)

    def __call__(self, x):
        return self.dropout(nn.relu(self.dense(x)))


def symbol(*shape, dtype="float32"):
    return at.TensorType(dtype, shape)("x")


def test_paths_name_cells_and_applies():
    model = Encoder()
    graph = ae.lower(model, symbol(2, 5))
    assert list(model.store) == [
        *("layers[0].w", "layers[0].b", "layers[1].w", "layers[1].b"),
        *("heads[a].w", "heads[a].b"),
    ]
    places = [n.tag.path for n in typed_nodes(graph)]
    assert places == ["layers[0]", "Encoder", "layers[1]", "Encoder", "heads[a]"]
    assert ae.parameters(graph) == list(model.store.values())


def test_an_error_deep_inside_names_the_path():
    model = Encoder()
    model(np.ones((2, 5)))
    model.layers[1] = nn.Dense(at.TensorType("float32", (7, 3))())
    with pytest.raises(ShapeError) as caught:
        model(np.ones((2, 5)))
    assert caught.value.path == "layers[1]"


def test_shared_modules_have_one_set_of_parameters():
    model = Shared()
    model(np.ones((2, 3)))
    assert list(model.store) == ["first.w"]
    w = model.store["first.w"].value
    np.testing.assert_allclose(model(np.eye(3)), w @ w, rtol=1e-5)


def test_arrays_run_symbols_lower():
    model = Encoder()
    assert isinstance(model(symbol(2, 5)), at.TensorVariable)
    assert model(np.ones((2, 5))).dtype == np.float32
    assert model([[1, 2, 3, 4, 5]]).shape == (1, 2)


def test_first_values_depend_on_seed_and_path_alone():
    a, b = Encoder(), Encoder()
    for model in (a, b):
        ae.lower(model, symbol(2, 5))
    a.init(1)
    b.init(1)
    assert all(np.array_equal(a.store[p].value, b.store[p].value) for p in a.store)
    c = Encoder()
    ae.lower(c, symbol(2, 5))
    assert not np.array_equal(c.init(2).store["layers[0].w"].value, a.store["layers[0].w"].value)
    first, second = (a.store[f"layers[{i}].w"].value for i in (0, 1))
    assert not np.array_equal(first[:3, :3], second[:3])


def test_freeze_by_path():
    model = Encoder()
    ae.lower(model, symbol(2, 5))
    model.freeze("layers[0]")
    assert [p for p, c in model.store.items() if not c.trainable] == ["layers[0].w", "layers[0].b"]
    model.freeze("layers[0].w", frozen=False)
    assert model.store["layers[0].w"].trainable
    with pytest.raises(UnknownNameError, match=r"layers\[0\]"):
        model.freeze("layer[0]")


def test_summary_counts_each_value_once():
    model = Shared()
    model(np.ones((2, 3)))
    text = model.summary()
    assert "first" in text and text.splitlines()[-1].split() == ["total", "9"]


def test_summary_says_what_is_frozen_and_what_is_not_made_yet():
    class Net(ae.Module):
        def __init__(self):
            self.output = nn.Dense(1000)  # no name is taken from the user

        def __call__(self, x):
            return self.output(x)

    model = Net()
    assert "not called yet" in model.summary()
    model(np.ones((2, 3)))
    text = model.freeze().summary()
    assert "(2, 1000)" in text and "4,000   frozen" in text
    assert text.splitlines()[-1].split() == ["frozen", "4,000"]


def test_a_typed_module_is_one_apply_with_its_state():
    model = Block()
    graph = ae.lower(model, symbol(4, 5))
    assert [str(n.op) for n in toposort(graph.results)] == ["Block"]
    assert list(graph.updates) == [model.store["dropout.rng"]]
    assert model(np.ones((4, 5))).shape == (4, 3)


def test_shared_dropout_threads_its_state():
    class Twice(ae.Module):
        def __init__(self):
            self.drop = nn.Dropout(0.5)

        def __call__(self, x):
            return self.drop(x), self.drop(x)

    graph = ae.lower(Twice(), symbol(100))
    program = ae.Backend("jax").compile(graph.inputs, graph.outputs, graph.updates)
    graph.inputs[0].name = "x"
    next(iter(graph.updates)).initialize(0, "rng")
    a, b = program(np.ones(100, "float32"))
    c, _ = program(np.ones(100, "float32"))
    assert not np.array_equal(a, b) and not np.array_equal(a, c)
    assert 20 < np.count_nonzero(a) < 80


def test_results_keep_their_nesting():
    class Nested(ae.Module):
        def __call__(self, x):
            return {"sum": x.sum(), "parts": (x, [x * 2.0])}

    made = Nested()(np.ones(2))
    assert made["sum"] == 2.0 and np.array_equal(made["parts"][1][0], [2.0, 2.0])


def test_what_is_not_symbolic_is_refused():
    class Wrong(ae.Module):
        def __call__(self, x):
            return "text"

    with pytest.raises(ArgumentError, match="not symbolic"):
        Wrong()(np.ones(2))


def test_a_cell_without_value_says_so():
    model = Encoder()
    ae.lower(model, symbol(2, 5))
    with pytest.raises(StateError, match="has no value yet"):
        _ = model.store["layers[0].w"].value


def test_a_changed_attribute_compiles_anew():
    class Power(ae.Module):
        def __init__(self):
            self.n = 2

        def __call__(self, x):
            return x**self.n

    model = Power()
    assert model(np.array([3.0])) == [9.0]
    model.n = 3
    assert model(np.array([3.0])) == [27.0]


def test_a_decorator_without_wraps_does_no_harm():
    def careless(function):
        def wrapper(self, x):
            return function(self, x) * 2.0

        return wrapper

    class Doubled(ae.Module):
        @careless
        def __call__(self, x):
            return x

    assert Doubled()(np.ones(2)).tolist() == [2.0, 2.0]


def test_rows_may_depend_on_each_other():
    class Centred(ae.Module):
        def __call__(self, x):
            return x - x.mean(axis=0)

    x = np.arange(600.0).reshape(300, 2)
    np.testing.assert_allclose(Centred().predict(x), x - x.mean(axis=0))
    assert ae.gp.SE().predict(x[:, :1]).shape == (300, 300)
