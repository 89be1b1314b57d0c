"""Convolutions against loops and SciPy: values, gradients, dtypes, shapes, every lowering."""

import aesara.tensor as at
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import correlate

import aeframe as ae
from aeframe import nn
from aeframe.core import Graph, grad, toposort
from aeframe.core.errors import ArgumentError, ShapeError
from aeframe.core.expand import expand
from aeframe.demo.digits import data as digits
from aeframe.nn.ops import Conv2DOp, ConvKernel2DOp, ConvTranspose2DOp
from tests.evaluate import evaluate
from tests.nn.loops import convolve

BACKENDS = ("jax", "c")
TOLERANCE = {"float64": 1e-9, "float32": 1e-4}
NONE = ((0, 0), (0, 0))
# x, w, stride, padding, dilation, groups
CASES = {
    "wide, by XLA": ((2, 5, 6, 24), (3, 3, 24, 5), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    "few channels, by columns": ((2, 7, 8, 3), (3, 2, 3, 4), (2, 3), NONE, (1, 1), 1),
    "asymmetric and dilated": ((1, 7, 8, 3), (2, 3, 3, 2), (1, 2), ((2, 0), (1, 3)), (3, 2), 1),
    "1x1 with a stride": ((3, 5, 4, 6), (1, 1, 6, 4), (2, 2), NONE, (1, 1), 1),
    "kernel larger than the input": (
        (1, 2, 3, 2),
        (5, 4, 2, 3),
        (1, 1),
        ((2, 2), (2, 1)),
        (1, 1),
        1,
    ),
    "groups": ((2, 5, 5, 6), (3, 3, 3, 4), (2, 1), ((1, 1), (0, 1)), (1, 1), 2),
    "depthwise": ((2, 6, 5, 3), (3, 3, 1, 3), (2, 1), ((1, 1), (0, 1)), (1, 2), 3),
    "depthwise, twice as many": ((1, 5, 5, 3), (2, 2, 1, 6), (1, 1), ((0, 1), (1, 0)), (1, 1), 3),
    "one row, one pixel": ((1, 1, 1, 1), (1, 1, 1, 1), (1, 1), NONE, (1, 1), 1),
}
rng = np.random.default_rng(0)


def run(backend, inputs, outputs, data):
    return [np.asarray(v) for v in ae.Backend(backend).compile(inputs, outputs)(*data)]


def with_gradients(case, dtype, static=True):
    """Inputs, [y, gradients of x, w, b for the cotangent g], data and what they should be."""
    xs, ws, *arguments = case
    exact = rng.normal(size=xs), rng.normal(size=ws), rng.normal(size=ws[3])
    y = convolve(*exact[:2], *arguments)
    g = rng.normal(size=y.shape)
    y, gx, gw = convolve(*exact[:2], *arguments, g)
    shapes = [xs if static else (None, None, None, xs[3]), ws, (ws[3],), y.shape]
    x, w, b, cotangent = inputs = [at.TensorType(dtype, s)() for s in shapes]
    out = Conv2DOp(*arguments)(x, w, b)
    outputs = [out, *grad((out * cotangent).sum(), [x, w, b])]
    data = [a.astype(dtype) for a in (*exact, g)]
    return inputs, outputs, data, [y + exact[2], gx, gw, g.sum((0, 1, 2))]


def agree(found, wanted, dtype):
    for a, b in zip(found, wanted, strict=True):
        assert a.dtype == dtype and a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_values_and_gradients(case, dtype):
    inputs, outputs, data, wanted = with_gradients(CASES[case], dtype)
    assert outputs[0].type.shape == wanted[0].shape
    agree(run("jax", inputs, outputs, data), wanted, dtype)
    graph = expand(Graph(tuple(inputs), tuple(outputs)))
    agree(evaluate(graph.inputs, graph.outputs, data), wanted, dtype)
    if dtype == "float32":
        made = [o.type for node in toposort(graph.outputs) for o in node.outputs]
        assert not [t for t in made if getattr(t, "dtype", "") == "float64"]


@pytest.mark.parametrize("case", ["wide, by XLA", "asymmetric and dilated", "groups", "depthwise"])
def test_values_and_gradients_in_c(case):
    inputs, outputs, data, wanted = with_gradients(CASES[case], "float64")
    agree(run("c", inputs, outputs, data), wanted, "float64")


def test_it_runs_unexpanded():
    (x, w, b, g), outputs, data, wanted = with_gradients(CASES["groups"], "float64")
    for out, expected in zip(outputs, wanted, strict=True):
        given_ = dict(zip((x, w, b, g), data, strict=True))
        found = out.eval({v: a for v, a in given_.items() if v in ae.core.graph.leaves([out])})
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("case", ["wide, by XLA", "groups", "depthwise"])
def test_sizes_may_be_left_open(case):
    inputs, outputs, data, wanted = with_gradients(CASES[case], "float64", static=False)
    agree(run("jax", inputs, outputs, data), wanted, "float64")


@pytest.mark.parametrize("case", ["groups", "depthwise", "depthwise, twice as many"])
def test_other_devices_take_xlas_convolution(case, monkeypatch):
    inputs, outputs, data, wanted = with_gradients(CASES[case], "float64")
    monkeypatch.setattr("jax.default_backend", lambda: "gpu")
    agree(run("jax", inputs, outputs, data), wanted, "float64")


sides = st.tuples(st.integers(0, 2), st.integers(0, 2))
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@settings(deadline=None, max_examples=25)
@given(
    size=st.tuples(st.integers(5, 8), st.integers(5, 8)),
    kernel=pairs,
    stride=pairs,
    padding=st.tuples(sides, sides),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    groups=st.integers(1, 3),
    wide=pairs,
)
def test_any_arguments(size, kernel, stride, padding, dilation, groups, wide):
    x, w = (2, *size, wide[0] * groups), (*kernel, wide[0], wide[1] * groups)
    case = (x, w, stride, padding, dilation, groups)
    inputs, outputs, data, wanted = with_gradients(case, "float64")
    graph = expand(Graph(tuple(inputs), tuple(outputs)))
    agree(evaluate(graph.inputs, graph.outputs, data), wanted, "float64")


@settings(deadline=None, max_examples=6)
@given(stride=pairs, padding=st.tuples(sides, sides), groups=st.integers(1, 2))
def test_any_arguments_on_jax(stride, padding, groups):
    case = ((2, 6, 5, 4), (3, 2, 4 // groups, 6), stride, padding, (1, 1), groups)
    inputs, outputs, data, wanted = with_gradients(case, "float64")
    agree(run("jax", inputs, outputs, data), wanted, "float64")


def test_one_channel_is_scipys_correlation():
    image, kernel = rng.normal(size=(9, 11)), rng.normal(size=(4, 3))
    for name in ("valid", "same"):
        layer = nn.Conv2D(at.as_tensor(kernel[..., None, None]), padding=name)
        found = layer(at.as_tensor(image[None, ..., None]))[0, :, :, 0].eval()
        flipped = correlate(image[::-1, ::-1], kernel[::-1, ::-1], name)[::-1, ::-1]
        np.testing.assert_allclose(found, flipped, rtol=1e-12)


def test_the_three_convolutions_are_each_others_gradients():
    x = at.TensorType("float64", (2, 6, 5, 4))()
    w, u = (at.TensorType("float64", (3, 2, 4, 3))() for _ in range(2))
    op = Conv2DOp((2, 1), ((1, 0), (0, 1)))
    first = grad((op(x, w) ** 2).sum(), [x, w])
    second = grad((first[1] * u).sum() + (first[0] ** 2).sum(), [x, w])
    graph = expand(Graph((x, w, u), tuple(second)), lambda node: "Conv" in type(node.op).__name__)
    kinds = {type(n.op) for n in toposort(graph.outputs) if "Conv" in type(n.op).__name__}
    assert kinds == {Conv2DOp, ConvTranspose2DOp, ConvKernel2DOp}

    def slope_of(x, w, u):
        y = convolve(x, w, (2, 1), op.padding, (1, 1), 1)
        _, gx, gw = convolve(x, w, (2, 1), op.padding, (1, 1), 1, 2 * y)
        return (gw * u).sum() + (gx**2).sum()

    data = [rng.normal(size=v.type.shape) for v in (x, w, u)]
    found = run("jax", [x, w, u], second, data)
    for i in (0, 1):
        for at_ in [(0, 0, 0, 0), (1, 1, 1, 2)]:
            moved = [[a.copy() for a in data] for _ in range(2)]
            for a, sign in zip(moved, (1, -1), strict=True):
                a[i][at_] += sign * 1e-5
            numeric = (slope_of(*moved[0]) - slope_of(*moved[1])) / 2e-5
            np.testing.assert_allclose(found[i][at_], numeric, rtol=1e-5)


TRANSPOSED = [
    ({"kernel": 3, "stride": 2}, (10, 8)),
    ({"kernel": 2, "stride": 3}, (15, 12)),
    ({"kernel": 3, "stride": 2, "padding": "valid"}, (11, 9)),
    ({"kernel": 2, "stride": 3, "padding": "valid"}, (15, 12)),
    ({"kernel": (3, 2), "stride": 2, "padding": 1, "output_padding": 1}, (10, 7)),
    ({"kernel": 3, "dilation": 2, "padding": 0, "groups": 2}, (9, 8)),
]


@pytest.mark.parametrize(("arguments", "size"), TRANSPOSED)
def test_transposed_convolution(arguments, size):
    layer = nn.ConvTranspose2D(4, **arguments, dtype="float64")
    x = at.TensorType("float64", (2, 5, 4, 6))()
    graph = ae.lower(layer, x)
    (y,) = graph.outputs
    assert y.type.shape == (2, *size, 4)
    layer.init(0)
    layer.b.value = np.arange(4.0)
    cotangent = rng.normal(size=y.type.shape)
    given_ = rng.normal(size=x.type.shape)
    gradients = grad((y * at.as_tensor(cotangent)).sum(), [x, layer.w, layer.b])
    w, op = layer.w.value, y.owner.op
    shared = (op.stride, op.padding, op.dilation, op.groups)
    gx, _, gw = convolve(cotangent, w, *shared, given_)
    # the transpose: <conv(c), x> = <c, transpose(x)> for every c
    _, made, _ = convolve(cotangent, w, *shared, given_)
    wanted = [made + np.arange(4.0), gx, gw, cotangent.sum((0, 1, 2))]
    agree(run("jax", [x], [y, *gradients], [given_]), wanted, "float64")


LAYERS = {
    "same with a stride": (lambda: nn.Conv2D(4, 3, stride=2), (2, 8, 7, 3), (2, 4, 4, 4)),
    "valid": (lambda: nn.Conv2D(4, (3, 2), padding="valid"), (2, 8, 7, 3), (2, 6, 6, 4)),
    "a number": (lambda: nn.Conv2D(4, 3, padding=2), (2, 8, 7, 3), (2, 10, 9, 4)),
    "pairs": (lambda: nn.Conv2D(4, 3, padding=((0, 1), (2, 0))), (2, 8, 7, 3), (2, 7, 7, 4)),
    "depthwise": (lambda: nn.Conv2D(6, groups=3), (2, 8, 7, 3), (2, 8, 7, 6)),
    "time": (lambda: nn.Conv1D(4, 3, dilation=2), (2, 9, 3), (2, 9, 4)),
    "causal": (lambda: nn.Conv1D(4, 3, padding=(2, 0)), (2, 9, 3), (2, 9, 4)),
}


@pytest.mark.parametrize("case", LAYERS)
def test_layers_have_their_shapes(case):
    make, given_, wanted = LAYERS[case]
    layer = make()
    assert layer(at.TensorType("float32", given_)()).type.shape == wanted
    assert layer.w.type.dtype == "float32" and layer.b.type.shape == (wanted[-1],)
    layer.init(0)
    limit = np.sqrt(6 / sum(nn.initializers.fans(layer.w.type.shape)))
    assert np.abs(layer.w.value).max() <= limit and not layer.b.value.any()


def test_a_causal_convolution_does_not_see_the_future():
    layer, x = nn.Conv1D(4, 3, padding=(2, 0), dtype="float64"), rng.normal(size=(1, 9, 2))
    later = x.copy()
    later[:, 5:] += 1.0
    before, after = layer(x), layer(later)
    np.testing.assert_array_equal(before[:, :5], after[:, :5])
    assert not np.isclose(before[:, 5], after[:, 5]).any()
    w = layer.w.value[None]
    wanted = convolve(x[:, None], w, (1, 1), ((0, 0), (2, 0)), (1, 1), 1)[:, 0]
    np.testing.assert_allclose(before, wanted, rtol=1e-5, atol=1e-6)


def test_same_padding_is_that_of_keras():
    # n = 5, k = 4, s = 2: ⌈5 / 2⌉ = 3 outputs need 2 · 2 + 4 − 5 = 3 zeros, one before
    out = nn.Conv2D(at.ones((4, 1, 1, 1)), stride=(2, 1))(at.ones((1, 5, 1, 1)))
    assert out[0, :, 0, 0].eval().tolist() == [3.0, 4.0, 2.0]


def test_given_kernels_make_no_parameters():
    w, b = at.TensorType("float64", (3, 3, 2, 4))("w"), at.dvector("b")
    out = nn.Conv2D(w, bias=b)(at.TensorType("float64", (1, 4, 4, 2))())
    assert out.type.shape == (1, 4, 4, 4) and not ae.parameters(out)


def convnet():
    return nn.Sequential(
        nn.Conv2D(32), nn.relu, nn.Conv2D(64), nn.relu, nn.MaxPool2D(),
        nn.Dropout(0.3), nn.Flatten(), nn.Dense(10),
    )  # fmt: skip


@pytest.mark.parametrize("backend", ["jax", pytest.param("c", marks=pytest.mark.slow)])
def test_a_convnet_reads_digits_and_comes_back_from_its_file(backend, tmp_path):
    x, y, x_test, y_test = digits(seed=0)  # 1,438 to learn from, 359 to test on
    x, x_test = (a.reshape(-1, 8, 8, 1).astype("float32") for a in (x, x_test))
    model = convnet().compile(
        optimizer=ae.Adam(2e-3),
        loss=nn.softmax_cross_entropy,
        metrics=[ae.Accuracy()],
        backend=backend,
    )
    model.fit(x, y, epochs=15, batch_size=32, seed=0, progress=False)
    assert model.evaluate(x_test, y_test)["accuracy"] >= 0.985
    model.save(tmp_path / "net.ae")
    again = ae.load(tmp_path / "net.ae")
    np.testing.assert_allclose(again.predict(x_test), model.predict(x_test), rtol=1e-5, atol=1e-5)


image = at.TensorType("float64", (1, 4, 4, 3))
kernel = at.TensorType("float64", (3, 3, 3, 4))


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        (lambda: nn.Conv2D(0), ArgumentError, "positive number"),
        (lambda: nn.Conv2D(4, 0), ArgumentError, "kernel"),
        (lambda: nn.Conv2D(4, stride=(1, 2, 3)), ArgumentError, "stride"),
        (lambda: nn.Conv2D(4, padding="full"), ArgumentError, "same"),
        (lambda: nn.Conv2D(4, padding=-1), ArgumentError, "padding"),
        (lambda: nn.Conv2D(4)(at.TensorType("float64", (4, 4, 3))()), ShapeError, "axes"),
        (lambda: nn.Conv2D(4)(at.tensor4("float64")), ShapeError, "channels"),
        (lambda: nn.Conv2D(4, groups=2)(image()), ShapeError, "groups"),
        (lambda: nn.Conv2D(4, 5, padding="valid")(image()), ShapeError, "larger"),
        (lambda: nn.ConvTranspose2D(4, output_padding=1), ArgumentError, "how large"),
        (lambda: ConvTranspose2DOp(output_padding=(1, 0)), ArgumentError, "below the stride"),
        (lambda: Conv2DOp(stride=2), ArgumentError, "pair"),
        (lambda: Conv2DOp()(at.TensorType("float64", (1, 4, 4, 2))(), kernel()), ShapeError, "`x`"),
        (lambda: Conv2DOp()(image(), at.tensor4("float64")), ShapeError, "kernel"),
        (
            lambda: Conv2DOp()(image(), kernel(), at.TensorType("float64", (3,))()),
            ShapeError,
            "`b`",
        ),
        (lambda: Conv2DOp(groups=3)(image(), kernel()), ShapeError, "groups"),
    ],
)
def test_wrong_uses(wrong, error, says):
    with pytest.raises(error, match=says):
        wrong()
