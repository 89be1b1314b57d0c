"""Sites, names, densities and draws of Models, against SciPy and closed forms."""

import aesara
import aesara.tensor as at
import numpy as np
import pytest
from aesara.tensor.random.basic import NormalRV
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import aeframe as ae
from aeframe import nn
from aeframe.core import Real, cells, lower, typed_nodes
from aeframe.core.errors import (
    ArgumentError,
    DataError,
    DensityError,
    NameTakenError,
    ShapeError,
    StateError,
    UnknownNameError,
)
from aeframe.prob import ObserveOp, SiteOp, sites_of
from aeframe.rewrites import Var, term


class Line(ae.Model):
    """A straight line through data."""

    def __call__(self, x):
        slope = self.sample("slope", ae.Normal(0, 5))
        sd = self.sample("sd", ae.HalfNormal(1))
        mean = self.deterministic("mean", slope * x)
        self.sample("y", ae.Normal(mean, sd))


class Learned(ae.Model):
    """A Model with a Parameter, and with noise of its own."""

    def __init__(self):
        self.bias = ae.Parameter(0.5)

    def __call__(self):
        a = self.sample("a", ae.Normal(self.bias, 1))
        b = self.sample("b", ae.HalfNormal(2))
        self.deterministic("c", a * b)
        self.sample("y", ae.Normal(a * b, 0.5), shape=(3,))


X = np.array([0.5, 1.0, -2.0, 3.0])
Y = np.array([1.0, 2.5, -3.0, 6.5])


def line_log_prob(slope, sd, y=Y):
    parts = stats.norm(0, 5).logpdf(slope), stats.halfnorm(0, 1).logpdf(sd)
    return sum(parts) + stats.norm(slope * X, sd).logpdf(y).sum()


def test_expression_gives_all_sites_in_order():
    x = at.TensorType("float64", (4,))()
    graph = lower(Line(), x, method="expression")
    assert graph.names == ("slope", "sd", "mean", "y")
    assert [v.type.shape for v in graph.outputs] == [(), (), (4,), (4,)]
    kinds = [v.owner.op.kind for v in graph.outputs]
    assert kinds == ["random", "random", "deterministic", "random"]
    assert lower(Line(), x).names == graph.names
    assert sum(isinstance(n.op, SiteOp) for n in typed_nodes(graph)) == 4


def test_random_state_is_threaded_and_advances():
    model = Line()
    first, second = model(X), model(X)
    assert list(first) == ["slope", "sd", "mean", "y"]
    assert first["slope"] != second["slope"]
    graph = lower(model, at.dvector(), method="expression")
    assert list(graph.updates) == [model.random_state]


@pytest.mark.parametrize("backend", ["jax", "c"])
def test_log_prob_is_scipys(backend):
    with ae.Backend(backend):
        whole = Line().log_prob({"slope": 1.5, "sd": 0.7, "y": Y}, X)
        observed = Line().observe({"y": Y}).log_prob({"sd": 0.7, "slope": 1.5}, X)
    np.testing.assert_allclose(whole, line_log_prob(1.5, 0.7), rtol=1e-12)
    np.testing.assert_allclose(observed, whole, rtol=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.floats(-10, 10), st.floats(0.05, 5))
def test_log_prob_at_random_values(slope, sd):
    found = LINE.log_prob({"slope": slope, "sd": sd}, X)
    np.testing.assert_allclose(found, line_log_prob(slope, sd), rtol=1e-9)


LINE = Line().observe({"y": Y})


def test_log_prob_outside_the_support_is_minus_infinity():
    assert LINE.log_prob({"slope": 1.0, "sd": -1.0}, X) == -np.inf

    class Coin(ae.Model):
        def __call__(self):
            self.sample("coin", ae.Bernoulli(0.3))

    assert Coin().log_prob({"coin": 2}) == -np.inf
    np.testing.assert_allclose(np.exp(Coin().log_prob({"coin": 1.0})), 0.3)


def test_symbolic_log_prob_reaches_parameters():
    model = Learned()
    a, b, y = at.dscalar("a"), at.dscalar("b"), at.TensorType("float64", (3,))("y")
    total = model.log_prob({"a": a, "b": b, "y": y})
    assert cells([total]) == [model.bias]
    (slope,) = ae.grad(total, [model.bias])
    function = aesara.function([a, b, y], slope, givens={model.bias: at.constant(np.array(0.5))})
    np.testing.assert_allclose(function(2.0, 1.0, np.ones(3)), 1.5)


def test_log_prob_of_a_chain_of_a_thousand_does_not_recurse():
    class Chain(ae.Model):
        def __call__(self):
            x = self.sample("x0", ae.Normal(0, 1))
            for i in range(1, 1000):
                x = self.sample(f"x{i}", ae.Normal(x, 1))

    values = {f"x{i}": at.dscalar() for i in range(1000)}
    total = Chain().log_prob(values)
    assert len(ae.grad(total, list(values.values()))) == 1000


@pytest.mark.parametrize("backend", ["jax", "c"])
def test_prior_predictive(backend):
    n = 2000
    with ae.Backend(backend):
        drawn = Line().prior_predictive(n, X, seed=3)
        again = Line().prior_predictive(n, X, seed=3)
        other = Line().prior_predictive(n, X, seed=4)
    assert {k: v.shape for k, v in drawn.items()} == {
        "slope": (n,), "sd": (n,), "mean": (n, 4), "y": (n, 4)
    }  # fmt: skip
    np.testing.assert_array_equal(drawn["y"], again["y"])
    assert not np.array_equal(drawn["y"], other["y"])
    assert stats.kstest(drawn["slope"], stats.norm(0, 5).cdf).pvalue > 1e-3
    assert stats.kstest(drawn["sd"], stats.halfnorm(0, 1).cdf).pvalue > 1e-3
    np.testing.assert_allclose(drawn["mean"], drawn["slope"][:, None] * X)
    noise = (drawn["y"] - drawn["mean"]) / drawn["sd"][:, None]
    assert stats.kstest(noise.ravel(), stats.norm.cdf).pvalue > 1e-3
    fixed = Line().observe({"y": Y}).prior_predictive(5, X)
    np.testing.assert_array_equal(fixed["y"], [Y] * 5)


class Improper(ae.Model):
    """A site without draws before one with."""

    def __call__(self):
        a = self.sample("a", ae.Flat(), shape=(3,))
        self.sample("y", ae.Normal(a, 1))


def test_a_prior_without_draws_needs_none_where_its_site_is_given():
    given = np.array([1.0, 0.0, -2.0])
    model = Improper()
    with pytest.raises(ArgumentError, match="nothing can be drawn"):
        model.prior_predictive(5)
    seen = model.observe({"a": given}).prior_predictive(4000)
    done = model.intervene({"a": given + 1}).prior_predictive(4000)
    np.testing.assert_allclose(done["y"] - 1, seen["y"], rtol=1e-12)  # the same noise
    assert stats.kstest((seen["y"] - given).ravel(), stats.norm.cdf).pvalue > 1e-3


def test_a_posterior_of_an_improper_prior_predicts():
    posterior = Improper().observe({"y": np.ones(3)}).fit(inference=ae.MAP())
    predicted = posterior.predict(n=4000)
    np.testing.assert_allclose(predicted["a"], 1.0, atol=1e-4)
    assert stats.kstest((predicted["y"] - 1).ravel(), stats.norm.cdf).pvalue > 1e-3


def test_prior_predictive_compiles_once():
    model = Line()
    model.prior_predictive(10, X)
    programs = dict(model._programs)
    model.prior_predictive(10, X + 1, seed=4)
    model.log_prob({"slope": 1.0, "sd": 1.0, "y": Y}, X)
    model.log_prob({"slope": 2.0, "sd": 1.0, "y": Y}, X)
    assert len(model._programs) == 2
    assert all(model._programs[k] is v for k, v in programs.items())


class Pair(ae.Model):
    """A Model with a Model and a network inside."""

    def __init__(self):
        self.prior = Learned()
        self.net = nn.Dense(1)

    def __call__(self, x):
        inner = self.prior()
        self.sample("z", ae.Normal(self.net(x)[:, 0] + inner["a"], 1))


def test_nested_models_have_the_path_in_their_names():
    model = Pair()
    drawn = model.prior_predictive(3, np.ones((2, 4)))
    assert list(drawn) == ["prior.a", "prior.b", "prior.c", "prior.y", "z"]
    assert set(model.store) >= {"prior.bias", "net.w", "random_state", "prior.random_state"}
    seen = model.observe({"prior.a": 2.0})
    assert np.all(seen.prior_predictive(3, np.ones((2, 4)))["prior.a"] == 2.0)


def test_a_nested_model_keeps_its_own_observations_and_interventions():
    model = Pair()
    model.prior = model.prior.observe({"y": np.ones(3)}).intervene({"a": 4.0})
    x = at.TensorType("float64", (2, 4))()
    found = sites_of(lower(model, x, method="expression").outputs)
    assert isinstance(found["prior.y"].op, ObserveOp)
    assert found["prior.a"].op.kind == "do"
    drawn = model.prior_predictive(2, np.ones((2, 4)))
    np.testing.assert_array_equal(drawn["prior.a"], [4.0, 4.0])


def test_a_model_inside_a_plain_module():
    class Twice(ae.Module):
        def __init__(self):
            self.prior = Learned()

        def __call__(self, x):
            return x + self.prior()["a"]

    module = Twice()
    assert module(np.zeros(2)).shape == (2,)
    assert module(np.zeros(2))[0] != module(np.zeros(2))[0]


def test_random_variables_as_weights_of_a_layer():
    class Network(ae.Model):
        def __call__(self, x):
            w = self.sample("w", ae.Normal(0, 1), shape=(3, 2))
            b = self.sample("b", ae.Normal(0, 1), shape=(2,))
            self.sample("y", ae.Normal(nn.Dense(w, b)(x), 0.1))

    rng = np.random.default_rng(0)
    x, w, b = rng.normal(size=(5, 3)), rng.normal(size=(3, 2)), rng.normal(size=2)
    y = x @ w + b
    expected = stats.norm.logpdf(w).sum() + stats.norm.logpdf(b).sum()
    expected += stats.norm(y, 0.1).logpdf(y).sum()
    found = Network().observe({"y": y}).log_prob({"w": w, "b": b}, x)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_densities_of_transforms_go_through_aeppl():
    class LogNormal(type(ae.Normal(0, 1))):
        support = ae.Positive()

        def draw(self, rng, shape=None):
            advanced, draw = super().draw(rng, shape)
            return advanced, at.exp(draw)

    class Skewed(ae.Model):
        def __init__(self):
            self.mean = ae.Parameter(0.3)

        def __call__(self):
            x = self.sample("x", LogNormal(self.mean, 2.0))
            self.sample("y", ae.Normal(x, 1))

    model = Skewed()
    expected = stats.lognorm(2.0, scale=np.exp(0.3)).logpdf(1.7) + stats.norm(1.7, 1).logpdf(2)
    np.testing.assert_allclose(model.log_prob({"x": 1.7, "y": 2.0}), expected, rtol=1e-10)
    total = model.log_prob({"x": at.dscalar(), "y": 2.0})
    assert cells([total]) == [model.mean]


class Squashed(type(ae.Normal(0, 1))):
    """A distribution whose draws have no density that rules or AePPL find."""

    def draw(self, rng, shape=None):
        advanced, draw = super().draw(rng, shape)
        return advanced, at.sin(draw)


def names(**sites):
    """A Model without data that samples the given sites."""

    class Made(ae.Model):
        def __call__(self):
            for name, make in sites.items():
                self.sample(name, make())

    return Made()


class Hidden(ae.Model):
    """Its density depends on a draw that is no site."""

    def __call__(self):
        noise = NormalRV(dtype="float64").make_node(self.random_state.read(), (), None, 0.0, 1.0)
        self.sample("y", ae.Normal(noise.outputs[1], 1))


class Same(ae.Model):
    """Two sites of one name."""

    def __call__(self):
        self.sample("mu", ae.Normal(0, 1))
        self.sample("mu", ae.Normal(0, 1))


class Outer(ae.Model):
    """The same inside another Model."""

    def __init__(self):
        self.inner = Same()

    def __call__(self):
        self.inner()


@pytest.mark.parametrize(
    ("use", "error", "words"),
    [
        (lambda: Same().expression(), NameTakenError, "at:       mu"),
        (lambda: Outer().expression(), NameTakenError, r"at:       inner\.mu"),
        (lambda: Line().sample("a", ae.Normal(0, 1)), StateError, "inside `__call__`"),
        (lambda: names(a=lambda: 3.0).expression(), ArgumentError, "needs a distribution"),
        (lambda: Line().expression(), StateError, "expected: x"),
        (lambda: Same().expression(1.0), StateError, "(?s)Same takes no data.*leave them out"),
        (lambda: LINE.log_prob({"slope": 1.0}, X), UnknownNameError, "expected: 'sd'"),
        (
            lambda: LINE.log_prob({"slop": 1.0, "sd": 1.0}, X),
            UnknownNameError,
            "did you mean 'slope'",
        ),
        (
            lambda: LINE.log_prob({"slope": 1.0, "sd": 1.0, "y": Y}, X),
            UnknownNameError,
            "give a value to 'y'",
        ),
        (lambda: LINE.log_prob({"slope": [1.0], "sd": 1.0}, X), ShapeError, "slope"),
        (lambda: LINE.log_prob({"slope": np.nan, "sd": 1.0}, X), DataError, "NaN"),
        (lambda: Line().observe({"z": 1.0}).expression(X), UnknownNameError, "observe 'z'"),
        (lambda: LINE.observe({"yy": 1.0}).expression(X), UnknownNameError, "did you mean 'y'"),
        (lambda: LINE.log_prob({"slope": 1.0, "sd": 1.0}), StateError, "expected: x"),
        (lambda: Line().observe({"mean": Y}).expression(X), ArgumentError, "is computed"),
        (lambda: Line().observe({"y": Y[:2]}).expression(X), ShapeError, r"expected: \(4,\)"),
        (lambda: Line().observe({"sd": -1.0}).expression(X), DataError, "outside its support"),
        (lambda: Line().observe({"y": Y * np.nan}), DataError, "NaN"),
        (lambda: Line().observe({"y": "a"}), ArgumentError, "no array of numbers"),
        (lambda: Line().observe({}), ArgumentError, "takes a dict of sites"),
        (
            lambda: names(c=lambda: ae.Bernoulli(0.5)).observe({"c": 2}).expression(),
            DataError,
            "outside its support",
        ),
        (
            lambda: Line().intervene({"sd": 1.0}).observe({"sd": 1.0}).expression(X),
            NameTakenError,
            "set by an intervention",
        ),
        (lambda: names(g=Squashed).log_prob({"g": 1.0}), DensityError, "found for 'g'"),
        (lambda: Hidden().log_prob({"y": 1.0}), DensityError, "draw that is no site"),
        (lambda: Line().prior_predictive(0, X), ArgumentError, "positive integer"),
        (lambda: Line().compile(loss="mse"), ArgumentError, "ae.MAP"),
        (lambda: Line().predict(X), StateError, "posterior"),
    ],
)
def test_wrong_uses(use, error, words):
    with pytest.raises(error, match=words):
        use()


def test_sites_of_different_names_do_not_merge():
    graph = lower(names(a=lambda: ae.Normal(0, 1), b=lambda: ae.Normal(0, 1)), method="expression")
    made = ae.rewrites.Greedy(())(graph)[0]
    assert list(sites_of(made.outputs)) == ["a", "b"]
    assert made.outputs[0] is not made.outputs[1]


def test_observing_symbolic_values():
    y = at.TensorType("float64", (4,))("y")
    total = Line().observe({"y": y}).log_prob({"slope": 1.5, "sd": 0.7}, at.constant(X))
    np.testing.assert_allclose(total.eval({y: Y}), line_log_prob(1.5, 0.7))


def test_site_op_is_the_identity():
    x = at.dvector()
    site = SiteOp("x", "random", Real())(x)
    np.testing.assert_array_equal(site.eval({x: [1.0, 2.0]}), [1.0, 2.0])
    assert site.owner.op == SiteOp("x", "random", Real())
    assert site.owner.op != SiteOp("y", "random", Real())
    assert str(term(SiteOp, name="x")(Var("v")))


def test_arguments_with_defaults_are_those_of_the_call():
    class Rows(ae.Model):
        def __call__(self, rows=()):
            self.sample("x", ae.Normal(0, 1), shape=rows)

    model = Rows()
    assert model.prior_predictive(2, (5,))["x"].shape == (2, 5)
    assert model.prior_predictive(2)["x"].shape == (2,)
