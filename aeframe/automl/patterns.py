"""What growth rules say beyond equalities: new cells, new layers, chains that a width runs through.

The right side of such a rule makes parameters. They belong to the pass that applied the rule (see
:class:`aeframe.automl.Grow`), which hands them out again, in the same order, each time the graph
is built anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from aesara.graph.basic import Apply, Variable
from aesara.graph.op import Op
from numpy.typing import ArrayLike

from aeframe.core import Parameter, State
from aeframe.core.cells import Cell, Initializer
from aeframe.core.errors import StateError
from aeframe.core.module import Module
from aeframe.core.structure import walk
from aeframe.core.trace import calling
from aeframe.nn.ops import (
    ActivationOp,
    AvgPool2DOp,
    BatchNormOp,
    DropoutOp,
    GlobalAvgPoolOp,
    LayerNormOp,
    MaxPool2DOp,
    RMSNormOp,
)
from aeframe.rewrites import Bindings, Pattern, Var, build, match
from aeframe.rewrites.pattern import SIZES

PARTS = "@parts"
Value = Callable[..., ArrayLike]
Shape = tuple[int, ...]


@dataclass
class Parts:
    """The cells and layers of one applied rule, in the order in which its right side asks.

    Attributes
    ----------
    made
        What there is already; what is new is added.
    became
        Old cell → the one that took its place.
    bare
        Whether new cells have types alone, and no values: the graph is only looked at.
    """

    owner: Any
    path: str
    rng: np.random.Generator
    made: list[Any]
    became: dict[Variable, Variable] = field(default_factory=dict)
    bare: bool = False
    used: int = 0

    def next(self, make: Callable[[], Any]) -> Any:
        """The next part, made if there is none yet."""
        if self.used == len(self.made):
            self.made.append(make())
        self.used += 1
        return self.made[self.used - 1]

    def cell(
        self,
        value: Value,
        sources: Sequence[Any],
        shape: tuple[int, ...],
        dtype: str | None = None,
        init: Initializer | None = None,
    ) -> Variable:
        """A new cell, ``value(rng, shape, *arrays)`` of the sources; of the first one's kind."""
        first = sources[0] if sources else None

        def make() -> Parameter | State:
            kind = State if isinstance(first, State) else Parameter
            made = kind(
                init=value, shape=shape, dtype=first.type.dtype if first is not None else dtype
            )
            if not self.bare:
                made.restore(np.asarray(value(self.rng, shape, *map(_array, sources))))
            made.init = init or (first.init if first is not None else value)
            made.trainable = first is None or first.trainable
            return made

        made = self.next(make)
        if first is not None:
            self.became[first] = made
        return made

    def layer(self, make: Callable[[], Module], *inputs: Variable) -> Variable:
        """A new layer on ``inputs``; its cells have values at once, for rules that come next."""
        layer = self.next(make)
        with calling(self.owner, self.path):
            y = layer(*inputs)
        for path, cell in walk(layer):
            if isinstance(cell, Cell) and not self.bare:
                cell.initialize(self.owner.seed, f"{self.path}.made[{self.used - 1}]{path}")
        return y


def _array(source: Cell) -> np.ndarray[Any, Any]:
    if source.data is None:
        raise StateError(
            "weights are to be inherited that have no value yet",
            path=source.name,
            fix="call `model.init(seed)` first",
        )
    return source.numpy()


@dataclass(frozen=True)
class Made(Pattern):
    """A new parameter: ``value(rng, shape, *arrays)`` of the values of ``sources``.

    Attributes
    ----------
    dims
        Names of its sizes, as in :class:`Var`.
    shape
        Instead of ``dims``: its shape, of that of the first source. A graph can be looked at
        without a value being computed. If there is neither, the shape of the first source.
    like
        The variable whose dtype it has, if there are no sources.
    init
        Its first value in training from scratch; that of the first source, or ``value``.
    """

    value: Value
    sources: tuple[Var, ...] = ()
    dims: str = ""
    shape: Callable[[Shape], Shape] | None = None
    like: Var | None = None
    init: Initializer | None = None

    def build(self, bound: Bindings) -> list[Variable]:
        """The parameter; in the place of the first source, if there is one."""
        sizes = bound.get(SIZES, {})
        shape: Shape = tuple(int(d) if d.isdigit() else sizes[d] for d in self.dims.split())
        dtype = None if self.like is None else bound[self.like.name].type.dtype
        sources = [bound[v.name] for v in self.sources]
        if sources and not self.dims:
            shape = _resized(sources[0], self.shape)
        return [bound[PARTS].cell(self.value, sources, shape, dtype, self.init)]


def _resized(source: Cell, shape: Callable[[Shape], Shape] | None) -> Shape:
    return source.type.shape if shape is None else shape(source.type.shape)


@dataclass(frozen=True)
class Inserted(Pattern):
    """A new layer on the right of a rule, made as ``layer(*arguments)`` and called on ``x``."""

    layer: type[Module]
    x: Pattern
    arguments: tuple[Any, ...] = ()

    def build(self, bound: Bindings) -> list[Variable]:
        """What the layer returns; its cells are those of the pass."""
        (x,) = build(self.x, bound)
        return [bound[PARTS].layer(lambda: self.layer(*self.arguments), x)]


# Where the features run through an Apply: the other inputs are one entry a feature, or a stream.
THROUGH: Mapping[type[Op], int] = {
    ActivationOp: 0,
    LayerNormOp: 0,
    RMSNormOp: 0,
    BatchNormOp: 0,
    DropoutOp: 1,
    MaxPool2DOp: 0,
    AvgPool2DOp: 0,
    GlobalAvgPoolOp: 0,
}


@dataclass(frozen=True)
class Chain(Pattern):
    """Any number of Applies that keep the features as they are, the lowest one on ``inner``.

    Activations, dropout, normalization and pooling. On the right they come again, on another
    ``inner``; ``value`` says what becomes of their cells that have one entry for each feature, and
    ``shape`` which shape they have then, as in :class:`Made`.
    """

    name: str
    inner: Pattern
    value: Value | None = None
    shape: Callable[[Shape], Shape] | None = None

    def match(self, variable: Variable, bound: Bindings) -> Bindings | None:
        """Follow the chain as far as it goes."""
        nodes: list[tuple[Apply, int]] = []
        while variable.owner is not None and (main := _main(variable.owner)) is not None:
            nodes.append((variable.owner, variable.owner.outputs.index(variable)))
            variable = variable.owner.inputs[main]
        found = match(self.inner, variable, bound)
        return None if found is None else {**found, self.name: tuple(nodes)}

    def build(self, bound: Bindings) -> list[Variable]:
        """The same Applies on the new ``inner``."""
        (x,) = build(self.inner, bound)
        for node, output in reversed(bound[self.name]):
            main = _main(node)
            inputs = [
                x if i == main else self._renewed(v, bound[PARTS])
                for i, v in enumerate(node.inputs)
            ]
            x = node.op.make_node(*inputs).outputs[output]
        return [x]

    def _renewed(self, v: Variable, parts: Parts) -> Variable:
        if self.value is None or not isinstance(v, Parameter | State):
            return v
        return parts.cell(self.value, [v], _resized(v, self.shape))


def _main(node: Apply) -> int | None:
    return next((i for op, i in THROUGH.items() if isinstance(node.op, op)), None)
