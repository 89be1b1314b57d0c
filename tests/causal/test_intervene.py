"""Interventions against closed forms: atomic, soft, shift, policy; their laws and wrong uses."""

import time

import aesara.tensor as at
import numpy as np
import pytest
from scipy import stats

import aeframe as ae
from aeframe.causal import Intervene
from aeframe.core import lower, toposort
from aeframe.core.errors import ArgumentError, DataError, ShapeError, UnknownNameError
from aeframe.prob import sites_of


class XY(ae.Model):
    """X ~ N(0, 1), Y ~ N(2X, 1)."""

    def __call__(self):
        x = self.sample("X", ae.Normal(0, 1))
        self.sample("Y", ae.Normal(2 * x, 1))


@pytest.mark.parametrize("backend", ["jax", "c"])
def test_the_original_is_not_changed(backend):
    with ae.Backend(backend):
        model = XY()
        before = model.log_prob({"X": 1.0, "Y": 2.0})
        done = model.intervene({"X": 3})
        np.testing.assert_allclose(done.log_prob({"Y": 2.0}), -8.9189385332, atol=1e-9)
        np.testing.assert_allclose(before, -2.3378770664, atol=1e-9)
        assert model.log_prob({"X": 1.0, "Y": 2.0}) == before
        n = 4000
        drawn = done.prior_predictive(n)
        assert abs(drawn["Y"].mean() - 6.0) < 3 / np.sqrt(n)
        np.testing.assert_array_equal(drawn["X"], np.full(n, 3.0))
        np.testing.assert_allclose(done.fit(inference=ae.MAP(restarts=1)).values["Y"], 6.0)
    assert model.passes == ()
    assert done.random_state is model.random_state


def test_both_worlds_draw_the_same_noise():
    model = XY()
    natural, done = model.prior_predictive(50), model.intervene({"X": 3}).prior_predictive(50)
    np.testing.assert_allclose(natural["Y"] - 2 * natural["X"], done["Y"] - 6.0, atol=1e-12)


def test_shift_keeps_the_natural_value_as_a_site():
    done = XY().intervene({"X": lambda natural: natural + 1})
    drawn = done.prior_predictive(20)
    np.testing.assert_allclose(drawn["X"], drawn["X.natural"] + 1)
    expected = stats.norm.logpdf(0.5) + stats.norm(3.0, 1).logpdf(2.0)
    np.testing.assert_allclose(done.log_prob({"X.natural": 0.5, "Y": 2.0}), expected)


def test_expressions_on_the_sites_of_another_lowering():
    model = XY()
    sites = model.expression()
    shift = model.intervene({"X": sites["X"] + 1}).prior_predictive(20)
    same = model.intervene({"X": lambda natural: natural + 1}).prior_predictive(20)
    np.testing.assert_array_equal(shift["Y"], same["Y"])
    policy = model.intervene({"Y": -sites["X"]}).prior_predictive(5)
    np.testing.assert_array_equal(policy["Y"], -policy["X"])


def test_a_policy_sees_other_sites_and_their_interventions():
    model = XY().intervene({"Y": lambda natural, sites: natural + 10 * sites["X"], "X": 2.0})
    drawn = model.prior_predictive(10)
    np.testing.assert_allclose(drawn["Y"], drawn["Y.natural"] + 20.0)


def test_a_distribution_replaces_the_mechanism():
    done = XY().intervene({"X": ae.Normal(5, 2)})
    expected = stats.norm(5, 2).logpdf(4.0) + stats.norm(8, 1).logpdf(7.0)
    np.testing.assert_allclose(done.log_prob({"X": 4.0, "Y": 7.0}), expected)
    drawn = done.prior_predictive(4000)
    assert abs(drawn["Y"].mean() - 10) < 3 * np.sqrt(17 / 4000)
    conditional = XY().intervene({"Y": lambda natural, sites: ae.Normal(-sites["X"], 0.1)})
    expected = stats.norm.logpdf(1.0) + stats.norm(-1, 0.1).logpdf(-1.0)
    np.testing.assert_allclose(conditional.log_prob({"X": 1.0, "Y": -1.0}), expected)


def test_composition_the_last_wins_unless_it_is_a_function():
    model = XY()
    assert model.intervene({"X": 1}).intervene({"X": 2}).prior_predictive(1)["X"] == 2.0
    shifted = model.intervene({"X": 1}).intervene({"X": lambda natural: natural + 0.5})
    assert shifted.prior_predictive(1)["X"] == 1.5
    twice = model.intervene({"X": lambda v: v + 1}).intervene({"X": lambda v: 2 * v})
    drawn = twice.prior_predictive(3)
    np.testing.assert_allclose(drawn["X"], 2 * (drawn["X.natural"] + 1))
    both = model.observe({"Y": 2.0}).intervene({"X": 3})
    np.testing.assert_allclose(both.log_prob({}), -8.9189385332, atol=1e-9)
    either = model.intervene({"X": 3}).observe({"Y": 2.0})
    assert either.log_prob({}) == both.log_prob({})
    lost = model.observe({"X": 1.0}).intervene({"X": 3})
    np.testing.assert_allclose(lost.log_prob({"Y": 2.0}), -8.9189385332, atol=1e-9)


class Plates(ae.Model):
    """A plate, a computed site and a coin."""

    def __call__(self, x):
        w = self.sample("w", ae.Normal(0, 1), shape=(3,))
        mean = self.deterministic("mean", w * x)
        coin = self.sample("coin", ae.Bernoulli(0.5))
        self.sample("y", ae.Normal(mean + coin, 1))


X = np.array([1.0, 2.0, 3.0])


def test_plates_and_computed_sites():
    drawn = Plates().intervene({"w": 2}).prior_predictive(2, X)
    np.testing.assert_array_equal(drawn["mean"], [2 * X, 2 * X])
    drawn = Plates().intervene({"mean": [5.0, 6.0, 7.0], "coin": 1}).prior_predictive(2, X)
    np.testing.assert_array_equal(drawn["mean"], [[5.0, 6.0, 7.0]] * 2)
    assert drawn["coin"].dtype == np.int64


class Doubled(ae.Model):
    """A computed site as long as the data."""

    def __call__(self, x):
        self.sample("y", ae.Normal(self.deterministic("mean", 2 * x), 1))


def test_a_number_spreads_over_a_site_of_unknown_size():
    x = at.dvector("x")
    graph = lower(Doubled().intervene({"mean": 5.0, "y": 1.0}), x, method="expression")
    program = ae.Backend("c").compile([x], [graph.outputs[0]])
    np.testing.assert_array_equal(program(X)[0], [5.0, 5.0, 5.0])
    assert set(sites_of(graph.outputs)) == {"mean", "y"}


def test_a_parameter_as_the_value_is_learned():
    dose = ae.Parameter(0.0)
    done = XY().intervene({"X": dose}).observe({"Y": 4.0})
    done.fit(inference=ae.MAP(restarts=1))
    np.testing.assert_allclose(dose.value, 2.0, atol=1e-5)


def test_a_chain_of_a_thousand():
    class Chain(ae.Model):
        def __call__(self):
            x = self.sample("x0", ae.Normal(0, 1))
            for i in range(1, 1000):
                x = self.sample(f"x{i}", ae.Normal(x, 1))

    graph = lower(Chain(), method="expression")
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        done, report = Intervene({"x990": 1.0})(graph)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.15
    assert report.steps[0].before == "x990 ~ normal(x989, 1)"
    old, new = set(toposort(graph.outputs)), toposort(done.outputs)
    assert sum(node not in old for node in new) < 40
    assert sites_of(done.outputs)["x990"].op.kind == "do"


class Schools(ae.Model):
    """Effects by school, as a plate with labels, and by school and year."""

    def __call__(self):
        self.plate("school", ["A", "B", "C"])
        effect = self.sample("effect", ae.Normal(0, 1), dims="school")
        self.sample("year", ae.Normal(effect[:, None], 1), shape=(3, 2), dims=("school", None))
        self.sample("pass", ae.Bernoulli(0.5), dims="school")


def test_entries_of_a_plate_by_label():
    changes = {"effect": {"B": 5.0}, "year": {("A", 1): -1.0, "C": 9.0}, "pass": {"A": 1}}
    done, model = Schools().intervene(changes), Schools()
    drawn, natural = done.prior_predictive(20), model.prior_predictive(20)
    np.testing.assert_array_equal(drawn["effect"][:, 1], 5.0)
    np.testing.assert_array_equal(drawn["effect"][:, [0, 2]], natural["effect"][:, [0, 2]])
    np.testing.assert_array_equal(drawn["year"][:, 0, 1], -1.0)
    np.testing.assert_array_equal(drawn["year"][:, 2], 9.0)
    np.testing.assert_array_equal(drawn["year"][:, 0, 0], natural["year"][:, 0, 0])
    noise = natural["year"][:, 1] - natural["effect"][:, [1]]
    np.testing.assert_allclose(drawn["year"][:, 1], 5.0 + noise, atol=1e-12)
    np.testing.assert_array_equal(drawn["pass"][:, 0], 1)
    # a mask is a function of the natural value
    mask = np.array([True, False, True])
    masked = model.intervene({"effect": lambda natural: at.switch(mask, 0.0, natural)})
    drawn = masked.prior_predictive(20)["effect"]
    np.testing.assert_array_equal(drawn[:, mask], 0.0)
    np.testing.assert_array_equal(drawn[:, 1], natural["effect"][:, 1])


class Measured(ae.Model):
    """Three schools, each measured."""

    def __call__(self):
        self.plate("school", ["A", "B", "C"])
        effect = self.sample("effect", ae.Normal(0, 1), dims="school")
        self.sample("y", ae.Normal(effect, 1.0), dims="school")


def test_entries_of_a_plate_stay_exact():
    done = Measured().intervene({"effect": {"B": 5.0}}).observe({"y": [2.0, 9.0, -4.0]})
    posterior = done.fit(inference=ae.Exact())
    np.testing.assert_allclose(posterior.mean("effect.natural"), [1.0, 0.0, -2.0], atol=1e-12)


class Network(ae.Model):
    """A Module as a mechanism: its hidden layer is a site."""

    def __init__(self):
        self.hidden = ae.nn.Dense(4, dtype="float64")
        self.out = ae.nn.Dense(1, dtype="float64")

    def __call__(self, x):
        h = self.deterministic("hidden units", at.tanh(self.hidden(x)))
        self.sample("y", ae.Normal(self.out(h)[:, 0], 1.0))


def test_inside_a_network():
    model, x = Network(), np.ones((3, 2))
    done = model.intervene({"hidden units": np.zeros((3, 4))})
    shared = [done.hidden is model.hidden, done.out is model.out]
    bias = done.prior_predictive(2000, x)["y"].mean()
    assert shared == [True, True]
    assert abs(bias - model.out.b.value[0]) < 3 / np.sqrt(6000)
    natural = model.prior_predictive(5, x)
    other = done.prior_predictive(5, x)
    hidden = natural["hidden units"]
    moved = np.tensordot(hidden, model.out.w.value, axes=1)[..., 0]
    np.testing.assert_allclose(natural["y"] - other["y"], moved, atol=1e-10)


def test_explain_and_diff_tell_what_was_done():
    model = Schools()
    done = model.intervene({"effect": 1.0}).intervene({"pass": {"A": 1}, "year": ae.Normal(0, 1)})
    steps = [step for report in done.explain().reports for step in report.steps]
    assert [(s.rule, s.path) for s in steps] == [("do", k) for k in ("effect", "pass", "year")]
    assert steps[0].before == "effect ~ normal(0, 1)"
    assert steps[0].after == "effect = 1"
    assert [s.path for s in ae.diff(model, done).rewrites] == ["effect", "pass", "year"]
    assert model.passes == ()


def test_a_posterior_predicts_under_an_intervention():
    model = XY().observe({"Y": 4.0})
    posterior = model.fit(inference=ae.Exact())
    np.testing.assert_allclose(posterior.mean("X"), 1.6)
    done = posterior.unobserved.intervene({"Y": lambda natural: natural + 10.0})
    assert done.log_prob({"X": 0.0, "Y.natural": 0.0}) == pytest.approx(-np.log(2 * np.pi))
    found = ae.causal.worlds(posterior, {"done": {"Y": lambda natural: natural + 10.0}}, n=4000)
    y = found["done", "Y"]
    var = 4 * 0.2 + 1.0
    assert abs(y.mean() - 13.2) < 3 * np.sqrt(var / 4000)
    assert abs(y.var() - var) < 3 * var * np.sqrt(2 / 4000)


def test_an_intervention_inside_a_nested_model_and_from_outside():
    class Outer(ae.Model):
        def __init__(self, inner):
            self.inner = inner

        def __call__(self):
            sites = self.inner()
            self.sample("Z", ae.Normal(sites["Y"], 1))

    inside = Outer(XY().intervene({"X": 3})).prior_predictive(10)
    outside = Outer(XY()).intervene({"inner.X": 3}).prior_predictive(10)
    np.testing.assert_array_equal(inside["Z"], outside["Z"])
    shifted = Outer(XY().intervene({"X": lambda v, sites: v + 1})).prior_predictive(3)
    np.testing.assert_allclose(shifted["inner.X"], shifted["inner.X.natural"] + 1)


class Two(ae.Model):
    """A coin that decides another; and a scale."""

    def __call__(self):
        s = self.sample("s", ae.Bernoulli(0.5))
        self.sample("c", ae.Bernoulli(0.2 + 0.6 * s))


class Scale(ae.Model):
    def __call__(self):
        self.sample("sd", ae.HalfNormal(1.0))


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (lambda: Two().intervene({"s": lambda n: n + 1}).prior_predictive(20), "cannot set 's'"),
        (lambda: Two().intervene({"s": lambda n: n + 1}).fit(), "cannot set 's'"),
        (lambda: ae.causal.ate(Two(), "c", {"s": lambda n: n + 1}, {}), "cannot set 'treated.s'"),
        (lambda: Two().intervene({"s": lambda n: n * 0 + 0.5}).expression(), "real number"),
        (lambda: Two().intervene({"s": lambda n: 2}).expression(), "outside its support"),
        (lambda: Two().intervene({"s": ae.Normal(0, 1)}).expression(), "distribution lies"),
        (lambda: Two().intervene({"s": ae.Poisson(1.0)}).expression(), "distribution lies"),
        (lambda: Scale().intervene({"sd": ae.Normal(0, 1)}).expression(), "distribution lies"),
        (lambda: Scale().intervene({"sd": lambda n: n - 5}).prior_predictive(9), "cannot set 'sd'"),
    ],
)
def test_impossible_values_are_errors(use, words):
    with pytest.raises(DataError, match=words):
        use()


def test_possible_distributions_and_functions():
    drawn = Scale().intervene({"sd": ae.Exponential(1.0)}).prior_predictive(5)
    assert (drawn["sd"] > 0).all()
    assert Two().intervene({"s": ae.Bernoulli(0.9)}).fit().mean("c") == pytest.approx(0.74)
    flipped = Two().intervene({"s": lambda n: 1 - n, "c": lambda n, s: s["s"]})
    assert flipped.fit().mean("c") == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("use", "error", "words"),
    [
        (lambda: XY().intervene({"Z": 1}).expression(), UnknownNameError, "intervene on 'Z'"),
        (lambda: KNOWN.intervene({"x": 1}), UnknownNameError, "did you mean|one of"),
        (lambda: XY().intervene({"X": [1.0, 2.0]}).expression(), ShapeError, "wrong shape"),
        (lambda: Plates().intervene({"w": [1.0, 2.0]}).expression(X), ShapeError, r"\(3,\)"),
        (lambda: Plates().intervene({"coin": 2}).expression(X), DataError, "outside its support"),
        (lambda: Plates().intervene({"coin": 0.5}).expression(X), DataError, "outside its support"),
        (lambda: XY().intervene({"X": np.nan}), DataError, "NaN"),
        (lambda: XY().intervene({"X": "high"}), ArgumentError, "no array of numbers"),
        (lambda: XY().intervene({}), ArgumentError, "takes a dict of sites"),
        (lambda: XY().intervene({"X": lambda v: "high"}).expression(), ArgumentError, "no tensor"),
        (lambda: Schools().intervene({"effect": {"D": 1.0}}).expression(), UnknownNameError, "'D'"),
        (lambda: Schools().intervene({"pass": {"A": 2}}).expression(), DataError, "its support"),
        (
            lambda: Schools().intervene({"effect": {("A", 0): 1.0}}).expression(),
            ShapeError,
            "has 1 axes",
        ),
        (lambda: XY().intervene({"X": ae.Normal}), ArgumentError, "is a class"),
        (lambda: XY().intervene({"X": lambda: 1}).expression(), ArgumentError, "other arguments"),
        (
            lambda: XY().intervene({"X": lambda a, b, c: a}).expression(),
            ArgumentError,
            "other arguments",
        ),
        (
            lambda: XY().intervene({"Y": lambda v, sites: sites["x"]}).expression(),
            UnknownNameError,
            "use the value of 'x'",
        ),
        (
            lambda: Schools().intervene({"effect": {"B": np.ones(2)}}).expression(),
            ShapeError,
            "entry 'B'",
        ),
        (
            lambda: Schools().intervene({"effect": {"B": lambda n: n + 1}}),
            ArgumentError,
            "no value",
        ),
        (
            lambda: XY().intervene({"X": lambda v, sites: sites["Y"]}).expression(),
            ArgumentError,
            "is a cycle",
        ),
        (
            lambda: XY().intervene({"X": XY().expression()["Y"]}).expression(),
            ArgumentError,
            "is a cycle",
        ),
    ],
)
def test_wrong_uses(use, error, words):
    with pytest.raises(error, match=words):
        use()


KNOWN = XY()
KNOWN.expression()
