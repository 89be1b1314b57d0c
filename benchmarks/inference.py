"""Inference: effective draws a second of NUTS and Gibbs, steps a second of variational inference.

`ess_per_s` is the smallest effective sample size (bulk) of a task's sites, over the seconds of
warm-up and sampling: 4 chains of 1000 and 1000, the median of several seeds, compiling apart.
`compile` is the seconds of the first run less those of the median of the others. `elbo_per_s` is
steps a second with one particle. Every run is in the process of its system; peers that need newer
libraries run under `--peer-python`.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import harness
import numpy as np
from harness import Row, missing, row, table
from machine import Served, say
from posteriors import TASKS

NUTS = {
    "aeframe/jax": "inference_ours",
    "aeframe/gibbs": "inference_ours",
    "numpyro/parallel": "inference_numpyro",
    "numpyro/vectorized": "inference_numpyro",
    "pymc/pymc": "inference_pymc",
    "nutpie/nutpie": "inference_pymc",
}
ELBO = {
    "aeframe/asvi": "inference_ours",
    "aeframe/normal": "inference_ours",
    "aeframe/multivariate": "inference_ours",
    "numpyro/normal": "inference_numpyro",
    "numpyro/multivariate": "inference_numpyro",
}
STEPS = 20_000
"""Steps of variational inference that are timed, above as many as a tenth of them take."""


def serve(kind: str, task: str, key: str) -> None:
    """What a process does: builds, then one run for each line, `seed file` or `steps -`."""
    make, _ = TASKS[task]
    module = importlib.import_module((NUTS if kind == "nuts" else ELBO)[key])
    run = getattr(module, kind)(task, key.split("/")[1], make())
    say(ready=1.0)
    for line in sys.stdin:
        number, path = line.split()
        start = time.perf_counter()
        if kind == "elbo":
            run(int(number))
            say(wall=time.perf_counter() - start)
            continue
        seconds, chains, diverging = run(int(number))
        np.savez(path, **{k: v for k, v in chains.items() if k in TASKS[task][1]})
        say(seconds=seconds, wall=time.perf_counter() - start, diverging=diverging)


def smallest_ess(path: Path) -> float:
    """The smallest bulk effective sample size of all entries of all sites in a file."""
    import arviz as az

    with np.load(path) as file:
        chains = {k: file[k] for k in file.files}
    data = az.convert_to_dataset(chains)
    return min(float(v.min()) for v in az.ess(data, method="bulk").values())


def measured(kind: str, task: str, key: str, options: Any) -> list[Row]:
    """The rows of one system."""
    ours = NUTS.get(key, ELBO.get(key)) == "inference_ours"
    command = ["--serve", kind, task, key]
    python = None if ours else options.peer_python
    with Served([sys.argv[0], *command], python=python) as process:
        if kind == "elbo":
            return [_elbo(task, key, process, options)]
        with tempfile.TemporaryDirectory() as folder:
            return _nuts(task, key, process, options, Path(folder) / "chains.npz")


def _elbo(task: str, key: str, process: Served, options: Any) -> Row:
    for steps in (STEPS // 10, STEPS):  # each is compiled for
        process.ask(steps, "-")
    rates = []
    for _ in range(options.repeats):
        short = process.ask(STEPS // 10, "-")["wall"]
        rates.append(STEPS * 0.9 / (process.ask(STEPS, "-")["wall"] - short))
    return row(task, key, "elbo_per_s", rates, "1/s", "higher")


def _nuts(task: str, key: str, process: Served, options: Any, path: Path) -> list[Row]:
    first = process.ask(0, path)["wall"]
    rates, walls, diverging = [], [], 0.0
    for seed in range(1, options.repeats + 1):
        found = process.ask(seed, path)
        rates.append(smallest_ess(path) / found["seconds"])
        walls.append(found["wall"])
        diverging += found["diverging"]
    compiling = max(first - float(np.median(walls)), 0.0)
    note = f"{diverging / options.repeats:.0f} divergences" if diverging else ""
    speed = row(task, key, "ess_per_s", rates, "1/s", "higher")
    return [
        Row(**{**vars(speed), "note": note}),
        row(task, key, "compile", [compiling], "s"),
    ]


def compared(rows: list[Row]) -> list[Row]:
    """For each of ours, its rate over the fastest peer's."""
    found = []
    for ours in [r for r in rows if r.system == harness.OURS and r.better == "higher"]:
        peers = [
            r
            for r in rows
            if r.system != harness.OURS and (r.task, r.metric) == (ours.task, ours.metric)
        ]
        best = max((p for p in peers if p.value), key=lambda p: p.value or 0.0, default=None)
        if best is not None and best.value and ours.value:
            found.append(
                Row(
                    ours.task,
                    ours.system,
                    ours.backend,
                    f"{ours.metric} ratio",
                    ours.value / best.value,
                    "x",
                    "higher",
                    repeats=ours.repeats,
                    versus=best.key,
                )
            )
    return found


def main() -> None:
    """Measure the chosen tasks and systems, and report."""
    if sys.argv[1:2] == ["--serve"]:
        return serve(*sys.argv[2:])
    options = harness.parser(__doc__)
    options.add_argument("--tasks", nargs="+", default=list(TASKS), metavar="NAME")
    options.add_argument("--systems", nargs="+", default=[*NUTS, *ELBO], metavar="SYSTEM/KIND")
    options.add_argument("--repeats", type=int, default=3, help="seeds")
    options.add_argument("--peer-python", default=sys.executable, help="the peers' interpreter")
    given = options.parse_args()
    rows: list[Row] = []
    for task in given.tasks:
        found: list[Row] = []
        for kind, systems, metric in (("nuts", NUTS, "ess_per_s"), ("elbo", ELBO, "elbo_per_s")):
            for key in [k for k in systems if k in given.systems]:
                if key == "aeframe/gibbs" and task != "horseshoe_logistic":
                    continue
                try:
                    found += measured(kind, task, key, given)
                except RuntimeError as error:
                    found.append(missing(task, key, metric, "1/s", str(error)))
        found += compared(found)
        table(found)
        rows += found
        harness.save(given, rows)


if __name__ == "__main__":
    main()
