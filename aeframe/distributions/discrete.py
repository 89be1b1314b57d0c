"""Distributions on integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from aesara.tensor.random.basic import BernoulliRV

from aeframe.core.supports import Binary, Support
from aeframe.distributions.base import Distribution, require_argument


@dataclass(frozen=True, eq=False)
class Bernoulli(Distribution):
    """1 with probability ``p``, else 0; draws are integers, so that they can index.

    >>> from aeframe.core import RandomState
    >>> Bernoulli(0.5).draw(RandomState())[1].type.dtype
    'int64'
    """

    p: Any = 0.5
    op: ClassVar[BernoulliRV] = BernoulliRV(dtype="int64")
    support: ClassVar[Support] = Binary()

    def __post_init__(self) -> None:
        require_argument("the p of Bernoulli", self.p, 0.0, 1.0, "a probability, 0 <= p <= 1")

    def parameters(self) -> tuple[Any, ...]:
        """The probability of 1."""
        return (self.p,)
