"""Plates: the named axes of sites, with a size or a label for each entry.

A dimension has one size in a model. It is declared with its labels by ``self.plate``, or by the
first site that names it.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, TypeAlias

import numpy as np
from aesara.graph.basic import Variable

from aeframe.core.errors import ArgumentError, NameTakenError, ShapeError, UnknownNameError
from aeframe.core.shapes import shape_text
from aeframe.core.trace import Trace, current_trace
from aeframe.distributions import Distribution
from aeframe.distributions.draws import Drawn
from aeframe.prob.sites import Dims

Plate: TypeAlias = "int | tuple[Any, ...]"


def declare(name: str, entries: int | Sequence[Any]) -> str:
    """Give the dimension ``name`` a size, or a label for each of its entries.

    Raises
    ------
    NameTakenError
        When it has another size or other labels.
    """
    plate: Plate = int(entries) if hasattr(entries, "__index__") else tuple(entries)
    if not isinstance(name, str) or not name or size_of(plate) < 1:
        raise ArgumentError(
            "a plate needs a name and at least one entry",
            expected='self.plate("school", 8), or labels: self.plate("school", ["A", "B"])',
            got=f"{name!r}, {entries!r}",
        )
    known = _trace().plates.setdefault(name, plate)
    _trace().declared.add(name)
    if known != plate:
        raise NameTakenError(
            f"the plate {name!r} is declared twice",
            path=name,
            expected=f"{size_of(known)} entries, as before",
            got=f"{size_of(plate)}",
            fix="give each its own name",
        )
    return name


def size_of(plate: Plate) -> int:
    """The number of entries."""
    return plate if isinstance(plate, int) else len(plate)


def as_dims(site: str, dims: str | Sequence[str | None] | None) -> Dims:
    """The names of a site's axes as a tuple.

    Raises
    ------
    UnknownNameError
        When one is new, and close to the name of a plate.
    """
    names = (dims,) if isinstance(dims, str) else tuple(dims or ())
    if not all(n is None or isinstance(n, str) for n in names):
        raise ArgumentError(
            f"the dims of {site!r} are no names",
            path=site,
            expected='dims="school", or dims=("school", None) where an axis has no name',
            got=repr(dims),
        )
    for name in names:
        _require_no_slip(site, name)
    return names


def _require_no_slip(site: str, name: str | None) -> None:
    """Refuse a new name that differs from that of a plate in a letter or two."""
    trace = _trace()
    if name is None or name in trace.plates or not trace.declared:
        return
    close = get_close_matches(name, list(trace.plates), cutoff=0.8)
    if any(_letters(name) != _letters(other) for other in close):
        raise UnknownNameError(
            f"the dim {name!r} of {site!r} is no plate of the model",
            path=site,
            got=name,
            fix=f"did you mean {close[0]!r}? If not, declare it: self.plate({name!r}, size)",
        )


def _letters(name: str) -> str:
    """A name without the marks that tell apart two axes of one kind, such as a number."""
    return "".join(c for c in name if c.isalpha())


def draw(
    site: str,
    distribution: Distribution,
    rng: Variable,
    shape: int | Sequence[int | Variable] | None,
    dims: Dims,
) -> Drawn:
    """The next random state, and a draw of ``shape``, by default that of declared ``dims``."""
    if shape is None:
        size: Any = declared_shape(dims)
    else:
        size = (shape,) if isinstance(shape, int | np.integer | str) else tuple(shape)
        if not all(isinstance(s, Variable) or _is_size(s) for s in size):
            raise ArgumentError(
                f"the shape of {site!r} is none",
                path=site,
                expected="the size of each axis, such as shape=(3,)",
                got=repr(shape),
            )
    try:
        return distribution.draw(rng, size)
    except ShapeError as error:
        plates = [
            f"the plate {n!r} has {size_of(_trace().plates[n])} entries"
            for n in dims
            if n in _trace().plates
        ]
        raise ShapeError(
            f"the site {site!r} cannot be drawn: {error.problem}",
            path=site,
            expected="; ".join([str(error.expected), *plates]),
            got=error.got,
            fix=error.fix,
        ) from error


def _is_size(size: Any) -> bool:
    return hasattr(size, "__index__") and int(size) >= 0


def declared_shape(dims: Dims) -> tuple[int, ...] | None:
    """The shape that ``dims`` say, if all of them are declared."""
    known = _trace().plates
    if not dims or not all(n in known for n in dims):
        return None
    return tuple(size_of(known[n]) for n in dims if n is not None)


def require_dims(site: str, dims: Dims, variable: Variable) -> None:
    """Refuse dims that are not those of ``variable``; a new one gets its size.

    Raises
    ------
    ShapeError
        When there are more or fewer names than axes, or an axis has another size.
    """
    shape = variable.type.shape
    if dims and len(dims) != len(shape):
        raise ShapeError(
            f"{site!r} has {len(shape)} axes and {len(dims)} dims",
            path=site,
            expected="a name for each axis, None for one that has none",
            got=f"{dims} for {shape_text(shape)}",
        )
    for name, size in zip(dims, shape, strict=False):
        if name is None or size is None:
            continue
        known = size_of(_trace().plates.setdefault(name, size))
        if known != size:
            raise ShapeError(
                f"the dim {name!r} of {site!r} has the wrong size",
                path=site,
                expected=f"{known} entries, as where it was declared",
                got=str(size),
                fix="give the axis a name of its own, or draw the site with that size",
            )


def _trace() -> Trace:
    trace = current_trace()
    assert isinstance(trace, Trace)
    return trace
