"""``estimate``: the effect of one column of a frame on another."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any

from aeframe.causal.estimation.problem import Everyone, Population, Problem
from aeframe.causal.estimation.result import Estimate, Method
from aeframe.causal.estimation.robust import AIPW
from aeframe.core.errors import ArgumentError


def estimate(
    data: Any,
    treatment: str,
    outcome: str,
    adjust: Sequence[str] | Set[str] = (),
    method: Method = AIPW(),  # noqa: B008 (immutable)
    over: Population = Everyone(),  # noqa: B008
) -> Estimate:
    """The effect of ``treatment`` on ``outcome``, given that ``adjust`` is an adjustment set.

    Parameters
    ----------
    data
        A pandas DataFrame, or a dict of columns.
    treatment
        A column of 0 and 1 (any number for :class:`TwoStageLeastSquares`).
    outcome
        A column of numbers.
    adjust
        Columns that block every back-door path: an adjustment set of a causal graph.
    method
        :class:`AIPW` (by default: Bayesian, cross-fitted and doubly robust), :class:`GFormula`,
        :class:`IPW` or :class:`TwoStageLeastSquares`.
    over
        Whose average effect: :class:`Everyone`, :class:`Treated` or :class:`Untreated`.

    Raises
    ------
    UnknownNameError
        When the data lack a column.
    DataError
        When values are missing, the treatment is not binary, or certain for some rows.

    >>> import numpy as np
    >>> from aeframe.causal import IPW
    >>> data = {"a": [0, 0, 0, 1, 0, 1, 1, 1] * 10, "x": [0, 0, 0, 0, 1, 1, 1, 1] * 10}
    >>> data["y"] = 2 * np.array(data["a"]) + 5 * np.array(data["x"])
    >>> found = estimate(data, "a", "y", adjust=["x"], method=IPW())
    >>> round(found.effect, 4)
    2.0
    """
    if not isinstance(method, Method):
        raise ArgumentError(
            "not a method of estimation", expected="method=ae.causal.AIPW()", got=repr(method)
        )
    columns = sorted(adjust) if isinstance(adjust, Set) else adjust
    return method.run(Problem(data, treatment, outcome, columns, over))
