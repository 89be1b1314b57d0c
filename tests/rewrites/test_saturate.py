"""The e-graph, saturation and its limits, extraction and enumeration."""

from itertools import islice, product
from math import comb

import aesara.tensor as at
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aeframe.core import Graph, expand, toposort
from aeframe.core.errors import RewriteError
from aeframe.nn.ops import DenseOp, ReluOp
from aeframe.rewrites import (
    EQUALITIES,
    Alternative,
    EGraph,
    Equality,
    GreedyExtraction,
    Limits,
    OptimalExtraction,
    Problem,
    Var,
    models,
    saturate,
    term,
)
from aeframe.rewrites.rule import RULES
from aeframe.rewrites.split import Needs, parts
from aeframe.rewrites.vocabulary import AddOp, MulOp, TransposeOp
from tests.evaluate import evaluate

a, b, c, x, y = Var("a"), Var("b"), Var("c"), Var("x", "*x"), Var("y", "*x")
add, mul, relu, turn = term(AddOp), term(MulOp), term(ReluOp), term(TransposeOp, axes=(1, 0))
dense = term(DenseOp)
ASSOCIATE = Equality("test association", add(add(a, b), c), add(a, add(b, c)))
DISTRIBUTE = Equality("test distribution", mul(a, add(x, y)), add(mul(a, x), mul(a, y)), both=True)
FACTOR = Equality("test linear", dense(dense(a, b), c), dense(a, dense(b, c)), both=True)
TWICE = Equality("test twice", relu(relu(a)), relu(a))
TURNED = Equality("test turned", turn(turn(a)), a)
GROW = Equality("test growth", relu(a), relu(relu(a)))
TO_TRANSPOSE = Alternative("test to a transpose", relu(a), turn(a))
TO_TWO = Alternative("test to two transposes", relu(a), turn(turn(a)))
RULES_HERE = [ASSOCIATE, DISTRIBUTE, TWICE, TURNED]
for rule in (*RULES_HERE, FACTOR, GROW, TO_TRANSPOSE, TO_TWO):
    RULES.pop(rule.name)  # tests of declared rules do not see them
SIZES = {"Add": 1.0, "Mul": 3.0, "Relu": 2.0, "Transpose": 0.5}


def tensors(n, *shape):
    return [at.TensorType("float64", shape)(f"x{i}") for i in range(n)]


def cost(node):
    return SIZES.get(str(node.op).split("(")[0], 1.0)


def problem(graph, rules, **limits):
    found = saturate(graph, rules, Limits(**limits))
    return Problem.of(found.egraph, found.results, cost), found


LEAVES = tensors(3, 2, 2)
expressions = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda p: AddOp()(*p)),
        st.tuples(inner, inner).map(lambda p: MulOp()(*p)),
        inner.map(ReluOp()),
        inner.map(TransposeOp((1, 0))),
    ),
    max_leaves=6,
)


@settings(max_examples=25, deadline=None)
@given(expressions)
def test_classes_are_congruent_and_their_expressions_are_equal(expression):
    choices, found = problem(Graph(tuple(LEAVES), (expression,)), RULES_HERE, nodes=150)
    egraph = found.egraph
    keys = [(n.op, *sorted(map(id, map(egraph.find, n.inputs)))) for n in egraph.applies()]
    assert len(set(keys)) == len(keys)  # equal Applies on equal classes are one
    for node in egraph.applies():
        assert all(egraph.find(v) is v for v in node.inputs)
        assert all(node in egraph.makers(egraph.find(o)) for o in node.outputs)
    values = [np.random.default_rng(i).normal(size=(2, 2)) for i in range(3)]
    given_graph = Graph(tuple(LEAVES), (expression,))
    (wanted,) = evaluate(LEAVES, expand(given_graph).outputs, values)
    greedy, best = GreedyExtraction()(choices), OptimalExtraction()(choices)
    for choice in (greedy, best):
        graph = expand(choices.graph(choice, given_graph))
        np.testing.assert_allclose(evaluate(LEAVES, graph.outputs, values)[0], wanted, atol=1e-9)
    assert choices.cost(best) <= choices.cost(greedy) + 1e-12
    least, _ = next(models(choices))
    assert choices.cost(best) == pytest.approx(least)


def test_a_union_is_what_its_users_see():
    p, q, r = tensors(3, 2)
    egraph = EGraph()
    one, two, three = egraph.add([ReluOp()(p), ReluOp()(q), ReluOp()(r)])
    egraph.union(p, q)
    egraph.union(q, r)
    egraph.rebuild()
    assert egraph.find(one) is egraph.find(two) is egraph.find(three) and len(egraph) == 1


def test_values_of_two_types_are_not_equal():
    p, q = tensors(1, 2)[0], tensors(1, 3)[0]
    egraph = EGraph()
    egraph.add([p, q])
    with pytest.raises(RewriteError, match="another type"):
        egraph.union(p, q, "some rule")


@pytest.mark.parametrize("n", range(2, 7))
def test_all_ways_to_associate_a_sum_are_enumerated_once(n):
    leaves = tensors(n, 2)
    total = leaves[0]
    for leaf in leaves[1:]:
        total = AddOp()(total, leaf)
    choices, found = problem(Graph(tuple(leaves), (total,)), [ASSOCIATE], uses=10_000)
    made = [choices.graph(m, Graph(tuple(leaves), (total,))) for _, m in models(choices)]
    assert found.stopped == "saturated"
    # a sum has no order: the binary trees with n named leaves, (2n − 3)!!
    trees = np.prod([2 * k - 3 for k in range(2, n + 1)], dtype=int)
    assert len(made) == len({shape(g.outputs[0]) for g in made}) == trees


def shape(variable):
    """An expression as nested sets."""
    if variable.owner is None:
        return variable
    return frozenset(map(shape, variable.owner.inputs))


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6])
def test_products_of_matrices_associate_in_catalan_many_ways(n):
    leaves = tensors(n, 2, 2)
    total = leaves[0]
    for leaf in leaves[1:]:
        total = DenseOp()(total, leaf)
    choices, _ = problem(Graph(tuple(leaves), (total,)), [FACTOR])
    catalan = comb(2 * n - 2, n - 1) // n
    assert len(list(models(choices))) == catalan


def test_models_come_in_the_order_of_their_costs_and_lazily():
    p, q, r = tensors(3, 2)
    choices, _ = problem(Graph((p, q, r), (MulOp()(p, AddOp()(q, r)),)), [DISTRIBUTE])
    costs = [found for found, _ in models(choices)]
    assert costs == [4.0, 7.0] and [found for found, _ in models(choices, most=5.0)] == [4.0]


@pytest.mark.parametrize("n", [4, 200])
def test_the_cheapest_models_of_a_chain_come_without_the_others(n):
    p = x0 = tensors(1, 2, 2)[0]
    for _ in range(n):
        x0 = ReluOp()(x0)
    choices, _ = problem(Graph((p,), (x0,)), [TO_TRANSPOSE, TO_TWO])
    found = [found for found, _ in islice(models(choices), 5)]
    assert found == [0.5 * n] + [0.5 * n + 0.5] * 4  # of 3ⁿ graphs


def test_the_optimum_shares_where_greedy_cannot_see_it():
    p, q, r, s = tensors(4, 2)
    shared = AddOp()(p, q)
    results = (AddOp()(AddOp()(p, r), q), AddOp()(AddOp()(q, s), p))
    choices, _ = problem(Graph((p, q, r, s), results), [ASSOCIATE])
    best = OptimalExtraction()(choices)
    assert choices.cost(best) == 3.0 == next(models(choices))[0]
    assert choices.cost(GreedyExtraction()(choices)) >= 3.0
    assert any(shape(v) == shape(shared) for v in best if v in choices.order(best))


@pytest.mark.parametrize("seed", range(8))
def test_the_optimum_is_that_of_all_choices(seed):
    rng = np.random.default_rng(seed)
    p, q, r = tensors(3, 2, 2)
    first = ReluOp()(ReluOp()(AddOp()(AddOp()(p, q), r)))
    graph = Graph((p, q, r), (AddOp()(TransposeOp((1, 0))(TransposeOp((1, 0))(first)), first),))
    found = saturate(graph, [ASSOCIATE, TWICE, GROW, TURNED], Limits(iterations=2))
    choices = Problem.of(found.egraph, found.results, lambda node: float(rng.integers(1, 9)))
    classes = [v for v, nodes in choices.makers.items() if nodes]
    picks = product(*(choices.makers[v] for v in classes))
    ways = [dict(zip(classes, pick, strict=True)) for pick in picks]
    least = min(choices.cost(w) for w in ways if choices.order(w) is not None)
    assert len(ways) > 1 and choices.cost(OptimalExtraction()(choices)) == least
    graphs = {
        frozenset((v, w[v]) for v in order if v in w) for w in ways if (order := choices.order(w))
    }
    found_costs = [cost for cost, _ in models(choices)]
    assert found_costs == sorted(found_costs) and found_costs[0] == least
    assert sorted(choices.cost(dict(g)) for g in graphs) == found_costs


def test_layers_that_need_each_other_are_not_joined():
    stack = EQUALITIES[[r.name for r in EQUALITIES].index("one layer of several inputs")]
    w, p, q = tensors(3, 2, 2)
    layer = DenseOp()
    for first, second, joined in ((p, q, True), (p, ReluOp()(layer(p, w)), False)):
        graph = Graph((w, p, q), (layer(first, w), layer(second, w)))
        assert bool(saturate(graph, [stack]).events) is joined


def test_what_needs_what_it_makes_is_no_choice():
    (p,) = tensors(1, 2, 2)
    choices, found = problem(Graph((p,), (ReluOp()(p),)), [GROW, TWICE])
    (result,) = found.results
    needs = Needs(choices.makers, choices.inputs)
    leaf = found.egraph.find(p)
    assert needs(result, leaf) and not needs(leaf, result) and needs.of([result]) == {result, leaf}
    assert parts(choices) == []


def test_no_extraction_goes_round_in_a_circle():
    (p,) = tensors(1, 2, 2)
    choices, found = problem(Graph((p,), (ReluOp()(p),)), [GROW, TWICE])
    (result,) = found.results
    assert any(result in map(found.egraph.find, n.inputs) for n in found.egraph.makers(result))
    free = Problem.of(found.egraph, found.results, lambda node: 0.0)
    for extraction, given_problem in product(
        (GreedyExtraction(), OptimalExtraction()), (choices, free)
    ):
        assert given_problem.order(extraction(given_problem)) is not None


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        (Limits(nodes=60), "limit of 60 nodes"),
        (Limits(iterations=2), "limit of 2 iterations"),
        (Limits(seconds=0.0), "limit of 0 s"),
        (Limits(uses=8), "limit of 8 uses of a rule"),
    ],
)
def test_the_report_says_which_limit_was_reached(limits, why):
    leaves = tensors(9, 2)
    total = leaves[0]
    for leaf in leaves[1:]:
        total = AddOp()(total, leaf)
    assert saturate(Graph(tuple(leaves), (total,)), [ASSOCIATE], limits).stopped == why


def test_saturation_stops_at_its_goal():
    p, q, r = tensors(3, 2)
    graph = Graph((p, q, r), (AddOp()(AddOp()(p, q), r), AddOp()(p, AddOp()(q, r))))
    found = saturate(graph, [ASSOCIATE], until=lambda egraph, results: results[0] is results[1])
    assert found.stopped == "goal reached" and found.iterations == 1


def test_alternatives_keep_the_choices_of_equal_layers_apart():
    (p,) = tensors(1, 2)
    first = Alternative("test tanh", relu(a), term(at.tanh)(a))
    second = Alternative("test sin", relu(a), term(at.sin)(a))
    for rule in (first, second):
        RULES.pop(rule.name)
    graph = Graph((p,), (ReluOp()(ReluOp()(p)),))
    found = saturate(graph, [first, second])
    choices = Problem.of(
        found.egraph, found.results, lambda node: 1.0, keep=set(found.egraph.applies())
    )
    kinds = {
        tuple(str(n.op) for n in toposort(choices.graph(m, graph).outputs))
        for _, m in models(choices)
    }
    assert len(kinds) == 9


@pytest.mark.parametrize("n", [600, pytest.param(5001, marks=pytest.mark.slow)])
def test_long_chains_are_saturated_without_recursion(n):
    (h,) = start = tensors(1, 2, 2)
    for i in range(n):
        h = TransposeOp((1, 0))(h) if i % 3 else ReluOp()(h)
    choices, found = problem(Graph(tuple(start), (h,)), [TWICE, TURNED], nodes=20_000)
    assert found.stopped == "saturated"
    best = GreedyExtraction()(choices)
    assert choices.cost(best) == SIZES["Relu"]


def test_a_result_that_is_an_input_costs_nothing():
    (p,) = tensors(1, 2, 2)
    turned = TransposeOp((1, 0))
    choices, _ = problem(Graph((p,), (turned(turned(p)),)), [TURNED])
    assert choices.cost(OptimalExtraction()(choices)) == 0.0
