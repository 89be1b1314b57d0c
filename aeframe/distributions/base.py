"""What all distributions share: arguments of any kind, draws from explicit state, a density."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Variable

from aeframe.core.errors import ArgumentError, DataError
from aeframe.core.shapes import is_tensor
from aeframe.core.structure import Structure
from aeframe.core.supports import Support
from aeframe.distributions.density import LeafDensityOp
from aeframe.distributions.draws import Drawn, Family, Shape, Size, draw_of


@dataclass(frozen=True)
class Domain:
    """What an argument may be: numbers from ``low`` to ``high``, both included."""

    low: float
    high: float
    text: str
    whole: bool = False


_TINY = float(np.finfo("float64").tiny)
FINITE = Domain(-np.inf, np.inf, "a finite number")
ABOVE_0 = Domain(_TINY, np.inf, "a number above 0")
PROBABILITY = Domain(0.0, 1.0, "a probability, 0 <= p <= 1")
NOT_BELOW_0 = Domain(0.0, np.inf, "a number, 0 or above")
WHOLE = Domain(-np.inf, np.inf, "a whole number", whole=True)
COUNT = Domain(0, np.inf, "a whole number, 0 or above", whole=True)


class Distribution(Structure):
    """A family of distributions: subclass it as a frozen dataclass of its arguments.

    Arguments are numbers, arrays or symbolic: a Parameter, the output of a Module, another
    random variable. They broadcast against each other, and draws are independent.

    Attributes
    ----------
    op
        What draws, and by which the density is found: an Aesara random variable, or a
        :class:`~aeframe.distributions.DrawOp`.
    support
        The set that draws lie in.
    domains
        Argument → what it may be.
    counts
        The places of those parameters of :attr:`op` that are whole numbers.
    """

    op: ClassVar[Family]
    support: ClassVar[Support]
    domains: ClassVar[Mapping[str, Domain]] = {}
    counts: ClassVar[Sequence[int]] = ()

    def __post_init__(self) -> None:
        for name, domain in self.domains.items():
            value = getattr(self, name)
            if value is not None:
                require_argument(f"the {name} of {type(self).__name__}", value, domain)

    def parameters(self) -> tuple[Any, ...]:
        """The parameters of :attr:`op`, in its order; by default the arguments."""
        return tuple(getattr(self, f.name) for f in fields(self))  # type: ignore[arg-type]

    def support_arguments(self) -> tuple[Any, ...]:
        """The arguments of the map of :attr:`support`, such as symbolic ends of an interval."""
        return ()

    def event_shape(self) -> Shape:
        """The shape of one draw: ``()`` for numbers."""
        return ()

    def draw(self, rng: Variable, shape: Sequence[Size] | None = None) -> Drawn:
        """The next random state, and a draw.

        Parameters
        ----------
        rng
            A random state: a :class:`~aeframe.core.cells.RandomState`, or what one became.
        shape
            Of the draw, batch and event; by default the one that the arguments have together.

        Raises
        ------
        ShapeError
            When the arguments do not broadcast, or not to ``shape``.
        """
        name = type(self).__name__
        return draw_of(name, self.op, self.event_shape(), self.given(), rng, shape)

    def log_density(self, value: Any) -> Variable:
        """The log density of each draw in ``value``, symbolically; −∞ outside of the support.

        >>> from aeframe.distributions import Exponential
        >>> round(float(Exponential(rate=2.0).log_density(1.0).eval()), 4)
        -1.3069
        """
        return LeafDensityOp(self.op)(as_value(value), *self.given())

    def given(self) -> list[Variable]:
        """The parameters as tensors."""
        return [
            as_parameter(type(self).__name__, v, "int64" if i in self.counts else "float64")
            for i, v in enumerate(self.parameters())
        ]


def as_value(value: Any) -> Variable:
    """A value as a tensor; numbers in NumPy's dtype, as Aesara's may be float32."""
    return value if isinstance(value, Variable) else at.as_tensor(np.asarray(value))


def as_parameter(name: str, value: Any, dtype: str = "float64") -> Variable:
    """A parameter as a tensor of ``dtype``."""
    if isinstance(value, Variable):
        if not is_tensor(value):
            raise ArgumentError(f"an argument of {name} is no tensor", got=str(value.type))
        return value if value.type.dtype == dtype else value.astype(dtype)
    return at.as_tensor(np.asarray(value, dtype=dtype))


def require_argument(name: str, value: Any, domain: Domain) -> None:
    """Refuse a number or array that is no argument: not finite, or not within the domain.

    Symbolic arguments are not looked at.
    """
    if isinstance(value, Variable):
        return
    try:
        array = np.asarray(value, dtype="float64")
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"{name} is no number",
            expected="a number, an array, a Parameter or another symbolic variable",
            got=repr(value),
        ) from error
    within = np.all(np.isfinite(array)) and np.all((array >= domain.low) & (array <= domain.high))
    if not within or (domain.whole and np.any(array != np.floor(array))):
        raise DataError(f"{name} has an impossible value", expected=domain.text, got=value)


def require_one(name: str, **given: Any) -> None:
    """Raise :class:`ArgumentError` unless exactly one of the arguments is given."""
    named = [k for k, v in given.items() if v is not None]
    if len(named) != 1:
        raise ArgumentError(
            f"{name} takes one of its arguments {', '.join(given)}",
            expected="exactly one",
            got=" and ".join(named) or "none",
        )


def is_known(*values: Any) -> bool:
    """Whether all of ``values`` are plain numbers."""
    return all(not isinstance(v, Variable) and np.ndim(v) == 0 for v in values)
