"""Estimands: laws of probability by value, printing, and evaluation on all that holds data."""

from functools import reduce

import aesara.tensor as at
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import aeframe as ae
from aeframe.causal import P
from aeframe.causal.estimand import Product, Quotient, Sum, product, quotient, total
from aeframe.causal.estimand import at as at_values
from aeframe.core.errors import ArgumentError, DataError, UnknownNameError

NAMES = "wxyz"
JOINT = xr.DataArray(
    np.random.default_rng(0).dirichlet(np.ones(24)).reshape(2, 3, 2, 2),
    dims=list(NAMES),
    coords={"w": [0, 1], "x": [0, 1, 2], "y": [0, 1], "z": [0, 1]},
)


@st.composite
def probabilities(draw):
    roles = draw(st.lists(st.integers(0, 2), min_size=4, max_size=4).filter(lambda r: 0 in r))
    of, given_ = ([n for n, r in zip(NAMES, roles, strict=True) if r == k] for k in (0, 1))
    return P(of, given_)


def plain(expression):
    """A function (builder, plain class) applied to random parts, as a pair."""
    names = st.sets(st.sampled_from(NAMES), min_size=1, max_size=3)
    pairs = st.tuples(expression, expression)
    return st.one_of(
        pairs.map(lambda p: (product(p[0][0], p[1][0]), Product((p[0][1], p[1][1])))),
        pairs.map(lambda p: (quotient(p[0][0], p[1][0]), Quotient(p[0][1], p[1][1]))),
        st.tuples(names, expression).map(
            lambda p: (total(p[0], p[1][0]), Sum(tuple(sorted(p[0])), p[1][1]))
        ),
    )


PAIRS = st.recursive(probabilities().map(lambda p: (p, p)), plain, max_leaves=6)


@settings(max_examples=120, deadline=None)
@given(PAIRS)
def test_simplified_formulas_have_the_same_values(pair):
    simple, as_written = pair
    assert simple.free <= as_written.free
    difference = simple.evaluate(JOINT) - as_written.evaluate(JOINT)
    scale = abs(as_written.evaluate(JOINT)).max()
    np.testing.assert_allclose(difference / scale, 0.0, atol=1e-10)


def test_laws():
    assert total("x", P(["x", "y"], "z")) == P("y", "z")
    assert total(["x", "y"], P(["x", "y"], "z")) == product()
    assert quotient(P(["x", "y"], "z"), P("x", "z")) == P("y", ["x", "z"])
    assert total("x", product(P("y", ["x", "z"]), P("x", "z"))) == P("y", "z")
    assert quotient(product(P("x"), P("y")), P("x")) == P("y")
    adjusted = total("z", product(P("y", ["x", "z"]), P("z")))
    assert adjusted == Sum(("z",), product(P("z"), P("y", ["x", "z"])))


def test_printing():
    inner = total("x", product(P("y", ["m", "x"]), P("x")))
    frontdoor = total("m", product(P("m", "x"), inner))
    assert str(frontdoor) == "Σ_{m} P(m | x) Σ_{x'} P(x') P(y | m, x')"
    assert frontdoor.latex() == r"\sum_{m} P(m \mid x) \sum_{x'} P(x') P(y \mid m, x')"
    assert frontdoor._repr_latex_() == f"$${frontdoor.latex()}$$"
    two = product(total("a", product(P("y", ["a", "b"]), P("a"))), inner)
    assert str(two).count("[") == 1
    fraction = Quotient(P("y"), P("size_of_stone"))
    assert str(fraction) == "(P(y)) / (P(size_of_stone))"
    assert fraction.latex() == r"\frac{P(y)}{P(\mathrm{size\_of\_stone})}"
    done = at_values(P("y1", "z", do="x"), {"x": 1})
    assert str(done) == "P(y1 | do(x=1), z)"
    assert done.latex() == r"P(y_{1} \mid \operatorname{do}(x=1), z)"
    assert done.free == {"y1", "z"}


def test_all_holders_of_data_agree():
    shares = JOINT.to_series().rename("n").reset_index()
    counts = shares.assign(n=np.round(shares["n"] * 1000).astype(int))
    rows = counts.loc[counts.index.repeat(counts["n"])].drop(columns="n")
    adjusted = total("z", product(P("y", ["x", "z"]), P("z")))
    exact = reduce(
        lambda a, b: a + b,
        (
            JOINT.sum("w").sel(z=v) / JOINT.sum("w").sel(z=v).sum("y") * JOINT.sel(z=v).sum()
            for v in (0, 1)
        ),
    )
    np.testing.assert_allclose(adjusted.evaluate(JOINT), exact.transpose("x", "y"), rtol=1e-12)
    weighted = adjusted.evaluate(shares, weights="n")
    xr.testing.assert_allclose(weighted, adjusted.evaluate(JOINT))
    from_rows = adjusted.evaluate(rows)
    xr.testing.assert_allclose(from_rows, adjusted.evaluate(counts, weights="n"))
    xr.testing.assert_allclose(from_rows, adjusted.evaluate({k: rows[k] for k in NAMES}))
    fixed = at_values(adjusted, {"x": 2}).evaluate(rows)
    np.testing.assert_allclose(fixed, from_rows.sel(x=2))


class Squad(ae.Model):
    """The court orders (or not), the captain signals, a nervous rifleman may shoot anyway."""

    def __call__(self):
        court = self.sample("court", ae.Bernoulli(0.6))
        captain = self.deterministic("captain", court)
        nervous = self.sample("nervous", ae.Bernoulli(0.3))
        self.deterministic("death", at.or_(captain, nervous))


def test_experiments_on_a_model():
    with ae.Backend("jax"):
        seen = P("death", "captain").evaluate(Squad())
        done = P("death", do="captain").evaluate(Squad())
        backward = P("court", do="captain").evaluate(Squad())
    np.testing.assert_allclose(done.sel(death=1), [0.3, 1.0], atol=1e-12)
    np.testing.assert_allclose(seen, done, atol=1e-12)
    np.testing.assert_allclose(backward.sel(court=1), [0.6, 0.6], atol=1e-12)


def test_a_model_of_many_units_is_refused():
    class Two(ae.Model):
        def __call__(self):
            x = self.sample("x", ae.Bernoulli(0.5), shape=2)
            self.sample("y", ae.Bernoulli(at.switch(x[0], 0.2, 0.8)))

    with ae.Backend("jax"):
        for question in (P("x"), P("y", do="x")):
            with pytest.raises(ArgumentError, match="many entries"):
                question.evaluate(Two())


def test_what_never_happens_is_nan():
    table = pd.DataFrame({"x": [0, 0, 1], "z": [0, 1, 0], "y": [0, 1, 1]})
    adjusted = total("z", product(P("y", ["x", "z"]), P("z")))
    with pytest.warns(UserWarning, match="x=1, z=1"):
        found = adjusted.evaluate(table)
    np.testing.assert_allclose(found.sel(x=0, y=1), 1 / 3)
    assert np.isnan(found.sel(x=1)).all()  # no unit has x=1, z=1
    with pytest.raises(DataError, match="never: x=1, z=1"):
        at_values(adjusted, {"x": 1}).evaluate(table)


class Continuous(ae.Model):
    def __call__(self):
        self.sample("y", ae.Normal(self.sample("x", ae.Normal(0, 1)), 1))


def test_a_continuous_model_is_refused():
    with pytest.raises(ArgumentError, match=r"discrete sites(.|\n)*ae.causal.ate"):
        P("y", do="x").evaluate(Continuous())


def test_wrong_uses():
    table = {"x": np.array([0, 1]), "y": np.array([0, 1])}
    with pytest.raises(UnknownNameError, match="'q'"):
        P("q").evaluate(table)
    with pytest.raises(UnknownNameError, match="'n'"):
        P("y").evaluate(table, weights="n")
    with pytest.raises(ArgumentError, match="identify"):
        P("y", do="x").evaluate(table)
    with pytest.raises(ArgumentError, match="one place"):
        P("y", ["x", "y"])
    with pytest.raises(ArgumentError, match="a DataFrame"):
        P("y").evaluate([1, 2])
    with pytest.raises(DataError, match="missing"):
        P("y").evaluate({"y": np.array([0.0, np.nan])})
    with pytest.raises(DataError, match="missing"):
        P("y").evaluate(pd.DataFrame({"y": ["a", None]}))
    with pytest.raises(DataError, match="combinations"):
        P(list("abc")).evaluate({k: np.arange(300) for k in "abc"})
    with pytest.raises(DataError, match="never have"):
        at_values(P("y", "x"), {"x": 2}).evaluate(table)
    with pytest.raises(DataError, match="counts or probabilities"):
        P("y").evaluate({**table, "n": np.array([-1, 2])}, weights="n")
