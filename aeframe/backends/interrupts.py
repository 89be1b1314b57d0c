"""Ctrl-C waits for the end of a step: state is never lost half-way through a program."""

from __future__ import annotations

import signal
import threading
from typing import Any

_MAIN = threading.main_thread().ident


class interrupts_wait:  # noqa: N801 (used like a function)
    """Hold back SIGINT until the block is done, then let it be handled as usual.

    A program takes the memory of the cells that it updates. An interrupt between that and the
    return of the new values would leave cells without any. A block inside a block adds nothing.

    >>> with interrupts_wait():
    ...     pass
    """

    __slots__ = ("_received", "_usual")
    holding = False

    def __enter__(self) -> None:
        self._received: list[Any] = []
        self._usual: Any = None
        # only the main thread is interrupted
        if threading.get_ident() == _MAIN and not interrupts_wait.holding:
            self._usual = signal.signal(signal.SIGINT, self._hold) or signal.SIG_DFL
            interrupts_wait.holding = True

    def _hold(self, *received: Any) -> None:
        self._received.append(received)

    def __exit__(self, *exc: object) -> None:
        if self._usual is None:
            return
        interrupts_wait.holding = False
        signal.signal(signal.SIGINT, self._usual)
        if self._received and callable(self._usual):
            self._usual(*self._received[-1])
