"""Laplace's approximation against closed forms."""

import numpy as np
import pytest
from scipy import stats

import aeframe as ae
from aeframe.infer import Laplace

RNG = np.random.default_rng(3)
X = RNG.normal(size=(12, 3))
Y = X @ [1.0, -0.5, 2.0] + 0.4 * RNG.normal(size=12)


class Linear(ae.Model):
    """Gaussian in all that is free."""

    def __call__(self, x):
        w = self.sample("w", ae.Normal(0, 2), shape=(3,))
        b = self.sample("b", ae.Normal(1, 3))
        mean = self.deterministic("mean", x @ w + b)
        self.sample("y", ae.Normal(mean, 0.4))


@pytest.mark.parametrize("backend", ["jax", "c"])
@pytest.mark.parametrize("jacobian", [True, False])
def test_gaussian_models_are_exact(backend, jacobian):
    with ae.Backend(backend):
        posterior = Linear().observe({"y": Y}).fit(X, inference=Laplace(jacobian, restarts=1))
        sd = posterior.sd("mean")
    design, prior = np.c_[X, np.ones(12)], np.diag([4.0, 4.0, 4.0, 9.0])
    precision = design.T @ design / 0.16 + np.linalg.inv(prior)
    covariance = np.linalg.inv(precision)
    mean = covariance @ (design.T @ Y / 0.16 + [0, 0, 0, 1 / 9])
    marginal = stats.multivariate_normal(
        design @ [0, 0, 0, 1], design @ prior @ design.T + 0.16 * np.eye(12)
    )
    np.testing.assert_allclose(posterior.mode, mean, atol=1e-8)
    np.testing.assert_allclose([*posterior.mean("w"), posterior.mean("b")], mean, atol=1e-8)
    np.testing.assert_allclose(posterior.sd("b"), covariance[3, 3] ** 0.5, atol=1e-8)
    np.testing.assert_allclose(posterior.covariance, covariance, atol=1e-8)
    np.testing.assert_allclose(posterior.log_evidence, marginal.logpdf(Y), atol=1e-8)
    exact = np.sqrt(np.einsum("ij,jk,ik->i", design, covariance, design))
    np.testing.assert_allclose(sd, exact, atol=1e-8)
    assert posterior.repaired == 0
    assert posterior.pareto_k == 0
    assert posterior.diagnose().good
    assert "mode" in posterior.summary()


def test_draws_have_the_moments_and_the_seed_decides():
    posterior = Linear().observe({"y": Y}).fit(X, inference=Laplace())
    draws = posterior.draws(4000, seed=1)
    assert list(draws) == ["w", "b"]
    np.testing.assert_allclose(draws["w"].mean(axis=0), posterior.values["w"], atol=0.02)
    np.testing.assert_allclose(draws["b"].std(), posterior.sd("b"), rtol=0.05)
    np.testing.assert_array_equal(draws["w"], posterior.draws(4000, seed=1)["w"])
    assert posterior.predict(X[:2], n=5)["y"].shape == (5, 2)


class Scale(ae.Model):
    def __call__(self, n=20):
        sd = self.sample("sd", ae.HalfNormal(10))
        self.sample("y", ae.Normal(0, sd), shape=(n,))


@pytest.mark.parametrize("jacobian", [True, False])
def test_the_choice_of_the_scale(jacobian):
    """With s the root of Σy² / m, m = n − 1 with the Jacobian and n without, the mode is near s."""
    y = stats.norm(0, 2).rvs(20, random_state=2)
    posterior = Scale().observe({"y": y}).fit(inference=Laplace(jacobian))
    u = np.linspace(-2, 4, 200001)
    joint = stats.halfnorm(0, 10).logpdf(np.exp(u)) - 20 * u - (y**2).sum() / 2 * np.exp(-2 * u)
    joint += u if jacobian else 0
    top = np.argmax(joint)
    curvature = -np.gradient(np.gradient(joint, u), u)[top]
    np.testing.assert_allclose(posterior.mode[0], u[top], atol=1e-4)
    np.testing.assert_allclose(posterior.covariance[0, 0], 1 / curvature, rtol=1e-3)
    np.testing.assert_allclose(posterior.sd("sd"), np.exp(u[top]) / curvature**0.5, rtol=1e-3)
    log_normal = np.exp(u[top] + 0.5 / curvature)
    np.testing.assert_allclose(posterior.mean("sd"), log_normal, rtol=0.03)
    assert "delta method" in posterior.summary()


class Ridge(ae.Model):
    """Only the sum of a and b is seen; b has no curvature of its own beyond its prior."""

    def __call__(self):
        a = self.sample("a", ae.Normal(0, 1))
        saddle = self.sample("b", ae.Normal(0, 1))
        self.sample("y", ae.Normal(a * saddle, 0.1))


def test_a_point_that_is_no_mode_is_repaired_loudly():
    # from a = b = 0 the slope is 0 and the curvature has both signs
    model = Ridge().observe({"y": 1.0})
    with pytest.warns(UserWarning, match="not positive definite"):
        posterior = model.fit(inference=AtZero())
    assert posterior.repaired == 1
    assert not posterior.diagnose()["curvature"].good
    assert np.all(np.linalg.eigvalsh(posterior.covariance) > 0)


class AtZero(Laplace):
    """A search that stays at the saddle."""

    def _climb(self):
        from aeframe.infer.climb import Start

        return lambda program, density, path: (np.zeros(2), (Start(0.0, 0, 0.0, True, ""),), ())


class Globe(ae.Model):
    """McElreath's globe: 6 of 9 tosses show water, a flat prior."""

    def __call__(self):
        p = self.sample("p", ae.Uniform(0, 1))
        self.sample("water", ae.Binomial(9, p))


def test_six_of_nine_on_the_scale_of_p():
    """Without the Jacobian the delta method gives √(p (1 − p) / n); with it, mode 7 / 11."""
    model = Globe().observe({"water": 6})
    plain = model.fit(inference=Laplace(jacobian=False))
    np.testing.assert_allclose(plain.values["p"], 2 / 3, rtol=1e-8)
    np.testing.assert_allclose(plain.sd("p"), 0.157, atol=5e-4)
    on_logit = model.fit(inference=Laplace())
    np.testing.assert_allclose(on_logit.values["p"], 7 / 11, rtol=1e-8)
    np.testing.assert_allclose(on_logit.sd("p"), np.sqrt(7 / 11 * 4 / 11 / 11), rtol=1e-8)
    # Beta(7, 4) on the logit scale: the evidence is B(7, 4) C(9, 6) = 1 / 10
    np.testing.assert_allclose(np.exp(on_logit.log_evidence), 0.1, rtol=0.06)


class Schools(ae.Model):
    """Eight schools, not centred: most of tau's posterior is far from the mode."""

    def __call__(self, error):
        mu, tau = self.sample("mu", ae.Normal(0, 5)), self.sample("tau", ae.HalfCauchy(5))
        offset = self.sample("offset", ae.Normal(0, 1), shape=(8,))
        self.sample("y", ae.Normal(mu + tau * offset, error))


def test_a_posterior_that_is_not_normal_is_told():
    effect, error = [28.0, 8, -3, 7, -1, 1, 18, 12], np.array([15.0, 10, 16, 11, 9, 11, 10, 18])
    posterior = Schools().observe({"y": effect}).fit(error, inference=Laplace())
    assert posterior.pareto_k > 0.7
    assert "far from the posterior" in posterior.summary()
