"""Patterns: the two sides of a rule, as data in the vocabulary of typed Ops.

``Term(DenseOp)(x, w)`` matches an Apply of ``DenseOp`` on the left of a rule, and builds one on
the right. ``Var("x", "n i")`` stands for any tensor of two dimensions and names its sizes;
``Rest("cs")`` for the remaining inputs of an Op with many; ``Each`` maps a pattern over them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

import numpy as np
from aesara.graph.basic import Apply, Constant, Variable
from aesara.graph.op import Op

from aeframe.core.errors import RewriteError
from aeframe.core.ops import IntermediateType, as_variable
from aeframe.core.shapes import compatible, is_tensor

Bindings = dict[str, Any]


class Pattern:
    """One side of a rule, or a part of it. A subclass may match or build in a way of its own."""

    def __getitem__(self, output: int) -> Pattern:
        raise RewriteError(f"{self} has no outputs to choose from")

    def match(self, variable: Variable, bound: Bindings) -> Bindings | None:
        """The bindings under which this is ``variable``, extending ``bound``; or ``None``."""
        raise RewriteError(f"{self} cannot stand on the left of a rule")

    def build(self, bound: Bindings) -> list[Variable]:
        """The outputs that this stands for under ``bound``."""
        raise RewriteError(f"{self} cannot stand on the right of a rule")


@dataclass(frozen=True)
class Var(Pattern):
    """Any variable; the same name twice is the same variable.

    Attributes
    ----------
    dims
        Names of the sizes, ``"n i"``; ``"... i"`` for any number before; ``None``: any tensor.
        A number is a size itself.
    of
        The intermediate type it has, if it is no tensor.
    low, high
        The range of the values that the suite draws for it.
    dtype
        The dtype that the suite draws.
    """

    name: str
    dims: str | None = None
    of: IntermediateType | None = None
    low: float = -2.0
    high: float = 2.0
    dtype: str = "float64"


@dataclass(frozen=True)
class Rest(Pattern):
    """The remaining inputs of an Apply, any number of them, each like ``like``."""

    name: str
    like: Var | None = None


@dataclass(frozen=True)
class Each(Pattern):
    """``body`` once for each element of the :class:`Rest` named ``over``, bound to ``item``."""

    over: str
    item: Var
    body: Pattern


@dataclass(frozen=True)
class New(Pattern):
    """A new Module on the right of a rule: its ``expression()``, with parameters of its own.

    Attributes
    ----------
    module
        The class, made with its default values.
    frozen
        Parameters that stay out of training.
    """

    module: type[Any]
    frozen: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prop(Pattern):
    """A hyperparameter, or with :class:`Term` ``op=`` a whole Op: bound left, used right."""

    name: str

    def value(self, bound: Bindings) -> Any:
        """What it is on the right; a subclass may compute with what was bound."""
        return bound[self.name]


@dataclass(frozen=True)
class Call(Pattern):
    """An Apply: its head, the patterns of its inputs, and which output is meant."""

    term: Term
    args: tuple[Pattern, ...]
    output: int | None = None

    def __getitem__(self, output: int) -> Call:
        return Call(self.term, self.args, output)

    def __str__(self) -> str:
        return f"{self.term}({', '.join(map(str, self.args))})"


@dataclass(frozen=True)
class Literal(Pattern):
    """A number: matches a constant of that value, builds a constant."""

    value: float


@dataclass(frozen=True)
class Term:
    """The head of a :class:`Call`: an Op class (with hyperparameters) or one Op.

    Parameters
    ----------
    head
        An Op class, matched by subclass too when ``bind`` is given; or an Op instance.
    bind
        A :class:`Prop` that stands for the Op itself.
    props
        Hyperparameters: values, or :class:`Prop` to bind and use them.
    """

    head: type[Op] | Op | Prop
    bind: Prop | None = None
    props: tuple[tuple[str, Any], ...] = field(default=())

    def __call__(self, *args: Pattern | float) -> Call:
        """The head on patterns for its inputs; a number stands for a constant."""
        return Call(self, tuple(a if isinstance(a, Pattern) else Literal(float(a)) for a in args))

    def __str__(self) -> str:
        if isinstance(self.head, type):
            return self.head.__name__.removesuffix("Op")
        return str(self.head)


def term(head: type[Op] | Op | Prop, bind: Prop | None = None, **props: Any) -> Term:
    """The head of a pattern: ``term(DropoutOp, rate=Prop("r"))(rng, x)``.

    Raises
    ------
    RewriteError
        When the head is not an Op: ``at.dot`` is a function that makes a ``Dot``.

    >>> from aesara.tensor.math import Dot
    >>> str(term(Dot)(Var("a", "n k"), Var("b", "k m")))[:4]
    'Dot('
    """
    if not isinstance(head, Op | Prop) and not (isinstance(head, type) and issubclass(head, Op)):
        raise RewriteError(
            "the head of a pattern is not an Op",
            expected="an Op class, such as DenseOp, or an Op, such as at.exp",
            got=repr(head),
        )
    return Term(head, bind, tuple(sorted(props.items())))


def match(pattern: Pattern, variable: Variable, bound: Bindings) -> Bindings | None:
    """The bindings under which ``pattern`` is ``variable``, extending ``bound``; or ``None``."""
    if isinstance(pattern, Var):
        return _match_var(pattern, variable, bound)
    if isinstance(pattern, Literal):
        return bound if _is_number(variable, pattern.value) else None
    if not isinstance(pattern, Call):
        return pattern.match(variable, bound)
    if variable.owner is None:
        return None
    if pattern.output is not None and variable.owner.outputs[pattern.output] is not variable:
        return None
    return match_node(pattern, variable.owner, bound)


def match_node(pattern: Call, node: Apply, bound: Bindings) -> Bindings | None:
    """The bindings under which ``pattern`` is the Apply ``node``; or ``None``."""
    found = _match_head(pattern.term, node.op, bound)
    args, inputs = pattern.args, node.inputs
    rest = args[-1] if args and isinstance(args[-1], Rest) else None
    fixed = args[:-1] if rest else args
    if found is None or len(inputs) < len(fixed) or (not rest and len(inputs) != len(fixed)):
        return None
    for chosen in _orders(node, len(fixed)):
        extended = _match_inputs(fixed, rest, inputs, chosen, found)
        if extended is not None:
            return extended
    return None


def _orders(node: Apply, n: int) -> Iterator[tuple[int, ...]]:
    """Which inputs the first ``n`` patterns stand for: the first, or any where order is free."""
    if getattr(node.op, "unordered", False):
        return permutations(range(len(node.inputs)), n)
    return iter([tuple(range(n))])


def _match_inputs(
    fixed: Sequence[Pattern],
    rest: Rest | None,
    inputs: Sequence[Variable],
    chosen: tuple[int, ...],
    bound: Bindings,
) -> Bindings | None:
    found: Bindings | None = bound
    for inner, i in zip(fixed, chosen, strict=True):
        found = match(inner, inputs[i], found)  # type: ignore[arg-type]
        if found is None:
            return None
    if rest is None or found is None:
        return found
    remaining = tuple(v for i, v in enumerate(inputs) if i not in chosen)
    if found.get(rest.name, remaining) != remaining:
        return None
    return {**found, rest.name: remaining}


def _match_head(head: Term, op: Op, bound: Bindings) -> Bindings | None:
    if isinstance(head.head, type):
        fits = isinstance(op, head.head) if head.bind else type(op) is head.head
        if not fits:
            return None
    elif op != head.head:
        return None
    found = dict(bound)
    wanted = [(prop, value, getattr(op, prop)) for prop, value in head.props]
    if head.bind is not None:
        wanted.append(("op", head.bind, op))
    for _, value, actual in wanted:
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
    found = {**bound, pattern.name: variable}
    if pattern.dims is None or not is_tensor(variable):
        return found
    names, shape = pattern.dims.split(), list(variable.type.shape)
    if names and names[0] == "...":
        names = names[1:]
        shape = shape[len(shape) - len(names) :] if names else []
    if len(names) != len(shape):
        return None
    sizes = dict(found.get("#", {}))
    for name, size in zip(names, shape, strict=True):
        known = int(name) if name.isdigit() else sizes.get(name)
        if not compatible(known, size):
            return None
        sizes[name] = size if known is None else known
    return {**found, "#": sizes}


def _is_number(variable: Variable, value: float) -> bool:
    while variable.owner is not None and type(variable.owner.op).__name__ == "DimShuffle":
        variable = variable.owner.inputs[0]
    return (
        isinstance(variable, Constant)
        and is_tensor(variable)
        and bool(np.all(variable.data == value))
    )


def build(pattern: Pattern, bound: Bindings) -> list[Variable]:
    """The outputs that ``pattern`` stands for under ``bound``."""
    if isinstance(pattern, Var):
        return [bound[pattern.name]]
    if isinstance(pattern, Rest):
        return list(bound[pattern.name])
    if isinstance(pattern, Each):
        name = pattern.item.name
        each = (build(pattern.body, {**bound, name: v}) for v in bound[pattern.over])
        return [v for made in each for v in made]
    if isinstance(pattern, Literal):
        return [as_variable(pattern.value)]
    if isinstance(pattern, New):
        made = pattern.module()
        for path in pattern.frozen:
            made.freeze(path)
        return [made.expression()]
    if not isinstance(pattern, Call):
        return pattern.build(bound)
    inputs = [v for arg in pattern.args for v in build(arg, bound)]
    outputs = _op(pattern.term, bound).make_node(*inputs).outputs
    return outputs if pattern.output is None else [outputs[pattern.output]]


def _op(head: Term, bound: Bindings) -> Op:
    if isinstance(head.head, Prop):
        return head.head.value(bound)
    if not isinstance(head.head, type):
        return head.head
    props = {k: v.value(bound) if isinstance(v, Prop) else v for k, v in head.props}
    return head.head(**props)


def variables(pattern: Pattern) -> Iterator[Var | Rest]:
    """The :class:`Var` and :class:`Rest` parts of a pattern, in order."""
    if isinstance(pattern, Var | Rest):
        yield pattern
    elif isinstance(pattern, Call):
        for arg in pattern.args:
            yield from variables(arg)
