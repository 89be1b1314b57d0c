"""What every Posterior gives: named draws, InferenceData, tables, verdicts, pictures, files."""

import json
import warnings

import matplotlib
import numpy as np
import pytest
from safetensors import safe_open
from scipy import stats
from scipy.special import ndtri

import aeframe as ae
from aeframe.core.errors import ArgumentError, FileError, ShapeError, UnknownNameError
from aeframe.distributions import Bernoulli, HalfNormal, Normal
from aeframe.infer import Diagnosis, SampledPosterior
from aeframe.infer.diagnosis import check_pareto_k, pareto_k

matplotlib.use("agg")

SD = np.array([15.0, 10.0, 16.0])
Y = np.array([28.0, 8.0, -3.0])


class Schools(ae.Model):
    """Named and unnamed axes, a computed site."""

    def __call__(self, sd):
        self.plate("school", ["A", "B", "C"])
        mu = self.sample("mu", Normal(0, 5))
        tau = self.sample("tau", HalfNormal(5))
        offset = self.sample("offset", Normal(0, 1), dims="school")
        theta = self.deterministic("theta", mu + tau * offset, dims="school")
        self.sample("pair", Normal(0, 1), shape=(2,))
        self.sample("y", Normal(theta, sd), dims="school")


def sampled(chains=4, draws=200, seed=0, **stats_):
    rng = np.random.default_rng(seed)
    found = {
        "mu": rng.normal(size=(chains, draws)),
        "tau": np.exp(rng.normal(size=(chains, draws))),
        "offset": rng.normal(size=(chains, draws, 3)),
        "pair": rng.normal(size=(chains, draws, 2)),
    }
    found["theta"] = found["mu"][..., None] + found["tau"][..., None] * found["offset"]
    model = Schools().observe({"y": Y})
    return SampledPosterior(model, (SD,), ae.NUTS(chains, draws), "as asked", found, stats_)


def test_dims_have_the_names_and_labels_of_plates():
    data = sampled().dataset()
    assert data["theta"].dims == ("chain", "draw", "school")
    assert data["pair"].dims == ("chain", "draw", "pair_dim_0")
    assert data["school"].values.tolist() == ["A", "B", "C"]
    assert float(data["theta"].sel(school="B")[2, 5]) == sampled().chains["theta"][2, 5, 1]


def test_a_dimension_named_like_a_site():
    class Same(ae.Model):
        def __call__(self):
            self.plate("x", 3)
            self.sample("x", Normal(0, 1), dims="x")

    found = Same().fit(inference=ae.MAP(restarts=1)).dataset(5)
    assert found["x"].dims == ("chain", "draw", "x_dim")


def test_independent_draws_are_one_chain_with_computed_sites():
    model = Schools().observe({"y": Y})
    point = model.fit(SD, inference=ae.MAP(restarts=1))
    data = point.dataset(7)
    assert data.sizes["chain"] == 1
    assert data.sizes["draw"] == 7
    expected = point.values["mu"] + point.values["tau"] * point.values["offset"]
    np.testing.assert_allclose(data["theta"].values[0, 3], expected)
    np.testing.assert_allclose(point.mean("theta"), expected)


def test_draws_are_of_free_sites_and_none_comes_twice():
    posterior = sampled(chains=2, draws=50)
    draws = posterior.draws(100, seed=1)
    assert set(draws) == {"mu", "tau", "offset", "pair"}
    assert len(np.unique(draws["mu"])) == 100
    row = int(np.flatnonzero(posterior.chains["mu"].ravel() == draws["mu"][17])[0])
    np.testing.assert_array_equal(
        draws["offset"][17], posterior.chains["offset"].reshape(-1, 3)[row]
    )
    assert len(posterior.draws(250)["mu"]) == 250
    with pytest.raises(ArgumentError):
        posterior.draws(0)


def test_predictions_on_new_data_compute_anew():
    found = sampled().predict(np.full(3, 1e-9), n=6, seed=3)
    np.testing.assert_allclose(found["y"], found["theta"], atol=1e-6)
    np.testing.assert_allclose(
        found["theta"], found["mu"][:, None] + found["tau"][:, None] * found["offset"]
    )


def test_log_likelihood_is_entrywise():
    posterior = sampled()
    data = posterior.inference_data()
    expected = stats.norm.logpdf(Y, posterior.chains["theta"], SD)
    np.testing.assert_allclose(data.log_likelihood["y"], expected, rtol=1e-12)
    assert data.log_likelihood["y"].dims == ("chain", "draw", "school")
    np.testing.assert_array_equal(data.observed_data["y"], Y)


def test_groups_on_request():
    rng = np.random.default_rng(1)
    posterior = sampled(draws=30, energy=rng.normal(size=(4, 30)))
    data = posterior.inference_data(predictive=True, prior=True, n=20)
    assert set(data.groups()) == {
        "posterior",
        "sample_stats",
        "log_likelihood",
        "observed_data",
        "posterior_predictive",
        "prior",
        "prior_predictive",
    }
    assert data.posterior_predictive["y"].shape == (1, 20, 3)
    assert set(data.prior.data_vars) == {"mu", "tau", "offset", "theta", "pair"}
    assert float(np.std(data.prior_predictive["y"])) > 0
    np.testing.assert_array_equal(data.sample_stats["energy"], posterior.stats["energy"])


def test_nothing_observed_has_no_likelihood():
    class Free(ae.Model):
        def __call__(self):
            self.sample("x", Normal(0, 1))

    found = Free().fit(inference=ae.MAP(restarts=1)).inference_data(predictive=True, n=4)
    assert set(found.groups()) == {"posterior"}


def r_hat(x):
    """Vehtari et al. 2021: the larger of rank-normalized split R-hat, plain and folded."""

    def plain(z):
        half = z.shape[1] // 2
        z = np.concatenate([z[:, :half], z[:, -half:]])
        within, between = z.var(axis=1, ddof=1).mean(), half * z.mean(axis=1).var(ddof=1)
        return np.sqrt(((half - 1) / half * within + between / half) / within)

    def normal(z):
        return ndtri((stats.rankdata(z).reshape(z.shape) - 0.375) / (z.size + 0.25))

    return max(plain(normal(x)), plain(normal(np.abs(x - np.median(x)))))


@pytest.mark.parametrize("shift", [0.0, 0.5, 3.0])
def test_the_worst_r_hat_is_that_of_its_definition(shift):
    posterior = sampled()
    posterior.chains["offset"][2, :, 1] += shift
    check = posterior.diagnose()["R-hat"]
    free = [posterior.chains["mu"], posterior.chains["tau"]]
    free += [
        posterior.chains[k][:, :, i] for k, n in (("offset", 3), ("pair", 2)) for i in range(n)
    ]
    np.testing.assert_allclose(check.value, max(map(r_hat, free)), rtol=1e-6)
    assert check.good == (shift == 0.0)
    if not check.good:
        assert "offset[B]" in check.words
        assert "do not agree" in posterior.diagnose().verdict
        assert posterior.diagnose().verdict in posterior.summary()


def test_few_effective_draws_ask_for_more():
    posterior = sampled()
    rng = np.random.default_rng(5)
    for c in range(4):  # an autoregression of 0.95 has n (1 - 0.95) / (1 + 0.95) effective draws
        for i in range(1, 200):
            posterior.chains["mu"][c, i] = (
                0.95 * posterior.chains["mu"][c, i - 1] + 0.3 * rng.normal()
            )
    check = posterior.diagnose()["ESS bulk"]
    assert 5 < check.value < 80
    assert not check.good
    assert "mu" in check.words
    assert "times as many" in check.fix


def test_energy_divergences_and_depth():
    rng = np.random.default_rng(2)
    walk = np.cumsum(rng.normal(size=(4, 200)), axis=1)
    diverging, deep = np.zeros((4, 200), dtype=bool), np.zeros((4, 200), dtype=bool)
    diverging[1, 3:5], deep[:, :100] = True, True
    found = sampled(energy=walk, diverging=diverging, reached_max_depth=deep).diagnose()
    e_bfmi = (np.diff(walk) ** 2).mean(axis=1) / walk.var(axis=1, ddof=0)
    np.testing.assert_allclose(found["E-BFMI"].value, e_bfmi.min(), rtol=0.02)
    assert [found[k].good for k in ("E-BFMI", "divergences", "depth")] == [False] * 3
    assert found["divergences"].value == 2
    assert "target_acceptance" in found.verdict
    assert found["depth"].value == 0.5
    well = sampled(energy=rng.normal(size=(4, 200)), diverging=~diverging & False)
    assert well.diagnose().good
    assert well.diagnose().verdict == "All checks passed."


def test_what_never_moves_is_not_judged_and_nan_is_bad():
    posterior = sampled()
    posterior.chains["pair"][:, :, 0] = 1.0
    assert posterior.diagnose().good
    posterior.chains["mu"][0, 3] = np.nan
    assert not posterior.diagnose().good


@pytest.mark.parametrize(("k", "good"), [(0.3, True), (0.9, False)])
def test_pareto_k(k, good):
    found = Diagnosis((check_pareto_k(k),))
    assert found.good == good
    assert f"{k:.2f}" in str(found)


def test_the_tail_of_importance_weights():
    rng = np.random.default_rng(0)
    heavy = np.log(rng.pareto(1.0, 4000))  # the shape of the tail is 1
    np.testing.assert_allclose(pareto_k(heavy), 1.0, atol=0.3)
    assert pareto_k(rng.normal(0, 0.1, 4000)) < 0.5
    # an exact guide of discrete sites, and one with few different weights
    assert pareto_k(-3.0 + 1e-13 * rng.normal(size=4000)) == 0
    assert pareto_k(np.log(rng.choice([0.5, 1.5], 4000))) == 0
    assert pareto_k(np.log(rng.choice([1.0, 1.01], 4000, p=[0.999, 0.001]))) == 0
    assert pareto_k(np.full(100, np.nan)) == np.inf


def test_columns_only_where_they_mean_something():
    several, one = sampled().summary(), sampled(chains=1).summary()
    assert all(c in several for c in ("mean", "sd", "5%", "95%", "mcse", "ess_bulk", "r_hat"))
    assert "theta[C]" in several
    assert "r_hat" not in one
    assert "ess_tail" in one
    row = next(line for line in several.splitlines() if line.split()[:1] == ["mu"])
    assert f"{sampled().chains['mu'].mean():.4g}" in row


def test_files_hold_a_posterior_and_no_code(tmp_path):
    posterior = sampled(energy=np.random.default_rng(4).normal(size=(4, 200)))
    path = tmp_path / "schools.posterior"
    posterior.save(path)
    with safe_open(path, framework="numpy") as file:
        assert json.loads(file.metadata()["aeframe"])["objects"][0]["class"].endswith(
            "SampledPosterior"
        )
        stored = [file.get_tensor(k) for k in file.keys()]  # noqa: SIM118
    assert any(v.shape == (4, 200, 3) for v in stored)
    found = ae.load(path)
    assert found.dataset().identical(posterior.dataset())
    assert found.summary() == posterior.summary()
    assert found.method == posterior.method
    np.testing.assert_array_equal(found.predict(n=5)["y"], posterior.predict(n=5)["y"])


def test_point_and_exact_posteriors_in_files(tmp_path):
    point = Schools().observe({"y": Y}).fit(SD.tolist(), inference=ae.MAP(restarts=2))
    point.save(tmp_path / "point")
    found = ae.load(tmp_path / "point")
    assert found.starts == point.starts
    assert found.summary() == point.summary()

    exact = Switch().observe({"y": 2.0}).fit()
    exact.save(tmp_path / "exact")
    found = ae.load(tmp_path / "exact")
    assert found.probability({"on": 1}) == exact.probability({"on": 1})
    assert found.log_evidence == exact.log_evidence


class Switch(ae.Model):
    """One bit."""

    def __call__(self):
        on = self.sample("on", Bernoulli(0.3))
        self.sample("y", Normal(2.0 * on, 1))


@pytest.mark.parametrize("damage", ["cut", "foreign", "missing"])
def test_damaged_files(tmp_path, damage):
    path = tmp_path / "posterior"
    sampled(draws=10).save(path)
    whole = path.read_bytes()
    if damage == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "foreign":
        path.write_bytes(whole.replace(b"tests", b"tasks"))
    else:
        path.unlink()
    with pytest.raises(FileError):
        ae.load(path)


def test_pictures():
    rng = np.random.default_rng(3)
    posterior = sampled(
        draws=50, diverging=rng.uniform(size=(4, 50)) < 0.1, energy=rng.normal(size=(4, 50))
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert posterior.plot().shape == (4, 2)
        assert posterior.plot(["mu", "theta"]).shape == (2, 2)
        assert len(np.ravel(posterior.plot_ranks(["mu", "tau"]))) == 2
        assert posterior.plot_pairs(["mu", "tau"]).shape == (2, 2)
        figure = posterior.plot_pairs()[0, 0].figure
        assert max(figure.get_size_inches()) < 12
        assert "left out" in figure.get_suptitle()
        with pytest.raises(ArgumentError, match="two entries"):
            posterior.plot_pairs(["mu"])
        assert np.ravel(posterior.plot_predictive(n=10))[0].get_legend() is not None
    with pytest.raises(UnknownNameError, match="theta"):
        posterior.plot(["thetta"])
    matplotlib.pyplot.close("all")


def test_new_data_of_another_size_are_refused():
    with pytest.raises(ShapeError):
        sampled().predict(np.ones(4))


class Sequence(ae.Model):
    """One sequence of three steps."""

    def __call__(self):
        mu = self.sample("mu", Normal(0, 1))
        walk = ae.GaussianRandomWalk(Normal(mu, 1.0), 1.0, 3)
        self.sample("y", walk, shape=(3,))


def test_one_observation_cannot_be_left_out():
    model = Sequence().observe({"y": np.zeros(3)})
    with pytest.raises(ArgumentError, match="'y' is one observation"):
        model.fit(inference=ae.Laplace(restarts=1)).loo()
