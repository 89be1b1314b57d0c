"""Kidney stones (Charig et al. 1986): Simpson's paradox, and what the intervention says."""

import numpy as np
import pytest

import aeframe as ae
from aeframe.demo.kidney import by_formula, fitted, patients, recovery


@pytest.mark.parametrize("backend", ["jax", "c"])
def test_do_naive_and_sampled(backend):
    with ae.Backend(backend):
        model = fitted()
        done = {t: model.intervene({"treatment": t}) for t in (1, 0)}
        a, b = recovery(done[1]), recovery(done[0])
        np.testing.assert_allclose([a, b, a - b], [0.8325462174, 0.778875, 0.0536712174], atol=1e-4)
        naive = [recovery(model.observe({"treatment": t})) for t in (1, 0)]
        np.testing.assert_allclose(naive[0] - naive[1], -0.0457142857, atol=1e-4)
        n = 4000
        for t, exact in ((1, a), (0, b)):
            sampled = done[t].prior_predictive(n, seed=t)["recovered"].mean()
            assert abs(sampled - exact) < 3 * np.sqrt(exact * (1 - exact) / n)
    assert [s.rule for s in ae.diff(model, done[1]).rewrites] == ["do"]


def test_parameters_are_the_frequencies():
    model, p = fitted(), patients()
    np.testing.assert_allclose(model.large.value, p["size"].mean(), atol=1e-6)
    for t in (0, 1):
        for s in (0, 1):
            chosen = (p["treatment"] == t) & (p["size"] == s)
            rate = p["recovered"][chosen].mean()
            np.testing.assert_allclose(model.cured.value[t, s], rate, atol=1e-5)


def test_the_formula_of_the_graph_gives_the_same_from_the_table():
    found = by_formula(fitted())
    np.testing.assert_allclose([found["A"], found["B"]], [0.8325462174, 0.778875], atol=1e-9)
