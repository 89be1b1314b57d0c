"""Structured VI, mean field and full rank against evidences and posteriors in closed form."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import aeframe as ae
from aeframe.core.errors import ArgumentError, UnknownNameError
from aeframe.rewrites import Definition, Var, term
from aeframe.train import Step

DATA = Path(__file__).parents[1] / "data"
QUICK = {"steps": 1500, "progress": False}


def read(name):
    return json.loads((DATA / f"{name}.json").read_text())


class Brownian(ae.Model):
    """A random walk of known scales, seen with noise at some of its times."""

    def __init__(self, seen, innovation, noise):
        self.seen, self.innovation, self.noise = seen, innovation, noise

    def __call__(self):
        x = 0.0
        for t, seen in enumerate(self.seen):
            x = self.sample(f"x{t}", ae.Normal(x, self.innovation))
            if seen:
                self.sample(f"y{t}", ae.Normal(x, self.noise))


def brownian(values, innovation, noise):
    model = Brownian(tuple(v is not None for v in values), innovation, noise)
    return model.observe({f"y{t}": v for t, v in enumerate(values) if v is not None})


@pytest.fixture(scope="module")
def bridge():
    data = read("brownian_motion_missing_middle_observations")["data"]
    return brownian(data["OBSERVED_LOC"], data["INNOVATION_NOISE"], data["OBSERVATION_NOISE"])


@pytest.mark.slow
def test_brownian_bridge_is_exact(bridge):
    posterior = bridge.fit(inference=ae.StructuredVI(progress=False))
    assert abs(posterior.elbo.value - 5.6130) < 0.02
    assert posterior.converged
    assert posterior.pareto_k < 0.7
    truth = read("brownian_motion_missing_middle_observations")["ground_truth"]
    draws = np.stack([v for v in posterior.draws(4000).values()], axis=1)
    sds = np.array(truth["IDENTITY_STANDARD_DEVIATION"])
    away = np.abs(draws.mean(axis=0) - np.array(truth["IDENTITY_MEAN"])) / sds
    assert away.max() < 0.1
    np.testing.assert_allclose(draws.std(axis=0), sds, rtol=0.06)


@pytest.mark.slow
def test_mean_field_of_the_brownian_bridge_is_as_good_as_mean_field_can_be(bridge):
    method = ae.MeanField(steps=10_000, progress=False)
    posterior = bridge.fit(inference=method)
    # the best independent normals have an ELBO of 0.5250
    assert abs(posterior.log_ratios(100_000).mean() - 0.5250) < 0.05
    assert posterior.pareto_k > 0.7
    assert not posterior.diagnose().good


class EightSchools(ae.Model):
    """Centred, with the priors of posteriordb."""

    def __call__(self):
        mu = self.sample("mu", ae.Normal(0, 5))
        tau = self.sample("tau", ae.HalfCauchy(5))
        theta = self.sample("theta", ae.Normal(mu, tau), shape=(8,))
        self.sample("y", ae.Normal(theta, np.array([15.0, 10, 16, 11, 9, 11, 10, 18])))


SCHOOLS = EightSchools().observe({"y": [28.0, 8, -3, 7, -1, 1, 18, 12]})


@pytest.mark.slow
def test_eight_schools_comes_close_to_the_log_evidence():
    method = ae.StructuredVI(steps=10_000, progress=False)
    posterior = SCHOOLS.fit(inference=method)
    assert posterior.elbo.value > -31.3113 - 0.03
    assert posterior.elbo.value < -31.3113
    # importance weights close part of the gap, and never more than that
    closer = posterior.iwelbo(50, 400)
    assert posterior.elbo.value < closer.value < -31.3113 + 3 * closer.error
    assert "half-Cauchy as Weibull" in posterior.explain()
    np.testing.assert_allclose(posterior.mean("mu"), 4.41, atol=0.5)


class Lorenz(ae.Model):
    """The bridge of a chaotic path of which the first coordinate is seen at both ends."""

    def __init__(self, data):
        self.mask = tuple(data["OBSERVATION_MASK"])
        self.step = data["STEP_SIZE"]
        self.sd = float(np.sqrt(self.step) * data["INNOVATION_SCALE"])
        self.noise = data["OBSERVATION_SCALE"]

    def __call__(self):
        import aesara.tensor as at

        s = self.sample("s0", ae.Normal(np.zeros(3), 1.0))
        for t, seen in enumerate(self.mask):
            if t:
                x, y, z = s[0], s[1], s[2]
                drift = at.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z])
                s = self.sample(f"s{t}", ae.Normal(s + self.step * drift, self.sd))
            if seen:
                self.sample(f"y{t}", ae.Normal(s[0], self.noise))


@pytest.mark.slow
def test_lorenz_bridge_has_the_true_path_where_others_do_not():
    found = read("convection_lorenz_bridge")
    data, path = found["data"], np.array(found["ground_truth"]["IDENTITY_MEAN"])
    seen = {f"y{t}": v for t, v in enumerate(data["OBSERVED_VALUES"]) if v is not None}
    model = Lorenz(data).observe(seen)
    truth = {f"s{t}": row for t, row in enumerate(path)}
    wins = 0
    for seed in range(10):
        ours, *others = (
            model.fit(inference=method(seed=seed, progress=False)).log_prob(truth)
            for method in (ae.StructuredVI, ae.MeanField, ae.FullRank)
        )
        wins += ours > max(others)
    assert wins >= 9


class Line(ae.Model):
    """Linear regression of known noise: the posterior is normal."""

    def __call__(self, x):
        slope = self.sample("slope", ae.Normal(0, 2))
        level = self.sample("level", ae.Normal(0, 3))
        self.sample("y", ae.Normal(level + slope * x, 0.5))


X = np.linspace(0.5, 3.0, 12)
Y = 1.0 - 0.7 * X + 0.3 * np.sin(7 * X)


@pytest.mark.parametrize("backend", ["jax", "c"])
def test_full_rank_is_the_posterior_of_a_gaussian_model(backend):
    with ae.Backend(backend):
        model = Line().observe({"y": Y})
        posterior = model.fit(X, inference=ae.FullRank(steps=8000, progress=False))
    design = np.stack([X, np.ones_like(X)], axis=1)
    prior = np.diag([4.0, 9.0])
    evidence = stats.multivariate_normal(cov=design @ prior @ design.T + 0.25 * np.eye(12))
    covariance = np.linalg.inv(np.linalg.inv(prior) + design.T @ design / 0.25)
    np.testing.assert_allclose(posterior.elbo.value, evidence.logpdf(Y), atol=5e-3)
    draws = posterior.draws(20_000)
    both = np.stack([draws["slope"], draws["level"]])
    np.testing.assert_allclose(both.mean(axis=1), covariance @ design.T @ Y / 0.25, atol=0.02)
    np.testing.assert_allclose(np.cov(both), covariance, rtol=0.08)
    exact = stats.multivariate_normal(covariance @ design.T @ Y / 0.25, covariance)
    value = {"slope": -0.5, "level": 0.8}
    np.testing.assert_allclose(posterior.log_prob(value), exact.logpdf([-0.5, 0.8]), atol=0.05)


def test_backends_take_the_same_steps():
    traces = []
    for backend in ("jax", "c"):
        with ae.Backend(backend):
            model = Line().observe({"y": Y})
            posterior = model.fit(X, inference=ae.StructuredVI(steps=60, progress=False))
            traces.append(posterior.trace)
    np.testing.assert_allclose(traces[0], traces[1], rtol=1e-9)


def test_the_seed_decides():
    model = Line().observe({"y": Y})

    def run(seed):
        return model.fit(X, inference=ae.StructuredVI(steps=50, seed=seed, progress=False))

    first, second, other = run(1), run(1), run(2)
    np.testing.assert_array_equal(first.trace, second.trace)
    assert not np.array_equal(first.trace, other.trace)
    np.testing.assert_array_equal(first.draws(5, seed=3)["slope"], second.draws(5, seed=3)["slope"])
    assert not np.array_equal(first.draws(5, seed=3)["slope"], first.draws(5, seed=4)["slope"])


class Learned(ae.Model):
    """Site means with a learned center: y has variance 1 + 4 around it."""

    def __init__(self):
        self.center = ae.Parameter(0.0)
        self.noise = ae.Parameter(0.5, support=ae.Positive())

    def __call__(self):
        z = self.sample("z", ae.Normal(self.center, 2.0), shape=(40,))
        self.sample("y", ae.Normal(z, self.noise))


def test_parameters_of_the_model_are_learned_too():
    y = stats.norm(3.0, np.sqrt(5.0)).rvs(40, random_state=2)
    model = Learned()
    posterior = model.observe({"y": y}).fit(inference=ae.StructuredVI(steps=4000, progress=False))
    # maximum likelihood: y ~ N(center, 4 + noise²), and the guide holds the exact posterior
    variance = max(y.var(), 4.0)
    np.testing.assert_allclose(model.center.value, y.mean(), atol=0.05)
    np.testing.assert_allclose(model.noise.value**2 + 4.0, variance, rtol=0.05)
    best = stats.norm(y.mean(), np.sqrt(variance)).logpdf(y).sum()
    assert abs(posterior.elbo.value - best) < 0.05


class Switch(ae.Model):
    """A discrete site above a continuous one."""

    def __call__(self):
        on = self.sample("on", ae.Bernoulli(0.3))
        x = self.sample("x", ae.Normal(2.0 * on, 1.0))
        self.sample("y", ae.Normal(x, 0.5))


@pytest.mark.parametrize("backend", ["jax", "c"])
def test_discrete_sites_are_learned_by_the_score_function(backend):
    with ae.Backend(backend):
        model = Switch().observe({"y": 1.4})
        posterior = model.fit(inference=ae.StructuredVI(steps=4000, progress=False))
    weights = np.array([0.7, 0.3]) * stats.norm([0.0, 2.0], np.sqrt(1.25)).pdf(1.4)
    evidence = np.log(weights.sum())
    assert evidence - 0.05 < posterior.elbo.value < evidence + 3 * posterior.elbo.error + 1e-9
    exact = weights[1] / weights.sum()
    assert abs(posterior.draws(20_000)["on"].mean() - exact) < 0.05


class Coloured(ae.Model):
    """One category, then a normal of its own mean."""

    def __call__(self):
        import aesara.tensor as at

        k = self.sample("k", ae.Categorical([0.5, 0.3, 0.2]))
        self.sample("y", ae.Normal(at.constant([-1.0, 0.0, 2.0])[k], 1.0))


def test_categories():
    posterior = (
        Coloured().observe({"y": 1.0}).fit(inference=ae.StructuredVI(steps=3000, progress=False))
    )
    joint = np.array([0.5, 0.3, 0.2]) * stats.norm([-1.0, 0.0, 2.0]).pdf(1.0)
    assert abs(posterior.elbo.value - np.log(joint.sum())) < 0.02
    shares = np.bincount(posterior.draws(20_000)["k"], minlength=3) / 20_000
    np.testing.assert_allclose(shares, joint / joint.sum(), atol=0.03)


def test_restarts_keep_the_best_and_schedules_are_objects():
    model = Line().observe({"y": Y})
    method = ae.StructuredVI(steps=300, restarts=3, learning_rate=Step(0.1, 100), progress=False)
    posterior = model.fit(X, inference=method)
    assert len(posterior.restarts) == 3
    assert posterior.restarts[0] != posterior.restarts[1]
    np.testing.assert_allclose(max(posterior.restarts), posterior.elbo.value)


def test_what_a_posterior_tells(tmp_path):
    model = Line().observe({"y": Y})
    posterior = model.fit(X, inference=ae.StructuredVI(**QUICK))
    told = posterior.explain()
    assert "slope ~ normal(0, 2)" in told
    assert "λ·η + (1 − λ)·η(α)" in told
    location, scale = posterior.weights("slope")
    assert location is None  # it shares the λ of the scale
    assert 0 < float(scale) < 1
    assert "ELBO" in posterior.summary()
    axes = posterior.plot_elbo()
    assert len(axes.lines[0].get_ydata()) == 1500
    predicted = posterior.predict(np.array([0.0, 1.0, 2.0]), n=500)["y"]
    assert predicted.shape == (500, 3)
    posterior.save(tmp_path / "line.ae")
    again = ae.load(tmp_path / "line.ae")
    np.testing.assert_array_equal(again.draws(7)["slope"], posterior.draws(7)["slope"])
    assert again.elbo == posterior.elbo


class Twisted(ae.Model):
    """A site of no family that the tables know by name."""

    def __call__(self):
        angle = self.sample("angle", ae.VonMises(1.0, 50.0))
        self.sample("y", ae.Normal(angle, 0.2))


def test_users_add_rules():
    import aesara.tensor as at
    from aesara.tensor.random.basic import VonMisesRV

    from aeframe.infer.variational.families import NormalFamily
    from aeframe.infer.variational.rules import ASVI, prior

    rule = Definition(
        "guide of this test: von Mises",
        prior(VonMisesRV, "mean", "kappa"),
        term(NormalFamily)(Var("mean"), term(at.pow)(Var("kappa"), -0.5)),
    )
    model = Twisted().observe({"y": 1.2})
    plain = model.fit(inference=ae.StructuredVI(**QUICK))
    assert "any support" in plain.explain()
    posterior = model.fit(inference=ae.StructuredVI(rules=(rule, *ASVI), **QUICK))
    assert "guide of this test: von Mises" in posterior.explain()
    # nearly normal: precisions 50 and 25 add up
    np.testing.assert_allclose(posterior.mean("angle"), (50 * 1.0 + 25 * 1.2) / 75, atol=0.02)


def test_wrong_uses():
    model = Switch().observe({"y": 1.4})
    with pytest.raises(ArgumentError, match="no rule makes a guide of 'on'") as caught:
        model.fit(inference=ae.FullRank(**QUICK))
    assert "bernoulli" in str(caught.value)
    assert "StructuredVI" in str(caught.value)
    normals = tuple(r for r in ae.StructuredVI().rules if "any support" not in r)
    with pytest.raises(ArgumentError, match="no rule makes a guide of 'angle'") as caught:
        Twisted().observe({"y": 1.0}).fit(inference=ae.StructuredVI(rules=normals))
    assert "vonmises(1" in str(caught.value)
    assert "add a rule" in str(caught.value)
    with pytest.raises(ArgumentError, match="steps"):
        ae.StructuredVI(steps=0)
    with pytest.raises(ArgumentError, match="learning rate"):
        ae.MeanField(learning_rate=-1.0)
    with pytest.raises(ArgumentError, match="nothing to infer"):
        model.observe({"x": 1.0, "on": 1}).fit(inference=ae.StructuredVI())
    posterior = Line().observe({"y": Y}).fit(X, inference=ae.StructuredVI(steps=10, progress=False))
    with pytest.raises(UnknownNameError, match="level"):
        posterior.log_prob({"slope": 1.0})
    with pytest.raises(UnknownNameError, match="slop"):
        posterior.weights("slop")


class Possible(ae.Model):
    """Two categories of three."""

    def __call__(self):
        k = self.sample("k", ae.Categorical([0.5, 0.5, 0.0]))
        self.sample("y", ae.Normal(1.0 * k, 1.0))


def test_what_is_impossible_is_never_drawn():
    model = Possible().observe({"y": 5.0})
    posterior = model.fit(inference=ae.StructuredVI(**QUICK))
    draws = posterior.draws(2000)["k"]
    assert draws.max() == 1
    joint = 0.5 * stats.norm([0.0, 1.0]).pdf(5.0)
    assert abs(posterior.elbo.value - np.log(joint.sum())) < 0.05
