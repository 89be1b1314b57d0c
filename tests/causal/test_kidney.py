"""Kidney stones (Charig et al. 1986): Simpson's paradox, and what the intervention says."""

import csv
from importlib.resources import files

import numpy as np
import pytest

import aeframe as ae
from aeframe.infer import Enumeration


class KidneyStones(ae.Model):
    """Stone size decides which treatment is given, and both decide recovery.

    1 is a large stone, treatment A, recovery. ``rows`` is the shape of the data: ``(700,)`` for
    all patients, ``()`` for one.
    """

    def __init__(self):
        unit = ae.Interval()
        self.large = ae.Parameter(0.5, support=unit)
        self.treated = ae.Parameter([0.5, 0.5], support=unit)  # by size
        self.cured = ae.Parameter(np.full((2, 2), 0.5), support=unit)  # by treatment and size

    def __call__(self, rows=()):
        size = self.sample("size", ae.Bernoulli(self.large), shape=rows)
        treatment = self.sample("treatment", ae.Bernoulli(self.treated[size]), shape=rows)
        self.sample("recovered", ae.Bernoulli(self.cured[treatment, size]), shape=rows)


def read_patients():
    """One entry for each patient: size, treatment and recovered, as 0 and 1."""
    text = files("aeframe").joinpath("demo_data/kidney_stones.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    counts = [int(r["n"]) for r in rows]
    coded = {
        "size": [r["size"] == "large" for r in rows],
        "treatment": [r["treatment"] == "A" for r in rows],
        "recovered": [r["recovered"] == "1" for r in rows],
    }
    return {name: np.repeat(np.array(v, dtype=int), counts) for name, v in coded.items()}


def fit_kidney_stones():
    """The Model with its Parameters at maximum likelihood on the 700 patients."""
    model = KidneyStones()
    patients = read_patients()
    model.observe(patients).fit(patients["size"].shape, inference=ae.MAP(restarts=1))
    return model


def recovery(model):
    """The exact probability of recovery in a Model of one patient."""
    return float(model.fit(inference=Enumeration()).mean("recovered"))


@pytest.mark.parametrize("backend", ["jax", "c"])
def test_do_naive_and_sampled(backend):
    with ae.Backend(backend):
        model = fit_kidney_stones()
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
    model, p = fit_kidney_stones(), read_patients()
    np.testing.assert_allclose(model.large.value, p["size"].mean(), atol=1e-6)
    for t in (0, 1):
        for s in (0, 1):
            chosen = (p["treatment"] == t) & (p["size"] == s)
            rate = p["recovered"][chosen].mean()
            np.testing.assert_allclose(model.cured.value[t, s], rate, atol=1e-5)
