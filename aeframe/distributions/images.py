"""Images: between which ends a function of a draw lies, by the maps that its density knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Variable

from aeframe.core.graph import replay
from aeframe.core.shapes import evaluate
from aeframe.core.supports import Interval, Positive, Real, Support
from aeframe.distributions.maps import MAPS
from aeframe.rewrites.match import match

Ends: TypeAlias = tuple[float, float]
Step: TypeAlias = "tuple[Variable, Variable, int]"


def ends_of(support: Support) -> Ends | None:
    """The ends of a support that is an interval between numbers."""
    if isinstance(support, Interval):
        return support.low, support.high
    ends = {Real(): (-np.inf, np.inf), Positive(): (0.0, np.inf)}
    return ends.get(support)


def between(low: float, high: float) -> Support:
    """The support with these ends."""
    if (low, high) == (-np.inf, np.inf):
        return Real()
    return Positive() if (low, high) == (0.0, np.inf) else Interval(low, high)


def image(
    result: Variable, known: Callable[[Variable], Ends | None], otherwise: Ends | None = None
) -> Ends | None:
    """The ends of ``result``: maps of :data:`~aeframe.distributions.maps.MAPS` on a draw.

    Parameters
    ----------
    known
        The ends of a variable, where a chain of maps may begin.
    otherwise
        The ends of a variable that is neither known nor a map of another.
    """
    steps: list[Step] = []
    while (ends := known(result)) is None:
        step = _step(result)
        if step is None:
            ends = otherwise
            break
        steps.append(step)
        result = step[1]
    while steps and ends is not None:
        ends = _through(steps.pop(), ends)
    return ends


def _step(result: Variable) -> Step | None:
    """The map that made ``result``: ``result``, what it maps, and how many ways lead back."""
    for _, pattern, back in MAPS:
        bound = match(pattern, result, {})
        if bound is not None:
            ways = back(at.dscalar(), bound.get("c"))
            return result, bound["x"], len(ways)
    return None


def _through(step: Step, ends: Ends) -> Ends | None:
    """A map with one way back leads from end to end, one with two turns at 0."""
    result, x, ways = step
    low, high = ends
    points = [low, high or -0.0]  # 1 / x has another limit on this side of 0
    inside = low < 0 < high
    if inside:
        points.append(0.0)
    found = []
    for point in points:
        (value,) = replay([result], {x: at.constant(np.full((1,) * x.ndim, point), dtype=x.dtype)})
        with np.errstate(all="ignore"):
            reached = evaluate(value)
        values = np.unique(np.nan if reached is None else reached)
        if len(values) > 1 or np.isnan(values).any():
            return None
        found.append(float(values[0]))
    if inside and ways == 1 and not min(found[:2]) < found[2] < max(found[:2]):
        return None  # a pole at 0
    return (min(found), max(found)) if min(found) < max(found) else None
