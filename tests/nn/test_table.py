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

CASES = FUNCTIONS | LAYERS | LOSSES
BACKENDS = ["jax", "whole", "python", "c"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CASES)
def test_it_is_its_formula(name, backend):
    check(CASES[name], backend)


def test_a_wrong_formula_fails():
    wrong = Case(lambda dtype: nn.Dense(2), normal((3, 4)), lambda p, x: x @ p["w"] + 2 * p["b"])
    with pytest.raises(AssertionError, match="inference"):
        check(wrong, "jax")
