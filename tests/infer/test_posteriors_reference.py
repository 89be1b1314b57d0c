"""NUTS, and Gibbs and Exact where they apply, against the reference moments of posteriordb.

Flat regressions are sampled in the coordinates of the QR decomposition, and hierarchies not
centred, as one would; the sites compared are those of the Stan programs.
"""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from aesara import tensor as at

import aeframe as ae
from aeframe.distributions import (
    Bernoulli,
    Dirichlet,
    Exponential,
    Flat,
    Gamma,
    HalfCauchy,
    HalfFlat,
    HalfNormal,
    HalfStudentT,
    HiddenMarkov,
    MultivariateNormal,
    Normal,
    StudentT,
)

OWN = Path(__file__).parent / "data"
SHARED = Path(__file__).parents[3] / "shared" / "data" / "posteriors"
FILES = {p.stem: p for folder in (SHARED, OWN) for p in sorted(folder.glob("*.json"))}


class FlatRegression(ae.Model):
    """y ~ N(X β, σ), flat on β: θ = R β of X = QR is as flat, and its entries independent."""

    def __init__(self, sigma):
        self.sigma = sigma

    def __call__(self, q, inverse_r, scale):
        theta = self.sample("theta", Flat(), shape=(q.type.shape[1],))
        relative = self.sample("relative", self.sigma)
        self.deterministic("beta", scale * (inverse_r @ theta))
        sigma = self.deterministic("sigma", scale * relative)
        self.sample("y", Normal(scale * (q @ theta), sigma))


def flat_regression(columns, y, sigma=None, scale=None):
    """The model and its data; the flat prior on σ is as flat in other units."""
    x = np.column_stack([np.ones(len(y)), *columns]).astype(float)
    scale = np.std(y) if sigma is None else 1.0
    model = FlatRegression(HalfFlat() if sigma is None else sigma)
    return model.observe({"y": y}), (*qr(x), np.float64(scale))


def qr(x, prior=0.0):
    """Q with entries of the order of 1, and the inverse of its R.

    With ``prior`` precisions of the coefficients, over that of y, RᵀR = XᵀX + diag(prior).
    """
    prior = np.diag(np.sqrt(np.broadcast_to(prior, x.shape[1])))
    _, r = np.linalg.qr(np.vstack([x, prior]))
    inverse_r = np.linalg.inv(r) * np.sqrt(len(x))
    return x @ inverse_r, inverse_r


class Autoregression(ae.Model):
    """Five lags."""

    def __call__(self, lags):
        alpha = self.sample("alpha", Normal(0, 10))
        beta = self.sample("beta", Normal(0, 10), shape=(5,))
        sigma = self.sample("sigma", HalfCauchy(2.5))
        self.sample("y", Normal(alpha + lags @ beta, sigma))


class Diamonds(ae.Model):
    """A regression on 24 centred columns, in the coordinates of QR with the prior.

    These are flat, and the prior b ~ N(0, 1) is the density of ``prior`` = 0 ~ N(b, 1); so for
    the intercept. In units of the noise, θ is about as well known as log σ.
    """

    def __call__(self, q, inverse_r, means):
        theta = self.sample("theta", Flat(), shape=(25,))
        coefficients = inverse_r @ theta
        b = self.deterministic("b", coefficients[1:])
        self.sample("prior", Normal(b, 1))
        intercept = self.deterministic("Intercept", coefficients[0])
        self.sample("centre", StudentT(3, intercept, 10))
        sigma = self.sample("sigma", HalfStudentT(3, 10))
        self.deterministic("b_Intercept", intercept - means @ b)
        self.sample("y", Normal(q @ theta, sigma))


class Dogs(ae.Model):
    """A logistic regression."""

    def __call__(self, x):
        beta = self.sample("beta", Normal(0, 100), shape=(3,))
        self.sample("y", Bernoulli(logits=x @ beta))


class EightSchools(ae.Model):
    """Not centred."""

    def __call__(self, sigma):
        mu = self.sample("mu", Normal(0, 5))
        tau = self.sample("tau", HalfCauchy(5))
        offset = self.sample("offset", Normal(0, 1), shape=(8,))
        theta = self.deterministic("theta", mu + tau * offset)
        self.sample("y", Normal(theta, sigma))


class Radon(ae.Model):
    """A county's intercept, not centred: most counties have few houses."""

    def __call__(self, county, x):
        sigma_y = self.sample("sigma_y", HalfNormal(1))
        sigma_alpha = self.sample("sigma_alpha", HalfNormal(1))
        mu_alpha = self.sample("mu_alpha", Normal(0, 10))
        beta = self.sample("beta", Normal(0, 10), shape=(x.type.shape[1],))
        offset = self.sample("offset", Normal(0, 1), shape=(85,))
        alpha = self.deterministic("alpha", mu_alpha + sigma_alpha * offset)
        self.sample("y", Normal(alpha[county] + x @ beta, sigma_y))


class Blr(ae.Model):
    """A regression on correlated columns; its prior as that of Diamonds."""

    def __call__(self, q, inverse_r):
        theta = self.sample("theta", Flat(), shape=(5,))
        beta = self.deterministic("beta", inverse_r @ theta)
        self.sample("prior", Normal(beta, 10))
        sigma = self.sample("sigma", HalfNormal(10))
        self.sample("y", Normal(q @ theta, sigma))


class GaussianProcess(ae.Model):
    """Eleven points of one function; ``sigma`` is a variance."""

    def __call__(self, x):
        rho = self.sample("rho", Gamma(25, 4))
        alpha = self.sample("alpha", HalfNormal(2))
        sigma = self.sample("sigma", HalfNormal(1))
        apart = (x[:, None] - x[None, :]) / rho
        covariance = alpha**2 * at.exp(-(apart**2) / 2) + sigma * np.eye(11)
        self.sample("y", MultivariateNormal(np.zeros(11), covariance))


class Drive(ae.Model):
    """Two hidden states, each with a rate of u and one of v; the second state has the larger ones.

    The ordered pairs have independent normal densities: gaps are flat, and the density of
    ``above`` = 3 ~ N(rate, 1) is that of the larger rate.
    """

    def __init__(self, steps):
        self.steps = steps

    def __call__(self, alpha):
        theta = [self.sample(f"theta{i + 1}", Dirichlet(alpha[i])) for i in range(2)]
        rates = at.stack([self.ordered("phi"), self.ordered("lambda")], axis=-1)
        hidden = HiddenMarkov([0.5, 0.5], at.stack(theta), Exponential(rates), self.steps)
        self.sample("uv", hidden, shape=(self.steps, 2))

    def ordered(self, name):
        low = self.sample(f"{name}_low", HalfNormal(1))
        high = low + self.sample(f"{name}_gap", HalfFlat())
        self.sample(f"{name}_above", Normal(high, 1))
        return self.deterministic(name, at.stack([low, high]))


def earnings(d, name):
    height, male, earn = (np.asarray(d[k], dtype=float) for k in ("height", "male", "earn"))
    y = {"earn_height": earn, "log10earn_height": np.log10(earn)}.get(name, np.log(earn))
    columns = {
        "logearn_height_male": [height, male],
        "logearn_interaction": [height, male, height * male],
        "logearn_logheight_male": [np.log(height), male],
    }.get(name, [height])
    return flat_regression(columns, y)


def kidiq(d, name):
    y = np.asarray(d["kid_score"], dtype=float)
    hs, iq, work = (np.asarray(d.get(k, y), dtype=float) for k in ("mom_hs", "mom_iq", "mom_work"))
    if name == "kidscore_mom_work":
        return flat_regression([work == k for k in (2, 3, 4)], y)
    if "interaction" in name:
        centre = (0.5, 100.0) if name.endswith("c2") else (hs.mean(), iq.mean())
        a, b = hs - centre[0], iq - centre[1]
        return flat_regression([a, b, a * b], y)
    columns = {"momhs": [hs], "momiq": [iq], "momhsiq": [hs, iq]}[name.split("_")[1]]
    return flat_regression(columns, y, HalfCauchy(2.5))


def mesquite(d, name):
    names = ("weight", "diam1", "diam2", "canopy_height", "total_height", "density", "group")
    w, d1, d2, canopy, height, density, group = (np.asarray(d[k], dtype=float) for k in names)
    if name == "mesquite":
        return flat_regression([d1, d2, canopy, height, density, group], w)
    volume, area, shape = np.log(d1 * d2 * canopy), np.log(d1 * d2), np.log(d1 / d2)
    columns = {
        "logmesquite_logva": [volume, area, group],
        "logmesquite_logvas": [volume, area, shape, np.log(height), np.log(density), group],
        "logmesquite_logvash": [volume, area, shape, np.log(height), group],
        "logmesquite_logvolume": [volume],
    }[name]
    return flat_regression(columns, np.log(w))


def nes(d, name):
    age = np.asarray(d["age_discrete"])
    rest = [d[k] for k in ("educ1", "gender", "income")]
    columns = [d["real_ideo"], d["race_adj"], *[age == k for k in (2, 3, 4)], *rest]
    return flat_regression(columns, np.asarray(d["partyid7"], dtype=float))


def autoregression(d, name):
    y = np.asarray(d["y"])
    lags = np.column_stack([y[5 - k : len(y) - k] for k in range(1, 6)])
    return Autoregression().observe({"y": y[5:]}), (lags,)


def diamonds(d, name):
    x, y = np.asarray(d["X"], dtype=float), np.asarray(d["Y"], dtype=float)
    means = x[:, 1:].mean(axis=0)
    x[:, 1:] -= means
    noise = np.linalg.lstsq(x, y, rcond=None)[1][0] / len(y)
    q, inverse_r = qr(x, prior=noise * (np.arange(25) > 0))
    scale = np.sqrt(noise)
    seen = {"y": y, "prior": np.zeros(24), "centre": 8.0}
    return Diamonds().observe(seen), (q * scale, inverse_r * scale, means)


def dogs(d, name):
    shocked = np.asarray(d["y"])
    before = np.cumsum(shocked, axis=1) - shocked
    avoided = np.arange(shocked.shape[1]) - before
    x = np.stack([np.ones_like(avoided), avoided, before], axis=-1).astype(float)
    return Dogs().observe({"y": shocked}), (x,)


def schools(d, name):
    y = np.asarray(d["y"], dtype=float)
    return EightSchools().observe({"y": y}), (np.asarray(d["sigma"], dtype=float),)


def radon(d, name):
    names = ("log_uppm", "floor_measure") if "hierarchical" in name else ("floor_measure",)
    x = np.column_stack([d[k] for k in names]).astype(float)
    return Radon().observe({"y": d["log_radon"]}), (np.asarray(d["county_idx"]) - 1, x)


def gaussian_process(d, name):
    return GaussianProcess().observe({"y": d["y"]}), (np.asarray(d["x"], dtype=float),)


def blr(d, name):
    return Blr().observe({"y": d["y"], "prior": np.zeros(5)}), qr(np.asarray(d["X"], dtype=float))


def drive(d, name):
    uv = np.column_stack([d["u"], d["v"]])
    above = {"phi_above": 3.0, "lambda_above": 3.0}
    return Drive(len(uv)).observe({"uv": uv, **above}), (np.asarray(d["alpha"], dtype=float),)


MAKERS = {
    "arK": autoregression,
    "bball_drive_event_": drive,
    "diamonds": diamonds,
    "dogs": dogs,
    "earnings": earnings,
    "eight_schools": schools,
    "gp_pois_regr": gaussian_process,
    "kidiq": kidiq,
    "kidiq_with_mom_work": kidiq,
    "mesquite": mesquite,
    "nes": nes,
    "radon_mn": radon,
    "sblrc": blr,
}

OPTIONS = {
    "diamonds": {"draws": 500},
    "radon_mn": {"draws": 2000, "target_acceptance": 0.9},
    "eight_schools": {"draws": 2000, "warmup": 1000, "target_acceptance": 0.95},
}


# normal blocks with a half-t and a half-Cauchy scale, Pólya-Gamma draws, and NUTS for what is left
GIBBS = {
    "diamonds-diamonds": {},
    "kidiq-kidscore_momiq": {},
    "dogs-dogs": {"draws": 2000},
    "eight_schools-eight_schools_noncentered": {"draws": 2000, "target_acceptance": 0.95},
}
# flat priors of the coefficients and of the noise
EXACT = ["earnings-logearn_interaction", "mesquite-logmesquite_logvolume", "nes1992-nes"]


def kind(name):
    return re.sub(r"\d+$", "", name.split("-")[0])


def read(name):
    """A model on its data, the data that it takes, and the reference of its parameters."""
    posterior = json.loads(FILES[name].read_text())
    made = MAKERS[kind(name)](posterior["data"], name.split("-")[1])
    return *made, posterior["reference"]["parameters"]


def require_trust(posterior):
    """Chains agree, and none diverged where they could."""
    checks = posterior.diagnose()
    bad = {c.name for c in checks.checks if not c.good}
    assert bad.isdisjoint({"R-hat", "divergences"}), checks


def require_reference(draws, parameters):
    """Means within a tenth of the sd, and sds within 10 %; ``draws`` are (chain, draw, ...)."""
    for parameter, known in parameters.items():
        site, index = re.fullmatch(r"(\w+)(?:\[(\d+)\])?", parameter).groups()
        found = draws[site]
        if found.ndim > 2:
            found = found[:, :, 0 if index is None else int(index) - 1]
        assert abs(found.mean() - known["mean"]) < 0.1 * known["sd"], parameter
        assert abs(found.std() / known["sd"] - 1) < 0.1, parameter


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in FILES if kind(n) in MAKERS])
def test_nuts_has_the_means_and_sds_of_the_reference(name):
    model, data, parameters = read(name)
    options = {"draws": 1000, "warmup": 500, **OPTIONS.get(kind(name), {})}
    found = model.fit(*data, inference=ae.NUTS(**options))
    require_trust(found)
    require_reference(found.chains, parameters)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in FILES if n in GIBBS])
def test_gibbs_has_the_means_and_sds_of_the_reference(name):
    model, data, parameters = read(name)
    found = model.fit(*data, inference=ae.Gibbs(**GIBBS[name]))
    require_trust(found)
    assert any("NUTS" not in step.rule for step in found.explain().steps)
    require_reference(found.chains, parameters)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in FILES if n in EXACT])
def test_exact_posteriors_have_the_means_and_sds_of_the_reference(name):
    model, data, parameters = read(name)
    found = model.fit(*data, inference=ae.Exact())
    require_reference(found.sampled(10_000), parameters)
