"""Linear models against closed forms, hand-written models and what simulated them."""

import numpy as np
import pandas as pd
import pytest

import aeframe as ae
from aeframe.core.errors import ArgumentError, DataError, UnknownNameError
from aeframe.infer import Laplace
from aeframe.prob import LinearModel, families
from aeframe.prob.design import Design, columns_of

RNG = np.random.default_rng(0)
N = 120
GROUP = RNG.integers(0, 6, N)
EFFECT = RNG.normal(size=6)
FRAME = pd.DataFrame({"x": RNG.normal(size=N), "w": RNG.uniform(-1, 1, N)})
FRAME["group"] = [f"g{i}" for i in GROUP]
ETA = 0.5 + 0.8 * FRAME["x"] - FRAME["w"]
FRAME["normal"] = ETA + 0.3 * RNG.normal(size=N)
FRAME["t"] = ETA + 0.3 * RNG.standard_t(4, N)
FRAME["grouped"] = FRAME["normal"] + EFFECT[GROUP]
P = 1 / (1 + np.exp(-ETA))
FRAME["yes"] = RNG.binomial(1, P)
FRAME["answer"] = np.where(FRAME["yes"], "yes", "no")
FRAME["tries"] = RNG.integers(1, 9, N)
FRAME["hits"] = RNG.binomial(FRAME["tries"], P)
FRAME["count"] = RNG.poisson(np.exp(ETA))
FRAME["over"] = RNG.negative_binomial(3, 3 / (3 + np.exp(ETA)))
FRAME["positive"] = RNG.gamma(4, np.exp(ETA) / 4)
FRAME["share"] = np.clip(RNG.beta(10 * P, 10 * (1 - P)), 1e-6, 1 - 1e-6)
LOGITS = np.c_[np.zeros(N), ETA, -ETA]
FRAME["label"] = ["abc"[RNG.choice(3, p=np.exp(row) / np.exp(row).sum())] for row in LOGITS]
LATENT = ETA - 0.5 + RNG.logistic(size=N)
FRAME["rank"] = np.digitize(LATENT, [-1.0, 0.5])
SLOPES = np.array([0.8, -1.0])


def fit(formula, **options):
    return LinearModel(formula, FRAME, **options).fit(inference=Laplace(restarts=1))


def test_a_normal_response_is_ridge_regression_on_the_priors():
    """Given the sd, mode and covariance are those of a normal model."""
    posterior = fit("normal ~ x + w")
    sd, y = float(posterior.values["sd"]), FRAME["normal"].to_numpy()
    x = FRAME[["x", "w"]].to_numpy()
    centred = np.c_[np.ones(N), x - x.mean(axis=0)]
    prior = np.array([2.5 * y.std(), *(2.5 * y.std() / x.std(axis=0))])
    precision = centred.T @ centred / sd**2 + np.diag(prior**-2)
    right = centred.T @ y / sd**2 + np.array([y.mean() / prior[0] ** 2, 0, 0])
    middle, *slopes = np.linalg.solve(precision, right)
    np.testing.assert_allclose(posterior.values["coefficients"], slopes, rtol=1e-5)
    intercept = middle - x.mean(axis=0) @ slopes
    np.testing.assert_allclose(posterior.values["Intercept"], intercept, rtol=1e-5)


@pytest.mark.parametrize(
    ("formula", "family", "slopes"),
    [
        ("t ~ x + w", families.StudentT(), SLOPES),
        ("yes ~ x + w", families.Bernoulli(), SLOPES),
        ("yes ~ x + w", families.Bernoulli(families.Probit()), SLOPES / 1.7),
        ("p(hits, tries) ~ x + w", families.Binomial(), SLOPES),
        ("count ~ x + w", families.Poisson(), SLOPES),
        ("over ~ x + w", families.NegativeBinomial(), SLOPES),
        ("positive ~ x + w", families.Gamma(), SLOPES),
        ("share ~ x + w", families.Beta(), SLOPES),
        ("label ~ x + w", families.Categorical(), np.c_[SLOPES, -SLOPES]),
        ("rank ~ 0 + x + w", families.Ordinal(levels=3), SLOPES),
    ],
    ids=lambda v: str(v).split("(")[0] if not isinstance(v, np.ndarray) else "",
)
def test_families_find_what_simulated_them(formula, family, slopes):
    posterior = fit(formula, family=family)
    found, sd = posterior.values["coefficients"], posterior.sd("coefficients")
    assert found.shape == slopes.shape
    assert np.all(np.abs(found - slopes) < 3.5 * sd)
    assert np.all(sd < 0.7)


def test_ordered_labels_are_their_codes(tmp_path):
    """The same posterior as of the integers; also after a file."""
    labels = pd.Categorical.from_codes(FRAME["rank"], ["lo", "mid", "hi"], ordered=True)
    family = families.Ordinal(levels=3)
    model = LinearModel("rank ~ x", FRAME.assign(rank=labels), family)
    model.save(tmp_path / "model.ae")
    again = ae.load(tmp_path / "model.ae")
    expected = fit("rank ~ x", family=family).mode
    np.testing.assert_allclose(again.fit(inference=Laplace(restarts=1)).mode, expected, atol=1e-6)
    with pytest.raises(DataError, match="give levels=3"):
        LinearModel("rank ~ x", FRAME.assign(rank=labels), families.Ordinal(levels=4))


@pytest.mark.parametrize("intercept", [True, False])
def test_a_predictor_that_does_not_vary(intercept):
    frame = FRAME.assign(x=0.1)
    if intercept:
        with pytest.warns(UserWarning, match="x of .* does not vary"):
            model = LinearModel("normal ~ x + w", frame)
    else:
        model = LinearModel("normal ~ 0 + x + w", frame)
    assert model.design.sd[0] == 1
    assert model.design.constant == ["x"]


def test_group_effects_shrink_and_are_named():
    model = LinearModel("grouped ~ x + w + (1 | group)", FRAME)
    posterior = model.fit(inference=Laplace(restarts=1))
    found = posterior.values["1|group"] - posterior.values["1|group"].mean()
    np.testing.assert_allclose(found, EFFECT - EFFECT.mean(), atol=0.25)
    assert posterior.layout.dims["1|group"] == ("group",)
    assert posterior.layout.coords["group"].tolist() == [f"g{i}" for i in range(6)]
    assert posterior.layout.dims["coefficients"] == ("term",)


@pytest.mark.parametrize(
    ("formula", "effects"),
    [("1", set()), ("(1|group)", {"1|group"}), ("(x|group)", {"1|group", "x|group"})],
)
def test_a_formula_may_have_no_columns(formula, effects):
    posterior = fit(f"grouped ~ {formula}")
    assert set(posterior.values) >= {"Intercept"} | effects
    assert "coefficients" not in posterior.values
    low, high = EFFECT.min(), EFFECT.max()
    middle = FRAME["grouped"].mean()
    assert middle + low < posterior.values["Intercept"] < middle + high
    assert posterior.predict(FRAME[:5], n=3)["grouped"].shape == (3, 5)


def test_a_group_may_be_called_almost_like_another_axis():
    model = LinearModel(
        "label ~ (1|rows)", FRAME.assign(rows=FRAME["group"]), families.Categorical()
    )
    assert set(model.prior_predictive(2)) >= {"1|rows", "label"}


def test_predictions_and_expectations_on_new_rows():
    posterior = fit("normal ~ x + w")
    model = posterior.model
    new = pd.DataFrame({"x": [0.0, 1.0], "w": [0.0, 0.0]})
    mean = model.expected(posterior, new, n=500)
    np.testing.assert_allclose(mean.mean(axis=0), [0.5, 1.3], atol=0.15)
    drawn = posterior.predict(new, n=2000)["normal"]
    np.testing.assert_allclose(drawn.std(axis=0), posterior.values["sd"], rtol=0.15)


def test_effects_are_drawn():
    posterior = fit("normal ~ x * w + group")
    curves = posterior.model.plot_effects(posterior, "x", by="w")
    assert [t.get_text() for t in curves.get_legend().get_texts()] == [
        f"w = {v:.3g}" for v in np.linspace(FRAME["w"].min(), FRAME["w"].max(), 3)
    ]
    bars = posterior.model.plot_effects(posterior, "group")
    assert [t.get_text() for t in bars.get_xticklabels()] == [f"g{i}" for i in range(6)]


def test_priors_and_the_horseshoe():
    tight = fit("normal ~ x + w", priors={"x": ae.Normal(0, 1e-3), "Intercept": ae.Normal(9, 1e-3)})
    assert abs(tight.values["coefficients"][0]) < 0.01
    np.testing.assert_allclose(tight.values["centred intercept"], 9, atol=0.01)
    sparse = LinearModel("normal ~ x + w", FRAME, coefficients=ae.prob.Horseshoe())
    assert {"global", "local"} < set(sparse.expression())


def test_a_file_holds_the_model(tmp_path):
    model = LinearModel("grouped ~ x + (1 | group)", FRAME)
    model.save(tmp_path / "model.ae")
    again = ae.load(tmp_path / "model.ae")
    a, b = (m.fit(inference=Laplace(restarts=1)) for m in (model, again))
    np.testing.assert_array_equal(a.mode, b.mode)


@pytest.mark.parametrize(
    ("use", "error", "words"),
    [
        (lambda: LinearModel("count ~ x", FRAME, family="poisson"), ArgumentError, "is an object"),
        (lambda: LinearModel("normal ~ x", FRAME, family=families.Poisson()), DataError, "Poisson"),
        (lambda: LinearModel("hits ~ x", FRAME, family=families.Binomial()), DataError, "trials"),
        (lambda: fit("rank ~ x", family=families.Ordinal()), ArgumentError, "levels=4"),
        (lambda: fit("label ~ x", family=families.Ordinal(levels=3)), DataError, "have no order"),
        (lambda: LinearModel("normal ~ zz", FRAME), UnknownNameError, "no column 'zz'"),
        (lambda: fit("normal ~ x", priors={"q": ae.Normal(0, 1)}), UnknownNameError, "no term 'q'"),
        (lambda: fit("normal ~ x", priors={"x": 3.0}), ArgumentError, "is not normal"),
    ],
)  # fmt: skip
def test_wrong_uses(use, error, words):
    with pytest.raises(error, match=words):
        use()


@pytest.mark.parametrize("left", ["normal", "I(normal**2)", "label", "answer", "p(hits, tries)"])
def test_another_frame_has_a_response_of_its_own(left):
    design = Design(f"{left} ~ x", columns_of(f"{left} ~ x", FRAME))
    few = FRAME.iloc[[3, 5, 8]]
    np.testing.assert_allclose(design.response_of(few), design.response[[3, 5, 8]])
    trials = design.arrays(few)[2]
    np.testing.assert_array_equal(trials, few["tries"] if "p(" in left else np.ones(3))


def test_a_fit_on_another_frame():
    few = FRAME.iloc[:60]
    model = LinearModel("normal ~ x + w", FRAME)
    found = model.fit(few, inference=Laplace(restarts=1)).values["coefficients"]
    x = np.c_[np.ones(60), few[["x", "w"]]]
    np.testing.assert_allclose(
        found, np.linalg.lstsq(x, few["normal"], rcond=None)[0][1:], atol=0.02
    )


def test_booleans_are_labels_in_new_data_too():
    frame = FRAME.assign(yes=FRAME["yes"] == 1)
    design = Design("normal ~ yes", columns_of("normal ~ yes", frame))
    np.testing.assert_array_equal(design.arrays(frame)[0][:, 0], FRAME["yes"])
