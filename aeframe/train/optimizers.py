"""Optimizers: from gradients to the next values of parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from aesara.graph.basic import Variable

from aeframe.core.arguments import is_number
from aeframe.core.cells import Parameter, State
from aeframe.core.errors import ArgumentError
from aeframe.core.structure import Structure
from aeframe.nn.initializers import zeros
from aeframe.train.ops import (
    AdafactorOp,
    AdamOp,
    AdamWOp,
    LionOp,
    NesterovOp,
    RMSpropOp,
    SGDOp,
)
from aeframe.train.schedules import InverseRoot, Schedule

Moved = tuple[list[Variable], dict[Variable, Variable]]
T = TypeVar("T")


def renew(
    slots: dict[str, T],
    owners: dict[str, Parameter],
    parameters: Mapping[str, Parameter],
    make: Callable[[Parameter], T],
) -> None:
    """Make the slots of parameters that have none yet, by path, and let go of dead ones.

    ``owners`` knows whose slots they are: those of a parameter that another one replaced, or
    that has another path now, are of no use.
    """
    for path in [p for p, owner in owners.items() if owner.name != p]:
        del slots[path], owners[path]
    for path, p in parameters.items():
        if owners.get(path) is not p:
            slots[path], owners[path] = make(p), p


def slot_of(p: Parameter, shape: Sequence[int] | None = None) -> State:
    """A slot of ``p``, zero at first: of its shape unless another is given, and of its dtype."""
    slot = State(init=zeros, shape=p.type.shape if shape is None else shape, dtype=p.type.dtype)
    slot.follows = p
    return slot


class Optimizer(Structure):
    """Base of the optimizers.

    A subclass names the slots that each parameter gets (``slots``) and writes :meth:`step`.

    Attributes
    ----------
    learning_rate
        A cell, if a number was given: ``optimizer.learning_rate.value = 1e-4`` recompiles
        nothing. Otherwise the :class:`~aeframe.train.Schedule`.
    scale
        A cell that multiplies the learning rate, 1 at first.
    count
        A cell: the number of steps taken.
    """

    slots: tuple[str, ...] = ()
    learning_rate: Any
    scale: State
    count: State

    def __init__(self, learning_rate: float | Schedule) -> None:
        if isinstance(learning_rate, Schedule):
            self.learning_rate = learning_rate
        elif is_number(learning_rate) and learning_rate > 0:
            self.learning_rate = State(float(learning_rate))
        else:
            raise ArgumentError(
                "a learning rate is a positive number or a schedule",
                expected=f"{type(self).__name__}(1e-3)",
                got=repr(learning_rate),
            )
        self.scale = State(1.0)
        self.count = State(np.zeros(()), dtype="int64")
        self.state: dict[str, dict[str, State]] = {}
        self._owners: dict[str, Parameter] = {}

    def prepare(self, parameters: Mapping[str, Parameter]) -> None:
        """Make the slots of parameters that have none yet, by path."""
        dtypes = {p.type.dtype for p in parameters.values()}
        for name in ("learning_rate", "scale"):
            cell = getattr(self, name)
            if isinstance(cell, State) and dtypes and cell.type.dtype not in dtypes:
                setattr(self, name, State(cell.value, dtype=max(dtypes)))
        renew(self.state, self._owners, parameters, self._slots_of)

    def _slots_of(self, p: Parameter) -> dict[str, State]:
        shapes = self.slot_shapes(p.type.shape)
        return {name: slot_of(p, shape) for name, shape in shapes.items()}

    def slot_shapes(self, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """The slots of a parameter of ``shape``: by default each has that shape too."""
        return dict.fromkeys(self.slots, shape)

    def rate(self, dtype: str) -> Variable:
        """The learning rate of the coming step."""
        given = self.learning_rate
        rate = given(self.count.astype(dtype)) if isinstance(given, Schedule) else given
        return rate.astype(dtype) * self.scale.astype(dtype)

    def updates(
        self, paths: Sequence[str], values: Sequence[Variable], gradients: Sequence[Variable]
    ) -> Moved:
        """The next values, and the updates of the slots and of the step count."""
        count = self.count + 1
        updates: dict[Variable, Variable] = {self.count: count}
        rates = {dtype: self.rate(dtype) for dtype in {p.type.dtype for p in values}}
        moved = []
        for path, p, g in zip(paths, values, gradients, strict=True):
            slots = list(self.state[path].values())
            value, *new = self.step(p, g, slots, count, rates[p.type.dtype])
            moved.append(value)
            updates.update(zip(slots, new, strict=True))
        return moved, updates

    def step(
        self, p: Variable, g: Variable, slots: Sequence[Variable], count: Variable, rate: Variable
    ) -> Sequence[Variable]:
        """The next value of one parameter, then of its slots."""
        raise NotImplementedError


class SGD(Optimizer):
    """Gradient descent, with momentum if asked: :class:`aeframe.train.ops.SGDOp`.

    Parameters
    ----------
    nesterov
        Whether momentum looks ahead: :class:`aeframe.train.ops.NesterovOp`.

    >>> float(SGD(0.1).learning_rate.value) < 0.11
    True
    """

    def __init__(
        self,
        learning_rate: float | Schedule = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(learning_rate)
        self.momentum, self.nesterov = _share("momentum", momentum), nesterov
        if nesterov and not momentum:
            raise ArgumentError(
                "Nesterov's method is about momentum", expected="SGD(0.1, 0.9, nesterov=True)"
            )
        self.slots = ("velocity",) if momentum else ()

    def step(
        self, p: Variable, g: Variable, slots: Sequence[Variable], count: Variable, rate: Variable
    ) -> Sequence[Variable]:
        """See the Ops."""
        op = NesterovOp(self.momentum) if self.nesterov else SGDOp(self.momentum)
        return op.make_node(p, g, rate, *slots).outputs


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015): :class:`aeframe.train.ops.AdamOp`.

    >>> Adam(1e-3).beta_2
    0.999
    """

    slots = ("m", "v")

    def __init__(
        self,
        learning_rate: float | Schedule = 1e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
    ) -> None:
        super().__init__(learning_rate)
        self.beta_1, self.beta_2 = _share("beta_1", beta_1), _share("beta_2", beta_2)
        self.epsilon = epsilon

    def step(
        self, p: Variable, g: Variable, slots: Sequence[Variable], count: Variable, rate: Variable
    ) -> Sequence[Variable]:
        """See the Op."""
        op = AdamOp(self.beta_1, self.beta_2, self.epsilon)
        return op.make_node(p, g, *slots, count, rate).outputs


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019): p loses rate · decay · p.

    Every parameter decays; :class:`~aeframe.train.Groups` lets biases off.

    >>> AdamW(1e-3).weight_decay
    0.01
    """

    def __init__(
        self,
        learning_rate: float | Schedule = 1e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon)
        self.weight_decay = _decay(weight_decay)

    def step(
        self, p: Variable, g: Variable, slots: Sequence[Variable], count: Variable, rate: Variable
    ) -> Sequence[Variable]:
        """See :class:`aeframe.train.ops.AdamWOp`."""
        op = AdamWOp(self.beta_1, self.beta_2, self.epsilon, self.weight_decay)
        return op.make_node(p, g, *slots, count, rate).outputs


class RMSprop(Optimizer):
    """RMSprop (Tieleman and Hinton 2012) as in Keras: ε is added under the root.

    See :class:`aeframe.train.ops.RMSpropOp`.

    Parameters
    ----------
    rho
        How much of the past each second moment keeps.
    momentum
        Of the steps, learning rate included.
    centered
        Whether the second moment is taken about the mean gradient.

    >>> RMSprop(1e-3, centered=True).slots
    ('v', 'mean')
    """

    def __init__(
        self,
        learning_rate: float | Schedule = 1e-3,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
    ) -> None:
        super().__init__(learning_rate)
        self.rho, self.momentum = _share("rho", rho), _share("momentum", momentum)
        self.epsilon, self.centered = epsilon, centered
        self.slots = ("v", *["mean"] * centered, *["velocity"] * bool(momentum))

    def step(
        self, p: Variable, g: Variable, slots: Sequence[Variable], count: Variable, rate: Variable
    ) -> Sequence[Variable]:
        """See the Op."""
        op = RMSpropOp(self.rho, self.momentum, self.epsilon, self.centered)
        return op.make_node(p, g, rate, *slots).outputs


class Lion(Optimizer):
    """Lion (Chen et al. 2023): steps of one size, the sign of a momentum, and decoupled decay.

    Its learning rate is 3 to 10 times below Adam's. See :class:`aeframe.train.ops.LionOp`.

    >>> Lion().slots
    ('m',)
    """

    slots = ("m",)

    def __init__(
        self,
        learning_rate: float | Schedule = 1e-4,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(learning_rate)
        self.beta_1, self.beta_2 = _share("beta_1", beta_1), _share("beta_2", beta_2)
        self.weight_decay = _decay(weight_decay)

    def step(
        self, p: Variable, g: Variable, slots: Sequence[Variable], count: Variable, rate: Variable
    ) -> Sequence[Variable]:
        """See the Op."""
        return (
            LionOp(self.beta_1, self.beta_2, self.weight_decay)
            .make_node(p, g, *slots, rate)
            .outputs
        )


class Adafactor(Optimizer):
    """Adafactor (Shazeer and Stern 2018): a second moment of rows and columns, no first one.

    See :class:`aeframe.train.ops.AdafactorOp`.

    Parameters
    ----------
    learning_rate
        By default the paper's relative step, min(0.01, 1/√t).
    decay
        The past weighs 1 − t^−decay at step t.
    epsilon_1, epsilon_2
        Added to squared gradients; the least scale of a parameter.
    threshold
        The root mean square above which an update is scaled down.
    relative
        Whether the rate is multiplied by the parameter's root mean square.
    factored_from
        Parameters whose last two axes are at least this long keep rows and columns alone.

    >>> Adafactor().slot_shapes((512, 256))
    {'rows': (512,), 'columns': (256,)}
    """

    def __init__(
        self,
        learning_rate: float | Schedule = InverseRoot(1e-2),  # noqa: B008 (an Op, immutable)
        decay: float = 0.8,
        epsilon_1: float = 1e-30,
        epsilon_2: float = 1e-3,
        threshold: float = 1.0,
        relative: bool = True,
        factored_from: int = 128,
    ) -> None:
        super().__init__(learning_rate)
        self.decay, self.epsilon_1, self.epsilon_2 = decay, epsilon_1, epsilon_2
        self.threshold, self.relative, self.factored_from = threshold, relative, factored_from

    def slot_shapes(self, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """Rows and columns of large matrices, stacked over leading axes; else all entries."""
        if len(shape) < 2 or min(shape[-2:]) < self.factored_from:
            return {"v": shape}
        return {"rows": shape[:-1], "columns": (*shape[:-2], shape[-1])}

    def step(
        self, p: Variable, g: Variable, slots: Sequence[Variable], count: Variable, rate: Variable
    ) -> Sequence[Variable]:
        """See the Op."""
        props = (self.decay, self.epsilon_1, self.epsilon_2, self.threshold, self.relative)
        return AdafactorOp(*props).make_node(p, g, count, rate, *slots).outputs


def _share(name: str, value: float) -> float:
    if not is_number(value) or not 0 <= value < 1:
        raise ArgumentError(f"{name} is from 0 to below 1", expected=f"{name}=0.9", got=repr(value))
    return float(value)


def _decay(value: float) -> float:
    if not is_number(value) or not value >= 0:
        raise ArgumentError(
            "weight decay is not negative", expected="weight_decay=0.01", got=repr(value)
        )
    return float(value)
