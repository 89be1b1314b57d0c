"""Sites: the named variables of a Model, each one Apply of a typed Op in the graph.

A site's Op is the identity on its draw. It carries the name through rewriting and merging, and
gives passes a place to act: `observe` and `intervene` change the graph at sites only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Apply, Variable

from aeframe.core.errors import (
    ArgumentError,
    DataError,
    NameTakenError,
    ShapeError,
    StateError,
    UnknownNameError,
    nearest,
)
from aeframe.core.graph import Graph, remake, toposort
from aeframe.core.ops import TypedOp
from aeframe.core.places import settle, without_truth
from aeframe.core.shapes import compatible, is_tensor, shape_text
from aeframe.core.supports import Real, Support
from aeframe.core.trace import current_trace
from aeframe.distributions import parts
from aeframe.rewrites import describe

Dims: TypeAlias = "tuple[str | None, ...]"


class SiteOp(TypedOp):
    """A site: the identity on its draw (or on its value).

    ``kind`` is ``"random"`` (drawn, and part of the log joint), ``"deterministic"`` (computed)
    or ``"do"`` (set by an intervention); ``dims`` are the names of its axes, if it has any.
    What the support of a drawn site depends on are further inputs.

    >>> from aeframe.core import Real
    >>> SiteOp("y", "random", Real())(at.dscalar()).owner.op.name
    'y'
    """

    __props__ = ("name", "kind", "support", "dims")

    def __init__(self, name: str, kind: str, support: Support, dims: Dims = ()) -> None:
        self.name, self.kind, self.support, self.dims = name, kind, support, dims

    def body(self, draw: Variable, *arguments: Variable) -> Variable:
        """The draw itself."""
        return draw

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class ObserveOp(TypedOp):
    """An observed site: ``(draw, value) → value``; the pair is what a density needs."""

    __props__ = ("name", "support", "dims")
    kind = "observed"

    def __init__(self, name: str, support: Support, dims: Dims = ()) -> None:
        self.name, self.support, self.dims = name, support, dims

    def body(self, draw: Variable, value: Variable) -> Variable:
        """The value that was observed."""
        return value

    def __str__(self) -> str:
        return f"observed {self.name}"


def sites_of(results: Iterable[Variable]) -> dict[str, Apply]:
    """The sites that a graph depends on, by name, each after those it needs."""
    return {n.op.name: n for n in toposort(results) if isinstance(n.op, SiteOp | ObserveOp)}


def rewrite_sites(graph: Graph, makers: Mapping[Apply, Callable[[Apply], Variable]]) -> Graph:
    """Put what ``makers`` make of sites in their place; each gets the site on its new inputs."""

    def transform(node: Apply, inputs: list[Variable]) -> list[Variable] | None:
        make = makers.get(node)
        if make is None:
            return None
        made = make(remake(node, inputs))
        made.name = node.outputs[0].name
        return [made]

    return graph.replay({}, transform)


def site_prefix() -> str:
    """What names of sites start with in the Model being called: its path and a dot, or nothing."""
    trace = current_trace()
    path = trace.paths[-1] if trace is not None and trace.paths else ""
    return f"{path}." if path else ""


def full_name(name: str) -> str:
    """The name of a new site in the Model being called.

    Raises
    ------
    NameTakenError
        When the Model has a site of that name.
    """
    trace = current_trace()
    if trace is None or not trace.stack:
        raise StateError(
            f"the site {name!r} was sampled outside of a Model's call",
            fix="call `self.sample(...)` inside `__call__`",
        )
    if not isinstance(name, str) or not name:
        raise ArgumentError("a site needs a name", expected="a text", got=repr(name))
    full = site_prefix() + name
    if full in trace.sites:
        raise NameTakenError(
            f"two sites are called {name!r}",
            path=full,
            fix="give each a name of its own, or draw them as one site with `shape=`",
        )
    return full


def record(site: Variable) -> Variable:
    """Make ``site`` one of the sites of the lowering in progress."""
    trace = current_trace()
    assert trace is not None
    settle([site])  # what it is made of belongs to this Model, not to what uses it
    site.name = without_truth(site).owner.op.name
    trace.sites[site.name] = site
    return site


def find_site(name: str, sites: Mapping[str, Any], verb: str) -> Any:
    """The site of that name.

    Raises
    ------
    UnknownNameError
        When there is none; the message lists the nearest names.
    """
    if name not in sites:
        raise UnknownNameError(
            f"cannot {verb} {name!r}: the model has no such site",
            path=name,
            expected="a site of the model",
            fix=nearest(name, list(sites)),
        )
    return sites[name]


def require_fitting(node: Apply, value: Variable, verb: str, broadcast: bool = False) -> Variable:
    """``value`` in the dtype and shape of the site ``node``.

    Raises
    ------
    ShapeError
        When it has another shape (or, with ``broadcast``, does not broadcast to the site's).
    """
    site = node.outputs[0]
    if not is_tensor(value):
        raise ArgumentError(f"cannot {verb} a {value.type}", path=node.op.name)
    own, got = site.type.shape, value.type.shape
    spread = broadcast and len(got) <= len(own) and got != own
    tail = own[len(own) - len(got) :] if spread else own
    fits = len(tail) == len(got) and all(
        compatible(a, b) or (spread and b == 1) for a, b in zip(tail, got, strict=True)
    )
    if not fits:
        raise ShapeError(
            f"the value for {node.op.name!r} has the wrong shape",
            path=node.op.name,
            expected=shape_text(own),
            got=shape_text(got),
            fix="pass one value for each draw of the site; plates are made with `shape=`",
        )
    if value.type.dtype != site.type.dtype:
        value = value.astype(site.type.dtype)
    if spread:
        value = at.alloc(value, *sizes_of(node))
    return value


def sizes_of(node: Apply) -> list[Any]:
    """The sizes of a site: numbers where they are known, else what its draw will have."""
    draw = node.inputs[0]
    return [draw.shape[i] if s is None else s for i, s in enumerate(node.outputs[0].type.shape)]


def require_possible(node: Apply, array: Any, verb: str) -> None:
    """Raise :class:`DataError` unless every entry of ``array`` is a value the site can have."""
    name, support = node.op.name, node.op.support
    if not support.contains(array):
        raise DataError(
            f"cannot {verb} {name!r}: the value lies outside its support",
            path=name,
            expected=str(support),
            got=array if np.size(array) < 9 else f"values from {np.min(array)} to {np.max(array)}",
        )


def require_set(node: Apply, values: Any) -> None:
    """Raise :class:`DataError` unless values computed for a set site are some it can have.

    What may be any number is not looked at.
    """
    if node.op.kind == "do" and node.op.support != Real() and np.size(values):
        require_possible(node, values, "set")


def tell(node: Apply) -> str:
    """A site as one line of text: ``y ~ normal(mu, 1)``."""
    name = node.op.name
    if isinstance(node.op, ObserveOp):
        return f"{name} is observed"
    draw = node.inputs[0]
    if (found := parts(draw)) is not None:
        op, parameters = found
        return f"{name} ~ {op.name}({', '.join(map(_short, parameters))})"
    return f"{name} = {describe(draw, 1)}"


def _short(variable: Variable) -> str:
    """A variable as a word: the name of a site, a number, the Op that made it."""
    if variable.owner is not None and isinstance(variable.owner.op, SiteOp | ObserveOp):
        return variable.owner.op.name
    return describe(variable, 0)
