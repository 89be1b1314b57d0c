"""Batches put together for one program, and made ahead in a thread."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import replace
from queue import Empty, Full, Queue
from typing import Any

import numpy as np

from aeframe.train.batch import Batch


def stacked(batches: Iterator[Batch], count: int) -> Iterator[Batch]:
    """``count`` batches of one shape as one, along a new first axis; the rest one by one."""
    waiting: list[Batch] = []
    for batch in batches:
        same = not waiting or _shapes(batch) == _shapes(waiting[0])
        if not same:
            yield from waiting
            waiting = []
        waiting.append(batch)
        if len(waiting) == count:
            columns = zip(*(b.arrays for b in waiting), strict=True)
            yield replace(batch, arrays=tuple(np.stack(c) for c in columns), steps=count)
            waiting = []
    yield from waiting


def _shapes(batch: Batch) -> Any:
    return batch.extras, [(a.shape, a.dtype) for a in batch.arrays]


def ahead(batches: Iterator[Batch], count: int) -> Generator[Batch, None, None]:
    """The same batches, up to ``count`` of them made ahead in a thread.

    What the thread raises is raised here, in its place. The thread ends with the iteration.
    """
    if not count:
        yield from batches
        return
    made: Queue[tuple[Batch | None, BaseException | None]] = Queue(count)
    over = threading.Event()

    def put(batch: Batch | None, error: BaseException | None = None) -> None:
        while not over.is_set():
            try:
                return made.put((batch, error), timeout=0.1)
            except Full:
                continue

    def work() -> None:
        try:
            for batch in batches:
                put(batch)
                if over.is_set():
                    return
            put(None)
        except BaseException as error:  # it belongs to the thread that waits for the batch
            put(None, error)

    worker = threading.Thread(target=work, name="aeframe batches", daemon=True)
    worker.start()
    try:
        while True:
            batch, error = made.get()
            if error is not None:
                raise error
            if batch is None:
                return
            yield batch
    finally:
        over.set()
        with suppress(Empty):
            made.get_nowait()  # the thread may wait for room
        worker.join(timeout=5)
