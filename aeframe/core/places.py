"""Where in a user's code an Apply was made, and mistakes that can be told there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType

from aesara.graph.basic import Apply, Variable
from aesara.tensor.math import Dot

from aeframe.core.errors import ArgumentError, ShapeError
from aeframe.core.shapes import compatible, narrow, shape_text
from aeframe.core.trace import current_path


def settle(outputs: Iterable[Variable]) -> None:
    """Give every new Apply above ``outputs`` the path of the Module being called, and its shapes.

    Aesara forgets static sizes at joins, slices, reshapes and the like; they are found again here,
    so that the next layer can know the width of its input.

    Raises
    ------
    ShapeError
        When a matrix product has two inner sizes; Aesara lets that pass.
    """
    path = current_path()
    for node in _unsettled(outputs):
        node.tag.settled = True
        if getattr(node.tag, "path", None) is None:
            node.tag.path = path
        narrow(node)
        _check_product(node)


def _unsettled(outputs: Iterable[Variable]) -> list[Apply]:
    """The Applies above ``outputs`` that were not seen yet, inputs first."""
    found: dict[Apply, None] = {}
    todo = [(v.owner, False) for v in outputs if v.owner is not None]
    while todo:
        node, ready = todo.pop()
        if ready:
            found[node] = None
        elif node not in found and not getattr(node.tag, "settled", False):
            todo.append((node, True))
            todo.extend((v.owner, False) for v in node.inputs if v.owner is not None)
    return list(found)


def _check_product(node: Apply) -> None:
    if not isinstance(node.op, Dot):
        return
    a, b = (v.type.shape for v in node.inputs)
    if not compatible(a[-1], b[0]):
        raise ShapeError(
            "a matrix product has two inner sizes",
            path=getattr(node.tag, "path", None),
            expected=f"{a[-1]} rows on the right",
            got=f"{shape_text(a)} @ {shape_text(b)}",
            fix="transpose or reshape one of them",
        )


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn what Aesara says of wrong shapes and of ``if symbol:`` into an error with a path."""
    try:
        yield
    except (TypeError, ValueError) as error:
        if not _by_aesara(error.__traceback__):
            raise
        if "boolean operations" in str(error):
            raise ArgumentError(
                "a symbol has no truth value while the graph is built",
                path=current_path(),
                expected="a choice inside the graph",
                fix="at.switch(at.eq(a, 1), x, y) instead of `x if a == 1 else y`",
            ) from error
        raise ShapeError(
            f"an operation does not take these inputs: {str(error).splitlines()[0]}",
            path=current_path(),
            fix="check the shapes and dtypes there",
        ) from error


def _by_aesara(traceback: TracebackType | None) -> bool:
    """Whether the innermost frame is Aesara's."""
    name = ""
    while traceback is not None:
        name = traceback.tb_frame.f_globals.get("__name__", "")
        traceback = traceback.tb_next
    return name.startswith("aesara.")


def without_truth(variable: Variable) -> Variable:
    """``variable``, with ``if variable:`` an error instead of always true."""
    variable._is_nonzero = False
    return variable
