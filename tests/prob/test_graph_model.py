"""Graphs of Aesara random variables as Models."""

import aesara.tensor as at
import numpy as np
import pytest
from scipy import stats

import aeframe as ae
from aeframe.core.errors import ArgumentError, SerializationError, StateError
from aeframe.core.supports import Bounded, Interval, Positive, Real

Y = np.array([0.5, 1.5, 2.0])


def line():
    srng = at.random.RandomStream(0)
    x = at.TensorType("float64", (3,))("x")
    slope = srng.normal(0.0, 2.0, name="slope")
    scale = srng.halfnormal(0.0, 1.0, name="scale")
    mean = slope * x
    y = srng.normal(mean, scale)
    return ae.Model.from_graph({"y": y, "mean": mean}, inputs=[x])


@pytest.mark.parametrize("backend", ["jax", "c"])
def test_named_variables_are_sites(backend):
    x = np.array([1.0, 2.0, -1.0])
    with ae.Backend(backend):
        model = line()
        assert set(model.expression()) == {"slope", "scale", "mean", "y"}
        found = model.observe({"y": Y}).log_prob({"slope": 0.7, "scale": 0.5}, x)
        draws = model.prior_predictive(4000, x)
    exact = stats.norm(0, 2).logpdf(0.7) + stats.halfnorm().logpdf(0.5)
    exact += stats.norm(0.7 * x, 0.5).logpdf(Y).sum()
    np.testing.assert_allclose(found, exact)
    np.testing.assert_allclose(draws["mean"], draws["slope"][:, None] * x)
    np.testing.assert_allclose(draws["slope"].std(), 2.0, rtol=0.1)


def test_supports_are_those_of_the_variables():
    srng = at.random.RandomStream(0)
    low = srng.normal(0.0, 1.0, name="low")
    sites = {
        "between": srng.uniform(low, low + 1.0),
        "share": at.sigmoid(srng.normal(0.0, 1.0)),
        "size": at.exp(srng.normal(0.0, 1.0)),
        "chance": srng.beta(1.0, 2.0),
    }
    made = ae.Model.from_graph(sites).expression()
    supports = {k: v.owner.op.support for k, v in made.items()}
    assert isinstance(supports["between"], Bounded)
    assert supports["share"] == supports["chance"] == Interval(0.0, 1.0)
    assert supports["size"] == Positive()


def test_an_expression_of_a_draw_has_a_density():
    srng = at.random.RandomStream(0)
    model = ae.Model.from_graph({"share": at.sigmoid(srng.normal(0.5, 2.0))})
    z = np.log(0.3 / 0.7)
    exact = stats.norm(0.5, 2.0).logpdf(z) - np.log(0.3 * 0.7)
    np.testing.assert_allclose(model.log_prob({"share": 0.3}), exact)
    u = model.unconstrain().vector({"share": 0.3})
    np.testing.assert_allclose(u, [z])


def test_wrong_uses(tmp_path):
    with pytest.raises(ArgumentError, match="needs random variables"):
        ae.Model.from_graph({"x": 3.0})
    x = at.dscalar("x")
    with pytest.raises(StateError, match="no data"):
        ae.Model.from_graph({"y": at.random.normal(x, 1.0)})
    with pytest.raises(SerializationError, match="graph"):
        line().save(tmp_path / "model.ae")


def test_supports_of_expressions_are_images():
    srng = at.random.RandomStream(0)
    a, b = srng.uniform(-1.0, 2.0), srng.normal(0.0, 1.0)
    made = ae.Model.from_graph({"square": a**2, "sum": at.exp(a + b), "far": 1 / b}).expression()
    supports = [v.owner.op.support for v in made.values()]
    assert supports == [Interval(0.0, 4.0), Positive(), Real()]
