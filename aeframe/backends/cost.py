"""Cost models: how many seconds an Apply takes on a backend, modelled or measured.

A cost model is called with an Apply of static shapes. Passes that choose between equal graphs
hold one; being a Structure, it is saved with them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import partial
from math import log
from typing import Any, TypeVar

import numpy as np
from aesara.graph.basic import Apply, Constant, Variable
from scipy.interpolate import RegularGridInterpolator

from aeframe.backends.base import Backend, as_backend
from aeframe.backends.calibrate import VECTORS, Machine, functions, seconds
from aeframe.backends.fold import weight_only
from aeframe.backends.native.build import cpus
from aeframe.backends.work import ELEMENTWISE, TRANSCENDENTAL, VIEW, Kind, Work, nbytes, work
from aeframe.core.errors import FileError, SerializationError
from aeframe.core.graph import Graph, Merger, toposort
from aeframe.core.intermediate import IntermediateOp
from aeframe.core.serialize import encode_op, encode_type
from aeframe.core.shapes import is_tensor, narrow
from aeframe.core.structure import Structure
from aeframe.rewrites.extract import Cost

Found = TypeVar("Found")

# A second and processor: what disturbed measurements must not exceed.
PEAK, BANDWIDTH = 5e11, 1e11


class _Model(Structure):
    """What both models share: the backend, by name and options, and its measurements."""

    def __init__(self, backend: str | Backend | None = None) -> None:
        chosen = as_backend(backend)
        self.backend, self.options = chosen.name, dict(chosen.options)

    @property
    def machine(self) -> Machine:
        """The measurements of the backend on this machine."""
        return self._once("machine", self._start)

    def _start(self) -> Machine:
        backend = as_backend(self.backend)
        if self.options:
            backend = type(backend)(self.backend, **self.options)
        return Machine(backend)

    def _once(self, key: Any, make: Callable[[], Found]) -> Found:
        """What ``make`` returned when it was first asked for ``key``; no file holds it."""
        found = self.__dict__.setdefault("_found", {})
        if key not in found:
            found[key] = make()
        return found[key]


class Analytic(_Model):
    """Seconds from counts of operations, bytes and calls, at rates measured on this machine.

    max(operations / rate, bytes / bandwidth) + calls · overhead. The rate is that of the kind of
    work and interpolated in its sizes, for which a few small programs are timed when a kind is
    first met (seconds, and kept on disk). Where the backend makes one loop of elementwise Applies
    in a row, one of them moves its output alone. Rates are those of float32; wider numbers take
    as much longer as they are wider.

    Parameters
    ----------
    backend
        A backend or its name; the current one by default.

    Raises
    ------
    ShapeError
        When called with an Apply whose static shapes are not all known.

    >>> import aesara.tensor as at
    >>> from aeframe.backends.plain import matrix
    >>> cost = Analytic("c")
    >>> small, large = (at.exp(matrix(n)).owner for n in (1 << 8, 1 << 20))
    >>> cost(small) < cost(large)
    True
    """

    def __call__(self, node: Apply) -> float:
        """The predicted seconds of ``node``."""
        found = work(node)
        key = (node.op, tuple(v.type for v in (*node.inputs, *node.outputs)))
        return self._once(key, lambda: self._seconds(node, found))

    def _seconds(self, node: Apply, found: Work) -> float:
        if found.kind is VIEW:
            return 0.0
        call = found.calls * self.machine.call
        tensors = [o for o in node.outputs if is_tensor(o)]
        if not tensors:
            return call
        width = max(np.dtype(o.type.dtype).itemsize for o in tensors)
        if found.kind.sample is None:
            return self._elementwise(node, found, width / 4, call)
        rate, of_bytes = self._rate(found.kind, found.sizes)
        if of_bytes:
            return found.bytes / rate + call
        return max(found.flops * max(width / 4, 1) / rate, self._traffic(found.bytes)) + call

    def _elementwise(self, node: Apply, found: Work, width: float, call: float) -> float:
        machine, n = self.machine, VECTORS[1]
        simple = max(found.flops - TRANSCENDENTAL * found.functions, 0.0)
        compute = width * simple * machine.link(n) / n
        if found.functions:
            compute += width * found.functions * machine.link(n, functions) / n
        if machine.fuses and found.kind is ELEMENTWISE:
            return max(compute, self._traffic(sum(map(nbytes, node.outputs))))
        return max(compute, self._traffic(found.bytes)) + call

    def _traffic(self, size: float) -> float:
        """Seconds to move ``size`` bytes, which the cache does faster than the memory."""
        sizes, rates = self._once("bandwidth", self._bandwidth)
        return size / float(np.interp(log(max(size, 1.0)), sizes, rates))

    def _bandwidth(self) -> tuple[list[float], list[float]]:
        """Bytes a second, by the logarithm of how many they are."""
        net = [max(self.machine.sweep(n) - self.machine.call, 1e-9) for n in VECTORS]
        rates = [12.0 * n / t for n, t in zip(VECTORS[1:], net[1:], strict=True)]
        return [log(12.0 * n) for n in VECTORS[1:]], rates

    def _rate(self, kind: Kind, sizes: tuple[float, ...]) -> tuple[float, bool]:
        """Operations a second, or bytes where a kind has none; and which of the two it is."""
        interpolate, of_bytes = self._once(("rate", kind.name), lambda: self._measure(kind))
        inside = [
            log(min(max(size, axis[0]), axis[-1]))
            for size, axis in zip(sizes, kind.grid, strict=True)
        ]
        return float(np.exp(interpolate(inside)[0])), of_bytes

    def _measure(self, kind: Kind) -> tuple[Any, bool]:
        make = kind.sample
        assert make is not None
        found = np.empty([len(axis) for axis in kind.grid])
        of_bytes = False
        for place in np.ndindex(found.shape):
            sizes = [axis[i] for axis, i in zip(kind.grid, place, strict=True)]
            each = work(narrow(make(*sizes)[0].owner))
            of_bytes = each.flops == 0
            name = f"{kind.name} {' '.join(map(str, sizes))}"
            taken = self.machine.net(name, partial(make, *sizes), kind.weights) - self.machine.call
            amount = each.bytes if of_bytes else each.flops
            least = amount / ((BANDWIDTH if of_bytes else PEAK) * cpus())
            found[place] = log(amount / max(taken, 0.2 * self.machine.call, least))
        axes = [np.log(axis) for axis in kind.grid]
        # bounds: logarithms of one number may differ in their last bit
        return RegularGridInterpolator(axes, found, bounds_error=False, fill_value=None), of_bytes


class Measured(_Model):
    """Seconds of each distinct Apply, timed once on its own and kept on disk.

    What an Apply saves by being fused with others is not in it; see :class:`Analytic`. Values are
    random, integers are 0.

    Parameters
    ----------
    backend
        A backend or its name; the current one by default.

    Raises
    ------
    ShapeError
        When called with an Apply whose static shapes are not all known.
    """

    def __call__(self, node: Apply) -> float:
        """The measured seconds of ``node``."""
        work(node)  # for its errors
        if isinstance(node.op, IntermediateOp) or not any(map(is_tensor, node.outputs)):
            return self.machine.call
        inputs = tuple(_described(v) for v in node.inputs)
        return self._once((node.op, inputs), lambda: self._measure(node, inputs))

    def _measure(self, node: Apply, inputs: tuple[str, ...]) -> float:
        machine = self.machine

        def run() -> float:
            fresh = [v if isinstance(v, Constant) else v.type() for v in node.inputs]
            outputs = node.op.make_node(*fresh).outputs
            return seconds(machine.backend, outputs, work(node).kind.weights)

        try:
            text = json.dumps([encode_op(node.op), inputs])
        except (SerializationError, FileError, TypeError):  # not to be known again elsewhere
            taken = run()
        else:
            taken = machine.table.get(hashlib.sha256(text.encode()).hexdigest()[:32], run)
        return max(taken - machine.start, machine.call)


def _described(variable: Variable) -> str:
    kind = json.dumps(encode_type(variable.type))
    if not isinstance(variable, Constant):
        return kind
    data = variable.data
    raw = data.tobytes() if hasattr(data, "tobytes") else repr(data).encode()
    return f"{kind} {hashlib.sha256(raw).hexdigest()[:16]}"


def graph_cost(graph: Graph, cost: Cost) -> float:
    """The predicted seconds of one run: the sum over the distinct Applies of ``graph``.

    What depends on cells alone that the graph does not update costs nothing: programs fold it.

    >>> import aesara.tensor as at
    >>> from aeframe.core import Parameter
    >>> x, w = at.TensorType("float64", (2, 2))("x"), Parameter([[1.0, 2.0], [3.0, 4.0]])
    >>> graph_cost(Graph((x,), (at.dot(x, at.exp(w)),)), lambda node: 1.0)
    1.0
    """
    merged = graph.replay(transform=Merger())
    free = weight_only(merged)
    return sum(cost(node) for node in toposort(merged.results, merged.inputs) if node not in free)
