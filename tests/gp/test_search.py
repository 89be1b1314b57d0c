"""The search over kernels: what it finds, what it costs, what it survives."""

import sys
from pathlib import Path

import aesara.tensor as at
import numpy as np
import pytest

import aeframe as ae
from aeframe.backends.composed import compiled_programs
from aeframe.core.errors import ArgumentError, FitError
from aeframe.gp import (
    GP,
    SE,
    Kernel,
    KernelSearch,
    Linear,
    Periodic,
    hyper,
    leaf_kernels,
    moves,
)
from aeframe.gp.search import _Race, normal_key
from aeframe.rewrites import Alternative

DEMO = Path(ae.__file__).parent / "demo_data" / "airline.csv"


def seasonal(n=30, seed=0):
    rng = np.random.default_rng(seed)
    x = np.linspace(0.0, 10.0, n)
    return x, 2 * (x - 3) + 3 * np.sin(2 * np.pi * x / 2.0) + 0.2 * rng.normal(size=n)


QUICK = KernelSearch(bases=(Linear, Periodic), depth=3, draws=8, restarts=1, progress=False)


def test_moves_are_alternatives_in_the_rule_vocabulary():
    for rule in moves(Periodic):
        assert isinstance(rule, Alternative)
    assert [r.name for r in moves(SE)] == ["S → S + SE", "S → S × SE"]


def test_search_finds_a_trend_and_a_period():
    x, y = seasonal()
    gp = GP()
    result = gp.fit(x, y, search=QUICK)
    assert sorted(normal_key(k) for k in gp.kernel.parts) == ["Linear", "Periodic"]
    period = next(k for k in leaf_kernels(gp.kernel) if isinstance(k, Periodic)).period
    assert period.value == pytest.approx(2.0, rel=0.02)
    assert result.log_marginal_likelihood == pytest.approx(gp.log_prob(x, y))
    assert result.bic == pytest.approx(
        -2 * result.log_marginal_likelihood + len(gp.parameters()) * np.log(len(x))
    )
    best = [s.bic for s in result.steps if s.move != "none is better"]
    assert best == sorted(best, reverse=True)
    assert "S → S + " in str(result)
    np.testing.assert_allclose(gp.predict(x).mean, y, atol=1.0)


def test_searches_with_one_seed_are_equal():
    x, y = seasonal()
    found = [GP().fit(x, y, search=QUICK) for _ in range(2)]
    assert found[0].steps == found[1].steps


def test_a_second_search_compiles_nothing():
    x, y = seasonal()
    GP().fit(x, y, search=QUICK)
    before = compiled_programs()
    GP().fit(x, y + 1.0, search=KernelSearch((Periodic, Linear), 3, 8, 1, progress=False))
    assert compiled_programs() == before


class Broken(Kernel):
    """A kernel that cannot be fitted."""

    scale = hyper(1.0)

    def formula(self, x, z):
        return at.log(-self.scale) * at.dot(x, z.T)


def test_kernels_that_fail_are_survived_and_counted():
    x, y = seasonal()
    gp = GP()
    search = KernelSearch((Linear, Broken), depth=2, draws=3, restarts=1, progress=False)
    result = gp.fit(x, y, search=search)
    assert result.failed >= 3 and "Broken" not in str(gp.kernel)
    wide = np.c_[x, np.cos(x)]
    assert GP().fit(wide, y, search=QUICK).failed >= 1  # Periodic takes one column
    with pytest.raises(FitError):
        GP().fit(x, y, search=KernelSearch((Broken,), depth=2, progress=False))


def test_the_bar_shows_the_best_kernel(capsys, monkeypatch):
    x, y = seasonal()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    GP().fit(x, y, search=KernelSearch((Linear,), depth=1, draws=2, restarts=1))
    assert "Linear, BIC" in capsys.readouterr().err


def test_wrong_bases_are_refused():
    for bases in ((), (3.0,), (SE(),), (Kernel,)):
        with pytest.raises(ArgumentError, match="bases"):
            KernelSearch(bases=bases)


@pytest.mark.slow
def test_airline_has_a_period_and_a_trend():
    x, y = np.genfromtxt(DEMO, delimiter=",", skip_header=1).T
    gp = GP()
    result = gp.fit(x, y, search=KernelSearch(progress=False))
    leaves = list(leaf_kernels(gp.kernel))
    periods = [float(k.period.value) for k in leaves if isinstance(k, Periodic)]
    assert any(abs(p - 1.0) < 0.02 for p in periods)
    trends = [
        k
        for k in leaves
        if isinstance(k, Linear) or (isinstance(k, SE) and k.lengthscale.value > 5)
    ]
    assert trends
    assert result.bic < 1150


def test_an_interrupted_search_keeps_the_best_so_far(monkeypatch):
    x, y = seasonal()
    level, calls = _Race.level, []

    def interrupted(self, *arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return level(self, *arguments)

    monkeypatch.setattr(_Race, "level", interrupted)
    model = GP()
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, search=KernelSearch((Linear,), depth=3, draws=2, restarts=1))
    assert str(model.kernel) == "Linear"
