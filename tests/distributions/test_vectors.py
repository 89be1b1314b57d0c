"""Distributions of vectors, matrices and sequences against SciPy, sums over states and algebra."""

from functools import cache
from itertools import pairwise, product

import aesara.tensor as at
import numpy as np
import pytest
from scipy import stats

import aeframe as ae
from aeframe.core import CorrelationCholesky, Integers, RandomState, grad
from aeframe.core.errors import ArgumentError, DataError, ShapeError
from tests.distributions.run import compiled, draw, value_of

BACKENDS = ["jax", "numpy"]
N = 3000
rng = np.random.default_rng(5)
MEAN = np.array([0.5, -1.0, 2.0])
FACTOR = np.array([[1.5, 0.0, 0.0], [0.4, 0.8, 0.0], [-0.3, 0.2, 1.1]])
COVARIANCE = FACTOR @ FACTOR.T
POINTS = rng.normal(size=(4, 3))
P = np.array([0.2, 0.5, 0.3])
TABLE = np.array([[1, 2, 1], [4, 0, 0], [0, 1, 3]])
A = np.array([1.3, 0.4, 2.2])
SIMPLEX = rng.dirichlet(A, size=4)
LKJ = np.linalg.cholesky(np.array([[1.0, 0.3, -0.2], [0.3, 1.0, 0.4], [-0.2, 0.4, 1.0]]))
INITIAL, TRANSITION = np.array([0.3, 0.7]), np.array([[0.9, 0.1], [0.25, 0.75]])
STATE_MEANS, STATE_SD = np.array([-1.0, 1.5]), 0.8
STEPS = 7
SEQUENCE = rng.normal(size=STEPS)
RATES = np.array([[2.0, 0.5], [0.3, 4.0]])  # of two numbers at each step
PAIRS = rng.exponential(size=(STEPS, 2))
COEFFICIENTS, CONSTANT, AR_SD = np.array([0.6, -0.3]), 0.2, 0.7


def lkj_log_density(factor, concentration):
    """Partial correlations are independent 2 Beta(b, b) − 1; change of variables to L."""
    n, total = len(factor), 0.0
    for i in range(1, n):
        left = 1.0
        for j in range(i):
            z = factor[i, j] / np.sqrt(left)
            b = concentration + (n - 2 - j) / 2
            total += stats.beta(b, b, -1, 2).logpdf(z) - np.log(left) / 2
            left -= factor[i, j] ** 2
    return total


def by_all_paths(sequence, log_emission):
    """log Σ over all sequences of states."""
    total = 0.0
    for states in product(range(2), repeat=len(sequence)):
        p = INITIAL[states[0]]
        for a, b in pairwise(states):
            p *= TRANSITION[a, b]
        total += p * np.exp(sum(log_emission(x, s) for x, s in zip(sequence, states, strict=True)))
    return np.log(total)


def forward_loop(sequence, log_emission):
    """The forward algorithm, step by step."""
    alpha = np.log(INITIAL) + [log_emission(sequence[0], s) for s in range(2)]
    for x in sequence[1:]:
        alpha = np.logaddexp.reduce(alpha[:, None] + np.log(TRANSITION), axis=0)
        alpha += [log_emission(x, s) for s in range(2)]
    return np.logaddexp.reduce(alpha)


def normal_emission(x, state):
    return stats.norm(STATE_MEANS[state], STATE_SD).logpdf(x)


def ar_log_density(x):
    total = stats.norm(0.0, 2.0).logpdf(x[:2]).sum()
    for t in range(2, len(x)):
        mean = CONSTANT + COEFFICIENTS[0] * x[t - 1] + COEFFICIENTS[1] * x[t - 2]
        total += stats.norm(mean, AR_SD).logpdf(x[t])
    return total


WALK = np.cumsum(np.eye(STEPS), axis=0) * 0.7
WALK[:, 0] = 1.3
SORTED = np.array([-0.5, 0.2, 1.7])
EMISSIONS = ae.Normal(STATE_MEANS, STATE_SD)
HMM = ae.HiddenMarkov(INITIAL, TRANSITION, EMISSIONS, STEPS)
LONG = rng.normal(size=416)


def pair_emission(x, state):
    return stats.expon(scale=1 / RATES[state]).logpdf(x).sum()


# distribution, value, log density of each draw
DENSITIES = {
    "normal, covariance": (
        ae.MultivariateNormal(MEAN, covariance=COVARIANCE),
        POINTS,
        stats.multivariate_normal(MEAN, COVARIANCE).logpdf(POINTS),
    ),
    "normal, cholesky": (
        ae.MultivariateNormal(0.0, cholesky=FACTOR),
        POINTS[0],
        stats.multivariate_normal(np.zeros(3), COVARIANCE).logpdf(POINTS[0]),
    ),
    "normal, precision": (
        ae.MultivariateNormal(POINTS, precision=np.linalg.inv(COVARIANCE)),
        POINTS + MEAN,
        [stats.multivariate_normal(np.zeros(3), COVARIANCE).logpdf(MEAN)] * 4,
    ),
    "normal, symbolic covariance": (
        ae.MultivariateNormal(MEAN, covariance=at.as_tensor(COVARIANCE) * 1.0),
        POINTS,
        stats.multivariate_normal(MEAN, COVARIANCE).logpdf(POINTS),
    ),
    "normal, symbolic precision": (
        ae.MultivariateNormal(MEAN, precision=at.as_tensor(np.linalg.inv(COVARIANCE)) * 1.0),
        POINTS,
        stats.multivariate_normal(MEAN, COVARIANCE).logpdf(POINTS),
    ),
    "Dirichlet": (ae.Dirichlet(A), SIMPLEX, stats.dirichlet(A).logpdf(SIMPLEX.T)),
    "multinomial": (
        ae.Multinomial(4, P),
        np.vstack([TABLE, [1, 1, 1], [-1, 2, 3]]),
        [*stats.multinomial(4, P).logpmf(TABLE), -np.inf, -np.inf],
    ),
    "Dirichlet multinomial": (
        ae.DirichletMultinomial(4, A),
        np.vstack([TABLE, [1, 1, 1]]),
        [*stats.dirichlet_multinomial(A, 4).logpmf(TABLE), -np.inf],
    ),
    "LKJ": (ae.LKJCholesky(3, 1.7), LKJ, lkj_log_density(LKJ, 1.7)),
    "LKJ, uniform": (ae.LKJCholesky(2), LKJ[:2, :2], np.log(0.5)),
    "sorted": (
        ae.Sorted(ae.Normal(0.5, 1.2), 3),
        np.array([SORTED, SORTED[::-1]]),
        [np.log(6) + stats.norm(0.5, 1.2).logpdf(SORTED).sum(), -np.inf],
    ),
    "mixture of vectors": (
        ae.Mixture(
            [0.4, 0.6],
            [ae.MultivariateNormal(m, cholesky=FACTOR) for m in (0.0, 1.0)],
        ),
        POINTS,
        np.log(
            0.4 * stats.multivariate_normal(np.zeros(3), COVARIANCE).pdf(POINTS)
            + 0.6 * stats.multivariate_normal(np.ones(3), COVARIANCE).pdf(POINTS)
        ),
    ),
    "random walk": (
        ae.GaussianRandomWalk(ae.Normal(0.4, 1.3), 0.7, STEPS),
        SEQUENCE,
        stats.multivariate_normal(np.full(STEPS, 0.4), WALK @ WALK.T).logpdf(SEQUENCE),
    ),
    "autoregression": (
        ae.AR(COEFFICIENTS, AR_SD, STEPS, CONSTANT, ae.Normal(0.0, 2.0)),
        np.array([SEQUENCE, SEQUENCE[::-1]]),
        [ar_log_density(SEQUENCE), ar_log_density(SEQUENCE[::-1])],
    ),
    "hidden Markov": (HMM, SEQUENCE, by_all_paths(SEQUENCE, normal_emission)),
    "hidden Markov, sequences": (
        HMM,
        np.array([SEQUENCE, -SEQUENCE]),
        [by_all_paths(s, normal_emission) for s in (SEQUENCE, -SEQUENCE)],
    ),
    "hidden Markov, list": (
        ae.HiddenMarkov(INITIAL, TRANSITION, [ae.Cauchy(-1.0, 0.5), ae.Normal(1.0, 2.0)], STEPS),
        SEQUENCE,
        by_all_paths(
            SEQUENCE,
            lambda x, s: [stats.cauchy(-1.0, 0.5), stats.norm(1.0, 2.0)][s].logpdf(x),
        ),
    ),
    "hidden Markov, counts": (
        ae.HiddenMarkov(INITIAL, TRANSITION, ae.Poisson([1.0, 5.0]), 4),
        np.array([0, 7, 3, 1]),
        by_all_paths([0, 7, 3, 1], lambda x, s: stats.poisson([1.0, 5.0][s]).logpmf(x)),
    ),
    "hidden Markov, pairs": (
        ae.HiddenMarkov(INITIAL, TRANSITION, ae.Exponential(RATES), STEPS),
        np.array([PAIRS, PAIRS[::-1]]),
        [by_all_paths(x, pair_emission) for x in (PAIRS, PAIRS[::-1])],
    ),
    "hidden Markov, list of pairs": (
        ae.HiddenMarkov(INITIAL, TRANSITION, [ae.Exponential(r) for r in RATES], STEPS),
        PAIRS,
        by_all_paths(PAIRS, pair_emission),
    ),
    "hidden Markov, vectors": (
        ae.HiddenMarkov(
            INITIAL, TRANSITION, ae.MultivariateNormal(np.eye(2, 3), cholesky=FACTOR), 4
        ),
        POINTS,
        by_all_paths(
            POINTS,
            lambda x, s: stats.multivariate_normal(np.eye(3)[s], COVARIANCE).logpdf(x),
        ),
    ),
    "hidden Markov, long": (
        ae.HiddenMarkov(INITIAL, TRANSITION, EMISSIONS, 416),
        LONG,
        forward_loop(LONG, normal_emission),
    ),
    "censored": (
        ae.Censored(ae.Normal(0.5, 1.3), -1.0, 2.0),
        np.array([-1.5, -1.0, 0.3, 2.0, 2.5]),
        [
            -np.inf,
            stats.norm(0.5, 1.3).logcdf(-1.0),
            stats.norm(0.5, 1.3).logpdf(0.3),
            stats.norm(0.5, 1.3).logsf(2.0),
            -np.inf,
        ],
    ),
    "censored counts": (
        ae.Censored(ae.Poisson(2.3), high=3),
        np.array([0, 3, 4]),
        [stats.poisson(2.3).logpmf(0), stats.poisson(2.3).logsf(2), -np.inf],
    ),
}


@cache
def densities(backend):
    found = [d.log_density(v) for d, v, _ in DENSITIES.values()]
    return dict(zip(DENSITIES, compiled(backend, [], found)(), strict=True))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", DENSITIES)
def test_densities(name, backend):
    np.testing.assert_allclose(densities(backend)[name], DENSITIES[name][2], rtol=1e-9)


DRAWS = {
    "normal": (ae.MultivariateNormal(MEAN, covariance=COVARIANCE), (N, 3)),
    "Dirichlet": (ae.Dirichlet(A), (N, 3)),
    "multinomial": (ae.Multinomial(4, P), (N, 3)),
    "Dirichlet multinomial": (ae.DirichletMultinomial(4, A), (N, 3)),
    "LKJ": (ae.LKJCholesky(3, 1.7), (N, 3, 3)),
    "sorted": (ae.Sorted(ae.Normal(0.5, 1.2), 3), (N, 3)),
    "walk": (ae.GaussianRandomWalk(ae.Normal(0.4, 1.3), 0.7, STEPS), (N, STEPS)),
    "AR": (ae.AR(COEFFICIENTS, AR_SD, STEPS, CONSTANT, ae.Normal(0.0, 2.0)), (N, STEPS)),
    "hidden Markov": (HMM, (N, STEPS)),
    "hidden Markov, pairs": (DENSITIES["hidden Markov, pairs"][0], (N, STEPS, 2)),
    "censored": (ae.Censored(ae.Normal(0.5, 1.3), -1.0, 2.0), (N,)),
    "mixture": (DENSITIES["mixture of vectors"][0], (N, 3)),
}


@cache
def draws(backend):
    return dict(zip(DRAWS, draw(DRAWS.values(), backend), strict=True))


def uniform(found, reference):
    assert stats.kstest(np.ravel(found), reference.cdf).pvalue > 1e-4


def mean_near(found, wanted):
    """The mean over draws is within five standard errors."""
    error = found.std(axis=0) / np.sqrt(len(found))
    assert np.all(abs(found.mean(axis=0) - wanted) < 5 * error + 1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_draws_of_vectors(backend):
    found = draws(backend)
    whitened = np.linalg.solve(FACTOR, (found["normal"] - MEAN).T)
    uniform(whitened, stats.norm())
    mean_near(whitened[0] * whitened[1], 0.0)
    uniform(found["Dirichlet"][:, 0], stats.beta(A[0], A[1:].sum()))
    for name, wanted in (("multinomial", P), ("Dirichlet multinomial", A / A.sum())):
        assert found[name].dtype == np.int64
        assert np.all(found[name].sum(axis=1) == 4)
        mean_near(found[name], 4 * wanted)
    # any correlation is 2 Beta(b, b) − 1 with b = concentration + (n − 2) / 2
    matrices = found["LKJ"] @ np.swapaxes(found["LKJ"], 1, 2)
    for i, j in ((1, 0), (2, 0), (2, 1)):
        uniform(matrices[:, i, j], stats.beta(2.2, 2.2, -1, 2))
    assert np.all(np.diff(found["sorted"], axis=1) > 0)
    uniform(found["sorted"], stats.norm(0.5, 1.2))
    mean_near(found["mixture"], np.full(3, 0.6))
    assert np.isclose(np.mean(found["censored"] == 2.0), stats.norm(0.5, 1.3).sf(2.0), atol=0.03)


@pytest.mark.parametrize("backend", BACKENDS)
def test_draws_of_sequences(backend):
    found = draws(backend)
    uniform(found["walk"][:, 0], stats.norm(0.4, 1.3))
    uniform(np.diff(found["walk"], axis=1), stats.norm(0.0, 0.7))
    x = found["AR"]
    uniform(x[:, :2], stats.norm(0.0, 2.0))
    past = CONSTANT + COEFFICIENTS[0] * x[:, 1:-1] + COEFFICIENTS[1] * x[:, :-2]
    uniform(x[:, 2:] - past, stats.norm(0.0, AR_SD))
    state, first, pairs = INITIAL, found["hidden Markov"], found["hidden Markov, pairs"]
    for t in range(STEPS):
        mean_near(first[:, t], state @ STATE_MEANS)
        mean_near(pairs[:, t], state @ (1 / RATES))
        # the two numbers have the state in common, and nothing else
        mean_near(pairs[:, t].prod(axis=1), state @ (1 / RATES).prod(axis=1))
        state = state @ TRANSITION
    # neighbours share a state more often than not
    p = np.diag(INITIAL) @ TRANSITION
    mean_near(first[:, 0] * first[:, 1], STATE_MEANS @ p @ STATE_MEANS)


def test_gradients():
    inputs, gradients, functions = [], [], []
    makers = {
        "normal": (lambda c: ae.MultivariateNormal(MEAN, covariance=c), COVARIANCE, POINTS),
        "Dirichlet": (ae.Dirichlet, A, SIMPLEX),
        "Dirichlet multinomial": (lambda a: ae.DirichletMultinomial(4, a), A, TABLE),
        "LKJ": (lambda c: ae.LKJCholesky(3, c), np.asarray(1.7), LKJ),
        "hidden Markov": (
            lambda m: ae.HiddenMarkov(INITIAL, TRANSITION, ae.Normal(m, STATE_SD), STEPS),
            STATE_MEANS,
            SEQUENCE,
        ),
        "transition": (
            lambda t: ae.HiddenMarkov(INITIAL, t, EMISSIONS, STEPS),
            TRANSITION,
            SEQUENCE,
        ),
        "AR": (lambda a: ae.AR(a, AR_SD, STEPS), COEFFICIENTS, SEQUENCE),
    }
    for make, point, value in makers.values():
        symbol = at.TensorType("float64", point.shape)()
        total = make(symbol).log_density(value).sum()
        inputs.append(symbol)
        functions.append(total)
        gradients += grad(total, [symbol])
    program = compiled("jax", inputs, [*functions, *gradients])
    points = [point for _, point, _ in makers.values()]
    found = program(*points)[len(points) :]
    for i, name in enumerate(makers):
        numerical = np.zeros(points[i].size)
        for k in range(points[i].size):
            step = (np.arange(points[i].size) == k).reshape(points[i].shape) * 1e-6
            above, below = (
                program(*points[:i], points[i] + s * step, *points[i + 1 :])[i] for s in (1, -1)
            )
            numerical[k] = (above - below) / 2e-6
        gradient = found[i]
        if name == "normal":  # only one triangle of the covariance is looked at
            gradient = np.tril(gradient) + np.tril(gradient.T, -1) * 0
            numerical = np.tril(numerical.reshape(3, 3)).ravel()
        np.testing.assert_allclose(gradient.ravel(), numerical, rtol=1e-4, atol=1e-6, err_msg=name)


def test_batches_and_static_shapes():
    state = RandomState()
    batch = ae.Dirichlet(np.ones((5, 1, 3)))
    assert batch.draw(state)[1].type.shape == (5, 1, 3)
    assert batch.draw(state, (2, 5, 4, 3))[1].type.shape == (2, 5, 4, 3)
    assert ae.MultivariateNormal(POINTS, cholesky=FACTOR).draw(state)[1].type.shape == (4, 3)
    assert ae.Multinomial([3, 4], P).draw(state)[1].type.shape == (2, 3)
    assert ae.LKJCholesky(4, [1.0, 2.0]).draw(state)[1].type.shape == (2, 4, 4)
    assert ae.Sorted(ae.Normal(np.zeros((2,)), 1.0), 3).draw(state)[1].type.shape == (2, 3)
    assert HMM.draw(state)[1].type.shape == (STEPS,)
    pairs = DENSITIES["hidden Markov, pairs"][0]
    assert pairs.draw(state, (5, STEPS, 2))[1].type.shape == (5, STEPS, 2)
    walk = ae.GaussianRandomWalk(ae.Normal(), [0.5, 1.0], 4)
    assert walk.draw(state)[1].type.shape == (2, 4)
    rows = at.TensorType("float64", (None, 3))()
    with pytest.raises(ShapeError, match="is not known"):
        ae.DirichletMultinomial(4, rows).draw(state)


def test_supports():
    assert isinstance(ae.LKJCholesky(3).support, CorrelationCholesky)
    assert ae.Truncated(ae.Poisson(2.0), 1).support == Integers(1)
    assert ae.Truncated(ae.Normal(), 0.0, 2.0).support == ae.Interval(0.0, 2.0)
    assert ae.Truncated(ae.HalfNormal(), -1.0).support == ae.Positive()
    assert ae.Mixture([0.5, 0.5], [ae.Gamma(1, 1), ae.HalfNormal()]).support == ae.Positive()
    assert ae.Mixture([0.5, 0.5], [ae.Gamma(1, 1), ae.Normal()]).support == ae.Real()
    high = at.dscalar()
    bounded = ae.Truncated(ae.HalfNormal(), high=high)
    low, end = bounded.support_arguments()
    assert low == 0.0
    assert end is high


def test_idle_ends_are_dropped():
    plain, cut = ae.Exponential(2.0), ae.Truncated(ae.Exponential(2.0), low=0.0)
    assert value_of(cut.log_density(0.3)) == value_of(plain.log_density(0.3))


def drawn(distribution, shape):
    return distribution.draw(RandomState(), shape)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: ae.MultivariateNormal(0.0), ArgumentError, "exactly one"),
        (lambda: ae.MultivariateNormal(0.0, np.eye(2), np.eye(2)), ArgumentError, "exactly one"),
        (lambda: ae.MultivariateNormal(0.0, [[1.0, 2.0], [2.0, 1.0]]), DataError, "definite"),
        (
            lambda: ae.MultivariateNormal([0.0, 1.0], cholesky=FACTOR).draw(RandomState()),
            ShapeError,
            "cholesky",
        ),
        (lambda: ae.Dirichlet(1.0).draw(RandomState()), DataError, "a vector"),
        (lambda: ae.Multinomial(3, [0.5, 0.6]), DataError, "add up to 1"),
        (lambda: ae.LKJCholesky(1), ArgumentError, "2 or more"),
        (lambda: ae.Sorted(ae.Poisson(1.0), 3), ArgumentError, "positive numbers"),
        (lambda: ae.Mixture([0.5, 0.5], 3.0), ArgumentError, "are distributions"),
        (
            lambda: ae.Mixture([0.5, 0.5], [ae.Normal(), ae.Poisson(1.0)]),
            ArgumentError,
            "different kinds",
        ),
        (lambda: ae.Mixture([0.2, 0.3, 0.5], [ae.Normal(), ae.Cauchy()]), DataError, "2 weights"),
        (lambda: ae.ZeroInflated(0.5, ae.Normal()), ArgumentError, "of counts"),
        (lambda: ae.Truncated(ae.Normal()), ArgumentError, "needs an end"),
        (lambda: ae.Truncated(ae.Normal(), 2.0, 1.0), DataError, "wrong order"),
        (lambda: ae.Truncated(ae.VonMises(), 0.0), ae.core.errors.DensityError, "not known"),
        (lambda: ae.GaussianRandomWalk(ae.Normal(), 1.0, 1), ArgumentError, "2 or more"),
        (lambda: ae.HiddenMarkov([1.0], [[0.5]], ae.Normal([0.0]), 3), DataError, "add up to 1"),
        (
            lambda: ae.HiddenMarkov(INITIAL, TRANSITION, ae.Normal([0.0, 1.0, 2.0]), 3),
            DataError,
            "for each state",
        ),
        (
            lambda: ae.HiddenMarkov(INITIAL, TRANSITION, [ae.Normal([0.0, 1.0])] * 3, 3),
            DataError,
            "for each state",
        ),
        (
            lambda: ae.HiddenMarkov(INITIAL, TRANSITION, ae.Normal(STATE_MEANS, np.ones(3)), 3),
            ShapeError,
            "do not broadcast",
        ),
        (
            lambda: ae.HiddenMarkov(INITIAL, TRANSITION, ae.Normal(np.eye(2), np.ones(2)), 3),
            ShapeError,
            r"sd\[:, None\] for one of each state",
        ),
        (lambda: drawn(HMM, (4,)), ShapeError, rf"shape=\(4, {STEPS}\)"),
        (lambda: drawn(ae.Normal([1.0, 2.0]), (3,)), ShapeError, "leave out `shape`"),
    ],
)
def test_wrong_arguments(make, error, words):
    with pytest.raises(error, match=words):
        make()
