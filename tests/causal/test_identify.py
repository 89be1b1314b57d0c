"""ID and IDC: known answers by value, random graphs against enumeration, hedges by definition."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import aeframe as ae
from aeframe.causal import CausalGraph, P, identify
from aeframe.core.errors import ArgumentError, NotIdentifiableError, UnknownNameError
from tests.causal.cases import CASES, binary, graph_of, of_kind
from tests.causal.exact import Discrete, is_hedge

SEEDS = st.integers(0, 2**32 - 1)
IDENTIFIABLE = [c for c in of_kind("identification") if CASES[c]["answer"]["identifiable"]]
OTHERS = [c for c in of_kind("identification") if c not in IDENTIFIABLE]


def question(name):
    q = CASES[name]["query"]
    return q["outcome"], q["do"], q["given"]


def parsed(text):
    """The values in a text such as ``P(Y=1|do(A=0,B=1);Z=0)``."""
    words = text.replace("P(", "").replace("do(", ",").replace(")", ",").replace("|", ",")
    pairs = [w.split("=") for w in words.replace(";", ",").split(",") if w]
    return {name: int(value) for name, value in pairs}


@pytest.mark.parametrize("name", IDENTIFIABLE)
def test_known_answers_by_value(name):
    outcome, do, z = question(name)
    with ae.Backend("jax"):
        model = binary(name)
        hidden = [v for v in model.expression() if v.startswith("U")]
        graph = CausalGraph.of(model, hidden=hidden)
        assert graph == graph_of(name)
        estimand = identify(graph, outcome, do, z)
        assert not estimand.free & set(hidden)
        found = estimand.evaluate(model)
        experiment = P(outcome, z, do).evaluate(model)
    for text, value in CASES[name]["answer"]["values"].items():
        at = parsed(text)
        here = {v: at[v] for v in found.dims}
        np.testing.assert_allclose(found.sel(here), value, atol=1e-8, err_msg=text)
        np.testing.assert_allclose(experiment.sel(at), value, atol=1e-8, err_msg=text)


@pytest.mark.parametrize("name", OTHERS)
def test_what_cannot_be_identified_has_a_hedge(name):
    outcome, do, z = question(name)
    graph = graph_of(name)
    with pytest.raises(NotIdentifiableError, match="is not identifiable") as error:
        identify(graph, outcome, do, z)
    assert is_hedge(graph, error.value.hedge, frozenset(outcome), frozenset(do))


def test_the_experiment_fails_where_its_condition_helps():
    graph = graph_of("cond_idc")
    assert str(identify(graph, "Y", "X", "Z")) == "P(Y | Z)"
    with pytest.raises(NotIdentifiableError):
        identify(graph, "Y", "X")


def test_napkin_formula():
    estimand = identify(graph_of("napkin"), "Y", "X")
    assert str(estimand) == (
        "Σ_{R} P(R) (Σ_{W} P(W) P(X | R, W) P(Y | R, W, X)) / (Σ_{W} P(W) P(X | R, W))"
    )


@settings(max_examples=150, deadline=None)
@given(SEEDS, st.integers(1, 2), st.integers(1, 2), st.integers(0, 1))
def test_random_graphs_against_enumeration(seed, outcomes, treatments, conditions):
    model = Discrete(seed, size=5)
    y, x, z = model.choose(outcomes, treatments, conditions)
    try:
        estimand = identify(model.graph, y, x, z)
    except NotIdentifiableError as error:
        assert error.hedge.roots
        assert z or is_hedge(model.graph, error.hedge, y, x)
        return
    assert estimand.free <= y | x | z
    found, truth = estimand.evaluate(model.joint()), model.effect(y, x, z)
    np.testing.assert_allclose((found - truth).values, 0.0, atol=1e-9)


@settings(max_examples=150, deadline=None)
@given(SEEDS)
def test_one_treatment_is_identified_exactly_where_tian_and_pearl_say(seed):
    """``P(v | do(x))`` is identifiable iff no bidirected path leads from x to a child of x."""
    model = Discrete(seed, size=6)
    (x,) = model.choose(1)
    district = next(d for d in model.graph.districts if x <= d)
    expected = not district & model.graph.children(x)
    try:
        identify(model.graph, set(model.names) - x, x)
    except NotIdentifiableError:
        assert not expected
    else:
        assert expected


@settings(max_examples=50, deadline=None)
@given(SEEDS)
def test_without_hidden_causes_all_is_identified(seed):
    model = Discrete(seed, size=6, bidirected=0.0)
    y, x, z = model.choose(1, 2, 1)
    found = identify(model.graph, y, x, z).evaluate(model.joint())
    np.testing.assert_allclose((found - model.effect(y, x, z)).values, 0.0, atol=1e-9)


def test_a_long_chain():
    names = [f"v{i}" for i in range(60)]
    graph = CausalGraph(pairwise(names))
    assert str(identify(graph, "v59", "v30")) == "P(v59 | v30)"


def test_wrong_questions():
    graph = graph_of("napkin")
    with pytest.raises(UnknownNameError, match="'XY'"):
        identify(graph, "Y", do="XY")
    with pytest.raises(ArgumentError, match="share nothing"):
        identify(graph, "Y", do="X", given="X")
    with pytest.raises(ArgumentError, match="share nothing"):
        identify(graph, (), do="X")
    with pytest.raises(ArgumentError, match="a Model or a CausalGraph"):
        identify({"X": "Y"}, "Y", do="X")


def test_surrogate_experiments():
    """What randomizing Z, a cause of X, says of X (Bareinboim and Pearl 2012)."""
    graph = CausalGraph(["ZX", "XY"], bidirected=["ZX", "ZY"])
    with pytest.raises(NotIdentifiableError):
        identify(graph, "Y", "X")
    assert str(identify(graph, "Y", "X", experiments=["X"])) == "P(Y | do(X))"
    found = identify(graph, "Y", "X", experiments=["Z"])
    assert str(found) == "Σ_{Z} P(Y | do(Z), X) P(Z)"
    with pytest.raises(ArgumentError, match="no study that randomized Z"):
        found.evaluate({(): {v: np.array([0, 1]) for v in "XYZ"}})


@settings(max_examples=100, deadline=None)
@given(SEEDS, st.integers(1, 2), st.integers(0, 1), st.integers(1, 2))
def test_experiments_of_others_against_enumeration(seed, treatments, conditions, randomized):
    model = Discrete(seed, size=5, bidirected=0.4)
    y, x, z = model.choose(1, treatments, conditions)
    (study,) = model.choose(randomized)
    try:
        estimand = identify(model.graph, y, x, z, experiments=[study])
    except NotIdentifiableError:
        with pytest.raises(NotIdentifiableError):  # more data never identify less
            identify(model.graph, y, x, z)
        return
    data = {(): model.joint(), tuple(study): model.joint(study)}
    found, truth = estimand.evaluate(data), model.effect(y, x, z)
    np.testing.assert_allclose((found - truth).values, 0.0, atol=1e-9)
