"""The Model's row of the design's table: rewritten, run, saved, explained, intervened, nested."""

import aesara.tensor as at
import numpy as np
import pytest
from aesara.tensor.random.basic import NormalRV
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import aeframe as ae
from aeframe.core import TypedOp, lower
from aeframe.core.errors import SerializationError
from aeframe.rewrites import Var, term


class DoubleOp(TypedOp):
    """Twice its input."""

    def body(self, x):
        return 2.0 * x


class FourfoldOp(TypedOp):
    """Four times its input."""

    def body(self, x):
        return 4.0 * x


rng, size, dtype, mean = (Var(n) for n in ("rng", "size", "dtype", "mean"))
NORMAL = NormalRV(dtype="float64")
STANDARD = term(NORMAL)(rng, size, dtype, 0.0, 1.0)
x = Var("x")
FOURFOLD = ae.Equality("fourfold", term(DoubleOp)(term(DoubleOp)(x)), term(FourfoldOp)(x))
CENTRED = ae.Equality(
    "non-centred",
    term(NORMAL)(rng, size, dtype, mean, 2.0),
    (STANDARD[0], term(at.add)(mean, term(at.mul)(2.0, STANDARD[1]))),
    gradients=False,
)


class Regression(ae.Model):
    """A Model with a Parameter, an own typed Op and a plate."""

    def __init__(self):
        self.offset = ae.Parameter(0.25)

    def __call__(self, x):
        slope = self.sample("slope", ae.Normal(self.offset, 2.0))
        mean = self.deterministic("mean", DoubleOp()(DoubleOp()(slope * x)))
        self.sample("y", ae.Normal(mean, 1.5))


X, Y = np.array([0.1, 0.4, -0.3]), np.array([1.0, 2.0, 0.5])
VALUES = {"slope": 0.8}
EXPECTED = stats.norm(0.25, 2.0).logpdf(0.8) + stats.norm(4 * 0.8 * X, 1.5).logpdf(Y).sum()


def observed():
    return Regression().observe({"y": Y})


@pytest.mark.parametrize("backend", ["jax", "c"])
def test_run_on_each_backend(backend):
    with ae.Backend(backend):
        np.testing.assert_allclose(observed().log_prob(VALUES, X), EXPECTED, rtol=1e-12)


@pytest.mark.parametrize("backend", ["jax", "c"])
def test_rewritten_by_a_users_rule_on_typed_ops(backend):
    model = observed().optimize(FOURFOLD)
    with ae.Backend(backend):
        np.testing.assert_allclose(model.log_prob(VALUES, X), EXPECTED, rtol=1e-12)
    assert [s.rule for s in model.explain().steps] == ["observe", "fourfold"]
    graph = lower(model, at.constant(X), method="expression")
    assert any(isinstance(n.op, FourfoldOp) for n in ae.core.typed_nodes(graph))


def test_rewritten_by_a_users_rule_on_random_variables():
    model = observed()
    rewritten = Regression().optimize(CENTRED).observe({"y": Y})
    np.testing.assert_allclose(rewritten.log_prob(VALUES, X), EXPECTED, rtol=1e-12)
    assert {s.rule for s in rewritten.explain().steps} == {"non-centred", "observe"}
    a, b = model.prior_predictive(4, X), rewritten.prior_predictive(4, X)
    np.testing.assert_allclose(a["slope"], b["slope"], rtol=1e-12)


def test_save_and_load(tmp_path):
    model = observed().intervene({"slope": 0.5})
    model.offset.value = 0.75
    model.save(tmp_path / "model.safetensors")
    loaded = ae.load(tmp_path / "model.safetensors")
    assert loaded.offset.value == 0.75
    assert loaded.log_prob({}, X) == model.log_prob({}, X)
    assert [s.after for s in loaded.explain(at.constant(X)).steps] == [
        "y = data (3,)",
        "slope = 0.5",
    ]
    drawn, again = model.prior_predictive(2, X), loaded.prior_predictive(2, X)
    np.testing.assert_array_equal(drawn["y"], again["y"])


def test_distributions_and_registered_functions_in_files(tmp_path):
    for change in (ae.Normal(0.0, 3.0), doubled):
        model = Regression().intervene({"slope": change})
        model.save(tmp_path / "model.safetensors")
        loaded = ae.load(tmp_path / "model.safetensors")
        a, b = model.prior_predictive(2, X), loaded.prior_predictive(2, X)
        np.testing.assert_array_equal(a["slope"], b["slope"])


@ae.register
def doubled(natural):
    return 2.0 * natural


def test_a_function_that_is_not_registered_cannot_be_saved(tmp_path):
    model = Regression().intervene({"slope": lambda natural: natural + 1})
    with pytest.raises(SerializationError, match=r"ae\.register"):
        model.save(tmp_path / "model.safetensors")


def test_explain_and_diff():
    model = Regression()
    model.log_prob({"slope": 1.0, "y": Y}, X)
    done = model.intervene({"slope": 0.5}).observe({"y": Y})
    steps = done.explain().steps
    assert [(s.rule, s.path) for s in steps] == [("do", "slope"), ("observe", "y")]
    assert steps[0].before == "slope ~ normal(offset, 2)"
    difference = ae.diff(model, done)
    assert [s.rule for s in difference.rewrites] == ["do", "observe"]
    assert any("do slope" in str(node.op) for node in difference.added)
    assert not ae.diff(model, model)


def test_nest():
    class Group(ae.Model):
        def __init__(self):
            self.parts = [Regression(), Regression()]

        def __call__(self, x):
            for part in self.parts:
                part(x)

    group = Group().observe({"parts[1].y": Y})
    found = group.log_prob({"parts[0].slope": 0.8, "parts[0].y": Y, "parts[1].slope": 0.8}, X)
    np.testing.assert_allclose(found, 2 * EXPECTED, rtol=1e-12)
    assert len(ae.parameters(lower(group, at.constant(X), method="expression"))) == 2


QUERIES = {
    "observe": lambda m, v: m.observe({"slope": v}).log_prob({"y": Y}, X),
    "do": lambda m, v: m.intervene({"slope": v}).log_prob({"y": Y}, X),
    "shift": lambda m, v: m.intervene({"slope": lambda s: s + v}).prior_predictive(3, X),
    "soft": lambda m, v: m.intervene({"slope": ae.Normal(v, 1)}).prior_predictive(2, X, seed=5),
    "deterministic": lambda m, v: m.intervene({"mean": v}).prior_predictive(2, X),
    "draws": lambda m, v: m.prior_predictive(4, X, seed=9),
    "both": lambda m, v: m.observe({"y": Y}).intervene({"slope": v}).log_prob({}, X),
}


@settings(max_examples=6, deadline=None)
@given(st.lists(st.sampled_from(sorted(QUERIES)), min_size=1, max_size=3), st.floats(-3, 3))
def test_queries_leave_the_original_bit_for_bit_as_it_was(names, value):
    MODEL.random_state.restore(STATE)
    before = fingerprint_of(MODEL)
    MODEL.random_state.restore(STATE)
    programs = dict(MODEL._programs)
    for name in names:
        QUERIES[name](MODEL, value)
    np.testing.assert_array_equal(MODEL.random_state.numpy(), STATE)
    assert all(MODEL._programs[k] is v for k, v in programs.items())
    after = fingerprint_of(MODEL)
    assert before[:2] == after[:2]
    np.testing.assert_array_equal(before[2]["y"], after[2]["y"])
    assert before[3] == after[3]


def fingerprint_of(model):
    graph = lower(model, at.TensorType("float64", (3,))(), method="expression")
    text = [str(n.op) for n in ae.core.toposort(graph.results)]
    stream = model(X)  # advances the stream
    return text, float(model.log_prob({"slope": 1.0, "y": Y}, X)), stream, model.summary()


MODEL = Regression()
MODEL.init()
STATE = np.array([3, 7], dtype=np.uint32)
