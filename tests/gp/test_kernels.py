"""Kernels against independent formulas, and every promise of the design for a kernel."""

import aesara.tensor as at
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ive

import aeframe as ae
from aeframe.core import Module, Parameter
from aeframe.core.errors import (
    ArgumentError,
    DataError,
    IntermediateError,
    ShapeError,
    StateError,
)
from aeframe.gp import (
    SE,
    GramOp,
    Kernel,
    LeafGramOp,
    Linear,
    Periodic,
    Product,
    ProductKernelOp,
    Sum,
    Warped,
    White,
    hyper,
    setting,
    to_kernel,
)
from aeframe.gp.rules import NORMAL_FORM
from aeframe.nn import Dense
from aeframe.rewrites import Equality, Rest, Rule, Var, alternatives, graph_of, term

X = np.linspace(-1.0, 2.0, 6)[:, None]
Z = np.linspace(0.0, 1.0, 4)[:, None]


class Polynomial(Kernel):
    """A user's kernel: (x·z + c)^degree."""

    offset = hyper(1.0)
    degree = setting(2)

    def formula(self, x, z):
        return (at.dot(x, z.T) + self.offset) ** self.degree


class Net(Module):
    def __init__(self):
        self.hidden, self.out = Dense(5), Dense(2)

    def __call__(self, x):
        return self.out(at.tanh(self.hidden(x)))


def se(x, z, variance, lengthscale):
    scaled = (x[:, None, :] - z[None, :, :]) / lengthscale
    return variance * np.exp(-0.5 * np.sum(scaled**2, axis=-1))


def periodic(x, z, variance, lengthscale, period):
    """Numerator and denominator times exp(−1/ℓ²)."""
    a = lengthscale**-2.0
    cosine = np.cos(2 * np.pi * (x - z.T) / period)
    return variance * (np.exp(a * (cosine - 1)) - ive(0, a)) / (1 - ive(0, a))


def linear(x, z, variance, location):
    return variance * (x - location) @ (z - location).T


def structure() -> Kernel:
    return SE(2.0, 0.7) + Periodic(1.5, 0.8, 1.1) * Linear(0.5, 1.0) + White(0.1)


def reference(x, z, symmetric):
    total = se(x, z, 2.0, 0.7) + periodic(x, z, 1.5, 0.8, 1.1) * linear(x, z, 0.5, 1.0)
    return total + 0.1 * np.eye(len(x)) if symmetric else total


@pytest.mark.parametrize("backend", ["jax", "c", "numba"])
def test_gram_matrices_agree_with_numpy(backend):
    with ae.Backend(backend):
        np.testing.assert_allclose(structure()(X), reference(X, X, True), atol=1e-13)
        np.testing.assert_allclose(structure()(X, Z), reference(X, Z, False), atol=1e-13)


@pytest.mark.parametrize("width", [1, 3])
def test_ard_lengthscales(width):
    rng = np.random.default_rng(0)
    x, z = 100 + rng.normal(size=(5, width)), 100 + rng.normal(size=(4, width))
    lengthscale = rng.uniform(0.5, 2.0, width)
    got = SE(1.3, lengthscale)(x, z)
    np.testing.assert_allclose(got, se(x, z, 1.3, lengthscale), rtol=1e-10)
    got = Linear(1.3, np.arange(width))(x, z)
    np.testing.assert_allclose(got, linear(x, z, 1.3, np.arange(width)), rtol=1e-10)


@pytest.mark.parametrize("lengthscale", [0.01, 0.1, 1.0, 10.0])
def test_periodic_is_stable(lengthscale):
    got = Periodic(1.0, lengthscale, 1.3)(X, Z)
    np.testing.assert_allclose(got, periodic(X, Z, 1.0, lengthscale, 1.3), atol=1e-11)


def test_periodic_with_a_long_lengthscale_is_a_cosine():
    cosine = np.cos(2 * np.pi * (X - Z.T) / 1.3)
    for lengthscale in (1e6, 1e9, 1e30):
        np.testing.assert_allclose(Periodic(1.0, lengthscale, 1.3)(X, Z), cosine, atol=1e-9)


def test_periodic_has_no_constant_part():
    x = np.arange(200)[:, None] / 200.0
    for lengthscale in (0.3, 1.0, 4.0):
        assert abs(Periodic(1.0, lengthscale, 1.0)(x[:1], x).mean()) < 1e-12


def test_inputs_may_be_a_vector_or_integers():
    np.testing.assert_array_equal(SE()(X[:, 0]), SE()(X))
    np.testing.assert_allclose(SE()(np.arange(3)), se(np.c_[:3.0], np.c_[:3.0], 1.0, 1.0))


def test_static_shapes_reach_the_gram_matrix():
    x = at.TensorType("float64", (6, 2))("x")
    gram = SE()(x, at.TensorType("float64", (4, 2))("z"))
    assert isinstance(gram.owner.op, GramOp) and gram.type.shape == (6, 4)


positive = st.floats(0.2, 5.0)
A, B, C = SE(), Linear(), Periodic()
LAWS = [
    (A + B, B + A),
    (A * B, B * A),
    ((A + B) * C, A * C + B * C),
    (Sum(Sum(A, B), C), Sum(A, Sum(B, C))),
    (Product(Product(A, B), C), Product(A, Product(B, C))),
]


@settings(deadline=None, max_examples=20)
@given(positive, positive, st.floats(-2.0, 2.0), positive)
def test_kernels_form_a_semiring(variance, lengthscale, location, period):
    for cell, value in (
        (A.variance, variance),
        (A.lengthscale, lengthscale),
        (B.location, location),
        (C.period, period),
    ):
        cell.value = value
    for left, right in LAWS:
        gram = left(X)
        np.testing.assert_allclose(right(X), gram, atol=1e-12)
        eigenvalues = np.linalg.eigvalsh(gram)
        assert eigenvalues.min() > -1e-9 * max(eigenvalues.max(), 1.0)


def test_white_noise_of_many_points():
    np.testing.assert_array_equal(White(0.1)(np.arange(300)), 0.1 * np.eye(300))


def test_kernels_print_as_one_writes_them():
    assert str((SE() + Linear()) * Periodic() + White()) == "(SE + Linear) * Periodic + White"
    assert str(SE() + (SE() + Linear())) == "SE + SE + Linear"
    assert len((SE() + (SE() + Linear())).parts) == 3


def test_a_kernel_of_ones_own():
    k = Polynomial(0.5, degree=3) + White(0.1)
    np.testing.assert_allclose(k(X), (X @ X.T + 0.5) ** 3 + 0.1 * np.eye(6), atol=1e-12)
    assert Polynomial(0.5).op == Polynomial(0.7).op != Polynomial(0.5, degree=3).op
    assert hash(SE().op) == hash(SE().op)


def test_equal_leaves_are_one_apply():
    k = SE()
    gram = (k + k * Linear())(at.matrix("x"))
    nodes = ae.rewrites.standard.interpret(ae.core.Graph((), (gram,)))
    leaves = [n for n in ae.core.toposort(nodes.results) if isinstance(n.op, LeafGramOp)]
    assert len(leaves) == 2


@pytest.mark.parametrize("kernel", [structure, lambda: Polynomial(2.0, degree=3) * SE()])
def test_saved_kernels_come_back(kernel, tmp_path):
    first = kernel()
    first.save(tmp_path / "k.safetensors")
    again = ae.load(tmp_path / "k.safetensors")
    assert str(again) == str(first) and repr(again) == repr(first)
    np.testing.assert_array_equal(again(X), first(X))


def test_graphs_of_kernels_can_be_outlined(tmp_path):
    x = at.TensorType("float64", (6, 1))("x")
    k = structure()
    used = ae.core.cells([k(x)])
    op = ae.outline([x, *used], [k(x)], "Covariance")
    graph = ae.core.Graph((x,), (op(x, *used),))
    from aeframe.core import expand
    from aeframe.rewrites import interpret

    program = ae.Backend("jax").compile([x], interpret(expand(graph)).outputs)
    np.testing.assert_allclose(program(X)[0], reference(X, X, True), atol=1e-13)


def test_a_users_rule_rewrites_a_kernel():
    variance, lengthscale = Var("variance", ""), Var("lengthscale", "")
    rule = Rule(
        "SE becomes Linear",
        term(SE.leaf_op)(variance, lengthscale),
        term(Linear.leaf_op)(variance, lengthscale),
    )
    k = SE(2.0, 0.5) * Periodic()
    changed = k.optimize(rule)
    wanted = linear(X, X, 2.0, 0.5) * periodic(X, X, 1.0, 1.0, 1.0)
    np.testing.assert_allclose(changed(X), wanted, atol=1e-12)
    assert str(to_kernel(changed.expression())) == "Linear * Periodic"
    assert [s.rule for s in changed.explain().steps] == ["SE becomes Linear"]
    difference = ae.diff(k, changed)
    assert [s.rule for s in difference.rewrites] == ["SE becomes Linear"]
    assert len(difference.removed) == len(difference.added) == 2
    assert not ae.diff(k, k)


def test_rules_match_unordered_inputs_in_any_order():
    pair = term(ProductKernelOp)(
        term(SE.leaf_op)(Var("v"), Var("l")), term(White.leaf_op)(Var("w")), Rest("others")
    )
    rule = Equality("find a pair", pair, term(White.leaf_op)(Var("w")))
    product = (Linear() * White(2.0) * Periodic() * SE()).expression()
    found = rule.matches(product.owner)
    assert [str(v.owner.op) for v in found["others"]] == ["Linear", "Periodic"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (lambda: SE(2.0, 0.5) * Linear() * SE(0.5, 2.0), "SE * Linear"),
        (lambda: Periodic() * SE() * White() + Linear(), "White + Linear"),
        (lambda: White() + SE() + White(), "White + SE"),
        (lambda: White() * Linear(), "White * Linear"),
    ],
)
def test_simplifications_change_no_number(before, after):
    k = before()
    simple = k.optimize(*NORMAL_FORM)
    np.testing.assert_allclose(simple(X), k(X), atol=1e-12)
    np.testing.assert_allclose(simple(X, Z), k(X, Z), atol=1e-12)
    modules = to_kernel(simple.expression())
    assert str(modules) == after
    np.testing.assert_allclose(modules(X), k(X), atol=1e-12)


def test_to_kernel_keeps_parameters():
    k = structure()
    again = to_kernel(k.expression())
    assert set(again.store.values()) == set(k.store.values())
    own = {c: Parameter(c.value, support=c.support) for c in k.store.values()}
    other = to_kernel(k.expression(), own)
    assert not set(other.store.values()) & set(k.store.values())
    np.testing.assert_allclose(other(X), k(X))


def test_a_parameter_may_be_any_variable():
    lengthscale = at.dscalar("lengthscale")
    gram = SE(2.0, lengthscale)(at.matrix("x"))
    (graph,) = [ae.rewrites.interpret(ae.core.Graph((), (gram,)))]
    x = next(v for v in ae.core.graph.leaves(graph.outputs) if v.name == "x")
    program = ae.Backend("jax").compile([x, lengthscale], graph.outputs)
    (got,) = program(X, np.asarray(0.5))
    np.testing.assert_allclose(got, se(X, X, 2.0, 0.5))


def test_a_module_before_a_kernel(tmp_path):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(6, 3))
    net = Net()
    k = Warped(net, SE(2.0, 0.7)) * Linear() + White(0.1)
    got = k(x)
    wanted = se(net(x), net(x), 2.0, 0.7) * (x @ x.T) + 0.1 * np.eye(6)
    np.testing.assert_allclose(got, wanted, atol=1e-5)  # net(x) alone runs in float32
    k.save(tmp_path / "k.safetensors")
    np.testing.assert_allclose(ae.load(tmp_path / "k.safetensors")(x), got)
    modules = to_kernel(k.expression())
    np.testing.assert_allclose(modules(x), got)
    assert set(modules.store.values()) == set(k.store.values())
    assert "Warped" in str(graph_of(k)[0].outputs[0].owner.inputs[0].owner.inputs[0].owner.op)


def test_alternatives_reach_every_part_of_a_kernel():
    from aeframe.gp import moves

    graph, _ = graph_of(SE() + Linear() * Periodic())
    found = [
        str(to_kernel(made.outputs[0]))
        for _, _, made in alternatives(graph, [moves(White)[0], moves(White)[1]])
    ]
    assert sorted(found) == sorted(
        [
            "SE + White + Linear * Periodic",
            "SE * White + Linear * Periodic",
            "SE + (Linear + White) * Periodic",
            "SE + Linear * White * Periodic",
            "SE + Linear * (Periodic + White)",
            "SE + Linear * Periodic * White",
            "SE + Linear * Periodic + White",
            "SE + Linear * Periodic * White",
            "SE + Linear * Periodic + White",
            "(SE + Linear * Periodic) * White",
        ]
    )


@pytest.mark.parametrize(
    ("use", "error", "words"),
    [
        (lambda: Periodic()(np.ones((4, 2))), ShapeError, ["Periodic", "(*, 1)", "(*, 2)"]),
        (
            lambda: (Linear() + SE(lengthscale=[1.0, 2.0]))(np.ones((4, 3))),
            ShapeError,
            ["kernels[1]", "(*, 2)", "(*, 3)", "fix:"],
        ),
        (lambda: SE()(np.ones((4, 2)), np.ones((4, 3))), ShapeError, ["`z`"]),
        (lambda: SE()(np.ones((4, 2, 2))), ShapeError, ["(n, d)"]),
        (lambda: SE(lenghtscale=2.0), ArgumentError, ["'lengthscale'"]),
        (lambda: SE(-1.0), DataError, ["SE.variance", "Positive"]),
        (lambda: Sum(SE(), 3.0), ArgumentError, ["3.0"]),
        (lambda: Product(), ArgumentError, ["no kernels"]),
        (lambda: Warped(SE(), 1.0), ArgumentError, ["Module"]),
        (lambda: Warped(Net(), SE()).expression(), StateError, ["width", "data once"]),
        (lambda: to_kernel(at.dscalar()), ArgumentError, ["expression()"]),
        (lambda: SE().op(np.ones(2), 1.0), ShapeError, ["variance"]),
        (
            lambda: ae.Backend("jax").compile([], [SE().expression()]),
            IntermediateError,
            ["kernel(x)"],
        ),
        (lambda: SE() + 3.0, TypeError, ["+"]),
    ],
)
def test_wrong_uses_say_what_to_do(use, error, words):
    with pytest.raises(error) as caught:
        use()
    for word in words:
        assert word in str(caught.value)


def test_a_parameter_cannot_take_the_name_of_what_every_kernel_has():
    with pytest.raises(ArgumentError, match="columns"):

        class Wrong(Kernel):
            columns = hyper(1.0)
