"""Pooling against loops over windows: values, gradients, ties, dtypes, shapes."""

import aesara.tensor as at
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import aeframe as ae
from aeframe import nn
from aeframe.core import Graph, grad, toposort
from aeframe.core.errors import ArgumentError, DtypeError, ShapeError
from aeframe.core.expand import expand
from aeframe.nn.ops import AvgPool2DOp, MaxPool2DOp
from tests.evaluate import evaluate
from tests.nn.loops import pool

OPS = {"max": MaxPool2DOp, "mean": AvgPool2DOp}
TOLERANCE = {"float64": 1e-9, "float32": 1e-4}
NONE = ((0, 0), (0, 0))
# x, window, stride, padding
CASES = {
    "side by side": ((2, 6, 4, 3), (2, 2), (2, 2), NONE),
    "a rest at the end": ((2, 7, 5, 3), (2, 2), (2, 2), NONE),
    "overlapping and padded": ((2, 7, 8, 3), (3, 3), (2, 2), ((1, 1), (0, 1))),
    "every place": ((1, 6, 7, 2), (3, 2), (1, 1), ((1, 0), (0, 0))),
    "gaps": ((1, 6, 7, 2), (2, 2), (3, 4), NONE),
    "one row": ((2, 1, 9, 3), (1, 3), (1, 2), ((0, 0), (1, 1))),
    "one pixel": ((1, 1, 1, 1), (1, 1), (1, 1), NONE),
}
rng = np.random.default_rng(0)


def with_gradient(kind, case, dtype):
    xs, *arguments = case
    exact = rng.integers(-3, 3, xs).astype("float64")  # many ties
    g = rng.normal(size=pool(kind, exact, *arguments).shape)
    x, cotangent = inputs = [at.TensorType(dtype, s)() for s in (xs, g.shape)]
    y = OPS[kind](*arguments)(x)
    assert y.type.shape == g.shape
    outputs = [y, *grad((y * cotangent).sum(), [x])]
    data = [exact.astype(dtype), g.astype(dtype)]
    return inputs, outputs, data, pool(kind, exact, *arguments, g)


def agree(found, wanted, dtype):
    for a, b in zip(found, wanted, strict=True):
        a = np.asarray(a)
        assert a.dtype == dtype and a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("kind", OPS)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_values_and_gradients(kind, case, dtype):
    inputs, outputs, data, wanted = with_gradient(kind, CASES[case], dtype)
    agree(ae.Backend("jax").compile(inputs, outputs)(*data), wanted, dtype)
    graph = expand(Graph(tuple(inputs), tuple(outputs)))
    agree(evaluate(graph.inputs, graph.outputs, data), wanted, dtype)
    if dtype == "float32":
        made = [o.type for node in toposort(graph.outputs) for o in node.outputs]
        assert not [t for t in made if getattr(t, "dtype", "") == "float64"]


@pytest.mark.parametrize("kind", OPS)
@pytest.mark.parametrize("case", ["side by side", "overlapping and padded"])
def test_values_and_gradients_in_c(kind, case):
    inputs, outputs, data, wanted = with_gradient(kind, CASES[case], "float64")
    agree(ae.Backend("c").compile(inputs, outputs)(*data), wanted, "float64")


def test_it_runs_unexpanded():
    (x, g), outputs, data, wanted = with_gradient("max", CASES["a rest at the end"], "float64")
    assert np.array_equal(outputs[0].eval({x: data[0]}), wanted[0])
    assert np.array_equal(outputs[1].eval({x: data[0], g: data[1]}), wanted[1])


numbers = st.tuples(st.integers(1, 4), st.integers(1, 4))


@settings(deadline=None, max_examples=25)
@given(
    kind=st.sampled_from(sorted(OPS)),
    size=st.tuples(st.integers(4, 9), st.integers(4, 9)),
    window=numbers,
    stride=numbers,
    data=st.data(),
)
def test_any_arguments(kind, size, window, stride, data):
    around = [data.draw(st.tuples(st.integers(0, k - 1), st.integers(0, k - 1))) for k in window]
    case = ((2, *size, 2), window, stride, tuple(around))
    inputs, outputs, arrays, wanted = with_gradient(kind, case, "float64")
    graph = expand(Graph(tuple(inputs), tuple(outputs)))
    agree(evaluate(graph.inputs, graph.outputs, arrays), wanted, "float64")


def test_sizes_may_be_left_open():
    x = at.TensorType("float64", (None, None, None, 2))()
    y = MaxPool2DOp((3, 3), (2, 2), ((1, 1), (1, 1)))(x)
    program = ae.Backend("jax").compile([x], [y, *grad(y.sum(), [x])])
    for shape in ((2, 5, 6, 2), (1, 7, 4, 2)):
        value = rng.normal(size=shape)
        g = np.ones(pool("max", value, (3, 3), (2, 2), ((1, 1), (1, 1))).shape)
        agree(program(value), pool("max", value, (3, 3), (2, 2), ((1, 1), (1, 1)), g), "float64")


@pytest.mark.parametrize(
    ("layer", "shape", "wanted"),
    [
        (nn.MaxPool2D(), (2, 7, 6, 3), (2, 3, 3, 3)),
        (nn.MaxPool2D(3, stride=2, padding="same"), (2, 7, 6, 3), (2, 4, 3, 3)),
        (nn.AvgPool2D((2, 3), stride=1, padding=((1, 0), (1, 1))), (2, 7, 6, 3), (2, 7, 6, 3)),
        (nn.MaxPool1D(3), (2, 7, 3), (2, 2, 3)),
        (nn.AvgPool1D(2, stride=1, padding="same"), (2, 7, 3), (2, 7, 3)),
        (nn.GlobalAvgPool2D(), (2, 7, 6, 3), (2, 3)),
        (nn.GlobalAvgPool1D(), (2, 7, 3), (2, 3)),
    ],
)
def test_layers_have_their_shapes_and_values(layer, shape, wanted):
    x = rng.normal(size=shape).astype("float32")
    y = layer(x)
    assert layer(at.TensorType("float32", shape)()).type.shape == y.shape == wanted
    if isinstance(layer, nn.GlobalAvgPool1D | nn.GlobalAvgPool2D):
        expected = x.mean(axis=tuple(range(1, x.ndim - 1)))
    else:
        kind = "max" if "Max" in type(layer).__name__ else "mean"
        tall = x if x.ndim == 4 else x[:, None]
        node = next(n for n in toposort([layer(at.as_tensor(x))]) if isinstance(n.op, OPS[kind]))
        expected = pool(kind, tall, *(getattr(node.op, p) for p in node.op.__props__))
        expected = expected if x.ndim == 4 else expected[:, 0]
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


def test_averages_at_the_border_do_not_count_the_padding():
    y = nn.AvgPool2D(3, stride=1, padding="same")(np.ones((1, 4, 4, 1)))
    np.testing.assert_allclose(y, np.ones((1, 4, 4, 1)), rtol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (lambda: nn.MaxPool2D(0), ArgumentError),
        (lambda: MaxPool2DOp((2, 2), (2, 2), ((2, 0), (0, 0))), ArgumentError),
        (lambda: nn.MaxPool2D()(at.lmatrix()), ShapeError),
        (lambda: nn.MaxPool1D()(at.tensor4("float64")), ShapeError),
        (lambda: nn.MaxPool2D()(at.TensorType("int64", (1, 4, 4, 1))()), DtypeError),
        (lambda: nn.MaxPool2D(5)(at.TensorType("float64", (1, 4, 4, 1))()), ShapeError),
        (lambda: nn.GlobalAvgPool2D()(at.dtensor3()), ShapeError),
    ],
)
def test_wrong_uses(wrong, error):
    with pytest.raises(error):
        wrong()
