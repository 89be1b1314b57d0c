"""The unconstrained scale: one flat vector for all free sites and trainable parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Variable
from numpy.typing import NDArray

from aeframe.core.cells import Parameter
from aeframe.core.shapes import narrow
from aeframe.core.supports import Support

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Block:
    """One site or parameter: its name, type and support, and its place in the vector."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    support: Support
    start: int
    parameter: Parameter | None = None

    @property
    def stop(self) -> int:
        """The end of its place."""
        return self.start + int(np.prod(self.shape, dtype=np.int64))

    def value(self, u: Variable) -> Variable:
        """The value that the vector ``u`` gives it."""
        part = at.reshape(u[self.start : self.stop], self.shape, ndim=len(self.shape))
        narrow(part.owner)
        made = self.support.forward(part)
        return made if made.type.dtype == self.dtype else made.astype(self.dtype)

    def unconstrained(self, value: Any) -> Vector:
        """The inverse of :meth:`value`, as a flat array."""
        return np.ravel(self.support.inverse(np.asarray(value, dtype="float64")))


def blocks(
    sites: Sequence[tuple[str, Variable, Support]], parameters: Sequence[Parameter]
) -> list[Block]:
    """Places for sites, then for parameters, in a row."""
    made: list[Block] = []
    start = 0
    for name, variable, support in sites:
        kind = variable.type
        made.append(Block(name, tuple(kind.shape), kind.dtype, support, start))
        start = made[-1].stop
    for p in parameters:
        name = p.name or "a parameter"
        made.append(Block(name, tuple(p.type.shape), p.type.dtype, p.support, start, p))
        start = made[-1].stop
    return made
