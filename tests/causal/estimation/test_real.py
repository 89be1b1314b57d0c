"""Published figures on real data."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

import aeframe as ae
from aeframe.causal import AIPW, IPW, Bootstrap, GFormula, TwoStageLeastSquares, logistic

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[2] / "examples" / "data"
CONFOUNDERS = [
    *("sex", "race", "age", "education", "smokeintensity"),
    *("smokeyrs", "exercise", "active", "wt71"),
]
TERMS = (
    "sex + race + age + I(age**2) + C(education) + smokeintensity + I(smokeintensity**2) + smokeyrs"
    " + I(smokeyrs**2) + C(exercise) + C(active) + wt71 + I(wt71**2)"
)


def gain(method):
    data = pd.read_csv(EXAMPLES / "nhefs.csv")
    return ae.causal.estimate(data, "qsmk", "wt82_71", CONFOUNDERS, method)


def test_quitting_and_weight_by_standardization():
    data = pd.read_csv(EXAMPLES / "nhefs.csv")
    model = ae.LinearModel(f"wt82_71 ~ qsmk * smokeintensity + {TERMS}", data)
    found = gain(GFormula(model))
    # What If, section 13.3: 3.5 (2.6, 4.5); 3.517 to three decimals
    assert abs(found.effect - 3.52) < 0.1
    np.testing.assert_allclose(found.interval(), (2.6, 4.5), atol=0.15)


def test_quitting_and_weight_by_weighting():
    found = gain(IPW(logistic(f"qsmk ~ {TERMS}"), bootstrap=Bootstrap(100)))
    # What If, section 12.4: 3.4 (2.4, 4.5), stabilized weights of mean 1.00 from 0.33 to 4.30
    assert abs(found.effect - 3.44) < 0.1
    np.testing.assert_allclose(found.interval(), (2.4, 4.5), atol=0.3)
    weights = found.method.weights(found.problem)
    np.testing.assert_allclose([weights.mean(), weights.min(), weights.max()], [1, 0.33, 4.3], 0.01)
    assert all(c.good for c in found.checks)


def test_quitting_and_weight_doubly_robust():
    outcome = ae.causal.Regressor(LinearRegression(), f"wt82_71 ~ qsmk * smokeintensity + {TERMS}")
    found = gain(AIPW(outcome, logistic(f"qsmk ~ {TERMS}")))
    assert abs(found.effect - 3.5) < 0.2
    assert 0.4 < found.se < 0.6


def test_the_experiment_on_job_training():
    data = pd.read_csv(HERE / "data" / "nsw.csv")
    found = ae.causal.estimate(
        data, "treat", "re78", method=AIPW(LinearRegression(), logistic(), folds=1)
    )
    groups = [data.re78[data.treat == v] for v in (0, 1)]
    se = np.sqrt(sum(g.var() / len(g) for g in groups))
    np.testing.assert_allclose(found.effect, 1794.34, atol=0.01)
    np.testing.assert_allclose(found.se, se, rtol=0.01)
    np.testing.assert_allclose(found.draws.std(), se, rtol=0.1)


@pytest.fixture(scope="module")
def wages():
    data = pd.read_csv(HERE / "data" / "card.csv").dropna()
    adjust = ["exper", "black", "south", "married", "smsa"]
    method = TwoStageLeastSquares(["nearc4"])
    return data, adjust, ae.causal.estimate(data, "educ", "lwage", adjust, method)


def test_schooling_by_an_instrument(wages):
    data, adjust, found = wages
    assert abs(found.effect - 0.124) < 0.002
    # just identified: β = (ZᵀX)⁻¹ Zᵀy, with the sandwich between
    ones = np.ones(len(data))
    X = np.column_stack([data.educ, ones, data[adjust]]).astype(float)
    Z = np.column_stack([data.nearc4, ones, data[adjust]]).astype(float)
    inverse = np.linalg.inv(Z.T @ X)
    beta = inverse @ Z.T @ data.lwage
    meat = (Z * (data.lwage - X @ beta).to_numpy()[:, None] ** 2).T @ Z
    se = np.sqrt((inverse @ meat @ inverse.T)[0, 0] * len(data) / (len(data) - X.shape[1]))
    np.testing.assert_allclose([found.effect, found.se], [beta[0], se], rtol=1e-6)
    np.testing.assert_allclose(found.draws.std(), se, rtol=0.1)


def test_strength_of_the_instrument(wages):
    data, adjust, found = wages
    Z = np.column_stack([data.nearc4, np.ones(len(data)), data[adjust]]).astype(float)
    gamma, rss, *_ = np.linalg.lstsq(Z, data.educ.to_numpy(dtype=float), rcond=None)
    plain = gamma[0] ** 2 / (np.linalg.inv(Z.T @ Z)[0, 0] * rss[0] / (len(data) - Z.shape[1]))
    (strength,) = found.checks
    assert strength.good
    np.testing.assert_allclose(strength.value, plain, rtol=0.1)  # robust and plain nearly agree
