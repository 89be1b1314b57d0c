"""NUTS against closed forms; reproducible, compiled once, and clear where it cannot run."""

import time
from concurrent.futures import wait
from dataclasses import dataclass

import numpy as np
import pytest
from aesara import tensor as at

import aeframe as ae
from aeframe.core.errors import ArgumentError, BackendError, FitError
from aeframe.distributions import Flat, Poisson
from aeframe.infer import SampledPosterior
from aeframe.infer.nuts import chains as chains_module
from aeframe.infer.nuts import host as host_module
from aeframe.infer.nuts import sampler
from aeframe.infer.nuts.chains import _schedule, make_kernel

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 2))
Y = X @ np.array([1.0, -2.0]) + 0.5 * RNG.normal(size=40)


class Line(ae.Model):
    """Linear regression with a known sd: its posterior is Gaussian."""

    def __call__(self, x):
        w = self.sample("w", ae.Normal(0, 1), shape=(2,))
        mean = self.deterministic("mean", x @ w)
        self.sample("y", ae.Normal(mean, 0.5))


def line():
    return Line().observe({"y": Y})


def exact_line():
    """Mean and covariance: (XᵀX / σ² + I)⁻¹."""
    covariance = np.linalg.inv(X.T @ X / 0.25 + np.eye(2))
    return covariance @ X.T @ Y / 0.25, covariance


@pytest.fixture(scope="module")
def posterior():
    return line().fit(X, inference=ae.NUTS(chains=4, draws=1000, warmup=500))


def test_moments_are_those_of_the_closed_form(posterior):
    mean, covariance = exact_line()
    draws = posterior.chains["w"].reshape(-1, 2)
    sd = np.sqrt(np.diag(covariance))
    assert (np.abs(draws.mean(axis=0) - mean) < 0.1 * sd).all()
    np.testing.assert_allclose(np.cov(draws.T), covariance, atol=0.15 * sd.max() ** 2)
    assert posterior.diagnose().good


def test_chains_have_every_site_and_the_sampler_tells_of_every_draw(posterior):
    assert isinstance(posterior, SampledPosterior)
    assert {k: v.shape for k, v in posterior.chains.items()} == {
        "w": (4, 1000, 2),
        "mean": (4, 1000, 40),
    }
    np.testing.assert_allclose(posterior.chains["mean"], posterior.chains["w"] @ X.T, rtol=1e-12)
    assert {v.shape for v in posterior.stats.values()} == {(4, 1000)}
    # one step size for each chain, and the acceptance that it was adapted to
    assert (np.ptp(posterior.stats["step_size"], axis=1) == 0).all()
    assert abs(posterior.stats["acceptance_rate"].mean() - 0.8) < 0.12
    assert (posterior.stats["n_steps"] <= 2 ** posterior.stats["tree_depth"]).all()
    log_prob = line().log_prob({"w": posterior.chains["w"][1, 7]}, X)
    np.testing.assert_allclose(posterior.stats["lp"][1, 7], log_prob, rtol=1e-12)


def test_scales_are_found_on_their_own_scale():
    class Scale(ae.Model):
        def __call__(self):
            self.sample("sd", ae.HalfNormal(2.0))

    found = Scale().fit(inference=ae.NUTS(draws=2000, warmup=500, chains=2))
    # half-normal: E x = sd √(2/π)
    assert abs(float(found.mean("sd")) - 2.0 * np.sqrt(2 / np.pi)) < 0.1
    assert found.chains["sd"].min() > 0


def test_a_dense_mass_matrix_takes_longer_steps_where_sites_are_correlated():
    class Ridge(ae.Model):
        def __call__(self):
            a = self.sample("a", ae.Normal(0, 1))
            self.sample("b", ae.Normal(a, 0.02))

    options = {"draws": 300, "warmup": 500, "chains": 2}
    plain = Ridge().fit(inference=ae.NUTS(**options))
    dense = Ridge().fit(inference=ae.NUTS(dense=True, **options))
    assert dense.stats["n_steps"].mean() < plain.stats["n_steps"].mean() / 3
    assert abs(dense.chains["a"].std() - 1) < 0.2


def test_same_seed_same_bits_and_no_second_compilation():
    model = line()
    method = ae.NUTS(chains=2, draws=300, warmup=100, seed=3)
    first, second = model.fit(X, inference=method), model.fit(X, inference=method)
    for name, values in first.chains.items():
        np.testing.assert_array_equal(values, second.chains[name])
    kernels = [v.made for k, v in model._programs.items() if k[0] == "nuts"]
    assert [k.advance._cache_size() for k in kernels] == [1]
    other = model.fit(X + 0.0, inference=ae.NUTS(chains=3, draws=50, warmup=30, seed=4))
    assert (other.chains["w"][:2, :50] != first.chains["w"][:, :50]).all()
    kernels = [v.made for k, v in model._programs.items() if k[0] == "nuts"]
    assert [k.advance._cache_size() for k in kernels] == [1]


def test_data_are_arguments_of_the_compiled_loop():
    class Mean(ae.Model):
        def __call__(self, y):
            mu = self.sample("mu", ae.Normal(0, 10))
            self.sample("seen", ae.Normal(mu - y, 1))

    model = Mean().observe({"seen": np.zeros(50)})
    method = ae.NUTS(chains=2, draws=300, warmup=200)
    for centre in (0.0, 5.0):
        found = model.fit(np.full(50, centre), inference=method)
        assert abs(float(found.mean("mu")) - centre) < 0.1
    assert sum(k[0] == "nuts" for k in model._programs) == 1


def test_chains_do_not_depend_on_how_many_run():
    few = line().fit(X, inference=ae.NUTS(chains=1, draws=50, warmup=50))
    again = line().fit(X, inference=ae.NUTS(chains=1, draws=80, warmup=50))
    np.testing.assert_array_equal(few.chains["w"], again.chains["w"][:, :50])


def test_trainable_parameters_keep_their_values():
    class Shifted(ae.Model):
        def __init__(self):
            self.shift = ae.Parameter(3.0)

        def __call__(self):
            mu = self.sample("mu", ae.Normal(0, 1))
            self.sample("y", ae.Normal(mu + self.shift, 0.1), shape=(20,))

    model = Shifted().observe({"y": np.full(20, 3.5)})
    method = ae.NUTS(chains=2, draws=300, warmup=200)
    assert abs(float(model.fit(inference=method).mean("mu")) - 0.5) < 0.02
    model.shift.value = 2.5
    assert abs(float(model.fit(inference=method).mean("mu")) - 1.0) < 0.02
    assert float(model.shift.value) == 2.5


@dataclass(frozen=True)
class _Ran:
    method: ae.infer.Inference
    why: str


def test_an_interrupt_keeps_what_was_sampled(monkeypatch):
    model, waits = line(), iter([None, KeyboardInterrupt, None])

    def interrupted(work):
        """The second wait, for the sampling, is interrupted when some of it is done."""
        raised = next(waits)
        if raised is None:
            return wait(work)
        time.sleep(1.0)
        raise raised

    monkeypatch.setattr(chains_module, "wait", interrupted)
    with pytest.warns(RuntimeWarning, match="interrupted"):
        found = model.fit(X, inference=ae.NUTS(chains=2, draws=10_000_000, warmup=50))
    assert 1 <= found.chains["w"].shape[1] < 10_000_000


def test_the_schedule_is_as_long_as_the_run():
    phases, closes, ends = _schedule(200)
    assert (phases[:200] < 2).all()
    assert (phases[200:] == 2).all()
    assert np.flatnonzero(ends).tolist() == [199]
    assert (phases[np.flatnonzero(closes)] == 1).all()
    assert not _schedule(0)[2].any()


@pytest.mark.slow
def test_all_chains_vectorized_are_the_chains_one_by_one(monkeypatch):
    """What an accelerator runs: one program for all chains."""
    alone = line().fit(X, inference=ae.NUTS(chains=2, draws=50, warmup=50))
    monkeypatch.setattr(sampler, "make_kernel", lambda *a: make_kernel(*a, vectorized=True))
    together = line().fit(X, inference=ae.NUTS(chains=2, draws=50, warmup=50))
    np.testing.assert_allclose(together.chains["w"][:, :3], alone.chains["w"][:, :3], rtol=1e-6)
    assert together.chains["w"].shape == (2, 50, 2)


class Drifting(ae.Model):
    """Nothing holds ``a``."""

    def __call__(self):
        a = self.sample("a", Flat())
        b = self.sample("b", ae.Normal(0, 1))
        self.sample("y", ae.Normal(b + 0.0 * a, 1))


class Impossible(ae.Model):
    """The sd is the root of a negative number."""

    def __call__(self):
        a = self.sample("a", ae.Normal(0, 1))
        self.sample("y", ae.Normal(a, at.sqrt(-1 - a**2)))


class Ridge(ae.Model):
    """Only the sum of a and b is seen."""

    def __call__(self):
        a, b = self.sample("a", ae.Flat()), self.sample("b", ae.Flat())
        self.sample("y", ae.Normal(a + b, 1))


class Counts(ae.Model):
    """A discrete site that nobody observes."""

    def __call__(self):
        n = self.sample("n", Poisson(3.0))
        self.sample("y", ae.Normal(n, 1))


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (Drifting, FitError, "'a'"),
        (Ridge, FitError, "'a', 'b'"),
        (Impossible, FitError, "no start"),
        (Counts, ArgumentError, "discrete"),
    ],
)
def test_what_cannot_be_sampled_is_one_clear_error(make, error, words):
    with pytest.raises(error, match=words):
        make().observe({"y": 1.0}).fit(inference=ae.NUTS(chains=2, draws=300, warmup=300))


@pytest.mark.parametrize(
    "options",
    [{"chains": 0}, {"draws": 0}, {"warmup": -1}, {"target_acceptance": 1.0}, {"chains": "4"},
     {"draws": 10.5}, {"seed": "a"}, {"max_depth": None}, {"target_acceptance": "0.8"}],
    ids=str,
)  # fmt: skip
def test_impossible_settings(options):
    (name,) = options
    with pytest.raises(ArgumentError, match=name.split("_")[-1]):
        ae.NUTS(**options)


def test_without_nutpie_other_backends_say_what_to_install(monkeypatch):
    monkeypatch.setattr(host_module, "find_spec", lambda name: None)
    with ae.Backend("c"), pytest.raises(BackendError, match="pip install"):
        line().fit(X, inference=ae.NUTS(chains=1, draws=10, warmup=10))


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["c", "numba"])
def test_nutpie_on_other_backends(backend):
    pytest.importorskip("nutpie")
    mean, covariance = exact_line()
    method = ae.NUTS(chains=2, draws=500, warmup=300)
    with ae.Backend(backend):
        found, again = (line().fit(X, inference=method) for _ in range(2))
    np.testing.assert_array_equal(found.chains["w"], again.chains["w"])
    assert (np.abs(found.mean("w") - mean) < 0.15 * np.sqrt(np.diag(covariance))).all()
    assert set(found.stats) >= {"diverging", "energy", "lp", "tree_depth", "step_size"}
