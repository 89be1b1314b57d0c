"""Optimizers: from gradients to the next values of parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from aesara.graph.basic import Variable

from aeframe.core.cells import Parameter, State
from aeframe.core.errors import ArgumentError
from aeframe.core.structure import Structure
from aeframe.nn.initializers import zeros
from aeframe.train.ops import AdamOp, SGDOp


class Optimizer(Structure):
    """Base of the optimizers.

    A subclass names the slots that each parameter gets (``slots``) and writes :meth:`step`.

    Attributes
    ----------
    learning_rate
        A cell: ``optimizer.learning_rate.value = 1e-4`` recompiles nothing.
    """

    slots: tuple[str, ...] = ()

    def __init__(self, learning_rate: float) -> None:
        if not learning_rate > 0:
            raise ArgumentError(
                "a learning rate is a positive number",
                expected=f"{type(self).__name__}(1e-3)",
                got=repr(learning_rate),
            )
        self.learning_rate = State(float(learning_rate))
        self.count = State(np.zeros(()), dtype="int64")
        self.state: dict[str, dict[str, State]] = {}

    def prepare(self, parameters: Mapping[str, Parameter]) -> None:
        """Make the slots of parameters that have none yet, by path."""
        dtypes = {p.type.dtype for p in parameters.values()}
        if dtypes and self.learning_rate.type.dtype not in dtypes:
            self.learning_rate = State(self.learning_rate.value, dtype=max(dtypes))
        for path, p in parameters.items():
            self.state.setdefault(
                path,
                {
                    name: State(init=zeros, shape=p.type.shape, dtype=p.type.dtype)
                    for name in self.slots
                },
            )

    def updates(
        self, paths: Sequence[str], values: Sequence[Variable], gradients: Sequence[Variable]
    ) -> tuple[list[Variable], dict[Variable, Variable]]:
        """The next values, and the updates of the slots and of the step count."""
        count = self.count + 1
        updates: dict[Variable, Variable] = {self.count: count}
        moved = []
        for path, p, g in zip(paths, values, gradients, strict=True):
            slots = self.state[path]
            rate = self.learning_rate.astype(p.type.dtype)
            value, *new = self.step(p, g, [slots[s] for s in self.slots], count, rate)
            moved.append(value)
            updates.update(zip(slots.values(), new, strict=True))
        return moved, updates

    def step(
        self, p: Variable, g: Variable, slots: Sequence[Variable], count: Variable, rate: Variable
    ) -> Sequence[Variable]:
        """The next value of one parameter, then of its slots."""
        raise NotImplementedError


class SGD(Optimizer):
    """Gradient descent, with momentum if asked.

    >>> float(SGD(0.1).learning_rate.value) < 0.11
    True
    """

    def __init__(self, learning_rate: float = 0.01, momentum: float = 0.0) -> None:
        super().__init__(learning_rate)
        self.momentum = momentum
        self.slots = ("velocity",) if momentum else ()

    def step(
        self, p: Variable, g: Variable, slots: Sequence[Variable], count: Variable, rate: Variable
    ) -> Sequence[Variable]:
        """See :class:`aeframe.train.ops.SGDOp`."""
        return SGDOp(self.momentum).make_node(p, g, rate, *slots).outputs


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015).

    >>> Adam(1e-3).beta_2
    0.999
    """

    slots = ("m", "v")

    def __init__(
        self,
        learning_rate: float = 1e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
    ) -> None:
        super().__init__(learning_rate)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def step(
        self, p: Variable, g: Variable, slots: Sequence[Variable], count: Variable, rate: Variable
    ) -> Sequence[Variable]:
        """See :class:`aeframe.train.ops.AdamOp`."""
        op = AdamOp(self.beta_1, self.beta_2, self.epsilon)
        return op.make_node(p, g, *slots, count, rate).outputs
