"""Draws: one Apply for each, of an Aesara random variable or of a :class:`DrawOp`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Apply, Constant, Variable
from aesara.graph.type import Type
from aesara.tensor.random.op import RandomVariable
from aesara.tensor.type import TensorType, all_dtypes
from aesara.tensor.var import TensorConstant

from aeframe.core.errors import ShapeError
from aeframe.core.ops import TypedOp
from aeframe.core.shapes import shape_text

Size: TypeAlias = "int | Variable"
Shape: TypeAlias = "Sequence[int | None]"
Drawn: TypeAlias = tuple[Variable, Variable]


class DrawOp(TypedOp):
    """A random variable that Aesara has none of: ``(rng, *parameters) → (rng', draw)``.

    A subclass writes :meth:`sample` in Aesara's random variables, so that every backend can run
    it (and, where the draw is a smooth function of them, differentiate it), and
    :meth:`log_density`.

    Attributes
    ----------
    ndim_supp, ndims_params, dtype
        As in Aesara: the dimensions of one draw and of the parameters of one draw (0 where
        nothing is said), and the dtype of draws.
    shape
        Of the draw with all batch axes; ``None``: the one that the parameters have together.
    drawable
        Whether it has draws; what has none leaves the random state as it is, so that a site whose
        value is given needs none.
    """

    __props__: tuple[str, ...] = ("shape",)
    ndim_supp: int = 0
    ndims_params: Sequence[int] = ()
    dtype: str = "float64"
    drawable: bool = True
    default_output = 1

    def __init__(self, shape: Sequence[int] | None = None) -> None:
        self.shape = None if shape is None else tuple(shape)

    def sized(self, shape: Sequence[int] | None) -> DrawOp:
        """The same for draws of another shape."""
        props = {name: getattr(self, name) for name in self.__props__}
        return type(self)(**{**props, "shape": shape})

    def sample(self, rng: Variable, shape: Sequence[Size], *parameters: Variable) -> Drawn:
        """The next random state, and a draw of ``shape``."""
        raise NotImplementedError(f"{type(self).__name__} cannot be drawn")

    def log_density(self, value: Variable, *parameters: Variable) -> Variable:
        """The log density of each draw in ``value``: the shape without the last ``ndim_supp`` axes.

        It is −∞ outside of the support.
        """
        raise NotImplementedError(f"{type(self).__name__} has no density")

    def out_types(self, *inputs: Variable) -> Sequence[Type] | None:
        """From the shape: a Model that only asks for densities builds no body."""
        if self.shape is None:
            return None
        return inputs[0].type, TensorType(self.dtype, self.shape)

    def body(self, *inputs: Variable) -> Sequence[Variable]:
        """The draw."""
        rng, *parameters = inputs
        shape = self.shape if self.shape is not None else self._together(parameters)
        advanced, draw = self.sample(rng, shape, *parameters)
        draw = draw if draw.type.dtype == self.dtype else draw.astype(self.dtype)
        if self.shape is not None and draw.type.shape != self.shape:
            draw = at.specify_shape(draw, self.shape)
        return advanced, draw

    def _together(self, parameters: Sequence[Variable]) -> Any:
        """The batch shape that the parameters have together."""
        ndims = parameter_ndims(self, len(parameters))
        firsts = [
            p[(..., *(0,) * min(n, p.type.ndim))] for p, n in zip(parameters, ndims, strict=True)
        ]
        return at.broadcast_shape(*firsts)

    @property
    def name(self) -> str:
        """What messages call it."""
        return type(self).__name__.removesuffix("Op")


Family: TypeAlias = "RandomVariable | DrawOp"


def parameter_ndims(family: Family, n: int) -> Sequence[int]:
    """The dimensions that each of ``n`` parameters has for one draw: 0 if nothing is said."""
    said = tuple(family.ndims_params)
    return (*said, *(0,) * (n - len(said)))


def parts(draw: Variable) -> tuple[Family, list[Variable]] | None:
    """What ``draw`` was drawn from, and with which parameters; ``None`` if it is no draw itself."""
    node = draw.owner
    if node is None or draw is not node.outputs[-1]:
        return None
    if isinstance(node.op, RandomVariable):
        return node.op, node.inputs[3:]
    return (node.op, node.inputs[1:]) if isinstance(node.op, DrawOp) else None


def draw_of(
    name: str,
    family: Family,
    event: Shape,
    parameters: Sequence[Variable],
    rng: Variable,
    shape: Sequence[Size] | None,
) -> Drawn:
    """The next random state, and a draw of ``family``: ``event`` is the shape of one draw.

    Raises
    ------
    ShapeError
        When the parameters do not broadcast, or not to ``shape``.
    """
    ndims = parameter_ndims(family, len(parameters))
    together = (*batch_shape(name, family, parameters), *event)
    if shape is not None:
        _require_room(name, together, shape, len(event))
    elif None not in together:
        shape = [s for s in together if s is not None]
    known = shape is not None and not any(isinstance(s, Variable) for s in shape)
    if isinstance(family, DrawOp):
        if not known and family.ndim_supp:
            raise ShapeError(
                f"the shape of a draw of {name} is not known",
                expected="sizes that are numbers",
                got=shape_text(together),
                fix="pass `shape=` with numbers, or data of known shape",
            )
        if not known and shape is not None:
            parameters = [
                at.broadcast_to(p, (*shape, *(p.shape[i] for i in range(-n, 0))))
                if p.type.ndim >= n
                else p
                for p, n in zip(parameters, ndims, strict=True)
            ]
        advanced, drawn = family.sized(shape if known else None).make_node(rng, *parameters).outputs
        return (advanced if family.drawable else rng), drawn
    cut = None if shape is None else len(shape) - family.ndim_supp
    if not known:
        size = None if shape is None else list(shape)[:cut]
        advanced, drawn = family.make_node(rng, size, None, *parameters).outputs
        return advanced, drawn
    assert shape is not None
    # the shape is known, so Aesara's search for it (2 ms a draw) is not needed
    full = tuple(int(s) for s in shape)
    kind = TensorType(family.dtype, full)
    inputs = [rng, _constant(full[:cut]), _constant(all_dtypes.index(family.dtype)), *parameters]
    advanced, drawn = Apply(family, inputs, [rng.type(), kind()]).outputs
    return advanced, drawn


@lru_cache(maxsize=256)
def _constant(value: int | tuple[int, ...]) -> Constant:
    array = np.asarray(value, dtype="int64")
    return TensorConstant(TensorType("int64", array.shape), array)


def batch_shape(
    name: str, family: Family, parameters: Sequence[Variable]
) -> tuple[int | None, ...]:
    """The static batch shape that the parameters of ``family`` have together."""
    ndims = parameter_ndims(family, len(parameters))
    pairs = zip(parameters, ndims, strict=True)
    return broadcast_shape(name, [v.type.shape[: v.type.ndim - n] for v, n in pairs])


def broadcast_shape(name: str, shapes: Sequence[Shape]) -> tuple[int | None, ...]:
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


def _require_room(name: str, own: Shape, shape: Sequence[Size], n_event: int) -> None:
    """Arguments of shape ``own`` must broadcast to ``shape``, and fit its last ``n_event`` axes."""
    tail = list(shape)[max(len(shape) - len(own), 0) :]
    fits = len(own) <= len(shape) and all(
        (s == 1 and i < len(own) - n_event) or s is None or isinstance(t, Variable) or s == t
        for i, (s, t) in enumerate(zip(own, tail, strict=True))
    )
    if not fits:
        one = own[len(own) - n_event :]
        whole = f"write shape={(*shape, *one)}: the last axes are those of one draw"
        lacks = n_event and len(own) == n_event and tuple(shape)[-n_event:] != tuple(one)
        raise ShapeError(
            f"the arguments of {name} do not fit the shape",
            expected=f"arguments that broadcast to {tuple(shape)}",
            got=shape_text(own),
            fix=whole if lacks else "leave out `shape`, or reshape the arguments",
        )


def standard(op: RandomVariable, rng: Variable, shape: Sequence[Size], *parameters: Any) -> Drawn:
    """A draw of one of Aesara's random variables inside of :meth:`DrawOp.sample`."""
    given = [at.as_tensor(p) for p in parameters]
    advanced, drawn = op.make_node(rng, list(shape), None, *given).outputs
    return advanced, drawn
