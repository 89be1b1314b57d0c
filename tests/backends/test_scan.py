"""Aesara's scan on JAX (and on C, which is Aesara's own) against loops in NumPy."""

import aesara
import aesara.tensor as at
import numpy as np
import pytest
from aesara.scan.utils import until

import aeframe as ae
from aeframe.core import grad, replay
from aeframe.core.errors import UnsupportedError

rng = np.random.default_rng(0)
X = rng.normal(size=(5, 3))
BACKENDS = ("jax", "c", "numba")


def cumulative(x):
    made, _ = aesara.scan(lambda row, total: row + total, [x], [at.zeros(3)])
    return [made]


def fibonacci(x):
    made, _ = aesara.scan(
        lambda a, b, row: a + b * row,
        sequences=None,
        outputs_info=[{"initial": x[:2], "taps": [-2, -1]}],
        non_sequences=[x[2]],
        n_steps=4,
    )
    return [made]


def several(x):
    def step(row, after, state, scale):
        state = at.tanh(scale * row + state)
        return state, row * after, state.sum()

    made, _ = aesara.scan(
        step,
        sequences=[{"input": x, "taps": [0, 1]}],
        outputs_info=[x[0], None, None],
        non_sequences=[x[1]],
    )
    return list(made)


def backwards(x):
    made, _ = aesara.scan(lambda row, old: 0.5 * old + row, [x], [at.ones(3)], go_backwards=True)
    return [made, made[-1]]


def far_back(x):
    def step(row, third, first, one):
        return row * third + first, one * 0.5 + third

    made, _ = aesara.scan(
        step, [x], [{"initial": x[:3], "taps": [-3, -1]}, {"initial": x[4], "taps": [-1]}]
    )
    return list(made)


def numpy_cumulative(x):
    return [np.cumsum(x, axis=0)]


def numpy_fibonacci(x):
    rows = [x[0], x[1]]
    for _ in range(4):
        rows.append(rows[-2] + rows[-1] * x[2])
    return [np.array(rows[2:])]


def numpy_several(x):
    state, states = x[0], []
    for row in x[:-1]:
        state = np.tanh(x[1] * row + state)
        states.append(state)
    return [np.array(states), x[:-1] * x[1:], np.sum(states, axis=1)]


def numpy_backwards(x):
    state, states = np.ones(3), []
    for row in x[::-1]:
        state = 0.5 * state + row
        states.append(state)
    return [np.array(states), state]


def numpy_far_back(x):
    rows, ones = list(x[:3]), [x[4]]
    for row in x:
        third, first = rows[-3], rows[-1]
        rows.append(row * third + first)
        ones.append(ones[-1] * 0.5 + third)
    return [np.array(rows[3:]), np.array(ones[1:])]


CASES = {
    "cumulative sum": (cumulative, numpy_cumulative),
    "two taps, no sequence": (fibonacci, numpy_fibonacci),
    "several outputs, taps of the sequence": (several, numpy_several),
    "backwards": (backwards, numpy_backwards),
    "taps with a gap": (far_back, numpy_far_back),
}


def weighted(values):
    return sum((np.cos(np.arange(v.size)).reshape(v.shape) * v).sum() for v in values)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", CASES)
def test_scans_and_their_gradients(case, backend):
    make, formula = CASES[case]
    x = at.TensorType("float64", (None, 3))("x")
    made, wanted = make(x), formula(X)
    cost = sum(
        (at.as_tensor(np.cos(np.arange(w.size)).reshape(w.shape)) * v).sum()
        for v, w in zip(made, wanted, strict=True)
    )
    outputs = [*made, *grad(cost, [x])]
    *values, gradient = ae.Backend(backend).compile([x], outputs)(X)
    for value, expected in zip(values, wanted, strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-12)
    numeric = np.zeros_like(X)
    for i in np.ndindex(X.shape):
        step = np.zeros_like(X)
        step[i] = 1e-6
        numeric[i] = (weighted(formula(X + step)) - weighted(formula(X - step))) / 2e-6
    np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=1e-8)


def test_a_typed_op_inside_a_scan():
    x = at.TensorType("float64", (None, 3))("x")
    made, _ = aesara.scan(lambda row, old: ae.nn.relu(row - old), [x], [at.zeros(3)])
    (value,) = ae.Backend("jax").compile([x], [made])(X)
    old = np.zeros(3)
    for row, got in zip(X, np.asarray(value), strict=True):
        old = np.maximum(row - old, 0)
        np.testing.assert_allclose(got, old, rtol=1e-12)


def test_random_numbers_differ_from_step_to_step():
    shared = aesara.shared(np.random.default_rng(0))

    def step():
        advanced, draw = at.random.basic.normal.make_node(shared, (), None, 0.0, 1.0).outputs
        return draw, {shared: advanced}

    draws, _ = aesara.scan(step, n_steps=6)
    state = ae.core.RandomState()
    state.initialize(0, "rng")
    (value,) = ae.Backend("jax").compile([], replay([draws], {shared: state}))()
    assert len(np.unique(np.asarray(value))) == 6


def test_a_number_of_steps_that_depends_on_values_is_refused():
    x, n = at.dvector("x"), at.lscalar("n")
    made, _ = aesara.scan(lambda v: (2 * v, until(v.sum() > 1)), outputs_info=[x], n_steps=5)
    with pytest.raises(UnsupportedError, match="until"):
        ae.Backend("jax").compile([x], [made])(np.ones(2))
    made, _ = aesara.scan(lambda v: 2 * v, outputs_info=[x], n_steps=n)
    with pytest.raises(UnsupportedError, match="symbolic number"):
        ae.Backend("jax").compile([x, n], [made])(np.ones(2), np.array(3))
