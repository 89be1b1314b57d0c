"""Windows that slide over (n, h, w, c): what convolutions and pooling share.

A *tap* is one position in the window; the entries of ``x`` under it, one for each place of the
window, are a strided slice. Sizes are numbers where they are static, and symbolic elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Variable
from aesara.graph.op import Op

from aeframe.core.arguments import is_integer
from aeframe.core.errors import ArgumentError, ShapeError
from aeframe.core.shapes import shape_text
from aeframe.core.trace import current_path

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]


def pair(name: str, value: Any, least: int = 1) -> Pair:
    """``value`` as two integers, of height and width, not below ``least``.

    Raises
    ------
    ArgumentError
        When it is something else.

    >>> pair("stride", [2, 2])
    (2, 2)
    """
    listed = list(value) if isinstance(value, Sequence | np.ndarray) else [value]
    if len(listed) != 2 or not all(map(is_integer, listed)) or min(listed) < least:
        raise ArgumentError(
            f"`{name}` is not a pair of integers from {least}",
            path=current_path(),
            expected=f"{name}=({least}, {least}), for height and width",
            got=repr(value),
        )
    return int(listed[0]), int(listed[1])


def padding_pairs(value: Any) -> Padding:
    """``((top, bottom), (left, right))`` of integers not below 0."""
    listed = list(value) if isinstance(value, Sequence) else []
    if len(listed) != 2:
        raise ArgumentError(
            "`padding` is not a pair of pairs",
            path=current_path(),
            expected="padding=((top, bottom), (left, right))",
            got=repr(value),
        )
    return pair("padding", listed[0], 0), pair("padding", listed[1], 0)


def sizes(x: Variable) -> list[Any]:
    """The sizes of ``x`` along its axes: integers where static."""
    return [x.shape[i] if s is None else s for i, s in enumerate(x.type.shape)]


def places(x: Variable, reach: Pair, stride: Pair, padding: Padding) -> tuple[Any, Any]:
    """How often a window that reaches over ``reach`` entries fits, along height and width."""
    _, h, w, _ = sizes(x)
    down = (h + sum(padding[0]) - reach[0]) // stride[0] + 1
    across = (w + sum(padding[1]) - reach[1]) // stride[1] + 1
    return down, across


def require_fit(op: Op, x: Variable, reach: Pair, padding: Padding) -> None:
    """Raise :class:`ShapeError` when a window is larger than the padded ``x``."""
    for axis, size, extra in zip((1, 2), reach, padding, strict=True):
        there = x.type.shape[axis]
        if there is not None and there + sum(extra) < size:
            raise ShapeError(
                f"the window of {op} is larger than its padded input",
                path=current_path(),
                expected=f"at least {size - sum(extra)} entries along axis {axis}",
                got=shape_text(x.type.shape),
                fix="pad more, or take a smaller window or dilation",
            )


def pad(x: Variable, padding: Any, value: float = 0) -> Variable:
    """``x`` with rows and columns of ``value`` around it."""
    for axis, around in enumerate(padding, start=1):
        parts = [x]
        for position, extra in zip((0, len(parts) + 1), around, strict=True):
            if not isinstance(extra, int) or extra:
                shape = [extra if i == axis else s for i, s in enumerate(sizes(x))]
                parts.insert(position, at.alloc(np.asarray(value, x.type.dtype), *shape))
        x = at.concatenate(parts, axis=axis) if len(parts) > 1 else x
    return x


def under(
    tap: Pair, out: Sequence[Any], stride: Pair, dilation: Pair = (1, 1)
) -> tuple[slice, slice, slice]:
    """The index of the entries under a tap, for ``out`` places of the window."""
    starts = [i * d for i, d in zip(tap, dilation, strict=True)]
    stops = [a + s * (o - 1) + 1 for a, s, o in zip(starts, stride, out, strict=True)]
    along = [slice(a, b, s) for a, b, s in zip(starts, stops, stride, strict=True)]
    return (slice(None), along[0], along[1])


def taps(window: Pair) -> list[Pair]:
    """The positions in a window, row by row.

    >>> taps((1, 2))
    [(0, 0), (0, 1)]
    """
    return list(product(range(window[0]), range(window[1])))
