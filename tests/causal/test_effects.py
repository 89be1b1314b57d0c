"""Effects against exact answers and closed forms; distributions, mediators, plots, wrong uses."""

import json
from pathlib import Path

import aesara.tensor as at
import matplotlib as mpl
import numpy as np
import pytest
from scipy import stats
from scipy.integrate import trapezoid

import aeframe as ae
from aeframe.causal import (
    KolmogorovSmirnov,
    Probability,
    Quantile,
    Wasserstein,
    ate,
    att,
    atu,
    cate,
    contrast,
    controlled_direct_effect,
    interventional_direct_effect,
    interventional_indirect_effect,
    natural_direct_effect,
    natural_indirect_effect,
    policy_value,
    worlds,
)
from aeframe.core.errors import ArgumentError, DataError
from aeframe.demo.kidney import patients

mpl.use("Agg")
CASES = json.loads((Path(__file__).parent / "data" / "effects_cases.json").read_text())
EXACT = ae.Enumeration()
ON, OFF = {"T": 1}, {"T": 0}


class Kidney(ae.Model):
    """The frequencies of Charig et al. 1986: size, treatment A, recovery."""

    def __call__(self):
        p = patients()
        large, a, cured = p["size"] == 1, p["treatment"] == 1, p["recovered"]
        rates = [[cured[(a == t) & (large == s)].mean() for s in (0, 1)] for t in (0, 1)]
        size = self.sample("size", ae.Bernoulli(large.mean()))
        treated = at.constant([a[~large].mean(), a[large].mean()])[size]
        treatment = self.sample("treatment", ae.Bernoulli(treated))
        self.sample("recovered", ae.Bernoulli(at.constant(rates)[treatment, size]))


def test_kidney_stones():
    answer = CASES["kidney_stones"]
    pair = {"treatment": 1}, {"treatment": 0}
    found = ate(Kidney(), "recovered", *pair, inference=EXACT)
    np.testing.assert_allclose(found.estimate, answer["ATE"], atol=1e-8)
    np.testing.assert_allclose(found.value("treated"), answer["P_do_A"], atol=1e-8)
    np.testing.assert_allclose(found.value("control"), answer["P_do_B"], atol=1e-8)
    assert found.error() == 0
    naive = [
        Kidney().observe({"treatment": t}).fit(inference=EXACT).mean("recovered") for t in (1, 0)
    ]
    np.testing.assert_allclose(naive[0] - naive[1], answer["naive"], atol=1e-8)
    sampled = ate(Kidney(), "recovered", *pair, n=4000)
    assert 0 < sampled.error() < 0.01
    assert abs(sampled.estimate - answer["ATE"]) < 3 * sampled.error()
    assert "ATE on recovered" in str(sampled)
    # among the small stones, those who got A, and those who did not: by size, from the table
    p = patients()
    by_size = {
        s: np.subtract(
            *(p["recovered"][(p["treatment"] == t) & (p["size"] == s)].mean() for t in (1, 0))
        )
        for s in (0, 1)
    }
    small = cate(Kidney(), "recovered", *pair, given={"size": 0}, inference=EXACT)
    np.testing.assert_allclose(small.estimate, by_size[0], atol=1e-8)
    for effect, t in ((att, 1), (atu, 0)):
        large = p["size"][p["treatment"] == t].mean()
        expected = large * by_size[1] + (1 - large) * by_size[0]
        exact = effect(Kidney(), "recovered", *pair, inference=EXACT)
        np.testing.assert_allclose(exact.estimate, expected, atol=1e-8)
        assert effect(Kidney(), "recovered", *pair).error() == 0  # few cases: exact by default


class Collider(ae.Model):
    def __call__(self):
        a = self.sample("A", ae.Bernoulli(0.877))
        b = self.sample("B", ae.Bernoulli(0.013))
        self.sample("C", ae.Bernoulli(at.constant([[0.877, 0.544], [0.211, 0.013]])[a, b]))


def test_doing_the_effect_says_nothing_of_the_cause():
    answer = CASES["do_on_effect"]
    for c in (0, 1):
        found = worlds(Collider(), {"done": {"C": c}}, inference=EXACT)
        np.testing.assert_allclose(found.mean("done", "A"), answer["P_A1_do_C"], atol=1e-8)
    seen = Collider().observe({"C": 1}).fit(inference=EXACT)
    np.testing.assert_allclose(seen.mean("A"), answer["P_A1_given_C1"], atol=1e-8)


class MBias(ae.Model):
    def __call__(self):
        u1 = self.sample("U1", ae.Normal(0, 1))
        u2 = self.sample("U2", ae.Normal(0, 1))
        x = self.sample("X", ae.Normal(u1, 1))
        self.sample("M", ae.Normal(u1 + u2, 1))
        self.sample("Y", ae.Normal(0.5 * x + u2, 1))


def test_m_bias():
    def regression(**known):
        """The slope of X in E[Y | X, known]."""
        means = [MBias().observe({"X": x, **known}).fit().mean("Y") for x in (1.0, 0.0)]
        return means[0] - means[1]

    answer = CASES["m_bias_linear"]
    np.testing.assert_allclose(regression(), answer["ols_empty"], atol=1e-8)
    np.testing.assert_allclose(regression(M=0.0), answer["ols_given_M"], atol=1e-8)
    pair = {"X": 1.0}, {"X": 0.0}
    for inference in (None, ae.Exact()):
        found = ate(MBias(), "Y", *pair, inference=inference)
        np.testing.assert_allclose(found.estimate, CASES["m_bias_linear"]["effect"], atol=1e-8)
    assert found.error() == 0
    given = cate(MBias(), "Y", *pair, given={"M": 2.0}, inference=ae.Exact())
    np.testing.assert_allclose(given.estimate, 0.5, atol=1e-8)
    np.testing.assert_allclose(given.value("control"), 2.0 / 3.0, atol=1e-8)


class Linear(ae.Model):
    def __call__(self):
        z = self.sample("Z", ae.Normal(0, 1))
        x = self.sample("X", ae.Normal(z, 1))
        self.sample("Y", ae.Normal(2 * x + z, 1))


def test_soft_interventions():
    answer = CASES["shift_intervention"]
    changes = {
        "shift": {"X": lambda natural: natural + 1.0},
        "stochastic_N01": {"X": ae.Normal(0, 1)},
        "atomic_1": {"X": 1.0},
        "observational": {},
    }
    exact = worlds(Linear(), changes, inference=ae.Exact(), n=10)
    n = 4000
    drawn = worlds(Linear(), changes, n=n)
    for world in changes:
        mean, var = answer[world]["mean"], answer[world]["var"]
        np.testing.assert_allclose(exact.mean(world, "Y"), mean, atol=1e-8)
        np.testing.assert_allclose(exact.sd(world, "Y") ** 2, var, atol=1e-8)
        assert abs(drawn.mean(world, "Y") - mean) < 3 * np.sqrt(var / n)
        assert abs(drawn.sd(world, "Y") ** 2 - var) < 3 * var * np.sqrt(2 / n)


def test_the_original_is_not_changed():
    class XY(ae.Model):
        def __call__(self):
            x = self.sample("X", ae.Normal(0, 1))
            self.sample("Y", ae.Normal(2 * x, 1))

    answer, model = CASES["non_mutation"], XY()
    found = worlds(model, {"done": {"X": 3}}, inference=ae.Exact())
    np.testing.assert_allclose(found.mean("done", "Y"), answer["E_Y_m2"], atol=1e-8)
    np.testing.assert_allclose(
        model.log_prob({"X": 1.0, "Y": 2.0}), answer["logp_original"], atol=1e-8
    )
    np.testing.assert_allclose(
        model.intervene({"X": 3}).log_prob({"Y": 2.0}), answer["logp_m2_at_Y2"], atol=1e-8
    )


class Mediation(ae.Model):
    """Of tables p(M | T) and p(Y | T, M)."""

    def __init__(self, m, y):
        self.m, self.y = m, y

    def __call__(self):
        t = self.sample("T", ae.Bernoulli(0.5))
        m = self.sample("M", ae.Bernoulli(at.constant(self.m)[t]))
        self.sample("Y", ae.Bernoulli(at.constant(self.y)[t, m]))


HOMEWORK = Mediation([0.4, 0.75], [[0.2, 0.3], [0.4, 0.8]])


def test_direct_and_indirect_effects():
    answer = CASES["mediation_homework"]
    exact = {"inference": EXACT}
    total = ate(HOMEWORK, "Y", ON, OFF, **exact).estimate
    direct = natural_direct_effect(HOMEWORK, "Y", ON, OFF, ["M"], **exact).estimate
    indirect = natural_indirect_effect(HOMEWORK, "Y", ON, OFF, ["M"], **exact).estimate
    reverse = natural_indirect_effect(HOMEWORK, "Y", OFF, ON, ["M"], **exact).estimate
    found = {"TE": total, "NDE": direct, "NIE": indirect, "NIE_reverse": reverse}
    found |= {"NDE/TE": direct / total, "NIE/TE": indirect / total}
    for m in (0, 1):
        found[f"CDE_{m}"] = controlled_direct_effect(
            HOMEWORK, "Y", ON, OFF, {"M": m}, **exact
        ).estimate
    for name, value in found.items():
        np.testing.assert_allclose(value, answer[name], atol=1e-8, err_msg=name)
    drawn = natural_direct_effect(HOMEWORK, "Y", ON, OFF, ["M"], n=4000)
    assert abs(drawn.estimate - answer["NDE"]) < 3 * drawn.error()
    # nothing is shared by M and Y but T: the interventional effects are the natural ones
    one = interventional_direct_effect(HOMEWORK, "Y", ON, OFF, ["M"], **exact).estimate
    two = interventional_indirect_effect(HOMEWORK, "Y", ON, OFF, ["M"], **exact).estimate
    np.testing.assert_allclose([one, one + two], [answer["NDE"], answer["TE"]], atol=1e-8)
    table = Mediation([0.2, 0.8], [[0.3, 0.7], [0.6, 0.9]])
    answer = CASES["mediation_cde"]
    np.testing.assert_allclose(ate(table, "Y", ON, OFF, **exact).estimate, answer["TE"], atol=1e-8)
    for m in (0, 1):
        held = controlled_direct_effect(table, "Y", ON, OFF, {"M": m}, **exact)
        np.testing.assert_allclose(held.estimate, answer[f"CDE{m}"], atol=1e-8)


class Recanting(ae.Model):
    """T → L → (M, Y): natural effects through M are not a matter of the model."""

    def __call__(self):
        t = self.sample("T", ae.Bernoulli(0.5))
        el = self.sample("L", ae.Bernoulli(0.2 + 0.6 * t))
        m = self.sample("M", ae.Bernoulli(0.1 + 0.5 * el + 0.2 * t))
        self.sample("Y", ae.Bernoulli(0.1 + 0.3 * m * el + 0.2 * t + 0.1 * el))


def test_interventional_effects_where_natural_ones_are_not_known():
    with pytest.raises(ArgumentError, match="'L' is changed"):
        natural_direct_effect(Recanting(), "Y", ON, OFF, ["M"])
    p_l = {0: 0.2, 1: 0.8}
    p_m = {t: 0.1 + 0.5 * p_l[t] + 0.2 * t for t in p_l}

    def y(t, g):
        return 0.1 + 0.3 * p_m[g] * p_l[t] + 0.2 * t + 0.1 * p_l[t]

    expected = y(1, 0) - y(0, 0), y(1, 1) - y(1, 0)
    effects = interventional_direct_effect, interventional_indirect_effect
    for effect, value in zip(effects, expected, strict=True):
        exact = effect(Recanting(), "Y", ON, OFF, ["M"], inference=EXACT)
        np.testing.assert_allclose(exact.estimate, value, atol=1e-8)
        drawn = effect(Recanting(), "Y", ON, OFF, ["M"], n=4000)
        assert abs(drawn.estimate - value) < 3 * drawn.error()
    both = natural_direct_effect(Recanting(), "Y", ON, OFF, ["L", "M"], inference=EXACT)
    assert 0 < both.estimate < 1


def test_contrasts_of_distributions():
    pair = {"X": 1.0}, {"X": lambda natural: 2.0 * natural}  # N(2, 2), and N(0, 42)
    one, two = stats.norm(2, np.sqrt(2)), stats.norm(0, np.sqrt(42))
    points = np.linspace(-40, 40, 400_001)
    gap = np.abs(one.cdf(points) - two.cdf(points))
    expected = [
        (Quantile(0.9), one.ppf(0.9) - two.ppf(0.9)),
        (Probability(lambda y: y > 1), one.sf(1) - two.sf(1)),
        (Wasserstein(), trapezoid(gap, points)),
        (KolmogorovSmirnov(), gap.max()),
    ]
    for by, value in expected:
        found = contrast(Linear(), "Y", *pair, by=by, n=4000)
        assert abs(found.estimate - value) < 4 * found.error()
        assert found.error() < 0.2
    exact = contrast(HOMEWORK, "Y", ON, OFF, by=KolmogorovSmirnov(), inference=EXACT)
    np.testing.assert_allclose(exact.estimate, 0.46, atol=1e-8)
    assert exact.error() == 0


def test_policies():
    policy = {"X": lambda natural, sites: at.switch(sites["Z"] > 0, 1.0, 0.0)}
    found = policy_value(Linear(), "Y", policy, n=4000)
    assert abs(found.estimate - 1.0) < 3 * found.error()
    best = {"treatment": lambda natural, sites: 1 - sites["size"]}
    exact = policy_value(Kidney(), "recovered", best, inference=EXACT)
    p = patients()
    rate = {s: p["recovered"][(p["size"] == s) & (p["treatment"] == 1 - s)].mean() for s in (0, 1)}
    large = p["size"].mean()
    expected = large * rate[1] + (1 - large) * rate[0]
    np.testing.assert_allclose(exact.estimate, expected, atol=1e-8)


class Trial(ae.Model):
    """A treatment by a severity, and their effects, which are not known."""

    def __call__(self):
        self.plate("unit", 60)
        effect = self.sample("effect", ae.Normal(0, 2))
        base = self.sample("base", ae.Normal(0, 2))
        severe = self.sample("severe", ae.Bernoulli(0.5), dims="unit")
        t = self.sample("T", ae.Bernoulli(0.2 + 0.6 * severe), dims="unit")
        y = self.sample("Y", ae.Normal(base + effect * t - 2.0 * severe, 1.0), dims="unit")
        self.deterministic("first", y[0])


@pytest.fixture(scope="module")
def trial():
    rng = np.random.default_rng(5)
    severe = rng.integers(0, 2, 60)
    t = (rng.uniform(size=60) < 0.2 + 0.6 * severe).astype(int)
    y = 1.0 + 1.5 * t - 2.0 * severe + rng.normal(size=60)
    return Trial().observe({"severe": severe, "T": t, "Y": y}).fit(inference=ae.Exact())


def test_a_posterior_gives_a_credible_interval(trial):
    found = ate(trial, "Y", ON, OFF, n=300, units=5)
    assert found.draws.shape == (300,)
    np.testing.assert_allclose(found.draws, trial.draws(300)["effect"], atol=1e-10)
    exact = stats.norm(trial.mean("effect"), trial.sd("effect"))
    low, high = found.interval()
    assert abs(low - exact.ppf(0.05)) < 0.1
    assert abs(high - exact.ppf(0.95)) < 0.1
    assert found.outcomes["control", "Y"].shape == (1500, 60)


def test_units_of_which_something_is_known_are_selected():
    one = Small().observe({"Y": 3.0, "T": 1, "S": 1}).fit(inference=ae.Exact())
    found = att(one, "Y", ON, OFF, n=200, units=50)
    kept = len(found.outcomes["treated", "Y"])
    assert abs(kept / 10_000 - 0.5) < 3 * np.sqrt(0.25 / 10_000)
    severe = found.outcomes["control", "Y"] - one.draws(200)["b"][found.outcomes.groups]
    # P(S = 1 | T = 1) = 0.8, and S takes 2 from Y
    assert abs(severe.mean() + 1.6) < 3 * np.sqrt((1 + 4 * 0.16) / kept)
    with pytest.raises(ArgumentError, match="is continuous"):
        cate(one, "Y", ON, OFF, given={"W": 1.0})
    with pytest.raises(DataError, match="none of the units"):
        cate(one, "Y", ON, OFF, given={"S": 1, "T": 2}, n=2, units=1)


class Small(ae.Model):
    def __call__(self):
        b = self.sample("b", ae.Normal(0, 1))
        s = self.sample("S", ae.Bernoulli(0.5))
        self.sample("W", ae.Normal(s, 1.0))
        t = self.sample("T", ae.Bernoulli(0.2 + 0.6 * s))
        self.sample("Y", ae.Normal(b + t - 2.0 * s, 1.0))


def test_tables_of_distances_and_exact_effects():
    told = repr(contrast(Linear(), "Y", {"X": 1.0}, {"X": 0.0}, by=KolmogorovSmirnov(), n=50))
    assert "Kolmogorov-Smirnov distance" in told
    assert "control" not in told
    assert ate(Linear(), "Y", {"X": 1.0}, {"X": 0.0}).error() == 0.0


def test_plots(tmp_path):
    figures = [
        ate(Linear(), "Y", {"X": 1.0}, {"X": 0.0}),
        ate(HOMEWORK, "Y", ON, OFF, inference=EXACT),
        policy_value(Linear(), "Y", {"X": 1.0}),
    ]
    for effect in figures:
        axes = effect.plot()
        assert len(axes) == 2
        assert axes[0].get_xlabel() == "Y"
        axes[0].figure.savefig(tmp_path / "effect.png")
        mpl.pyplot.close(axes[0].figure)


@pytest.mark.parametrize(
    ("use", "error", "words"),
    [
        (lambda: ate(Linear(), "Q", {"X": 1}, {"X": 0}), KeyError, "'Q'"),
        (lambda: ate(Linear(), "Y", {"Q": 1}, {"X": 0}), KeyError, "'Q'"),
        (lambda: ate("model", "Y", {"X": 1}, {"X": 0}), ArgumentError, "Model or a Posterior"),
        (
            lambda: cate(Linear(), "Y", {"X": 1}, {"X": 0}, given={"Y": 1.0}),
            ArgumentError,
            "descendant of what is changed",
        ),
        (lambda: Quantile(2.0), ArgumentError, "between 0 and 1"),
        (lambda: ate(Linear(), "Y", {"X": 1}, {"X": 0}, n=1), ArgumentError, "from 2 up"),
        (
            lambda: ate(Linear(), "Y", {"X": 1}, {"X": 0}, inferense=EXACT),
            ArgumentError,
            "'inferense'(.|\n)*did you mean 'inference'",
        ),
        (lambda: att(Linear(), "Y", {"X": lambda x: x}, {"X": 0}), ArgumentError, "have a value"),
        (
            lambda: contrast(Linear(), "Y", {"X": 1}, {"X": 0}, by="mean"),
            ArgumentError,
            "by a statistic",
        ),
    ],
)
def test_wrong_uses(use, error, words):
    with pytest.raises(error, match=words):
        use()
