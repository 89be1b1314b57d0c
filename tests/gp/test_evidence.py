"""The evidence and its gradient: against SciPy, finite differences and published fits."""

import json
from pathlib import Path

import aesara.tensor as at
import numpy as np
import pytest
from scipy.stats import multivariate_normal

import aeframe as ae
from aeframe.backends import as_backend
from aeframe.backends.composed import Composed, compiled_programs
from aeframe.core import Graph, Module
from aeframe.core.errors import ShapeError, StateError
from aeframe.gp import GP, SE, GaussianEvidenceOp, Kernel, Linear, Periodic, Warped, White, hyper
from aeframe.gp.fit import Objective
from aeframe.gp.linalg import (
    CholeskyInverseOp,
    CholeskyOp,
    ScaledBesselOp,
    TriangularSolveOp,
)
from aeframe.nn import Dense

DEMO = Path(ae.__file__).parent / "demo_data" / "airline.csv"
SHARED = Path(__file__).parents[3] / "shared" / "data" / "gp"
AIRLINE = np.genfromtxt(DEMO, delimiter=",", skip_header=1)


class Constant(Kernel):
    """σ²: in the published kernels, and a user's kernel here."""

    variance = hyper(1.0)

    def formula(self, x, z):
        return self.variance * at.ones((x.shape[0], z.shape[0]))


class Tanh(Module):
    def __init__(self):
        self.dense = Dense(2, dtype="float64")

    def __call__(self, x):
        return at.tanh(self.dense(x))


def data(n=30, seed=0):
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(0.0, 3.0, n))
    return x, np.sin(2 * x) + 0.1 * rng.normal(size=n)


KERNELS = {
    "SE": lambda: SE(1.5, 0.6),
    "Periodic": lambda: Periodic(1.5, 0.8, 1.4),
    "Linear": lambda: Linear(0.7, 0.4),
    "White": lambda: White(0.3),
    "all": lambda: (SE(1.5, 0.6) + Linear(0.7, 0.4)) * Periodic(1.5, 3.0, 1.4) + White(0.3),
    "warped": lambda: Warped(Tanh(), SE(1.5, [0.6, 0.8])) + Constant(0.2),
}


@pytest.mark.parametrize("name", KERNELS)
def test_evidence_agrees_with_scipy(name):
    x, y = data()
    kernel = KERNELS[name]()
    covariance = kernel(x) + 0.05 * np.eye(len(x))
    wanted = multivariate_normal(np.full(len(x), 0.3), covariance).logpdf(y)
    assert GP(kernel, noise=0.05, mean=0.3).log_prob(x, y) == pytest.approx(wanted, rel=1e-10)


@pytest.mark.parametrize("name", KERNELS)
def test_gradients_agree_with_finite_differences(name):
    x, y = data()
    objective = Objective(GP(KERNELS[name](), noise=0.05).condition(x, y), as_backend("jax"))
    position = objective.position()
    _, gradient = objective(position)
    for i in range(len(position)):
        step = np.eye(len(position))[i] * 1e-5
        slope = (objective(position + step)[0] - objective(position - step)[0]) / 2e-5
        assert gradient[i] == pytest.approx(slope, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("name", ["SE", pytest.param("all", marks=pytest.mark.slow)])
def test_backends_agree(name):
    x, y = data()
    found = []
    for backend in ("jax", "c"):
        gp = GP(KERNELS[name](), noise=0.05).condition(x, y)
        objective = Objective(gp, as_backend(backend))
        found.append(objective(objective.position()))
    (a, da), (b, db) = found
    assert a == pytest.approx(b, rel=1e-9)
    np.testing.assert_allclose(da, db, rtol=1e-9, atol=1e-9)


def test_a_composition_agrees_with_the_whole_program():
    x, y = data()
    gp = GP(KERNELS["all"](), noise=0.05).condition(x, y)
    objective = Objective(gp, as_backend("jax"))
    assert -objective(objective.position())[0] == pytest.approx(gp.log_prob(x, y), rel=1e-12)


def test_a_new_structure_over_known_leaves_compiles_nothing():
    x, y = data()

    def run(kernel):
        objective = Objective(GP(kernel).condition(x, y), as_backend("jax"))
        return objective(objective.position())

    run(SE() + Periodic() * Linear())
    run(SE() + SE() * SE())
    before = compiled_programs()
    run((SE() + Periodic() + Linear()) * SE() * (Linear() + Periodic() * SE()))
    assert compiled_programs() == before


def test_a_composition_needs_all_its_inputs():
    x = at.dvector("x")
    with pytest.raises(StateError):
        Composed(Graph((), (at.exp(x),)), as_backend("jax"))


def test_an_ill_conditioned_matrix_gets_jitter():
    x = at.TensorType("float64", (4, 4))("K")
    factors = []
    for backend in ("jax", "c"):
        (factor,) = as_backend(backend).compile([x], [CholeskyOp()(x)])(np.ones((4, 4)))
        factors.append(np.asarray(factor))
        np.testing.assert_allclose(factors[-1] @ factors[-1].T, np.ones((4, 4)), atol=1e-6)
        (factor,) = as_backend(backend).compile([x], [CholeskyOp()(x)])(-np.ones((4, 4)))
        assert np.isnan(np.asarray(factor)).any()


@pytest.mark.parametrize("backend", ["jax", "c"])
def test_linear_algebra_agrees_with_its_meaning(backend):
    rng = np.random.default_rng(0)
    A = rng.normal(size=(5, 5))
    K, b = A @ A.T + 5 * np.eye(5), rng.normal(size=(5, 2))
    L = np.linalg.cholesky(K)
    square, right = at.TensorType("float64", (5, 5))(), at.TensorType("float64", (5, 2))()
    a = at.TensorType("float64", (7,))()
    values = np.array([0.0, 1e-4, 1e-2, 0.5, 2.0, 30.0, 900.0])
    bessel = [ScaledBesselOp(k)(a) for k in (0, 1, 2)]
    cases = [
        ([square], [CholeskyInverseOp()(square)], [L], [np.linalg.inv(K)]),
        ([square, right], [TriangularSolveOp()(square, right)], [L, b], [np.linalg.solve(L, b)]),
        (
            [square, right],
            [TriangularSolveOp(True)(square, right)],
            [L, b],
            [np.linalg.solve(L.T, b)],
        ),
        ([a], bessel, [values], [ae.gp.linalg.special.ive(k, values) for k in (0, 1, 2)]),
    ]
    for inputs, outputs, arrays, wanted in cases:
        found = as_backend(backend).compile(inputs, outputs)(*arrays)
        for got, want in zip(found, wanted, strict=True):
            np.testing.assert_allclose(np.asarray(got), want, rtol=1e-9, atol=1e-12)


def test_gradients_through_solves_and_bessel_functions():
    rng = np.random.default_rng(0)
    L, b = np.tril(rng.normal(size=(4, 4))) + 4 * np.eye(4), rng.normal(size=4)
    square, vector = at.TensorType("float64", (4, 4))(), at.TensorType("float64", (4,))()
    weights = rng.normal(size=4)
    for cost in (
        at.dot(TriangularSolveOp()(square, vector), weights),
        at.dot(TriangularSolveOp(True)(square, vector), weights),
        (ScaledBesselOp(0)(vector**2) * weights).sum(),
        (ScaledBesselOp(1)(vector**2) * weights).sum(),
    ):
        program = as_backend("jax").compile(
            [square, vector], [cost, *ae.grad(cost, [square, vector])]
        )
        _, dL, db = map(np.asarray, program(L, b))

        def slope(L_step, b_step, run=program):
            ahead, behind = run(L + L_step, b + b_step)[0], run(L - L_step, b - b_step)[0]
            return float(ahead - behind) / 2e-6

        for i in range(4):
            step = np.eye(4)[i] * 1e-6
            assert db[i] == pytest.approx(slope(0.0, step), rel=1e-6, abs=1e-8)
            step = np.outer(np.eye(4)[3], np.eye(4)[i]) * 1e-6
            assert dL[3, i] == pytest.approx(slope(step, 0.0), rel=1e-6, abs=1e-8)


def test_the_evidence_refuses_wrong_shapes():
    K = at.TensorType("float64", (4, 4))()
    with pytest.raises(ShapeError, match="`y`"):
        GaussianEvidenceOp()(K, at.TensorType("float64", (3,))())
    with pytest.raises(ShapeError, match="`K`"):
        GaussianEvidenceOp()(at.TensorType("float64", (4, 3))(), at.dvector())


LEAVES = {
    "NoiseKernel": lambda p: White(np.exp(2 * p["sf"])),
    "ConstKernel": lambda p: Constant(np.exp(2 * p["sf"])),
    "SqExpKernel": lambda p: SE(np.exp(2 * p["sf"]), np.exp(p["lengthscale"])),
    "LinearKernel": lambda p: Linear(np.exp(2 * p["sf"]), p["location"]),
    "PeriodicKernel": lambda p: Periodic(
        np.exp(2 * p["sf"]), np.exp(p["lengthscale"]), np.exp(p["period"])
    ),
}


def published(description) -> Kernel:
    """The kernel of a published fit; its parameters are logarithms."""
    name, values = description
    if name in LEAVES:
        return LEAVES[name](values)
    parts = [published(part) for part in values["operands"]]
    total = parts[0]
    for part in parts[1:]:
        total = total + part if name == "SumKernel" else total * part
    return total


def evidence(kernel: Kernel, x, y) -> float:
    """Log p(y | x) with the noise that the kernel brings."""
    K, target = at.matrix("K", dtype="float64"), at.dvector("y")
    program = as_backend("jax").compile([K, target], [GaussianEvidenceOp()(K, target)[0]])
    return float(program(np.asarray(kernel(x)), y)[0])


def airline_interpretable() -> Kernel:
    return published(
        ["SumKernel", {"operands": [
            ["NoiseKernel", {"sf": 1.70386265331}],
            ["SqExpKernel", {"lengthscale": -0.500063816447, "sf": 2.49989084099}],
            ["LinearKernel", {"location": 1945.75848682, "sf": 3.42242275086}],
            ["ProductKernel", {"operands": [
                ["SqExpKernel", {"lengthscale": 2.75990985139, "sf": 3.79692041008}],
                ["PeriodicKernel", {"lengthscale": -0.403397379226,
                                    "period": 0.00274899616587, "sf": -1.95132739066}],
                ["LinearKernel", {"location": 1945.59698616, "sf": -0.380566371851}],
            ]}],
        ]}]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kernel", "nll"),
    [
        (airline_interpretable, 475.406383244),
        (lambda: White(np.exp(2 * 2.61955170065))
         + SE(np.exp(2 * 5.39974254361), np.exp(-1.31636353144)), 653.607314517),
    ],
)  # fmt: skip
def test_published_airline_fits(kernel, nll):
    x, y = AIRLINE[:129].T
    assert -evidence(kernel(), x, y) == pytest.approx(nll, rel=1e-6)


def _shared_fits():
    path = SHARED / "abcd_fitted_models.json"
    if not path.exists():
        return []

    def names(description):
        return {description[0]}.union(*map(names, description[1].get("operands", [])))

    known = {*LEAVES, "SumKernel", "ProductKernel"}
    return [m for m in json.loads(path.read_text()) if names(m["kernel"]) <= known]


@pytest.mark.skipif(not SHARED.exists(), reason="the published fits are not here")
@pytest.mark.slow
@pytest.mark.parametrize("fit", _shared_fits(), ids=lambda m: f"{m['variant']}-{m['series']}")
def test_published_fits(fit):
    rows = np.genfromtxt(
        SHARED / "time_series" / f"{fit['series']}.csv", delimiter=",", dtype=str, skip_header=1
    )
    train = rows[:, 2] == "train"
    (x, y), (x_test, y_test) = (rows[m, :2].astype(float).T for m in (train, ~train))
    kernel = published(fit["kernel"])
    assert -evidence(kernel, x, y) == pytest.approx(fit["nll"], rel=1e-6)
    K = np.asarray(kernel(x))
    mean = np.asarray(kernel(x_test, x)) @ np.linalg.solve(K, y)
    assert np.sqrt(np.mean((mean - y_test) ** 2)) == pytest.approx(fit["rmse"], rel=1e-6)
