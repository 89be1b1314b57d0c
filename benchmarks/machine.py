"""What the machine can do, and what a whole process costs.

`Work` counts the FLOPs and bytes of a computation; with the measured rate of a float32 matrix
product it gives the time below which no program on this machine can go. `fresh_process` starts a
program anew and reads its time to the first step and its peak memory.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Work:
    """Floating-point operations and bytes moved, where each operand moves once."""

    flops: float = 0.0
    bytes: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(self.flops + other.flops, self.bytes + other.bytes)

    def __mul__(self, times: float) -> Work:
        return Work(self.flops * times, self.bytes * times)

    @property
    def intensity(self) -> float:
        """FLOPs per byte."""
        return self.flops / self.bytes


def gemm(m: int, k: int, n: int, itemsize: int = 4) -> Work:
    """A product of an (m, k) and a (k, n) matrix."""
    return Work(2.0 * m * k * n, float(itemsize) * (m * k + k * n + m * n))


def dense(batch: int, inputs: int, outputs: int, input_gradient: bool = True) -> Work:
    """A dense layer's training step: forward, the weights' gradient, the input's gradient."""
    work = gemm(batch, inputs, outputs) + gemm(inputs, batch, outputs)
    return work + gemm(batch, outputs, inputs) if input_gradient else work


def adam(parameters: int, itemsize: int = 4) -> Work:
    """Adam's update: reads parameter, gradient and two moments, writes all but the gradient."""
    return Work(14.0 * parameters, 7.0 * itemsize * parameters)


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
    """Tell the process that started this one, from inside `fresh_process`."""
    print(json.dumps(facts), flush=True)


class Served:
    """A process of its own that takes steps when it is asked to, and sleeps in between.

    So no library's threads, settings or memory are in the process of another.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [sys.executable, *argv], stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
        )
        self.seconds(1)

    def seconds(self, steps: int) -> float:
        """The seconds that one of `steps` steps takes; RuntimeError when the process has died."""
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            print(steps, file=self.process.stdin, flush=True)
        except BrokenPipeError as error:
            raise RuntimeError("the process ended") from error
        for line in self.process.stdout:
            if line.startswith("{"):
                return float(json.loads(line)["seconds"])
        raise RuntimeError("the process ended")

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def fresh_process(argv: Sequence[str], environment: Mapping[str, str] | None = None) -> dict:
    """Run a Python program; what it told with `say`, and when, counted from its start.

    The program says `step=1` when its first step is done and its other facts before it ends.
    The result has `first_step`, in seconds, and those facts; RuntimeError carries the last line
    of what the program wrote when it failed.
    """
    facts: dict = {}
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as errors:
        with subprocess.Popen(
            [sys.executable, *argv],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, **(environment or {})},
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("{"):
                    facts.setdefault("first_step", time.perf_counter() - start)
                    facts.update(json.loads(line))
        errors.seek(0)
        last = (errors.read().strip().splitlines() or ["no output"])[-1]
    if process.returncode or not facts:
        raise RuntimeError(last)
    return facts
