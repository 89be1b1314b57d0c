"""Which sites could be non-centred, and the advice that follows."""

import aesara.tensor as at
import numpy as np
import pytest

import aeframe as ae
from aeframe.infer.diagnosis import Diagnosis, diagnose_chains
from aeframe.infer.layout import layout
from aeframe.infer.scales import free_scales


class Centred(ae.Model):
    """The effects' scale is free; that of the observation only says how it is seen."""

    def __call__(self):
        mu, tau = self.sample("mu", ae.Normal(0, 5)), self.sample("tau", ae.HalfNormal(5))
        theta = self.sample("theta", ae.Normal(mu, tau), shape=(3,))
        sd = self.sample("sd", ae.HalfNormal(1))
        self.sample("y", ae.Normal(theta, sd))


class NonCentred(ae.Model):
    def __call__(self):
        mu, tau = self.sample("mu", ae.Normal(0, 5)), self.sample("tau", ae.HalfNormal(5))
        z = self.sample("z", ae.Normal(0, 1), shape=(3,))
        self.sample("y", ae.Normal(mu + tau * z, 1.0))


class Log(ae.Model):
    """The scale is computed from a free site; the location is free too, and no scale."""

    def __call__(self):
        log_scale, mu = self.sample("log_scale", ae.Normal(0, 1)), self.sample("mu", ae.Normal())
        near = self.sample("near", ae.Normal(mu, 2.0))
        self.sample("far", ae.StudentT(4.0, near, at.exp(log_scale)))


@pytest.mark.parametrize(
    ("make", "found"),
    [(Centred, {"theta": "tau"}), (NonCentred, {}), (Log, {"far": "log_scale"})],
    ids=["centred", "non-centred", "log"],
)
def test_free_scales_and_the_advice(make, found):
    model = make()
    observed = model.observe({"y": np.zeros(3)}) if make is not Log else model
    assert free_scales(observed, ()) == found
    diverging = np.eye(4, 100, dtype=bool)
    stats = {"diverging": diverging, "energy": np.random.default_rng(0).normal(size=(4, 100))}
    checks = diagnose_chains({}, stats, layout(observed, ()), found)
    verdict = Diagnosis(tuple(checks)).verdict
    assert "target_acceptance" in verdict
    assert ("Non-centre" in verdict) == bool(found)
    for site, scale in found.items():
        assert f"Non-centre {site!r} (its scale has {scale!r}): sample its standard" in verdict


def test_chains_that_nearly_agree_should_run_longer_first():
    model = NonCentred().observe({"y": np.zeros(3)})
    rng = np.random.default_rng(1)
    for shift, words in ((0.7, "Run longer: chains this close"), (5.0, "several modes")):
        chains = {"mu": rng.normal(size=(4, 100)) + shift * np.arange(4)[:, None] / 3}
        verdict = Diagnosis(tuple(diagnose_chains(chains, {}, layout(model, ()), {}))).verdict
        assert "do not agree" in verdict.splitlines()[0]
        assert words in verdict.splitlines()[0]


@pytest.mark.parametrize(("r_hat", "words"), [(1.0100004, "is 1.0100004,"), (1.83, "is 1.83,")])
def test_an_r_hat_above_the_threshold_reads_so(monkeypatch, r_hat, words):
    """And where chains are in different places, the advice is not to take more draws."""
    from aeframe.infer import diagnosis

    az = diagnosis.arviz()
    monkeypatch.setattr(az, "rhat", lambda values: r_hat)
    monkeypatch.setattr(az, "ess", lambda values, method: 6.0)
    chains = {"mu": np.random.default_rng(1).normal(size=(4, 100))}
    model = NonCentred().observe({"y": np.zeros(3)})
    verdict = Diagnosis(tuple(diagnose_chains(chains, {}, layout(model, ()), {}))).verdict
    assert words in verdict
    assert ("times as many draws" in verdict) == (r_hat < 1.5)
