"""ID* and IDC* against the enumeration of all units of random functional models."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aeframe.causal import CausalGraph, Event, identify_counterfactual, observational
from aeframe.causal.estimand import Zero
from aeframe.causal.evaluate import Joint, _value
from aeframe.core.errors import ArgumentError, NotIdentifiableError, UnknownNameError
from tests.causal.cases import counts, graph_of
from tests.causal.exact import Functional


def valued(estimand, model):
    """The number that an estimand is, with its experiments made on a functional model."""

    def joint(names, do):
        return Joint(model.joint(do)).joint((*names, *do), ())

    return float(_value(estimand, SimpleNamespace(joint=joint)))


@st.composite
def questions(draw):
    """A model, and events of some worlds, each of which may set a variable or two."""
    model = Functional(draw(st.integers(0, 2**32 - 1)))
    value = st.integers(0, 1)
    names = st.sampled_from(model.names)
    worlds = draw(st.lists(st.dictionaries(names, value, max_size=2), min_size=1, max_size=2))
    events = st.builds(Event, names, value, do=st.sampled_from([{}, *worlds]))
    gamma = draw(st.lists(events, min_size=1, max_size=2))
    return model, gamma, draw(st.lists(events, max_size=2))


@settings(max_examples=200, deadline=None)
@given(questions())
def test_random_models_against_enumeration(question):
    model, gamma, delta = question
    below = model.probability(delta)
    assume(below > 0)
    try:
        estimand = identify_counterfactual(model.graph, gamma, delta)
    except NotIdentifiableError as error:
        assert len(error.hedge) == 3
        return
    truth = model.probability([*gamma, *delta]) / below
    np.testing.assert_allclose(valued(estimand, model), truth, atol=1e-9)


def ask(graph, event, *given_):
    return str(identify_counterfactual(graph, [event], given_))


def test_the_effect_on_the_treated():
    confounded = CausalGraph(["ZX", "ZY", "XY"])
    treated = Event("Y", 1, {"X": 0}), Event("X", 1)
    found = identify_counterfactual(confounded, treated[:1], treated[1:])
    assert str(observational(found, confounded)).startswith(
        "(Σ_{Z} P(X=1 | Z) P(Y=1 | X=0, Z) P(Z)"
    )
    bow = CausalGraph(["XY"], bidirected=["XY"])
    with pytest.raises(NotIdentifiableError, match=r"X at [01] and at [01]"):
        ask(bow, *treated)
    experiment = identify_counterfactual(bow, treated[:1])
    assert str(experiment) == "P(Y=1 | do(X=0))"
    with pytest.raises(NotIdentifiableError, match="a hedge"):
        observational(experiment, bow)


def test_the_treated_of_a_table():
    """Patients who got A, had they got B: their recovery is that of B, by their sizes of stone."""
    graph, table = graph_of("kidney_stones"), counts("kidney_stones")
    would = Event("recovered", 1, {"treatment": "B"})
    found = identify_counterfactual(graph, [would], [Event("treatment", "A")])
    answer = observational(found, graph).evaluate(table, weights="n")
    expected = (87 * 234 / 270 + 263 * 55 / 80) / 350
    np.testing.assert_allclose(answer, expected, rtol=1e-12)


def test_what_is_and_would_have_been_are_one_where_nothing_differs():
    chain = CausalGraph(["XY", "YZ"])
    same = Event("Y", 1, {"X": 1})
    assert identify_counterfactual(chain, [same], [Event("X", 1), Event("Y", 0)]) == Zero()
    assert ask(chain, same, Event("X", 1), Event("Y", 1)) == "1"
    assert ask(chain, Event("Z", 1, {"X": 0, "Y": 1})) == "P(Z=1 | do(Y=1))"
    assert ask(chain, Event("X", 1, {"X": 1})) == "1"
    assert ask(chain, Event("X", 0, {"X": 1})) == "0"
    with pytest.raises(NotIdentifiableError):  # the probability of necessity
        ask(chain, Event("Y", 0, {"X": 0}), Event("X", 1), Event("Y", 1))


def test_the_example_of_the_paper():
    """Figure 1 of Shpitser and Pearl 2007: ``P(y_x | x', z_d, d)`` is identifiable."""
    graph = CausalGraph(["XW", "WY", "DZ", "ZY"], bidirected=["XY"])
    events = [Event("Y", 1, {"X": 0}), Event("X", 1), Event("Z", 1, {"D": 1}), Event("D", 1)]
    found = identify_counterfactual(graph, events[:1], events[1:])
    assert "P(W | do(X=0))" in str(found)
    assert "P(X=1, Y=1 | do(W, Z=1))" in str(found)


def test_wrong_questions():
    graph = CausalGraph(["XY"])
    with pytest.raises(UnknownNameError, match="'Q'"):
        identify_counterfactual(graph, [Event("Y", 1, {"Q": 0})])
    with pytest.raises(ArgumentError, match="cannot happen"):
        identify_counterfactual(graph, [Event("Y", 1)], [Event("X", 1), Event("X", 0)])
    assert str(Event("Y", 1, {"X": 0})) == "Y_{X=0}=1"
