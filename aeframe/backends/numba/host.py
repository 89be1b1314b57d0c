"""Steps between kernels: Ops that NumPy and SciPy run, and loops whose body is a program."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from typing import Any

import numpy as np
from aesara.graph.basic import Apply
from aesara.graph.utils import MethodNotDefined
from aesara.ifelse import IfElse
from aesara.scan.op import Scan
from aesara.tensor.random.op import RandomVariable
from aesara.tensor.type import TensorType

from aeframe.backends.program import Executable
from aeframe.core.errors import UnsupportedError
from aeframe.core.graph import Graph
from aeframe.core.shapes import is_tensor, perform, specialize

Run = Callable[..., Sequence[Any]]


def performed(node: Apply, in_place: bool) -> Run:
    """The Op's own implementation; ``in_place``: it may advance the random state it is given.

    Raises
    ------
    UnsupportedError
        When run, where the Op has none.
    """
    if isinstance(node.op, IfElse):
        n = node.op.n_outs
        return lambda condition, *rest: rest[:n] if condition else rest[n:]
    if in_place and isinstance(node.op, RandomVariable) and not node.op.inplace:
        op = copy(node.op)
        op.inplace = True
        node = Apply(op, node.inputs, [o.clone() for o in node.outputs])

    def run(*values: Any) -> list[Any]:
        try:
            with np.errstate(all="ignore"):
                return perform(node, list(values))
        except (NotImplementedError, MethodNotDefined) as error:
            raise UnsupportedError(
                f"Numba cannot run {node.op}",
                path=getattr(node.tag, "path", None),
                got=str(error) or "an Op without loops and without `perform`",
                fix='use backend="jax" for this model',
            ) from error

    return run


def scanned(node: Apply, make: Callable[[Graph], Executable]) -> Run:
    """A Scan: its body is compiled once, and called for each step.

    Buffers of recurrent outputs are circular, as in Aesara: entry ``step + tap − min tap``.
    """
    op, info = node.op, node.op.info
    body = make(specialize(Graph(tuple(op.inner_inputs), tuple(op.inner_outputs)), _types(node)))
    taps = info.tap_array
    lags = [-min(t) for t in taps]
    writes = [*info.mit_mot_out_slices, *([lag] for lag in lags[info.n_mit_mot :])]

    def run(n_steps: Any, *outer: Any) -> list[Any]:
        n, parts = int(n_steps), _Parts(op, outer)
        buffers = [np.array(b) for b in parts.recurrent]
        shared, stacked = list(parts.shared), [np.empty(0)] * info.n_nit_sot
        steps = 0
        for t in range(n):
            given = [s[t] for s in parts.sequences]
            for buffer, offsets, lag in zip(buffers, taps, lags, strict=True):
                given += [buffer[(t + k + lag) % len(buffer)] for k in offsets]
            outputs, _ = body([], [], [*map(_array, given), *shared, *parts.constant])
            found = iter(outputs)
            for buffer, offsets in zip(buffers, writes, strict=True):
                for k in offsets:
                    buffer[(t + k) % len(buffer)] = next(found)
            for i in range(info.n_nit_sot):
                value = next(found)
                if t == 0:
                    stacked[i] = np.zeros((int(parts.lengths[i]), *np.shape(value)), value.dtype)
                stacked[i][t % len(stacked[i])] = value
            shared = [next(found) for _ in shared]
            steps = t + 1
            if info.as_while and next(found):
                break
        return [*_finished(buffers, lags, steps, info), *_stacked(node, stacked, steps), *shared]

    return run


class _Parts:
    """The outer inputs of a Scan by their kinds."""

    def __init__(self, op: Scan, outer: Sequence[Any]) -> None:
        rest, info = iter(outer), op.info

        def take(n: int) -> list[Any]:
            return [next(rest) for _ in range(n)]

        self.sequences = take(info.n_seqs)
        self.recurrent = take(info.n_mit_mot + info.n_mit_sot + info.n_sit_sot)
        self.shared = take(info.n_shared_outs)
        self.lengths = take(info.n_nit_sot)
        self.constant = take(info.n_non_seqs)


def _types(node: Apply) -> list[Any]:
    """The types of the inner inputs: those of the outer ones, without the axis of the steps."""

    def inner(variable: Any) -> Any:
        return TensorType(variable.type.dtype, variable.type.shape[1:])

    parts = _Parts(node.op, node.inputs[1:])
    found = [inner(v) for v in parts.sequences]
    for v, taps in zip(parts.recurrent, node.op.info.tap_array, strict=True):
        found += [inner(v)] * len(taps)
    return [*found, *(v.type for v in parts.shared), *(v.type for v in parts.constant)]


def _array(value: Any) -> Any:
    return value if isinstance(value, np.random.Generator) else np.asarray(value)


def _finished(buffers: Sequence[Any], lags: Sequence[int], steps: int, info: Any) -> Iterator[Any]:
    """The buffers with their last entry last, and no longer than a loop that ended early."""
    for i, (buffer, lag) in enumerate(zip(buffers, lags, strict=True)):
        end = steps + lag
        if i >= info.n_mit_mot and end > len(buffer):
            yield np.roll(buffer, -(end % len(buffer)), axis=0)
        else:
            yield buffer[:end] if info.as_while and i >= info.n_mit_mot else buffer


def _stacked(node: Apply, stacked: Sequence[Any], steps: int) -> Iterator[Any]:
    first = len(node.op.info.tap_array)
    for value, out in zip(stacked, node.outputs[first:], strict=False):
        if steps == 0:
            assert is_tensor(out)
            yield np.zeros([n or 0 for n in out.type.shape], out.type.dtype)
        elif steps > len(value):
            yield np.roll(value, -(steps % len(value)), axis=0)
        else:
            yield value[:steps] if node.op.info.as_while else value
