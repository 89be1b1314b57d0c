"""Supports: each map against its inverse, its Jacobian against a numerical determinant."""

from functools import cache

import aesara.tensor as at
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aeframe.backends import as_backend, to_numpy
from aeframe.core import (
    Binary,
    Bounded,
    CorrelationCholesky,
    Integers,
    Interval,
    Ordered,
    Positive,
    PositiveOrdered,
    Real,
    Simplex,
    Softmax,
)
from aeframe.core.errors import ArgumentError, DataError
from aeframe.core.places import settle

BELOW = np.tril_indices(4, -1)

# support, shape of a value, arguments, the entries that are free to move
MAPS = {
    "real": (Real(), (2, 3), (), np.ravel),
    "positive": (Positive(), (2, 3), (), np.ravel),
    "interval": (Interval(-1.0, 3.0), (3,), (), np.ravel),
    "above": (Interval(2.0, np.inf), (3,), (), np.ravel),
    "below": (Interval(-np.inf, 2.0), (3,), (), np.ravel),
    "all": (Interval(-np.inf, np.inf), (3,), (), np.ravel),
    "bounded": (Bounded(), (3,), (np.array([0.0, 1.0, -2.0]), 4.0), np.ravel),
    "simplex": (Simplex(), (4,), (), lambda x: x[:-1]),
    "simplexes": (Simplex(), (2, 3), (), lambda x: np.ravel(x[:, :-1])),
    "ordered": (Ordered(), (4,), (), np.ravel),
    "orders": (Ordered(), (2, 3), (), np.ravel),
    "positive ordered": (PositiveOrdered(), (2, 2), (), np.ravel),
    "correlation": (CorrelationCholesky(), (4, 4), (), lambda x: x[BELOW]),
}


@cache
def program(backend):
    """Each map's value, log Jacobian and way back: one program for all."""
    inputs, outputs = [], []
    for support, shape, arguments, _ in MAPS.values():
        u = at.TensorType("float64", support.free_shape(shape))()
        value = support.forward(u, *arguments)
        settle([value])
        assert value.type.shape == shape
        inputs.append(u)
        outputs += [value, support.log_jacobian(u, *arguments)]
        outputs.append(support.inverse(value, *arguments, xp=at))
    return as_backend(backend).compile(inputs, outputs)


def run(backend, us):
    """(value, log Jacobian, way back) by name of the map."""
    found = [to_numpy(v) for v in program(backend)(*us)]
    return {name: found[3 * i : 3 * i + 3] for i, name in enumerate(MAPS)}


@pytest.mark.parametrize("backend", ["jax", "c"])
@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10_000))
def test_maps_are_bijections_with_their_jacobian(backend, seed):
    rng = np.random.default_rng(seed)
    us = [rng.uniform(-2.5, 2.5, s.free_shape(shape)) for s, shape, *_ in MAPS.values()]
    found = run(backend, us)
    step = 1e-5
    moved = {}
    for i in range(max(u.size for u in us)):
        directions = [(np.arange(u.size) == i).reshape(u.shape) * step for u in us]
        above, below = (
            run(backend, [u + s * d for u, d in zip(us, directions, strict=True)]) for s in (1, -1)
        )
        for name in MAPS:
            moved.setdefault(name, []).append((above[name][0] - below[name][0]) / (2 * step))
    for (name, (support, _, arguments, free)), u in zip(MAPS.items(), us, strict=True):
        value, log_jacobian, back = found[name]
        assert support.contains(value), name
        np.testing.assert_allclose(back, u, atol=1e-9, err_msg=name)
        np.testing.assert_allclose(support.inverse(value, *arguments), u, atol=1e-9, err_msg=name)
        columns = [free(column) for column in moved[name][: u.size]]
        _, numerical = np.linalg.slogdet(np.stack(columns, axis=1))
        np.testing.assert_allclose(log_jacobian, numerical, atol=1e-5, err_msg=name)


def test_the_origin():
    """u = 0 gives equal entries of a simplex, and no correlation."""
    found = run("jax", [np.zeros(s.free_shape(shape)) for s, shape, *_ in MAPS.values()])
    np.testing.assert_allclose(found["simplex"][0], 0.25)
    np.testing.assert_allclose(found["correlation"][0], np.eye(4))


@pytest.mark.parametrize(
    ("support", "inside", "outside"),
    [
        (Interval(0.0, np.inf), [0.5, 9.0], [-1.0, 1.0]),
        (Simplex(), [0.2, 0.8], [0.5, 0.6]),
        (Ordered(), [-1.0, 2.0], [2.0, -1.0]),
        (PositiveOrdered(), [1.0, 2.0], [-1.0, 2.0]),
        (CorrelationCholesky(), [[1.0, 0.0], [0.6, 0.8]], [[1.0, 0.0], [0.6, 0.6]]),
        (Binary(), [0, 1, 1], [0, 2]),
        (Integers(), [-3, 4], [0.5]),
        (Integers(0, 4), [0, 4], [5]),
    ],
    ids=str,
)
def test_what_they_contain(support, inside, outside):
    support.require(np.array(inside))
    with pytest.raises(DataError, match="outside its support"):
        support.require(np.array(outside))


@pytest.mark.parametrize("support", [Binary(), Integers(0)], ids=str)
def test_discrete_supports_have_no_map(support):
    assert support.discrete
    for use in (support.forward, support.inverse, support.log_jacobian):
        with pytest.raises(DataError, match="no unconstrained scale"):
            use(at.dscalar())


def test_softmax_has_no_jacobian():
    assert Softmax().free_shape((3,)) == (3,)
    with pytest.raises(ArgumentError, match="no Jacobian"):
        Softmax().log_jacobian(at.dvector())
