"""What all distributions share: arguments of any kind, a shape, and draws from explicit state."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, ClassVar, TypeAlias

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Apply, Constant, Variable
from aesara.tensor.random.op import RandomVariable
from aesara.tensor.type import TensorType, all_dtypes
from aesara.tensor.var import TensorConstant

from aeframe.core.errors import ArgumentError, DataError, ShapeError
from aeframe.core.shapes import is_tensor, shape_text
from aeframe.core.structure import Structure
from aeframe.core.supports import Support

Size: TypeAlias = "int | Variable"


class Distribution(Structure):
    """A family of distributions: subclass it as a frozen dataclass of its arguments.

    Arguments are numbers, arrays or symbolic: a Parameter, the output of a Module, another
    random variable. They broadcast against each other, and draws are independent.

    Attributes
    ----------
    op
        The Aesara random variable that draws, and by which its density is found.
    support
        The set that draws lie in.
    """

    op: ClassVar[RandomVariable]
    support: ClassVar[Support]

    def parameters(self) -> tuple[Any, ...]:
        """The parameters of :attr:`op`, in its order."""
        raise NotImplementedError(f"{type(self).__name__} does not name its parameters")

    def support_arguments(self) -> tuple[Any, ...]:
        """What the support depends on, where that is no constant: the ends of an interval."""
        return ()

    def draw(self, rng: Variable, shape: Sequence[Size] | None = None) -> tuple[Variable, Variable]:
        """The next random state, and a draw.

        Parameters
        ----------
        rng
            A random state: a :class:`~aeframe.core.cells.RandomState`, or what one became.
        shape
            Of the draw; by default the one that the arguments have together.

        Raises
        ------
        ShapeError
            When the arguments do not broadcast, or not to ``shape``.
        """
        given = [as_float(type(self).__name__, v) for v in self.parameters()]
        together = broadcast_shape(str(self.op.name), [v.type.shape for v in given])
        if shape is not None:
            _require_room(type(self).__name__, together, shape)
        elif None not in together:
            shape = [s for s in together if s is not None]
        if shape is None or any(isinstance(s, Variable) for s in shape):
            advanced, drawn = self.op.make_node(rng, shape, None, *given).outputs
            return advanced, drawn
        # the shape is known, so Aesara's search for it (2 ms a draw) is not needed
        known = tuple(int(s) for s in shape)
        kind = TensorType(self.op.dtype, known)
        inputs = [rng, _constant(known), _constant(all_dtypes.index(self.op.dtype)), *given]
        advanced, drawn = Apply(self.op, inputs, [rng.type(), kind()]).outputs
        return advanced, drawn


@lru_cache(maxsize=256)
def _constant(value: int | tuple[int, ...]) -> Constant:
    array = np.asarray(value, dtype="int64")
    return TensorConstant(TensorType("int64", array.shape), array)


def as_float(name: str, value: Any) -> Variable:
    """An argument as a float64 tensor."""
    if isinstance(value, Variable):
        if not is_tensor(value):
            raise ArgumentError(f"an argument of {name} is no tensor", got=str(value.type))
        return value if value.type.dtype == "float64" else value.astype("float64")
    return at.as_tensor(np.asarray(value, dtype="float64"))


def require_argument(name: str, value: Any, low: float, high: float, expected: str) -> None:
    """Refuse a number or array that is no argument: not finite, or not within the bounds.

    ``low`` and ``high`` themselves are allowed; symbolic arguments are not looked at.
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
    if not np.all(np.isfinite(array)) or np.any(array < low) or np.any(array > high):
        raise DataError(f"{name} has an impossible value", expected=expected, got=value)


def broadcast_shape(name: str, shapes: Sequence[Sequence[int | None]]) -> tuple[int | None, ...]:
    """The static shape that arrays of the given shapes have together, ``None`` if not known.

    >>> broadcast_shape("normal", [(3, 1), (None,), ()])
    (3, None)
    """
    ndim = max((len(s) for s in shapes), default=0)
    padded = [(*[1] * (ndim - len(s)), *s) for s in shapes]
    together: list[int | None] = []
    for sizes in zip(*padded, strict=True):
        known = {s for s in sizes if s is not None and s != 1}
        if len(known) > 1:
            raise ShapeError(
                f"the arguments of {name} do not broadcast",
                expected="equal sizes, or 1",
                got=" and ".join(shape_text(s) for s in shapes),
            )
        together.append(known.pop() if known else None if None in sizes else 1)
    return tuple(together)


def _require_room(name: str, own: Sequence[int | None], shape: Sequence[Size]) -> None:
    """Arguments of shape ``own`` must broadcast to ``shape``."""
    tail = list(shape)[max(len(shape) - len(own), 0) :]
    fits = len(own) <= len(shape) and all(
        s in (None, 1) or isinstance(t, Variable) or s == t for s, t in zip(own, tail, strict=True)
    )
    if not fits:
        raise ShapeError(
            f"the arguments of {name} do not fit the shape",
            expected=f"arguments that broadcast to {tuple(shape)}",
            got=shape_text(own),
            fix="leave out `shape`, or reshape the arguments",
        )
