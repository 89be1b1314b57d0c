"""What is to be estimated: the data, the roles of its columns, and whose average effect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from aeframe.core.errors import ArgumentError, DataError, NameTakenError, UnknownNameError, nearest
from aeframe.core.structure import Structure

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Population(Structure):
    """Whose effects of a binary treatment are averaged: everyone's, the treated's, the untreated's.

    Each average has the weight h(e), with e the propensity. (Li, Morgan and Zaslavsky 2018,
    "Balancing covariates via propensity score weighting".)
    """

    label: ClassVar[str]

    def members(self, treated: Vector) -> Vector:
        """1 for the rows whose effect is averaged, else 0."""
        raise NotImplementedError

    def tilt(self, propensity: Vector) -> Vector:
        """h(e): the probability to be among them."""
        raise NotImplementedError


@dataclass(frozen=True)
class Everyone(Population):
    """All: the average treatment effect."""

    label = "ATE"

    def members(self, treated: Vector) -> Vector:
        """Every row."""
        return np.ones_like(treated)

    def tilt(self, propensity: Vector) -> Vector:
        """h(e) = 1."""
        return np.ones_like(propensity)


@dataclass(frozen=True)
class Treated(Population):
    """Those who were treated."""

    label = "ATT"

    def members(self, treated: Vector) -> Vector:
        """The treated rows."""
        return treated

    def tilt(self, propensity: Vector) -> Vector:
        """h(e) = e."""
        return propensity


@dataclass(frozen=True)
class Untreated(Population):
    """Those who were not treated."""

    label = "ATU"

    def members(self, treated: Vector) -> Vector:
        """The untreated rows."""
        return 1.0 - treated

    def tilt(self, propensity: Vector) -> Vector:
        """h(e) = 1 - e."""
        return 1.0 - propensity


@dataclass(frozen=True)
class Problem:
    """A frame and the roles of its columns.

    Attributes
    ----------
    data
        A pandas DataFrame, or a dict of columns.
    treatment, outcome
        Columns of numbers (or booleans).
    adjust
        The columns to adjust for: an adjustment set. Columns that hold no numbers are labels.
    over
        :class:`Everyone`, :class:`Treated` or :class:`Untreated`.

    Raises
    ------
    UnknownNameError
        When the frame lacks a column.
    NameTakenError
        When one column has two roles.
    DataError
        When there are no rows, values are missing or infinite, or treatment or outcome hold no
        numbers.
    """

    data: Any
    treatment: str
    outcome: str
    adjust: Sequence[str] = ()
    over: Population = Everyone()

    def __post_init__(self) -> None:
        import pandas as pd

        adjust: Any = self.adjust
        if isinstance(adjust, str):
            raise ArgumentError("adjust is a list", expected=f"[{adjust!r}]", got=repr(adjust))
        if not isinstance(self.over, Population):
            raise ArgumentError(
                "the effect is averaged over a population",
                expected="Everyone()",
                got=repr(self.over),
            )
        frame = pd.DataFrame(self.data).reset_index(drop=True)
        object.__setattr__(self, "adjust", tuple(adjust))
        names = (self.treatment, self.outcome, *self.adjust)
        require_columns(frame, names)
        for name in names:
            if names.count(name) > 1:
                raise NameTakenError(
                    f"the column {name!r} has two roles",
                    path=name,
                    fix="name each column once: as treatment, as outcome or in adjust",
                )
        for role in (self.treatment, self.outcome):
            if frame[role].dtype.kind not in "fiub":
                raise DataError(
                    f"the column {role!r} holds no numbers",
                    path=role,
                    got=str(frame[role].dtype),
                    fix=f'data["{role}"] = (data["{role}"] == "yes").astype(float)',
                )
        object.__setattr__(self, "data", frame)

    def __len__(self) -> int:
        return len(self.data)

    @property
    def a(self) -> Vector:
        """The treatment, (rows,)."""
        return np.asarray(self.data[self.treatment], dtype="float64")

    @property
    def y(self) -> Vector:
        """The outcome, (rows,)."""
        return np.asarray(self.data[self.outcome], dtype="float64")

    def do(self, value: float) -> Any:
        """The frame with the treatment at ``value`` in each row."""
        column = self.data[self.treatment]
        return self.data.assign(**{self.treatment: column.dtype.type(value)})

    def rows(self, places: NDArray[Any]) -> Problem:
        """The same problem on some rows."""
        return replace(self, data=self.data.iloc[places])

    def require_binary(self) -> None:
        """Raise :class:`DataError` unless the treatment is 0 or 1, and both occur."""
        found = np.unique(self.a)
        if not np.isin(found, [0.0, 1.0]).all():
            raise DataError(
                f"the treatment {self.treatment!r} is not binary",
                path=self.treatment,
                expected="0 and 1",
                got=_few(found),
                fix="use a method for other treatments, such as TwoStageLeastSquares, "
                "or say what counts as treated",
            )
        if len(found) < 2:
            raise DataError(
                f"all rows have {self.treatment} = {found[0]:g}: there is nothing to compare",
                path=self.treatment,
                expected="rows with 0 and rows with 1",
                got=_few(found),
            )


def require_columns(frame: Any, names: Sequence[str]) -> None:
    """Raise unless the frame has these columns, with rows, and a finite value in each of them."""
    for name in names:
        if name not in frame.columns:
            raise UnknownNameError(
                f"the data have no column {name!r}",
                path=str(name),
                fix=nearest(str(name), [str(c) for c in frame.columns]),
            )
    if len(frame) == 0:
        raise DataError("the data have no rows", expected="at least one row")
    used = frame[list(names)]
    missing = used.isna() | used.isin([np.inf, -np.inf])
    if missing.any(axis=None):
        counts = missing.sum()
        told = ", ".join(f"{k} in {int(v)} rows" for k, v in counts[counts > 0].items())
        raise DataError(
            "the data have missing or infinite values",
            got=told,
            fix=f"data.dropna(subset={[str(n) for n in names]}), or impute them",
        )


def _few(values: Vector) -> str:
    shown = ", ".join(f"{v:g}" for v in values[:5])
    return f"{shown}, ... ({len(values)} values)" if len(values) > 5 else shown
