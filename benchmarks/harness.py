"""The form of every benchmark: interleaved timing, result rows, a table and a JSON file.

A benchmark times its systems in turn, round by round (A B C A B C ...), so that a machine's slow
moments fall on all of them alike, and compares two systems by the median of their ratios within a
round. Each result is a `Row`; a system that cannot run is a row without a value and with a note.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from load import Quiet
from rich.console import Console
from rich.table import Table

OURS = "aeframe"
PACKAGES = (
    "aeframe",
    "aesara",
    "numpy",
    "scipy",
    "jax",
    "jaxlib",
    "numba",
    "torch",
    "flax",
    "optax",
    "keras",
    "scikit-learn",
)

Timer = Callable[[int], float]
"""Runs a number of steps and returns the seconds that one took."""


@dataclass(frozen=True)
class Row:
    """One result; `low` and `high` bound the median at about 95 % confidence."""

    task: str
    system: str
    backend: str
    metric: str
    value: float | None
    unit: str
    better: str = "lower"
    low: float | None = None
    high: float | None = None
    repeats: int = 0
    versus: str = ""
    note: str = ""

    @property
    def key(self) -> str:
        """The system with its backend, as `torch/eager`."""
        return f"{self.system}/{self.backend}"


def timer(call: Callable[[], object], sync: Callable[[], object] | None = None) -> Timer:
    """Time `call`, and wait for its results with `sync` before the clock is read."""

    def seconds(steps: int) -> float:
        start = time.perf_counter()
        for _ in range(steps):
            call()
        if sync is not None:
            sync()
        return (time.perf_counter() - start) / steps

    return seconds


def interleave(
    timers: Mapping[str, Timer],
    quiet: Quiet,
    *,
    rounds: int = 30,
    sample: float = 0.4,
    settle: float = 0.4,
    budget: float = 150.0,
    pause: float = 0.05,
) -> dict[str, list[float]]:
    """Seconds per step of each timer, sampled in turn; the lists are aligned by round.

    A sample averages as many steps as take `sample` seconds. Before it come a pause, because the
    idle threads of the BLAS before it go on spinning, and `settle` seconds of steps that are not
    counted, because threads that have slept share a processor for a quarter of a second until the
    system moves them apart. Each round begins with the next timer, so that none is always first.
    There are as many rounds as take `budget` seconds, but not more than `rounds` and, if those
    are more, not less than three.
    """
    one = {key: seconds(max(2, round(0.1 / seconds(1)))) for key, seconds in timers.items()}
    before = {key: max(1, math.ceil(settle / one[key])) for key in timers}
    counted = {key: max(1, round(sample / one[key])) for key in timers}
    expected = sum(pause + one[key] * (before[key] + counted[key]) for key in timers)
    rounds = min(rounds, max(3, int(budget / expected))) if timers else 0
    keys = list(timers)

    def one_round(first: int) -> dict[str, float]:
        times = {}
        for key in keys[first:] + keys[:first]:
            time.sleep(pause)
            timers[key](before[key])
            times[key] = timers[key](counted[key])
        return times

    measured = [quiet.measure(partial(one_round, i % len(keys))) for i in range(rounds)]
    return {key: [times[key] for times in measured] for key in keys}


def median(samples: Sequence[float]) -> tuple[float, float, float]:
    """The median and its distribution-free 95 % interval, from the order statistics.

    With fewer than six samples the interval is their range.
    """
    ordered = sorted(samples)
    n = len(ordered)
    skip = max(0, math.floor(n / 2 - 0.98 * math.sqrt(n)))
    return statistics.median(ordered), ordered[skip], ordered[n - 1 - skip]


def row(
    task: str,
    key: str,
    metric: str,
    samples: Sequence[float],
    unit: str,
    better: str = "lower",
    versus: str = "",
) -> Row:
    """The row of one system's samples; `key` is `system/backend`."""
    system, backend = key.split("/")
    value, low, high = median(samples)
    n = len(samples)
    return Row(task, system, backend, metric, value, unit, better, low, high, n, versus)


def missing(task: str, key: str, metric: str, unit: str, note: str) -> Row:
    """The row of a system that cannot run."""
    system, backend = key.split("/")
    return Row(task, system, backend, metric, None, unit, note=note)


def compare(
    task: str, metric: str, samples: Mapping[str, Sequence[float]], unit: str, better: str = "lower"
) -> list[Row]:
    """A row for each system and, for each of ours and each peer, a row of ours / peer."""
    rows = [row(task, key, metric, values, unit, better) for key, values in samples.items()]
    for ours in (key for key in samples if key.startswith(OURS)):
        for peer in (key for key in samples if not key.startswith(OURS)):
            ratios = [a / b for a, b in zip(samples[ours], samples[peer], strict=True)]
            rows.append(row(task, ours, f"{metric} ratio", ratios, "x", better, peer))
    return rows


def number(value: float, unit: str) -> str:
    """A value with its unit, to be read by a person."""
    if unit == "s" and value < 1:
        return f"{value * 1e3:.3g} ms"
    return f"{value:.2f}" if unit == "x" else f"{value:.4g} {unit}"


def interval(result: Row) -> str:
    """The interval of a row's value, without the unit where the value shows it."""
    if result.low is None or result.high is None:
        return ""
    scale = 1e3 if result.unit == "s" and (result.value or 0) < 1 else 1
    return f"{result.low * scale:.3g} to {result.high * scale:.3g}"


def table(rows: Iterable[Row], console: Console | None = None) -> None:
    """Print one table per task and metric; a peer's line shows how ours compare with it."""
    rows = list(rows)
    console = console or Console(width=None if sys.stdout.isatty() else 140)
    ratios = {(r.task, r.metric, r.key, r.versus): r for r in rows if r.versus}
    groups: dict[tuple[str, str], list[Row]] = {}
    for r in rows:
        if not r.versus:
            groups.setdefault((r.task, r.metric), []).append(r)
    for (task, metric), group in groups.items():
        better = max if group[0].better == "higher" else min
        values = [r.value for r in group if r.value is not None and r.repeats]
        best = better(values) if len(values) > 1 else None
        ours = [
            r.key
            for r in group
            if any((task, f"{metric} ratio", r.key, p.key) in ratios for p in group)
        ]
        headers = ["system", "median", "interval", "n", *(f"{o} is x times" for o in ours)]
        view = Table(*headers, "note", title=f"{task}: {metric}", title_justify="left")
        for r in group:
            found = [ratios.get((task, f"{metric} ratio", o, r.key)) for o in ours]
            text = "-" if r.value is None else number(r.value, r.unit)
            view.add_row(
                r.key,
                f"[bold]{text}[/bold]" if r.value is not None and r.value == best else text,
                interval(r),
                str(r.repeats or ""),
                *(f"{f.value:.2f} ({interval(f)})" if f else "" for f in found),
                r.note,
            )
        console.print(view)


def versions() -> dict[str, str]:
    """The versions of Python and of the libraries that matter, where installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def cpu_name() -> str:
    """The processor's model, as Linux names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((ln.split(":")[1].strip() for ln in lines if ln.startswith("model name")), "")


def cpus() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def origin() -> dict[str, Any]:
    """Where figures come from: the command, the day, the machine and the versions."""
    command = ["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]
    if "--json" in command:
        at = command.index("--json")
        command[at + 1] = Path(command[at + 1]).name
    return {
        "command": shlex.join(command),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": cpu_name(),
        "cpu_count": cpus(),
        "versions": versions(),
    }


def write_json(path: Path, rows: Iterable[Row]) -> None:
    """Write the rows and where they come from; a killed run leaves the file before it whole."""
    document = {**origin(), "rows": [asdict(r) for r in rows]}
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".tmp", delete=False) as file:
        json.dump(document, file, indent=1)
        file.write("\n")
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


def parser(description: str) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--quick", action="store_true", help="fewer and shorter samples")
    options.add_argument("--json", type=Path, help="where the results go")
    options.add_argument(
        "--patience",
        type=float,
        help="seconds to wait, in all, for other processes to leave the machine alone",
    )
    return options


def quiet(options: argparse.Namespace) -> Quiet:
    """What waits for others as long as the options allow: by default 300 seconds, quick 30."""
    if options.patience is not None:
        return Quiet(options.patience)
    return Quiet(30 if options.quick else 300)


def taken(task: str, quiet: Quiet) -> list[Row]:
    """How many processors others took while it was measured, and whether that was too many."""
    if not quiet.shares:
        return []
    found = row(task, "machine/others", "cpus taken", quiet.shares, "cpus")
    disturbed = found.value is not None and found.value > quiet.limit
    return [replace(found, note="disturbed: measure again" if disturbed else "")]


def save(options: argparse.Namespace, rows: Iterable[Row]) -> None:
    """Write the JSON file, by default to `benchmarks/results/`."""
    name = Path(sys.argv[0]).stem + ("-quick" if options.quick else "")
    write_json(options.json or Path(__file__).parent / "results" / f"{name}.json", rows)
