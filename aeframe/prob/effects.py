"""Conditional effects: what a linear model expects as one predictor varies."""

from __future__ import annotations

from collections import Counter
from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aeframe.core.errors import ArgumentError, UnknownNameError, nearest
from aeframe.prob.design import Factor
from aeframe.prob.simulate import simulate

if TYPE_CHECKING:
    from aeframe.prob.linear import LinearModel

FEW = 5


def expected(
    model: LinearModel, posterior: Any, data: Any = None, n: int = 1000, seed: int = 0
) -> NDArray[np.float64]:
    """Draws of the mean of the response in each row of a frame, (n, rows)."""
    free = copy(posterior.unobserved)
    free.shows_mean = True
    frame = () if data is None else (data,)
    return simulate(free, n, model.read(*frame), seed, posterior.draws(n, seed))["mean"]


def effects(
    model: LinearModel, posterior: Any, name: str, by: str | None = None, n: int = 1000
) -> list[tuple[str, list[Any], NDArray[np.float64]]]:
    """For each value of ``by``: a label, values of ``name``, draws of the mean (n, values)."""
    for column in (name, *([] if by is None else [by])):
        _require_predictor(model, column)
    values = _values(model.columns[name], 50)
    found = []
    for level in [None] if by is None else _values(model.columns[by], 3):
        frame = {k: [_typical(v)] * len(values) for k, v in model.columns.items()}
        frame[name] = values
        if by is not None:
            frame[by] = [level] * len(values)
        shown = f"{level:.3g}" if isinstance(level, float) else level
        label = "" if by is None else f"{by} = {shown}"
        found.append((label, values, expected(model, posterior, frame, n)))
    return found


def plot_effects(model: LinearModel, posterior: Any, name: str, by: str | None = None) -> Any:
    """Draw :func:`effects`: the median and the 90% interval of the mean; returns the axes."""
    import matplotlib.pyplot as plt

    _, axes = plt.subplots()
    for k, (label, values, draws) in enumerate(effects(model, posterior, name, by)):
        if draws.ndim > 2:
            raise ArgumentError(
                "the mean of a categorical response has no one curve",
                path=name,
                fix="use `model.expected(posterior, frame)`: the probability of each label",
            )
        low, middle, high = np.quantile(draws, [0.05, 0.5, 0.95], axis=0)
        if isinstance(values[0], str):
            places = np.arange(len(values)) + 0.1 * k
            axes.errorbar(places, middle, [middle - low, high - middle], fmt="o", label=label)
            axes.set_xticks(np.arange(len(values)), values)
        else:
            (line,) = axes.plot(values, middle, label=label)
            color = line.get_color()  # bands overlap: thin, and told apart by their edges
            axes.fill_between(
                values, low, high, facecolor=(color, 0.1), edgecolor=(color, 0.6), linewidth=0.7
            )
    axes.set(xlabel=name, ylabel=f"mean of {model.design.name}")
    if by is not None:
        axes.legend()
    return axes


def _values(column: Any, many: int) -> list[Any]:
    """All labels, all of few numbers, or ``many`` numbers from the smallest to the largest."""
    if isinstance(column, Factor):
        return list(column.levels)
    distinct = sorted(set(column)) if isinstance(column, list) else np.unique(column)
    if isinstance(column, list) or len(distinct) <= FEW:
        return list(distinct)
    return [float(v) for v in np.linspace(distinct[0], distinct[-1], many)]


def _typical(column: Any) -> Any:
    """The most frequent label, or the mean."""
    if isinstance(column, Factor):
        return _typical(column.labels)
    if isinstance(column, list):
        return Counter(column).most_common(1)[0][0]
    return float(np.mean(column))


def _require_predictor(model: LinearModel, name: str) -> None:
    if name not in model.columns:
        raise UnknownNameError(
            f"the model has no column {name!r}", path=name, fix=nearest(name, [*model.columns])
        )
