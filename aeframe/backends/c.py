"""The C backend: Aesara's own compiler, with the BLAS that :mod:`aeframe.compat` found."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import aesara
import numpy as np
from aesara.graph.basic import Apply, Variable
from aesara.graph.op import Op
from aesara.tensor.random.type import RandomGeneratorType

from aeframe.backends.base import Backend, Diagnosis
from aeframe.backends.claims import implementation
from aeframe.backends.program import Executable
from aeframe.compat import compile_cache_is_cold
from aeframe.core.graph import Graph
from aeframe.core.ops import TypedOp

_announced = False


class CBackend(Backend):
    """Compiles with Aesara to C; what has no C code runs through NumPy."""

    name = "c"

    @classmethod
    def diagnose(cls) -> Diagnosis:
        """Whether there is a C++ compiler and which BLAS is linked."""
        if not aesara.config.cxx:
            return Diagnosis(False, "no C++ compiler", "install g++ (or clang) and run again")
        blas = aesara.config.blas__ldflags or "NumPy's (slow)"
        return Diagnosis(True, f"{aesara.config.cxx}, BLAS {blas}")

    def executable(
        self, graph: Graph, updated: Sequence[Variable], fixed: Sequence[Variable]
    ) -> Executable:
        """Compile one Aesara function; updated cells may be overwritten in place."""
        _announce_cold_cache()
        graph = graph.replay(transform=_claimed)
        arrays = graph.inputs[: len(graph.inputs) - len(updated) - len(fixed)]
        given = [
            *(aesara.In(v, mutable=True, borrow=True) for v in updated),
            *(aesara.In(v, borrow=True) for v in fixed),
            # a random state that is passed in is spent: copies would cost more than the draws
            *(aesara.In(v, mutable=_is_random(v), borrow=True) for v in arrays),
        ]
        outputs = [aesara.Out(v, borrow=True) for v in graph.results]
        # this rewrite loses static shapes, and Aesara then logs a failure for each slice
        mode = aesara.compile.mode.get_mode("FAST_RUN").excluding("local_dimshuffle_subtensor")
        function = aesara.function(given, outputs, mode=mode, on_unused_input="ignore")
        function.trust_input = True
        n = len(graph.outputs)

        def run(states: list[Any], values: list[Any], inputs: Sequence[Any]) -> Any:
            results = function(*states, *values, *map(_plain, inputs))
            return results[:n], results[n:]

        return run


class ClaimedOp(Op):
    """A claimed typed Op as an Op of Aesara: its implementation, called on arrays."""

    __props__ = ("op", "types")

    def __init__(self, op: Op, types: tuple[Any, ...], call: Callable[..., Any]) -> None:
        self.op, self.types, self.call = op, types, call

    def make_node(self, *inputs: Variable) -> Apply:
        """An Apply of this Op."""
        return Apply(self, list(inputs), [t() for t in self.types])

    def perform(self, node: Apply, inputs: Sequence[Any], storage: list[list[Any]]) -> None:
        """Call the implementation; C code needs arrays of the declared dtypes."""
        made = self.call(*inputs)
        values = made if isinstance(made, tuple | list) else (made,)
        for cell, kind, value in zip(storage, self.types, values, strict=True):
            cell[0] = np.asarray(value, dtype=kind.dtype)


def _claimed(node: Apply, inputs: list[Variable]) -> Sequence[Variable] | None:
    """A transform: in the place of a claimed typed Op, what implements it."""
    call = implementation("c", node) if isinstance(node.op, TypedOp) else None
    if call is None:
        return None
    return ClaimedOp(node.op, tuple(o.type for o in node.outputs), call).make_node(*inputs).outputs


def _is_random(variable: Variable) -> bool:
    return isinstance(variable.type, RandomGeneratorType)


def _plain(value: Any) -> Any:
    return value if isinstance(value, np.random.Generator) else np.asarray(value)


def _announce_cold_cache() -> None:
    """Say once that compiling takes a while, when nothing has been compiled on this machine."""
    global _announced
    if not _announced and compile_cache_is_cold():
        print("compiling C code for the first time, this can take a minute ...", file=sys.stderr)
    _announced = True
