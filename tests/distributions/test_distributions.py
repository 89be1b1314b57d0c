"""Every distribution against SciPy: densities, gradients, draws, shapes; wrong arguments."""

from functools import cache

import aesara.tensor as at
import numpy as np
import pytest
from scipy import stats

import aeframe as ae
from aeframe.backends import as_backend, to_numpy
from aeframe.core import (
    Binary,
    Bounded,
    Integers,
    Interval,
    Positive,
    RandomState,
    Real,
    grad,
)
from aeframe.core.errors import ArgumentError, DataError, ShapeError
from tests.distributions.cases import CASES, SHAPES, SLOW, UNDRAWN
from tests.distributions.run import compiled, draw

N = 4000
# NumPy runs Apply by Apply and compiles nothing; C compiles some, it would take minutes for all
COMPILED = ["Normal", "SkewNormal", "VonMises", "Categorical, logits", "Truncated normal"]
ON_JAX = [n for n in CASES if n not in SLOW or n in ("Truncated gamma", "Truncated binomial")]
RUN = {"jax": ON_JAX, "numpy": list(CASES), "c": COMPILED}
CHECKS = [(name, backend) for backend, names in RUN.items() for name in names]
DRAWN = [name for name in CASES if name not in UNDRAWN]
SMOOTH = [name for name, case in CASES.items() if not case.discrete]


def values(name):
    """Values to evaluate the density at: random ones of the reference, and extreme ones."""
    case = CASES[name]
    own = case.reference(*case.parameters).rvs(size=6, random_state=3)
    return np.asarray([*own, *case.extreme], "int64" if case.discrete else "float64")


def symbols(name):
    """Symbolic parameters, and the distribution of them."""
    case = CASES[name]
    given = [at.TensorType("float64", np.shape(p))() for p in case.parameters]
    given = [
        g if not isinstance(p, int) else at.TensorType("int64", ())()
        for g, p in zip(given, case.parameters, strict=True)
    ]
    return given, case.make(*given)


def cases(backend):
    return {n: CASES[n] for n in RUN[backend]}


def has_gradients(name, backend):
    """On JAX, but for those that it is slow at."""
    return not CASES[name].discrete and backend == ("numpy" if name in SLOW else "jax")


@cache
def densities(backend):
    """All densities, and gradients by value and float parameters, in one program."""
    inputs, outputs = [], []
    for name, case in cases(backend).items():
        given, distribution = symbols(name)
        value = at.TensorType("int64" if case.discrete else "float64", values(name).shape)()
        found = distribution.log_density(value)
        assert found.type.shape == value.type.shape, name
        inputs += [value, *given]
        outputs.append(found)
        if has_gradients(name, backend):
            outputs += grad(found[:6].sum(), differentiated(name, value, given))
    return compiled(backend, inputs, outputs)


def differentiated(name, value, given):
    return [value, *(g for i, g in enumerate(given, 1) if i not in SHAPES.get(name, ()))]


def run(backend, change=lambda name, i, p: p):
    """Log density and gradients by name, at the parameters that ``change`` makes of each."""
    arrays = []
    for name, case in cases(backend).items():
        arrays.append(change(name, 0, values(name)))
        arrays += [change(name, i, np.asarray(p)) for i, p in enumerate(case.parameters, 1)]
    found = iter([np.asarray(v) for v in densities(backend)(*arrays)])
    result = {}
    for name, case in cases(backend).items():
        smooth = has_gradients(name, backend)
        n = len(differentiated(name, None, case.parameters)) if smooth else 0
        result[name] = [next(found) for _ in range(1 + n)]
    return result


@cache
def at_the_parameters(backend):
    return run(backend)


@pytest.mark.parametrize(("name", "backend"), CHECKS)
def test_densities(name, backend):
    case = CASES[name]
    reference = case.reference(*case.parameters)
    x = values(name)
    with np.errstate(divide="ignore"):
        wanted = reference.logpmf(x) if case.discrete else reference.logpdf(x)
    np.testing.assert_allclose(at_the_parameters(backend)[name][0], wanted, rtol=1e-9, atol=1e-11)


@cache
def moved(backend, i, step):
    """Densities with the value (0) or parameter ``i`` of every smooth distribution moved."""

    def change(name, place, array):
        return np.asarray(array + step) if place == i and name in SMOOTH else array

    return run(backend, change)


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients(name):
    backend = "numpy" if name in SLOW else "jax"
    _, *gradients = at_the_parameters(backend)[name]
    places = range(1 + len(CASES[name].parameters))
    for i, gradient in zip(differentiated(name, 0, places[1:]), gradients, strict=True):
        above, below = (moved(backend, i, s)[name][0][:6] for s in (1e-5, -1e-5))
        numerical = (above - below) / 2e-5
        found = gradient[:6] if i == 0 else gradient.sum()  # all entries of a vector are moved
        wanted = numerical if i == 0 else numerical.sum()
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5, err_msg=f"input {i}")


@cache
def draws(backend):
    """``N`` draws of each distribution, in one program."""
    names = [n for n in DRAWN if n in cases(backend)]
    given = [(CASES[n].make(*CASES[n].parameters), (N,)) for n in names]
    return dict(zip(names, draw(given, backend), strict=True))


@pytest.mark.parametrize(("name", "backend"), [c for c in CHECKS if c[0] in DRAWN])
def test_draws(name, backend):
    case = CASES[name]
    reference, found = case.reference(*case.parameters), draws(backend)[name]
    if not case.discrete:
        assert found.dtype == np.float64
        if hasattr(reference, "uniform"):
            found, cdf = reference.uniform(found), stats.uniform().cdf
        else:
            cdf = reference.cdf
        assert stats.kstest(found, cdf).pvalue > 1e-4
        return
    assert found.dtype == np.int64
    kinds = np.arange(found.min(), found.max() + 1)
    expected = reference.pmf(kinds) * N
    common = expected > 5
    counted = np.array([np.sum(found == k) for k in kinds[common]])
    rest = [N - counted.sum(), N - expected[common].sum()]
    pairs = np.vstack([np.column_stack([counted, expected[common]]), rest])
    pairs = pairs[pairs[:, 1] > 1]
    statistic = np.sum((pairs[:, 0] - pairs[:, 1]) ** 2 / pairs[:, 1])
    assert stats.chi2(max(len(pairs) - 1, 1)).sf(statistic) > 1e-4


@pytest.mark.parametrize("name", DRAWN)
def test_static_shapes_and_broadcasting(name):
    case, state = CASES[name], RandomState()
    n = len(case.parameters)
    shapes = [(2, 1) if i % 2 else (3,) for i in range(n)]
    given = [
        at.TensorType("float64", (*s, *np.shape(p)))()
        for s, p in zip(shapes, case.parameters, strict=True)
    ]
    together = np.broadcast_shapes(*shapes)
    distribution = case.make(*given)
    assert distribution.draw(state)[1].type.shape == together
    assert distribution.draw(state, (4, 2, 3))[1].type.shape == (4, 2, 3)
    assert distribution.log_density(at.dmatrix()).type.ndim == 2
    rows = at.TensorType("float64", (None, 1))()
    assert distribution.draw(state, (4, rows.shape[0], 3))[1].type.ndim == 3
    with pytest.raises(ShapeError, match="do not fit"):
        distribution.draw(state, (4, 2, 5))


@pytest.mark.parametrize("backend", ["jax", "c", "numba"])
def test_parallel_states_are_independent_and_reproducible(backend):
    state = RandomState().type()
    _, drawn = ae.Normal(0.0, 1.0).draw(state, (2,))
    chosen = as_backend(backend)
    program = chosen.compile([state], [drawn])
    first = to_numpy(program.map([chosen.random_states([7], 2000)])[0])
    assert abs(np.corrcoef(first.T)[0, 1]) < 0.1
    assert abs(np.corrcoef(first[:-1, 0], first[1:, 0])[0, 1]) < 0.1
    again = to_numpy(program.map([chosen.random_states([7], 2000)])[0])
    np.testing.assert_array_equal(first, again)


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


@pytest.mark.parametrize(
    ("distribution", "support"),
    [
        (ae.Normal(), Real()),
        (ae.HalfNormal(), Positive()),
        (ae.Bernoulli(0.5), Binary()),
        (ae.Uniform(1, 2), Interval(1.0, 2.0)),
        (ae.Pareto(1.0, 2.0), Interval(2.0, np.inf)),
        (ae.Beta(1, 1), Interval(0.0, 1.0)),
        (ae.Binomial(5, 0.5), Integers(0, 5)),
        (ae.Categorical([0.5, 0.5]), Integers(0, 1)),
        (ae.OrderedLogistic(0.0, [0.0, 1.0]), Integers(0, 2)),
        (ae.DiscreteUniform(-1, 3), Integers(-1, 3)),
    ],
    ids=lambda v: type(v).__name__,
)
def test_supports(distribution, support):
    assert distribution.support == support
    assert distribution.support_arguments() == ()


def test_symbolic_ends_are_arguments_of_the_support():
    low = at.dscalar()
    uniform = ae.Uniform(low, 3.0)
    assert uniform.support == Bounded()
    u = at.dscalar()
    x = uniform.support.forward(u, *uniform.support_arguments())
    assert x.eval({low: 1.0, u: 0.0}) == 2.0
    pareto = ae.Pareto(1.0, low)
    x = pareto.support.forward(u, *pareto.support_arguments())
    assert x.eval({low: 1.0, u: 0.0}) == 2.0


def test_improper_priors_have_a_density_and_no_draws():
    assert ae.Flat().log_density(1e9).eval() == 0
    assert ae.HalfFlat().log_density([-1.0, 1.0]).eval().tolist() == [-np.inf, 0.0]
    state = RandomState()
    _, drawn = ae.HalfFlat().draw(state, (3,))
    assert drawn.type.shape == (3,)
    program = as_backend("jax").compile([], [drawn])
    state.initialize(0, "state")
    with pytest.raises(ArgumentError, match="nothing can be drawn"):
        program()


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: ae.Normal(0, -1), DataError, "the sd of Normal"),
        (lambda: ae.Normal(np.nan, 1), DataError, "the mean of Normal"),
        (lambda: ae.Normal(0, [1.0, 0.0]), DataError, "above 0"),
        (lambda: ae.HalfNormal(0), DataError, "above 0"),
        (lambda: ae.Bernoulli(1.5), DataError, "a probability"),
        (lambda: ae.Bernoulli(), ArgumentError, "one of its arguments p, logits"),
        (lambda: ae.Binomial(3, p=0.5, logits=0.0), ArgumentError, "exactly one"),
        (lambda: ae.Binomial(2.5, 0.5), DataError, "a whole number"),
        (lambda: ae.Uniform(2, 1), DataError, "wrong order"),
        (lambda: ae.Categorical([0.5, 0.6]), DataError, "do not add up to 1"),
        (lambda: ae.OrderedLogistic(0.0, [1.0, 0.5]), DataError, "do not increase"),
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
