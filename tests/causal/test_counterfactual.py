"""Counterfactuals against exact answers; what is shared, what is refused, what is left alone."""

import json
from pathlib import Path

import aesara.tensor as at
import numpy as np
import pytest

import aeframe as ae
from aeframe.causal import GumbelMax, InverseCDF, counterfactual
from aeframe.core.errors import ArgumentError, DataError

CASES = json.loads((Path(__file__).parent / "data" / "effects_cases.json").read_text())
FACT, CF = "factual", "counterfactual"


class Squad(ae.Model):
    """A court order (U) and a nervous rifleman (W); the rest are functions of these."""

    def __call__(self):
        u = self.sample("U", ae.Bernoulli(0.6))
        w = self.sample("W", ae.Bernoulli(0.3))
        c = self.deterministic("C", u)
        a = self.deterministic("A", c | w)
        b = self.deterministic("B", c)
        self.deterministic("D", a | b)


def test_the_firing_squad():
    answer = CASES["firing_squad"]
    squad = Squad()
    found = squad.counterfactual(evidence={"D": 1}, do={"A": 0})
    np.testing.assert_allclose(
        found.probability((CF, "D", 0)), answer["P_notD_Afalse_given_D"], atol=1e-8
    )
    done = squad.intervene({"A": 0}).fit(inference=ae.Enumeration())
    np.testing.assert_allclose(done.mean("D"), answer["P_D_do_A0"], atol=1e-8)
    natural = squad.fit(inference=ae.Enumeration())
    np.testing.assert_allclose(natural.mean("D"), answer["P_D"], atol=1e-8)
    # when the rifleman was calm, A's death shot changes nothing (Pearl's S4)
    calm = squad.counterfactual(evidence={"D": 1, "W": 0}, do={"A": 0})
    assert calm.probability((CF, "D", 1)) == pytest.approx(1.0, abs=1e-12)


class Encouragement(ae.Model):
    """X → H → Y and X → Y, linear and normal (Pearl, Glymour and Jewell 2016, 4.2.3)."""

    def __call__(self):
        x = self.sample("X", ae.Normal(0, 1))
        h = self.sample("H", ae.Normal(0.5 * x, 1))
        self.sample("Y", ae.Normal(0.7 * x + 0.4 * h, 1))


def test_a_unit_of_a_linear_model():
    answer = CASES["primer_encouragement"]
    model = Encouragement()
    found = model.counterfactual(evidence={"X": 0.5, "H": 1.0, "Y": 1.5}, do={"H": 2.0})
    np.testing.assert_allclose(found.mean(CF, "Y"), answer["Y_H2"], atol=1e-8)
    for site in "XHY":
        np.testing.assert_allclose(found.noise(site), answer["U"][f"U{site}"], atol=1e-8)
    for evidence, name in (({}, "E_Y_do_H2"), ({"X": 0.5}, "E_Y_do_H2_given_X")):
        done = model.intervene({"H": 2.0})
        posterior = (done.observe(evidence) if evidence else done).fit(inference=ae.Exact())
        np.testing.assert_allclose(posterior.mean("Y"), answer[name], atol=1e-8)


class Salary(ae.Model):
    """Education, experience, salary (Pearl and Mackenzie 2018, chapter 8)."""

    def __call__(self):
        ed = self.sample("ED", ae.Categorical(np.full(3, 1 / 3)))
        ex = self.sample("EX", ae.Normal(10 - 4 * ed, 2))
        self.sample("S", ae.Normal(65000 + 2500 * ex + 5000 * ed, 500))


def test_alice():
    answer = CASES["alice_salary"]
    found = Salary().counterfactual(evidence={"ED": 0, "EX": 6.0, "S": 81000.0}, do={"ED": 1})
    np.testing.assert_allclose(found[CF, "S"], answer["S_ED1"], rtol=1e-12)
    np.testing.assert_allclose(found[CF, "EX"], answer["EX_ED1"], atol=1e-8)
    np.testing.assert_allclose(500 * found.noise("S"), answer["US"], atol=1e-8)
    np.testing.assert_allclose(2 * found.noise("EX"), answer["UEX"], atol=1e-8)


class Unit(ae.Model):
    """A slope that is not known, and one unit at x."""

    def __call__(self):
        beta = self.sample("beta", ae.Normal(0, 1))
        x = self.sample("x", ae.Normal(0, 1))
        self.sample("y", ae.Normal(beta * x, 1))


def test_noise_and_parameters_are_abducted_jointly():
    answer = CASES["bayes_unit_counterfactual"]
    seen = Unit().observe({"x": 1.0, "y": 2.0})
    posterior = seen.fit(inference=ae.Exact())
    np.testing.assert_allclose(posterior.mean("beta"), answer["beta"]["mean"], atol=1e-8)
    np.testing.assert_allclose(posterior.sd("beta") ** 2, answer["beta"]["var"], atol=1e-8)
    for x in (0, 3):
        expected = answer[f"same_unit_y_x{x}"]
        for source, evidence in ((Unit(), {"x": 1.0, "y": 2.0}), (seen, {}), (posterior, {})):
            found = counterfactual(source, evidence=evidence, do={"x": float(x)}, n=10)
            np.testing.assert_allclose(found.mean(CF, "y"), expected["mean"], atol=1e-8)
            np.testing.assert_allclose(found.sd(CF, "y") ** 2, expected["var"], atol=1e-8)
        n = 4000
        new = ae.causal.worlds(posterior, {"new": {"x": float(x)}}, n=n)["new", "y"]
        expected = answer[f"new_unit_y_x{x}"]
        assert abs(new.mean() - expected["mean"]) < 3 * np.sqrt(expected["var"] / n)
        assert abs(new.var() - expected["var"]) < 3 * expected["var"] * np.sqrt(2 / n)


def test_the_same_by_a_sampler():
    n = 2000
    found = Unit().counterfactual(
        evidence={"x": 1.0, "y": 2.0}, do={"x": 3.0}, inference=ae.NUTS(seed=1), n=n
    )
    values = found[CF, "y"]
    error = np.sqrt(2.0 / 200)  # 200: as few as the draws could be worth
    assert abs(values.mean() - 4.0) < 3 * error
    np.testing.assert_allclose(values, 2.0 + 2.0 * found[FACT, "beta"], atol=1e-10)


class Doses(ae.Model):
    """A common cause, a dose in three labels, an outcome in four."""

    def __call__(self):
        z = self.sample("z", ae.Bernoulli(0.4))
        dose = self.sample("dose", ae.Categorical(at.stack([0.5 - 0.2 * z, 0.3, 0.2 + 0.2 * z])))
        weights = at.stack([1.0 + z, 1.0 + dose, 0.5 + 0.0 * dose, 2.0 * at.sqrt(dose)])
        self.sample("out", ae.Categorical(weights / weights.sum()))


def _probabilities(z, dose):
    weights = np.array([1.0 + z, 1.0 + dose, 0.5, 2.0 * np.sqrt(dose)])
    return weights / weights.sum()


def _by_gumbel(rng, p, q, n):
    g = rng.gumbel(size=(n, len(p)))
    with np.errstate(divide="ignore"):
        return (np.log(p) + g).argmax(axis=1), (np.log(q) + g).argmax(axis=1)


def _by_quantiles(rng, p, q, n):
    u = rng.uniform(size=n)
    return tuple((u[:, None] > np.cumsum(v)[:-1]).sum(axis=1) for v in (p, q))


@pytest.mark.parametrize(
    ("noise", "sample"), [(GumbelMax(), _by_gumbel), (InverseCDF(), _by_quantiles)]
)
def test_declared_noise_against_its_simulation(noise, sample):
    rng, n = np.random.default_rng(3), 200_000
    z = (rng.uniform(size=n) < 0.4).astype(int)
    found = Doses().counterfactual(
        evidence={"dose": 1, "out": 1}, do={"dose": 2}, noise={"out": noise}
    )
    kept = []
    for value in (0, 1):
        p, q = _probabilities(value, 1), _probabilities(value, 2)
        before, after = sample(rng, p, q, int((z == value).sum()))
        dosed = rng.uniform(size=len(before)) < 0.3
        kept.append(after[dosed & (before == 1)])
    kept = np.concatenate(kept)
    for k in range(4):
        exact = found.probability((CF, "out", k))
        error = np.sqrt(max(exact * (1 - exact), 1e-6) / len(kept))
        assert abs((kept == k).mean() - exact) < 4 * error


def test_what_is_not_changed_is_the_same_in_both_worlds():
    for noise in (GumbelMax(), InverseCDF()):
        found = Doses().counterfactual(
            evidence={"out": 3}, do={"dose": lambda natural: natural}, noise={"out": noise}
        )
        assert found.probability((CF, "out", 3)) == pytest.approx(1.0, abs=1e-12)


class Wide(ae.Model):
    """Rows of a plate, a transformed draw, and families with other parameters than two."""

    def __call__(self):
        self.plate("row", ["a", "b", "c"])
        x = self.sample("x", ae.Normal(0, 1), dims="row")
        self.sample("t", ae.StudentT(4, 2 * x, 1.0 + x**2), dims="row")
        self.sample("g", ae.Gamma(3.0, at.exp(x)), dims="row")
        self.sample("u", ae.Uniform(x, x + 2.0), dims="row")
        self.sample("e", ae.Transformed(ae.Normal(x, 0.5), at.exp), dims="row")


def test_families_and_plates():
    x = np.array([0.0, 1.0, -1.0])
    seen = {
        "x": x,
        "t": np.array([1.0, 1.0, 1.0]),
        "g": np.array([1.0, 2.0, 3.0]),
        "u": np.array([1.0, 2.0, 0.0]),
        "e": np.array([1.0, 2.0, 3.0]),
    }
    found = Wide().counterfactual(evidence=seen, do={"x": {"b": 0.0}}, n=2)
    at_b = {k: found[CF, k][0, 1] for k in seen}
    expected = {
        "x": 0.0,
        "t": (1.0 - 2.0) / 2.0,
        "g": 2.0 * np.e,
        "u": 1.0,
        "e": np.exp(np.log(2.0) - 1.0),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(at_b[name], value, atol=1e-12)
        np.testing.assert_allclose(found[CF, name][:, [0, 2]], found[FACT, name][:, [0, 2]])
    assert found.dataset()["t"].dims == ("world", "draw", "row")


class Coin(ae.Model):
    def __call__(self):
        x = self.sample("x", ae.Bernoulli(0.5))
        self.sample("y", ae.Bernoulli(0.2 + 0.6 * x))
        self.sample("n", ae.Poisson(1.0 + x))
        self.sample("m", ae.StudentT(1.0 + x, 0.0, 1.0))


@pytest.mark.parametrize(
    ("use", "error", "words"),
    [
        (lambda: Coin().counterfactual(evidence={"y": 1}, do={"x": 0}), ArgumentError, "declare"),
        (
            lambda: Coin().counterfactual(
                evidence={"n": 1}, do={"x": 0}, noise={"y": GumbelMax(), "n": GumbelMax()}
            ),
            ArgumentError,
            "GumbelMax cannot say what the noise of 'n'",
        ),
        (
            lambda: Coin().counterfactual(do={"x": 0}, noise={"z": GumbelMax()}),
            KeyError,
            "the noise of 'z'",
        ),
        (
            lambda: Coin().counterfactual(do={"x": 0}, noise={"y": GumbelMax}),
            ArgumentError,
            "is no rule",
        ),
        (lambda: Squad().counterfactual(evidence={"E": 1}, do={"A": 0}), KeyError, "'E'"),
        (
            lambda: Squad().counterfactual(evidence={"D": 0, "A": 1}, do={"A": 0}),
            DataError,
            "impossible",
        ),
        (
            lambda: Squad().counterfactual(evidence={"D": 1}, do={"A": 0}, inference=ae.NUTS()),
            ArgumentError,
            "summed over",
        ),
        (lambda: Squad().counterfactual(evidence={"D": 1}, do={}), ArgumentError, "dict of sites"),
    ],
)
def test_wrong_uses(use, error, words):
    with pytest.raises(error, match=words):
        use()
