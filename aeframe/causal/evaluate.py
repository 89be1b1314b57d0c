"""Values of estimands: on tables, on joint distributions, and on Models."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aeframe.causal.estimand import (
    At,
    Estimand,
    Probability,
    Product,
    Quotient,
    Renamed,
    Sum,
    Zero,
)
from aeframe.core.errors import ArgumentError, DataError, UnknownNameError, nearest
from aeframe.distributions import DiscreteUniform
from aeframe.infer import Enumeration
from aeframe.prob import Model

if TYPE_CHECKING:
    from xarray import DataArray

LIMIT = 2**24  # entries of a joint distribution
SHOWN = 3  # combinations of values that an error names


class Source(Protocol):
    """Where probabilities come from."""

    def joint(self, names: Sequence[str], do: Sequence[str]) -> DataArray:
        """``P(names, do)`` for an experiment in which ``do`` are drawn at random, if any are."""


def evaluate(
    estimand: Estimand, source: Any, data: Sequence[Any], weights: str | None
) -> DataArray:
    """The values of an estimand; see :meth:`Estimand.evaluate`."""
    if isinstance(source, Model):
        chosen: Source = Experiments.run(source, data, _settings(estimand))
    else:
        chosen = _as_source(source, weights)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = _value(estimand, chosen)
    undefined = np.isnan(found.values)
    if undefined.any():
        _tell(_empty(estimand, chosen), bool(undefined.all()))
    return found.transpose(*sorted(estimand.free))


def _settings(estimand: Estimand) -> set[tuple[str, ...]]:
    """What the experiments of an estimand set."""
    found: set[tuple[str, ...]] = set()

    def note(probability: Probability) -> Estimand:
        found.add(probability.do)
        return probability

    estimand.rebuilt(note)
    return found


def _empty(estimand: Estimand, source: Source) -> str:
    """The combinations of values that probabilities are conditional on and that never happen."""
    found: dict[str, None] = {}

    def note(probability: Probability) -> Estimand:
        behind = (*probability.given, *probability.do)
        if not behind:
            return probability
        joint = source.joint(probability.given, probability.do)
        margin = joint.sum([v for v in joint.dims if v not in behind])
        for place in np.argwhere(margin.values == 0):
            values = zip(margin.dims, place, strict=True)
            found[", ".join(f"{v}={margin[v].values[i]}" for v, i in values)] = None
        return probability

    estimand.rebuilt(note)
    cells = list(found)
    return "; ".join(cells[:SHOWN]) + (f"; and {len(cells) - SHOWN} more" * (len(cells) > SHOWN))


def _tell(cells: str, everywhere: bool) -> None:
    """Raise where no entry is defined, and warn where some are not."""
    if not everywhere:
        warnings.warn(f"entries are NaN: the data never have {cells}", stacklevel=4)
        return
    raise DataError(
        "the estimand asks for probabilities given what never happens",
        expected="each combination of values that it is conditional on",
        got=f"never: {cells}",
        fix="merge values that are rare, or estimate with a model of the outcome",
    )


def _value(estimand: Estimand, source: Source) -> DataArray:
    from xarray import DataArray

    match estimand:
        case Probability(of, given, do):
            joint = source.joint((*of, *given), do)
            return joint / joint.sum([v for v in joint.dims if v not in (*given, *do)])
        case Product(factors):
            return _times([_value(f, source) for f in factors])
        case Sum(over, body):
            factors = body.factors if isinstance(body, Product) else (body,)
            return _summed(over, [_value(f, source) for f in factors], source)
        case Quotient(top, bottom):
            return _value(top, source) / _value(bottom, source)
        case At(body, values):
            inner = _value(body, source)
            for name, value in values:
                if value not in inner[name]:
                    raise DataError(
                        f"the estimand asks for {name}={value!r}, which the data never have",
                        path=name,
                        expected=", ".join(map(str, inner[name].values)),
                    )
            return inner.sel(dict(values), drop=True)
        case Renamed(body, names):
            return _value(body, source).rename(dict(names))
        case Zero():
            return DataArray(0.0)
    raise ArgumentError("no estimand", got=repr(estimand))


def _times(factors: Sequence[DataArray]) -> DataArray:
    """The product, where 0 times what is not defined is 0: it has no weight."""
    from xarray import DataArray

    found = DataArray(1.0)
    for value in factors:
        found = (found * value).where((found != 0) & (value != 0), 0.0)
    return found


def _summed(over: Sequence[str], factors: list[DataArray], source: Source) -> DataArray:
    """The sum of a product, by variable elimination: the smallest table first."""
    from xarray import DataArray

    left = set(over)

    def scope(name: str) -> set[Any]:
        return set().union(*(f.dims for f in factors if name in f.dims))

    while left:
        name = min(sorted(left), key=lambda v: len(scope(v)))
        left.remove(name)
        touched = [f for f in factors if name in f.dims]
        factors = [f for f in factors if name not in f.dims]
        if touched:
            factors.append(_times(touched).sum(name, skipna=False))
        else:
            factors.append(DataArray(float(source.joint((name,), ()).size)))
    return _times(factors)


def _as_source(source: Any, weights: str | None) -> Source:
    from xarray import DataArray

    if isinstance(source, DataArray):
        return Joint(source / source.sum())
    if not hasattr(source, "keys"):
        raise ArgumentError(
            "an estimand is evaluated on a table, a joint distribution or a Model",
            expected="a DataFrame, a dict of columns, a DataArray or a Model",
            got=type(source).__name__,
        )
    names = list(source.keys())
    if names and all(isinstance(name, tuple) for name in names):
        return Studies({k: _as_source(source[k], weights) for k in names})
    return Table({str(name): np.asarray(source[name]) for name in names}, weights)


@dataclass(frozen=True)
class Joint:
    """A joint distribution, one dim for each variable."""

    array: DataArray

    def joint(self, names: Sequence[str], do: Sequence[str]) -> DataArray:
        """The margin of ``names``."""
        _require_no_experiment(do)
        for name in names:
            _require_known(name, [str(d) for d in self.array.dims])
        return self.array.sum([d for d in self.array.dims if d not in names])


@dataclass(frozen=True)
class Table:
    """Columns of equal length, a row for each unit, or for each of the kinds that are counted."""

    columns: Mapping[str, NDArray[Any]]
    weights: str | None = None

    def joint(self, names: Sequence[str], do: Sequence[str]) -> DataArray:
        """The frequencies of all combinations of values."""
        _require_no_experiment(do)
        for name in (*names, *([self.weights] if self.weights else [])):
            _require_known(name, list(self.columns))
        rows = len(next(iter(self.columns.values())))
        weights = self.columns[self.weights] if self.weights else np.ones(rows)
        return tabulate({name: self.columns[name] for name in names}, weights)


def tabulate(columns: Mapping[str, NDArray[Any]], weights: NDArray[Any]) -> DataArray:
    """The weight of each combination of values, as shares of 1.

    Raises
    ------
    DataError
        When a column has missing values or too many different ones, or the weights are none.
    """
    from pandas import isna
    from xarray import DataArray

    shares = np.asarray(weights, dtype=float)
    if not shares.size or not np.isfinite(shares).all() or shares.min() < 0 or not shares.sum() > 0:
        raise DataError("weights are counts or probabilities", expected="at least one above 0")
    values, codes = {}, []
    for name, column in columns.items():
        if column.shape != shares.shape:
            raise DataError(
                "columns have one value for each row",
                path=name,
                expected=str(shares.shape),
                got=str(column.shape),
            )
        if isna(column).any():
            raise DataError("the column has missing values", path=name, fix="drop these rows")
        values[name], code = np.unique(column, return_inverse=True)
        codes.append(code)
    shape = [len(v) for v in values.values()]
    if math.prod(shape) > LIMIT:
        raise DataError(
            f"there are {math.prod(shape)} combinations of values",
            expected=f"at most {LIMIT}",
            got=", ".join(f"{k} has {len(v)}" for k, v in values.items()),
            fix="cut continuous columns into classes, or estimate with a model of the outcome",
        )
    array = np.zeros(shape)
    np.add.at(array, tuple(codes), shares / shares.sum())
    return DataArray(array, coords=values, dims=list(values))


@dataclass(frozen=True)
class Studies:
    """Data of several studies, by the variables that each one randomized."""

    sources: Mapping[tuple[str, ...], Source]

    def joint(self, names: Sequence[str], do: Sequence[str]) -> DataArray:
        """What the study that randomized ``do`` says, each of its values with equal weight."""
        found = {tuple(sorted(k)): v for k, v in self.sources.items()}.get(tuple(do))
        if found is None:
            raise ArgumentError(
                f"there is no study that randomized {', '.join(do) or 'nothing'}",
                expected=f"{tuple(do)}: a table",
                got=", ".join(map(str, self.sources)),
            )
        return found.joint((*names, *do), ())


@dataclass(frozen=True)
class Experiments:
    """The exact distribution of a Model's sites, as it is and in experiments.

    Attributes
    ----------
    columns
        What an experiment sets → site → its value in each assignment; the name "" has the
        probabilities of these.
    values
        Site → its values in any of them.
    """

    columns: Mapping[tuple[str, ...], Mapping[str, NDArray[Any]]]
    values: Mapping[str, NDArray[Any]]

    @staticmethod
    def run(model: Model, data: Sequence[Any], settings: Iterable[tuple[str, ...]]) -> Experiments:
        """Enumerate a Model, and one in which ``do`` is drawn at random for each of ``settings``.

        Given variables that are drawn at random, all others have the distribution of the
        experiment that sets them: one run has it for all their values at once.
        """
        columns: dict[tuple[str, ...], dict[str, NDArray[Any]]] = {(): _columns(model, data)}
        for do in settings:
            if do not in columns:
                drawn = {name: _any_value(name, columns[()]) for name in do}
                columns[do] = _columns(model.intervene(drawn), data)
        single = [name for name, v in columns[()].items() if name and v.ndim == 1]
        values = {v: np.unique(np.concatenate([c[v] for c in columns.values()])) for v in single}
        return Experiments(columns, values)

    def joint(self, names: Sequence[str], do: Sequence[str]) -> DataArray:
        """The joint of sites in one experiment."""
        columns = self.columns[tuple(do)]
        for name in (*names, *do):
            _require_single(name, columns)
        chosen = {name: columns[name] for name in (*names, *do)}
        found = tabulate(chosen, columns[""])
        return found.reindex({name: self.values[name] for name in chosen}, fill_value=0.0)


def _columns(model: Model, data: Sequence[Any]) -> dict[str, NDArray[Any]]:
    """Site → its value in each assignment, and the probabilities of these under ""."""
    try:
        found = Enumeration().run(model, data)
    except ArgumentError as reason:
        raise ArgumentError(
            "a Model is evaluated exactly, by summing over the values of its sites",
            path=reason.path,
            expected="discrete sites with few values",
            got=reason.problem,
            fix="ae.causal.ate(model, ...) and the other effects take any Model; with data, "
            "ae.causal.estimate",
        ) from reason
    return {**found.assignments, "": found.probabilities}


def _require_single(name: str, columns: Mapping[str, NDArray[Any]]) -> None:
    """Refuse a site of many entries."""
    _require_known(name, [v for v in columns if v])
    if columns[name].ndim > 1:
        raise ArgumentError(
            f"the site {name!r} has many entries",
            path=name,
            expected="a Model of one unit, whose sites have one value each",
            got=f"the shape {columns[name].shape[1:]}",
        )


def _any_value(name: str, columns: Mapping[str, NDArray[Any]]) -> DiscreteUniform:
    """A draw from the values of a site."""
    _require_single(name, columns)
    values = np.unique(columns[name])
    low, high = int(values[0]), int(values[-1])
    if not np.array_equal(values, np.arange(low, high + 1)):
        raise ArgumentError(
            f"an experiment on {name!r} cannot try all its values",
            path=name,
            expected="a site of consecutive whole numbers",
            got=str(values),
        )
    return DiscreteUniform(low, high)


def _require_known(name: str, names: list[str]) -> None:
    if name not in names:
        raise UnknownNameError(
            f"there is no variable {name!r} here", path=name, fix=nearest(name, names)
        )


def _require_no_experiment(do: Sequence[str]) -> None:
    if do:
        raise ArgumentError(
            f"what happens under do({', '.join(do)}) is not in data without an experiment",
            expected="an estimand without do",
            fix="ae.causal.identify(graph, outcome, do=...) gives one; or evaluate on a Model",
        )
