"""Intervene: the pass that sets sites, Pearl's ``do`` and its soft and conditional relatives.

Its laws, for a site ``x`` of a Model ``m``:

* what depends on ``x`` sees the new value; what ``x`` depends on does not change;
* the factor of ``x`` leaves the log joint (or becomes that of the distribution it is set to);
* the last intervention on ``x`` wins, unless it is a function of the natural value;
* ``m`` and its programs stay as they are; from one seed both draw the same noise.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Apply, Constant, Variable

from aeframe.core.cells import RandomState, State
from aeframe.core.errors import ArgumentError, DataError, ShapeError, UnknownNameError, nearest
from aeframe.core.graph import Graph, replay, toposort
from aeframe.core.shapes import compatible, shape_text
from aeframe.core.supports import (
    Binary,
    Bounded,
    Integers,
    Interval,
    Positive,
    Real,
    Support,
)
from aeframe.core.trace import current_trace
from aeframe.distributions import Distribution
from aeframe.prob import Model, ObserveOp, SiteOp, sites_of
from aeframe.prob.observe import as_value
from aeframe.prob.sites import (
    find_site,
    require_fitting,
    require_possible,
    rewrite_sites,
    site_prefix,
    sizes_of,
    tell,
)
from aeframe.rewrites import Pass, Report, Step, describe

M = TypeVar("M", bound=Model)


def intervene(model: M, changes: Mapping[str, Any]) -> M:
    """A Model in which sites are set; it shares the cells of ``model``.

    Parameters
    ----------
    changes
        Site → what it becomes: a number or an array; a symbolic expression, in which sites of
        ``model.expression()`` stand for the sites of the new Model; a distribution; a function
        of the natural value (the one the site would have had), and of all sites by name if it
        takes two arguments; or a dict of some entries, by their labels in the plates (numbers
        where they have none): the others keep their natural values.

    Raises
    ------
    UnknownNameError
        When there is no such site.
    ShapeError, DataError, ArgumentError
        When a value has another shape, is impossible for its site, or depends on it; at the
        first use.

    >>> from aeframe.distributions import Normal
    >>> class Chain(Model):
    ...     def __call__(self):
    ...         x = self.sample("x", Normal(0, 1))
    ...         self.sample("y", Normal(2 * x, 1))
    >>> done = Chain().intervene({"x": 3})
    >>> round(float(done.log_prob({"y": 2.0})), 4)
    -8.9189
    """
    model.require_names(changes, "intervene on")
    return model.with_pass(Intervene(changes))


class Intervene(Pass):
    """Set sites; see :func:`intervene`.

    Numbers and arrays are kept in cells, so that a file holds them. A function can be written to
    a file when it is registered with ``ae.register``.
    """

    def __init__(self, changes: Mapping[str, Any]) -> None:
        self.changes = {name: _change(name, c) for name, c in changes.items()}
        self.random_state = RandomState()

    def __call__(self, graph: Graph) -> tuple[Graph, Report]:
        """Set closed values all at once, then those that may depend on sites, one by one."""
        prefix = site_prefix()
        sites = sites_of(graph.results)
        makers: dict[Apply, Callable[[Apply], Variable]] = {}
        steps: list[Step] = []
        for name, change in self.changes.items():
            node = find_site(prefix + name, sites, "intervene on")
            if isinstance(change, State):
                require_possible(node, change.numpy(), "set")
                makers[node] = partial(_set, value=change)
                steps.append(_step(node, _set(node, change), change))
        graph = rewrite_sites(graph, makers)
        for name, change in self.changes.items():
            if not isinstance(change, State):
                graph, step = self._open(graph, prefix + name, prefix, change)
                steps.append(step)
        return graph, Report("intervene", tuple(steps))

    def _open(self, graph: Graph, name: str, prefix: str, change: Any) -> tuple[Graph, Step]:
        """Set one site to an expression, a distribution or a function."""
        sites = sites_of(graph.results)
        node = find_site(name, sites, "intervene on")
        site, natural = node.outputs[0], _natural(node)
        if isinstance(change, dict):
            change = _entries(node, natural, change)
        elif isinstance(change, Variable):
            change = _relinked(change, {**sites, name: natural.owner}, natural, name)
        elif not isinstance(change, Distribution):
            by_name = {k.removeprefix(prefix): n.outputs[0] for k, n in sites.items()}
            by_name[name.removeprefix(prefix)] = natural
            change = _call(change, name, natural, _Sites(by_name))
        updates = dict(graph.updates)
        if isinstance(change, Distribution):
            _require_within(node, change.support)
            state = self.random_state
            updates[state], draw = change.draw(updates.get(state, state), sizes_of(node))
            arguments = change.support_arguments()
            new = SiteOp(name, "random", change.support, node.op.dims)(draw, *arguments)
        else:
            value = _as_tensor(name, change)
            _require_whole(node, value)
            new = _set(node, value)
        if site.owner in toposort([new], [natural]):
            raise ArgumentError(
                f"the intervention on {name!r} is a cycle: its value depends on {name!r} itself",
                path=name,
                expected="a value that depends on no descendant of the site",
                got=describe(new, 2),
                fix="use the natural value, the function's argument: {x: lambda natural: ...}",
            )
        new.name = site.name
        changed = Graph(graph.inputs, graph.outputs, updates, graph.names)
        return changed.replay({site: new}), _step(node, new, change)


def _change(name: str, change: Any) -> Any:
    """A value, or those of some entries, as cells; a distribution or a function as it is."""
    if isinstance(change, type):
        raise ArgumentError(
            f"the intervention on {name!r} is a class",
            path=name,
            expected="a value, a distribution or a function",
            got=change.__name__,
            fix=f"call it: {change.__name__}(...)",
        )
    if isinstance(change, Distribution) or callable(change):
        return change
    if isinstance(change, Mapping):
        for label, value in change.items():
            if isinstance(value, Distribution | Mapping) or callable(value):
                raise ArgumentError(
                    f"the entry {label!r} of {name!r} is set to what is no value",
                    path=name,
                    expected="a number, an array or a symbolic expression",
                    got=repr(value),
                    fix="give a function of the whole site: lambda natural: at.switch(mask, ...)",
                )
        return {label: as_value(name, v) for label, v in change.items()}
    return as_value(name, change)


def _entries(node: Apply, natural: Variable, values: Mapping[Any, Variable]) -> Variable:
    """The natural value with other values in some entries.

    Raises
    ------
    UnknownNameError
        When there is no such entry.
    """
    trace = current_trace()
    plates = trace.plates if trace is not None else {}
    sizes = node.outputs[0].type.shape
    dims = node.op.dims or (None,) * len(sizes)
    for label, value in values.items():
        if isinstance(value, State):
            require_possible(node, value.numpy(), "set")
        labels = label if isinstance(label, tuple) else (label,)
        index, counts = [], []
        for each, dim, size in zip(labels, dims, sizes, strict=False):
            plate = plates.get(dim, size)
            known = list(plate) if isinstance(plate, tuple) else list(range(plate or 0))
            if each not in known:
                raise UnknownNameError(
                    f"{node.op.name!r} has no entry {each!r}",
                    path=node.op.name,
                    expected=f"a label of {dim!r}" if dim else "the number of an entry",
                    fix=nearest(str(each), list(map(str, known))),
                )
            index.append(known.index(each))
            counts.append(len(known))
        if len(labels) != len(index):
            raise ShapeError(
                f"{node.op.name!r} has {len(sizes)} axes", path=node.op.name, got=repr(label)
            )
        rest = sizes[len(index) :]
        own = value.type.shape
        if len(own) > len(rest) or any(
            b != 1 and not compatible(a, b)
            for a, b in zip(rest[len(rest) - len(own) :], own, strict=True)
        ):
            raise ShapeError(
                f"the value for the entry {label!r} of {node.op.name!r} has the wrong shape",
                path=node.op.name,
                expected=shape_text(rest),
                got=shape_text(own),
            )
        mask = np.zeros((*counts, *(1 for _ in rest)), dtype=bool)
        mask[tuple(index)] = True
        natural = at.switch(mask, value.astype(natural.type.dtype), natural)
    return natural


def _require_within(node: Apply, support: Support) -> None:
    """Raise :class:`DataError` unless a distribution on ``support`` can replace the site's."""
    own = node.op.support
    inner, outer = _ends(support), _ends(own)
    if own == Real() or isinstance(own, Bounded) or isinstance(support, Bounded):
        fits = support.discrete or not own.discrete  # ends that are not known are not compared
    elif inner and outer:
        (low, high), (least, most) = inner, outer
        above = low > least if support.discrete and not own.discrete else low >= least
        fits = above and high <= most and (support.discrete or not own.discrete)
    else:
        fits = isinstance(support, type(own))
    if not fits:
        raise DataError(
            f"cannot set {node.op.name!r}: the distribution lies outside its support",
            path=node.op.name,
            expected=str(own),
            got=str(support),
        )


def _ends(support: Support) -> tuple[float, float] | None:
    """Where the numbers of a support lie; ``None`` for one of vectors."""
    match support:
        case Binary():
            return 0, 1
        case Positive():
            return 0, np.inf
        case Real():
            return -np.inf, np.inf
        case Integers(low, high) | Interval(low, high):
            return -np.inf if low is None else low, np.inf if high is None else high
    return None


def _require_whole(node: Apply, value: Variable) -> None:
    """Raise :class:`DataError` for real numbers at a site of whole ones, which would cut them."""
    if isinstance(value, Constant):
        require_possible(node, value.data, "set")
    elif node.op.support.discrete and getattr(value.type, "dtype", "int").startswith("float"):
        raise DataError(
            f"cannot set {node.op.name!r}: the value is a real number, not a whole one",
            path=node.op.name,
            expected=f"a {node.outputs[0].type.dtype} of {node.op.support}",
            got=f"a {value.type.dtype}: {describe(value, 2)}",
            fix="say how to round it: at.round(value).astype('int64')",
        )


def _set(node: Apply, value: Variable) -> Variable:
    """The site of ``node`` under its name, at ``value``."""
    fitting = require_fitting(node, value, "set", broadcast=True)
    return SiteOp(node.op.name, "do", node.op.support, node.op.dims)(fitting)


def _natural(node: Apply) -> Variable:
    """The value that a site has without the intervention; a drawn one is a site of its own."""
    op = node.op
    if isinstance(op, ObserveOp):
        value = ObserveOp(f"{op.name}.natural", op.support, op.dims)(*node.inputs)
    elif op.kind == "random":
        value = SiteOp(f"{op.name}.natural", "random", op.support, op.dims)(*node.inputs)
    else:
        return node.inputs[0]
    value.name = value.owner.op.name
    return value


class _Sites(dict[str, Variable]):
    """Sites by name; a name that none has is an error that lists the nearest."""

    def __missing__(self, name: str) -> Variable:
        return find_site(name, dict(self), "use the value of")


def _call(change: Callable[..., Any], name: str, natural: Variable, sites: _Sites) -> Any:
    """What a function makes of the natural value, and of the sites if it takes them."""
    signature = inspect.signature(change)
    for given in ((natural,), (natural, sites)):
        try:
            signature.bind(*given)
        except TypeError:
            continue
        return change(*given)
    raise ArgumentError(
        f"the intervention on {name!r} takes other arguments",
        path=name,
        expected="a function of the natural value, or of it and the sites by name",
        got=f"a function of {signature}",
    )


def _relinked(
    expression: Variable, sites: Mapping[str, Apply | None], natural: Variable, name: str
) -> Variable:
    """An expression on sites of another lowering of the model, on the sites of this one."""
    replace: dict[Variable, Variable] = {}
    for node in toposort([expression]):
        if isinstance(node.op, SiteOp | ObserveOp):
            if node.op.name == name:
                replace[node.outputs[0]] = natural
            else:
                found = find_site(node.op.name, sites, "use the value of")
                replace[node.outputs[0]] = found.outputs[0]
    return replay([expression], replace)[0]


def _as_tensor(name: str, value: Any) -> Variable:
    try:
        return at.as_tensor_variable(value)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise ArgumentError(
            f"the intervention on {name!r} gives no tensor",
            path=name,
            expected="a number, an array, a symbolic expression or a distribution",
            got=repr(value),
        ) from error


def _step(node: Apply, new: Variable, change: Any) -> Step:
    """The report of one site."""
    if isinstance(change, State):
        array = change.numpy()
        shown = f"{array:.6g}" if array.ndim == 0 else f"an array {array.shape}"
        after = f"{node.op.name} = {shown}"
    else:
        after = tell(new.owner)
    return Step("do", node.op.name, tell(node), after)
