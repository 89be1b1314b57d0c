"""Methods against closed forms, and what each does where a model is wrong."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

import aeframe as ae
from aeframe import nn
from aeframe.causal import (
    AIPW,
    IPW,
    Bayes,
    Bootstrap,
    Everyone,
    GFormula,
    Network,
    Regressor,
    Treated,
    TwoStageLeastSquares,
    Untreated,
    estimate,
    logistic,
)


def table():
    """A binary confounder with an effect of 1 where it is 0, and of 3 where it is 1."""
    rng = np.random.default_rng(1)
    x = np.repeat([0, 0, 0, 1, 1, 1, 1, 1], 25)
    a = (rng.random(200) < 0.3 + 0.4 * x) * 1
    return pd.DataFrame({"x": x, "a": a, "y": a * (1 + 2 * x) + x + rng.normal(size=200)})


def by_stratum(data, weights):
    """Σ weight(x) (E[y | a = 1, x] - E[y | a = 0, x])."""
    means = data.groupby(["x", "a"]).y.mean().unstack()
    return float(np.average(means[1] - means[0], weights=weights))


@pytest.mark.parametrize("over", [Everyone(), Treated(), Untreated()], ids=["ate", "att", "atu"])
def test_saturated_models_give_the_average_over_strata(over):
    data = table()
    chosen = {"Everyone": [0, 1], "Treated": [1], "Untreated": [0]}[type(over).__name__]
    exact = by_stratum(data, data[data.a.isin(chosen)].groupby("x").size())
    outcome, few = Regressor(LinearRegression(), "y ~ a * x"), Bootstrap(2)
    for method in (
        GFormula(outcome, bootstrap=few),
        IPW(bootstrap=few),
        AIPW(outcome, logistic(), folds=1),
        AIPW(outcome, logistic("a ~ 1"), folds=1),
    ):
        found = estimate(data, "a", "y", ["x"], method, over)
        np.testing.assert_allclose(found.effect, exact, rtol=1e-4)
        np.testing.assert_allclose(found.means[1] - found.means[0], found.effect)


def curved(n=4000):
    """Treatment and outcome depend on x²; the effect is 2."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=n)
    a = (rng.random(n) < 1 / (1 + np.exp(0.5 - 0.5 * x**2))) * 1
    return pd.DataFrame({"x": x, "a": a, "y": 2 * a + 3 * x**2 + x + rng.normal(size=n)})


RIGHT = Regressor(LinearRegression(), "y ~ a + x + I(x**2)"), logistic("a ~ I(x**2)")
WRONG = Regressor(LinearRegression(), "y ~ a + x"), logistic("a ~ x")


def test_one_right_model_is_enough():
    data = curved()
    for outcome, propensity in ((RIGHT[0], WRONG[1]), (WRONG[0], RIGHT[1]), RIGHT):
        found = estimate(data, "a", "y", ["x"], AIPW(outcome, propensity))
        assert abs(found.effect - 2) < 3 * found.se
        low, high = found.interval(0.99)
        assert low < 2 < high
    assert abs(estimate(data, "a", "y", ["x"], AIPW(*WRONG)).effect - 2) > 1


def test_one_wrong_model_alone_is_not():
    data, few = curved(), Bootstrap(2)
    for model, method in ((0, GFormula), (1, IPW)):
        wrong, right = (
            estimate(data, "a", "y", ["x"], method(of[model], bootstrap=few)).effect
            for of in (WRONG, RIGHT)
        )
        assert abs(wrong - 2) > 1
        assert abs(right - 2) < 0.3


def test_bayesian_by_default():
    rng = np.random.default_rng(0)
    data = table().assign(z=rng.choice(["u", "v", "w"], 200))
    found = estimate(data, "a", "y", ["x", "z"], AIPW(folds=2, draws=400))
    plain = estimate(data, "a", "y", ["x", "z"], AIPW(LinearRegression(), logistic(), folds=2))
    assert abs(found.effect - plain.effect) < 0.2 * plain.se
    np.testing.assert_allclose([found.se, found.draws.std()], plain.se, rtol=0.15)
    same = estimate(data, "a", "y", ["x", "z"], AIPW(folds=2, draws=400))
    np.testing.assert_array_equal(found.draws, same.draws)


def test_posterior_of_a_linear_model():
    data = table()
    model = ae.LinearModel("y ~ a + x", data)
    found = estimate(data, "a", "y", ["x"], GFormula(Bayes(model, ae.Laplace(restarts=1))))
    X = np.column_stack([data.a, data.x, np.ones(len(data))])
    beta, rss, *_ = np.linalg.lstsq(X, data.y.to_numpy(), rcond=None)
    se = np.sqrt(rss[0] / (len(data) - 3) * np.linalg.inv(X.T @ X)[0, 0])
    assert abs(found.effect - beta[0]) < 0.15 * se
    np.testing.assert_allclose(found.se, se, rtol=0.1)
    assert found.source == "posterior draws"


def test_labels_booleans_and_rare_treatments():
    data = table().assign(g=lambda d: pd.Categorical(d.x.map({0: "low", 1: "high"})))
    exact = by_stratum(data, data.groupby("x").size())
    outcome, few = Regressor(LinearRegression(), "y ~ a * g"), Bootstrap(5)
    told = data.assign(a=data.a == 1)
    for method in (GFormula(outcome, bootstrap=few), IPW(bootstrap=few)):
        found = estimate(told, "a", "y", {"g"}, method)
        np.testing.assert_allclose(found.effect, exact, rtol=1e-4)
    rare = data.assign(a=(data.index < 2) * 1)  # many replicates would have no treated row
    assert np.isfinite(estimate(rare, "a", "y", method=IPW(bootstrap=Bootstrap(50))).draws).all()


class Threshold(ae.Model):
    """A Model of one's own: its arguments are columns."""

    def __call__(self, a, x):
        level = self.sample("level", ae.Normal(0, 10), shape=(2,), dims="stratum")
        effect = self.sample("effect", ae.Normal(0, 10), shape=(2,), dims="stratum")
        x = x.astype("int64")
        self.sample("y", ae.Normal(level[x] + effect[x] * a, 1.0))


def test_any_model_whose_arguments_are_columns():
    data = table()
    found = estimate(data, "a", "y", ["x"], GFormula(Threshold(), draws=200))
    assert abs(found.effect - by_stratum(data, data.groupby("x").size())) < 0.05
    assert 0.1 < found.se < 0.25


def test_networks_are_trained_on_copies():
    data = curved(600)
    net, propensity = (
        nn.Sequential(nn.Dense(8), nn.relu, nn.Dense(1)).compile(optimizer=ae.Adam(0.02), loss=loss)
        for loss in (nn.mean_squared_error, nn.binary_cross_entropy)
    )
    before = set(net.store)
    method = AIPW(Network(net, epochs=30), Network(propensity, epochs=10), folds=2)
    found = estimate(data, "a", "y", ["x"], method)
    assert abs(found.effect - 2) < 4 * found.se < 2
    assert set(net.store) == before
    assert not net._trainer.epoch


def test_two_instruments():
    """Against both stages by hand."""
    rng = np.random.default_rng(0)
    z, u = rng.normal(size=(500, 2)), rng.normal(size=500)
    a = z @ [1.0, 0.5] + u + rng.normal(size=500)
    data = pd.DataFrame({"z0": z[:, 0], "z1": z[:, 1], "a": a, "y": 2 * a - 3 * u})
    found = estimate(data, "a", "y", method=TwoStageLeastSquares(["z0", "z1"]))
    first = LinearRegression().fit(z, a).predict(z)
    by_hand = LinearRegression().fit(first[:, None], data.y).coef_[0]
    np.testing.assert_allclose(found.effect, by_hand)
    low, high = found.interval()
    assert low < 2 < high


def test_trimmed_rows_do_not_count():
    data = curved()
    whole = IPW(bootstrap=Bootstrap(2))
    found = estimate(data, "a", "y", ["x"], whole)
    e = whole.propensities(found.problem)
    trim = float(np.quantile(e, 0.1))
    kept = data[(e >= trim) & (e <= 1 - trim)]
    some = IPW(trim=trim, bootstrap=Bootstrap(2))
    weights = some.weights(found.problem)
    assert len(kept) == (weights > 0).sum() < len(data)


def test_a_picture_and_a_table():
    found = estimate(table(), "a", "y", ["x"], IPW(bootstrap=Bootstrap(10)))
    axes = found.plot()
    assert "ATE of a on y" in str(found)
    assert axes.get_xlabel() == "ATE of a on y"
    assert found.interval(0.5)[0] > found.interval(0.99)[0]
