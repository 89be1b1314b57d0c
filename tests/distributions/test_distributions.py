"""Draws against SciPy's distributions, shapes, and wrong arguments."""

import aesara.tensor as at
import numpy as np
import pytest
from scipy import stats

import aeframe as ae
from aeframe.backends import as_backend, to_numpy
from aeframe.core import Binary, Positive, RandomState, Real
from aeframe.core.errors import ArgumentError, DataError, ShapeError

CASES = [
    (ae.Normal(1.0, 2.0), stats.norm(1.0, 2.0)),
    (ae.HalfNormal(3.0), stats.halfnorm(0.0, 3.0)),
    (ae.Bernoulli(0.3), stats.bernoulli(0.3)),
]


def draws(distribution, n, backend, shape=None, data=()):
    state = RandomState().type()
    _, drawn = distribution.draw(state, shape)
    chosen = as_backend(backend)
    program = chosen.compile([state, *data], [drawn])
    return program, chosen.random_states([7], n)


@pytest.mark.parametrize("backend", ["jax", "c", "numba"])
@pytest.mark.parametrize(("ours", "scipy"), CASES)
def test_draws_have_the_moments_of_scipys_distribution(ours, scipy, backend):
    n = 4000
    program, states = draws(ours, n, backend, (3,))
    found = to_numpy(program.map([states])[0])
    assert found.shape == (n, 3)
    assert found.dtype == (np.int64 if isinstance(ours, ae.Bernoulli) else np.float64)
    standard_error = scipy.std() / np.sqrt(found.size)
    assert abs(found.mean() - scipy.mean()) < 4 * standard_error
    assert abs(found.std() - scipy.std()) < 0.05 * scipy.std()
    if not isinstance(ours, ae.Bernoulli):
        assert stats.kstest(found.ravel(), scipy.cdf).pvalue > 1e-3


@pytest.mark.parametrize("backend", ["jax", "c", "numba"])
def test_parallel_states_are_independent_and_reproducible(backend):
    program, states = draws(ae.Normal(0.0, 1.0), 2000, backend, (2,))
    first = to_numpy(program.map([states])[0])
    assert abs(np.corrcoef(first.T)[0, 1]) < 0.1
    assert abs(np.corrcoef(first[:-1, 0], first[1:, 0])[0, 1]) < 0.1
    again = as_backend(backend).random_states([7], 2000)
    np.testing.assert_array_equal(first, to_numpy(program.map([again])[0]))


def test_arguments_may_be_numbers_arrays_symbols_parameters_and_draws():
    p = ae.Parameter([1.0, 2.0])
    x = at.TensorType("float32", (None, 1))()
    state = RandomState()
    advanced, scale = ae.HalfNormal(1).draw(state)
    assert ae.Normal([0, 1, 2], 1).draw(state)[1].type.shape == (3,)
    assert ae.Normal(p, scale).draw(advanced)[1].type.shape == (2,)
    drawn = ae.Normal(x, p).draw(state)[1]
    assert drawn.type.dtype == "float64"
    assert drawn.type.shape in {(None, 2), (None, None)}
    assert ae.Normal(0, 1).draw(state, (4, x.shape[0]))[1].type.ndim == 2


def test_supports():
    assert ae.Normal().support == Real()
    assert ae.HalfNormal().support == Positive()
    assert ae.Bernoulli(0.5).support == Binary()
    assert Binary().discrete
    assert Real() != Binary()
    with pytest.raises(DataError, match="no unconstrained scale"):
        Binary().forward(at.dscalar())


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: ae.Normal(0, -1), DataError, "the sd of Normal"),
        (lambda: ae.Normal(np.nan, 1), DataError, "the mean of Normal"),
        (lambda: ae.Normal(0, [1.0, 0.0]), DataError, "above 0"),
        (lambda: ae.HalfNormal(0), DataError, "above 0"),
        (lambda: ae.Bernoulli(1.5), DataError, "a probability"),
        (lambda: ae.Normal("a", 1), ArgumentError, "is no number"),
        (
            lambda: ae.Normal([1, 2], [1, 2, 3]).draw(RandomState()),
            ShapeError,
            "do not broadcast",
        ),
        (lambda: ae.Normal([1, 2], 1).draw(RandomState(), (3,)), ShapeError, "do not fit"),
        (lambda: ae.Normal([1, 2], 1).draw(RandomState(), ()), ShapeError, "do not fit"),
        (lambda: ae.Normal(RandomState(), 1).draw(RandomState()), ArgumentError, "no tensor"),
    ],
)
def test_wrong_arguments(make, error, words):
    with pytest.raises(error, match=words):
        make()
