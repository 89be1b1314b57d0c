"""Plates: the named axes of sites, with a size or a label for each entry.

A dimension has one size in a model. It is declared with its labels by ``self.plate``, or by the
first site that names it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from aesara.graph.basic import Variable

from aeframe.core.errors import ArgumentError, NameTakenError, ShapeError
from aeframe.core.shapes import shape_text
from aeframe.core.trace import Trace, current_trace
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
    known = _plates().setdefault(name, plate)
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
    """The names of a site's axes as a tuple."""
    names = (dims,) if isinstance(dims, str) else tuple(dims or ())
    if not all(n is None or isinstance(n, str) for n in names):
        raise ArgumentError(
            f"the dims of {site!r} are no names",
            path=site,
            expected='dims="school", or dims=("school", None) where an axis has no name',
            got=repr(dims),
        )
    return names


def declared_shape(dims: Dims) -> tuple[int, ...] | None:
    """The shape that ``dims`` say, if all of them are declared."""
    known = _plates()
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
        known = size_of(_plates().setdefault(name, size))
        if known != size:
            raise ShapeError(
                f"the dim {name!r} of {site!r} has the wrong size",
                path=site,
                expected=f"{known} entries, as where it was declared",
                got=str(size),
                fix="give the axis a name of its own, or draw the site with that size",
            )


def _plates() -> dict[str, Plate]:
    trace = current_trace()
    assert isinstance(trace, Trace)
    return trace.plates
