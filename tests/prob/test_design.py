"""Design matrices: columns, groups, new data and what is wrong with them."""

import numpy as np
import pandas as pd
import pytest

from aeframe.core.errors import ArgumentError, DataError, UnknownNameError
from aeframe.prob.design import Design, columns_of

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "y": RNG.normal(size=12),
        "x": RNG.normal(size=12),
        "kind": list("abcabcabcabc"),
        "county": list("uuuvvvwwwuvw"),
        "hits": RNG.integers(0, 4, 12),
        "tries": 5,
    }
)

NEW = pd.DataFrame({"x": [np.nan], "kind": ["q"], "trials": [3]})


def design(formula, frame=FRAME):
    return Design(formula, columns_of(formula, frame))


def test_columns_are_those_of_the_formula():
    made = design("y ~ x + kind")
    x, offset, _ = made.arrays()
    expected = np.c_[FRAME["x"], FRAME["kind"] == "b", FRAME["kind"] == "c"]
    np.testing.assert_allclose(x, expected)
    assert made.names == ["x", "kind[b]", "kind[c]"]
    assert made.terms == {"x": slice(0, 1), "kind": slice(1, 3)}
    assert made.intercept
    assert made.name == "y"
    np.testing.assert_array_equal(offset, np.zeros(12))
    np.testing.assert_allclose(made.sd, expected.std(axis=0))


def test_offsets_and_trials():
    made = design("p(hits, tries) ~ 0 + x + offset(y)")
    x, offset, trials = made.arrays()
    assert (x.shape, made.intercept) == ((12, 1), False)
    np.testing.assert_allclose(offset, FRAME["y"])
    np.testing.assert_array_equal(trials, 5)
    np.testing.assert_array_equal(made.response[:, 0], FRAME["hits"])


@pytest.mark.parametrize("rows", [slice(None), slice(3, 7)])
def test_group_effects_are_places_and_weights(rows):
    made = design("y ~ (1 + x | county) + (0 + kind | county)")
    new = FRAME.iloc[rows]
    _, _, _, *groups = made.arrays(new)
    assert list(made.groups)[:2] == ["1|county", "x|county"]
    codes = {"u": 0.3, "v": -1.0, "w": 2.0}
    effects = np.array(list(codes.values()))
    exact = new["county"].map(codes)
    one, at_x = [
        (effects[i] * w).sum(axis=1) for i, w in zip(groups[:4:2], groups[1:4:2], strict=True)
    ]
    np.testing.assert_allclose(one, exact)
    np.testing.assert_allclose(at_x, exact * new["x"])
    assert made.groups["1|county"] == ["u", "v", "w"]
    assert len(made.groups["kind|county"]) == 6


def test_new_data_use_what_was_learned_from_the_old():
    made = design("y ~ scale(x)")
    (x, _, _) = made.arrays(pd.DataFrame({"x": [0.0]}))
    np.testing.assert_allclose(x, -FRAME["x"].mean() / FRAME["x"].std(ddof=0), rtol=0.05)


LEVELS = ["lo", "mid", "hi"]
CODES = np.array([0, 1, 2, 2, 1, 0, 0, 2, 1, 1, 2, 0])


@pytest.mark.parametrize("ordered", [True, False])
def test_categories_keep_their_order(ordered):
    """Also where new rows come as plain text; by the alphabet they would be hi, lo, mid."""
    factor = pd.Categorical.from_codes(CODES, LEVELS, ordered=ordered)
    made = design("y ~ dose + (1 | dose)", FRAME.assign(dose=factor.add_categories("more")))
    assert made.names == ["dose[mid]", "dose[hi]"]
    assert made.groups == {"1|dose": LEVELS}
    for rows in ({"dose": factor}, {"dose": np.array(LEVELS)[CODES]}):
        x, _, _, index, _ = made.arrays(rows)
        np.testing.assert_array_equal(x, CODES[:, None] == [1, 2])
        np.testing.assert_array_equal(index[:, 0], CODES)


def test_an_ordered_response_is_its_codes():
    frame = FRAME.assign(rank=pd.Categorical.from_codes(CODES, LEVELS, ordered=True))
    made = design("rank ~ x", frame)
    made.require_order("Ordinal")
    np.testing.assert_array_equal(made.response.argmax(axis=1), CODES)
    again = made.response_of({"rank": ["hi", "lo"], "x": [0.0, 0.0]})
    np.testing.assert_array_equal(again.argmax(axis=1), [2, 0])


def test_numbers_that_are_categories_are_labels():
    frame = FRAME.assign(dose=pd.Categorical(np.array([10, 9, 2])[CODES]))
    assert design("y ~ dose", frame).names == ["dose[9]", "dose[10]"]


@pytest.mark.parametrize(
    ("use", "error", "words"),
    [
        (lambda: design("y ~ z"), UnknownNameError, "no column 'z'"),
        (lambda: design("y ~ (x"), ArgumentError, "cannot be read"),
        (lambda: design("~ x"), ArgumentError, "no response|cannot be read"),
        (lambda: design("y ~ x", FRAME.assign(x=[np.nan] + [0.0] * 11)), DataError, "1 missing"),
        (lambda: design("y ~ kind").arrays({"kind": ["q"]}), DataError, "q"),
        (lambda: design("y ~ (1|kind)").arrays(NEW), DataError, "(?s)q.*on data with these"),
        (lambda: design("y ~ x").arrays(NEW), DataError, "missing or infinite"),
        (lambda: design("y ~ x").arrays(NEW[:0]), DataError, "no rows"),
        (lambda: design("y ~ tries").arrays(NEW), UnknownNameError, "did you mean 'trials'"),
        (lambda: design("kind ~ x").require_order("Ordinal"), DataError, "have no order"),
        (lambda: design("y ~ kin"), UnknownNameError, "did you mean 'kind'"),
        (lambda: design("y ~ logarithm(x)"), ArgumentError, "no function is called 'logarithm'"),
        (lambda: design("y ~ np.logarithm(x)"), ArgumentError, "cannot be read"),
        (lambda: design("y ~ x", FRAME[:0]), DataError, "no rows"),
        (lambda: design("p(tries, hits) ~ x"), DataError, "'successes' cannot be greater"),
        (lambda: design("y ~ x").arrays({"w": [1.0]}), UnknownNameError, "'x'"),
    ],
)
def test_wrong_uses(use, error, words):
    with pytest.raises(error, match=words):
        use()
