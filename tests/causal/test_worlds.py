"""The laws of worlds: what is shared, what is copied, what is left alone."""

import aesara.tensor as at
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import aeframe as ae
from aeframe.causal import (
    AsIn,
    Worlds,
    ate,
    counterfactual,
    interventional_direct_effect,
    worlds,
)
from aeframe.core import lower, toposort
from aeframe.core.errors import ArgumentError, NameTakenError
from aeframe.prob import sites_of


class Diamond(ae.Model):
    """Z → X → (M, G) → Y, and Z → Y; W beside."""

    def __call__(self):
        self.plate("row", ["a", "b"])
        z = self.sample("Z", ae.Normal(0, 1))
        x = self.sample("X", ae.Normal(z, 1))
        m = self.sample("M", ae.Normal(x, 1), dims="row")
        g = self.sample("G", ae.HalfNormal(at.exp(0.3 * x)))
        mean = self.deterministic("mean", m + z, dims="row")
        self.sample("Y", ae.Normal(mean + g, 1), dims="row")
        self.sample("W", ae.Normal(z, 1))


BOTH = {"natural": {}, "control": {"X": 0.0}, "treated": {"X": 1.0}}


MANY = {
    **BOTH,
    "drawn": {"X": ae.Normal(2, 1)},
    "shift": {"X": lambda natural: natural + 1.0},
    "both": {"Z": 2.0, "X": lambda natural: natural + 1.0},
    "cross": {"X": 1.0, "M": AsIn("control")},
    "other": {"X": 1.0, "M": AsIn("control", redrawn=True)},
    "up": {"M": lambda natural: natural + 1.0},
    "as up": {"M": AsIn("up")},
    "as is": {"Z": AsIn("control")},  # which does not reach it
}
N = 4000


@pytest.fixture(scope="module")
def many():
    return worlds(Diamond(), MANY, n=N)


def test_draws_share_noise_and_what_is_not_reached(many):
    for site in ("Z", "W"):
        assert many["control", site] is many["treated", site]
    np.testing.assert_allclose(many["treated", "M"] - many["control", "M"], 1.0, atol=1e-12)
    noise = [many[w, "M"] - many[w, "X"][:, None] for w in BOTH]
    np.testing.assert_allclose(noise[0], noise[1], atol=1e-12)
    np.testing.assert_allclose(many["treated", "G"], np.exp(0.3) * many["control", "G"], rtol=1e-12)
    # the same numbers whatever else is asked for
    again = worlds(Diamond(), {"treated": {"X": 1.0}}, only=["Y"], n=N)
    np.testing.assert_array_equal(again["treated", "Y"], many["treated", "Y"])


def test_a_world_is_the_model_intervened_on(many):
    alone = Diamond().intervene(MANY["drawn"]).prior_predictive(N, seed=7)
    for site in ("Z", "X", "Y", "G", "W"):
        one, two = many["drawn", site], alone[site]
        error = np.sqrt((one.var(axis=0) + two.var(axis=0)) / N)
        assert (np.abs(one.mean(axis=0) - two.mean(axis=0)) < 3 * error).all()


def test_natural_values_are_the_sites_of_the_natural_world(many):
    np.testing.assert_allclose(many["shift", "X"], many["natural", "X"] + 1.0)
    assert "shift.X.natural" not in many.draws
    # where the natural value is another one in that world, it is a copy
    expected = many["natural", "X"] - many["natural", "Z"] + 2.0 + 1.0
    np.testing.assert_allclose(many["both", "X"], expected, atol=1e-12)


def test_values_as_in_another_world(many):
    np.testing.assert_array_equal(many["cross", "M"], many["control", "M"])
    control, other = (many[w, "M"][:, 0] for w in ("control", "other"))
    assert abs(np.corrcoef(control, other)[0, 1]) < 3 / np.sqrt(N)
    assert abs(other.mean()) < 3 / np.sqrt(N)
    np.testing.assert_array_equal(many["as is", "Y"], many["natural", "Y"])
    np.testing.assert_array_equal(many["as up", "Y"], many["up", "Y"])
    assert (many["up", "Y"] != many["natural", "Y"]).all()


def test_a_dataset_with_the_dim_world(many):
    found = many.dataset()
    assert found["Y"].dims == ("world", "draw", "row")
    assert found["Z"].dims == ("world", "draw")
    assert found["W"].sel(world="control").shape == (N,)
    assert list(found["row"].values) == ["a", "b"]
    assert list(found["world"].values) == list(MANY)
    assert found["Y"].sel(world="treated", row="b").shape == (N,)
    told = str(worlds(Diamond(), BOTH, only=["M"], n=N))
    assert "treated.M[b]   treated" in told
    assert told.count("control.M") == 2


def test_a_sampler_by_rejection_does_not_move_the_noise_of_others():
    class Rejected(ae.Model):
        def __call__(self):
            x = self.sample("X", ae.Normal(0, 1))
            self.sample("G", ae.Gamma(at.exp(x), 1.0))
            self.sample("V", ae.Normal(x, 1))

    with ae.Backend("c"):
        found = worlds(Rejected(), {"a": {"X": 0.0}, "b": {"X": 3.0}}, n=20)
    np.testing.assert_allclose(found["b", "V"] - found["a", "V"], 3.0, atol=1e-12)


def test_only_descendants_are_copied():
    twin = Worlds(Diamond(), BOTH)
    names = list(twin.expression())
    copied = {w: {"X", "M", "G", "mean", "Y"} for w in ("control", "treated")}
    assert set(names) == {"Z", "X", "M", "G", "mean", "Y", "W"} | {
        f"{w}.{s}" for w, sites in copied.items() for s in sites
    }
    graph = lower(twin, method="expression")
    nodes = toposort(graph.outputs)
    base = len(toposort(lower(Worlds(Diamond(), {"natural": {}}), method="expression").outputs))
    above = [n for n in toposort(graph.outputs[:1])]
    assert len(nodes) < 3 * base
    assert all(n in nodes for n in above)
    assert [s.rule for r in twin.explain().reports for s in r.steps] == ["do", "do"]


def test_what_is_known_holds_in_all_worlds():
    n = 4000
    found = worlds(Diamond(), BOTH | {"natural": {"X": 0.5}}, given={"W": 2.0}, n=n)
    # Z | W = 2 is N(1, 1/2), and Y = Z + M + G + noise where X = 0; G is |N(0, 1)|
    mean, var = 1 + np.sqrt(2 / np.pi), 0.5 + 1 + (1 - 2 / np.pi) + 1
    y = found["control", "Y"][:, 0]
    assert abs(y.mean() - mean) < 3 * np.sqrt(var / n)
    assert abs(y.var() - var) < 4 * var * np.sqrt(2 / n)
    np.testing.assert_array_equal(found["treated", "W"], np.full(n, 2.0))


class Outer(ae.Model):
    def __init__(self):
        self.inner = Diamond()

    def __call__(self, x):
        sites = self.inner()
        self.sample("out", ae.Normal(sites["X"] + x, 1))


def test_models_inside_models_and_data():
    x = np.array([1.0, 2.0, 3.0])
    found = worlds(Outer(), {"a": {"inner.X": 0.0}, "b": {"inner.X": 1.0}}, x, n=4)
    np.testing.assert_allclose(found["b", "out"] - found["a", "out"], 1.0, atol=1e-12)
    assert found["a", "inner.Z"] is found["b", "inner.Z"]


def test_a_posterior_keeps_what_no_world_reaches():
    class Line(ae.Model):
        def __call__(self, x):
            slope = self.sample("slope", ae.Normal(0, 1))
            latent = self.sample("latent", ae.Normal(0, 1), shape=(2,))
            dose = self.sample("dose", ae.Normal(x, 1))
            self.sample("y", ae.Normal(slope * dose + latent, 1))

    x = np.array([0.0, 1.0])
    posterior = Line().observe({"dose": x, "y": 2 * x}).fit(x, inference=ae.NUTS(seed=2))
    found = worlds(posterior, {"a": {"dose": 0.0}, "b": {"dose": 1.0}}, n=20)
    kept = posterior.draws(20)
    np.testing.assert_array_equal(found["a", "slope"], kept["slope"])
    np.testing.assert_array_equal(found["a", "latent"], kept["latent"])
    effect = found["b", "y"] - found["a", "y"]
    np.testing.assert_allclose(effect, np.repeat(kept["slope"][:, None], 2, axis=1), atol=1e-12)
    direct = posterior.unobserved.intervene({"dose": 1.0})
    assert direct.log_prob({"slope": 0.0, "latent": x, "y": x}, x) == pytest.approx(
        -5 * np.log(2 * np.pi) / 2 - 0.5
    )


class Random(ae.Model):
    """Sites by a table of weights: normal ones, with coins among them."""

    def __init__(self, weights, coins):
        self.weights, self.coins = weights, coins

    def __call__(self):
        made = []
        for i, (row, coin) in enumerate(zip(self.weights, self.coins, strict=True)):
            mean = sum((w * v for w, v in zip(row, made, strict=False)), at.zeros(()))
            law = ae.Bernoulli(logits=mean) if coin else ae.Normal(mean, 1.0)
            made.append(self.sample(f"s{i}", law))


TABLES = st.lists(
    st.tuples(st.lists(st.sampled_from([-1.0, 0.0, 0.5]), min_size=4, max_size=4), st.booleans()),
    min_size=2,
    max_size=4,
)


@pytest.mark.slow
@settings(max_examples=12, deadline=None, derandomize=True)
@given(TABLES, st.integers(0, 3))
def test_queries_change_nothing_in_any_model(rows, which):
    _require_unchanged(*zip(*rows, strict=True), which)


def test_queries_change_nothing():
    _require_unchanged([[], [0.5], [1.0, -1.0]], [True, False, False], 0)


def _require_unchanged(weights, coins, which):
    """Density, draws, programs, cells and posterior are bit for bit as before the queries."""
    model = Random(list(weights), list(coins))
    names = [f"s{i}" for i in range(len(coins))]
    first, last = names[which % (len(names) - 1)], names[-1]
    point = {k: np.int64(1) if c else 0.5 for k, c in zip(names, coins, strict=True)}
    posterior = model.observe({names[0]: point[names[0]]}).fit(inference=_method(coins))

    def state():
        model.init()
        cells = {k: v.tobytes() for k, v in model.store.snapshot().items()}
        drawn = {**model.prior_predictive(3), **posterior.predict(n=3, seed=1)}
        density = np.asarray(model.log_prob(point)).tobytes()
        programs = {k: id(v.made) for k, v in model.__dict__["_programs"].items()}
        return cells, {k: v.tobytes() for k, v in drawn.items()}, density, programs, model.passes

    before = state()
    whole = np.int64 if coins[names.index(first)] else float
    high, low = {first: whole(1)}, {first: whole(0)}
    ate(model, last, high, low, n=5)
    ate(posterior, last, high, low, n=5, units=2)
    worlds(model, {"a": {}, "b": {first: lambda v: v}}, n=5)
    noise = {k: ae.causal.InverseCDF() for k, c in zip(names, coins, strict=True) if c}
    counterfactual(model, do=low, noise=noise, n=5)
    counterfactual(posterior, do=low, noise=noise, n=5)
    assert state() == before


def _method(coins):
    return ae.Enumeration() if all(coins[1:]) else ae.Gibbs() if any(coins) else ae.Exact()


class XY(ae.Model):
    def __call__(self):
        x = self.sample("X", ae.Normal(0, 1))
        self.sample("Y", ae.Normal(2 * x, 1))


def test_new_values_compile_nothing(monkeypatch):
    backend = ae.Backend("jax")
    made = []
    for name in ("executable", "mapped"):
        old = getattr(type(backend), name)

        def counted(self, *args, _old=old):
            made.append(args)
            return _old(self, *args)

        monkeypatch.setattr(type(backend), name, counted)

    def ask(value):
        model = XY()
        done = model.intervene({"X": value})
        found = worlds(model, {"a": {"X": value}}, n=3)
        seen = {"X": value, "Y": value}
        cases = counterfactual(model, evidence=seen, do={"X": 0.0}, n=3)
        return (
            float(done.log_prob({"Y": 0.0})),
            done.prior_predictive(3)["X"][0],
            found["a", "X"][0],
            cases.mean("counterfactual", "Y"),
        )

    with backend:
        ask(1.0)
        known = len(made)
        assert known > 0
        found = ask(2.0)
        assert len(made) == known
    density = -(4.0**2) / 2 - np.log(2 * np.pi) / 2
    np.testing.assert_allclose(found, [density, 2.0, 2.0, 2.0 - 4.0], atol=1e-12)


@pytest.mark.parametrize(
    ("use", "error", "words"),
    [
        (lambda: worlds(Diamond(), {}), ArgumentError, "dict of changes"),
        (lambda: worlds(Diamond(), {"a": 3}), ArgumentError, "dict of sites"),
        (lambda: worlds(Diamond(), {"a": {"Q": 1}}), KeyError, "'Q'"),
        (lambda: worlds(Diamond(), {"a": {"M": AsIn("b")}}), KeyError, "'b'"),
        (lambda: worlds(Diamond(), {"a": {}}, only=["Q"]), KeyError, "'Q'"),
        (
            lambda: worlds(Diamond(), {"a": {"X": 1.0}}, given={"Y": [1.0, 1.0]}),
            ArgumentError,
            "counterfactual",
        ),
        (lambda: worlds(Diamond(), BOTH, n=2)["here", "Y"], KeyError, "'here'"),
        (lambda: worlds(Taken(), {"a": {"x": 1.0}}), NameTakenError, "a.x"),
    ],
)
def test_wrong_uses(use, error, words):
    with pytest.raises(error, match=words):
        use()


class Taken(ae.Model):
    def __call__(self):
        self.sample("a.x", ae.Normal(self.sample("x", ae.Normal(0, 1)), 1))


def test_mediators_of_rows():
    found = interventional_direct_effect(Diamond(), "Y", {"X": 1.0}, {"X": 0.0}, ["M"], n=2000)
    # through G alone
    assert abs(found.estimate - np.sqrt(2 / np.pi) * np.expm1(0.3)) < 3 * found.error()
    assert sites_of(Worlds(Diamond(), BOTH, ["W"]).expression().values()).keys() == {"Z", "W"}
