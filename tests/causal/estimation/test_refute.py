"""Refuters: a sound estimate stands, an unsound one falls."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from aeframe.causal import (
    IPW,
    Bootstrap,
    EValue,
    Placebo,
    RandomCommonCause,
    Subset,
    TwoStageLeastSquares,
    e_value,
    estimate,
)
from aeframe.causal.estimation import Estimate, Method
from aeframe.core.errors import ArgumentError


def data(effect=1.0, n=1000):
    rng = np.random.default_rng(0)
    x = rng.normal(size=n)
    a = (rng.random(n) < 1 / (1 + np.exp(-x))) * 1
    return pd.DataFrame({"x": x, "a": a, "y": effect * a + x + rng.normal(size=n)})


def test_a_sound_estimate_stands():
    found = estimate(data(), "a", "y", ["x"], IPW(bootstrap=Bootstrap(30)))
    refutation = found.refute()
    assert refutation.good
    assert "Not refuted" in str(refutation)
    assert [c.name for c in refutation.checks] == [
        *("placebo", "random common cause", "subset", "E-value")
    ]
    assert abs(refutation["placebo"].value) < abs(found.effect) / 5


def test_an_estimate_by_instruments_stands():
    rng = np.random.default_rng(0)
    z, u, e = rng.normal(size=(3, 500))
    frame = pd.DataFrame({"z": z, "a": z + u, "y": 2 * (z + u) - 3 * u + e})
    found = estimate(frame, "a", "y", method=TwoStageLeastSquares(["z"]))
    assert found.refute().good


@dataclass(frozen=True)
class Odd(Method):
    """Always 5, more with each column, and with the number of rows."""

    base: float = 0.0
    column: float = 0.0
    row: float = 0.0

    def run(self, problem):
        effect = self.base + self.column * len(problem.adjust) + self.row * len(problem)
        draws = effect + np.linspace(-0.2, 0.2, 50)
        return Estimate(problem, self, effect, 0.1, draws, "made up")


@pytest.mark.parametrize(
    ("method", "refuter"),
    [
        (Odd(base=5), Placebo()),
        (Odd(column=1), RandomCommonCause()),
        (Odd(row=0.01), Subset()),
        (Odd(base=0.1), EValue()),
    ],
    ids=["placebo", "cause", "subset", "e-value"],
)
def test_an_unsound_estimate_falls(method, refuter):
    found = estimate(data(), "a", "y", ["x"], method).refute(refuter)
    assert not found.good
    assert "Refuted by" in found.verdict
    others = Odd(base=0.0)
    if not isinstance(refuter, EValue):
        assert estimate(data(), "a", "y", ["x"], others).refute(refuter).good


def test_e_values():
    """Table 2 and the example of VanderWeele and Ding: 3.9 (1.8, 8.7) → 7.26, 3.0."""
    np.testing.assert_allclose([e_value(3.9), e_value(1.8), e_value(1 / 1.8)], [7.26, 3, 3], 1e-3)
    found = estimate(data(), "a", "y", ["x"], IPW(bootstrap=Bootstrap(30)))
    y = found.problem.y
    ratio = np.exp(0.91 * found.effect / y.std(ddof=1))
    np.testing.assert_allclose(found.refute(EValue())["E-value"].value, e_value(ratio))


def test_e_value_of_a_binary_outcome():
    frame = pd.DataFrame(
        {"a": [0] * 100 + [1] * 100, "y": [0] * 80 + [1] * 20 + [0] * 40 + [1] * 60}
    )
    found = estimate(frame, "a", "y", method=IPW(bootstrap=Bootstrap(20)))
    np.testing.assert_allclose(found.refute(EValue())["E-value"].value, 3 + np.sqrt(6))


def test_wrong_refuters():
    found = estimate(data(), "a", "y", ["x"], Odd())
    with pytest.raises(ArgumentError, match="not a refuter"):
        found.refute("placebo")
    with pytest.raises(ArgumentError, match="between 0 and 1"):
        Subset(share=1.5)
