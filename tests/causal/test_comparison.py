"""Each question of the table in ``docs/causal.md`` that we say we answer, answered."""

import re
from pathlib import Path

import aesara.tensor as at
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

import aeframe as ae
from aeframe import causal, gp
from aeframe.causal import CausalGraph, Event, P, identify
from aeframe.core.errors import NotIdentifiableError
from tests.causal.cases import CASES, binary, graph_of

PAGE = Path(__file__).parents[2] / "docs" / "causal.md"
ROWS = [line.split("|")[1:-1] for line in PAGE.read_text().splitlines() if line.startswith("| ")]
TABLE = [[c.strip() for c in row] for row in ROWS if len(row) == 7][2:]
OURS = [row[1] for row in TABLE]
EXACT = {"inference": ae.Enumeration()}


class Confounded(ae.Model):
    """z → x → y, z → y: of tables."""

    Z, X, Y = 0.3, np.array([0.2, 0.7]), np.array([[0.1, 0.4], [0.5, 0.9]])

    def __call__(self):
        z = self.sample("z", ae.Bernoulli(self.Z))
        x = self.sample("x", ae.Bernoulli(at.constant(self.X)[z]))
        self.sample("y", ae.Bernoulli(at.constant(self.Y)[x, z]))


class Linear(ae.Model):
    """The case ``shift_intervention``."""

    def __call__(self):
        z = self.sample("Z", ae.Normal(0, 1))
        x = self.sample("X", ae.Normal(z, 1))
        self.sample("Y", ae.Normal(2 * x + z, 1))


class Unit(ae.Model):
    """The case ``bayes_unit_counterfactual``."""

    def __call__(self):
        beta = self.sample("beta", ae.Normal(0, 1))
        x = self.sample("x", ae.Normal(0, 1))
        self.sample("y", ae.Normal(beta * x, 1))


def atomic_do():
    """Σ_z P(y | x, z) P(z), where conditioning says P(z | x)."""
    m = Confounded
    found = m().intervene({"x": 1}).fit(**EXACT).mean("y")
    np.testing.assert_allclose(found, m.Y[1] @ [1 - m.Z, m.Z], atol=1e-12)
    weights = np.array([1 - m.Z, m.Z]) * m.X
    seen = m().observe({"x": 1}).fit(**EXACT).mean("y")
    np.testing.assert_allclose(seen, m.Y[1] @ weights / weights.sum(), atol=1e-12)


def soft_do():
    """A shift, another distribution, and a policy that sets X to −Z: Y has mean 0, variance 2."""
    answer = CASES["shift_intervention"]["answer"]
    for change, mean, var in (
        (lambda natural: natural + 1, *answer["shift"].values()),
        (ae.Normal(0, 1), *answer["stochastic_N01"].values()),
        (lambda natural, sites: -sites["Z"], 0.0, 2.0),
    ):
        found = Linear().intervene({"X": change}).fit(inference=ae.Exact())
        np.testing.assert_allclose(
            [found.mean("Y"), found.sd("Y") ** 2], [mean, var], rtol=1e-8, atol=1e-8
        )


def do_with_a_posterior():
    """β given (1, 2) is Normal(1, ½): y at x = 3 of a new unit has mean 3 and variance 5.5."""
    posterior = Unit().observe({"x": 1.0, "y": 2.0}).fit(inference=ae.Exact())
    y = causal.worlds(posterior, {"done": {"x": 3.0}}, n=4000)["done", "y"]
    assert abs(y.mean() - 3) < 3 * np.sqrt(5.5 / 4000)
    assert abs(y.var() - 5.5) < 3 * 5.5 * np.sqrt(2 / 4000)


def average_effects():
    """The effect in a stratum, weighted by all, by the treated, by the untreated."""
    m, worlds = Confounded, ({"x": 1}, {"x": 0})
    p, by_stratum = np.array([1 - m.Z, m.Z]), m.Y[1] - m.Y[0]
    for query, weights in ((causal.ate, p), (causal.att, p * m.X), (causal.atu, p * (1 - m.X))):
        found = query(m(), "y", *worlds, **EXACT).estimate
        np.testing.assert_allclose(found, by_stratum @ weights / weights.sum(), atol=1e-12)
    among = causal.cate(m(), "y", *worlds, given={"z": 1}, **EXACT).estimate
    np.testing.assert_allclose(among, by_stratum[1], atol=1e-12)


class Mediation(ae.Model):
    """The case ``mediation_homework``."""

    def __call__(self):
        t = self.sample("T", ae.Bernoulli(0.5))
        m = self.sample("M", ae.Bernoulli(at.constant([0.4, 0.75])[t]))
        self.sample("Y", ae.Bernoulli(at.constant([[0.2, 0.3], [0.4, 0.8]])[t, m]))


def mediation():
    """Against the textbook's numbers."""
    answer, worlds = CASES["mediation_homework"]["answer"], ({"T": 1}, {"T": 0}, ["M"])
    direct = causal.natural_direct_effect(Mediation(), "Y", *worlds, **EXACT).estimate
    indirect = causal.natural_indirect_effect(Mediation(), "Y", *worlds, **EXACT).estimate
    np.testing.assert_allclose([direct, indirect], [answer["NDE"], answer["NIE"]], atol=1e-8)


def unit_counterfactual():
    """The slope and the noise of one unit are abducted together."""
    answer = CASES["bayes_unit_counterfactual"]["answer"]["same_unit_y_x3"]
    found = Unit().counterfactual(evidence={"x": 1.0, "y": 2.0}, do={"x": 3.0})
    np.testing.assert_allclose(found.mean("counterfactual", "y"), answer["mean"], atol=1e-8)
    np.testing.assert_allclose(found.sd("counterfactual", "y") ** 2, answer["var"], atol=1e-8)


class Drug(ae.Model):
    """P(y | x) = 0.8, P(y | x') = 0.2."""

    def __call__(self):
        x = self.sample("x", ae.Bernoulli(0.5))
        self.sample("y", ae.Bernoulli(0.2 + 0.6 * x))


def causation():
    """Of a monotone mechanism, where PN, PS and PNS have formulas; bounds of Pearl's court case."""
    question = Drug(), {"y": 1}, {"x": 1}, {"x": 0}
    noise = {"noise": {"y": causal.InverseCDF()}}
    both = causal.probability_of_necessity_and_sufficiency(*question, **noise)
    necessity = causal.probability_of_necessity(*question, **noise)
    sufficiency = causal.probability_of_sufficiency(*question, **noise)
    np.testing.assert_allclose([both, necessity, sufficiency], [0.6, 0.75, 0.75], atol=1e-8)
    case = CASES["pn_legal"]["answer"]
    bounds = causal.causation_bounds([[2, 998], [28, 972]], [0.016, 0.014])
    np.testing.assert_allclose(bounds.necessity, [case["PN_lower"], case["PN_upper"]])
    low, high = causal.causation_bounds([[40, 10], [10, 40]], [0.8, 0.2]).both
    np.testing.assert_allclose([low, high], [0.6, 0.8])


def separation():
    """The case's ten questions."""
    case, graph = CASES["d_separation"], graph_of("d_separation")
    found = [graph.separated(q["x"], q["y"], q["given"]) for q in case["query"]]
    assert found == case["answer"]


def adjustment():
    """All minimal sets; the frontdoor; the set with the least variance has causes of y alone."""
    case = CASES["adjustment_sets_pearl_backdoor"]
    found = causal.backdoor_sets(graph_of("adjustment_sets_pearl_backdoor"), "Y", do="T")
    assert set(found) == {frozenset(s) for s in case["answer"]}
    front = causal.frontdoor_sets(graph_of("smoking_frontdoor"), "cancer", do="smoking")
    assert front == (frozenset({"tar"}),)
    best = causal.optimal_adjustment_set(CausalGraph(["ZX", "ZY", "XY", "WY"]), "Y", do="X")
    assert best == {"W", "Z"}


def _by_value(name, outcome, do, given=()):
    """An effect by its formula, on the observational joint, and by intervening."""
    model, y, x, z = binary(name), outcome, do, given
    formula = identify(graph_of(name), y, x, z)
    assert not {v for v in formula.free if v.startswith("U")}
    truth = P(y, z, x).evaluate(model)
    found = formula.evaluate(model)
    np.testing.assert_allclose(found.broadcast_like(truth).transpose(*truth.dims), truth, atol=1e-8)
    return found


def identification():
    """ID and IDC by value; the bow graph is refused with its hedge."""
    _by_value("frontdoor", "Y", "X")
    _by_value("cond_idc", "Y", "X", "Z")
    with pytest.raises(NotIdentifiableError) as refused:
        identify(graph_of("bow"), "Y", do="X")
    hedge = refused.value.hedge
    assert hedge.outer == graph_of("bow") and hedge.inner.nodes == ("Y",)


def counterfactual_identification():
    """P(Y_{X=0} = 1 | X = 1) by the frontdoor, against two worlds of the Model; PN is refused."""
    model, graph = binary("frontdoor"), graph_of("frontdoor")
    query = causal.identify_counterfactual(graph, [Event("Y", 1, {"X": 0})], [Event("X", 1)])
    found = causal.observational(query, graph).evaluate(model)
    twin = causal.worlds(model, {"off": {"X": 0}}, given={"X": 1}, **EXACT)
    np.testing.assert_allclose(found, twin.probability(("off", "Y", 1)), atol=1e-8)
    with pytest.raises(NotIdentifiableError):
        causal.identify_counterfactual(
            CausalGraph(["XY"]), [Event("Y", 0, {"X": 0})], [Event("X", 1), Event("Y", 1)]
        )


def napkin():
    """By value, which is not P(Y | X)."""
    found = _by_value("napkin", "Y", "X").sel(Y=1)
    values = CASES["napkin"]["answer"]["values"]
    np.testing.assert_allclose(
        found.sel(X=[0, 1]), [values["P(Y=1|do(X=0))"], values["P(Y=1|do(X=1))"]], atol=1e-6
    )
    naive = P("Y", "X").evaluate(binary("napkin")).sel(Y=1)
    assert np.abs(found - naive).max() > 0.001


class Surrogate(ae.Model):
    """z → x → y, where hidden u and v make z and x, and z and y, alike."""

    def __call__(self):
        u, v = self.sample("u", ae.Bernoulli(0.4)), self.sample("v", ae.Bernoulli(0.6))
        z = self.sample("z", ae.Bernoulli(0.2 + 0.3 * u + 0.4 * v))
        x = self.sample("x", ae.Bernoulli(0.1 + 0.5 * z + 0.3 * u))
        self.sample("y", ae.Bernoulli(0.2 + 0.3 * x + 0.4 * v))


def experiments():
    """What randomizing z tells of x; without it nothing does (Bareinboim and Pearl 2012)."""
    model = Surrogate()
    graph = CausalGraph.of(model, hidden=["u", "v"])
    with pytest.raises(NotIdentifiableError):
        identify(graph, "y", do="x")
    found = identify(graph, "y", do="x", experiments=["z"]).evaluate(model).sel(y=1)
    np.testing.assert_allclose(found, 0.2 + 0.3 * np.array([0, 1]) + 0.4 * 0.6, atol=1e-8)


def _table(n):
    rng = np.random.default_rng(0)
    z, u, x = rng.normal(size=(3, n))
    a = (rng.random(n) < 1 / (1 + np.exp(-x))).astype(int)
    dose = z + u + rng.normal(size=n)
    y = 1.5 * a + x + rng.normal(size=n)
    return pd.DataFrame({"z": z, "x": x, "a": a, "y": y, "dose": dose, "w": 2 * dose - 3 * u})


def estimation():
    """Effects of 1.5 and 2 that no plain comparison finds."""
    data, few = _table(1000), causal.Bootstrap(20)
    outcome = causal.Regressor(LinearRegression(), "y ~ a + x")
    for method in (causal.IPW(bootstrap=few), causal.AIPW(outcome, folds=2)):
        found = causal.estimate(data, "a", "y", ["x"], method)
        assert abs(found.effect - 1.5) < 4 * found.se < 0.5
    two_stages = causal.TwoStageLeastSquares(["z"])
    found = causal.estimate(data, "dose", "w", method=two_stages)
    assert abs(found.effect - 2) < 4 * found.se < 0.5
    crude = causal.estimate(data, "a", "y", method=causal.IPW(bootstrap=few))
    assert crude.effect - 1.5 > 4 * crude.se


def refuters():
    """A sound estimate stands."""
    method = causal.IPW(bootstrap=causal.Bootstrap(20))
    refutation = causal.estimate(_table(500), "a", "y", ["x"], method).refute()
    assert refutation.good and len(refutation.checks) == 4
    np.testing.assert_allclose(causal.e_value(2.0), 2 + np.sqrt(2))


def independence_tests():
    """A graph that is right passes, one that is wrong does not."""
    data = _table(500)[["x", "a", "y"]].assign(noise=np.random.default_rng(1).normal(size=500))
    assert not causal.tests_of(CausalGraph(["xa", "xy", "ay"], nodes=["noise"]), data).rejected()
    rejected = causal.tests_of(CausalGraph(["xa", "ay"]), data).rejected()
    assert [str(r) for r in rejected] == ["x ⊥ y | a"]


def drawing():
    """Two pictures on the same places; what was cut is dotted in the second."""
    with mpl.rc_context({"backend": "agg"}):
        before, after = causal.plot(Confounded(), Confounded().intervene({"x": 1}))
        drawn = [
            [t.arrow_patch.get_linestyle() for t in ax.texts if getattr(t, "arrow_patch", None)]
            for ax in (before, after)
        ]
        assert [len(d) for d in drawn] == [3, 3] and drawn[1].count(":") == 1
        mpl.pyplot.close(before.figure)


class Mixed(ae.Model):
    """A network from x to h; a Gaussian process on h."""

    def __init__(self):
        self.network = ae.nn.Dense(1, dtype="float64")

    def __call__(self, x):
        h = self.deterministic("h", self.network(x))
        self.sample("y", ae.MultivariateNormal(np.zeros(3), gp.SE(1.0, 1.0)(h) + 1e-6 * np.eye(3)))


def networks_as_mechanisms():
    """Far apart inputs of the process make its values independent; equal ones, equal."""
    model, x = Mixed(), np.ones((3, 2))
    alike = model.prior_predictive(2000, x)["y"]
    assert np.abs(alike - alike[:, :1]).max() < 0.05
    apart = model.intervene({"h": np.array([[0.0], [50.0], [100.0]])}).prior_predictive(2000, x)
    off = np.corrcoef(apart["y"].T) - np.eye(3)
    assert np.abs(off).max() < 4 / np.sqrt(2000)


@pytest.mark.parametrize("name", [cell.strip("`") for cell in OURS if cell != "no"])
def test_a_cell_of_the_table(name):
    globals()[name]()


def test_the_table_says_what_we_can_and_cannot():
    assert all(re.fullmatch(r"`\w+`|no", cell) for cell in OURS)
    here = {n for n, v in globals().items() if getattr(v, "__module__", "") == __name__}
    functions = {n for n in here if n.islower() and not n.startswith(("_", "test_"))}
    assert functions == {cell.strip("`") for cell in OURS} - {"no"}
    assert "no" in OURS
