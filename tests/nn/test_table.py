"""Every layer, function and loss of nn, by one call each: see :mod:`tests.check`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aeframe import nn
from tests.check import Case, check


def normal(*shapes):
    return lambda rng: tuple(rng.normal(size=s) for s in shapes)


def function(f, formula, *shapes):
    return Case(lambda dtype: f, normal(*(shapes or ((3, 5),))), lambda cells, *x: formula(*x))


def standard(x, axes, epsilon):
    mean = x.mean(axes, keepdims=True)
    return (x - mean) / jnp.sqrt(((x - mean) ** 2).mean(axes, keepdims=True) + epsilon)


def groups(x):
    return standard(x.reshape(2, 5, 3, 2), (1, 3), 1e-5).reshape(2, 5, 6)


FUNCTIONS = {
    "relu": function(nn.relu, jax.nn.relu),
    "leaky_relu": function(lambda x: nn.leaky_relu(x, 0.2), lambda x: jax.nn.leaky_relu(x, 0.2)),
    "elu": function(lambda x: nn.elu(x, 0.7), lambda x: jax.nn.elu(x, 0.7)),
    "gelu": function(nn.gelu, lambda x: jax.nn.gelu(x, approximate=False)),
    "silu": function(nn.silu, jax.nn.silu),
    "tanh": function(nn.tanh, jnp.tanh),
    "sigmoid": function(nn.sigmoid, jax.nn.sigmoid),
    "softplus": function(nn.softplus, jax.nn.softplus),
    "softmax": function(nn.softmax, jax.nn.softmax, (2, 1, 5)),
    "log_softmax": function(nn.log_softmax, jax.nn.log_softmax, (1, 7)),
}

LAYERS = {
    "Dense": Case(lambda dtype: nn.Dense(7), normal((2, 4, 3)), lambda p, x: x @ p["w"] + p["b"]),
    "Dense, one row, no bias": Case(
        lambda dtype: nn.Dense(1, bias=False), normal((1, 1)), lambda p, x: x @ p["w"]
    ),
    "Embedding": Case(
        lambda dtype: nn.Embedding(5, 3, dtype=dtype),
        lambda rng: (rng.integers(0, 5, (2, 4)),),
        lambda p, ids: p["table"][ids],
    ),
    "Flatten": Case(lambda dtype: nn.Flatten(), normal((2, 3, 4)), lambda p, x: x.reshape(2, 12)),
    "Dropout": Case(lambda dtype: nn.Dropout(0.4), normal((3, 5)), lambda p, x: x, random=True),
    "LayerNorm": Case(
        lambda dtype: nn.LayerNorm(),
        normal((2, 5, 6)),
        lambda p, x: standard(x, -1, 1e-5) * p["scale"] + p["shift"],
    ),
    "RMSNorm": Case(
        lambda dtype: nn.RMSNorm(),
        normal((2, 5, 6)),
        lambda p, x: x / jnp.sqrt((x * x).mean(-1, keepdims=True) + 1e-6) * p["scale"],
    ),
    "GroupNorm": Case(
        lambda dtype: nn.GroupNorm(3),
        normal((2, 5, 6)),
        lambda p, x: groups(x) * p["scale"] + p["shift"],
    ),
    "BatchNorm": Case(
        lambda dtype: nn.BatchNorm(),
        normal((3, 5, 2)),
        lambda p, x: standard(x, (0, 1), 1e-3) * p["scale"] + p["shift"],
        lambda p, x: (x - p["mean"]) / jnp.sqrt(p["variance"] + 1e-3) * p["scale"] + p["shift"],
    ),
    "Sequential": Case(
        lambda dtype: nn.Sequential(nn.Dense(4), nn.relu, nn.Dense(2)),
        normal((3, 5)),
        lambda p, x: (
            jax.nn.relu(x @ p["parts[0].w"] + p["parts[0].b"]) @ p["parts[2].w"] + p["parts[2].b"]
        ),
    ),
    "Residual": Case(
        lambda dtype: nn.Residual(nn.Dense(4), nn.tanh),
        normal((3, 4)),
        lambda p, x: x + jnp.tanh(x @ p["parts[0].w"] + p["parts[0].b"]),
    ),
    "Parallel": Case(
        lambda dtype: nn.Parallel(nn.Dense(4), nn.sigmoid),
        normal((3, 2)),
        lambda p, x: jnp.concatenate([x @ p["parts[0].w"] + p["parts[0].b"], jax.nn.sigmoid(x)], 1),
    ),
}


def convolution(x, w, b=0.0, stride=1, padding="VALID", dilation=1, groups=1):
    """A convolution of JAX's own."""
    numbers = ("NHWC", "HWIO", "NHWC")
    made = jax.lax.conv_general_dilated(
        x,
        w,
        (stride, stride),
        padding,
        rhs_dilation=(dilation, dilation),
        dimension_numbers=numbers,
        feature_group_count=groups,
    )
    return made + b


def windows(x, size, stride, padding="VALID"):
    """Sums and maxima of windows, and the numbers of their entries, from JAX."""
    shape, steps = (1, size, size, 1), (1, stride, stride, 1)
    total = jax.lax.reduce_window(x, 0.0, jax.lax.add, shape, steps, padding)
    count = jax.lax.reduce_window(jnp.ones_like(x), 0.0, jax.lax.add, shape, steps, padding)
    largest = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, shape, steps, padding)
    return total / count, largest


def transposed(x, w, b):
    """The transpose of a convolution with stride 2, by JAX's derivative of it."""
    forward = lambda y: convolution(y, w, stride=2)  # noqa: E731
    like = jnp.zeros((x.shape[0], 2 * x.shape[1] + 1, 2 * x.shape[2] + 1, w.shape[2]))
    return jax.vjp(forward, like)[1](x)[0] + b


IMAGES = {
    "Conv2D": Case(
        lambda dtype: nn.Conv2D(4, 3, padding="same"),
        normal((2, 5, 6, 3)),
        lambda p, x: convolution(x, p["w"], p["b"], padding="SAME"),
    ),
    "Conv2D, strided and dilated": Case(
        lambda dtype: nn.Conv2D(2, (3, 2), stride=2, padding=1, dilation=2, bias=False),
        normal((1, 7, 8, 1)),
        lambda p, x: convolution(x, p["w"], stride=2, padding=((1, 1), (1, 1)), dilation=2),
    ),
    "Conv2D in groups": Case(
        lambda dtype: nn.Conv2D(6, 2, groups=3, padding="valid"),
        normal((2, 4, 3, 3)),
        lambda p, x: convolution(x, p["w"], p["b"], groups=3),
    ),
    "Conv1D": Case(
        lambda dtype: nn.Conv1D(3, 3, padding="valid"),
        normal((2, 6, 2)),
        lambda p, x: convolution(x[:, None], p["w"][None], p["b"])[:, 0],
    ),
    "ConvTranspose2D": Case(
        lambda dtype: nn.ConvTranspose2D(2, 3, stride=2, padding="valid"),
        normal((2, 3, 4, 5)),
        lambda p, x: transposed(x, p["w"], p["b"]),
    ),
    "MaxPool2D": Case(
        lambda dtype: nn.MaxPool2D(2), normal((2, 5, 4, 3)), lambda p, x: windows(x, 2, 2)[1]
    ),
    "MaxPool2D, overlapping": Case(
        lambda dtype: nn.MaxPool2D(3, stride=2, padding="same"),
        normal((1, 6, 5, 2)),
        lambda p, x: windows(x, 3, 2, "SAME")[1],
    ),
    "AvgPool2D": Case(
        lambda dtype: nn.AvgPool2D(3, stride=2, padding="same"),
        normal((2, 6, 5, 2)),
        lambda p, x: windows(x, 3, 2, "SAME")[0],
    ),
    "MaxPool1D": Case(
        lambda dtype: nn.MaxPool1D(2),
        normal((2, 5, 3)),
        lambda p, x: x[:, :4].reshape(2, 2, 2, 3).max(2),
    ),
    "AvgPool1D": Case(
        lambda dtype: nn.AvgPool1D(2),
        normal((2, 4, 3)),
        lambda p, x: x.reshape(2, 2, 2, 3).mean(2),
    ),
    "GlobalAvgPool2D": Case(
        lambda dtype: nn.GlobalAvgPool2D(), normal((2, 3, 4, 5)), lambda p, x: x.mean((1, 2))
    ),
    "GlobalAvgPool1D": Case(
        lambda dtype: nn.GlobalAvgPool1D(), normal((2, 3, 5)), lambda p, x: x.mean(1)
    ),
}


def elman(p, a, q, h):
    return (jnp.tanh(a + q + p["b"]), *h[1:])


def gru(p, a, q, h):
    u = h[0].shape[1]
    b = p["b"].reshape(4, u)
    z, r = (jax.nn.sigmoid(a[:, g] + q[:, g] + b[i]) for i, g in enumerate(gates(u)[:2]))
    candidate = jnp.tanh(a[:, 2 * u :] + b[2] + r * (q[:, 2 * u :] + b[3]))
    return (z * h[0] + (1 - z) * candidate,)


def lstm(p, a, q, h):
    i, f, g, o = ((a + q + p["b"])[:, part] for part in gates(h[0].shape[1]))
    c = jax.nn.sigmoid(f) * h[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def gates(u):
    return [slice(k * u, (k + 1) * u) for k in range(4)]


def recurrence(cell, states=1, reverse=False, sequences=True):
    """A loop over time in JAX; a masked step keeps the states."""

    def run(p, x, mask=None):
        n, t, _ = x.shape
        h = tuple(jnp.zeros((n, p["v"].shape[0])) for _ in range(states))
        made = [None] * t
        for k in reversed(range(t)) if reverse else range(t):
            new = cell(p, x[:, k] @ p["w"], h[0] @ p["v"], h)
            if mask is not None:
                new = tuple(jnp.where(mask[:, k, None], a, b) for a, b in zip(new, h, strict=True))
            made[k], h = new[0], new
        return jnp.stack(made, 1) if sequences else h[0]

    return run


def masked(*shape):
    return lambda rng: (rng.normal(size=shape), rng.random(shape[:2]) < 0.7)


def both_ways(p, x):
    parts = []
    for side, reverse in (("forward", False), ("backward", True)):
        own = {k.removeprefix(f"{side}."): v for k, v in p.items() if k.startswith(side)}
        parts.append(recurrence(gru, reverse=reverse)(own, x))
    return jnp.concatenate(parts, -1)


def heads(causal, mask_given=True):
    """Attention of two heads, each with a row of its own in the weights."""

    def run(p, x, mask=None):
        n, t, width = x.shape
        split = lambda y: y.reshape(n, t, 2, width // 2).transpose(0, 2, 1, 3)  # noqa: E731
        q, k, v = (split(x @ p[f"{part}.w"] + p[f"{part}.b"]) for part in "qkv")
        scores = jnp.einsum("nhtd,nhsd->nhts", q, k) / np.sqrt(width // 2)
        seen = jnp.tril(jnp.ones((t, t), bool)) if causal else jnp.ones((t, t), bool)
        if mask is not None:
            seen = seen & mask[:, None, None, :]
        y = jnp.einsum("nhts,nhsd->nhtd", jax.nn.softmax(jnp.where(seen, scores, -1e30)), v)
        joined = y.transpose(0, 2, 1, 3).reshape(n, t, width)
        return joined @ p["out.w"] + p["out.b"]

    return run


SEQUENCES = {
    "SimpleRNN": Case(
        lambda dtype: nn.SimpleRNN(3), normal((2, 4, 2)), recurrence(elman, 1, False, False)
    ),
    "GRU": Case(
        lambda dtype: nn.GRU(3, return_sequences=True, reverse=True),
        normal((1, 5, 2)),
        recurrence(gru, reverse=True),
    ),
    "LSTM": Case(
        lambda dtype: nn.LSTM(3, return_sequences=True),
        masked(3, 4, 2),
        recurrence(lstm, 2),
        call=lambda layer, x, mask: layer(x, mask=mask),
    ),
    "LSTM, one step": Case(
        lambda dtype: nn.LSTM(1), normal((1, 1, 1)), recurrence(lstm, 2, False, False)
    ),
    "Bidirectional": Case(
        lambda dtype: nn.Bidirectional(nn.GRU(2, return_sequences=True)),
        normal((2, 3, 4)),
        both_ways,
    ),
    "MultiHeadAttention": Case(
        lambda dtype: nn.MultiHeadAttention(2, causal=True), normal((2, 5, 4)), heads(True)
    ),
    "MultiHeadAttention, masked": Case(
        lambda dtype: nn.MultiHeadAttention(2),
        lambda rng: (rng.normal(size=(2, 3, 4)), np.array([[1, 1, 0], [1, 0, 1]], bool)),
        heads(False),
        call=lambda layer, x, mask: layer(x, mask=mask),
    ),
}


def picked(x, y):
    return jnp.take_along_axis(x, y[..., None], -1)[..., 0]


def cross_entropy(x, y):
    return -picked(jax.nn.log_softmax(x), y)


def smoothed(x, y):
    target = 0.8 * jax.nn.one_hot(y, x.shape[-1]) + 0.2 / x.shape[-1]
    return -(target * jax.nn.log_softmax(x)).sum(-1)


def huber(p, t):
    d = abs(p - t)
    return jnp.where(d <= 0.5, d * d / 2, 0.5 * (d - 0.25))


def cosine(p, t):
    norms = jnp.sqrt((p * p).sum(-1) * (t * t).sum(-1))
    return 1 - (p * t).sum(-1) / norms


def loss(f, data, entries, axes=None):
    """A loss, its two arguments and the losses of the entries; over ``axes``, it is weighted."""

    def weighted(rng):
        arguments = data(rng)
        shape = np.shape(entries(*arguments))[:axes]
        return (*arguments, np.where(rng.random(shape) < 0.3, 0.0, rng.uniform(0.5, 2, shape)))

    def average(cells, p, t, w=None):
        each = entries(p, t)
        if w is None:
            return each.mean()
        return (w * each.reshape((*w.shape, -1)).mean(-1)).sum() / w.sum()

    return Case(lambda dtype: f, data if axes is None else weighted, average)


def logits(k, *shape):
    return lambda rng: (rng.normal(size=(*shape, k)), rng.integers(0, k, shape))


def log_rows(*shape):
    return lambda rng: (np.asarray(jax.nn.log_softmax(rng.normal(size=shape))), rows(rng, shape))


def rows(rng, shape):
    return rng.dirichlet(np.ones(shape[-1]), shape[:-1])


LOSSES = {
    "softmax_cross_entropy": loss(nn.softmax_cross_entropy, logits(4, 6), cross_entropy),
    "one row, one class": loss(nn.softmax_cross_entropy, logits(1, 1), cross_entropy),
    "of sequences": loss(nn.softmax_cross_entropy, logits(4, 3, 5), cross_entropy, 1),
    "of steps": loss(nn.softmax_cross_entropy, logits(4, 3, 5), cross_entropy, 2),
    "smoothed": loss(
        lambda x, y, w: nn.softmax_cross_entropy(x, y, w, smoothing=0.2),
        logits(4, 3, 2),
        smoothed,
        2,
    ),
    "negative_log_likelihood": loss(
        nn.negative_log_likelihood, logits(3, 5, 2), lambda x, y: -picked(x, y)
    ),
    "binary_cross_entropy": loss(
        nn.binary_cross_entropy,
        lambda rng: (rng.normal(size=(7, 1)), rng.integers(0, 2, (7, 1))),
        lambda x, y: -(y * jax.nn.log_sigmoid(x) + (1 - y) * jax.nn.log_sigmoid(-x)),
        1,
    ),
    "mean_squared_error": loss(
        nn.mean_squared_error, normal((3, 2), (3, 2)), lambda p, t: (p - t) ** 2, 1
    ),
    "mean_absolute_error": loss(
        nn.mean_absolute_error, normal((3, 2, 2), (3, 2, 2)), lambda p, t: abs(p - t), 2
    ),
    "huber": loss(lambda p, t: nn.huber(p, t, delta=0.5), normal((9,), (9,)), huber),
    "hinge": loss(
        nn.hinge,
        lambda rng: (rng.normal(size=(4, 2)), rng.choice([-1, 1], (4, 2))),
        lambda p, t: jnp.maximum(1 - t * p, 0),
    ),
    "kl_divergence": loss(
        nn.kl_divergence,
        log_rows(4, 2, 3),
        lambda q, p: (p * (jnp.log(p) - q)).sum(-1),
        1,
    ),
    "cosine_distance": loss(nn.cosine_distance, normal((4, 3), (4, 3)), cosine, 1),
}

CASES = FUNCTIONS | LAYERS | IMAGES | SEQUENCES | LOSSES
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("numba", "python")]
BACKENDS = ["jax", "whole", "c", *SLOW]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CASES)
def test_it_is_its_formula(name, backend):
    check(CASES[name], backend)


def test_a_wrong_formula_fails():
    wrong = Case(lambda dtype: nn.Dense(2), normal((3, 4)), lambda p, x: x @ p["w"] + 2 * p["b"])
    with pytest.raises(AssertionError, match="inference"):
        check(wrong, "jax")
