"""The table of the design: four front ends, six things that each of them does."""

import aesara.tensor as at
import numpy as np
import pytest
from aesara.tensor.math import Dot

import aeframe as ae
from aeframe import circuits, gp, nn
from aeframe.circuits import Bernoulli
from aeframe.core import typed_nodes
from aeframe.gp.linalg import CholeskyOp
from aeframe.nn.ops import DenseOp
from aeframe.prob.sites import SiteOp
from aeframe.rewrites import Equality, Prop, Rest, Var, graph_of, term

rng = np.random.default_rng(0)
X = rng.normal(size=(6, 2))
BITS = rng.integers(0, 2, (6, 2)).astype(float)


class Net(ae.Module):
    dtype = "float64"

    def __init__(self):
        self.wide, self.out = nn.Dense(5, bias=False), nn.Dense(1, bias=False)

    def __call__(self, x):
        return self.out(self.wide(x))


class Line(ae.Model):
    def __init__(self):
        self.offset = ae.Parameter(0.5)

    def __call__(self, x):
        slope = self.sample("slope", ae.Normal(0.0, 2.0))
        mean = self.deterministic("mean", nn.relu(nn.relu(slope * x[:, 0] + self.offset)))
        self.sample("y", ae.Normal(mean, 1.0))


def module():
    return Net()


def kernel():
    return gp.SE(2.0, 0.7) * gp.SE(0.5, 1.5) + gp.Linear(0.3)


def circuit():
    one = circuits.Sum([Bernoulli(0, 0.8) * Bernoulli(1, 0.1)], [1.0])
    return 0.4 * one + 0.6 * (Bernoulli(0, 0.3) * Bernoulli(1, 0.6))


def model():
    return Line()


def value(thing):
    """Numbers that say what an object means, on the data of this file."""
    if isinstance(thing, ae.Model):
        return thing.log_prob({"slope": 0.8, "y": np.arange(6.0)}, X)
    return thing(BITS if isinstance(thing, circuits.Circuit) else X)


x, w, v, c = Var("x", "n i"), Var("w", "i k"), Var("v", "k o"), Var("c", of=circuits.CircuitType())
relu = term(nn.ops.ReluOp)
dense, some = term(DenseOp), Rest("rest")
RULES = {
    "Module": Equality("two linear layers", dense(dense(x, w), v), dense(x, term(Dot)(w, v))),
    "Kernel": gp.rules.NORMAL_FORM[6],
    "Circuit": Equality(
        "one child", term(circuits.ops.SumOp)(Var("w", "1"), c), c, gradients=False
    ),
    "Model": Equality("relu of relu", relu(relu(Var("a"))), relu(Var("a"))),
}
MAKE = {"Module": module, "Kernel": kernel, "Circuit": circuit, "Model": model}
KINDS = list(MAKE)


@pytest.mark.parametrize("kind", KINDS)
def test_rewritten_by_a_users_rule(kind):
    thing, rule = MAKE[kind](), RULES[kind]
    before = value(thing)
    better = thing.optimize(rule)
    np.testing.assert_allclose(value(better), before, rtol=1e-10)
    assert rule.name in [s.rule for s in better.explain().steps]
    assert len(typed_nodes(graph_of(thing)[0])) > len(typed_nodes(graph_of(better)[0])) or (
        kind in ("Kernel", "Circuit")
    )
    np.testing.assert_array_equal(value(thing), before)


@pytest.mark.parametrize("kind", KINDS)
def test_runs_on_every_backend(kind):
    thing = MAKE[kind]()
    found = []
    for backend in ("jax", "c", "numba"):
        with ae.Backend(backend):
            found.append(value(thing))
    for other in found[1:]:
        np.testing.assert_allclose(found[0], other, rtol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_loaded_with_its_history(kind, tmp_path):
    thing = MAKE[kind]()
    value(thing)
    better = thing.optimize(RULES[kind])
    before = value(better)
    better.save(tmp_path / "file")
    again = ae.load(tmp_path / "file")
    np.testing.assert_array_equal(value(again), before)
    assert type(again) is type(thing) and len(again.passes) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_explained_and_compared(kind):
    thing = MAKE[kind]()
    value(thing)
    better = thing.optimize(RULES[kind])
    value(better)
    change = ae.diff(thing, better)
    assert RULES[kind].name in [s.rule for s in change.rewrites]
    assert RULES[kind].name in str(change) and RULES[kind].name in str(better.explain())
    assert not ae.diff(thing, thing)
    assert "no difference" in str(ae.diff(better, better))


class WithModule(ae.Model):
    def __init__(self):
        self.net = Net()

    def __call__(self, x):
        scale = self.sample("scale", ae.Normal(0.0, 1.0))
        self.deterministic("mean", scale * self.net(x)[:, 0])


class WithKernel(ae.Model):
    def __call__(self, x):
        scale = self.sample("scale", ae.HalfNormal(1.0))
        z = self.sample("z", ae.Normal(np.zeros(6), 1.0))
        covariance = gp.SE(scale, 1.0)(x) + at.constant(1e-6 * np.eye(6))
        self.deterministic("mean", at.dot(CholeskyOp()(covariance), z))


class WithCircuit(ae.Model):
    def __call__(self, x):
        scale = self.sample("scale", ae.Normal(0.0, 1.0))
        leaf = Bernoulli(0, at.sigmoid(scale))
        self.deterministic("mean", (leaf * Bernoulli(1, 0.5))(x))


class WithModel(ae.Model):
    def __init__(self):
        self.line = Line()

    def __call__(self, x):
        scale = self.sample("scale", ae.Normal(0.0, 1.0))
        self.line(x)
        self.deterministic("mean", scale * x[:, 0])


INSIDE = {"Module": WithModule, "Kernel": WithKernel, "Circuit": WithCircuit, "Model": WithModel}


@pytest.mark.parametrize("kind", KINDS)
def test_inside_a_model_under_intervention(kind):
    outer = INSIDE[kind]()
    data = BITS if kind == "Circuit" else X
    done = outer.intervene({"scale": 0.5})
    draws = done.prior_predictive(4, data, seed=1)
    assert (draws["scale"] == 0.5).all() and draws["mean"].shape == (4, 6)
    assert len(np.unique(outer.prior_predictive(4, data, seed=1)["scale"])) == 4
    if kind == "Module":
        np.testing.assert_allclose(draws["mean"][0], 0.5 * outer.net(X)[:, 0], rtol=1e-12)
    if kind == "Circuit":
        p = np.where(BITS[:, 0] == 1, 1 / (1 + np.exp(-0.5)), 1 / (1 + np.exp(0.5)))
        np.testing.assert_allclose(draws["mean"][0], np.log(0.5 * p), rtol=1e-12)
    if kind == "Kernel":
        k = 0.5 * np.exp(-0.5 * ((X[:, None] - X[None]) ** 2).sum(-1)) + 1e-6 * np.eye(6)
        np.testing.assert_allclose(draws["mean"][2], np.linalg.cholesky(k) @ draws["z"][2])
    if kind == "Model":
        assert "line.slope" in draws
    assert [s.rule for s in ae.diff(outer, done, at.constant(data)).rewrites] == ["do"]


class Residual(ae.Module):
    dtype = "float64"

    def __init__(self):
        self.inner = [Net(), Net()]

    def __call__(self, x):
        for net in self.inner:
            x = x + net(x)
        return x


def nested(kind):
    """An object inside another of its kind, and what it must equal."""
    if kind == "Module":
        outer = Residual()
        a, b = outer.inner
        return outer, lambda: X + a(X) + b(X + a(X))
    if kind == "Kernel":
        net, k = nn.Dense(3, dtype="float64"), kernel()
        return gp.Warped(net, k), lambda: k(net(X))
    if kind == "Circuit":
        inner = circuit()
        other = Bernoulli(0, 0.5) * Bernoulli(1, 0.5)
        return 0.25 * inner + 0.75 * other, lambda: np.log(0.25 * np.exp(inner(BITS)) + 0.75 * 0.25)
    outer = WithModel()
    inner_value = Line().log_prob({"slope": 0.3, "y": np.ones(6)}, X)
    scale = -0.5 * 0.2**2 - 0.5 * np.log(2 * np.pi)
    values = {"scale": 0.2, "line.slope": 0.3, "line.y": np.ones(6)}
    return outer, lambda: (outer.log_prob(values, X), inner_value + scale)


@pytest.mark.parametrize("kind", KINDS)
def test_nested(kind):
    outer, expected = nested(kind)
    if kind == "Model":
        np.testing.assert_allclose(*expected(), rtol=1e-10)
        return
    got = value(outer)
    np.testing.assert_allclose(got, expected(), rtol=1e-10)


def test_one_graph_holds_all_four():
    class Everything(ae.Model):
        def __init__(self):
            self.net, self.kernel = nn.Dense(1, dtype="float64"), gp.SE()

        def __call__(self, x):
            s = self.sample("s", ae.HalfNormal(1.0))
            leaf = Bernoulli(0, at.sigmoid(self.net(x)[0, 0]))
            self.deterministic("c", (leaf * Bernoulli(1, 0.5))(at.constant(BITS)).sum())
            self.deterministic("k", s * self.kernel(x).sum())

    graph, _ = graph_of(Everything(), [at.constant(X)])
    names = {type(n.op).__name__ for n in ae.core.toposort(graph.results)}
    assert {"DenseOp", "GramOp", "SE.leaf_op", "EvaluateOp", "SiteOp", "HalfNormalRV"} & names >= {
        *("DenseOp", "GramOp", "EvaluateOp", "SiteOp", "HalfNormalRV")
    }
    named = Equality("name", term(SiteOp, name=Prop("n"), kind=Prop("k"), support=Prop("s"))(c), c)
    assert named.name == "name"
    assert np.isfinite(Everything().prior_predictive(2, X)["k"]).all()
