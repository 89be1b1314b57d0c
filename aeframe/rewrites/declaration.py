"""What a rule must be to make sense: checked when it is declared."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any

from aeframe.core.errors import RewriteError, nearest
from aeframe.core.ops import TypedOp
from aeframe.rewrites.condition import parse
from aeframe.rewrites.pattern import (
    Call,
    Each,
    Every,
    Expr,
    Parts,
    Pattern,
    Prop,
    Rest,
    Var,
    custom,
    variables,
)

if TYPE_CHECKING:
    from aeframe.rewrites.rule import Rule

Sides = Sequence[Pattern]


def require_sense(rule: Rule) -> None:
    """Refuse a rule that could never be applied.

    Raises
    ------
    RewriteError
        When its name or its condition is no text, its left side no Apply, an Op has too few or
        too many inputs, or the right side or the condition names what the left does not bind.
    """
    if not isinstance(rule.name, str):
        raise RewriteError("the name of a rule is a text", got=repr(rule.name))
    if not isinstance(rule.left, Call | Every):
        raise RewriteError(f"the left side of {rule.name!r} is no Apply", got=str(rule.left))
    if not isinstance(rule.where, str):
        raise RewriteError(f"the condition of {rule.name!r} is no text", got=repr(rule.where))
    if rule.where:
        parse(rule.where)
    right = rule.right if isinstance(rule.right, tuple) else (rule.right,)
    for call in (p for p in _parts(rule.left, *right) if isinstance(p, Call)):
        _require_arity(call)
    if getattr(rule, "both", False) and not isinstance(rule.right, Call | Every):
        raise RewriteError(
            f"the right side of {rule.name!r}, for both directions, is no Apply",
            got=str(rule.right),
        )
    _require_names(rule, rule.left, right)
    if getattr(rule, "both", False):
        _require_names(rule, right[0], (rule.left,))


def _require_names(rule: Rule, left: Pattern, right: Sides) -> None:
    """The variables, then the sizes and hyperparameters of one direction."""
    if custom(left):
        return
    given = [v.name for v in variables(left)]
    for what, wanted, known in (
        ("right side", [v.name for side in right for v in variables(side)], given),
        ("right side", list(_used(right)), list(_bound(left))),
        ("condition", list(_names(rule.where)), list(_bound(left))),
    ):
        missing = [name for name in wanted if name not in known]
        if missing:
            raise RewriteError(
                f"the {what} of {rule.name!r} names what the left side does not",
                expected=", ".join(sorted(set(known))),
                got=", ".join(missing),
                fix=nearest(missing[0], sorted(set(known))),
            )


def _parts(*patterns: Pattern) -> Iterator[Pattern]:
    """The patterns and all that they are made of."""
    for pattern in patterns:
        yield pattern
        if isinstance(pattern, Call):
            yield from _parts(*pattern.args)
        elif isinstance(pattern, Every):
            yield from _parts(pattern.body)
        elif isinstance(pattern, Each):
            yield from _parts(pattern.item, pattern.body)
        elif isinstance(pattern, Parts):
            yield from _parts(pattern.whole)


def _bound(left: Pattern) -> Iterator[str]:
    """The names that conditions can use: sizes, dtypes, hyperparameters."""
    for pattern in _parts(left):
        like = pattern.like if isinstance(pattern, Rest) else pattern
        if isinstance(like, Var | Call):
            names = (like.dims or "").split()
            yield from (n.removeprefix("*") for n in names if n != "..." and not n.isdigit())
        if isinstance(like, Var):
            yield f"{like.name}_dtype"
        if isinstance(pattern, Call):
            yield from (v.name for v in _hyperparameters(pattern) if isinstance(v, Prop))


def _used(right: Sides) -> Iterator[str]:
    """The sizes and hyperparameters that the right side needs."""
    for pattern in _parts(*right):
        if isinstance(pattern, Parts):
            yield pattern.size
        for value in _hyperparameters(pattern) if isinstance(pattern, Call) else ():
            if isinstance(value, Expr):
                yield from _names(value.text)
            elif isinstance(value, Prop):
                yield value.name


def _hyperparameters(call: Call) -> Iterator[Any]:
    yield from (call.term.bind, call.term.head)
    yield from (value for _, value in call.term.props)


def _names(text: str) -> Iterator[str]:
    if text:
        yield from (n.id for n in ast.walk(parse(text)) if isinstance(n, ast.Name))


def _require_arity(call: Call) -> None:
    """As many inputs as the body of a typed Op takes."""
    head = call.term.head
    kind = head if isinstance(head, type) else type(head)
    if call.term.bind is not None or not issubclass(kind, TypedOp) or kind.body is TypedOp.body:
        return
    inputs = list(signature(kind.body).parameters.values())[1:]
    least = sum(p.default is p.empty and p.kind is not Parameter.VAR_POSITIONAL for p in inputs)
    most = len(inputs)
    if any(p.kind is Parameter.VAR_POSITIONAL for p in inputs):
        most = max(most, len(call.args))
    many = any(isinstance(a, Rest | Each) for a in call.args)
    given = len(call.args) - many
    if given > most or (given < least and not many):
        raise RewriteError(
            f"{call.term} does not take so many inputs",
            expected=", ".join(p.name for p in inputs) or "none",
            got=str(call),
        )
