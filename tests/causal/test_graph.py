"""Causal graphs: of Models, separation against exact independence, projection, pictures."""

from itertools import combinations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import aeframe as ae
from aeframe.causal import CausalGraph, plot
from aeframe.core.errors import ArgumentError, UnknownNameError
from tests.causal.cases import CASES, of_kind
from tests.causal.exact import Discrete, subsets

SEEDS = st.integers(0, 2**32 - 1)


class Schools(ae.Model):
    def __call__(self, x):
        mu = self.sample("mu", ae.Normal(0, 1))
        sd = self.sample("sd", ae.HalfNormal(1))
        effect = self.sample("effect", ae.Normal(mu, sd), shape=4)
        mean = self.deterministic("mean", effect * x)
        self.sample("y", ae.Normal(mean, sd))


class Outer(ae.Model):
    def __init__(self):
        self.part = Schools()

    def __call__(self, x):
        sites = self.part(x)
        self.sample("z", ae.Normal(sites["y"][0], 1))


def edges(text):
    return CausalGraph([e.split("→") for e in text.split()])


def test_the_graph_of_a_model():
    x = np.ones(4)
    hierarchy = "mu→effect sd→effect effect→mean mean→y sd→y"
    graph = CausalGraph.of(Schools(), x)
    assert graph == edges(hierarchy)
    assert graph.kinds["mean"] == "deterministic"
    assert CausalGraph.of(Schools(), x, inputs=True) == edges(hierarchy + " x→mean")
    inside = [f"part.{a}→part.{b}" for a, b in (e.split("→") for e in hierarchy.split())]
    assert CausalGraph.of(Outer(), x) == edges(" ".join([*inside, "part.y→z"]))


def test_what_was_observed_and_set():
    model, x = Schools(), np.ones(4)
    observed = CausalGraph.of(model.observe({"y": np.zeros(4)}), x)
    assert observed == CausalGraph.of(model, x)
    assert observed.kinds["y"] == "observed"
    done = CausalGraph.of(model.intervene({"effect": np.ones(4)}), x)
    assert done == CausalGraph.of(model, x).without_incoming("effect")
    assert done.kinds["effect"] == "do"
    policy = model.intervene({"effect": lambda natural, sites: natural + sites["mu"]})
    assert CausalGraph.of(policy, x).parents("effect") == {"effect.natural", "mu"}


def test_hidden_sites_become_bidirected_edges():
    graph = CausalGraph.of(Schools(), np.ones(4), hidden=["sd", "mean"])
    assert graph == CausalGraph([("mu", "effect"), ("effect", "y")], [("effect", "y")])
    with pytest.raises(UnknownNameError, match="did you mean 'sd'"):
        CausalGraph.of(Schools(), np.ones(4), hidden="sdd")


@pytest.mark.parametrize("name", of_kind("d-separation"))
def test_known_separations(name):
    case = CASES[name]
    graph = CausalGraph(case["graph"]["directed"])
    found = [graph.separated(q["x"], q["y"], q["given"]) for q in case["query"]]
    assert found == case["answer"]


def dependence(joint, x, y, z):
    """How far two binary variables are from independence given others."""
    p = joint.sum([v for v in joint.dims if v not in {x, y, *z}])
    return float(abs(p * p.sum([x, y]) - p.sum(x) * p.sum(y)).max())


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_separated_is_independent_in_a_random_model(seed):
    model = Discrete(seed, size=5)
    joint = model.joint()
    x, y = model.choose(1, 1)
    (a,), (b,) = x, y
    for z in subsets(set(model.names) - x - y):
        assert model.graph.separated(x, y, z) == (dependence(joint, a, b, z) < 1e-12)


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_a_projection_says_the_same_of_what_is_left(seed):
    model = Discrete(seed, size=6, bidirected=0.1)
    hidden, z = model.choose(2, 1)
    projected = model.graph.project(hidden)
    assert set(projected.nodes) == set(model.names) - hidden
    for x, y in combinations(sorted(set(model.names) - hidden - z), 2):
        assert projected.separated(x, y, z) == model.graph.separated(x, y, z)
        assert (y in projected.descendants(x)) == (y in model.graph.descendants(x))


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_independencies_are_those_of_separable_pairs(seed):
    model = Discrete(seed, size=5)
    graph, joint = model.graph, model.joint()
    found = {frozenset({i.x, i.y}): i for i in graph.independencies()}
    for x, y in combinations(model.names, 2):
        sets = [z for z in subsets(set(model.names) - {x, y}) if graph.separated(x, y, z)]
        assert (frozenset({x, y}) in found) == bool(sets)
        if sets:
            given_ = frozenset(found[frozenset({x, y})].given)
            assert dependence(joint, x, y, given_) < 1e-12
            assert not any(z < given_ for z in sets)


def test_relatives():
    graph = CausalGraph(["AB", "BC", "AC", "CD"], bidirected=["AD"], nodes="E")
    assert graph.parents("C") == {"A", "B"} and graph.children(["A", "B"]) == {"C"}
    assert graph.ancestors("C") == {"A", "B", "C"} and graph.descendants("B") == {"B", "C", "D"}
    assert set(graph.districts) == {frozenset(d) for d in ("AD", "B", "C", "E")}
    assert graph.subgraph(["A", "C", "D"]) == CausalGraph(["AC", "CD"], ["AD"])
    assert graph.without("B") == CausalGraph(["AC", "CD"], ["AD"], "E")
    assert graph.without_incoming("D") == CausalGraph(["AB", "BC", "AC"], nodes=["D", "E"])
    assert graph.without_outgoing("A") == CausalGraph(["BC", "CD"], ["AD"], "E")
    assert str(graph) == "A → B, A → C, B → C, C → D, A ↔ D, E"
    assert hash(graph) == hash(graph.project(())) and graph != graph.without("E")
    assert graph.order.index("B") < graph.order.index("C")


def test_wrong_graphs():
    with pytest.raises(ArgumentError, match="A → B → C → A"):
        CausalGraph(["AB", "BC", "CA"])
    with pytest.raises(ArgumentError, match="to itself"):
        CausalGraph([], bidirected=["AA"])
    with pytest.raises(ArgumentError, match="a pair of names"):
        CausalGraph([("A", "B", "C")])
    with pytest.raises(ArgumentError, match="list of pairs"):
        CausalGraph("AB")
    graph = CausalGraph([("size", "treatment"), ("treatment", "cured")])
    with pytest.raises(UnknownNameError, match="did you mean 'treatment'"):
        graph.parents("treatmnt")
    with pytest.raises(ArgumentError, match="share nothing"):
        graph.separated("size", "cured", "size")


def arrows(ax):
    """How many arrows of each line style are drawn."""
    drawn = [t.arrow_patch for t in ax.texts if getattr(t, "arrow_patch", None)]
    return sorted(str(a.get_linestyle()) for a in drawn)


def test_pictures():
    with mpl.rc_context({"backend": "agg"}):
        graph = CausalGraph(["WR", "RX", "XY"], bidirected=["WX", "WY"])
        ax = graph.plot()
        assert [t.get_text() for t in ax.texts if t.get_text()] == list("WRXY")
        assert len(arrows(ax)) == 5 and arrows(ax).count("solid") == 3
        given_axes = plt.subplots(1, 2)[1]
        cut = graph.without_incoming("X")
        before, after = plot(graph, cut, ax=given_axes)
        assert len(arrows(before)) == 5
        assert arrows(after).count(":") == 1 and len(arrows(after)) == 4
        frames = {
            t.get_text(): t.get_bbox_patch().get_linewidth() for t in after.texts if t.get_text()
        }
        assert max(frames, key=frames.get) == "X"
        plt.close("all")


def test_no_two_variables_share_a_place():
    from aeframe.causal.picture import layout

    for seed in range(5):
        places = layout(Discrete(seed, size=8).graph)
        assert len({tuple(p) for p in places.values()}) == 8
        assert all(
            places[a][1] > places[b][1] for a, b in Discrete(seed, size=8).graph.directed.edges
        )
