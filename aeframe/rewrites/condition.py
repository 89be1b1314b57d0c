"""Conditions of rules: relations between integers, written as text, checked without ``eval``.

``"k >= i and i * o < 4096"`` names sizes that the rule's variables bind and hyperparameters that
it captures; ``"p[0] + k // 2"`` makes a new hyperparameter of them. Being data, a condition can
be handed to any engine.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from aeframe.core.errors import RewriteError

_ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_RELATIONS: dict[type, Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


@lru_cache(maxsize=512)
def parse(text: str) -> ast.expr:
    """The syntax tree of a condition.

    Raises
    ------
    RewriteError
        When it holds anything but names, numbers, tuples, their elements and parts, arithmetic,
        relations, ``and``, ``or`` and ``not``.
    """
    try:
        tree = ast.parse(text, mode="eval").body
    except SyntaxError as error:
        raise RewriteError(f"the condition {text!r} is no expression") from error
    allowed = (
        *(ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.Compare, ast.BinOp),
        *(ast.Name, ast.Load, ast.Constant, ast.Tuple, ast.Subscript, ast.Slice, ast.USub),
        *(*_ARITHMETIC, *_RELATIONS),
    )
    for node in ast.walk(tree):
        if not isinstance(node, allowed):
            raise RewriteError(
                f"the condition {text!r} holds {type(node).__name__}",
                expected="names, numbers, tuples, + - * // %, relations, and, or, not",
            )
    return tree


def holds(text: str, names: Mapping[str, Any]) -> bool:
    """Whether a condition is known to hold; with an unknown size, or without an axis, it does not.

    >>> holds("k >= i and i * 2 < 100", {"k": 8, "i": 4})
    True
    >>> holds("k >= i", {"k": None, "i": 4})
    False
    """
    if not text:
        return True
    try:
        return bool(value(text, names))
    except (_UnknownSize, IndexError):
        return False


def value(text: str, names: Mapping[str, Any]) -> Any:
    """The value of an expression.

    >>> value("(p[0] + k // 2, 1)", {"p": (1, 2), "k": 3})
    (2, 1)
    """
    return _value(parse(text), names)


class _UnknownSize(Exception):  # noqa: N818 (a signal, not an error)
    pass


def _value(node: ast.expr, names: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        if node.id not in names:
            raise RewriteError(f"a condition names {node.id}, which the rule does not bind")
        if names[node.id] is None:
            raise _UnknownSize
        return names[node.id]
    if isinstance(node, ast.BinOp):
        return _ARITHMETIC[type(node.op)](_value(node.left, names), _value(node.right, names))
    if isinstance(node, ast.Tuple):
        return tuple(_value(v, names) for v in node.elts)
    if isinstance(node, ast.Subscript):
        return _value(node.value, names)[_value(node.slice, names)]
    if isinstance(node, ast.Slice):
        ends = (node.lower, node.upper, node.step)
        return slice(*(None if end is None else _value(end, names) for end in ends))
    if isinstance(node, ast.UnaryOp):
        operand = _value(node.operand, names)
        return -operand if isinstance(node.op, ast.USub) else not operand
    if isinstance(node, ast.BoolOp):
        combine = all if isinstance(node.op, ast.And) else any
        return combine(_value(v, names) for v in node.values)
    assert isinstance(node, ast.Compare)
    values = [_value(v, names) for v in (node.left, *node.comparators)]
    pairs = zip(node.ops, values, values[1:], strict=False)
    return all(_RELATIONS[type(op)](a, b) for op, a, b in pairs)
