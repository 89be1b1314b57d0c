"""What is going on while a user's object lowers: which Module is being called, which cells changed.

A trace lives for one lowering. It gives every Apply its path, and threads the state of cells:
the second call of a shared Dropout sees the random state that the first one left.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from aesara.graph.basic import Variable


@dataclass
class Trace:
    """The cells updated so far, the modules being called (outermost first) and their reports.

    ``sites`` are the named variables of the Models that were called, in order, and ``plates``
    their named axes: size or labels; ``declared`` are those not only found by their use. ``late``
    are the passes of these modules that run when all is lowered.
    """

    updates: dict[Variable, Variable] = field(default_factory=dict)
    sites: dict[str, Variable] = field(default_factory=dict)
    plates: dict[str, int | tuple[Any, ...]] = field(default_factory=dict)
    declared: set[str] = field(default_factory=set)
    stack: list[object] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    reports: list[Any] = field(default_factory=list)
    late: list[Any] = field(default_factory=list)


_TRACE: ContextVar[Trace | None] = ContextVar("aeframe_trace", default=None)


def current_trace() -> Trace | None:
    """The trace of the lowering in progress, or ``None``."""
    return _TRACE.get()


def current_path() -> str | None:
    """The path of the Module being called (``layers[1]``; the root's is its class name)."""
    trace = _TRACE.get()
    if trace is None or not trace.paths:
        return None
    return trace.paths[-1] or type(trace.stack[-1]).__name__


@contextmanager
def tracing() -> Iterator[Trace]:
    """Record one lowering; a trace inside a trace is its own."""
    token = _TRACE.set(Trace())
    try:
        trace = _TRACE.get()
        assert trace is not None
        yield trace
    finally:
        _TRACE.reset(token)


@contextmanager
def calling(module: object, path: str) -> Iterator[None]:
    """Mark ``module`` as the one being called, at ``path``."""
    trace = _TRACE.get()
    if trace is None:
        with tracing(), calling(module, path):
            yield
        return
    trace.stack.append(module)
    trace.paths.append(path)
    try:
        yield
    finally:
        trace.stack.pop()
        trace.paths.pop()
