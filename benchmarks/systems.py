"""The systems that train: aeframe on each backend, and its peers.

A system's module is imported only when it is built. The module has `build(task, backend, data)`,
which returns a `Runner`: one model, its optimizer and its data, ready to take steps.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import cycle

import numpy as np
from harness import timer


@dataclass(frozen=True)
class Data:
    """Inputs and integer labels of several batches; every system gets them as NumPy arrays.

    The arrays start at a multiple of 64 bytes, so that JAX can read them where they are, as
    PyTorch does.
    """

    x: np.ndarray
    y: np.ndarray
    batch: int

    @classmethod
    def aligned(cls, x: np.ndarray, y: np.ndarray, batch: int) -> Data:
        """Copy the arrays to where a multiple of 64 bytes begins."""
        return cls(_aligned(x), _aligned(y), batch)

    def __len__(self) -> int:
        return len(self.x) // self.batch

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        start = index % len(self) * self.batch
        return self.x[start : start + self.batch], self.y[start : start + self.batch]


def _aligned(array: np.ndarray, to: int = 64) -> np.ndarray:
    buffer = np.empty(array.nbytes + to, np.uint8)
    start = -buffer.ctypes.data % to
    out = buffer[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    out[...] = array
    return out


class Runner:
    """A training program. A system defines `step`, `sync` and `infer`, or its own `seconds`."""

    context: Callable[[], AbstractContextManager] = staticmethod(nullcontext)
    """The settings under which the system runs, entered once per sample."""
    parameters: int
    """How many numbers are trained."""

    def phase(self, training: bool) -> None:
        """Turn the model to training or to inference, where that is a state of it."""

    def step(self) -> None:
        """Train on the next batch; the result need not be ready on return."""
        raise NotImplementedError

    def sync(self) -> float:
        """Wait for the last step's results and return its loss."""
        raise NotImplementedError

    def infer(self, x: np.ndarray) -> np.ndarray:
        """What the model predicts, in memory of the host."""
        raise NotImplementedError

    def seconds(self, steps: int) -> float:
        """The seconds that one of `steps` steps takes."""
        self.phase(training=True)
        with self.context():
            return timer(self.step, self.sync)(steps)

    def latency(self, inputs: np.ndarray, rows: int, calls: int) -> float:
        """The seconds from `rows` of the inputs to their predictions, the mean of `calls` calls."""
        starts = cycle(range(0, len(inputs) - rows + 1, rows))
        self.phase(training=False)
        with self.context():
            return timer(lambda: self.infer(inputs[(i := next(starts)) : i + rows]))(calls)


@dataclass(frozen=True)
class System:
    """A system's place in the table: what it needs, where its runners are built."""

    name: str
    backend: str
    module: str
    package: str
    cache: Callable[[str], dict[str, str]] | None = None
    """The environment that moves its on-disk compile cache to a folder, if it has one."""

    @property
    def key(self) -> str:
        return f"{self.name}/{self.backend}"

    @property
    def missing(self) -> str:
        """Why the system cannot run here, or an empty string."""
        return "" if find_spec(self.package) else f"{self.package} is not installed"

    def build(self, task: str, data: Data) -> Runner:
        """The system's runner for a task."""
        return importlib.import_module(self.module).build(task, self.backend, data)


def _our_cache(folder: str) -> dict[str, str]:
    """Where JAX's programs, Numba's, the native kernels and Aesara's C code are kept."""
    flags = [os.environ.get("AESARA_FLAGS", ""), f"base_compiledir={folder}"]
    return {"AESARA_FLAGS": ",".join(flag for flag in flags if flag), "XDG_CACHE_HOME": folder}


SYSTEMS = (
    System("aeframe", "jax", "ours", "aeframe", _our_cache),
    System("aeframe", "c", "ours", "aeframe", _our_cache),
    System("aeframe", "numba", "ours", "numba", _our_cache),
    System("torch", "eager", "peers_torch", "torch"),
    System("torch", "compile", "peers_torch", "torch", lambda d: {"TORCHINDUCTOR_CACHE_DIR": d}),
    System("flax", "jax", "peers_flax", "flax"),
    System("keras", "jax", "peers_keras", "keras"),
)
