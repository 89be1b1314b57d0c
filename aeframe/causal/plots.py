"""The pictures of effects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from aeframe.causal.effects import Effect

# distinct values up to which bars are drawn
FEW = 12


def plot_effect(effect: Effect) -> Any:
    """The distribution of the outcome in each world, and the effect beside it."""
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(1, 2, figsize=(8, 2.8), width_ratios=(2, 1), layout="constrained")
    worlds = [w for w in (effect.control, effect.treated) if w is not None]
    _distributions(axes[0], effect, worlds)
    _estimate(axes[1], effect)
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
    return axes


def _distributions(ax: Any, effect: Effect, worlds: list[str]) -> None:
    """Bars of few values, else histograms on common bins; the mean of each as a line."""
    weights = effect.outcomes.probabilities
    samples = {}
    for world in worlds:
        values = effect.outcomes[world, effect.outcome]
        flat = values.reshape(len(values), -1)
        each = np.full(len(flat), 1 / len(flat)) if weights is None else weights
        samples[world] = flat.ravel(), np.repeat(each / flat.shape[1], flat.shape[1])
    points = np.unique(np.concatenate([v for v, _ in samples.values()]))
    if len(points) <= FEW:
        _bars(ax, samples, points)
    else:
        low, high = np.quantile(np.concatenate([v for v, _ in samples.values()]), [0.001, 0.999])
        bins = np.linspace(low, high, 31)
        for k, (world, (values, w)) in enumerate(samples.items()):
            shown = (values >= low) & (values <= high)
            ax.hist(
                values[shown],
                bins,
                weights=w[shown] / (bins[1] - bins[0]),
                histtype="stepfilled",
                facecolor=(f"C{k}", 0.25),
                edgecolor=f"C{k}",
                label=world,
            )
            ax.axvline(np.average(values, weights=w), color=f"C{k}", lw=1, ls="--")
        ax.set_ylabel("density")
    ax.set_xlabel(effect.outcome)
    ax.legend(frameon=False)


def _bars(ax: Any, samples: dict[str, Any], points: NDArray[Any]) -> None:
    places, width = np.arange(len(points)), 0.8 / len(samples)
    for k, (world, (values, w)) in enumerate(samples.items()):
        heights = [w[values == p].sum() for p in points]
        shift = (k - (len(samples) - 1) / 2) * width
        ax.bar(places + shift, heights, width * 0.92, color=f"C{k}", label=world)
    ax.set_xticks(places, [f"{p:.4g}" for p in points])
    ax.set_ylabel("probability")


def _estimate(ax: Any, effect: Effect) -> None:
    """The posterior of the effect, or the estimate with its Monte Carlo interval."""
    low, high = effect.interval()
    draws = effect.draws
    if draws is not None and np.ptp(draws) > 0:
        ax.hist(draws, 20, histtype="stepfilled", facecolor=("C2", 0.3), edgecolor="C2")
        ax.set_yticks([])
    else:
        ax.set_ylim(-1, 1)
        ax.set_yticks([])
    ax.errorbar(
        effect.estimate,
        0,
        xerr=[[effect.estimate - low], [high - effect.estimate]],
        fmt="o",
        color="C2" if draws is None else "0.2",
        capsize=3,
        clip_on=False,
        zorder=3,
    )
    if effect.control is not None:
        ax.axvline(0, color="0.7", lw=1, zorder=0)
    ax.margins(x=0.15)
    ax.set_xlabel(f"{effect.name}: {effect.estimate:.4g}")
    ax.spines["left"].set_visible(False)
