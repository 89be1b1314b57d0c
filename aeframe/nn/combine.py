"""Combinators: Modules and functions in a row, beside each other, or around the identity."""

from __future__ import annotations

from collections.abc import Callable

import aesara.tensor as at
from aesara.graph.basic import Variable

from aeframe.core.errors import ArgumentError
from aeframe.nn.layers import Layer

Part = Callable[[Variable], Variable]


class Sequential(Layer):
    """Parts in a row; a part is a Module or a function such as ``nn.relu``.

    >>> import numpy as np
    >>> from aeframe import nn
    >>> Sequential(nn.Dense(4), nn.relu, nn.Dense(2))(np.ones((3, 5))).shape
    (3, 2)
    """

    def __init__(self, *parts: Part) -> None:
        self.parts = _checked(parts)

    def __call__(self, x: Variable) -> Variable:
        """Each part on what the one before made."""
        for part in self.parts:
            x = part(x)
        return x


class Residual(Layer):
    """x + the parts in a row on x (He et al. 2016)."""

    def __init__(self, *parts: Part) -> None:
        self.parts = _checked(parts)

    def __call__(self, x: Variable) -> Variable:
        """The sum; the parts keep the shape of ``x``."""
        y = x
        for part in self.parts:
            y = part(y)
        return x + y


class Parallel(Layer):
    """Parts beside each other on one input, joined along the last axis."""

    def __init__(self, *parts: Part) -> None:
        self.parts = _checked(parts)

    def __call__(self, x: Variable) -> Variable:
        """What the parts make, side by side."""
        return at.concatenate([part(x) for part in self.parts], axis=-1)


def _checked(parts: tuple[Part, ...]) -> list[Part]:
    for i, part in enumerate(parts):
        if not callable(part):
            raise ArgumentError(
                "a part is a Module or a function",
                path=f"parts[{i}]",
                expected="Sequential(nn.Dense(8), nn.relu)",
                got=repr(part),
            )
    return list(parts)
