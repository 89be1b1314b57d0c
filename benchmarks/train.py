"""Training steps of small networks: aeframe against PyTorch, Flax with Optax and Keras on JAX.

`step` is the seconds of one training step, each system in a process of its own; `first_step` the
seconds from a fresh process's start to its first step's end, `first_step_cold` the same with an
empty compile cache on disk (for systems that have one); `peak_rss` that process's peak memory
after 50 steps, and `loss` its loss then, which shows that all did the same work. Every step takes
its batch from NumPy memory; every system may use all processors.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

import harness
from harness import Row
from load import Quiet
from machine import Served, Work, fresh_process, gemm_rate, peak_rss, say
from systems import SYSTEMS, System
from tasks import TASKS, Task

STEPS = 50
COST = {"first_step": "s", "peak_rss": "MB"}
T = TypeVar("T")


def worker(task: str, key: str) -> None:
    """What a fresh process does: one step, then the rest, saying what it cost."""
    system = next(s for s in SYSTEMS if s.key == key)
    runner = system.build(task, TASKS[task].data(0))
    runner.seconds(1)
    say(step=1)
    runner.seconds(STEPS - 1)
    say(peak_rss=peak_rss(), loss=runner.sync())


def serve(task: str, key: str) -> None:
    """What a served process does: as many steps as each line of its input asks for."""
    system = next(s for s in SYSTEMS if s.key == key)
    runner = system.build(task, TASKS[task].data(0))
    for line in sys.stdin:
        say(seconds=runner.seconds(int(line)))


def start(task: Task, system: System, environment: Mapping[str, str] | None = None) -> dict:
    """A fresh process of one system."""
    return fresh_process([sys.argv[0], "--worker", task.name, system.key], environment)


def cold_start(task: Task, system: System) -> float:
    """The seconds to the first step when nothing was compiled before."""
    assert system.cache is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        return start(task, system, system.cache(folder))["first_step"]


def able(
    task: Task, systems: list[System], metric: str, call: Callable[[System], T]
) -> tuple[dict[str, T], list[Row]]:
    """What `call` returns for each system that can, and a row for each that cannot."""
    results: dict[str, T] = {}
    rows: list[Row] = []
    for system in systems:
        try:
            results[system.key] = call(system)
        except Exception as error:
            text = f"{type(error).__name__}: {error}".strip().splitlines()[-1][:100]
            rows.append(harness.missing(task.name, system.key, metric, "s", f"failed: {text}"))
    return results, rows


def processes(task: Task, systems: list[System], rounds: int, cold: int, quiet: Quiet) -> list[Row]:
    """Fresh processes in turn, after one round that only warms the machine's caches."""
    warm, rows = able(task, systems, "first_step", partial(start, task))
    ready = [s for s in systems if s.key in warm]
    facts: dict[str, list[dict]] = {key: [] for key in warm}
    for _ in range(rounds):
        for system in ready:
            facts[system.key].append(quiet.measure(partial(start, task, system)))
    for metric, unit in COST.items():
        samples = {key: [f[metric] for f in runs] for key, runs in facts.items()}
        rows += harness.compare(task.name, metric, samples, unit)
    for key, runs in facts.items():
        rows.append(harness.row(task.name, key, "loss", [f["loss"] for f in runs], "nat"))
    cached = [s for s in ready if s.cache]
    empty: dict[str, list[float]] = {s.key: [] for s in cached}
    for _ in range(cold):
        for system in cached:
            empty[system.key].append(quiet.measure(partial(cold_start, task, system)))
    return rows + harness.compare(task.name, "first_step_cold", empty, "s")


def steps(task: Task, systems: list[System], rounds: int, sample: float, quiet: Quiet) -> list[Row]:
    """Steps in turn, each system in a process of its own."""

    def serve(system: System) -> Served:
        return Served([sys.argv[0], "--serve", task.name, system.key])

    served, rows = able(task, systems, "step", serve)
    timers = {key: process.seconds for key, process in served.items()}
    samples = harness.interleave(timers, quiet, rounds=rounds, sample=sample)
    for process in served.values():
        process.close()
    return rows + harness.compare(task.name, "step", samples, "s")


def machine(task: Task, work: Work, quiet: Quiet) -> list[Row]:
    """The rate of a matrix product, and the least time that a step's FLOPs take at it."""
    rate = quiet.measure(gemm_rate)
    note = f"{work.flops / 1e6:.4g} MFLOP, {work.bytes / 1e6:.3g} MB, {work.intensity:.3g} FLOP/B"
    return [
        Row(task.name, "machine", "numpy", "gemm_rate", rate / 1e9, "GFLOP/s", better="higher"),
        Row(task.name, "machine", "roofline", "step", work.flops / rate, "s", note=note),
    ]


def main() -> None:
    """Measure the chosen tasks on the chosen systems and report."""
    options = harness.parser(__doc__)
    options.add_argument("--task", choices=TASKS, action="append", help="default: all")
    keys = [s.key for s in SYSTEMS]
    options.add_argument("--system", choices=keys, action="append", help="default: all")
    options.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    options.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.worker:
        return worker(*given.worker)
    if given.serve:
        return serve(*given.serve)
    chosen = [s for s in SYSTEMS if not given.system or s.key in given.system]
    present = [s for s in chosen if not s.missing]
    rounds, cold, pairs, sample = (2, 1, 20, 0.1) if given.quick else (5, 2, 30, 0.4)
    rows: list[Row] = []
    for name in given.task or TASKS:
        task, quiet = TASKS[name], harness.quiet(given)
        rows += [
            harness.missing(name, s.key, metric, unit, s.missing)
            for metric, unit in {"step": "s", **COST}.items()
            for s in chosen
            if s.missing
        ]
        rows += processes(task, present, rounds, cold, quiet)
        rows += machine(task, task.work, quiet)
        rows += steps(task, present, pairs, sample, quiet)
        rows.append(harness.row(name, "machine/others", "cpus taken", quiet.shares, "cpus"))
    harness.report(given, rows)


if __name__ == "__main__":
    main()
