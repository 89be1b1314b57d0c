"""Pictures of a GP with one input column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from aeframe.core.errors import ArgumentError, StateError

if TYPE_CHECKING:
    from aeframe.gp.model import GP


def plot(gp: GP, x: ArrayLike | None = None, *, extrapolate: float = 0.2, ax: Any = None) -> Any:
    """Draw the data, the mean of new observations and two standard deviations around it.

    Parameters
    ----------
    gp
        With data, see :meth:`GP.condition` and :meth:`GP.fit`.
    x
        Where to predict; by default the range of the data and ``extrapolate`` times it beyond.
    extrapolate
        How far to go beyond the data, as a share of their range.
    ax
        Matplotlib axes to draw on; new ones by default.

    Returns
    -------
    matplotlib.axes.Axes
        The axes; ``ax.figure.savefig(...)`` writes them to a file.
    """
    import matplotlib.pyplot as plt

    if not gp.data:
        raise StateError("this GP has no data yet", fix="call `condition(x, y)` or `fit(x, y)`")
    known, y = gp.data["x"].value, gp.data["y"].value
    if known.shape[1] != 1:
        raise ArgumentError(
            "only a GP of one input column can be drawn", expected="(n, 1)", got=str(known.shape)
        )
    t = known[:, 0]
    end = t.max() + extrapolate * np.ptp(t)
    points = np.linspace(t.min(), end, 500) if x is None else np.sort(np.ravel(np.asarray(x)))
    mean, variance = gp.predict(points)
    sd = np.sqrt(variance)
    if ax is None:
        _, ax = plt.subplots(figsize=(8, 4), layout="constrained")
    ax.fill_between(
        points, mean - 2 * sd, mean + 2 * sd, color="C0", alpha=0.2, lw=0, label="mean ± 2 sd"
    )
    ax.plot(points, mean, color="C0", lw=1.5, label="mean")
    ax.plot(t, y, ".", color="black", ms=4, label="data")
    if points.max() > t.max():
        ax.axvline(t.max(), color="grey", lw=0.8, ls="--")
    ax.margins(x=0)
    ax.set_title(str(gp.kernel))
    ax.legend(loc="upper left", frameon=False)
    return ax
