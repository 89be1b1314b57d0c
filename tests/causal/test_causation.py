"""Probabilities of causation against response types, and their bounds against linear programs."""

import json
from pathlib import Path

import aesara.tensor as at
import numpy as np
import pytest
from scipy.optimize import linprog

import aeframe as ae
from aeframe.causal import (
    causation_bounds,
    probability_of_necessity,
    probability_of_necessity_and_sufficiency,
    probability_of_sufficiency,
)
from aeframe.core.errors import ArgumentError, DataError

CASES = json.loads((Path(__file__).parent / "data" / "effects_cases.json").read_text())
# (Y_x, Y_x') of the four response types
TYPES = np.array([[1, 1], [1, 0], [0, 1], [0, 0]])
CAUSE = {"y": 1}, {"x": 1}, {"x": 0}


class Types(ae.Model):
    """A unit's response type decides its y, and which x it takes."""

    def __init__(self, joint):
        self.joint = joint  # (x and x', type)

    def __call__(self):
        kind = self.sample("kind", ae.Categorical(self.joint.sum(axis=0)))
        x = self.sample(
            "x", ae.Bernoulli(at.constant(self.joint[0] / self.joint.sum(axis=0))[kind])
        )
        answers = at.constant(TYPES)
        self.deterministic("y", at.switch(x, answers[kind, 0], answers[kind, 1]))


def _known(joint):
    """PN, PS and PNS of a joint distribution of x and response types."""
    xy, neither = joint[0, :2].sum(), joint[1, [1, 3]].sum()
    return joint[0, 1] / xy, joint[1, 1] / neither, joint[:, 1].sum()


def _data(joint):
    observed = [
        [joint[0, :2].sum(), joint[0, 2:].sum()],
        [joint[1, [0, 2]].sum(), joint[1, [1, 3]].sum()],
    ]
    kinds = joint.sum(axis=0)
    return np.array(observed), np.array([kinds @ TYPES[:, 0], kinds @ TYPES[:, 1]])


def _bounds(observed, experiment, target):
    """The extremes of a sum over cells of the joint, by linear programming."""
    rows, values = [np.ones((2, 4))], [1.0]
    for x in (0, 1):
        cells = np.zeros((2, 4))
        cells[x] = TYPES[:, x]
        rows, values = [*rows, cells], [*values, observed[x, 0]]
    share = np.zeros((2, 4))
    share[0] = 1
    rows, values = [*rows, share], [*values, observed[0].sum()]
    for x in (0, 1):
        rows.append(np.tile(TYPES[:, x], (2, 1)))
        values.append(experiment[x])
    matrix = np.array([r.ravel() for r in rows])
    return [
        sign * linprog(sign * target.ravel(), A_eq=matrix, b_eq=values, bounds=(0, 1)).fun
        for sign in (1, -1)
    ]


def test_bounds_are_sharp_and_hold_the_truth():
    rng = np.random.default_rng(2)
    for _ in range(25):
        joint = rng.dirichlet(np.full(8, 0.5)).reshape(2, 4)
        observed, experiment = _data(joint)
        found = causation_bounds(observed * 1000, experiment)
        both, need, enough = (np.zeros((2, 4)) for _ in range(3))
        both[:, 1] = 1
        need[0, 1] = 1 / observed[0, 0]
        enough[1, 1] = 1 / observed[1, 1]
        intervals = found.necessity, found.sufficiency, found.both
        targets = need, enough, both
        for (low, high), target, true in zip(intervals, targets, _known(joint), strict=True):
            np.testing.assert_allclose(
                [low, high], _bounds(observed, experiment, target), atol=1e-6
            )
            assert low - 1e-9 <= true <= high + 1e-9
        alone = causation_bounds(experiment=experiment).both
        assert alone[0] <= found.both[0] + 1e-12
        assert alone[1] >= found.both[1] - 1e-12


def test_the_drug_in_court():
    answer = CASES["pn_legal"]
    found = causation_bounds([[2, 998], [28, 972]], [0.016, 0.014])
    expected = answer["PN_lower"], answer["PN_upper"]
    np.testing.assert_allclose(found.necessity, expected, atol=1e-8)


def test_of_a_model():
    joint = np.random.default_rng(4).dirichlet(np.ones(8)).reshape(2, 4)
    expected = _known(joint)
    found = [
        probability(Types(joint), *CAUSE)
        for probability in (
            probability_of_necessity,
            probability_of_sufficiency,
            probability_of_necessity_and_sufficiency,
        )
    ]
    np.testing.assert_allclose(found, expected, atol=1e-8)


@pytest.mark.parametrize(
    ("use", "error", "words"),
    [
        (causation_bounds, ArgumentError, "observations, or an experiment"),
        (lambda: causation_bounds([[1, 2], [3, 4]], [0.0, 0.5]), DataError, "no mechanism"),
        (lambda: causation_bounds([1, 2]), DataError, "table of counts"),
        (lambda: causation_bounds(experiment=[1.5, 0.5]), DataError, "no probabilities"),
        (
            lambda: probability_of_sufficiency(Types(np.full((2, 4), 0.125)), {"y": 2}, {}, {}),
            ArgumentError,
            "0 or 1",
        ),
    ],
)
def test_wrong_uses(use, error, words):
    with pytest.raises(error, match=words):
        use()


class Doses(ae.Model):
    """Three doses, and a response that may be graded."""

    def __call__(self):
        x = self.sample("x", ae.Categorical([0.2, 0.4, 0.4]))
        self.sample("y", ae.Bernoulli(0.1 + 0.3 * x))
        self.sample("grade", ae.Normal(0.7 * x, 1.0))


def test_causes_and_outcomes_have_two_values():
    with pytest.raises(ArgumentError, match=r"other values than the two(.|\n)*0.6 for"):
        probability_of_necessity_and_sufficiency(
            Doses(), *CAUSE, noise={"y": ae.causal.InverseCDF()}
        )
    for value in (1.0, 2.5):
        with pytest.raises(ArgumentError, match="outcome of a probability of causation is 0 or 1"):
            probability_of_necessity(
                Doses(), {"grade": value}, *CAUSE[1:], noise={"y": ae.causal.InverseCDF()}
            )
