"""Data for training: checked, and cut into batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeframe.backends import as_array, require_finite
from aeframe.core.arguments import is_integer, is_number
from aeframe.core.errors import ArgumentError, DataError
from aeframe.train.batch import WEIGHT, Arrays, Batch, Options


class Feed(ABC):
    """Where batches come from.

    Attributes
    ----------
    checked
        Whether all rows were found finite before the first batch.
    """

    checked = False

    @abstractmethod
    def batches(
        self, options: Options, steps: int | None = None, order: NDArray[np.intp] | None = None
    ) -> Iterator[Batch]:
        """The batches of one epoch, ``steps`` at most."""

    def steps(self, size: int) -> int | None:
        """How many batches an epoch has, if that is known."""
        return None

    def whole(self) -> Batch | None:
        """All rows as one batch, if they are in memory."""
        return None

    def passed(self, epochs: int, step: int, steps: int | None) -> int:
        """How many batches come before a step, when iteration starts from the beginning."""
        return step

    def split(self, share: float) -> tuple[Feed, Feed]:
        """The first rows, and the last ``share`` of them.

        Raises
        ------
        ArgumentError
            When one of the two would be empty, or these are no arrays.
        """
        raise ArgumentError("`validation_split` needs arrays", fix="pass `validation_data`")


class Rows(Feed):
    """Arrays of one length; memory maps are read as batches need them.

    Parameters
    ----------
    data
        Inputs and target: arrays, lists, frames or memory maps.
    names
        What errors call them.
    dtype
        Of floats.
    weight
        (n,) or (n, t), not negative.

    Raises
    ------
    DataError
        When there are no rows, lengths differ, or a float array holds NaN or infinity.
    """

    def __init__(
        self, data: Sequence[Any], names: Sequence[str], dtype: str, weight: Any = None
    ) -> None:
        self.dtype, self.names = dtype, list(names)
        self.extras: tuple[str, ...] = ()
        self.arrays = tuple(map(self._taken, data, self.names))
        if weight is not None:
            self.arrays += (as_weight(weight, dtype),)
            self.names, self.extras = [*self.names, "sample_weight"], (WEIGHT,)
        self.checked = not any(isinstance(a, np.memmap) for a in self.arrays)
        require_one_length(self.names, self.arrays)

    def _taken(self, value: Any, name: str) -> NDArray[Any]:
        if isinstance(value, np.memmap) and value.dtype.kind in "fiub":
            return value
        array = as_array(value, self.dtype, name)
        if array.ndim and len(array):
            require_finite(name, array)
        return array

    def __len__(self) -> int:
        return len(self.arrays[0])

    def steps(self, size: int) -> int:
        """How many batches an epoch has."""
        return -(-len(self) // size)

    def whole(self) -> Batch | None:
        """All rows as one batch, if they are in memory."""
        return Batch(self.arrays, self.extras) if self.checked else None

    def pads(self, size: int) -> bool:
        """Whether the last batch is shorter than the others."""
        return len(self) > size and len(self) % size > 0

    def split(self, share: float) -> tuple[Rows, Rows]:
        """See :meth:`Feed.split`."""
        cut = int(len(self) * (1 - share)) if is_number(share) and 0 < share < 1 else 0
        if not 0 < cut < len(self):
            raise ArgumentError(
                "`validation_split` leaves no rows on one side",
                expected="a share between 0 and 1, such as 0.2",
                got=f"{share!r} of {len(self)} rows",
            )
        return self._part(slice(0, cut)), self._part(slice(cut, None))

    def _part(self, rows: slice) -> Rows:
        part = copy(self)
        part.arrays = tuple(a[rows] for a in self.arrays)
        return part

    def batches(
        self, options: Options, steps: int | None = None, order: NDArray[np.intp] | None = None
    ) -> Iterator[Batch]:
        """Slices of rows, in the given order of rows if there is one."""
        n, size = len(self), min(options.size, len(self))
        full = options.full(size)
        pad = options.pad and (self.pads(size) or full > size)
        for start in islice(range(0, n, size), steps):
            rows = slice(start, start + size) if order is None else order[start : start + size]
            yield options.finished(Batch(self._read(rows), self.extras), full, pad)

    def _read(self, rows: Any) -> Arrays:
        if self.checked:
            return tuple(a[rows] for a in self.arrays)
        taken = (a[rows] for a in self.arrays)
        arrays = tuple(as_array(a, self.dtype, n) for a, n in zip(taken, self.names, strict=True))
        for name, array in zip(self.names, arrays, strict=True):
            require_finite(name, array)
        return arrays


class Stream(Feed):
    """An iterable of batches ``(x, ..., y)`` or ``((x, ...), y, weight)``.

    Without ``steps`` each epoch iterates anew. With them an epoch takes that many batches from
    where the one before stopped, and iterates anew when there are no more.
    """

    def __init__(self, source: Iterable[Any]) -> None:
        self.source = source
        self._iterator: Iterator[Any] | None = None

    def batches(
        self, options: Options, steps: int | None = None, order: NDArray[np.intp] | None = None
    ) -> Iterator[Batch]:
        """The batches as they come; a shorter one is filled up to the size of those before.

        Raises
        ------
        DataError
            When the iterable is at its end before the first batch.
        """
        found = iter(self.source) if steps is None else islice(self._endless(), steps)
        size = 0
        for given in found:
            batch = self._checked(given, options)
            size = max(size, len(batch.arrays[0]))
            yield options.finished(batch, options.full(size), options.pad)
        if not size:
            raise _exhausted()

    def passed(self, epochs: int, step: int, steps: int | None) -> int:
        """With ``steps`` in an epoch, the epochs before count too."""
        return step + epochs * (steps or 0)

    def _endless(self) -> Iterator[Any]:
        """Batches from where the last epoch stopped."""
        while True:
            fresh = self._iterator is None
            self._iterator = self._iterator or iter(self.source)
            for given in self._iterator:
                fresh = False
                yield given
            if fresh or self._iterator is self.source:
                raise _exhausted()
            self._iterator = None

    def _checked(self, given: Any, options: Options) -> Batch:
        data, weight = split_batch(given)
        arrays = [np.asarray(a) for a in data]
        rows = Rows(arrays, names_of(len(data)), options.dtype, weight)
        return Batch(rows.arrays, rows.extras)


def _exhausted() -> DataError:
    return DataError(
        "the iterable has no more batches",
        fix="pass an object whose `__iter__` starts anew, such as a list, not a generator; "
        "or an endless one with `steps_per_epoch`",
    )


def names_of(n: int) -> list[str]:
    """What errors call ``n`` arrays, the target last.

    Raises
    ------
    ArgumentError
        When there is no target.
    """
    if n < 2:
        raise ArgumentError("inputs and a target are needed", expected="x, y", got=n)
    return ["x", "y"] if n == 2 else [*(f"x{i}" for i in range(n - 1)), "y"]


def as_feed(data: Sequence[Any], dtype: str, weight: Any = None) -> Feed:
    """Arrays ``(x, ..., y)``, or the one iterable of batches in ``data``.

    Raises
    ------
    ArgumentError
        When there is neither, or weights come apart from an iterable.
    """
    if len(data) != 1 or hasattr(data[0], "__array__") or not hasattr(data[0], "__iter__"):
        return Rows(data, names_of(len(data)), dtype, weight)
    if weight is not None:
        raise ArgumentError(
            "`sample_weight` goes with arrays", fix="give batches as `((x, ...), y, weight)`"
        )
    return Stream(data[0])


def given_together(data: Any, dtype: str) -> Feed:
    """Validation data: ``(x, ..., y)``, ``((x, ...), y, weight)`` or an iterable of batches."""
    if not isinstance(data, tuple | list):
        return as_feed((data,), dtype)
    arrays, weight = split_batch(data)
    return Rows(arrays, names_of(len(arrays)), dtype, weight)


def split_batch(given: Any) -> tuple[Sequence[Any], Any]:
    """Inputs with the target, and the weight or ``None``, of what an iterable gave.

    >>> split_batch(("x", "y")), split_batch((("x",), "y", "w"))
    ((('x', 'y'), None), (('x', 'y'), 'w'))
    """
    if not isinstance(given, tuple | list) or len(given) < 2:
        raise DataError(
            "an iterable gave something that is no batch",
            expected="(x, ..., y) or ((x, ...), y, weight)",
            got=type(given).__name__
            if not isinstance(given, tuple | list)
            else f"{len(given)} part",
        )
    if not isinstance(given[0], tuple):
        return tuple(given), None
    inputs, target, *weight = given
    if len(weight) > 1:
        raise DataError(
            "a batch has too many parts",
            expected="((x, ...), y, weight)",
            got=f"{len(given)} parts",
        )
    return (*inputs, target), weight[0] if weight else None


def as_weight(weight: Any, dtype: str) -> NDArray[Any]:
    """Sample weights (n,) or (n, t) in ``dtype``.

    Raises
    ------
    DataError
        When one is negative, NaN or infinite.
    """
    array = as_array(weight, dtype, "sample_weight").astype(dtype, copy=False)
    if array.ndim not in (1, 2):
        raise DataError(
            "sample weights have the wrong shape", expected="(n,) or (n, t)", got=str(array.shape)
        )
    require_finite("sample_weight", array)
    if array.size and array.min() < 0:
        raise DataError("a sample weight is negative", got=str(array.min()))
    return array


def require_class_weight(weights: Any) -> None:
    """Raise :class:`ArgumentError` unless ``weights`` maps integer labels to numbers from 0 up."""
    if not isinstance(weights, Mapping):
        raise ArgumentError(
            "`class_weight` is a dict", expected="{0: 1.0, 1: 5.0}", got=repr(weights)
        )
    for label, weight in weights.items():
        if not is_integer(label) or not is_number(weight) or not 0 <= weight < np.inf:
            raise ArgumentError(
                "`class_weight` maps integer labels to finite weights that are not negative",
                expected="{0: 1.0, 1: 5.0}",
                got=f"{label!r}: {weight!r}",
            )


def require_one_length(names: Sequence[str], arrays: Arrays) -> None:
    """Raise :class:`DataError` unless all arrays have rows, as many each."""
    for name, array in zip(names, arrays, strict=True):
        if array.ndim == 0 or len(array) == 0:
            raise DataError(f"{name} has no rows", got=f"shape {array.shape}")
    lengths = {n: len(a) for n, a in zip(names, arrays, strict=True)}
    if len(set(lengths.values())) > 1:
        raise DataError(
            "the arrays have different lengths",
            expected="one length",
            got=", ".join(f"{n}: {k}" for n, k in lengths.items()),
        )
