"""Matching: where the left side of a rule lies in a graph, and what its variables stand for there.

A :class:`View` says what a graph looks like to a pattern. In a plain graph one Apply makes a
variable; in an e-graph several may.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import permutations
from typing import Any

from aesara.graph.basic import Apply, Constant, Variable
from aesara.graph.op import Op

from aeframe.core.errors import RewriteError
from aeframe.core.intermediate import IntermediateType
from aeframe.core.shapes import is_tensor
from aeframe.rewrites.pattern import (
    EACH,
    SIZES,
    Bindings,
    Call,
    Each,
    Every,
    Literal,
    Pattern,
    Prop,
    Rest,
    Term,
    Var,
    variables,
)

Match = tuple[Apply, Bindings]
NEAR = 32  # groups of independent Applies that another one is compared with


class View:
    """A plain graph, as patterns see it."""

    def find(self, variable: Variable) -> Variable:
        """The variable that stands for all that are known to equal ``variable``."""
        return variable

    def makers(self, variable: Variable) -> Iterable[Apply]:
        """The Applies that make ``variable``."""
        return () if variable.owner is None else (variable.owner,)


PLAIN = View()


def match(pattern: Pattern, variable: Variable, bound: Bindings) -> Bindings | None:
    """The first bindings under which ``pattern`` is ``variable``, extending ``bound``."""
    return next(solutions(pattern, variable, bound), None)


def solutions(
    pattern: Pattern, variable: Variable, bound: Bindings, view: View = PLAIN
) -> Iterator[Bindings]:
    """All bindings under which ``pattern`` is ``variable``, each extending ``bound``."""
    if isinstance(pattern, Var):
        found = _match_var(pattern, variable, bound)
        if found is not None:
            yield found
    elif isinstance(pattern, Literal):
        if _is_number(variable, pattern.value):
            yield bound
    elif isinstance(pattern, Call):
        for node in view.makers(variable):
            meant = node.outputs if pattern.output is None else node.outputs[pattern.output :][:1]
            if pattern.output is None or any(view.find(o) is variable for o in meant):
                for made in node_solutions(pattern, node, bound, view):
                    if (sized := _match_sizes(pattern.dims, variable, made)) is not None:
                        yield sized
    else:
        found = pattern.match(variable, bound)
        if found is not None:
            yield found


def node_solutions(
    pattern: Call, node: Apply, bound: Bindings, view: View = PLAIN
) -> Iterator[Bindings]:
    """All bindings under which ``pattern`` is the Apply ``node``."""
    args = pattern.args
    rest = args[-1] if args and isinstance(args[-1], Rest | Each) else None
    fixed = args[:-1] if rest is not None else args
    n = len(node.inputs)
    if n < len(fixed) or (rest is None and n != len(fixed)):
        return
    found = _match_head(pattern.term, node.op, bound)
    if found is None:
        return
    inputs = [view.find(v) for v in node.inputs]
    for chosen in _orders(node.op, n, len(fixed)):
        for extended in _inputs(fixed, [inputs[i] for i in chosen], found, view):
            if rest is None:
                yield extended
                continue
            remaining = [v for i, v in enumerate(inputs) if i not in chosen]
            yield from _remaining(rest, remaining, extended, view)


def alike(
    left: Every,
    nodes: Iterable[Apply],
    view: View = PLAIN,
    needs: Callable[[Variable, Variable], bool] = lambda a, b: False,
) -> Iterator[tuple[list[Apply], Bindings]]:
    """The groups of two or more ``nodes`` that differ only as ``left`` says, and what is bound.

    Those are apart of which one ``needs`` the other's input: they cannot be computed together.
    """
    groups: dict[Hashable, dict[Variable, Match]] = {}
    own = own_sizes(left)
    for node in nodes:
        for bound in node_solutions(left.body, node, {}, view):
            same = {k: v for k, v in bound.items() if k not in left.differ and k != SIZES}
            sizes = {k: v for k, v in bound.get(SIZES, {}).items() if k not in own}
            dtypes = [bound[name].type.dtype for name in left.differ]
            key = (*sorted(same.items(), key=_name), *sorted(sizes.items()), *dtypes)
            groups.setdefault(key, {}).setdefault(view.find(node.outputs[0]), (node, bound))
    for group in groups.values():
        for found in _independent(group, left, needs):
            roots, bounds = zip(*found, strict=True)
            yield list(roots), _together(bounds, left, own)


def _independent(
    found: Mapping[Variable, Match], left: Every, needs: Callable[[Variable, Variable], bool]
) -> Iterator[list[Match]]:
    """Groups of two or more matches within which none needs another one, or its input."""
    inputs = {out: [found[out][1][name] for name in left.differ] for out in found}

    def apart(out: Variable, other: Variable) -> bool:
        taken = (other, *inputs[other])
        return any(needs(v, w) for v in inputs[out] for w in taken if v is not w)

    groups: list[list[Variable]] = []
    for out in found:
        for group in groups[-NEAR:]:  # all of them would take n² in a chain
            if not any(apart(out, other) or apart(other, out) for other in group):
                group.append(out)
                break
        else:
            groups.append([out])
    return ([found[out] for out in group] for group in groups if len(group) > 1)


def own_sizes(left: Every) -> set[str]:
    """The names of the sizes that each of the Applies of ``left`` has for itself."""
    sizes: dict[bool, set[str]] = {True: set(), False: set()}
    for v in variables(left.body):
        names = (getattr(v, "dims", None) or "").split()
        sizes[v.name in left.differ].update(n for n in names if n != "..." and not n.isdigit())
    return sizes[True] - sizes[False]


def _name(item: tuple[str, Any]) -> str:
    return item[0]


def _together(bounds: Sequence[Bindings], left: Every, own: set[str]) -> Bindings:
    """The bindings of several roots as one: what differs becomes tuples."""
    sizes = [b.get(SIZES, {}) for b in bounds]
    return {
        **bounds[0],
        **{name: tuple(b[name] for b in bounds) for name in left.differ},
        SIZES: {k: v for k, v in sizes[0].items() if k not in own},
        EACH: {k: tuple(s[k] for s in sizes) for k in sorted(own)},
    }


def _orders(op: Op, n: int, taken: int) -> Iterator[tuple[int, ...]]:
    """Which inputs the first patterns stand for: the first, or any where order is free."""
    if getattr(op, "unordered", False):
        return permutations(range(n), taken)
    return iter([tuple(range(taken))])


def _inputs(
    patterns: Sequence[Pattern], inputs: Sequence[Variable], bound: Bindings, view: View
) -> Iterator[Bindings]:
    if not patterns:
        yield bound
        return
    for found in solutions(patterns[0], inputs[0], bound, view):
        yield from _inputs(patterns[1:], inputs[1:], found, view)


def _remaining(
    rest: Rest | Each, inputs: Sequence[Variable], bound: Bindings, view: View
) -> Iterator[Bindings]:
    if isinstance(rest, Rest):
        taken = tuple(inputs)
        if bound.get(rest.name, taken) == taken:
            yield {**bound, rest.name: taken}
        return
    items, found = [], bound
    for variable in inputs:
        # sizes are those of one item: the next may have others
        inner = next(solutions(rest.body, variable, found, view), None)
        if inner is None:
            return
        items.append(inner[rest.item.name])
        found = {k: v for k, v in inner.items() if k != rest.item.name}
        found[SIZES] = bound.get(SIZES, {})
    yield {**found, rest.over: tuple(items)}


def _match_head(head: Term, op: Op, bound: Bindings) -> Bindings | None:
    if isinstance(head.head, type):
        fits = isinstance(op, head.head) if head.bind else type(op) is head.head
        if not fits:
            return None
    elif isinstance(head.head, Prop):
        raise RewriteError("a hyperparameter alone cannot head a pattern on the left of a rule")
    elif op != head.head:
        return None
    found = dict(bound)
    wanted = [(value, getattr(op, prop)) for prop, value in head.props]
    if head.bind is not None:
        wanted.append((head.bind, op))
    for value, actual in wanted:
        if not isinstance(value, Prop):
            if value != actual:
                return None
        elif found.setdefault(value.name, actual) != actual:
            return None
    return found


def _match_var(pattern: Var, variable: Variable, bound: Bindings) -> Bindings | None:
    if pattern.name in bound:
        return bound if bound[pattern.name] is variable else None
    if (pattern.of is not None) != isinstance(variable.type, IntermediateType):
        return None
    if pattern.of is not None and variable.type != pattern.of:
        return None
    return _match_sizes(pattern.dims, variable, {**bound, pattern.name: variable})


def _match_sizes(dims: str | None, variable: Variable, found: Bindings) -> Bindings | None:
    if dims is None or not is_tensor(variable):
        return found
    names, shape = dims.split(), list(variable.type.shape)
    if names and names[0].startswith("*"):
        names, shape = [names[0][1:]], [tuple(shape)]
    if names and names[0] == "...":
        names = names[1:]
        if len(shape) < len(names):
            return None
        cut = len(shape) - len(names)
        names, shape = ["...", *names], [tuple(shape[:cut]), *shape[cut:]]
    if len(names) != len(shape):
        return None
    sizes = dict(found.get(SIZES, {}))
    for name, size in zip(names, shape, strict=True):
        known = int(name) if name.isdigit() else sizes.get(name)
        if known is None or size is None or known == size:
            sizes[name] = size if known is None else known
        else:
            return None
    return {**found, SIZES: sizes}


def _is_number(variable: Variable, value: float) -> bool:
    while variable.owner is not None and type(variable.owner.op).__name__ == "DimShuffle":
        variable = variable.owner.inputs[0]
    return (
        isinstance(variable, Constant)
        and is_tensor(variable)
        and variable.type.ndim == 0
        and bool(variable.data == value)
    )
