"""Recurrent layers against loops in NumPy: values, all gradients, masks, both directions."""

import aesara.tensor as at
import numpy as np
import pytest

import aeframe as ae
from aeframe import nn
from aeframe.core import grad, toposort
from aeframe.core.errors import ArgumentError, DtypeError, ShapeError
from aeframe.nn.ops import DenseOp, GRUOp, LSTMOp, SimpleRNNOp

BACKENDS = ("jax", "c", "numba")
rng = np.random.default_rng(0)
TOLERANCE = {"float64": 1e-9, "float32": 1e-4}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def rnn_cell(x, w, v, b, h):
    return (np.tanh(x @ w + h @ v + b),)


def gru_cell(x, w, v, b, h):
    (xz, xr, xc), (hz, hr, hc) = np.split(x @ w, 3, axis=1), np.split(h @ v, 3, axis=1)
    bz, br, bc, bh = np.split(b, 4)
    z, r = sigmoid(xz + hz + bz), sigmoid(xr + hr + br)
    return (z * h + (1 - z) * np.tanh(xc + bc + r * (hc + bh)),)


def lstm_cell(x, w, v, b, h, c):
    i, f, g, o = np.split(x @ w + h @ v + b, 4, axis=1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


CELLS = {SimpleRNNOp: rnn_cell, GRUOp: gru_cell, LSTMOp: lstm_cell}
OPS = list(CELLS)


def loop(op, mask, x, w, v, b, *states):
    """The states at all times and the last states, one time after the other."""
    y = np.zeros((*x.shape[:2], len(v)))
    times = range(x.shape[1])
    for t in reversed(times) if op.reverse else times:
        new = CELLS[type(op)](x[:, t], w, v, b, *states)
        if mask is not None:
            new = [np.where(mask[:, t, None], s, o) for s, o in zip(new, states, strict=True)]
        states, y[:, t] = new, new[0]
    return [y, *states]


def arrays(op, n, t, i, u):
    shapes = [(n, t, i), (i, op.gates * u), (u, op.gates * u), (op.biases * u,)]
    return [0.8 * rng.normal(size=s) for s in [*shapes, *[(n, u)] * op.states]]


def weights(values):
    return [np.cos(1.0 + np.arange(v.size)).reshape(v.shape) for v in values]


def slopes(f, values):
    """Derivatives of a scalar function of several arrays by central differences."""
    found = [np.zeros_like(v) for v in values]
    for a, g in zip(values, found, strict=True):
        for i in np.ndindex(a.shape):
            old = a[i]
            a[i] = old + 1e-6
            above = f(values)
            a[i] = old - 1e-6
            g[i] = (above - f(values)) / 2e-6
            a[i] = old
    return found


def check(op, data, mask, dtype, backend):
    """Values and the gradients of everything, from the sequence and the last states at once."""
    used = 1 + op.states
    masks = [] if mask is None else [mask]
    inputs = [at.TensorType(dtype, a.shape)() for a in data]
    given = [*inputs, *(at.TensorType("bool", m.shape)() for m in masks)]
    made = op.make_node(*given).outputs[:used]
    wanted = loop(op, mask, *data)
    factors = weights(wanted)
    cost = sum(
        (at.as_tensor(w.astype(dtype)) * v).sum() for w, v in zip(factors, made, strict=True)
    )
    program = ae.Backend(backend).compile(given, [*made, *grad(cost, inputs)])
    found = [np.asarray(v) for v in program(*(a.astype(dtype) for a in data), *masks)]
    assert {str(v.dtype) for v in found} == {dtype}
    loose = TOLERANCE[dtype]
    for value, expected in zip(found, wanted, strict=False):
        np.testing.assert_allclose(value, expected, rtol=loose, atol=loose)

    def total(values):
        made = loop(op, mask, *values)
        return sum((w * v).sum() for w, v in zip(factors, made, strict=True))

    for gradient, expected in zip(found[used:], slopes(total, data), strict=True):
        scale = max(abs(expected).max(), 1)
        np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=max(loose, 1e-7) * scale)


def padded(n, t):
    return np.arange(t) < rng.integers(0, t + 1, (n, 1))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind", OPS)
def test_values_and_gradients(kind, reverse, masked):
    op = kind(reverse)
    mask = rng.random((3, 4)) < 0.6 if masked else None
    check(op, arrays(op, 3, 4, 2, 3), mask, "float64", "jax")


@pytest.mark.parametrize("kind", OPS)
def test_values_and_gradients_in_c(kind):
    op = kind(reverse=True)
    check(op, arrays(op, 3, 4, 2, 3), rng.random((3, 4)) < 0.6, "float64", "c")


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 3, 2, 2), (2, 1, 1, 2)])
@pytest.mark.parametrize("kind", OPS)
def test_awkward_shapes(kind, shape):
    op = kind()
    check(op, arrays(op, *shape), np.ones(shape[:2], dtype=bool), "float64", "jax")


@pytest.mark.parametrize("backend", BACKENDS)
def test_float32_stays_float32(backend):
    op = LSTMOp(reverse=True)
    check(op, arrays(op, 2, 3, 2, 2), padded(2, 3), "float32", backend)


def test_no_double_precision_in_the_body():
    op = LSTMOp()
    types = [at.TensorType("float32", a.shape) for a in arrays(op, 2, 3, 2, 2)]
    inputs = [t() for t in types]
    outputs = op.inline(inputs)
    scans = [n.op for n in toposort(outputs) if type(n.op).__name__ == "Scan"]
    inner = [v for s in scans for n in toposort(s.inner_outputs) for v in n.outputs]
    outer = [v for n in toposort(outputs) for v in n.outputs]
    assert len(scans) == 1 and len(inner) > 10
    assert not [v for v in (*inner, *outer) if v.type.dtype == "float64"]


@pytest.mark.parametrize("kind", OPS)
def test_what_jax_claims_equals_the_body(kind):
    """The body alone, translated, against the scan that is written for JAX."""
    op, mask = kind(), padded(3, 4)
    data = [*arrays(op, 3, 4, 2, 3), mask]
    inputs = [at.TensorType(str(a.dtype), a.shape)() for a in data]
    backend, found = ae.Backend("jax"), []
    for made in (op.make_node(*inputs).outputs, op.inline(inputs)):
        outputs = made[: 2 + op.states]
        seeds = [at.ones_like(v) for v in outputs[:2]]
        if made[0].owner.op is op:
            gradients = grad(sum(v.sum() for v in outputs[:2]), inputs[:-1])
        else:
            gradients = op.pullback(inputs, made, [*seeds, *[None] * (len(made) - 2)])[:-1]
        found.append(backend.compile(inputs, [*outputs, *gradients])(*data))
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_it_runs_as_it_stands():
    """Un-expanded, through its Python implementation."""
    op = GRUOp(reverse=True)
    data = arrays(op, 2, 3, 2, 2)
    inputs = [at.TensorType("float64", a.shape)() for a in data]
    value = op.make_node(*inputs).outputs[0].eval(dict(zip(inputs, data, strict=True)))
    np.testing.assert_allclose(value, loop(op, None, *data)[0], rtol=1e-12)


@pytest.mark.parametrize("kind", OPS)
def test_second_derivatives(kind):
    op = kind()
    data = arrays(op, 2, 3, 2, 2)
    inputs = [at.TensorType("float64", a.shape)() for a in data]
    y = op.make_node(*inputs).outputs[0]
    (first,) = grad((y * y).sum(), [inputs[2]])
    (direction,) = weights([data[2]])
    seconds = grad((first * at.as_tensor(direction)).sum(), inputs)
    program = ae.Backend("jax").compile(inputs, [first, *seconds])
    found = program(*data)[1:]

    def along(values):
        return float((np.asarray(program(*values)[0]) * direction).sum())

    for value, expected in zip(found, slopes(along, data), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("make", [nn.SimpleRNN, nn.GRU, nn.LSTM])
def test_layers_ignore_padding(make, sequences):
    layer = make(4, return_sequences=sequences, dtype="float64")
    x, lengths = rng.normal(size=(3, 5, 2)), [5, 2, 0]
    y = layer(x, mask=np.arange(5) < np.array(lengths)[:, None])
    assert y.shape == ((3, 5, 4) if sequences else (3, 4))
    for row, length in enumerate(lengths):
        alone = layer(x[row : row + 1, :length]) if length else np.zeros((1, 5, 4))
        if sequences:
            np.testing.assert_allclose(y[row, :length], alone[0, :length], rtol=1e-10)
            repeated = np.broadcast_to(y[row, max(length - 1, 0)], (5 - length, 4))
            np.testing.assert_array_equal(y[row, length:], repeated)
        elif length:
            np.testing.assert_allclose(y[row], alone[0], rtol=1e-10)
    assert not y[2].any()


def test_bidirectional_reads_both_ways():
    layer = nn.Bidirectional(nn.LSTM(3, return_sequences=True, dtype="float64"))
    layer.dtype = "float64"
    x = rng.normal(size=(2, 4, 2))
    mask = np.array([[True] * 4, [True, True, False, False]])
    y = layer(x, mask=mask)
    there, back = layer.forward, layer.backward
    assert not np.array_equal(there.w.value, back.w.value) and back.reverse
    np.testing.assert_allclose(y[..., :3], there(x, mask=mask), rtol=1e-12)
    alone = back(x[1:, :2])
    np.testing.assert_allclose(y[1:, :2, 3:], alone, rtol=1e-12)
    states = [np.zeros((1, 3))] * 2
    parameters = [back.store[k].value for k in "wvb"]
    np.testing.assert_allclose(
        alone, loop(LSTMOp(True), None, x[1:, :2], *parameters, *states)[0], rtol=1e-10
    )


def test_first_values_are_those_of_keras():
    layer = nn.LSTM(4)
    layer(np.zeros((1, 2, 3)))
    w, v, b = (layer.store[k].value for k in "wvb")
    assert w.dtype == np.float32 and abs(w).max() <= np.sqrt(6 / 19)
    np.testing.assert_allclose(v @ v.T, np.eye(4), atol=1e-6)
    np.testing.assert_array_equal(b, [0] * 4 + [1] * 4 + [0] * 8)


@pytest.mark.parametrize("make", [nn.SimpleRNN, nn.GRU, nn.LSTM])
def test_saved_and_loaded(make, tmp_path):
    model = nn.Sequential(nn.Bidirectional(make(3)), nn.Dense(2))
    x = rng.normal(size=(2, 4, 3))
    before = model(x)
    model.save(tmp_path / "file")
    np.testing.assert_array_equal(ae.load(tmp_path / "file")(x), before)


def test_a_sequence_classifier_learns():
    x = rng.normal(size=(64, 6, 1))
    y = (x[:, 0, 0] > 0).astype(int)  # five steps to remember it
    model = nn.Sequential(nn.LSTM(16), nn.Dense(2))
    model.compile(optimizer=ae.Adam(0.03), loss=nn.softmax_cross_entropy)
    history = model.fit(x, y, epochs=30, batch_size=32)
    assert history["loss"][-1] < 0.1 < history["loss"][0]


def float32(*shape):
    return at.TensorType("float32", shape)()


def lstm(x=(2, 3, 4), w=(4, 20), v=(5, 20), b=(20,), h=(2, 5), mask=None):
    given = [float32(*s) for s in (x, w, v, b, h, (2, 5))]
    return LSTMOp().make_node(*given, *([] if mask is None else [mask]))


@pytest.mark.parametrize(
    ("wrong", "error", "match"),
    [
        (lambda: nn.LSTM(0), ArgumentError, "positive"),
        (lambda: nn.GRU(8.0), ArgumentError, r"GRU\(64\)"),
        (lambda: nn.LSTM(3)(float32(2, 3)), ShapeError, r"\(n, t, width\)"),
        (lambda: nn.LSTM(3)(float32(2, 3, None)), ShapeError, "static width"),
        (lambda: nn.Bidirectional(nn.Dense(3)), ArgumentError, "Bidirectional"),
        (lambda: lstm(w=(3, 20)), ShapeError, "`x`"),
        (lambda: lstm(w=(4, 15)), ShapeError, "`w`"),
        (lambda: lstm(b=(5,)), ShapeError, "`b`"),
        (lambda: lstm(h=(3, 5)), ShapeError, "`h`"),
        (lambda: lstm(v=(None, 20)), ShapeError, "units"),
        (lambda: lstm(mask=at.TensorType("bool", (2, 4))()), ShapeError, "`mask`"),
        (lambda: lstm(mask=float32(2, 3)), DtypeError, "bool"),
    ],
)
def test_wrong_uses(wrong, error, match):
    with pytest.raises(error, match=match):
        wrong()


def test_a_called_layer_cannot_be_doubled():
    layer = nn.GRU(2)
    layer(np.ones((1, 2, 3)))
    with pytest.raises(ArgumentError, match="not called yet"):
        nn.Bidirectional(layer)


def test_dense_after_a_sequence_keeps_its_axes():
    model = nn.Sequential(nn.GRU(4, return_sequences=True), nn.Dense(2))
    graph = ae.lower(model, at.TensorType("float32", (None, 7, 3))())
    assert graph.outputs[0].type.shape == (None, 7, 2)
    assert isinstance(graph.outputs[0].owner.op, DenseOp)
