"""Cells: leaves of the graph that hold a value between calls of a program.

A :class:`Parameter` is learned, a :class:`State` is carried along (a running mean, a step
count), a :class:`RandomState` is the explicit state of random numbers. All cells of a model make
its :class:`Store`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from aesara.graph.basic import Variable
from aesara.tensor.random.type import RandomGeneratorType
from aesara.tensor.type import TensorType
from aesara.tensor.var import TensorVariable
from numpy.typing import ArrayLike, NDArray

from aeframe.core.errors import ArgumentError, ShapeError, StateError, UnknownNameError, nearest
from aeframe.core.graph import leaves
from aeframe.core.shapes import shape_text
from aeframe.core.supports import Real, Support
from aeframe.core.trace import current_trace

Initializer = Callable[[np.random.Generator, tuple[int, ...]], ArrayLike]


class Cell:
    """What all cells share: a symbolic leaf with a value.

    Attributes
    ----------
    data
        The value as the last program left it: a NumPy array or an array on a device; ``None``
        until it is needed for the first time.
    version
        How often ``data`` was set: what was computed from the value holds until it changes.
    trainable
        Whether optimizers change it.
    follows
        The parameter whose slot this is, as the optimizer that made it says.
    """

    type: Any
    name: str | None
    trainable = False
    follows: Cell | None = None
    version = 0
    _data: Any = None

    @property
    def data(self) -> Any:
        """The value; setting it makes a new version, though it be the same array overwritten."""
        return self._data

    @data.setter
    def data(self, value: Any) -> None:
        self._data = value
        self.version += 1

    def keep(self, value: Any) -> Any:
        """Hold the same value in another form, as a backend wants it; return it."""
        self._data = value
        return value

    def clone(self, **kwargs: Any) -> Variable:
        """A plain variable of the same type: a copy of a cell is no cell."""
        return self.type(name=self.name)

    def read(self) -> Variable:
        """The newest value in the lowering in progress: this cell, or its latest update."""
        trace = current_trace()
        return trace.updates.get(self, self) if trace else self

    def write(self, value: Variable) -> None:
        """Make ``value`` the cell's next value; programs return it to the Store."""
        trace = current_trace()
        if trace is None:
            raise StateError(
                f"{self} was written outside of a lowering",
                fix="write cells inside the `__call__` of a Module",
            )
        trace.updates[self] = value

    def initialize(self, seed: int, path: str) -> None:
        """Give the cell its first value; it depends on the seed and the path alone."""
        raise NotImplementedError

    def restore(self, array: NDArray[Any]) -> None:
        """Take a value read from a file or a snapshot."""
        raise NotImplementedError

    def numpy(self) -> NDArray[Any]:
        """The value as a NumPy array of its own."""
        raise NotImplementedError


class _TensorCell(Cell, TensorVariable):
    _is_nonzero = False  # Aesara's switch: `if cell:` is an error, not always true

    def __init__(
        self,
        value: ArrayLike | None = None,
        *,
        init: Initializer | None = None,
        shape: Sequence[int] | None = None,
        dtype: str | None = None,
        support: Support = Real(),  # noqa: B008 (frozen)
        name: str | None = None,
    ) -> None:
        array: NDArray[Any] | None = None
        if value is not None:
            array = np.array(value, dtype=dtype)
            if array.dtype == object:
                raise ArgumentError("a cell holds numbers", got=repr(value), fix="pass an array")
            if dtype is None and array.dtype.kind in "iub" and self.trainable:
                array = array.astype("float64")
            shape, dtype = array.shape, str(array.dtype)
            support.require(array)
        elif init is None or shape is None:
            raise ArgumentError(
                "a cell needs a value, or an initializer and a shape",
                fix="Parameter(0.0) or Parameter(init=zeros, shape=(3,))",
            )
        kind = TensorType(dtype or "float64", tuple(int(s) for s in shape))
        super().__init__(kind, None, name=name)
        self.init, self.support, self.data = init, support, array

    def initialize(self, seed: int, path: str) -> None:
        """Draw the first value with the initializer, seeded by ``seed`` and ``path``."""
        if self.data is None:
            assert self.init is not None
            rng = np.random.default_rng([seed, zlib.crc32(path.encode())])
            self.restore(np.asarray(self.init(rng, self.type.shape)))

    def restore(self, array: NDArray[Any]) -> None:
        """Take ``array`` as the value, in the cell's dtype."""
        if array.shape != self.type.shape:
            raise ShapeError(
                f"wrong shape for {self.name or 'a cell'}",
                path=self.name,
                expected=shape_text(self.type.shape),
                got=shape_text(array.shape),
            )
        self.data = np.array(array, dtype=self.type.dtype)

    @property
    def value(self) -> NDArray[Any]:
        """The value as a NumPy array; set it to replace the value."""
        return self.numpy()

    @value.setter
    def value(self, new: ArrayLike) -> None:
        array = np.asarray(new)
        self.support.require(array)
        self.restore(array)

    def numpy(self) -> NDArray[Any]:
        """The value as a NumPy array of its own."""
        if self.data is None:
            raise StateError(
                f"{self.name or 'a cell'} has no value yet",
                fix="call `model.init(seed)`, or run the model once",
            )
        return np.array(self.data)


class Parameter(_TensorCell):
    """A tensor that is learned.

    Parameters
    ----------
    value
        Its first value; or leave it out and give ``init`` and ``shape``.
    init
        ``init(rng, shape) -> array``; called when the value is needed for the first time.
    shape, dtype
        Of the value; ``float64`` unless said.
    support
        The set it stays in. Training moves the unconstrained scale.

    >>> p = Parameter([1.0, 2.0])
    >>> p.type.shape, p.value.sum()
    ((2,), 3.0)
    """

    trainable = True


class State(_TensorCell):
    """A tensor that programs carry along without learning it, such as a running mean."""


class RandomState(Cell, Variable):
    """The explicit state of a stream of random numbers; an Op takes it and returns the next one.

    The same seed gives the same numbers on the same backend.

    >>> rng = RandomState()
    >>> rng.initialize(0, "dropout.rng")
    >>> rng.numpy().dtype
    dtype('uint64')
    """

    def __init__(self, name: str | None = None) -> None:
        Variable.__init__(self, RandomGeneratorType(), None, None, name)

    def initialize(self, seed: int, path: str) -> None:
        """Seed the stream by ``seed`` and ``path``."""
        if self.data is None:
            self.data = np.random.default_rng([seed, zlib.crc32(path.encode())])

    def generator(self) -> np.random.Generator:
        """The state as a NumPy generator, whatever backend left it."""
        if isinstance(self.data, np.random.Generator):
            return self.data
        if self.data is None:
            raise StateError("a random state has no value yet", fix="call `model.init(seed)`")
        return np.random.default_rng(np.asarray(self.data["jax_state"]))

    def numpy(self) -> NDArray[Any]:
        """The state as numbers: six of NumPy's PCG64, or the two of a JAX key."""
        if isinstance(self.data, dict):
            return np.asarray(self.data["jax_state"])
        state = self.generator().bit_generator.state
        word = 2**64
        big = [state["state"]["state"], state["state"]["inc"]]
        split = [part for b in big for part in divmod(b, word)]
        return np.array([*split, state["has_uint32"], state["uinteger"]], dtype=np.uint64)

    def restore(self, array: NDArray[Any]) -> None:
        """Take a state that :meth:`numpy` gave."""
        if array.shape == (2,):
            self.data = {"jax_state": np.array(array, dtype=np.uint32)}
            return
        if array.shape != (6,):
            raise ShapeError("not a random state", path=self.name, got=shape_text(array.shape))
        numbers = [int(v) for v in array]
        generator = np.random.default_rng()
        generator.bit_generator.state = {
            "bit_generator": "PCG64",
            "state": {
                "state": numbers[0] * 2**64 + numbers[1],
                "inc": numbers[2] * 2**64 + numbers[3],
            },
            "has_uint32": numbers[4],
            "uinteger": numbers[5],
        }
        self.data = generator


class Store(Mapping[str, Cell]):
    """The named cells of a model; a cell takes the name of its path.

    >>> store = Store({"w": Parameter([1.0])})
    >>> saved = store.snapshot()
    >>> store["w"].value = [5.0]
    >>> store.restore(saved)
    >>> store["w"].value
    array([1.])
    """

    def __init__(self, cells: Mapping[str, Cell]) -> None:
        self._cells = dict(cells)
        for path, cell in cells.items():
            cell.name = path

    def __getitem__(self, path: str) -> Cell:
        if path not in self._cells:
            raise UnknownNameError(
                "no cell has this path", path=path, fix=nearest(path, list(self._cells))
            )
        return self._cells[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._cells)

    def __len__(self) -> int:
        return len(self._cells)

    def initialize(self, seed: int = 0) -> None:
        """Give every cell that has none its first value."""
        for path, cell in self._cells.items():
            cell.initialize(seed, path)

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """A copy of all values."""
        return {path: cell.numpy() for path, cell in self._cells.items()}

    def restore(self, values: Mapping[str, NDArray[Any]]) -> None:
        """Put values back by path; all paths must be known and no cell left out."""
        unknown = [p for p in values if p not in self._cells]
        missing = [p for p in self._cells if p not in values]
        if unknown or missing:
            raise UnknownNameError(
                "the values are not those of this model",
                expected=", ".join(missing) or None,
                got=", ".join(unknown) or None,
                fix="load into a model of the same structure",
            )
        for path, array in values.items():
            self._cells[path].restore(array)


def cells(outputs: Iterable[Variable]) -> list[Cell]:
    """The cells that a graph depends on, each once, in the order met."""
    return [v for v in leaves(outputs) if isinstance(v, Cell)]


def parameters(graph: Any) -> list[Parameter]:
    """The parameters that a variable, several variables or a Graph depend on.

    >>> w = Parameter([1.0, 2.0])
    >>> parameters((w * 2).sum()) == [w]
    True
    """
    outputs = getattr(graph, "results", graph)
    outputs = [outputs] if isinstance(outputs, Variable) else outputs
    return [c for c in cells(outputs) if isinstance(c, Parameter)]


def count_parameters(graph: Any) -> int:
    """How many numbers are learned in what :func:`parameters` finds.

    >>> w, b = Parameter([[1.0, 2.0]]), Parameter([0.0, 0.0])
    >>> count_parameters([(w + b).sum(), w])
    4
    """
    return sum(prod(p.type.shape) for p in parameters(graph))
