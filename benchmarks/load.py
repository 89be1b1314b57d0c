"""Other processes on the machine: how much they take, and waiting for them to stop.

A busy neighbour changes the ranking, not only the times: threads that spin at a barrier lose far
more to it than threads that sleep. A disturbed round is therefore timed again while patience
lasts, whatever it measured, and what was left of the disturbance is reported.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def foreign() -> float:
    """CPU seconds that others have used; zero where Linux's counters are not there.

    Others are all processes but this one and its descendants, and the host of a virtual machine.
    """
    try:
        with open("/proc/stat") as stat:
            user, nice, system, _, _, irq, softirq, steal = map(int, stat.readline().split()[1:9])
    except (OSError, ValueError):
        return 0.0
    ticks = user + nice + system + irq + softirq + steal - _ticks(os.getpid())
    return ticks / os.sysconf("SC_CLK_TCK")


def _ticks(pid: int) -> int:
    """Processor time of a process, of the children that it has waited for, and of the living."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        children: set[int] = set()
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children") as listed:
                children.update(map(int, listed.read().split()))
    except (FileNotFoundError, ProcessLookupError):  # it has just ended
        return 0
    return sum(map(int, fields[11:15])) + sum(map(_ticks, children))


def _doze() -> None:
    time.sleep(0.3)


class Quiet:
    """Measures while others leave the machine alone, as long as `patience` seconds last."""

    def __init__(self, patience: float, limit: float = 0.1) -> None:
        self.patience, self.limit = patience, limit
        self.shares: list[float] = []
        """How many processors others took during each measurement that was kept."""

    def measure(self, call: Callable[[], T]) -> T:
        """What `call` returns, called again while others disturb it and patience lasts."""
        while True:
            if self.patience > 0 and self._share(_doze)[1] > self.limit:
                print("waiting for other processes", file=sys.stderr)
                while self.patience > 0 and self._share(_doze)[1] > self.limit:
                    continue
            result, share = self._share(call)
            if share <= self.limit or self.patience <= 0:
                self.shares.append(share)
                return result

    def _share(self, call: Callable[[], T]) -> tuple[T, float]:
        used, start = foreign(), time.perf_counter()
        result = call()
        elapsed = time.perf_counter() - start
        share = (foreign() - used) / elapsed
        if share > self.limit:
            self.patience -= elapsed
        return result, share
