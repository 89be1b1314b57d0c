"""Patterns: the two sides of a rule, as data in the vocabulary of typed Ops.

``term(DenseOp)(x, w)`` matches an Apply of ``DenseOp`` on the left of a rule, and builds one on
the right. ``Var("x", "n i")`` stands for any tensor of two dimensions and names its sizes;
``Rest("cs")`` for the remaining inputs of an Op with many; ``Each`` says what each of them is.
``Every`` gives a rule several roots: all Applies of one form that share an input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aesara.graph.basic import Variable
from aesara.graph.op import Op
from aesara.tensor.var import TensorVariable

from aeframe.core.errors import RewriteError, nearest
from aeframe.core.intermediate import IntermediateType
from aeframe.core.ops import as_variable
from aeframe.core.shapes import narrow
from aeframe.rewrites.condition import value
from aeframe.rewrites.report import op_text
from aeframe.rewrites.vocabulary import SliceOp

Bindings = dict[str, Any]
SIZES, EACH = "#", "# each"  # where bindings keep the sizes, and those of each of several roots


class Pattern:
    """One side of a rule, or a part of it. A subclass may match or build in a way of its own.

    Prints as it is written: ``Dense(Dense(x, w), v)``.
    """

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return getattr(self, "name", "") or type(self).__name__

    def __getitem__(self, output: int) -> Pattern:
        raise RewriteError(f"{self} has no outputs to choose from")

    def match(self, variable: Variable, bound: Bindings) -> Bindings | None:
        """The bindings under which this is ``variable``, extending ``bound``; or ``None``."""
        raise RewriteError(f"{self} cannot stand on the left of a rule")

    def build(self, bound: Bindings) -> list[Variable]:
        """The outputs that this stands for under ``bound``."""
        raise RewriteError(f"{self} cannot stand on the right of a rule")


@dataclass(frozen=True, repr=False)
class Var(Pattern):
    """Any variable; the same name twice is the same variable.

    Attributes
    ----------
    dims
        Names of the sizes, ``"n i"``; ``"... i"`` for any number before, the same wherever a rule
        says so; ``"*s"`` for the whole shape; ``None``: any tensor. A number is a size itself.
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


@dataclass(frozen=True, repr=False)
class Rest(Pattern):
    """The remaining inputs of an Apply, any number of them, each like ``like``."""

    name: str
    like: Var | None = None

    def __str__(self) -> str:
        return f"*{self.name}"


@dataclass(frozen=True, repr=False)
class Each(Pattern):
    """``body`` once for each element of the :class:`Rest` named ``over``, bound to ``item``.

    On the left each of the remaining inputs is such a ``body``, and their items become ``over``.
    """

    over: str
    item: Var
    body: Pattern

    def __str__(self) -> str:
        return f"*({self.body} for {self.item} in {self.over})"


@dataclass(frozen=True, repr=False)
class Every(Pattern):
    """On the left: all Applies of the form ``body`` that differ only in the variables ``differ``.

    There are two or more. What differs is bound like a :class:`Rest`, and so is its sizes'
    every value; the right side is a :class:`Parts`.
    """

    body: Call
    differ: tuple[str, ...]

    def __str__(self) -> str:
        return f"every {self.body} by {', '.join(self.differ)}"


@dataclass(frozen=True, repr=False)
class Parts(Pattern):
    """On the right of an :class:`Every`: ``whole`` cut along ``axis`` by the sizes ``size``."""

    whole: Pattern
    axis: int
    size: str

    def __str__(self) -> str:
        return f"parts of {self.whole} along {self.axis} by {self.size}"


@dataclass(frozen=True, repr=False)
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

    def __str__(self) -> str:
        return f"new {self.module.__name__}"


@dataclass(frozen=True, repr=False)
class Prop(Pattern):
    """A hyperparameter, or with :class:`Term` ``op=`` a whole Op: bound left, used right."""

    name: str

    def value(self, bound: Bindings) -> Any:
        """What it is on the right: what was bound, or a size."""
        return names_of(bound)[self.name]


@dataclass(frozen=True, repr=False)
class Computed(Prop):
    """A hyperparameter on the right: ``function`` of the hyperparameter or size ``name``."""

    function: Callable[[Any], Any]

    def value(self, bound: Bindings) -> Any:
        """``function`` of what was bound."""
        return self.function(super().value(bound))


@dataclass(frozen=True, repr=False)
class Expr(Pattern):
    """A hyperparameter on the right, computed from sizes and hyperparameters: ``Expr("i + 1")``."""

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, repr=False)
class Call(Pattern):
    """An Apply: its head, the patterns of its inputs, which output is meant, and its sizes."""

    term: Term
    args: tuple[Pattern, ...]
    output: int | None = None
    dims: str | None = None

    def __getitem__(self, output: int) -> Call:
        return Call(self.term, self.args, output, self.dims)

    def sized(self, dims: str) -> Call:
        """The same with names for the sizes of its output on the left, as a :class:`Var` has."""
        return Call(self.term, self.args, self.output, dims)

    def __str__(self) -> str:
        output = "" if self.output is None else f"[{self.output}]"
        return f"{self.term}({', '.join(map(str, self.args))}){output}"


@dataclass(frozen=True, repr=False)
class Literal(Pattern):
    """A number: matches a constant of that value, builds a constant."""

    value: float

    def __str__(self) -> str:
        return f"{self.value:g}"


@dataclass(frozen=True, repr=False)
class Term:
    """The head of a :class:`Call`: an Op class (with hyperparameters) or one Op.

    Parameters
    ----------
    head
        An Op class, matched by subclass too when ``bind`` is given; or an Op instance.
    bind
        A :class:`Prop` that stands for the Op itself: bound by the first such head of a rule, the
        same Op at all others.
    props
        Hyperparameters: values, :class:`Prop` to bind and use them, :class:`Expr` on the right.
    """

    head: type[Op] | Op | Prop
    bind: Prop | None = None
    props: tuple[tuple[str, Any], ...] = field(default=())

    def __call__(self, *args: Pattern | float) -> Call:
        """The head on patterns for its inputs; a number stands for a constant."""
        return Call(self, tuple(a if isinstance(a, Pattern) else Literal(float(a)) for a in args))

    def __str__(self) -> str:
        if not isinstance(self.head, type):
            return op_text(self.head) if isinstance(self.head, Op) else str(self.head)
        if self.bind is not None:
            return self.bind.name
        props = ", ".join(k if str(v) == k else f"{k}={v}" for k, v in self.props)
        return self.head.__name__.removesuffix("Op") + (f"[{props}]" if props else "")

    __repr__ = __str__


def term(head: type[Op] | Op | Prop, bind: Prop | None = None, **props: Any) -> Term:
    """The head of a pattern: ``term(DropoutOp, rate=Prop("r"))(rng, x)``.

    Raises
    ------
    RewriteError
        When the head is not an Op (``at.dot`` is a function that makes a ``Dot``), or has no
        hyperparameter of such a name.

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
    known = getattr(head, "__props__", tuple(props))
    unknown = [name for name in props if name not in known and not hasattr(head, name)]
    if unknown and not isinstance(head, Prop):
        raise RewriteError(
            f"{Term(head)} has no hyperparameter {unknown[0]!r}",
            expected=", ".join(known) or "none",
            got=", ".join(unknown),
            fix=nearest(unknown[0], known),
        )
    return Term(head, bind, tuple(sorted(props.items())))


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
    if isinstance(pattern, Parts):
        return _parts(pattern, bound)
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
    outputs = narrow(_op(pattern.term, bound).make_node(*inputs)).outputs
    return outputs if pattern.output is None else [outputs[pattern.output]]


def _parts(pattern: Parts, bound: Bindings) -> list[Variable]:
    (whole,), start, made = build(pattern.whole, bound), 0, []
    for size in bound[EACH][pattern.size]:
        made.append(SliceOp(pattern.axis, start, start + size)(whole))
        start += size
    return made


def names_of(bound: Bindings) -> Mapping[str, Any]:
    """What expressions can name: hyperparameters, sizes, and dtypes as ``x_dtype``."""
    dtypes = {f"{k}_dtype": v.type.dtype for k, v in bound.items() if isinstance(v, TensorVariable)}
    return {**bound, **bound.get(SIZES, {}), **dtypes}


def _op(head: Term, bound: Bindings) -> Op:
    if isinstance(head.head, Prop):
        return head.head.value(bound)
    if head.bind is not None:
        return bound[head.bind.name]
    if not isinstance(head.head, type):
        return head.head
    return head.head(**{k: _prop(v, bound) for k, v in head.props})


def _prop(given: Any, bound: Bindings) -> Any:
    if isinstance(given, Prop):
        return given.value(bound)
    return value(given.text, names_of(bound)) if isinstance(given, Expr) else given


def variables(pattern: Pattern) -> Iterator[Var | Rest]:
    """The :class:`Var` and :class:`Rest` parts of a pattern, in order."""
    if isinstance(pattern, Var | Rest):
        yield pattern
    elif isinstance(pattern, Every):
        yield from variables(pattern.body)
    elif isinstance(pattern, Each):
        yield Rest(pattern.over, pattern.item)
        yield from (v for v in variables(pattern.body) if v != pattern.item)
    elif isinstance(pattern, Call):
        for arg in pattern.args:
            yield from variables(arg)


def custom(pattern: Pattern) -> bool:
    """Whether a pattern, or a part of it, matches in a way of its own."""
    if isinstance(pattern, Every | Each):
        return custom(pattern.body)
    if isinstance(pattern, Call):
        return any(map(custom, pattern.args))
    return not isinstance(pattern, Var | Rest | Literal)


def depth(pattern: Pattern) -> int:
    """How many Applies a pattern is deep.

    >>> depth(term(SliceOp, axis=0)(Var("x")))
    1
    """
    if isinstance(pattern, Every | Each):
        return depth(pattern.body)
    if not isinstance(pattern, Call):
        return 0
    return 1 + max((depth(arg) for arg in pattern.args), default=0)
