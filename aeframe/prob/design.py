"""Design matrices of a formula, by the library formulae."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeframe.core.errors import ArgumentError, DataError, UnknownNameError, nearest
from aeframe.core.structure import Structure


@dataclass(frozen=True)
class Factor(Structure):
    """A column of labels whose categories have their places, the first one the baseline.

    Attributes
    ----------
    labels
        Of each row.
    levels
        The categories.
    ordered
        Whether their order has a meaning, as in low < middle < high.
    """

    labels: list[str]
    levels: list[str]
    ordered: bool


Column = NDArray[Any] | list[str] | Factor


class Design:
    """The matrices of a formula on the data it was made for, and on new data.

    Attributes
    ----------
    name
        Of the response.
    response
        Its values, (n,), or (n, k) for labels (as indicators) and for successes and trials.
    names
        Of the columns of the common design matrix, the intercept left out.
    terms
        Term → its places among the columns.
    intercept
        Whether there is one.
    mean, sd
        Of each column; a constant column has sd 1.
    constant
        The names of the columns that do not vary.
    groups
        Group-level term → the labels of its effects.
    plates
        Group-level term → the name of their dimension.
    group_scale
        Group-level term → 1 / sd of what its effects multiply.
    """

    def __init__(self, formula: str, columns: Mapping[str, Column]) -> None:
        from formulae import design_matrices

        frame = _frame({name: _categorical(column) for name, column in columns.items()})
        self._columns = columns
        try:
            made = design_matrices(formula, frame, na_action="error")
        except Exception as error:
            raise _told(error, formula, columns) from error
        if made.response is None:
            raise ArgumentError(
                "the formula has no response", expected='"y ~ x1 + x2"', got=repr(formula)
            )
        self._made, self.formula = made, formula
        self.name = str(made.response.name)
        self.response = np.asarray(made.response.design_matrix, dtype="float64")
        self.names: list[str] = []
        self.terms: dict[str, slice] = {}
        self._taken: list[int] = []
        self._offsets: list[int] = []
        self.intercept = False
        for name, term in ({} if made.common is None else made.common.terms).items():
            places = range(*made.common.slices[name].indices(made.common.design_matrix.shape[1]))
            if term.kind == "intercept":
                self.intercept = True
            elif term.kind == "offset":
                self._offsets += places
            else:
                self.terms[name] = slice(len(self.names), len(self.names) + len(places))
                self.names += [str(label) for label in term.labels]
                self._taken += places
        x = self._common(None)
        self.mean = x.mean(axis=0)
        varies = np.ptp(x, axis=0) > 0  # of a constant, the sd may be a rounding error
        self.sd = np.where(varies, x.std(axis=0), 1.0)
        self.constant = [name for name, k in zip(self.names, varies, strict=True) if not k]
        self.groups: dict[str, list[str]] = {}
        self.group_scale: dict[str, float] = {}
        self.plates: dict[str, str] = {}
        for name, term in ({} if made.group is None else made.group.terms).items():
            self.groups[name] = [re.sub(r"^.*\|.*?\[(.*)\]$", r"\1", k) for k in term.labels]
            self.plates[name] = str(term.factor.name)
            if len(set(self.groups[name])) < len(self.groups[name]):
                self.groups[name] = [str(k) for k in term.labels]
                self.plates[name] = f"{name} effect"
            part = made.group.design_matrix.tocsr()[:, made.group.slices[name]]
            self.group_scale[name] = 1.0 / (np.asarray(part.sum(axis=1)).std() or 1.0)

    def require_order(self, family: str) -> None:
        """Raise :class:`DataError` where the response is labels that have no order.

        It has one as integers, or as an ordered pandas Categorical.
        """
        labels = self.response.ndim == 2 and self._made.response.kind == "categoric"
        column = self._columns.get(self.name)
        if labels and not (isinstance(column, Factor) and column.ordered):
            raise DataError(
                f"the labels of {self.name!r} have no order, which the family {family} needs",
                path=self.formula,
                expected="integers from 0, or an ordered column of labels",
                got="labels, which would be sorted by the alphabet",
                fix=f"data[{self.name!r}] = pd.Categorical(data[{self.name!r}], "
                'categories=["low", "middle", "high"], ordered=True)',
            )

    def arrays(self, data: Any = None) -> tuple[NDArray[Any], ...]:
        """Columns, offset and trials of each row; then index and weight of each group's effects.

        Raises
        ------
        UnknownNameError
            When a column is missing.
        DataError
            When a column has labels or groups that the data of the model did not have, or missing
            values, or there are no rows.
        """
        if data is None:
            return self._arrays(None)
        frame = _with_labels(data)
        _require_rows(frame)
        try:
            found = self._arrays(frame)
        except (KeyError, ValueError, TypeError) as error:
            raise _told(error, self.formula, frame.columns) from error
        if not all(np.isfinite(a).all() for a in found):
            raise DataError(
                "the data have missing or infinite values in a predictor",
                path=self.formula,
                fix="drop these rows first: data.dropna()",
            )
        return found

    def response_of(self, data: Any) -> NDArray[Any]:
        """The response in new data."""
        frame = _with_labels(data)
        if self._made.response.kind == "proportion":  # of new data formulae tells the trials only
            left = f"{self.formula.partition('~')[0]} ~ 1"
            return Design(left, columns_of(left, frame)).response
        try:
            found = self._made.response.term.term.eval_new_data(frame)
        except (KeyError, ValueError) as error:
            raise _told(error, self.formula, frame.columns) from error
        return np.asarray(found, dtype="float64")

    def _arrays(self, frame: Any) -> tuple[NDArray[Any], ...]:
        x = self._common(frame)
        n = len(self.response) if frame is None else len(frame)
        offset = self._matrix(frame)[:, self._offsets].sum(axis=1) if self._offsets else np.zeros(n)
        trials = np.ones(n, dtype="int64")
        if self._made.response.kind == "proportion":
            new = None if frame is None else self._made.response.evaluate_new_data(frame)
            trials = np.asarray(self.response[:, 1] if new is None else new).astype("int64")
        groups: list[NDArray[Any]] = []
        if self._made.group is not None:
            made = self._made.group
            z = (made if frame is None else made.evaluate_new_data(frame)).design_matrix.tocsr()
            for name in self.groups:
                groups += _sparse(z[:, made.slices[name]])
        return x, offset, trials, *groups

    def _matrix(self, frame: Any) -> NDArray[np.float64]:
        made = self._made.common
        found = made if frame is None else made.evaluate_new_data(frame)
        return np.asarray(found.design_matrix, dtype="float64")

    def _common(self, frame: Any) -> NDArray[np.float64]:
        if not self._taken:
            return np.zeros((len(self.response) if frame is None else len(frame), 0))
        return self._matrix(frame)[:, self._taken]


def columns_of(formula: str, data: Any) -> dict[str, Column]:
    """The columns of a frame that a formula names: numbers as arrays, all else as labels.

    A pandas Categorical is a :class:`Factor`: its categories keep their order, without those that
    no row has, unless it is the response.

    Raises
    ------
    ArgumentError
        When the formula cannot be read.
    UnknownNameError
        When the frame lacks a column.
    DataError
        When a column has missing values, or there are no rows.
    """
    frame = _frame(data)
    _require_rows(frame)
    needed = _names(formula)
    known = {str(name): name for name in frame.columns}
    for name in sorted(needed - set(known)):
        raise _told(KeyError(name), formula, known)
    columns: dict[str, Column] = {}
    for text, name in known.items():
        if text not in needed:
            continue
        column = frame[name]
        if column.isna().any():
            raise DataError(
                f"the column {name!r} has missing values",
                path=text,
                expected="a value in every row",
                got=f"{int(column.isna().sum())} missing",
                fix="drop these rows first: data.dropna()",
            )
        columns[text] = _column(column, text == formula.partition("~")[0].strip(" `"))
    return columns


def _column(column: Any, is_response: bool) -> Column:
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        made = column.cat if is_response else column.cat.remove_unused_categories().cat
        levels = [str(v) for v in made.categories]
        return Factor([str(v) for v in column], levels, bool(made.ordered))
    numbers = np.asarray(column)
    return numbers if numbers.dtype.kind in "fiu" else [str(v) for v in column]


def _categorical(column: Any) -> Any:
    """A :class:`Factor` as formulae takes it: it sorts the categories that are not ordered."""
    import pandas as pd

    if not isinstance(column, Factor):
        return column
    return pd.Categorical(column.labels, categories=column.levels, ordered=True)


def _names(formula: str) -> set[str]:
    """The columns that a formula is about."""
    from formulae import model_description

    try:
        return {str(name) for name in model_description(formula).var_names if name}
    except Exception as error:
        raise _unread(formula, error) from error


def _unread(formula: str, why: object) -> ArgumentError:
    return ArgumentError(
        "the formula cannot be read",
        expected='such as "y ~ x1 + (1 + x1 | group)"',
        got=f"{formula!r}: {why}",
    )


def _require_rows(frame: Any) -> None:
    if len(frame) == 0:
        raise DataError("the data have no rows", expected="at least one row")


def _frame(data: Any) -> Any:
    import pandas as pd

    return data if isinstance(data, pd.DataFrame) else pd.DataFrame(dict(data))


def _with_labels(data: Any) -> Any:
    """A frame with booleans and the like as labels, as :func:`columns_of` has them."""
    frame = _frame(data).copy(deep=False)
    for name in frame.columns:
        if frame[name].dtype.kind not in "fiu" and not frame[name].isna().any():
            frame[name] = [str(v) for v in frame[name]]
    return frame


def _sparse(part: Any) -> list[NDArray[Any]]:
    """The places and values of what each row of a sparse matrix holds: two arrays (n, most)."""
    counts = np.diff(part.indptr)
    rows = np.repeat(np.arange(len(counts)), counts)
    column = np.arange(part.nnz) - np.repeat(part.indptr[:-1], counts)
    index = np.zeros((len(counts), max(counts.max(initial=0), 1)), dtype="int64")
    weight = np.zeros(index.shape)
    index[rows, column], weight[rows, column] = part.indices, part.data
    return [index, weight]


def _told(error: Exception, formula: str, columns: Iterable[Any]) -> Exception:
    """An error of formulae about data, in our words."""
    name = str(error.args[0]) if isinstance(error, KeyError) else ""
    if name in _names(formula):
        fix = nearest(name, [str(k) for k in columns])
        return UnknownNameError(f"the data have no column {name!r}", path=formula, fix=fix)
    if name or isinstance(error, AttributeError):
        return _unread(formula, f"no function is called {name!r}" if name else error)
    labels = "not present in the original" in str(error)
    return DataError(
        "the data do not fit the formula",
        path=formula,
        got=str(error),
        fix="leave these rows out, or fit the model on data with these labels" if labels else None,
    )
