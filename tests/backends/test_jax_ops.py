"""What was missing or wrong in Aesara's JAX dispatch, against NumPy and SciPy."""

import aesara.tensor as at
import aesara.tensor.random.basic as aer
import numpy as np
import pytest
import scipy.linalg
import scipy.special
import scipy.stats as st
from aesara.tensor.math import Argmax
from aesara.tensor.nlinalg import Inv, pinv
from aesara.tensor.slinalg import CholeskySolve, Expm, Solve, SolveTriangular, cholesky, kron

import aeframe as ae
from aeframe.core import RandomState, State, grad
from aeframe.core.errors import UnsupportedError

rng = np.random.default_rng(0)
A = rng.normal(size=(4, 4))
S = A @ A.T + np.eye(4)
L, X, V = np.linalg.cholesky(S), rng.normal(size=(3, 5)), rng.normal(size=4)


def run(backend, function, *data):
    inputs = [at.TensorType(str(a.dtype), a.shape)() for a in data]
    made = function(*inputs)
    outputs = made if isinstance(made, list) else [made]
    return [np.asarray(v) for v in ae.Backend(backend).compile(inputs, outputs)(*data)]


DETERMINISTIC = {
    "gradient of Cholesky": (
        lambda s: grad(at.log(at.diag(cholesky(s))).sum() * 2, [s])[0],
        lambda s: np.tril(np.linalg.inv(s) + np.tril(np.linalg.inv(s), -1)),
        (S,),
    ),
    "a scalar at no index": (lambda x: x.sum()[()], lambda x: x.sum(), (X,)),
    "sort": (lambda x: at.sort(x, axis=0), lambda x: np.sort(x, axis=0), (X,)),
    "sort all": (lambda x: at.sort(x, axis=None), lambda x: np.sort(x, axis=None), (X,)),
    "argsort": (lambda x: at.argsort(x, axis=-1), lambda x: np.argsort(x, axis=-1), (X,)),
    "gradient of sort": (
        lambda x: grad((at.sort(x) * np.arange(4.0)).sum(), [x])[0],
        lambda x: np.argsort(np.argsort(x)).astype(float),
        (V,),
    ),
    "split": (
        lambda x: at.split(x, [2, 3], 2, axis=1)[1],
        lambda x: np.split(x, [2], axis=1)[1],
        (X,),
    ),
    "searchsorted": (
        lambda x, v: at.extra_ops.searchsorted(x, v, side="right"),
        lambda x, v: np.searchsorted(x, v, side="right"),
        (np.array([0.0, 1.0, 1.0, 2.0]), np.array([1.0, -1.0, 5.0])),
    ),
    "argmax over two axes": (
        lambda x: Argmax((0, 2))(x.reshape((3, 5, 1))),
        lambda x: x.argmax(axis=0),
        (X,),
    ),
    "inverse": (Inv(), np.linalg.inv, (A,)),
    "pseudo-inverse": (pinv, np.linalg.pinv, (X,)),
    "Kronecker product": (kron, np.kron, (A, X)),
    "exponential": (Expm(), scipy.linalg.expm, (A,)),
    "solve from a lower triangle": (
        Solve(assume_a="pos", lower=True),
        lambda s, v: scipy.linalg.solve(s, v, assume_a="pos", lower=True),
        (np.tril(S) + 99 * np.triu(np.ones((4, 4)), 1), V),
    ),
    "solve symmetric": (
        Solve(assume_a="sym"),
        lambda s, v: scipy.linalg.solve(s, v, assume_a="sym"),
        (S + 77 * np.tril(np.ones((4, 4)), -1), V),
    ),
    "Cholesky solve": (CholeskySolve(), lambda c, v: np.linalg.solve(c @ c.T, v), (L, V)),
    "triangular solve": (
        SolveTriangular(lower=True, trans=1),
        lambda c, v: scipy.linalg.solve_triangular(c, v, lower=True, trans=1),
        (L, V),
    ),
    "erfcx": (
        at.math.erfcx,
        scipy.special.erfcx,
        (np.array([-5.0, 0.0, 1.0, 7.0, 24.9, 25.1, 1e3, 1e9]),),
    ),
    "erfcinv": (
        at.math.erfcinv,
        scipy.special.erfcinv,
        (np.array([1e-30, 0.1, 1.0, 1.7, 2 - 1e-9]),),
    ),
    "trigamma": (
        at.math.tri_gamma,
        lambda x: scipy.special.polygamma(1, x),
        (np.array([0.3, 1.0, 7.5, 1e4]),),
    ),
}


@pytest.mark.parametrize("backend", ["jax", "numba"])
@pytest.mark.parametrize("case", DETERMINISTIC)
def test_equals_numpy_and_scipy(case, backend):
    function, formula, data = DETERMINISTIC[case]
    (found,) = run(backend, function, *data)
    np.testing.assert_allclose(found, formula(*data), rtol=1e-9, atol=1e-10)


def test_erfcx_in_single_precision():
    x = np.array([-3.0, 0.5, 7.9, 8.1, 100.0], "float32")
    (found,) = run("jax", at.math.erfcx, x)
    assert found.dtype == "float32"
    np.testing.assert_allclose(found, scipy.special.erfcx(x.astype(float)), rtol=2e-5)


def sampled(backend, op, arguments, n=20_000, dtype=None):
    """Draws of one program, from a state that its cell keeps."""
    state = RandomState()
    state.initialize(7, "rng")
    dtype = dtype or ("float64" if op.dtype == "floatX" else op.dtype)
    given = [at.as_tensor(np.asarray(a)) for a in arguments]
    advanced, draw = op.make_node(state, (n,), dtype, *given).outputs
    program = ae.Backend(backend).compile([], [draw], {state: advanced})
    return np.asarray(program()[0])


CONTINUOUS = {
    aer.uniform: ((-1.0, 3.0), st.uniform(-1, 4)),
    aer.triangular: ((-1.0, 0.0, 2.0), st.triang(1 / 3, -1, 3)),
    aer.beta: ((2.0, 0.7), st.beta(2, 0.7)),
    aer.rayleigh: ((2.0,), st.rayleigh(scale=2)),
    aer.power: ((3.0,), st.powerlaw(3)),
    aer.normal: ((1.0, 2.0), st.norm(1, 2)),
    aer.halfnormal: ((1.0, 2.0), st.halfnorm(1, 2)),
    aer.lognormal: ((0.2, 0.7), st.lognorm(0.7, scale=np.exp(0.2))),
    aer.gamma: ((2.0, 5.0), st.gamma(2, scale=5)),
    aer.invgamma: ((3.0, 2.0), st.invgamma(3, scale=2)),
    aer.gengamma: ((2.0, 3.0, 0.5), st.gengamma(2 / 3, 3, scale=0.5)),
    aer.chisquare: ((3.0,), st.chi2(3)),
    aer.FRV(): ((4.0, 7.0), st.f(4, 7)),
    aer.pareto: ((3.0, 2.0), st.pareto(3, scale=2)),
    aer.gumbel: ((1.0, 2.0), st.gumbel_r(1, 2)),
    aer.exponential: ((2.0,), st.expon(scale=2)),
    aer.truncexpon: ((2.0, 1.0, 3.0), st.truncexpon(2, 1, 3)),
    aer.weibull: ((1.7,), st.weibull_min(1.7)),
    aer.logistic: ((1.0, 2.0), st.logistic(1, 2)),
    aer.laplace: ((1.0, 2.0), st.laplace(1, 2)),
    aer.cauchy: ((1.0, 2.0), st.cauchy(1, 2)),
    aer.halfcauchy: ((1.0, 2.0), st.halfcauchy(1, 2)),
    aer.vonmises: ((0.5, 4.0), st.vonmises(4, 0.5)),
    aer.wald: ((1.5, 2.0), st.invgauss(0.75, scale=2)),
    aer.t: ((4.0, 1.0, 2.0), st.t(4, 1, 2)),
}
THIRDS = [0.2, 0.5, 0.3]
DISCRETE = {
    aer.bernoulli: ((0.3,), st.bernoulli(0.3)),
    aer.binomial: ((12, 0.3), st.binom(12, 0.3)),
    aer.betabinom: ((10, 2.0, 3.0), st.betabinom(10, 2, 3)),
    aer.nbinom: ((4, 0.4), st.nbinom(4, 0.4)),
    aer.poisson: ((3.5,), st.poisson(3.5)),
    aer.geometric: ((0.4,), st.geom(0.4)),
    aer.hypergeometric: ((7, 5, 6), st.hypergeom(12, 7, 6)),
    aer.categorical: ((np.array(THIRDS),), st.rv_discrete(values=([0, 1, 2], THIRDS))),
    aer.integers: ((-2, 4), st.randint(-2, 4)),
}


@pytest.mark.parametrize("backend", ["jax", "numba"])
@pytest.mark.parametrize("op", CONTINUOUS, ids=lambda op: op.name)
def test_continuous_draws_follow_their_distribution(op, backend):
    arguments, law = CONTINUOUS[op]
    draws = sampled(backend, op, arguments)
    assert draws.shape == (20_000,) and draws.dtype == "float64"
    assert st.kstest(draws, law.cdf).pvalue > 1e-3


@pytest.mark.parametrize("backend", ["jax", "numba"])
@pytest.mark.parametrize("op", DISCRETE, ids=lambda op: op.name)
def test_discrete_draws_follow_their_distribution(op, backend):
    arguments, law = DISCRETE[op]
    draws = sampled(backend, op, arguments)
    assert draws.dtype == "int64"
    values, counts = np.unique(draws, return_counts=True)
    expected = law.pmf(values) * len(draws)
    assert expected.sum() > 0.998 * len(draws)
    common = expected > 5
    rest = counts[~common].sum(), len(draws) - expected[common].sum()
    observed = np.append(counts[common], rest[0]), np.append(expected[common], rest[1])
    keep = observed[1] > 1e-9
    total = observed[0][keep].sum()
    wanted = observed[1][keep] / observed[1][keep].sum() * total
    assert st.chisquare(observed[0][keep], wanted).pvalue > 1e-3


@pytest.mark.parametrize("backend", ["jax", "numba"])
def test_draws_of_vectors(backend):
    alphas = np.array([1.0, 2.0, 3.0])
    draws = sampled(backend, aer.dirichlet, (alphas,))
    assert draws.shape == (20_000, 3)
    np.testing.assert_allclose(draws.sum(axis=1), 1, rtol=1e-6)
    for i in range(3):
        assert st.kstest(draws[:, i], st.beta(alphas[i], 6 - alphas[i]).cdf).pvalue > 1e-3
    p = np.array([0.2, 0.5, 0.3])
    counts = sampled(backend, aer.multinomial, (9, p))
    assert counts.shape == (20_000, 3) and (counts.sum(axis=1) == 9).all()
    np.testing.assert_allclose(counts.mean(axis=0), 9 * p, atol=0.05)
    np.testing.assert_allclose(np.cov(counts.T), 9 * (np.diag(p) - np.outer(p, p)), atol=0.08)
    cov = np.array([[2.0, 0.6], [0.6, 1.0]])
    normals = sampled(backend, aer.multivariate_normal, (np.array([1.0, -1.0]), cov))
    assert normals.shape == (20_000, 2)
    np.testing.assert_allclose(normals.mean(axis=0), [1, -1], atol=0.05)
    np.testing.assert_allclose(np.cov(normals.T), cov, atol=0.08)


@pytest.mark.parametrize("backend", ["jax", "c", "numba"])
def test_random_state_advances_and_is_kept(backend, tmp_path):
    state, total = RandomState(), State(np.zeros(3))
    state.initialize(0, "rng")
    advanced, draw = aer.normal.make_node(state, (3,), "float64", 0.0, 1.0).outputs
    program = ae.Backend(backend).compile([], [draw], {state: advanced, total: total + draw})
    first = np.array(program()[0])
    saved = state.numpy()
    second, third = np.array(program()[0]), np.array(program()[0])
    assert len({first[0], second[0], third[0]}) == 3
    np.testing.assert_allclose(total.value, first + second + third)
    state.restore(saved)
    np.testing.assert_array_equal(np.array(program()[0]), second)


@pytest.mark.parametrize("backend", ["jax", "c", "numba"])
def test_a_state_that_is_not_updated_draws_the_same_again(backend):
    state = RandomState()
    state.initialize(0, "rng")
    both = [
        op.make_node(state, (3,), "float64", 0.0, 1.0).outputs[1]
        for op in (aer.normal, aer.uniform)
    ]
    program = ae.Backend(backend).compile([], both)
    first = [np.array(v) for v in program()]
    for a, b in zip(first, program(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_has_no_jax_function_is_one_clear_error():
    x = at.dvector("x")
    with pytest.raises(UnsupportedError, match='backend="c"'):
        ae.Backend("jax").compile([x], [at.math.owens_t(x, x)])(np.ones(2))
