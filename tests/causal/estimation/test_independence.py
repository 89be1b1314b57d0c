"""Tests of implied independencies against SciPy's tests and against truth."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from aeframe import causal
from aeframe.causal import CausalGraph
from aeframe.core.errors import UnknownNameError

RNG = np.random.default_rng(0)
N = 400


def only(graph, data):
    (found,) = causal.tests_of(graph, data).tests
    return found


def test_numbers_by_their_partial_correlation():
    z = RNG.normal(size=N)
    data = pd.DataFrame({"x": z + RNG.normal(size=N), "y": z + RNG.normal(size=N), "z": z})
    left = [np.polynomial.Polynomial.fit(z, data[k], 1)(z) - data[k] for k in "xy"]
    r = stats.pearsonr(*left).statistic
    t = r * np.sqrt((N - 3) / (1 - r**2))
    found = only(CausalGraph(["zx", "zy"]), data)
    np.testing.assert_allclose(found.p, 2 * stats.t.sf(abs(t), N - 3), rtol=0.02)
    fisher = abs(np.arctanh(r)) * np.sqrt(N - 1 - 3)
    np.testing.assert_allclose(found.p, 2 * stats.norm.sf(fisher), rtol=0.02)
    assert found.freedom == 1


def test_labels_and_numbers_as_analysis_of_variance():
    x = RNG.choice(["a", "b", "c"], N)
    data = pd.DataFrame({"x": x, "y": RNG.normal(size=N) + 0.2 * (x == "b")})
    found = only(CausalGraph(["zx", "zy"]), data.assign(z=0.0 + RNG.normal(size=N)))
    assert found.freedom == 2
    exact = stats.f_oneway(*(g.y for _, g in data.groupby("x"))).pvalue
    np.testing.assert_allclose(found.p, exact, rtol=0.3)  # it is given z, which is noise


def test_counts_by_strata():
    z = RNG.integers(0, 2, N)
    data = pd.DataFrame({"x": (RNG.random(N) < 0.3 + 0.4 * z) * 1, "z": z})
    data["y"] = RNG.integers(0, 3, N)
    found = only(CausalGraph(["zx", "zy"]), data)
    total = [
        stats.chi2_contingency(pd.crosstab(g.x, g.y), correction=False, lambda_="log-likelihood")
        for _, g in data.groupby("z")
    ]
    assert (found.kind, found.freedom) == ("G", sum(t.dof for t in total))
    np.testing.assert_allclose(found.statistic, sum(t.statistic for t in total))


def test_a_wrong_graph_is_found_out():
    a = RNG.normal(size=N)
    b = a + RNG.normal(size=N)
    c = b + RNG.normal(size=N)
    data = pd.DataFrame({"a": a, "b": b, "c": c, "d": a + c + RNG.normal(size=N)})
    right = causal.tests_of(CausalGraph(["ab", "bc", "cd", "ad"]), data)
    assert not right.rejected()
    wrong = causal.tests_of(CausalGraph(["ab", "bc", "cd"]), data)
    assert [(s.x, s.y) for s in wrong.rejected()] in ([("a", "d")], [("a", "d"), ("b", "d")])
    assert "rejected" in str(wrong)
    assert all(t.holm >= t.p for t in wrong.tests)


def test_false_alarms_are_as_rare_as_said():
    graph, rejected = CausalGraph(["xz", "yz"]), 0
    for k in range(300):
        x, y = np.random.default_rng([7, k]).normal(size=(2, 50))
        rejected += bool(causal.tests_of(graph, {"x": x, "y": y, "z": x}).rejected(0.1))
    assert 15 < rejected < 45  # 30 expected


def test_variables_that_are_no_columns():
    with pytest.raises(UnknownNameError, match="did you mean 'age'"):
        causal.tests_of(
            CausalGraph([("agee", "y"), ("agee", "x")]), {"age": [1], "y": [1], "x": [1]}
        )
