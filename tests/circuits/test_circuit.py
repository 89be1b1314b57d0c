"""Circuits as Modules: the language, rules, files, nesting, size and wrong uses."""

import aesara.tensor as at
import numpy as np
import pytest

import aeframe as ae
from aeframe.circuits import Bernoulli, Circuit, Product, Sum, to_circuit
from aeframe.circuits.ops import ProductOp, SumOp
from aeframe.core.errors import (
    ArgumentError,
    CircuitError,
    DataError,
    FitError,
    IntermediateError,
    ShapeError,
)
from aeframe.rewrites import Alternative, Greedy, Rest, Var, interpret, term
from tests.circuits.strategies import assignments, partial_rows, random_circuit


@pytest.fixture
def circuit():
    a, b, c, d = Bernoulli(0, 0.3), Bernoulli(1, 0.2), Bernoulli(0, 0.9), Bernoulli(1, 0.6)
    return 0.4 * (a * b) + 0.6 * (c * d)


class Logistic(ae.Module):
    def __init__(self, u):
        self.u = ae.Parameter(u)

    def __call__(self):
        return at.sigmoid(self.u)


def test_the_language(circuit):
    assert isinstance(circuit, Sum) and circuit.scope == (0, 1)
    assert np.allclose(circuit.weights.value, [0.4, 0.6])
    found = np.exp(circuit(assignments(2)))
    assert np.allclose(found, [0.248, 0.092, 0.312, 0.348], atol=1e-12)
    assert np.array_equal(circuit.log_prob(assignments(2)), circuit(assignments(2)))
    three = 0.2 * Bernoulli(0, 0.1) + 0.3 * Bernoulli(0, 0.2) + 0.5 * Bernoulli(0, 0.3)
    assert len(three.children) == 3
    assert np.float64(1.0) * Bernoulli(0, 0.1)


def test_rewritten_by_a_rule_of_the_user(circuit):
    c, rest = Var("c", of=ae.circuits.CircuitType()), Rest("rest")
    Alternative("test: first child only", term(SumOp)(Var("w"), c, rest), c)
    smaller = circuit.with_pass(Greedy(["test: first child only"]))
    rows = assignments(2)
    assert np.allclose(smaller.log_prob(rows), circuit.children[0].log_prob(rows))
    assert np.array_equal(smaller.mpe(np.full((1, 2), np.nan)), [[0.0, 0.0]])
    assert set(smaller.sample(2000)[:, 1].astype(int)) == {0, 1}
    assert abs(smaller.sample(2000)[:, 1].mean() - 0.2) < 0.05
    (step,) = smaller.explain().steps
    assert step.rule == "test: first child only"
    difference = ae.diff(circuit, smaller)
    assert [s.rule for s in difference.rewrites] == ["test: first child only"]
    assert any("Sum" in str(node.op) for node in difference.removed) and not difference.added
    kept = to_circuit(smaller.expression())
    assert isinstance(kept, Product) and kept.children[0].p is circuit.children[0].children[0].p
    bigger = 0.5 * smaller + 0.5 * circuit  # a part keeps its passes
    rows = assignments(2)
    both = (np.exp(smaller.log_prob(rows)) + np.exp(circuit.log_prob(rows))) / 2
    assert np.allclose(np.exp(bigger.log_prob(rows)), both)
    assert [s.rule for s in bigger.explain().steps] == ["test: first child only"]


def test_simplifications(circuit):
    a, b, c = (Bernoulli(i, 0.1 * (i + 1)) for i in range(3))
    nested = 1.0 * (a * (b * c))
    simple = nested.optimize()
    assert isinstance(simple.expression().owner.op, ProductOp)
    assert len(simple.expression().owner.inputs) == 3
    assert np.allclose(simple.log_prob(assignments(3)), nested.log_prob(assignments(3)))
    assert {"circuit sum of one", "circuit product in a product"} == {
        s.rule for s in simple.explain().steps
    }


def test_from_an_expression_to_modules():
    a, b = (Bernoulli(0, p).expression() for p in (0.25, 0.5))
    made = to_circuit(SumOp()(at.as_tensor([0.5, 0.5]), a, b))
    assert np.allclose(np.exp(made.log_prob([[1.0]])), 0.375)
    leaf = Bernoulli(0, Logistic(0.0))
    made = to_circuit(Sum([leaf, leaf]).expression())
    assert isinstance(made.children[0].p, ae.Parameter) and made.children[0] is made.children[1]
    with pytest.raises(CircuitError, match="expressions of circuits"):
        to_circuit(at.dscalar())


def test_save_and_load(circuit, tmp_path):
    leaf = Bernoulli(1, 0.4)
    whole = 0.5 * (Bernoulli(0, Logistic(0.3)) * leaf) + 0.5 * (Bernoulli(0, 1.0) * leaf)
    for each in (circuit.optimize(), whole):
        each.save(tmp_path / "circuit.safetensors")
        back = ae.load(tmp_path / "circuit.safetensors")
        assert np.array_equal(back.log_prob(partial_rows(2)), each.log_prob(partial_rows(2)))
    assert back.children[0].children[1] is back.children[1].children[1]
    assert "children[0].children[0]" in circuit.summary()


def test_a_module_gives_a_probability():
    module = Logistic(0.3)
    circuit = Bernoulli(0, module) * Bernoulli(1, 0.5)
    assert "children[0].p.u" in circuit.store
    p = 1 / (1 + np.exp(-0.3))
    rows = np.array([[1.0, np.nan]])
    assert np.allclose(np.exp(circuit.log_prob(rows)), p)
    module.u.value = 0.0
    assert np.allclose(np.exp(circuit.log_prob(rows)), 0.5)
    with pytest.raises(FitError, match=r"children\[0\].p.u"):
        circuit.fit(assignments(2), progress=False)
    result = circuit.freeze("children[0].p").fit(assignments(2), progress=False)
    assert np.isclose(result.log_likelihood, np.log(0.25))


def test_symbolic_parameters_and_a_circuit_in_a_module():
    """Random variables or network outputs as parameters; one probability for each row too."""
    p, w = at.dvector("p"), at.dvector("w")
    mixed = Sum([Bernoulli(0, p), Bernoulli(0, 0.5)], w)
    x = at.TensorType("float64", (None, 1))("x")

    class Half(ae.Module):
        def __init__(self):
            self.inner = mixed

        def __call__(self, x):
            return 0.5 * self.inner(x)

    graph = interpret(ae.lower(Half(), x))
    paths = {n.tag.path for n in ae.core.typed_nodes(graph)}
    assert paths >= {"inner", "inner.children[0]", "inner.children[1]"}
    program = ae.Backend("jax").compile([x, p, w], graph.outputs)
    found = program(np.ones((2, 1)), np.array([0.2, 0.8]), np.array([0.25, 0.75]))[0]
    assert np.allclose(found, 0.5 * np.log([0.425, 0.575]))


def test_a_circuit_in_a_circuit(circuit):
    outer = 0.5 * (circuit * Bernoulli(2, 0.5)) + 0.5 * (circuit * Bernoulli(2, 0.1))
    assert len(outer.store) == 4 + 1 + 2 + 1
    rows = assignments(3)
    inner = circuit.log_prob(rows[:, :2])
    assert np.allclose(outer.log_prob(rows), inner + np.log(np.where(rows[:, 2], 0.3, 0.7)))


def test_deep_circuits_are_walked_without_recursion():
    leaves = [Bernoulli(i, 0.5) for i in range(1000)]
    chain: Circuit = leaves[0]
    for leaf in leaves[1:]:
        chain = chain * leaf
    mixture: Circuit = leaves[0]
    for _ in range(1000):
        mixture = Sum([mixture, leaves[0]])
    assert chain.scope == tuple(range(1000)) and mixture.scope == (0,)
    for deep, n in ((chain, 2999), (mixture, 1002)):
        x = at.TensorType("float64", (None, deep.width))("x")
        graph = interpret(ae.lower(deep, x))
        assert len(ae.core.toposort(graph.results)) == n
        assert len(repr(deep)) < 100
    assert to_circuit(mixture.expression()).scope == (0,)


def test_shared_nodes_keep_the_size_linear():
    node: Circuit = Bernoulli(0, 0.5)
    for _ in range(200):
        node = Sum([node, node])  # 2**200 paths
    assert np.allclose(np.exp(node.log_prob([[1.0]])), 0.5)


@pytest.mark.slow
def test_a_deep_circuit_runs():
    leaf = Bernoulli(0, 0.25)
    node: Circuit = leaf
    for _ in range(1000):
        node = Sum([node, leaf])
    assert np.allclose(np.exp(node.log_prob([[1.0], [np.nan]])), [0.25, 1.0])
    assert node.mpe([[np.nan]]).tolist() == [[0.0]]


def test_em_never_lowers_the_likelihood():
    data = random_circuit(1).sample(300, seed=2)
    data[np.random.default_rng(0).random(data.shape) < 0.2] = np.nan
    start = random_circuit(2)
    result = start.fit(data, steps=30, tolerance=0.0, progress=False)
    gains = np.diff([*result.history, result.log_likelihood])
    assert np.all(gains > -1e-12) and result.log_likelihood - result.history[0] > 1e-3
    assert np.isclose(np.exp(start.log_prob(assignments(3))).sum(), 1.0)


def test_em_finds_the_closed_form():
    leaf = Bernoulli(0, 0.5)
    data = np.array([[1.0], [1.0], [0.0], [np.nan]])
    result = leaf.fit(data, steps=100, tolerance=1e-14, progress=False)
    assert np.isclose(leaf.p.value, 2 / 3, atol=1e-6)
    assert "converged" in str(result) and "log-likelihood of a row" in str(result)
    shared = ae.Parameter(0.5)
    (Bernoulli(0, shared) * Bernoulli(1, shared)).fit([[1.0, 0.0], [1.0, 1.0]], progress=False)
    assert np.isclose(shared.value, 0.75)


def test_frozen_parameters_stay():
    circuit = Sum([Bernoulli(0, 0.2), Bernoulli(0, 0.9)]).freeze("weights")
    circuit.fit([[1.0], [1.0], [0.0]], steps=5, progress=False)
    assert np.array_equal(circuit.weights.value, [0.5, 0.5])
    assert circuit.children[0].p.value != 0.2


def test_integers_and_lists_are_data(circuit):
    rows = [[0, 1], [1, 1]]
    assert np.allclose(circuit.log_prob(rows), circuit.log_prob(np.array(rows, dtype="float64")))


a, b = Bernoulli(0, 0.5), Bernoulli(1, 0.5)
WRONG = {
    "different columns": (
        lambda: ((0.5 * a + 0.5 * b) * Bernoulli(2)).expression(),
        CircuitError,
        r"different columns\n  at:       children\[0\]",
    ),
    "shared column": (
        lambda: (0.5 * (a * a) + 0.5 * a).log_prob([[1.0]]),
        CircuitError,
        r"column in common\n  at:       children\[0\]",
    ),
    "root": (lambda: (a * a).expression(), CircuitError, "the root, a Product"),
    "weights given": (lambda: Sum([a, a], [0.5, 0.4]), CircuitError, "add up to 0.9"),
    "weights so far": (
        lambda: ((0.5 * a + 0.4 * a) * b).log_prob([[1.0, 1.0]]),
        CircuitError,
        r"add up to 0.9\n  at:       children\[0\]",
    ),
    "negative weight": (lambda: Sum([a, a], [1.5, -0.5]), CircuitError, "wrong weights"),
    "number of weights": (lambda: Sum([a, a], [1.0]), CircuitError, "2 positive numbers"),
    "no weights": (lambda: a + b, ArgumentError, "needs a weight"),
    "symbolic weight": (lambda: at.dscalar() * a, ArgumentError, "weights=vector"),
    "symbolic vector": (lambda: Sum([a, a], at.dscalar()).expression(), ShapeError, "one weight"),
    "no circuit": (lambda: Sum([a, 0.5]), ArgumentError, "are circuits"),
    "no children": (lambda: Product([]), ArgumentError, "one circuit or more"),
    "column": (lambda: Bernoulli(-1, 0.5), ArgumentError, "counted from 0"),
    "probability": (lambda: Bernoulli(0, 1.5), DataError, "outside its support"),
    "width": (lambda: (a * b).log_prob(np.zeros((2, 3))), ShapeError, r"\(\*, 2\)"),
    "vector": (lambda: (a * b).mpe(np.zeros(2)), ShapeError, r"got: +\(2,\)"),
    "symbolic width": (lambda: (a * b)(at.TensorType("float64", (4, 3))()), ShapeError, "columns"),
    "value": (lambda: (a * b).log_prob([[0.0, 2.0]]), DataError, "row 0, column 1"),
    "no rows": (lambda: a.fit(np.zeros((0, 1))), DataError, "no rows"),
    "impossible row": (lambda: Bernoulli(0, 1.0).fit([[0.0]], progress=False), DataError, "prob"),
    "no tensor": (
        lambda: ae.Backend("jax").compile([], [a.expression()]),
        IntermediateError,
        "circuit.log_prob",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_uses(name):
    act, error, message = WRONG[name]
    with pytest.raises(error, match=message):
        act()
