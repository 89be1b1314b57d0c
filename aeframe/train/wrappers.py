"""Wrappers: optimizers around optimizers, which change gradients, steps or what is kept of them.

The outermost comes first: ``Accumulate(ClipNorm(Adam(1e-3), 1.0), 4)`` clips the mean of four
gradients. Their state is in cells like that of any optimizer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Variable

from aeframe.core.arguments import count, is_number
from aeframe.core.cells import Parameter, State
from aeframe.core.errors import ArgumentError, StateError, UnknownNameError, nearest
from aeframe.core.structure import matches
from aeframe.train.ops import ClipNormOp, ClipValueOp
from aeframe.train.optimizers import Moved, Optimizer, renew, slot_of


class Wrapper(Optimizer):
    """Base of the optimizers around one ``optimizer``; rate, scale and count are that one's."""

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise ArgumentError(
                f"{type(self).__name__} goes around an optimizer",
                expected=f"{type(self).__name__}(Adam(1e-3), ...)",
                got=repr(optimizer),
            )
        self.optimizer = optimizer

    @property
    def learning_rate(self) -> Any:
        """The cell or the schedule of the optimizer inside."""
        return self.optimizer.learning_rate

    @property
    def scale(self) -> State:
        """The cell that multiplies the learning rate inside."""
        return self.optimizer.scale

    @scale.setter
    def scale(self, cell: State) -> None:
        self.optimizer.scale = cell

    @property
    def count(self) -> State:  # type: ignore[override]
        """The number of steps that the optimizer inside has taken."""
        return self.optimizer.count

    def prepare(self, parameters: Mapping[str, Parameter]) -> None:
        """Make the slots of parameters that have none yet, by path."""
        self.optimizer.prepare(parameters)


class _Clip(Wrapper):
    """Base of what holds gradients below a ``limit``."""

    def __init__(self, optimizer: Optimizer, limit: float) -> None:
        super().__init__(optimizer)
        if not is_number(limit) or not limit > 0:
            raise ArgumentError("a limit is a positive number", expected="1.0", got=repr(limit))
        self.limit = float(limit)

    def clipped(self, gradients: Sequence[Variable]) -> Sequence[Variable]:
        """The gradients below the limit."""
        raise NotImplementedError

    def updates(
        self, paths: Sequence[str], values: Sequence[Variable], gradients: Sequence[Variable]
    ) -> Moved:
        """Those of the optimizer inside, on clipped gradients."""
        return self.optimizer.updates(paths, values, self.clipped(gradients))


class ClipNorm(_Clip):
    """Gradients scaled down together where their joint norm is above ``limit``.

    >>> from aeframe.train import Adam
    >>> ClipNorm(Adam(1e-3), 1.0).limit
    1.0
    """

    def clipped(self, gradients: Sequence[Variable]) -> Sequence[Variable]:
        """See :class:`aeframe.train.ops.ClipNormOp`."""
        return ClipNormOp(self.limit).make_node(*gradients).outputs


class ClipValue(_Clip):
    """Every entry of the gradients held between −limit and limit.

    >>> from aeframe.train import Adam
    >>> ClipValue(Adam(1e-3), 0.5).limit
    0.5
    """

    def clipped(self, gradients: Sequence[Variable]) -> Sequence[Variable]:
        """See :class:`aeframe.train.ops.ClipValueOp`."""
        return [ClipValueOp(self.limit)(g) for g in gradients]


class Accumulate(Wrapper):
    """One step for every ``steps`` batches, on the mean of their gradients.

    With a mean loss and batches of equal size that is a step on a batch ``steps`` times as large;
    only every ``steps``-th batch moves parameters, slots and the step count.

    >>> from aeframe.train import SGD
    >>> Accumulate(SGD(0.1), 4).steps
    4
    """

    def __init__(self, optimizer: Optimizer, steps: int) -> None:
        super().__init__(optimizer)
        self.steps = count("steps", steps)
        self.gathered = State(np.zeros(()), dtype="int64")
        self.totals: dict[str, State] = {}
        self._owners: dict[str, Parameter] = {}

    def prepare(self, parameters: Mapping[str, Parameter]) -> None:
        """Make the slots of parameters that have none yet, by path."""
        super().prepare(parameters)
        renew(self.totals, self._owners, parameters, slot_of)

    def updates(
        self, paths: Sequence[str], values: Sequence[Variable], gradients: Sequence[Variable]
    ) -> Moved:
        """Those of the optimizer inside where ``steps`` batches are gathered; else the totals'."""
        gathered = self.gathered + 1
        due = at.eq(gathered, self.steps)
        cells = [self.totals[path] for path in paths]
        totals = [cell + g for cell, g in zip(cells, gradients, strict=True)]
        means = [t / at.as_tensor(self.steps, dtype=t.type.dtype) for t in totals]
        moved, inner = self.optimizer.updates(paths, values, means)
        updates = {cell: at.switch(due, new, cell) for cell, new in inner.items()}
        for cell, total in zip(cells, totals, strict=True):
            updates[cell] = at.switch(due, at.zeros_like(total), total)
        updates[self.gathered] = at.switch(due, at.zeros_like(gathered), gathered)
        return [at.switch(due, m, p) for m, p in zip(moved, values, strict=True)], updates


class Average(Wrapper):
    """Keeps the running average of the parameters that the optimizer inside moves.

    At step t after ``start``, average' = average + max(1 − decay, 1/t) (p' − average): the plain
    mean of all steps as long as 1/t is larger, an exponential average later. ``decay=1`` is the
    mean of all steps (Polyak and Juditsky 1992), from a late ``start`` on stochastic weight
    averaging (Izmailov et al. 2018). Constrained parameters are averaged on the unconstrained
    scale. Training goes on from the parameters, not from the average::

        average = Average(Adam(1e-3), decay=0.999)
        model.compile(optimizer=average, loss=nn.softmax_cross_entropy).fit(x, y)
        with average.averaged():
            model.evaluate(x, y)

    Parameters
    ----------
    decay
        How much of the average one step keeps, above 0 and up to 1.
    start
        How many steps are left out; the average is the parameter until then.
    """

    def __init__(self, optimizer: Optimizer, decay: float = 0.999, start: int = 0) -> None:
        super().__init__(optimizer)
        if not is_number(decay) or not 0 < decay <= 1:
            raise ArgumentError(
                "an average needs a decay above 0 and up to 1",
                expected="Average(Adam(1e-3), decay=0.999)",
                got=repr(decay),
            )
        self.decay, self.start = float(decay), count("start", start, 0)
        self.averages: dict[str, State] = {}
        self._parameters: dict[str, Parameter] = {}

    def prepare(self, parameters: Mapping[str, Parameter]) -> None:
        """Make the slots of parameters that have none yet, by path."""
        super().prepare(parameters)
        renew(self.averages, self._parameters, parameters, slot_of)

    def updates(
        self, paths: Sequence[str], values: Sequence[Variable], gradients: Sequence[Variable]
    ) -> Moved:
        """Those of the optimizer inside, and those of the averages."""
        moved, updates = self.optimizer.updates(paths, values, gradients)
        steps = at.maximum(updates[self.count] - self.start, 1)
        for path, p in zip(paths, moved, strict=True):
            cell, dtype = self.averages[path], p.type.dtype
            least = at.as_tensor(1 - self.decay, dtype=dtype)
            share = at.maximum(at.as_tensor(1, dtype=dtype) / steps.astype(dtype), least)
            updates[cell] = cell + share * (p - cell)
        return moved, updates

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Within it the parameters have their average values; afterwards their own again.

        Raises
        ------
        StateError
            When no step was taken.
        """
        if not self._parameters or not self.count.value:
            raise StateError("there is no average yet", fix="train for a step first")
        kept = {path: p.value for path, p in self._parameters.items()}
        try:
            for path, p in self._parameters.items():
                average = at.as_tensor(self.averages[path].value)
                p.value = np.asarray(p.support.forward(average).eval())
            yield
        finally:
            for path, p in self._parameters.items():
                p.value = kept[path]


class Groups(Optimizer):
    """An optimizer for each group of parameters, by patterns of their paths.

    ``*`` stands for any text and ``?`` for one character; the first pattern that fits a path has
    it: ``Groups({"encoder.*": AdamW(1e-5), "*.b": Adam(1e-3), "*": AdamW(1e-3)})``.

    Raises
    ------
    UnknownNameError
        When training starts and a pattern gets no parameter, or a parameter no pattern.
    """

    def __init__(self, groups: Mapping[str, Optimizer]) -> None:
        given = list(groups.values()) if isinstance(groups, Mapping) else [groups]
        wrong = [v for v in given if not isinstance(v, Optimizer)]
        if wrong or not given or len({id(v) for v in given}) < len(given):
            raise ArgumentError(
                "Groups takes patterns of paths, each with an optimizer of its own",
                expected='Groups({"encoder.*": AdamW(1e-5), "*": AdamW(1e-3)})',
                got=repr(wrong[0]) if wrong else f"{len(groups)} patterns",
            )
        self.groups = dict(groups)
        self._group_of: dict[str, str] = {}

    @property
    def count(self) -> State:  # type: ignore[override]
        """The number of steps taken, which all groups share."""
        return next(iter(self.groups.values())).count

    @property
    def scale(self) -> State:
        """The cell that multiplies the learning rates, which all groups share once prepared."""
        return next(iter(self.groups.values())).scale

    @scale.setter
    def scale(self, cell: State) -> None:
        for optimizer in self.groups.values():
            optimizer.scale = cell

    def prepare(self, parameters: Mapping[str, Parameter]) -> None:
        """Share out the parameters and make the slots of those that have none yet."""
        self._group_of = {path: self._pattern_of(path) for path in parameters}
        for pattern, optimizer in self.groups.items():
            mine = {p: c for p, c in parameters.items() if self._group_of[p] == pattern}
            if not mine:
                raise UnknownNameError(
                    f"the pattern {pattern!r} gets no parameter that is trained",
                    path=pattern,
                    fix="leave it out, or " + nearest(pattern, list(parameters)),
                )
            optimizer.prepare(mine)
        self.scale = self.scale

    def _pattern_of(self, path: str) -> str:
        for pattern in self.groups:
            if matches(pattern, path):
                return pattern
        raise UnknownNameError(
            "no pattern fits this parameter", path=path, fix='end with "*", or freeze it'
        )

    def updates(
        self, paths: Sequence[str], values: Sequence[Variable], gradients: Sequence[Variable]
    ) -> Moved:
        """Those of each group's optimizer on the parameters of that group."""
        made: dict[str, Variable] = {}
        updates: dict[Variable, Variable] = {}
        given = list(zip(paths, values, gradients, strict=True))
        for pattern, optimizer in self.groups.items():
            mine = [each for each in given if self._group_of[each[0]] == pattern]
            names = [path for path, _, _ in mine]
            moved, more = optimizer.updates(names, [v for _, v, _ in mine], [g for *_, g in mine])
            made.update(zip(names, moved, strict=True))
            updates.update(more)
        return [made[path] for path in paths], updates
