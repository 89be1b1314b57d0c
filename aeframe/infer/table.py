"""The statistics of draws, and the table of them that a summary shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aeframe.core.summary import plain_table
from aeframe.infer.diagnosis import arviz
from aeframe.infer.layout import Layout

if TYPE_CHECKING:
    from rich.table import Table

Statistics = dict[str, dict[str, NDArray[np.float64]]]

# a summary is there to be read: of a site with more entries it shows the first ones
SHOWN = 12


def statistics(
    draws: Mapping[str, NDArray[Any]], chains: bool, limit: int | None = None
) -> Statistics:
    """Site → statistic → array, from draws (chain, draw, ...).

    Mean, sd, 5% and 95% quantile; for Markov ``chains`` also the Monte Carlo standard error of
    the mean, the effective numbers of draws in the bulk and the tails, and R-hat, which take
    longer: of the first ``limit`` entries of a site, the others have NaN.
    """
    return {name: _statistics(np.asarray(v), chains, limit) for name, v in draws.items()}


def _statistics(
    values: NDArray[Any], chains: bool, limit: int | None
) -> dict[str, NDArray[np.float64]]:
    found = {
        "mean": values.mean(axis=(0, 1)),
        "sd": values.std(axis=(0, 1), ddof=1),
        "5%": np.quantile(values, 0.05, axis=(0, 1)),
        "95%": np.quantile(values, 0.95, axis=(0, 1)),
    }
    if chains and values.shape[1] >= 4:
        az = arviz()
        wanted = {
            "mcse": lambda v: az.mcse(v, method="mean"),
            "ess_bulk": lambda v: az.ess(v, method="bulk"),
            "ess_tail": lambda v: az.ess(v, method="tail"),
        }
        if len(values) > 1:
            wanted["r_hat"] = az.rhat
        flat = values.reshape(*values.shape[:2], -1)
        for name, compute in wanted.items():
            each = np.full(flat.shape[2], np.nan)
            for i in range(len(each[:limit])):
                each[i] = np.asarray(compute(flat[:, :, i])).item()
            found[name] = each.reshape(values.shape[2:])
    return found


def statistics_table(found: Statistics, layout: Layout) -> Table:
    """A row for each entry."""
    columns = list(next(iter(found.values()))) if found else []
    table = plain_table("", "site")
    for column in columns:
        table.add_column(column, justify="right")
    for site, values in found.items():
        shape = next(iter(values.values())).shape
        for index in list(np.ndindex(shape))[:SHOWN]:
            cells = [_number(name, values[name][index]) for name in columns]
            table.add_row(layout.entry(site, index), *cells)
        left = int(np.prod(shape, dtype=np.int64)) - SHOWN
        if left > 0:
            table.add_row(f"{site}: {left} more")
    table.columns[0].no_wrap = True
    return table


def _number(column: str, value: float) -> str:
    if column.startswith("ess"):
        return f"{value:.0f}"
    return f"{value:.3f}" if column == "r_hat" else f"{value:.4g}"
