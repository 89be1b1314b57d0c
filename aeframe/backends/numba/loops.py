"""Loops over flat arrays as Python source: elementwise groups, reductions and copies.

All shapes are known, so every index is a linear expression with constant strides, and what does
not depend on an inner index is computed outside of its loop.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from math import prod

import numpy as np
from aesara.graph.basic import Apply, Constant, Variable

from aeframe.backends.numba.formulas import FLOATS, Combine, formula, literal
from aeframe.backends.numba.places import Place, Places, dense, row_major


def linear(offset: int | str, strides: Sequence[int], names: Sequence[str]) -> str:
    """The source of offset + Σ strides · names.

    >>> linear(0, (12, 1), ("i", "j")), linear(3, (0,), ("i",))
    ('i * 12 + j', '3')
    """
    terms = [n if s == 1 else f"{n} * {s}" for n, s in zip(names, strides, strict=True) if s]
    if offset or not terms:
        terms.append(str(offset))
    return " + ".join(terms)


class Writer:
    """The source of one kernel.

    Parameters
    ----------
    places
        Where variables lie.
    slots
        Number of the array of each base variable.
    inline
        The variables that have no array: they are computed where they are used.
    """

    def __init__(
        self, places: Places, slots: dict[Variable, int], inline: frozenset[Variable]
    ) -> None:
        self.places, self.slots, self.inline = places, slots, inline
        self.lines: list[str] = []
        self._names = 0

    def name(self, prefix: str) -> str:
        """A name that this kernel has not used."""
        self._names += 1
        return f"{prefix}{self._names}"

    def array(self, base: Variable) -> str:
        """The name of the flat array of a base variable."""
        return f"s{self.slots[base]}"

    def entry(self, variable: Variable, names: Sequence[str], offset: str = "") -> str:
        """The source of the entry of ``variable`` at the indices ``names``."""
        place = self.places(variable)
        if isinstance(place.base, Constant) and place.base.data.size == 1:
            return literal(place.base.data.item(), variable.type.dtype)
        index = linear(place.offset, place.strides, names)
        return f"{self.array(place.base)}[{index}{offset}]"

    def write(self, line: str, depth: int = 0) -> None:
        """Add a line."""
        self.lines.append("    " * depth + line)

    def indices(self, shape: Sequence[int]) -> list[str]:
        """A name for the index of each axis; an axis of size 1 has the index 0."""
        return ["0" if n == 1 else self.name("i") for n in shape]

    def loops(self, names: Sequence[str], shape: Sequence[int], depth: int = 0) -> int:
        """Open a loop for each axis; the depth of their inside."""
        for name, size in zip(names, shape, strict=True):
            if name != "0":
                self.write(f"for {name} in range({size}):", depth)
                depth += 1
        return depth

    def copy(self, source: Variable, out: Variable, place: Place | None = None) -> None:
        """Copy all entries of ``source`` to ``out``, or to those entries of it at ``place``."""
        shape = source.type.shape
        to = place or Place(out, 0, row_major(shape))
        names = self.indices(shape)
        depth = self.loops(names, shape)
        target = f"{self.array(to.base)}[{linear(to.offset, to.strides, names)}]"
        self.write(f"{target} = {self.entry(source, names)}", depth)
        if depth == 0:
            self.write("pass")

    def source(self) -> tuple[list[int], str]:
        """The slots that the kernel takes, and its body with arrays named by their position."""
        text = "\n".join(f"    {line}" for line in self.lines)
        order = list(dict.fromkeys(int(m) for m in re.findall(r"\bs(\d+)\b", text)))
        position = {slot: i for i, slot in enumerate(order)}
        return order, re.sub(r"\bs(\d+)\b", lambda m: f"a{position[int(m[1])]}", text)


class Nest:
    """A nest of loops in which entries are read and computed, each as far out as it can be."""

    def __init__(self, writer: Writer, shape: Sequence[int], flat: bool) -> None:
        self.writer, self.flat = writer, flat
        self.shape = (prod(shape),) if flat else tuple(shape)
        self.names = writer.indices(self.shape)
        self.levels: list[list[str]] = [[] for _ in range(len(self.shape) + 1)]
        self._known: dict[Variable, tuple[str, int]] = {}

    def value(self, variable: Variable) -> tuple[str, int]:
        """The name of the entry of ``variable`` at the current indices, and its level."""
        if variable not in self._known:
            computed = variable in self.writer.inline
            self._known[variable] = (
                self.compute(variable.owner) if computed else self._read(variable)
            )
        return self._known[variable]

    def compute(self, node: Apply) -> tuple[str, int]:
        """The entry of the output of an elementwise Apply, from those of its inputs."""
        (out,) = node.outputs
        arguments = [self.value(v) for v in node.inputs]
        text = formula(
            node.op.scalar_op,
            [a for a, _ in arguments],
            [v.type.dtype for v in node.inputs],
            out.type.dtype,
        )
        level = max((n for _, n in arguments), default=0)
        self._known[out] = name, level = self.writer.name("t"), level
        self.levels[level].append(f"{name} = {text}")
        return name, level

    def _read(self, variable: Variable) -> tuple[str, int]:
        place = self.writer.places(variable)
        if isinstance(place.base, Constant) and place.base.data.size == 1:
            return literal(place.base.data.item(), variable.type.dtype), 0
        shape = variable.type.shape
        strides = [s if n > 1 else 0 for s, n in zip(place.strides, shape, strict=True)]
        if self.flat:
            strides = [1] if any(strides) else [0]
        named = zip(strides, self.names, strict=True)
        level = max((i + 1 for i, (s, n) in enumerate(named) if s and n != "0"), default=0)
        name = self.writer.name("t")
        index = linear(place.offset, strides, self.names)
        self.levels[level].append(f"{name} = {self.writer.array(place.base)}[{index}]")
        return name, level

    def open(self, start: int, stop: int, depth: int) -> int:
        """Write the loops of axes ``start`` to ``stop`` with what belongs inside each."""
        if start == 0:
            for line in self.levels[0]:
                self.writer.write(line, depth)
        for axis in range(start, stop):
            depth = self.writer.loops(
                self.names[axis : axis + 1], self.shape[axis : axis + 1], depth
            )
            for line in self.levels[axis + 1]:
                self.writer.write(line, depth)
        return depth


def reads(variable: Variable, inline: frozenset[Variable]) -> list[Variable]:
    """The variables with a place that the entry of ``variable`` is computed from."""
    if variable not in inline:
        return [variable]
    return [v for u in variable.owner.inputs for v in reads(u, inline)]


def _flat(writer: Writer, variables: Sequence[Variable], shape: Sequence[int]) -> bool:
    """Whether all of ``variables`` can be read by one index over all entries of ``shape``."""
    return all(
        prod(v.type.shape) == 1
        or not any(writer.places(v).strides)
        or (v.type.shape == tuple(shape) and dense(writer.places(v), shape))
        for v in variables
    )


def elementwise(writer: Writer, nodes: Sequence[Apply]) -> None:
    """One nest for elementwise Applies of one shape; values are stored after all are computed."""
    outs = [node.outputs[0] for node in nodes]
    shape, made = outs[0].type.shape, set(outs)
    needed = [v for n in nodes for u in n.inputs for v in reads(u, writer.inline) if v not in made]
    nest = Nest(writer, shape, _flat(writer, needed, shape))
    values = [nest.compute(node)[0] for node in nodes]
    depth = nest.open(0, len(nest.shape), 0)
    strides = (1,) if nest.flat else row_major(shape)
    for out, value in zip(outs, values, strict=True):
        writer.write(f"{writer.array(out)}[{linear(0, strides, nest.names)}] = {value}", depth)


def reduce(writer: Writer, node: Apply, start: object, combine: Combine, accumulator: str) -> None:
    """A reduction over axes, with its elementwise argument computed inside.

    A run of reduced axes at the end is summed in a variable, other reduced axes in the output.
    """
    (x,), (out,) = node.inputs, node.outputs
    shape, dtype = x.type.shape, out.type.dtype
    axes = set(range(len(shape)) if node.op.axis is None else node.op.axis)
    needed = reads(x, writer.inline)
    nest = Nest(writer, shape, len(axes) == len(shape) and _flat(writer, needed, shape))
    if nest.flat:
        axes = {0}
    n = len(nest.shape)
    value, _ = nest.value(x)
    split = next((i + 1 for i in reversed(range(n)) if i not in axes), 0)
    kept = [i for i in range(n) if i not in axes]
    strides = row_major([nest.shape[i] for i in kept])
    target = f"{writer.array(out)}[{linear(0, strides, [nest.names[i] for i in kept])}]"
    outer = any(i in axes for i in range(split))
    first = literal(start, dtype)
    if outer:
        index = writer.name("i")
        writer.write(f"for {index} in range({prod(out.type.shape)}):")
        writer.write(f"{writer.array(out)}[{index}] = {first}", 1)
    depth = nest.open(0, split, 0)
    if split < n:
        total = writer.name("t")
        writer.write(f"{total} = {literal(start, accumulator)}", depth)
        inside = nest.open(split, n, depth)
        writer.write(f"{total} = {combine(total, value)}", inside)
        value = total
    cast = f"np.{dtype}({{}})" if dtype in FLOATS else "{}"
    writer.write(f"{target} = {cast.format(combine(target, value) if outer else value)}", depth)


Emit = Callable[[Writer, Apply], None]


def constant_array(constant: Constant) -> np.ndarray:
    """The data of a constant as a flat array that a kernel can take."""
    return np.array(constant.data, dtype=constant.type.dtype).reshape(-1)
