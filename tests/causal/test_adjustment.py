"""Adjustment sets, frontdoor sets and instruments: known answers, and random models by value."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import aeframe as ae
from aeframe.causal import (
    CausalGraph,
    Instrument,
    P,
    backdoor_sets,
    frontdoor_sets,
    identify,
    instruments,
    optimal_adjustment_set,
)
from aeframe.causal.estimand import product, total
from aeframe.core.errors import ArgumentError, NotIdentifiableError, UnknownNameError
from tests.causal.cases import CASES, counts, graph_of
from tests.causal.exact import Discrete, Linear, subsets

SEEDS = st.integers(0, 2**32 - 1)


def sets(lists):
    return {frozenset(one) for one in lists}


def ends(name):
    """Treatment and outcome of a case that asks for adjustment sets."""
    words = CASES[name]["query"].replace(":", " ").split()
    return next(w for w in words if "->" in w).split("->")


@pytest.mark.parametrize("name", ["adjustment_sets_shrier_platt", "adjustment_sets_pearl_backdoor"])
def test_known_minimal_adjustment_sets(name):
    x, y = ends(name)
    found = backdoor_sets(graph_of(name), y, x)
    assert set(found) == sets(CASES[name]["answer"]) and len(found) == len(set(found))


def test_kidney_stones():
    graph, answer = graph_of("kidney_stones"), CASES["kidney_stones"]["answer"]
    assert set(backdoor_sets(graph, "recovered", "treatment")) == sets(answer["adjustment_sets"])
    effect = identify(graph, "recovered", "treatment").evaluate(
        counts("kidney_stones"), weights="n"
    )
    a, b = (float(effect.sel(treatment=t, recovered=1)) for t in "AB")
    np.testing.assert_allclose(
        [a, b, a - b], [answer[k] for k in ("P_do_A", "P_do_B", "ATE")], atol=1e-9
    )
    naive = P("recovered", "treatment").evaluate(counts("kidney_stones"), weights="n")
    difference = float(
        naive.sel(treatment="A", recovered=1) - naive.sel(treatment="B", recovered=1)
    )
    np.testing.assert_allclose(difference, answer["naive"], atol=1e-9)


def test_smoking_and_tar():
    graph, answer = graph_of("smoking_frontdoor"), CASES["smoking_frontdoor"]["answer"]
    assert set(frontdoor_sets(graph, "cancer", "smoking")) == sets(answer["frontdoor_sets"])
    assert backdoor_sets(graph, "cancer", "smoking") == ()
    table = counts("smoking_frontdoor")
    effect = identify(graph, "cancer", "smoking").evaluate(table, weights="n").sel(cancer=1)
    np.testing.assert_allclose(effect, [answer["P_do_0"], answer["P_do_1"]], atol=1e-9)
    naive = P("cancer", "smoking").evaluate(table, weights="n").sel(cancer=1)
    np.testing.assert_allclose(naive[1] - naive[0], answer["naive"], atol=1e-9)


def test_m_bias():
    graph, answer = graph_of("m_bias_linear"), CASES["m_bias_linear"]["answer"]
    assert set(backdoor_sets(graph, "Y", "X")) == sets(answer["valid_sets_observed"])
    assert not graph.without_outgoing("X").separated("X", "Y", "M")


class Dose(ae.Model):
    """The case ``iv_linear``; U is hidden."""

    def __call__(self):
        z, u = self.sample("Z", ae.Normal(0, 1)), self.sample("U", ae.Normal(0, 1))
        x = self.sample("X", ae.Normal(0.8 * z + u, 1))
        self.sample("Y", ae.Normal(1.5 * x - 2 * u, 1))


def test_instruments_of_a_model():
    graph = CausalGraph.of(Dose(), hidden="U")
    assert graph == graph_of("iv_linear")
    assert instruments(graph, "Y", "X") == (Instrument("Z"),)
    assert instruments(Dose(), "Y", "X") == (Instrument("Z"),)  # U acts on Y by itself
    drawn = Dose().prior_predictive(20_000)
    s = np.cov([drawn[v] for v in "ZXY"])
    error = 3 * np.sqrt(5 / 20_000) / 0.8
    assert abs(s[0, 2] / s[0, 1] - CASES["iv_linear"]["answer"]["iv"]) < error


def adjusted(joint, y, x, z):
    formula = total(z, product(P(y, x | z), P(z)))
    return formula.evaluate(joint)


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(1, 2))
def test_backdoor_sets_are_the_minimal_ones_that_give_the_effect(seed, treatments):
    model = Discrete(seed, size=5)
    y, x = model.choose(1, treatments)
    joint, truth = model.joint(), model.effect(y, x)
    valid = [
        z
        for z in subsets(set(model.names) - x - y)
        if abs(adjusted(joint, y, x, z) - truth).max() < 1e-10
    ]
    minimal = {z for z in valid if not any(smaller < z for smaller in valid)}
    assert set(backdoor_sets(model.graph, y, x)) == minimal


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_frontdoor_sets_give_the_effect(seed):
    model = Discrete(seed, size=5, directed=0.6)
    y, x = model.choose(1, 1)
    found = frontdoor_sets(model.graph, y, x)
    assert not any(a < b for a, b in combinations(found, 2))
    joint, truth = model.joint(), model.effect(y, x)
    for z in found:
        inner = total(x, product(P(y, x | z), P(x)))
        formula = total(z, product(P(z, x), inner))
        np.testing.assert_allclose((formula.evaluate(joint) - truth).values, 0, atol=1e-10)


def test_frontdoor_sets_of_two_mediators():
    graph = CausalGraph(["XM", "XN", "MY", "NY"], bidirected=["XY"])
    assert frontdoor_sets(graph, "Y", "X") == (frozenset("MN"),)
    assert frontdoor_sets(CausalGraph(["XY"], ["XY"]), "Y", "X") == ()


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_the_optimal_set_has_the_smallest_variance(seed):
    model = Linear(seed, size=6, directed=0.5, bidirected=0.0)
    (y,), (x,) = model.choose(1, 1)
    i, j = model.names.index(x), model.names.index(y)
    if y not in model.graph.descendants(x):
        with pytest.raises(ArgumentError, match="no effect"):
            optimal_adjustment_set(model.graph, y, x)
        return
    variances = {}
    for z in subsets(set(model.names) - {x, y}):
        s = model.given(z)
        if abs(s[i, j] / s[i, i] - model.total_effect(x, y)) < 1e-9:
            # of the coefficient of x in the regression of y on x and z, times n
            variances[z] = (s[j, j] - s[i, j] ** 2 / s[i, i]) / s[i, i]
    best = optimal_adjustment_set(model.graph, y, x)
    assert variances[best] <= min(variances.values()) + 1e-9


def test_where_no_set_is_optimal():
    with pytest.raises(ArgumentError, match="hidden causes"):
        optimal_adjustment_set(CausalGraph(["XY"], ["XY"]), "Y", "X")
    # A1 causes the confounder of A2
    sequential = CausalGraph([("A1", "C"), ("C", "A2"), ("C", "Y"), ("A1", "Y"), ("A2", "Y")])
    with pytest.raises(NotIdentifiableError, match="no adjustment set"):
        optimal_adjustment_set(sequential, "Y", ["A1", "A2"])
    assert backdoor_sets(sequential, "Y", ["A1", "A2"]) == ()


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_instruments_give_the_effect(seed):
    model = Linear(seed, size=5, bidirected=0.4)
    (y,), (x,) = model.choose(1, 1)
    found = instruments(model.graph, y, x)
    assume(found)
    i, j = model.names.index(x), model.names.index(y)
    for instrument in found:
        s, k = model.given(instrument.given), model.names.index(instrument.name)
        np.testing.assert_allclose(s[k, j] / s[k, i], model.total_effect(x, y), atol=1e-6)


def test_wrong_questions():
    graph = graph_of("iv_linear")
    with pytest.raises(UnknownNameError, match="'XZ'"):
        backdoor_sets(graph, "Y", "XZ")
    with pytest.raises(ArgumentError, match="some variables on others"):
        frontdoor_sets(graph, "Y", "Y")
    with pytest.raises(ArgumentError, match="one treatment"):
        instruments(graph, "Y", ["X", "Z"])
