"""Schedules: learning rates as typed Ops of the step, inside the training program.

A schedule is called with the number of steps that were done, so the first step has 0. It is given
to an optimizer in the place of a number: ``Adam(WarmUp(Cosine(1e-3, 9_000), 1_000))``.
"""

from __future__ import annotations

from typing import Any

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Variable

from aeframe.core.arguments import count, is_number
from aeframe.core.errors import ArgumentError
from aeframe.core.ops import TypedOp


class Schedule(TypedOp):
    """Base of the schedules: a subclass writes :meth:`rate`; its hyperparameters are its props."""

    def body(self, step: Variable) -> Variable:
        """The rate in the float dtype of ``step``; of integer steps in float64."""
        return self.rate(step if step.type.dtype.startswith("float") else step.astype("float64"))

    def rate(self, t: Variable) -> Variable:
        """The learning rate after ``t`` steps, elementwise."""
        raise NotImplementedError

    def plot(self, steps: int, ax: Any = None) -> Any:
        """Draw the rates of the first ``steps`` steps; returns the axes."""
        import matplotlib.pyplot as plt

        ax = ax or plt.subplots(figsize=(6, 3.5), layout="constrained")[1]
        ax.plot(self(np.arange(steps)).eval())
        ax.set(xlabel="step", ylabel="learning rate")
        ax.spines[["top", "right"]].set_visible(False)
        return ax


class Cosine(Schedule):
    """Half a cosine from ``peak`` down to ``floor`` (Loshchilov and Hutter 2017), then ``floor``.

    floor + (peak − floor) (1 + cos(π min(t / steps, 1))) / 2.

    >>> [round(float(r), 3) for r in Cosine(0.1, 4)([0, 2, 4, 9]).eval()]
    [0.1, 0.05, 0.0, 0.0]
    """

    __props__ = ("peak", "steps", "floor")

    def __init__(self, peak: float, steps: int, floor: float = 0.0) -> None:
        self.peak, self.steps, self.floor = _rate(peak), count("steps", steps), float(floor)

    def rate(self, t: Variable) -> Variable:
        """See the class."""
        done = at.minimum(t / float(self.steps), 1.0)
        return self.floor + (self.peak - self.floor) * 0.5 * (1.0 + at.cos(np.pi * done))


class Step(Schedule):
    """``peak`` times ``factor`` once more after every ``every`` steps: peak · factor^⌊t / every⌋.

    >>> [round(float(r), 4) for r in Step(0.1, 10)([0, 9, 10, 20]).eval()]
    [0.1, 0.1, 0.01, 0.001]
    """

    __props__ = ("peak", "every", "factor")

    def __init__(self, peak: float, every: int, factor: float = 0.1) -> None:
        self.peak, self.every, self.factor = _rate(peak), count("every", every), _rate(factor)

    def rate(self, t: Variable) -> Variable:
        """See the class."""
        return self.peak * at.pow(self.factor, at.floor(t / float(self.every)))


class Exponential(Schedule):
    """Smooth decay by ``factor`` every ``steps`` steps: peak · factor^(t / steps).

    >>> [round(float(r), 4) for r in Exponential(0.1, 10, 0.25)([0, 5, 10]).eval()]
    [0.1, 0.05, 0.025]
    """

    __props__ = ("peak", "steps", "factor")

    def __init__(self, peak: float, steps: int, factor: float) -> None:
        self.peak, self.steps, self.factor = _rate(peak), count("steps", steps), _rate(factor)

    def rate(self, t: Variable) -> Variable:
        """See the class."""
        return self.peak * at.pow(self.factor, t / float(self.steps))


class InverseRoot(Schedule):
    """``peak`` until it meets 1/√(t + 1), then that (Shazeer and Stern 2018, section 8).

    >>> [float(r) for r in InverseRoot(0.5)([0, 3, 15]).eval()]
    [0.5, 0.5, 0.25]
    """

    __props__ = ("peak",)

    def __init__(self, peak: float = 1e-2) -> None:
        self.peak = _rate(peak)

    def rate(self, t: Variable) -> Variable:
        """min(peak, 1/√(t + 1))."""
        return at.minimum(1.0 / at.sqrt(t + 1.0), self.peak)


class WarmUp(Schedule):
    """A line up to ``then`` over ``steps`` steps, after which ``then`` begins.

    then(0) · (t + 1) / (steps + 1) while t < steps, then(t − steps) from there on. ``then`` is a
    schedule or a number.

    >>> [round(float(r), 3) for r in WarmUp(0.1, 4)([0, 1, 3, 4, 9]).eval()]
    [0.02, 0.04, 0.08, 0.1, 0.1]
    """

    __props__ = ("then", "steps")

    def __init__(self, then: Schedule | float, steps: int) -> None:
        self.then = then if isinstance(then, Schedule) else _rate(then)
        self.steps = count("steps", steps)

    def rate(self, t: Variable) -> Variable:
        """See the class."""
        later = at.maximum(t - float(self.steps), 0.0)
        then = self.then(later) if isinstance(self.then, Schedule) else self.then
        return then * at.minimum((t + 1.0) / float(self.steps + 1), 1.0)


class OneCycle(Schedule):
    """Half a cosine up, half a cosine down: one cycle (Smith and Topin 2019).

    From peak / start up to ``peak`` over the share ``rise`` of ``steps``, then down to
    peak / start / end: the defaults are those of PyTorch and optax.

    >>> [round(float(r), 4) for r in OneCycle(1.0, 10)([0, 3, 10]).eval()]
    [0.04, 1.0, 0.0]
    """

    __props__ = ("peak", "steps", "rise", "start", "end")

    def __init__(
        self, peak: float, steps: int, rise: float = 0.3, start: float = 25.0, end: float = 1e4
    ) -> None:
        self.peak, self.steps, self.rise = _rate(peak), count("steps", steps), float(rise)
        self.start, self.end = _rate(start), _rate(end)
        if not 0 < self.rise < 1:
            raise ArgumentError(
                "the rise of a cycle is a share of its steps", expected="rise=0.3", got=repr(rise)
            )

    def rate(self, t: Variable) -> Variable:
        """See the class."""
        turn = self.rise * self.steps
        up = at.minimum(t / turn, 1.0)
        down = at.minimum(at.maximum(t - turn, 0.0) / (self.steps - turn), 1.0)
        low = self.peak / self.start
        bottom = low / self.end
        rising = low + (self.peak - low) * 0.5 * (1.0 - at.cos(np.pi * up))
        falling = bottom + (self.peak - bottom) * 0.5 * (1.0 + at.cos(np.pi * down))
        return at.switch(at.lt(t, turn), rising, falling)


def _rate(value: float) -> float:
    if not is_number(value) or not value > 0:
        raise ArgumentError("not a positive number", expected="such as 1e-3", got=repr(value))
    return float(value)
