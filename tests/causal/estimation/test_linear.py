"""Linear mechanisms with known answers: what regression gives, with and without a collider."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

import aeframe as ae
from aeframe.causal import Bootstrap, GFormula, TwoStageLeastSquares, ate, estimate
from aeframe.prob.simulate import simulate

FILE = Path(__file__).parents[1] / "data/cases.json"
ANSWERS = {c["id"]: c["answer"] for c in json.loads(FILE.read_text())}


class MBias(ae.Model):
    def __call__(self):
        u1, u2 = (self.sample(name, ae.Normal(0, 1)) for name in ("U1", "U2"))
        x = self.sample("X", ae.Normal(u1, 1))
        self.sample("M", ae.Normal(u1 + u2, 1))
        self.sample("Y", ae.Normal(0.5 * x + u2, 1))


class Instrument(ae.Model):
    def __call__(self):
        z, u = (self.sample(name, ae.Normal(0, 1)) for name in ("Z", "U"))
        x = self.sample("X", ae.Normal(0.8 * z + u, 1))
        self.sample("Y", ae.Normal(1.5 * x - 2 * u, 1))


def drawn(model):
    return pd.DataFrame(simulate(model, 200_000, (), 0))


def slope(data, *others):
    return LinearRegression().fit(data[["X", *others]], data["Y"]).coef_[0]


def test_m_bias():
    answer, data = ANSWERS["m_bias_linear"], drawn(MBias())
    effect = ate(MBias(), "Y", {"X": 1.0}, {"X": 0.0})
    np.testing.assert_allclose(effect.estimate, answer["effect"])
    np.testing.assert_allclose(slope(data), answer["ols_empty"], atol=0.01)
    np.testing.assert_allclose(slope(data, "M"), answer["ols_given_M"], atol=0.01)


def test_instrument():
    answer, data = ANSWERS["iv_linear"], drawn(Instrument())
    np.testing.assert_allclose(slope(data), answer["ols"], atol=0.015)
    found = estimate(data, "X", "Y", [], TwoStageLeastSquares(["Z"]))
    np.testing.assert_allclose(found.effect, answer["iv"], atol=0.03)


@pytest.mark.parametrize("adjust", [[], ["M"]], ids=["nothing", "collider"])
def test_a_randomized_dose_in_m_bias(adjust):
    """Where nothing drives the treatment, the collider M does no harm."""
    data = drawn(MBias().intervene({"X": ae.Bernoulli(0.5)}))
    method = GFormula(LinearRegression(), bootstrap=Bootstrap(2))
    found = estimate(data, "X", "Y", adjust, method)
    np.testing.assert_allclose(found.effect, ANSWERS["m_bias_linear"]["effect"], atol=0.02)
