"""Claims: which typed Ops a backend runs by itself, and how."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aesara.graph.basic import Apply

from aeframe.core.ops import Pullback
from aeframe.core.shapes import is_tensor

Make = Callable[[Apply], Callable[..., Any] | None]
_IMPLEMENTATIONS: dict[tuple[str, type, bool], list[Make]] = {}


def implement(backend: str, op: type, *, pullback: bool = False) -> Callable[[Any], Any]:
    """Register how a backend runs a typed Op itself: ``make(node) -> callable`` or ``None``.

    ``make`` is called for each Apply with its concrete types; it returns ``None`` where what was
    registered before does better, and in the end the expanded body. The last to be registered is
    asked first.

    Parameters
    ----------
    backend
        Its name.
    op
        The class of the Op.
    pullback
        Whether the claim is for the Op's gradient instead: the Applies of the
        :class:`~aeframe.core.Pullback` of such Ops.
    """

    def add(make: Make) -> Any:
        _IMPLEMENTATIONS.setdefault((backend, op, pullback), []).append(make)
        return make

    return add


def implementation(backend: str, node: Apply) -> Callable[..., Any] | None:
    """The callable that ``backend`` has for the Apply ``node``, if it has one."""
    pullback = isinstance(node.op, Pullback)
    makers = _IMPLEMENTATIONS.get((backend, type(node.op.op if pullback else node.op), pullback))
    if makers is None or any(is_tensor(v) and None in v.type.shape for v in node.inputs):
        return None
    return next((found for make in reversed(makers) if (found := make(node)) is not None), None)
