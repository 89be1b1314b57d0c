"""Each mistake has one clear error."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

import aeframe as ae
from aeframe import nn
from aeframe.causal import AIPW, IPW, Bootstrap, GFormula, Network, TwoStageLeastSquares, estimate
from aeframe.causal.estimation.refute import e_value
from aeframe.core.errors import (
    ArgumentError,
    DataError,
    NameTakenError,
    StateError,
    UnknownNameError,
)


def frame(n=80):
    rng = np.random.default_rng(0)
    x = rng.normal(size=n)
    a = np.tile([0, 1], n // 2)
    return pd.DataFrame(
        {"age": x, "a": a, "y": a + x + rng.normal(size=n), "z": rng.normal(size=n)}
    )


def hole(data):
    return data.assign(age=data.age.where(data.index > 2))


CASES = {
    "column": (lambda d: (d, "a", "y", ["agee"]), UnknownNameError, "did you mean 'age'"),
    "role": (lambda d: (d, "a", "y", ["age", "y"]), NameTakenError, "'y' has two roles"),
    "list": (lambda d: (d, "a", "y", "age"), ArgumentError, "adjust is a list"),
    "missing": (lambda d: (hole(d), "a", "y", ["age"]), DataError, "age in 3 rows"),
    "empty": (lambda d: (d[:0], "a", "y", ["age"]), DataError, "no rows"),
    "labels": (lambda d: (d.assign(a="yes"), "a", "y"), DataError, "holds no numbers"),
    "values": (lambda d: (d.assign(a=d.z), "a", "y"), DataError, r"not binary(.|\n)*80 values"),
    "one arm": (lambda d: (d.assign(a=1), "a", "y"), DataError, "nothing to compare"),
    "method": (lambda d: (d, "a", "y", ["age"], "ipw"), ArgumentError, "not a method"),
    "over": (lambda d: (d, "a", "y", [], IPW(), "ATT"), ArgumentError, r"Everyone\(\)"),
    "outcome": (lambda d: (d, "a", "y", [], GFormula(3)), ArgumentError, "no outcome model"),
    "folds": (lambda d: (d, "a", "y", [], AIPW(folds=41)), ArgumentError, "folds <= 40"),
    "instrument": (
        lambda d: (d.assign(z=1.0), "a", "y", ["age"], TwoStageLeastSquares(["z"])),
        DataError,
        "does not vary",
    ),
    "same instrument": (
        lambda d: (d.assign(z=2 * d.age), "a", "y", ["age"], TwoStageLeastSquares(["z"])),
        DataError,
        "does not vary",
    ),
    "response": (
        lambda d: (d, "a", "y", ["age"], GFormula(ae.LinearModel("z ~ a", d))),
        ArgumentError,
        "another response",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_mistake(case):
    arguments, error, words = CASES[case]
    with pytest.raises(error, match=words):
        estimate(*arguments(frame()))


def test_settings_are_checked_at_once():
    with pytest.raises(ArgumentError, match="below one half"):
        IPW(trim=0.7)
    with pytest.raises(ArgumentError, match="list of columns"):
        TwoStageLeastSquares("z")
    for wrong in (
        lambda: AIPW(draws=1),
        lambda: AIPW(folds=0),
        lambda: GFormula(draws=0),
        lambda: Bootstrap(1),
        lambda: e_value(-1),
    ):
        with pytest.raises(ArgumentError, match=r"from [12] up|above 0"):
            wrong()


def test_networks_need_epochs_and_must_be_new():
    net = nn.Sequential(nn.Dense(1))
    with pytest.raises(ArgumentError, match="Network"):
        estimate(frame(), "a", "y", ["age"], GFormula(net))
    with pytest.raises(StateError, match="not compiled"):
        estimate(frame(), "a", "y", ["age"], GFormula(Network(net, 1)))
    net.compile(optimizer=ae.Adam(), loss=nn.mean_squared_error)._trainer.epoch = 1
    with pytest.raises(StateError, match="trained already"):
        estimate(frame(), "a", "y", ["age"], GFormula(Network(net, 1)))


@pytest.mark.filterwarnings("ignore")  # scikit-learn's, that logistic regression diverges
def test_no_overlap():
    data = frame().assign(a=lambda d: (d.age > 0) * 1)
    with pytest.raises(DataError, match="no overlap: 'a' is certain"):
        estimate(data, "a", "y", ["age"], IPW(bootstrap=Bootstrap(2)))


class Known(LinearRegression):
    """Propensities that are known to be extreme."""

    def predict(self, X):
        return np.where(np.arange(len(X)) < 20, 0.001, 0.5)


def test_little_overlap_is_a_warning():
    with pytest.warns(UserWarning, match="little overlap: 25% of the rows"):
        found = estimate(frame(), "a", "y", ["age"], AIPW(LinearRegression(), Known(), folds=1))
    assert "25% of the rows" in str(found)
    trimmed = AIPW(LinearRegression(), Known(), folds=1, trim=0.01)
    assert estimate(frame(), "a", "y", ["age"], trimmed).checks[0].good


def test_weak_instruments_are_told():
    found = estimate(frame(), "a", "y", ["age"], TwoStageLeastSquares(["z"]))
    assert not found.checks[0].good
    assert "instruments are weak" in str(found)


def test_the_data_stay_as_they_are():
    data = frame()
    before = data.copy()
    estimate(data, "a", "y", ["age"], IPW(bootstrap=Bootstrap(2)))
    pd.testing.assert_frame_equal(data, before)


def test_the_g_formula_tells_that_it_extrapolates():
    data = frame().assign(a=lambda d: (d.age > 0) * 1, same=lambda d: d.a)
    method = GFormula(LinearRegression(), bootstrap=Bootstrap(2))
    for adjust in (["age"], ["same"]):
        with pytest.warns(UserWarning, match="little overlap: 100% of the rows"):
            found = estimate(data, "a", "y", adjust, method)
        assert "extrapolated" in str(found)
    assert estimate(frame(), "a", "y", ["age"], method).checks[0].good


def test_a_constant_column_changes_nothing():
    data = frame().assign(one=1.0)
    few = Bootstrap(3)
    for method in (IPW(bootstrap=few), GFormula(LinearRegression(), bootstrap=few)):
        plain, more = (estimate(data, "a", "y", v, method) for v in (["age"], ["age", "one"]))
        np.testing.assert_allclose(more.draws, plain.draws)
    alone = estimate(data, "a", "y", ["one"], IPW(bootstrap=few))
    assert alone.effect == pytest.approx(data.y[data.a == 1].mean() - data.y[data.a == 0].mean())
