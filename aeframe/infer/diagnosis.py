"""Diagnosis: whether draws can be trusted, in words, and what to do where not."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aeframe.core.structure import Structure
from aeframe.core.summary import plain_table, render

if TYPE_CHECKING:
    from aeframe.infer.layout import Layout

# Vehtari et al. 2021 (arXiv 1903.08008): R-hat below 1.01, 100 effective draws from each chain.
# Betancourt 2016 (arXiv 1604.00695): E-BFMI above 0.3. Vehtari et al. 2024 (arXiv 1507.02646):
# Pareto k below 0.7.
R_HAT, ESS_PER_CHAIN, E_BFMI, PARETO_K = 1.01, 100, 0.3, 0.7
# chains with an R-hat above this are in different places, or hardly move
APART = 1.1
# and above this it is not for want of draws (slow chains of one place stay below)
ELSEWHERE = 1.5
# log densities that differ by less than this part of them differ by rounding
EQUAL = 1e-10


@dataclass(frozen=True)
class Check(Structure):
    """One thing that was looked at: its name, the worst value, whether it is well, in words."""

    name: str
    value: float
    good: bool
    words: str
    fix: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """What was checked of a posterior; as text, a verdict above the checks.

    >>> print(Diagnosis((check_pareto_k(0.2),)).verdict)
    All checks passed.
    """

    checks: tuple[Check, ...]

    @property
    def good(self) -> bool:
        """Whether every check passed."""
        return all(c.good for c in self.checks)

    def __getitem__(self, name: str) -> Check:
        """The check of that name."""
        return {c.name: c for c in self.checks}[name]

    @property
    def verdict(self) -> str:
        """What is wrong and what to do, or that nothing is."""
        if not self.checks:
            return "There is nothing to check: the draws are independent."
        wrong = [f"{c.words}. {c.fix}" for c in self.checks if not c.good]
        return "\n".join(wrong) or "All checks passed."

    def __str__(self) -> str:
        table = plain_table("", "check", "worst", "", "")
        for c in self.checks:
            table.add_row(c.name, f"{c.value:.4g}", "good" if c.good else "bad", c.words)
        return f"{self.verdict}\n{render(table)}" if self.checks else self.verdict

    __repr__ = __str__


def arviz() -> ModuleType:
    """ArviZ, imported at the first use, without the notice that it prints."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        import arviz

    return arviz


def _entries(values: NDArray[Any]) -> Iterator[tuple[tuple[int, ...], NDArray[Any]]]:
    """Place and chains of each entry of a site."""
    flat = values.reshape(*values.shape[:2], -1)
    for i, index in enumerate(np.ndindex(values.shape[2:])):
        yield index, flat[:, :, i]


def diagnose_chains(
    chains: Mapping[str, NDArray[Any]],
    stats: Mapping[str, NDArray[Any]],
    layout: Layout,
    scales: Mapping[str, str],
) -> Iterator[Check]:
    """The checks of Markov chains, site → (chain, draw, ...); of ``stats`` those it has.

    ``scales`` are the sites that could be non-centred, see
    :func:`~aeframe.infer.scales.free_scales`.
    """
    # what never moves (the diagonal of a correlation matrix) has nothing to converge to
    moving = {
        layout.entry(site, index): entry
        for site, values in chains.items()
        for index, entry in _entries(values)
        if np.ptp(entry) != 0
    }
    if moving:
        yield from _convergence(moving)
    if "energy" in stats:
        yield _check_energy(stats["energy"], scales)
    if "diverging" in stats:
        yield _check_divergences(stats["diverging"], scales)
    if "reached_max_depth" in stats:
        yield _check_depth(stats["reached_max_depth"])


def _convergence(moving: Mapping[str, NDArray[Any]]) -> Iterator[Check]:
    """The checks of entries, name → (chain, draw)."""
    az = arviz()
    count, draws = next(iter(moving.values())).shape
    if draws < 4:
        return
    agree = True
    if count > 1:
        r_hat, where = _worst({k: az.rhat(v) for k, v in moving.items()}, 1)
        yield Check(
            "R-hat",
            r_hat,
            r_hat < R_HAT,
            f"R-hat is at most {r_hat:.4g}, at {where}"
            if r_hat < R_HAT
            else f"The chains do not agree: R-hat of {where} is {_above(r_hat)}, above {R_HAT}",
            "Run longer: chains this close often agree with more `warmup` and `draws`."
            if r_hat < APART
            else "Run longer (`warmup`, `draws`); if that does not help, look at `plot()`: several "
            "modes, or a parameter that the data do not identify.",
        )
        agree = r_hat < ELSEWHERE
    enough = ESS_PER_CHAIN * count
    for kind in ("bulk", "tail"):
        ess, where = _worst({k: az.ess(v, method=kind) for k, v in moving.items()}, -1)
        times = max(2.0, np.ceil(enough / max(ess, 1.0)))
        yield Check(
            f"ESS {kind}",
            ess,
            ess >= enough,
            f"there are at least {ess:.0f} effective draws ({kind}), at {where}"
            if ess >= enough
            else f"{where} has {ess:.0f} effective draws ({kind}), fewer than {enough}",
            f"Take {times:.0f} times as many draws."
            if agree
            else "More draws help where the chains agree only: see R-hat first.",
        )


def _above(r_hat: float) -> str:
    """An R-hat above the threshold with digits enough to see it."""
    digits = next((n for n in range(4, 17) if float(f"{r_hat:.{n}g}") != R_HAT), 4)
    return f"{r_hat:.{digits}g}"


def _worst(found: Mapping[str, float], sign: int) -> tuple[float, str]:
    """The largest of what was found, or with ``sign`` -1 the smallest, and where; NaN is worse."""
    where = max(found, key=lambda k: np.inf if np.isnan(found[k]) else sign * found[k])
    return float(found[where]), where


def _check_energy(energy: NDArray[np.float64], scales: Mapping[str, str]) -> Check:
    with np.errstate(invalid="ignore"):  # energies that are all equal: a chain that is stuck
        value = float(np.min(arviz().bfmi(energy)))
    return Check(
        "E-BFMI",
        value,
        value >= E_BFMI,
        f"the energy is explored well: E-BFMI is at least {value:.2f}"
        if value >= E_BFMI
        else f"The energy is explored slowly: E-BFMI is {value:.2f}, below {E_BFMI}",
        f"{_non_centre(scales)}; or give scales tighter priors."
        if scales
        else "Heavy tails: run longer, or give scales and sites with heavy tails tighter priors.",
    )


def _check_divergences(diverging: NDArray[np.bool_], scales: Mapping[str, str]) -> Check:
    count, of = int(np.sum(diverging)), diverging.size
    higher = "`target_acceptance` (0.95, 0.99)"
    return Check(
        "divergences",
        float(count),
        count == 0,
        "no draw diverged" if not count else f"{count} of {of} draws diverged: means may be biased",
        f"{_non_centre(scales)}; or raise {higher}."
        if scales
        else f"Raise {higher}; if that does not help, look in `plot_pairs()` for a boundary.",
    )


def _non_centre(scales: Mapping[str, str]) -> str:
    places = " or ".join(f"{site!r} (its scale has {scale!r})" for site, scale in scales.items())
    return (
        f"Non-centre {places}: sample its standard form, of location 0 and scale 1, "
        "and compute location + scale * that"
    )


def _check_depth(reached: NDArray[np.bool_]) -> Check:
    share = float(np.mean(reached))
    return Check(
        "depth",
        share,
        share < 0.05,
        f"{share:.0%} of the draws reached the largest tree",
        "Scale the variables alike, set `dense=True`, or raise `max_depth`.",
    )


def pareto_k(log_weights: NDArray[np.float64]) -> float:
    """The shape of the tail of importance weights (Vehtari et al. 2024); 0 where it has none.

    It has none where no weight is a tenth above the mean, or where many draws share the largest:
    exact and discrete approximations are so. A weight that is not a number counts as none.

    >>> pareto_k(np.full(1000, 3.0))
    0.0
    """
    weights = np.where(np.isnan(log_weights), -np.inf, log_weights)
    top = weights.max(initial=-np.inf)
    if not np.isfinite(top):
        return np.inf
    # psislw's tail: 3 √n draws, or a fifth of them
    tail = min(len(weights) / 5, 3 * np.sqrt(len(weights)))
    shared = np.sum(weights >= top - EQUAL * max(1.0, abs(top)))
    if shared >= tail or np.exp(weights - top).mean() > 1 / 1.1:
        return 0.0
    return float(arviz().psislw(weights)[1])


def check_pareto_k(k: float) -> Check:
    """The check of importance weights with Pareto shape ``k``."""
    return Check(
        "Pareto k",
        k,
        k < PARETO_K,
        f"importance weights are reliable: Pareto k is {k:.2f}"
        if k < PARETO_K
        else f"The approximation is far from the posterior: Pareto k is {k:.2f}, above {PARETO_K}",
        "Use a richer approximation, or `inference=ae.NUTS()`.",
    )
