"""What a card on the page says of an Apply: its title, its kind, its arguments by name."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
from aesara.graph.basic import Apply, Constant, Variable
from aesara.graph.op import Op
from aesara.tensor.elemwise import DimShuffle, Elemwise
from aesara.tensor.random.op import RandomVariable
from aesara.tensor.shape import Shape, Shape_i, SpecifyShape, Unbroadcast
from aesara.tensor.subtensor import Subtensor

from aeframe.core.ops import TypedOp
from aeframe.core.shapes import is_tensor, type_text

_WORDS = {
    "mul": "multiply",
    "sub": "subtract",
    "true_divide": "divide",
    "true_div": "divide",
    "second": "fill",
}
_LONGEST = 60  # characters of a value; an outlined graph is no caption


def title_of(op: Op) -> str:
    """A word or two for an Op: ``Dense``, ``random slope``, ``add``, ``normal``."""
    if isinstance(op, Elemwise):
        name = str(op.scalar_op).split("{")[0].lower()
        return _WORDS.get(name, name.replace("_", " "))
    if isinstance(op, DimShuffle):
        return "transpose"
    if isinstance(op, Subtensor):
        return "slice"
    if isinstance(op, RandomVariable):
        return str(op.name)
    name = type(op).__name__
    if not isinstance(op, TypedOp) and _room(op) == "plain":
        return name.lower()
    text = str(op)
    # an Op that names itself otherwise than by its class knows better
    return name.removesuffix("Op") if text.startswith(name.removesuffix("Op") + "(") else text


def kind_of(op: Op) -> str:
    """The room of an Op, by which cards are coloured; ``own`` for a user's, ``plain`` Aesara."""
    return "prob" if isinstance(op, RandomVariable) else _room(op)


def _room(op: Op) -> str:
    first, *rest = type(op).__module__.split(".")
    if first == "aeframe" and rest[:1] != ["core"]:
        return {"distributions": "prob", "infer": "prob", "train": "nn"}.get(rest[0], rest[0])
    return "plain" if first == "aesara" else "own"


def props_of(op: Op) -> list[tuple[str, str]]:
    """The hyperparameters of an Op as text."""
    if isinstance(op, DimShuffle):
        return [("axes", ", ".join(map(str, op.new_order)))]
    if isinstance(op, RandomVariable | Elemwise):
        return []
    found = [(p, getattr(op, p, None)) for p in getattr(op, "__props__", ()) or ()]
    if _room(op) == "plain":
        found = [(p, v) for p, v in found if p == "axis" and v is not None]
    elif title_of(op) != type(op).__name__.removesuffix("Op"):
        return []  # the title says it all
    return plain_values(found)


def plain_values(found: Sequence[tuple[str, Any]]) -> list[tuple[str, str]]:
    """Those of the named values that a short text can show."""
    shown = [(name, getattr(v, "__name__", str(v))) for name, v in found if v is not None]
    return [(name, text) for name, text in shown if len(text) <= _LONGEST]


def argument_names(node: Apply) -> list[str]:
    """What the Op calls its inputs, where it says; ``""`` elsewhere."""
    hidden = 0
    op: Any = node.op
    if isinstance(op, RandomVariable):
        function, hidden = op.__call__, 3  # the state, the size, the dtype
    elif isinstance(op, TypedOp):
        function = op.body
    else:
        return [""] * len(node.inputs)
    positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = inspect.signature(function).parameters.values()
    found = [p.name for p in parameters if p.kind is positional]
    names = [""] * hidden + found
    return (names + [""] * len(node.inputs))[: len(node.inputs)]


def constant_text(variable: Constant) -> str:
    """A number as it is, an array by its type."""
    data = np.asarray(variable.data)
    return f"{data.item():.6g}" if data.size == 1 else type_text(variable)


def is_shown(variable: Constant) -> bool:
    """Whether a constant is a number or an array of them, not a size or an option of its Op."""
    return is_tensor(variable) and variable.type.dtype.startswith("float")


def first_line(thing: Any) -> str:
    """The first line of the docstring of the class of ``thing``, where it says what a user made."""
    if isinstance(thing, Op) and _room(thing) == "plain":
        return ""
    doc = vars(type(thing)).get("__doc__") or ""
    return str(doc).strip().split("\n")[0].replace("``", "")


def measures_only(node: Apply, known: set[Variable]) -> bool:
    """Whether an Apply computes sizes: of shapes, of constants and of others that do."""
    if isinstance(node.op, Shape | Shape_i):
        return True
    if not all(isinstance(v, Constant) or v in known for v in node.inputs):
        return False
    return all(getattr(o.type, "ndim", 0) <= 1 for o in node.outputs) and bool(node.inputs)


def keeps_order(node: Apply) -> bool:
    """Whether an Apply only adds or drops axes of length 1, or says something of the shape."""
    if isinstance(node.op, SpecifyShape | Unbroadcast):
        return True
    if not isinstance(node.op, DimShuffle):
        return False
    axes = [a for a in node.op.new_order if a != "x"]
    return axes == sorted(axes)
