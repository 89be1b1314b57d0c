"""Probabilities of causation (Pearl 2009, chapter 9): of a Model, and their bounds from data.

For a cause x against x' and an outcome y, both with two values:

* PN, of necessity: P(Y_{x'} = y' | x, y), had the cause not been;
* PS, of sufficiency: P(Y_x = y | x', y'), had it been;
* PNS, of both: P(Y_x = y, Y_{x'} = y').
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from aeframe.causal.counterfactual import COUNTERFACTUAL, FACTUAL, counterfactual
from aeframe.causal.outcomes import Outcomes
from aeframe.core.errors import ArgumentError, DataError
from aeframe.prob import Model

Interval = tuple[float, float]


def probability_of_necessity(
    model: Model,
    outcome: Mapping[str, Any],
    cause: Mapping[str, Any],
    otherwise: Mapping[str, Any],
    *data: Any,
    **query: Any,
) -> float:
    """PN: that the outcome would not have been, among those with the cause and the outcome.

    Parameters
    ----------
    outcome
        The site and its value y.
    cause, otherwise
        The site and its values x and x'.
    query
        ``noise``, ``inference``, ``n`` and ``seed`` of :func:`aeframe.causal.counterfactual`.

    >>> from aeframe.causal import InverseCDF
    >>> from aeframe.distributions import Bernoulli
    >>> class Drug(Model):
    ...     def __call__(self):
    ...         x = self.sample("x", Bernoulli(0.5))
    ...         self.sample("y", Bernoulli(0.2 + 0.6 * x))
    >>> monotone = {"noise": {"y": InverseCDF()}}
    >>> round(probability_of_necessity(Drug(), {"y": 1}, {"x": 1}, {"x": 0}, **monotone), 6)
    0.75
    """
    ((site, value),) = outcome.items()
    _not(outcome)
    seen = {**cause, **outcome}
    found = _answered(counterfactual(model, *data, evidence=seen, do=otherwise, **query), site)
    return 1.0 - found.probability((COUNTERFACTUAL, site, value))


def probability_of_sufficiency(
    model: Model,
    outcome: Mapping[str, Any],
    cause: Mapping[str, Any],
    otherwise: Mapping[str, Any],
    *data: Any,
    **query: Any,
) -> float:
    """PS: that the outcome would have been, among those with neither cause nor outcome.

    The outcome has the values 0 and 1; parameters as of :func:`probability_of_necessity`.
    """
    ((site, value),) = outcome.items()
    seen = {**otherwise, **_not(outcome)}
    found = _answered(counterfactual(model, *data, evidence=seen, do=cause, **query), site)
    return found.probability((COUNTERFACTUAL, site, value))


def probability_of_necessity_and_sufficiency(
    model: Model,
    outcome: Mapping[str, Any],
    cause: Mapping[str, Any],
    otherwise: Mapping[str, Any],
    *data: Any,
    **query: Any,
) -> float:
    """PNS: that the outcome is there with the cause, and not without it.

    By consistency Y_x = Y where X = x, so PNS = P(x, y, Y_{x'} = y') + P(x', y', Y_x = y), for
    a cause with no other values than x and x'. Parameters as of
    :func:`probability_of_necessity`.

    Raises
    ------
    ArgumentError
        When the cause has other values, or the outcome others than 0 and 1.
    """
    total = 0.0
    pairs = (cause, otherwise, outcome), (otherwise, cause, _not(outcome))
    for here, there, seen in pairs:
        ((site, value),) = seen.items()
        found = _answered(counterfactual(model, *data, do=there, **query), site)
        _require_two(found, here, there)
        facts = [(FACTUAL, k, v) for k, v in {**here, **seen}.items()]
        other = (COUNTERFACTUAL, site, 1 - value)
        total += found.probability(*facts, other)
    return total


def _answered(found: Outcomes, site: str) -> Outcomes:
    """The worlds, in which the outcome is 0 or 1."""
    values = np.unique([found[world, site] for world in found.worlds])
    if not np.isin(values, (0, 1)).all():
        raise ArgumentError(
            "the outcome of a probability of causation is 0 or 1",
            path=site,
            got=f"values from {values[0]:g} to {values[-1]:g}",
            fix="make the event a site: self.deterministic(name, at.gt(value, 3))",
        )
    return found


def _require_two(found: Outcomes, *causes: Mapping[str, Any]) -> None:
    """Refuse a cause that has other values than the two."""
    total = sum(found.probability(*((FACTUAL, k, v) for k, v in x.items())) for x in causes)
    if not np.isclose(total, 1.0):
        raise ArgumentError(
            "the cause has other values than the two",
            path=", ".join(causes[0]),
            expected="P(x) + P(x') = 1",
            got=f"{total:.4g} for {causes[0]} and {causes[1]}",
            fix="draw it from the two alone: model.intervene({name: a distribution})",
        )


def _not(outcome: Mapping[str, Any]) -> dict[str, Any]:
    ((site, value),) = outcome.items()
    if value not in (0, 1):
        raise ArgumentError(
            "the outcome of a probability of causation is 0 or 1", path=site, got=repr(value)
        )
    return {site: 1 - value}


@dataclass(frozen=True)
class CausationBounds:
    """The sharp bounds of PN, PS and PNS: each the lowest and the highest that data allow."""

    necessity: Interval
    sufficiency: Interval
    both: Interval


def causation_bounds(
    observed: ArrayLike | None = None, experiment: Sequence[float] | None = None
) -> CausationBounds:
    """What data say of the probabilities of causation, with no assumption of the mechanism.

    Parameters
    ----------
    observed
        Counts or probabilities of (x, y), rows X = x and x', columns Y = y and y'.
    experiment
        P(y | do x) and P(y | do x').

    Raises
    ------
    DataError
        When they are no probabilities, or no mechanism gives both.

    Notes
    -----
    Tian and Pearl (2000), equations 29 to 38. An experiment alone bounds PNS; PN and PS take
    observations too.

    >>> bounds = causation_bounds([[2, 998], [28, 972]], [0.016, 0.014])  # Pearl 2009, 9.3.4
    >>> [round(p, 6) for p in bounds.necessity]
    [1.0, 1.0]
    """
    if observed is None and experiment is None:
        raise ArgumentError("bounds take observations, or an experiment, or both")
    lows, highs = [0.0], [1.0]
    if experiment is not None:
        do, undone = (float(p) for p in experiment)
        if not (0 <= do <= 1 and 0 <= undone <= 1):
            raise DataError("the experiment's results are no probabilities", got=experiment)
        lows += [do - undone]
        highs += [do, 1 - undone]
    free = (0.0, 1.0)
    if observed is None:
        return CausationBounds(free, free, _interval(lows, highs))
    p = np.asarray(observed, dtype=float)
    if p.shape != (2, 2) or not (p >= 0).all() or not p.sum() > 0:
        raise DataError(
            "the observations are no table of counts",
            expected="[[x and y, x and not y], [not x and y, neither]]",
            got=observed,
        )
    (xy, xn), (uy, un) = p / p.sum()
    highs += [xy + un]
    if experiment is None:
        return CausationBounds(free, free, _interval(lows, highs))
    if not (xy <= do <= 1 - xn and uy <= undone <= 1 - un):
        raise DataError(
            "no mechanism gives both the observations and the experiment",
            expected=f"P(y | do x) from {xy:.4g} to {1 - xn:.4g}, "
            f"P(y | do x') from {uy:.4g} to {1 - un:.4g}",
            got=experiment,
        )
    y = xy + uy
    lows += [y - undone, do - y]
    highs += [do - undone + xn + uy]
    necessity = _share(y - undone, 1 - undone - un, xy)
    sufficiency = _share(do - y, do - xy, un)
    return CausationBounds(necessity, sufficiency, _interval(lows, highs))


def _interval(lows: Sequence[float], highs: Sequence[float]) -> Interval:
    return float(max(lows)), float(min(highs))


def _share(low: float, high: float, of: float) -> Interval:
    """Bounds of a conditional probability; of what never happens nothing is known."""
    if of == 0:
        return 0.0, 1.0
    return _interval([0.0, low / of], [1.0, high / of])
