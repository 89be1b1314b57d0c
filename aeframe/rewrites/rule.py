"""Rules: declared rewrites, used by every engine and tested from their own declaration."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aesara.graph.basic import Apply, Variable

from aeframe.core.errors import NameTakenError, RewriteError, UnknownNameError, nearest
from aeframe.core.graph import Graph, replay, toposort
from aeframe.core.shapes import compatible, is_tensor, type_text
from aeframe.rewrites.condition import holds
from aeframe.rewrites.declaration import require_sense
from aeframe.rewrites.match import PLAIN, View, node_solutions
from aeframe.rewrites.pattern import (
    Bindings,
    Call,
    Every,
    Pattern,
    build,
    names_of,
    variables,
)

RULES: dict[str, Rule] = {}
HOMES: dict[str, str] = {}  # a module may declare its own rules again, as notebooks do


@dataclass(frozen=True, repr=False)
class Rule:
    """One declared rewrite: ``left`` becomes ``right`` where ``where`` holds.

    Use :class:`Equality`, :class:`Definition` or :class:`Alternative`.

    Attributes
    ----------
    name
        What reports call it; files refer to it by this name. A name belongs to the module that
        declares it first.
    left, right
        Patterns. A ``right`` that is a tuple gives all outputs of the Apply on the left; that of
        an :class:`Every` is a :class:`Parts`, and the rule runs in saturation alone.
    where
        A condition on sizes and hyperparameters, see :mod:`aeframe.rewrites.condition`.

    Raises
    ------
    RewriteError
        When it could never be applied, see :func:`aeframe.rewrites.declaration.require_sense`.
    NameTakenError
        When a rule of another module has its name.
    """

    name: str
    left: Call | Every
    right: Pattern | tuple[Pattern, ...]
    where: str = ""

    def __post_init__(self) -> None:
        require_sense(self)
        home = sys._getframe(2).f_globals.get("__name__", "")  # past the generated __init__
        if HOMES.setdefault(self.name, home) != home:
            raise NameTakenError(
                f"a rule called {self.name!r} is declared in {HOMES[self.name]}",
                fix="choose another name: files and reports refer to rules by name",
            )
        RULES[self.name] = self

    def solutions(self, node: Apply, view: View = PLAIN) -> Iterator[Bindings]:
        """All bindings under which the left side is ``node`` and the condition holds."""
        if isinstance(self.left, Call):
            for found in node_solutions(self.left, node, {}, view):
                if holds(self.where, names_of(found)):
                    yield found

    def matches(self, node: Apply) -> Bindings | None:
        """The first of :meth:`solutions`."""
        return next(self.solutions(node), None)

    def build(self, found: Bindings) -> list[Variable]:
        """The right side under ``found``."""
        sides = self.right if isinstance(self.right, tuple) else (self.right,)
        return [v for side in sides for v in build(side, found)]

    def apply(self, node: Apply) -> list[Variable] | None:
        """What takes the place of the outputs of ``node``, or ``None`` where it does not match."""
        found = self.matches(node)
        return None if found is None else self.replaced(node, found)

    def replaced(self, node: Apply, found: Bindings) -> list[Variable]:
        """The outputs of ``node`` with the right side under ``found`` in their place."""
        old, made = self.outputs([node]), self.build(found)
        if len(made) != len(old):
            raise RewriteError(
                f"the rule {self.name!r} gives {len(made)} outputs",
                expected=f"{len(old)}, as {node.op} has",
            )
        if isinstance(self, Equality):
            for a, b in zip(old, made, strict=True):
                require_one_type(a, b, self.name)
        new = dict(zip(old, made, strict=True))
        return [new.get(o, o) for o in node.outputs]

    def outputs(self, roots: Sequence[Apply]) -> list[Variable]:
        """The variables that the right side takes the place of."""
        one = self.left.body if isinstance(self.left, Every) else self.left
        if one.output is None and len(roots) == 1:
            return roots[0].outputs
        return [node.outputs[one.output or 0] for node in roots]

    def variables(self) -> list[Pattern]:
        """The variables of the left side, each once."""
        return list({v.name: v for v in variables(self.left)}.values())

    @property
    def directions(self) -> tuple[Rule, ...]:
        """The rules that saturation uses."""
        return (self,)

    def __str__(self) -> str:
        right = ", ".join(map(str, self.right if isinstance(self.right, tuple) else (self.right,)))
        condition = f" where {self.where}" if self.where else ""
        arrow = "↔" if len(self.directions) > 1 else "→"
        return f"{self.name}: {self.left} {arrow} {right}{condition}"

    __repr__ = __str__


@dataclass(frozen=True, repr=False)
class Equality(Rule):
    """A rule whose two sides are the same numbers; the suite tests it so.

    Attributes
    ----------
    gradients
        Whether the gradients of both sides agree too, so that it may be used in training.
    both
        Whether saturation uses it from right to left as well.

    >>> import aesara.tensor as at
    >>> from aeframe.rewrites.pattern import Var, term
    >>> x = Var("x")
    >>> rule = Equality("log-exp", term(at.log)(term(at.exp)(x)), x)
    >>> rule
    log-exp: log(exp(x)) → x
    >>> y = at.dvector("y")
    >>> rule.apply(at.log(at.exp(y)).owner) == [y]
    True
    """

    gradients: bool = True
    both: bool = False

    @property
    def directions(self) -> tuple[Rule, ...]:
        """The rule, and where it is meant for ``both`` directions, the other one."""
        if not self.both:
            return (self,)
        assert isinstance(self.right, Call | Every)
        return (self, _Reversed(self.name, self.right, self.left, self.where))


class _Reversed(Rule):
    """An equality from right to left: the same declaration, so the same name."""

    def __post_init__(self) -> None:
        return


@dataclass(frozen=True, repr=False)
class Definition(Rule):
    """A rule that gives the left side its meaning: an interpretation on one type of value.

    There are no numbers on the left to compare with; the meaning is tested against formulas.
    """


@dataclass(frozen=True, repr=False)
class Alternative(Rule):
    """A rule whose right side is a different model that is worth trying."""


def require_one_type(a: Variable, b: Variable, rule: str) -> None:
    """Raise :class:`RewriteError` unless equal values can have both types."""
    if not is_tensor(a) or not is_tensor(b):
        fits = a.type == b.type
    else:
        same = a.type.dtype == b.type.dtype and a.type.ndim == b.type.ndim
        fits = same and all(map(compatible, a.type.shape, b.type.shape))
    if not fits:
        raise RewriteError(
            f"the rule {rule!r} makes values of another type",
            expected=type_text(a),
            got=type_text(b),
            fix="make its two sides equal in dtype and shape, or give it a condition",
        )


def find_rule(name: str) -> Rule:
    """The rule of that name among those defined so far."""
    if name not in RULES:
        raise UnknownNameError(
            f"no rule is called {name!r}",
            fix="define or import it first; " + nearest(name, list(RULES)),
        )
    return RULES[name]


def alternatives(graph: Graph, rules: Sequence[Rule]) -> Iterator[tuple[Rule, Apply, Graph]]:
    """Every graph that is one application of one rule away: the rule, the place, the graph.

    Places come in topological order. Enumeration is lazy; nothing is built before it is asked for.
    """
    for node in toposort(graph.results):
        for rule in rules:
            made = rule.apply(node)
            if made is not None:
                replace = dict(zip(node.outputs, made, strict=True))
                yield rule, node, graph.with_results(replay(graph.results, replace))
