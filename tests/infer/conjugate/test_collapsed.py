"""Scales drawn without the sites that they scale, against quadrature and importance sampling."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import log_expit

import aeframe as ae
from aeframe.distributions import Bernoulli, HalfCauchy, HalfNormal, Normal, StudentT
from aeframe.infer import Gibbs


def fit(call, *data, inference, **observed):
    made = type("Small", (ae.Model,), {"__call__": call})
    return made().observe(observed).fit(*data, inference=inference)


def near(draws, mean, sd):
    """Mean within 5 standard errors, by the means of 20 batches, and sd within 10 %."""
    batches = draws.reshape(20, -1, *draws.shape[2:]).mean(axis=1)
    error = 5 * batches.std(axis=0) / np.sqrt(20)
    np.testing.assert_array_less(np.abs(batches.mean(axis=0) - mean), error)
    np.testing.assert_allclose(draws.std(axis=(0, 1)), sd, rtol=0.1)


def moments(values, weight):
    mean = weight @ values
    return mean, np.sqrt(weight @ values**2 - mean**2)


def test_scales_several_times_given_mixture_draws_by_quadrature():
    y = np.array([-3.0, -0.4, 0.3, 1.1, 2.0, 6.0])

    def call(self):
        tau = self.sample("tau", HalfCauchy(1))
        theta = self.sample("theta", Normal(0, tau), shape=(6,))
        self.sample("y", StudentT(4.0, theta, 1.0))

    posterior = fit(call, y=y, inference=Gibbs(chains=2, draws=3000))
    told = {s.path: s for s in posterior.explain().steps}
    assert told["tau"].rule == "half-Cauchy-normal"
    assert told["theta"].after.endswith("after tau without them")
    # each entry of theta given tau on a grid, then tau
    tau, z = np.geomspace(0.01, 300, 600), np.linspace(-12, 12, 1201)
    theta = tau[:, None] * z
    joint = stats.norm.pdf(z) * stats.t(4).pdf(y[:, None, None] - theta)
    log = np.log(joint.sum(axis=2)).sum(axis=0) + stats.halfcauchy.logpdf(tau) + np.log(tau)
    weight = np.exp(log - log.max())
    weight = weight / weight.sum()
    near(posterior.chains["tau"], *moments(tau, weight))
    last = (theta * joint[-1]).sum(axis=1) / joint[-1].sum(axis=1)
    square = (theta**2 * joint[-1]).sum(axis=1) / joint[-1].sum(axis=1)
    mean = weight @ last
    near(posterior.chains["theta"][..., -1], mean, np.sqrt(weight @ square - mean**2))


@pytest.mark.slow
def test_horseshoe_logistic_regression_by_importance_sampling():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(30, 2))
    y = rng.binomial(1, 1 / (1 + np.exp(-x @ [1.5, 0.0])))

    def call(self, x):
        tau = self.sample("tau", HalfCauchy(1))
        local = self.sample("local", HalfCauchy(1), shape=(2,))
        beta = self.sample("beta", Normal(0, tau * local))
        self.sample("y", Bernoulli(logits=x @ beta))

    posterior = fit(call, x, y=y, inference=Gibbs(chains=2, draws=4000))
    scale = np.abs(rng.standard_cauchy((1_000_000, 1)) * rng.standard_cauchy((1_000_000, 2)))
    beta = scale * rng.normal(size=scale.shape)
    log = log_expit(beta @ x.T * (2 * y - 1)).sum(axis=1)
    weight = np.exp(log - log.max()) / np.exp(log - log.max()).sum()
    near(posterior.chains["beta"], *moments(beta, weight))


def test_a_scale_that_nuts_draws_by_quadrature():
    y = np.array([1.0, 3.0, -2.0, 0.5])

    def call(self):
        sd = self.sample("sd", HalfNormal(3))
        theta = self.sample("theta", Normal(0, sd), shape=(4,))
        self.sample("y", Normal(theta, 1.0))

    posterior = fit(call, y=y, inference=Gibbs(chains=2, draws=3000, warmup=300))
    sd = np.linspace(0.002, 20, 8000)
    log = stats.halfnorm(0, 3).logpdf(sd)
    log = log + stats.norm(0, np.sqrt(1 + sd[:, None] ** 2)).logpdf(y).sum(axis=1)
    weight = np.exp(log - log.max()) / np.exp(log - log.max()).sum()
    near(posterior.chains["sd"], *moments(sd, weight))
    given = sd**2 / (1 + sd**2)  # theta given sd is normal with mean `given * y`
    mean = weight @ given * y[1]
    second = weight @ (given + (given * y[1]) ** 2)
    near(posterior.chains["theta"][..., 1], mean, np.sqrt(second - mean**2))


def test_a_collapsed_scale_takes_no_step_of_nuts():
    """Against quadrature over the scale, the effects integrated out."""
    y = np.array([1.0, -2.0, 0.5, 3.0])

    class Effects(ae.Model):
        def __call__(self):
            b = self.sample("b", ae.Normal(0.0, self.sample("s", ae.HalfNormal(1))), shape=(4,))
            self.sample("y", ae.Normal(b, 1.0))

    gibbs = Gibbs(chains=4, draws=2000)
    posterior = Effects().observe({"y": y}).fit(inference=gibbs)
    assert [step.rule for step in posterior.explain().steps] == ["normal-normal", "collapsed scale"]
    assert not posterior.stats
    grid = np.linspace(1e-3, 6, 4000)
    log = -(grid**2) / 2 - 2 * np.log(1 + grid**2) - (y @ y) / (2 * (1 + grid**2))
    weight = np.exp(log - log.max()) / np.exp(log - log.max()).sum()
    mean = weight @ grid
    sd = np.sqrt(weight @ grid**2 - mean**2)
    found = posterior.chains["s"]
    assert abs(found.mean() - mean) < 5 * sd / np.sqrt(400)
    np.testing.assert_allclose(found.std(), sd, rtol=0.15)
