"""Networks that train: aeframe against PyTorch, Flax with Optax and Keras on JAX.

`step` is the seconds of one training step, `infer_b1` and `infer_b64` those from 1 or 64 rows in
NumPy memory to their predictions there; systems take turns, each in a process of its own.
`first_step` is the seconds from a fresh process's start to its first step's end, and
`first_step_cold` the same with an empty compile cache on disk (for systems that have one);
`peak_rss` is that process's peak memory after the task's number of steps, and `loss` its loss
then, which shows that all did the same work. Every step takes its batch from NumPy memory, every
number is float32, every system trains as many parameters and may use all processors.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import harness
from harness import Row
from load import Quiet
from machine import Served, gemm_rate, peak_rss, say
from systems import SYSTEMS, System
from tasks import TASKS, Task
from work import Work

TIMED = {"step": ("step",), "infer_b1": ("infer", 1), "infer_b64": ("infer", 64)}
"""The request to a served process for each metric that is timed in turn."""
COSTS = {"first_step": "s", "peak_rss": "MB"}
TOO_SLOW = 20.0
"""Seconds of a step above which a system is not timed."""
T = TypeVar("T")
U = TypeVar("U")


def serve(task: Task, system: System) -> None:
    """What a process does: one step, then what each line of its input asks for."""
    data = task.data(0)
    runner = system.build(task.name, data)
    runner.seconds(1)
    say(parameters=runner.parameters)
    for line in sys.stdin:
        request, *numbers = line.split()
        if request == "step":
            say(seconds=runner.seconds(int(numbers[0])))
        elif request == "infer":
            say(seconds=runner.latency(data.x, *map(int, numbers)))
        else:
            say(peak_rss=peak_rss(), loss=runner.sync())


def start(task: Task, system: System, environment: Mapping[str, str] | None = None) -> Served:
    """A process of one system that has taken its first step."""
    process = Served([sys.argv[0], "--serve", task.name, system.key], environment)
    if process.facts["parameters"] != task.parameters:
        process.close()
        text = f"{process.facts['parameters']} parameters instead of {task.parameters}"
        raise RuntimeError(text)
    return process


def cost(task: Task, process: Served) -> dict[str, float]:
    """What a process that has taken its first step took for it, and takes for the others."""
    second = process.ask("step", 1)["seconds"]
    if second > TOO_SLOW:
        process.close()
        raise RuntimeError(f"a step takes {second:.0f} s")
    process.ask("step", task.steps - 2)
    return {"first_step": process.seconds, **process.ask("cost")}


def fresh(task: Task, system: System) -> dict[str, float]:
    """The costs of a process that ends after its steps."""
    with start(task, system) as process:
        return cost(task, process)


def cold(task: Task, system: System) -> float:
    """The seconds to the first step when nothing was compiled before."""
    assert system.cache is not None
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        start(task, system, system.cache(folder)) as process,
    ):
        return process.seconds


def missing(task: Task, key: str, metric: str, note: str) -> Row:
    """The row of a system that has no value."""
    return harness.missing(task.name, key, metric, COSTS.get(metric, "s"), note)


def able(
    task: Task, metrics: Sequence[str], things: Mapping[str, T], call: Callable[[T], U]
) -> tuple[dict[str, U], list[Row]]:
    """What `call` returns for each system that can, and rows for each that cannot."""
    results: dict[str, U] = {}
    rows: list[Row] = []
    for key, thing in things.items():
        try:
            results[key] = call(thing)
        except Exception as error:
            note = f"failed: {type(error).__name__}: {error}".splitlines()[0][:110]
            rows += [missing(task, key, metric, note) for metric in metrics]
    return results, rows


def cost_rows(
    task: Task, metrics: Sequence[str], costs: Mapping[str, list[dict[str, float]]]
) -> list[Row]:
    """The rows of what processes cost, and of the loss that they reached."""
    rows: list[Row] = []
    for metric in metrics:
        samples = {key: [one[metric] for one in found] for key, found in costs.items()}
        rows += harness.compare(task.name, metric, samples, COSTS[metric])
    losses = {key: [one["loss"] for one in found] for key, found in costs.items()}
    return rows + [harness.row(task.name, key, "loss", x, "nat") for key, x in losses.items()]


def processes(
    task: Task, metrics: Sequence[str], systems: dict[str, System], rounds: int, quiet: Quiet
) -> list[Row]:
    """Fresh processes in turn, after one round that only warms the machine's caches."""
    warm, rows = able(task, metrics, systems, partial(fresh, task))
    ready = {key: systems[key] for key in warm}
    turns = {key: partial(fresh, task, system) for key, system in ready.items()}
    costs: dict[str, list[dict[str, float]]] = {key: [] for key in ready}
    for _ in range(rounds):
        for key, turn in turns.items():
            costs[key].append(quiet.measure(turn))
    rows += cost_rows(task, metrics, costs)
    if "first_step" in metrics:
        cached = {key: system for key, system in ready.items() if system.cache}
        empty = {key: [quiet.measure(partial(cold, task, s))] for key, s in cached.items()}
        rows += harness.compare(task.name, "first_step_cold", empty, "s")
    return rows


def in_turn(task: Task, metric: str, served: dict[str, Served], interleave: Callable) -> list[Row]:
    """The rows of a metric that is timed in turn."""

    def ready(process: Served) -> harness.Timer:
        process.ask(*TIMED[metric], 1)
        return lambda steps: process.ask(*TIMED[metric], steps)["seconds"]

    timers, rows = able(task, [metric], served, ready)
    return rows + harness.compare(task.name, metric, interleave(timers), "s")


def roofline(task: Task, metrics: Sequence[str], quiet: Quiet) -> list[Row]:
    """The rate of a matrix product, and the least times that the task's FLOPs take at it."""
    rate = quiet.measure(gemm_rate)
    work: dict[str, Work] = {
        "step": task.step_work(task.data(0).batch),
        "infer_b1": task.infer_work(1),
        "infer_b64": task.infer_work(64),
    }
    rows = [Row(task.name, "machine", "numpy", "gemm_rate", rate / 1e9, "GFLOP/s", better="higher")]
    for metric in metrics:
        w = work[metric]
        note = f"{w.flops / 1e6:.4g} MFLOP, {w.bytes / 1e6:.3g} MB, {w.intensity:.3g} FLOP/B"
        rows.append(Row(task.name, "machine", "roofline", metric, w.flops / rate, "s", note=note))
    return rows


def measure(task: Task, given: argparse.Namespace) -> list[Row]:
    """All rows of a task."""
    quiet = harness.quiet(given)
    chosen = {s.key: s for s in SYSTEMS if not given.system or s.key in given.system}
    present = {key: s for key, s in chosen.items() if not s.missing}
    metrics = given.metric or [*TIMED, *COSTS]
    costs, timed = [m for m in COSTS if m in metrics], [m for m in TIMED if m in metrics]
    rows = [
        missing(task, key, metric, s.missing)
        for metric in metrics
        for key, s in chosen.items()
        if s.missing
    ]
    if costs and not given.quick:
        rows += processes(task, costs, present, 3, quiet)
    if timed or given.quick:
        interleave = partial(
            harness.interleave,
            quiet=quiet,
            rounds=given.rounds or (5 if given.quick else 30),
            sample=0.1 if given.quick else 0.4,
            budget=10 if given.quick else 120,
        )
        rows += roofline(task, timed, quiet)
        served, failed = able(task, timed, present, partial(start, task))
        found, slow = able(task, timed, served, lambda process: [cost(task, process)])
        rows += failed + slow + (cost_rows(task, costs, found) if given.quick else [])
        for metric in timed:
            rows += in_turn(task, metric, {key: served[key] for key in found}, interleave)
        for process in served.values():
            process.close()
    return rows + harness.taken(task.name, quiet)


def main() -> None:
    """Measure the chosen tasks on the chosen systems and report."""
    options = harness.parser(__doc__)
    keys = {s.key: s for s in SYSTEMS}
    choose = partial(options.add_argument, action="append")
    choose("--task", choices=TASKS, help="default: all")
    choose("--system", choices=keys, help="default: all")
    choose("--metric", choices=[*TIMED, *COSTS], help="default: all")
    options.add_argument("--rounds", type=int, help="most samples of a metric timed in turn")
    options.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.serve:
        task, key = given.serve
        return serve(TASKS[task], keys[key])
    rows: list[Row] = []
    for name in given.task or TASKS:
        found = measure(TASKS[name], given)
        harness.table(found)
        rows += found
        harness.save(given, rows)


if __name__ == "__main__":
    main()
