"""Measuring a backend: seconds of small programs, and a file that keeps them for this machine."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from itertools import cycle
from pathlib import Path
from typing import Any

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Constant, Variable

from aeframe.backends.base import Backend, to_numpy
from aeframe.backends.cache import cache_folder, processor
from aeframe.backends.native.build import cpus, library
from aeframe.backends.plain import matrix
from aeframe.core.cells import RandomState, State
from aeframe.core.expand import expand
from aeframe.core.files import write_atomically
from aeframe.core.graph import Graph, leaves
from aeframe.core.progress import notice
from aeframe.core.shapes import is_tensor, specialize

FORMAT = 5
FASTEST = 2e-7  # seconds: no kernel starts in less, whatever a disturbed measurement says
BATCHES, BATCH = 7, 5e-4  # how often, and for how many seconds at least, a program is timed
COLD = 32 << 20  # bytes, more than the caches of one core
Link = Callable[[int, int], list[Variable]]
MADE_WITH = ("aeframe", "aesara", "jax", "jaxlib", "numba", "numpy")


class Table:
    """Measured seconds by name, kept on disk for this machine and this backend.

    A file that is damaged, or of another version or machine, is as none. Without a folder that
    can be written, nothing is kept.
    """

    def __init__(self, backend: Backend) -> None:
        folder = cache_folder("cost")
        name = f"{backend.name}-{_digest(backend)}.json"
        self.file = None if folder is None else folder / name
        self.values: dict[str, float] = self._read()
        self.said = False
        self.backend = backend.name

    def get(self, name: str, measure: Callable[[], float]) -> float:
        """The seconds kept under ``name``, or those that ``measure`` finds now."""
        if name not in self.values:
            self._say()
            self.values[name] = measure()
            if self.file is not None:
                self.values = {**self._read(), **self.values}  # of processes beside this one
                write_atomically(self.file, json.dumps(self.values, indent=0).encode())
        return self.values[name]

    def _say(self) -> None:
        """Why the first call takes long."""
        if not self.said:
            kept = f", kept in {self.file}" if self.file is not None else ""
            notice(f"aeframe: measuring this machine on {self.backend}, once{kept}")
            self.said = True

    def _read(self) -> dict[str, float]:
        if self.file is None:
            return {}
        try:
            found = json.loads(Path(self.file).read_text())
            return {str(k): v for k, v in found.items() if isinstance(v, float) and v > 0}
        except (OSError, ValueError, AttributeError):
            return {}


def _digest(backend: Backend) -> str:
    parts = [str(FORMAT), processor(), str(cpus()), backend.name, repr(backend.options)]
    for package in MADE_WITH:
        try:
            parts.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            parts.append(package)
    parts.append(getattr(library(), "key", "no native kernels"))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def seconds(backend: Backend, outputs: Sequence[Variable], weights: bool = False) -> float:
    """How long one warm run of ``outputs`` takes, on random values of their free inputs.

    With the time to start a program.

    Parameters
    ----------
    weights
        Whether all inputs but the first are weights: other layers have pushed these out of the
        fast caches since the last run, so each run has others.
    """
    free = [v for v in leaves(outputs) if not isinstance(v, Constant)]
    concrete = specialize(Graph(tuple(free), tuple(outputs)), [v.type for v in free])
    run = backend.executable(expand(concrete, backend.claims), (), ())
    rng = np.random.default_rng(0)
    arrays = [_example(backend, v, rng) for v in free]
    size = sum(getattr(a, "nbytes", 0) for a in arrays[1:])
    many = max(1, min(COLD // size, 64)) if weights and size else 1
    copies = [[_example(backend, v, rng) for v in free[1:]] for _ in range(many - 1)]
    turns = cycle([arrays, *([arrays[0], *others] for others in copies)])
    last = next(i for i, o in reversed([*enumerate(outputs)]) if is_tensor(o))
    return timed(lambda: to_numpy(run([], [], next(turns))[0][last]))


def _example(backend: Backend, variable: Variable, rng: np.random.Generator) -> Any:
    if not is_tensor(variable):
        state = RandomState()
        state.initialize(0, "")
        return backend.load(state)
    shape, dtype = variable.type.shape, variable.type.dtype
    # integers are ids and labels, for which 0 is always one
    value = rng.uniform(0.1, 1.0, shape) if dtype.startswith("float") else np.zeros(shape)
    return backend.load(State(value.astype(dtype)))


def timed(call: Callable[[], Any]) -> float:
    """Seconds of one warm ``call``: the least over batches, as other processes only add to it."""
    call(), call()
    start = time.perf_counter()
    call()
    once = max(time.perf_counter() - start, 1e-7)
    n = max(1, int(BATCH / once))
    found = []
    for _ in range(BATCHES if once < 0.02 else 3):
        start = time.perf_counter()
        for _ in range(n):
            call()
        found.append((time.perf_counter() - start) / n)
    return min(found)


def chain(entries: int, length: int) -> list[Variable]:
    """``length`` products and sums, one after the other, on vectors."""
    h, a, b = (matrix(entries) for _ in range(3))
    for i in range(length):
        h = h * a if i % 2 else h + b
    return [h]


def functions(entries: int, length: int) -> list[Variable]:
    """``length`` transcendental functions, one after the other, on vectors."""
    h = matrix(entries)
    for _ in range(length):
        h = at.exp(-h)
    return [h]


def products(length: int) -> list[Variable]:
    """``length`` little matrix products, one after the other."""
    h = matrix(8, 8)
    for _ in range(length):
        h = at.dot(h, matrix(8, 8))
    return [h]


VECTORS = (1 << 10, 1 << 14, 1 << 17, 1 << 20)
LONG = 9


class Machine:
    """The rates of a backend on this machine, each measured when it is first asked for."""

    def __init__(self, backend: Backend) -> None:
        self.backend, self.table = backend, Table(backend)

    def measured(
        self, name: str, outputs: Callable[[], Sequence[Variable]], weights: bool = False
    ) -> float:
        """Seconds of a program, with the time to start it; see :func:`seconds`."""
        return self.table.get(name, lambda: seconds(self.backend, outputs(), weights))

    @property
    def start(self) -> float:
        """Seconds to start a program; one of a few numbers alone starts faster on JAX."""
        return self.measured("start", partial(chain, 1 << 12, 1))

    @property
    def call(self) -> float:
        """Seconds to start a kernel within a program."""
        one, many = (self.measured(f"products {n}", partial(products, n)) for n in (1, LONG))
        return max((many - one) / (LONG - 1), FASTEST)

    def net(
        self, name: str, outputs: Callable[[], Sequence[Variable]], weights: bool = False
    ) -> float:
        """Seconds of a program without the time to start it."""
        return max(self.measured(name, outputs, weights) - self.start, self.call, 1e-8)

    def link(self, entries: int, make: Link = chain) -> float:
        """Seconds that one more Apply adds to a chain of elementwise ones."""
        one, many = (
            self.measured(f"{make.__name__} {entries} {n}", partial(make, entries, n))
            for n in (1, LONG)
        )
        return max((many - one) / (LONG - 1), 1e-9)

    def sweep(self, entries: int) -> float:
        """Seconds of one elementwise Apply on its own: two vectors read, one written."""
        return self.net(f"chain {entries} 1", partial(chain, entries, 1))

    @property
    def fuses(self) -> bool:
        """Whether elementwise Applies in a row are one loop."""
        return self.link(VECTORS[2]) < 0.5 * self.sweep(VECTORS[2])
