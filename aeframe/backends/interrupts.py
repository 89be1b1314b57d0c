"""Ctrl-C waits for the end of a step: state is never lost half-way through a program."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def interrupts_wait() -> Iterator[None]:
    """Hold back SIGINT until the block is done, then let it be handled as usual.

    A program takes the memory of the cells that it updates. An interrupt between that and the
    return of the new values would leave cells without any.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread is interrupted
        return
    held: list[Any] = []
    usual = signal.signal(signal.SIGINT, lambda *received: held.append(received))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
        if held and callable(usual):
            usual(*held[-1])
