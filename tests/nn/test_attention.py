"""Attention and rotary positions against NumPy loops, and a GPT that trains."""

import aesara.tensor as at
import numpy as np
import pytest

import aeframe as ae
from aeframe import nn
from aeframe.core import grad, parameters, toposort
from aeframe.core.errors import ArgumentError, DtypeError, ShapeError
from aeframe.core.expand import expand
from aeframe.core.graph import Graph
from aeframe.nn.ops import AttentionOp, RotaryOp
from aeframe.rewrites import inference

BACKENDS = ("jax", "c")
rng = np.random.default_rng(0)
TOLERANCE = {"float64": 1e-9, "float32": 1e-4}


def attention(causal, scale, mask, factors, q, k, v):
    """Query by query; the result and the weights."""
    n, h, t, d = q.shape
    s = k.shape[2]
    weights = np.zeros((n, h, t, s))
    for a, b, i in np.ndindex(n, h, t):
        keys = [j for j in range(s) if not causal or j <= i + s - t]
        keys = [j for j in keys if mask is None or mask[a, j]]
        if keys:
            e = np.exp((d**-0.5 if scale is None else scale) * (k[a, b, keys] @ q[a, b, i]))
            weights[a, b, i, keys] = e / e.sum()
    used = weights if factors is None else weights * factors
    return np.einsum("nhts,nhsd->nhtd", used, v), weights


def rotated(x, base, sign=1):
    t, d = x.shape[-2:]
    y = np.zeros_like(x)
    for p, i in np.ndindex(t, d // 2):
        angle = sign * p * base ** (-2 * i / d)
        a, b = x[..., p, i], x[..., p, i + d // 2]
        y[..., p, i] = a * np.cos(angle) - b * np.sin(angle)
        y[..., p, i + d // 2] = a * np.sin(angle) + b * np.cos(angle)
    return y


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


def weight(shape):
    return np.cos(1.0 + np.arange(np.prod(shape))).reshape(shape)


CASES = {  # causal, scale, mask, factors, (n, h, t, s, d, e)
    "plain": (False, None, False, False, (2, 2, 3, 4, 2, 3)),
    "causal": (True, None, False, False, (1, 2, 4, 4, 3, 3)),
    "causal, more keys": (True, 0.7, False, False, (2, 1, 2, 5, 2, 2)),
    "queries without keys": (True, None, False, False, (1, 1, 4, 2, 2, 2)),
    "mask": (False, None, True, False, (3, 2, 3, 3, 2, 2)),
    "everything": (True, None, True, True, (3, 2, 3, 3, 2, 2)),
    "all of size one": (True, None, True, True, (1, 1, 1, 1, 1, 1)),
}


# C compiles for long: one case in float32, the others in float64
RUNS = [
    *((case, dtype, "jax") for case in CASES for dtype in TOLERANCE),
    *((case, "float32" if case == "everything" else "float64", "c") for case in CASES),
]


@pytest.mark.parametrize(("case", "dtype", "backend"), RUNS)
def test_attention_and_its_gradients(case, dtype, backend):
    causal, scale, masked, factored, (n, h, t, s, d, e) = CASES[case]
    data = [rng.normal(size=size) for size in [(n, h, t, d), (n, h, s, d), (n, h, s, e)]]
    if factored:
        data.append(rng.uniform(0.5, 2, size=(n, h, t, s)))
    mask = rng.random((n, s)) < 0.6 if masked else None
    if masked:
        mask[0] = False  # nobody there: 0, not NaN
    op = AttentionOp(causal, scale)
    floats = [at.TensorType(dtype, a.shape)() for a in data]
    masks = [at.TensorType("bool", mask.shape)()] if masked else []
    made = op.make_node(*floats[:3], *masks, *floats[3:]).outputs

    def total(values):
        found = attention(causal, scale, mask, values[3] if factored else None, *values[:3])
        return sum((weight(v.shape) * v).sum() for v in found)

    wanted = attention(causal, scale, mask, data[3] if factored else None, *data[:3])
    cost = sum(
        (at.as_tensor(weight(w.shape).astype(dtype)) * v).sum()
        for v, w in zip(made, wanted, strict=True)
    )
    program = ae.Backend(backend).compile([*floats, *masks], [*made, *grad(cost, floats)])
    given = [*(a.astype(dtype) for a in data), *([mask] if masked else [])]
    found = [np.asarray(v) for v in program(*given)]
    assert {str(v.dtype) for v in found} == {dtype}
    loose = TOLERANCE[dtype]
    for value, expected in zip(found, [*wanted, *slopes(total, data)], strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=max(loose, 1e-8))
    for value, expected in zip(found, wanted, strict=False):
        np.testing.assert_allclose(value, expected, rtol=loose, atol=loose)
    if masked:
        assert not found[0][0].any()


def test_scores_do_not_overflow():
    x = at.TensorType("float32", (1, 1, 2, 2))()
    y = AttentionOp(scale=1.0)(x, x, x)[0]
    value = np.array([[[[300.0, 0.0], [-300.0, 0.0]]]], dtype="float32")
    (found, g) = ae.Backend("jax").compile([x], [y, *grad(y.sum(), [x])])(value)
    np.testing.assert_array_equal(found, value)
    assert np.isfinite(np.asarray(g)).all()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_rotary_positions_turn_and_turn_back(dtype, backend):
    data = rng.normal(size=(2, 3, 5, 4)).astype(dtype)
    x = at.TensorType(dtype, data.shape)()
    turned, back = RotaryOp(100.0)(x), RotaryOp(100.0, inverse=True)(RotaryOp(100.0)(x))
    w = weight(data.shape).astype(dtype)
    (g,) = grad((turned * at.as_tensor(w)).sum(), [x])
    y, same, gradient = ae.Backend(backend).compile([x], [turned, back, g])(data)
    loose = TOLERANCE[dtype]
    np.testing.assert_allclose(y, rotated(data, 100.0), rtol=loose, atol=loose)
    np.testing.assert_allclose(same, data, rtol=loose, atol=loose)
    np.testing.assert_allclose(gradient, rotated(w, 100.0, -1), rtol=loose, atol=loose)
    assert {str(np.asarray(v).dtype) for v in (y, gradient)} == {dtype}


def test_rotary_scores_depend_on_the_distance_alone():
    q, k = rng.normal(size=4), rng.normal(size=4)
    x = at.TensorType("float64", (9, 4))()
    run = ae.Backend("jax").compile([x], [RotaryOp()(x)])
    a, b = (np.asarray(run(np.tile(v, (9, 1)))[0]) for v in (q, k))
    scores = a @ b.T
    for gap in range(5):
        along = np.diagonal(scores, gap)
        np.testing.assert_allclose(along, along[0], rtol=1e-10)


def heads_of(layer, x, context, mask):
    """The layer by its formula, on the values of its parameters."""
    value = {k: c.value.astype(float) for k, c in layer.store.items() if c.trainable}

    def split(part, y):
        made = y @ value[f"{part}.w"] + value.get(f"{part}.b", 0.0)
        return made.reshape(*made.shape[:2], layer.heads, -1).swapaxes(1, 2)

    q, k, v = split("q", x), split("k", context), split("v", context)
    if layer.rotary:
        q, k = rotated(q, 10000.0), rotated(k, 10000.0)
    y = attention(layer.causal, None, mask, None, q, k, v)[0].swapaxes(1, 2)
    return y.reshape(*x.shape[:2], -1) @ value["out.w"] + value.get("out.b", 0.0)


@pytest.mark.parametrize(
    "options",
    [{}, {"causal": True, "rotary": True}, {"width": 8, "bias": False}, {"dropout": 0.5}],
)
def test_multi_head_attention(options):
    layer = nn.MultiHeadAttention(2, **options)
    layer.dtype = "float64"
    x, context = rng.normal(size=(2, 5, 4)), rng.normal(size=(2, 3, 6))
    np.testing.assert_allclose(layer(x), heads_of(layer, x, x, None), rtol=1e-9)
    assert len([c for c in layer.store.values() if c.trainable]) == 4 * (1 + layer.bias)
    if not layer.causal:
        across = nn.MultiHeadAttention(2, **options)
        across.dtype = "float64"
        mask = np.array([[True, True, False], [False, False, False]])
        y = across(x, context, mask=mask)
        assert y.shape == (2, 5, layer.width)
        np.testing.assert_allclose(y, heads_of(across, x, context, mask), rtol=1e-9)


def test_dropout_drops_weights_in_training_only():
    layer = nn.MultiHeadAttention(1, dropout=0.5, bias=False)
    x = at.TensorType("float64", (1, 400, 2))()
    graph = ae.lower(layer, x)
    layer.init()
    data = rng.normal(size=(1, 400, 2))
    program = ae.Backend("jax").compile([x], graph.outputs, graph.updates)
    draws = np.array([program(data)[0] for _ in range(50)])
    still = np.asarray(ae.Backend("jax").compile([x], inference(graph).outputs)(data)[0])
    spread = draws.std(axis=0)
    assert spread.min() > 0
    assert np.abs(draws.mean(axis=0) - still).max() < 6 * spread.max() / np.sqrt(50)


@pytest.mark.parametrize("make", [lambda: nn.MultiHeadAttention(2, rotary=True, dropout=0.1)])
def test_saved_and_loaded(make, tmp_path):
    model, x = make(), rng.normal(size=(2, 3, 4))
    before = model(x)
    model.save(tmp_path / "file")
    np.testing.assert_array_equal(ae.load(tmp_path / "file")(x), before)


class Block(ae.Module):
    def __init__(self, width, heads):
        self.attention = nn.Residual(nn.LayerNorm(), nn.MultiHeadAttention(heads, causal=True))
        self.mlp = nn.Residual(nn.LayerNorm(), nn.Dense(4 * width), nn.gelu, nn.Dense(width))

    def __call__(self, x):
        return self.mlp(self.attention(x))


class GPT(ae.Module):
    dtype = "float32"

    def __init__(self, letters, length, width, heads, depth):
        self.letters, self.places = nn.Embedding(letters, width), nn.Embedding(length, width)
        self.blocks = [Block(width, heads) for _ in range(depth)]
        self.norm, self.out = nn.LayerNorm(), nn.Dense(letters)

    def __call__(self, ids):
        x = self.letters(ids) + self.places(at.arange(ids.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.out(self.norm(x))


def next_letter(scores, target):
    n, t = scores.shape[0], scores.shape[1]
    return nn.softmax_cross_entropy(scores.reshape((n * t, 7)), target.reshape((n * t,)))


def test_a_gpt_in_25_lines_trains_in_float32():
    ids = (np.arange(8)[:, None] * 3 + np.arange(7)) % 7  # count up: the next is known
    model = GPT(7, 6, 16, 4, 2)
    x = at.TensorType("int64", (8, 6))()
    graph = ae.lower(model, x)
    y = at.TensorType("int64", (8, 6))()
    loss = next_letter(graph.outputs[0], y)
    made = [loss, *grad(loss, parameters(graph))]
    whole = expand(Graph((x, y), tuple(made)))
    wide = [v for n in toposort(whole.outputs) for v in n.outputs if v.type.dtype == "float64"]
    assert not wide
    model.compile(optimizer=ae.Adam(0.01), loss=next_letter)
    history = model.fit(ids[:, :-1], ids[:, 1:], epochs=40, batch_size=8)
    assert history["loss"][0] > 1.5 and history["loss"][-1] < 0.2
    again = ids[:1, :-1].copy()
    again[0, 4:] = 0  # what comes later changes nothing before
    np.testing.assert_allclose(model(again)[0, :4], model(ids[:1, :-1])[0, :4], atol=1e-5)


def tensor(*shape, dtype="float32"):
    return at.TensorType(dtype, shape)()


@pytest.mark.parametrize(
    ("wrong", "error", "match"),
    [
        (lambda: nn.MultiHeadAttention(0), ArgumentError, "positive"),
        (lambda: nn.MultiHeadAttention(3, 8), ArgumentError, "share a width of 8"),
        (lambda: nn.MultiHeadAttention(3)(tensor(2, 4, 8)), ArgumentError, "divides"),
        (lambda: nn.MultiHeadAttention(2)(tensor(4, 8)), ShapeError, "`x`"),
        (lambda: nn.MultiHeadAttention(2)(tensor(2, 4, 8), tensor(2, 8)), ShapeError, "`context`"),
        (lambda: nn.MultiHeadAttention(2)(tensor(2, 4, None)), ShapeError, "static width"),
        (
            lambda: nn.MultiHeadAttention(2)(tensor(2, 4, 8), mask=tensor(2, 3, dtype="bool")),
            ShapeError,
            "`mask`",
        ),
        (
            lambda: nn.MultiHeadAttention(2)(tensor(2, 4, 8), mask=tensor(2, 4)),
            DtypeError,
            "bool",
        ),
        (lambda: nn.MultiHeadAttention(4, rotary=True)(tensor(2, 4, 12)), ShapeError, "even"),
        (lambda: nn.MultiHeadAttention(2, dropout=1.0), ArgumentError, "dropout"),
        (lambda: RotaryOp(0.0), ArgumentError, "positive"),
        (
            lambda: AttentionOp()(tensor(1, 2, 3, 4), tensor(1, 2, 3, 5), tensor(1, 2, 3, 4)),
            ShapeError,
            "`k`",
        ),
    ],
)
def test_wrong_uses(wrong, error, match):
    with pytest.raises(error, match=match):
        wrong()


class Products(nn.Layer):
    """Attention of a user who writes it in products."""

    def __init__(self, factor, product):
        self.factor, self.product = factor, product

    def __call__(self, q):
        axes = (*range(q.type.ndim - 2), q.type.ndim - 1, q.type.ndim - 2)
        scores = self.product(q, q.dimshuffle(*axes))
        return self.product(nn.softmax(scores / self.factor if self.factor else scores), q)


PRODUCTS = {
    "3-D": ((8, 64, 32), at.batched_dot),
    "3-D matmul": ((8, 64, 32), at.matmul),
    "4-D matmul": ((2, 4, 64, 32), at.matmul),
}


@pytest.mark.parametrize("backend", ["jax", "c"])
@pytest.mark.parametrize("factor", [None, 8.0], ids=["no scale", "scale"])
@pytest.mark.parametrize("what", PRODUCTS)
def test_attention_in_products_becomes_one_op(what, factor, backend):
    shape, product = PRODUCTS[what]
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    with ae.Backend(backend):
        model = Products(factor, product)
        before = model(x)
        fast = model.optimize()
        np.testing.assert_allclose(fast(x), before, rtol=1e-4, atol=1e-5)
        assert before.dtype == "float32"
        assert any(s.rule.startswith("attention") for s in fast.explain().steps)
    scores = x @ np.swapaxes(x, -1, -2) / (factor or 1.0)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    wanted = weights / weights.sum(-1, keepdims=True) @ x
    np.testing.assert_allclose(before, wanted, rtol=1e-3, atol=1e-5)
