"""A plan made runnable: arrays for every step, kernels compiled, NumPy's steps called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from aesara.graph.basic import Apply, Constant, Variable
from numpy.typing import NDArray

from aeframe.backends.numba.host import performed
from aeframe.backends.numba.loops import Writer, constant_array, elementwise, reads
from aeframe.backends.numba.ops import emitter, is_elementwise
from aeframe.backends.numba.places import Place, Places, is_static, row_major
from aeframe.backends.numba.plan import Unit, grouped, inlined, live_nodes, prepare, units
from aeframe.core.graph import Graph
from aeframe.core.shapes import is_tensor

LARGEST_KERNEL = 24  # units: Numba's time grows faster than a function does

Step = Callable[[list[Any]], None]
Load = Callable[[str, Sequence[str]], Callable[..., None]]
Host = Callable[[Apply], Callable[..., Any] | None]


@dataclass
class _Memory:
    """Slots of arrays: which variable has which, and what each slot is when a run begins."""

    slots: dict[Variable, int]
    template: list[Any]
    dtypes: dict[int, str]
    free: dict[str, list[tuple[int, int]]]

    def add(self, variable: Variable | None, value: Any = None) -> int:
        """A slot for ``variable``, or for nobody yet."""
        slot = len(self.template)
        self.template.append(value)
        if variable is not None:
            self.slots[variable] = slot
            if is_tensor(variable):
                self.dtypes[slot] = variable.type.dtype
        return slot

    def workspace(self, variable: Variable) -> int:
        """A slot whose array is the smallest free one that is large enough, or new."""
        size, dtype = max(prod(variable.type.shape), 1), variable.type.dtype
        fitting = sorted(f for f in self.free.get(dtype, []) if size <= f[0] <= 4 * size)
        if fitting:
            self.free[dtype].remove(fitting[0])
            self.slots[variable] = fitting[0][1]
            return fitting[0][1]
        return self.add(variable, np.empty(size, dtype))

    def release(self, variable: Variable) -> None:
        """Let later variables have the array of ``variable``, which must be a workspace."""
        slot = self.slots[variable]
        size, dtype = len(self.template[slot]), self.dtypes[slot]
        self.free.setdefault(dtype, []).append((size, slot))


class NumbaProgram:
    """Runs a graph of concrete shapes.

    Parameters
    ----------
    graph
        Call inputs, updated cells and fixed cells are its inputs, in this order.
    updated, fixed
        The inputs that stand for cells; the arrays of updated ones may be overwritten.
    load
        Compiles the source of a kernel for arguments of given dtypes.
    claimed
        What the backend runs itself for a typed Op, called on arrays.

    Attributes
    ----------
    kernels
        The sources of the kernels.
    """

    def __init__(
        self,
        graph: Graph,
        updated: Sequence[Variable],
        fixed: Sequence[Variable],
        load: Load,
        claimed: Host,
    ) -> None:
        self.load, self.claimed = load, claimed
        self.kernels: list[str] = []
        self.places = Places()
        self.inputs, self.n_outputs = graph.inputs, len(graph.outputs)
        self.results = prepare(graph, self.places)
        nodes = live_nodes(self.results, self.places)
        self.inline = inlined(nodes, self.results, self.places)
        self.units = grouped(units(nodes, self.inline, self.places), self.inline, self.places)
        self.last = {v: i for i, unit in enumerate(self.units) for v in unit.reads}
        self.memory = _Memory({}, [], {}, {})
        self.spent = self._spent(fixed)
        self._give_slots(updated)
        self.steps = self._steps()
        self._returned = [self._returning(v) for v in self.results]

    def __call__(
        self, states: list[Any], values: list[Any], arrays: Sequence[Any]
    ) -> tuple[list[Any], list[Any]]:
        """Outputs and new states."""
        slots = self.memory.template.copy()
        for slot, value in zip(self.input_slots, [*arrays, *states, *values], strict=True):
            slots[slot] = value if isinstance(value, np.random.Generator) else flat(value)
        for slot, size, dtype in self.fresh:
            slots[slot] = np.empty(size, dtype)
        for step in self.steps:
            step(slots)
        results = [finish(slots[slot]) for slot, finish in self._returned]
        return results[: self.n_outputs], results[self.n_outputs :]

    def _spent(self, fixed: Sequence[Variable]) -> set[Variable]:
        """Random states that one Apply alone uses, so that it may advance them in place."""
        uses: dict[Variable, int] = dict.fromkeys(self.results, 1)
        for v in (v for unit in self.units for node in unit.nodes for v in node.inputs):
            uses[v] = uses.get(v, 0) + 1
        return {v for v, n in uses.items() if n == 1 and v not in set(fixed)}

    def _give_slots(self, updated: Sequence[Variable]) -> None:
        memory = self.memory
        self.input_slots = [memory.add(v) for v in self.inputs]
        self.fresh: list[tuple[int, int, str]] = []
        self.owned = set(self.inputs) | set(self.results)
        targets = dict(zip(self.results[self.n_outputs :], updated, strict=True))
        produced = {o: i for i, u in enumerate(self.units) for n in u.nodes for o in n.outputs}
        for v in self.results:
            if not is_static(v) or self.units[produced[v]].host:
                continue
            cell = targets.get(v)
            if cell is not None and self._in_place(v, cell, produced[v]):
                memory.slots[v] = memory.slots[cell]
            else:
                self.fresh.append((memory.add(v), prod(v.type.shape), v.type.dtype))

    def _in_place(self, new: Variable, cell: Variable, index: int) -> bool:
        """Whether ``new`` can be written over ``cell``: nobody reads the old value afterwards."""
        unit = self.units[index]
        if new.type != cell.type or not is_elementwise(unit.nodes[0]):
            return False
        if self.last.get(cell, -1) > index:
            return False
        leaves = [u for n in unit.nodes for v in n.inputs for u in reads(v, self.inline)]
        return all(u is cell or (is_static(u) and self.places(u).base is not cell) for u in leaves)

    def _steps(self) -> list[Step]:
        steps: list[Step] = []
        writer, size = self._writer(), 0
        for index, unit in enumerate(self.units):
            if size and (unit.host or size >= LARGEST_KERNEL):
                steps.append(self._kernel(writer))
                writer, size = self._writer(), 0
            self._allocate(unit)
            if unit.host:
                steps.append(self._host(unit.nodes[0]))
            else:
                self._emit(writer, unit)
                size += len(unit.nodes)
            self._free(unit, index)
        if size:
            steps.append(self._kernel(writer))
        return steps

    def _writer(self) -> Writer:
        return Writer(self.places, self.memory.slots, self.inline)

    def _allocate(self, unit: Unit) -> None:
        slots = self.memory.slots
        for v in unit.reads:
            if isinstance(v, Constant) and v not in slots:
                self.memory.add(v, constant_array(v) if is_tensor(v) else v.data)
        for out in (o for node in unit.nodes for o in node.outputs if o not in slots):
            if unit.host:
                self.memory.add(out)
            else:
                self.memory.workspace(out)

    def _free(self, unit: Unit, index: int) -> None:
        """Release the workspaces that this unit reads last, or makes for nobody."""
        made = [] if unit.host else [o for node in unit.nodes for o in node.outputs]
        for v in dict.fromkeys([*unit.reads, *made]):
            kept = v in self.owned or isinstance(v, Constant) or not is_static(v)
            done = self.last.get(v, index) <= index
            if not kept and done and self.memory.template[self.memory.slots[v]] is not None:
                self.memory.release(v)

    def _emit(self, writer: Writer, unit: Unit) -> None:
        if is_elementwise(unit.nodes[0]):
            elementwise(writer, unit.nodes)
            return
        emit = emitter(unit.nodes[0])
        assert emit is not None
        emit(writer, unit.nodes[0])

    def _kernel(self, writer: Writer) -> Step:
        order, body = writer.source()
        self.kernels.append(body)
        function = self.load(body, [self.memory.dtypes[slot] for slot in order])

        def step(slots: list[Any]) -> None:
            function(*[slots[i] for i in order])

        return step

    def _host(self, node: Apply) -> Step:
        """A step of NumPy: the Op's own implementation, on arrays of the shapes it expects."""
        in_place = bool(node.inputs) and node.inputs[0] in self.spent
        run = self.claimed(node) or performed(node, in_place)
        readers = [self._reading(v) for v in node.inputs]
        targets = [(self.memory.slots[o], is_static(o), o.type) for o in node.outputs]

        def step(slots: list[Any]) -> None:
            results = run(*[read(slots) for read in readers])
            for (slot, static, kind), value in zip(targets, results, strict=True):
                slots[slot] = flat(np.asarray(value, kind.dtype)) if static else value

        return step

    def _reading(self, variable: Variable) -> Callable[[list[Any]], Any]:
        """How a host step reads ``variable``."""
        if isinstance(variable, Constant):
            data = variable.data
            return lambda slots: data
        if not is_static(variable):
            slot = self.memory.slots[variable]
            return lambda slots: slots[slot]
        place, shape = self.places(variable), variable.type.shape
        slot = self.memory.slots[place.base]
        assert place == Place(place.base, 0, row_major(shape)) or 1 in shape or 0 in shape
        return lambda slots: slots[slot][: prod(shape)].reshape(shape)

    def _returning(self, variable: Variable) -> tuple[int, Callable[[Any], Any]]:
        """The slot of a result, and how it gets its shape."""
        slot = self.memory.slots[variable]
        if not is_static(variable):
            return slot, lambda value: value
        shape = variable.type.shape
        return slot, lambda value: value[: prod(shape)].reshape(shape)


def flat(value: Any) -> NDArray[Any]:
    """``value`` as a flat array that a kernel may be given: in one piece and writable."""
    array = np.asarray(value)
    if not (array.flags.c_contiguous and array.flags.writeable):
        array = np.array(array, order="C")
    return array.reshape(-1)
