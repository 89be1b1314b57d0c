"""Ctrl-C waits for the end of a step: state is never lost half-way through a program."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_MAIN = threading.main_thread().ident


class _Handler:
    """What SIGINT calls instead of the usual handler, while that is installed."""

    def __init__(self) -> None:
        self.usual: Any = None
        self.installed = self.holding = False
        self.received: list[Any] = []

    def __call__(self, *received: Any) -> None:
        if self.holding:
            self.received.append(received)
        else:
            self._pass_on(received)

    def _pass_on(self, received: Any) -> None:
        if callable(self.usual):
            self.usual(*received)

    def install(self) -> None:
        """Take the place of the usual handler."""
        self.usual = signal.signal(signal.SIGINT, self)
        self.installed = True

    def remove(self) -> None:
        """Give it back its place."""
        self.installed = False
        signal.signal(signal.SIGINT, signal.SIG_DFL if self.usual is None else self.usual)

    def release(self) -> None:
        """Let the usual handler have what was held back."""
        self.holding = False
        if self.received:
            received, self.received = self.received[-1], []
            self._pass_on(received)


_HANDLER = _Handler()


@contextmanager
def interrupts_between() -> Iterator[None]:
    """Around many blocks of :class:`interrupts_wait`: they cost next to nothing inside.

    Outside of such blocks an interrupt comes at once, as usual.
    """
    if threading.get_ident() != _MAIN or _HANDLER.installed:
        yield
        return
    _HANDLER.install()
    try:
        yield
    finally:
        _HANDLER.remove()


class interrupts_wait:  # noqa: N801 (used like a function)
    """Hold back SIGINT until the block is done, then let it be handled as usual.

    A program takes the memory of the cells that it updates. An interrupt between that and the
    return of the new values would leave cells without any. A block inside a block adds nothing.

    >>> with interrupts_wait():
    ...     pass
    """

    __slots__ = ("_holds", "_installs")

    def __enter__(self) -> None:
        # only the main thread is interrupted
        self._holds = threading.get_ident() == _MAIN and not _HANDLER.holding
        self._installs = self._holds and not _HANDLER.installed
        if self._holds:
            _HANDLER.holding = True
        if self._installs:
            _HANDLER.install()

    def __exit__(self, *exc: object) -> None:
        if self._installs:
            _HANDLER.remove()
        if self._holds:
            _HANDLER.release()
