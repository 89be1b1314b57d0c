"""What the machine can do, and programs in processes of their own."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

import numpy as np
from work import gemm


def gemm_rate(seconds: float = 2.0) -> float:
    """The best rate, in FLOPs a second, of NumPy's float32 matrix product on this machine."""
    best = 0.0
    sizes = (512, 1024, 2048)
    for n in sizes:
        a, b = np.ones((2, n, n), np.float32)
        out = np.empty_like(a)
        end = time.perf_counter() + seconds / len(sizes)
        while (start := time.perf_counter()) < end:
            np.matmul(a, b, out=out)
            best = max(best, gemm(n, n, n).flops / (time.perf_counter() - start))
    return best


def peak_rss() -> float:
    """Peak resident memory of this process, in MB.

    Linux hands `getrusage`'s maximum down from the parent process, so a small program started by
    a large one would report the large one's: where the kernel keeps it per program, that counts.
    """
    try:
        with open("/proc/self/status") as status:
            return next(int(ln.split()[1]) for ln in status if ln.startswith("VmHWM")) * 1024 / 1e6
    except (OSError, StopIteration):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def say(**facts: float) -> None:
    """Answer the process that started this one."""
    print(json.dumps(facts), flush=True)


class Served:
    """A Python program in a process of its own, that does what it is asked and then sleeps.

    So no library's threads, settings or memory are in the process of another. The program answers
    with `say`, once when it is ready and once for each line that it is sent.

    Attributes
    ----------
    seconds
        From the start of the process to its first answer.
    facts
        That answer.
    """

    def __init__(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str] | None = None,
        python: str | None = None,
    ) -> None:
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        start = time.perf_counter()
        self.process = subprocess.Popen(
            [python or sys.executable, *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        self.facts = self._answer()
        self.seconds = time.perf_counter() - start

    def ask(self, *request: object) -> dict[str, float]:
        """The answer to a request; RuntimeError, with the last line it wrote, when it has died."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # there is no answer then, either
            print(*request, file=self.process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict[str, float]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        self.process.wait()
        self.errors.seek(0)
        last = (self.errors.read().strip().splitlines() or ["no output"])[-1]
        self.close()
        raise RuntimeError(last)

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None and self.process.stdout is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.errors.close()

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
