"""Transformed: the distribution of a function of a draw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from aesara.graph.basic import Variable

from aeframe.core.cells import RandomState
from aeframe.core.errors import ArgumentError
from aeframe.core.supports import Integers, Support
from aeframe.distributions.base import Distribution, as_value
from aeframe.distributions.draws import Drawn, Shape, Size
from aeframe.distributions.images import between, ends_of, image
from aeframe.distributions.rules import density_of_expression


@dataclass(frozen=True, eq=False)
class Transformed(Distribution):
    """The distribution of ``function(x)``, with x drawn from ``distribution``.

    The density is found by rules through chains of invertible maps, as that of any expression
    is: see :mod:`aeframe.distributions.rules`.

    Parameters
    ----------
    distribution
        Of x.
    function
        From a symbolic tensor to another, such as ``at.exp``; for files a registered function.
    image
        The set it leads into; by default found for chains of the maps of
        :data:`~aeframe.distributions.maps.MAPS` with constants that are numbers.

    Raises
    ------
    DensityError
        When no density is found, at the first use of it.

    >>> from aeframe.distributions import Normal
    >>> import aesara.tensor as at
    >>> log_normal = Transformed(Normal(0.0, 1.0), at.exp)
    >>> log_normal.support, round(float(log_normal.log_density(1.0).eval()), 4)
    (Positive(), -0.9189)
    """

    distribution: Distribution
    function: Callable[[Variable], Variable]
    image: Support | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.distribution, Distribution) or not callable(self.function):
            raise ArgumentError(
                "Transformed takes a distribution and a function",
                got=f"{self.distribution!r} and {self.function!r}",
            )

    def draw(self, rng: Variable, shape: Sequence[Size] | None = None) -> Drawn:
        """The function of a draw."""
        advanced, drawn = self.distribution.draw(rng, shape)
        return advanced, self.function(drawn)

    def log_density(self, value: Any) -> Variable:
        """By rules, entry by entry; of vectors their sum."""
        symbol = as_value(value)
        shape = symbol.type.shape if None not in symbol.type.shape else tuple(symbol.shape)
        _, drawn = self.draw(RandomState(), shape)
        return density_of_expression(drawn, symbol, entrywise=not self.event_shape())

    @property
    def support(self) -> Support:  # type: ignore[override]
        """The image; where it was not given, that of an interval or of whole numbers.

        Raises
        ------
        ArgumentError
            When it is not known.
        """
        if self.image is not None:
            return self.image
        inner = self.distribution.support
        found: Support | None = None
        if not self.event_shape():
            _, x = self.distribution.draw(RandomState())
            made = self.function(x)
            if inner.discrete and np.dtype(made.type.dtype).kind in "iu":
                found = Integers()
            elif not inner.discrete:
                ends = image(made, {x: ends_of(inner)}.get)
                found = None if ends is None else between(*ends)
        if found is None:
            raise ArgumentError(
                "the support of a transformed variable is not known",
                got=f"{self.function} on {inner}",
                fix="pass it: Transformed(distribution, function, image=ae.Positive())",
            )
        return found

    def event_shape(self) -> Shape:
        """That of the distribution."""
        return self.distribution.event_shape()
