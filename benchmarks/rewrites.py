"""Networks rewritten for inference: `model.optimize()` against the model, and PyTorch beside.

`plain` and `optimized` are the seconds of one call, from an array in NumPy memory to the result
there; `speedup` is the median of their ratios within a round, the two in one process that takes
turns with the others. `search` is what the passes take, saturation and extraction: the seconds in
which the optimized model becomes the graph of inference, less those of the plain one, with a cost
model that knows the machine (its measurements are kept on disk). `first` is the seconds of the
first call of each, and `error` the largest difference of the outputs, relative to the largest
output: of optimized and plain on a backend, and of PyTorch, which has the same weights, and the
first backend.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import harness
import numpy as np
from harness import OURS, Row
from machine import Served, say
from networks import NETWORKS
from rich.console import Console
from rich.table import Table

TORCH = "torch/eager"
CALLS = ("plain", "optimized")
Call = Callable[[], np.ndarray]


def tasks() -> list[str]:
    """The networks and the small models."""
    from networks.small import SMALL

    return [*NETWORKS, *SMALL]


def model_of(task: str):
    """The plain model of a task with its weights, and an input."""
    from aesara.tensor.type import TensorType
    from networks.small import SMALL
    from networks.weights import made

    if task in SMALL:
        build, shape = SMALL[task]
    else:
        network = import_module(f"networks.{task}")
        build, shape = network.build, network.SHAPE
    x = np.random.default_rng(0).standard_normal(shape, np.float32)
    return made(build(), TensorType("float32", shape)("x")), x


def on_ours(task: str, backend: str) -> tuple[dict[str, Call], dict[str, float]]:
    """The calls of aeframe on a backend, and what was measured before them."""
    from aeframe.backends import Backend

    Backend(backend).__enter__()
    plain, x = model_of(task)
    optimized = plain.optimize()
    searched(optimized, x)  # measures the machine where that was not done before
    found = {"search": max(searched(plain.optimize(), x) - searched(plain, x), 0.0)}
    first, first_optimized = once(partial(plain, x)), once(partial(optimized, x))
    found |= {"first": first, "first_optimized": first_optimized}
    return {"plain": partial(plain, x), "optimized": partial(optimized, x)}, found


def searched(model, x: np.ndarray) -> float:
    """The seconds from a model to its graph of inference."""
    from aesara.tensor.type import TensorType

    from aeframe.core.module import lower
    from aeframe.rewrites.standard import inference

    symbol = TensorType("float32", x.shape)("x")
    return once(lambda: inference(lower(model, symbol)))


def once(call: Callable[[], object]) -> float:
    """The seconds of one call."""
    return harness.timer(call)(1)


def on_torch(task: str) -> tuple[dict[str, Call], dict[str, float]]:
    """The call of PyTorch: images as its channels-last memory format, no gradients."""
    import torch
    from networks.weights import copied

    torch.set_num_threads(harness.cpus())
    ours, x = model_of(task)
    model = copied(ours, import_module(f"networks.{task}_torch").build()).eval()
    given = torch.from_numpy(x)
    if x.ndim == 4:
        model, given = model.to(memory_format=torch.channels_last), given.permute(0, 3, 1, 2)

    def call() -> np.ndarray:
        with torch.inference_mode():
            return model(given).numpy()

    return {"plain": call}, {"first": once(call)}


def serve(task: str, system: str) -> None:
    """What a process does: build, then time or save what each line of its input asks for."""
    calls, found = on_torch(task) if system == TORCH else on_ours(task, system.split("/")[1])
    say(**found)
    for line in sys.stdin:
        name, given = line.split(maxsplit=1)
        if given.strip().isdecimal():
            say(seconds=harness.timer(calls[name])(int(given)))
        else:
            np.save(given.strip(), calls[name]())
            say(saved=1)


def timers(served: Mapping[str, Served]) -> dict[str, harness.Timer]:
    """What times each call, by ``system call``."""

    def timed(process: Served, name: str, steps: int) -> float:
        return process.ask(name, steps)["seconds"]

    return {
        f"{key} {name}": partial(timed, process, name)
        for key, process in served.items()
        for name in (CALLS[:1] if key == TORCH else CALLS)
    }


def errors(task: str, served: Mapping[str, Served]) -> list[Row]:
    """The rows of how far outputs are apart."""
    with tempfile.TemporaryDirectory() as folder:

        def output(process: Served, name: str) -> np.ndarray:
            path = Path(folder, "output.npy")
            process.ask(name, path)
            return np.load(path)

        rows = []
        first = next(iter(served))
        for key, process in served.items():
            reference = first if key == TORCH else key
            name = "plain" if key == TORCH else "optimized"
            expected, got = output(served[reference], "plain"), output(process, name)
            error = float(np.abs(got - expected).max() / np.abs(expected).max())
            system, backend = key.split("/")
            note = f"{name} against {reference}"
            rows.append(Row(task, system, backend, "error", error, "relative", note=note))
    return rows


def facts(task: str, served: Mapping[str, Served]) -> list[Row]:
    """The rows of what a process measured once."""
    return [
        harness.row(task, key, metric, [value], "s")
        for metric in ("search", "first", "first_optimized")
        for key, process in served.items()
        for name, value in process.facts.items()
        if name == metric
    ]


def measure(task: str, given: argparse.Namespace) -> list[Row]:
    """All rows of a task."""
    quiet = harness.quiet(given)
    ours = [f"{OURS}/{backend}" for backend in given.backends]
    peers = [TORCH] if task in NETWORKS and not given.no_torch else []
    rows: list[Row] = []
    if peers and not find_spec("torch"):
        rows, peers = [harness.missing(task, TORCH, "plain", "s", "torch is not installed")], []
    with ExitStack() as stack:
        served = {
            key: stack.enter_context(Served([sys.argv[0], "--serve", task, key]))
            for key in (*ours, *peers)
        }
        rows += facts(task, served) + errors(task, served)
        samples = harness.interleave(
            timers(served),
            quiet,
            rounds=given.rounds or (5 if given.quick else 20),
            sample=0.1 if given.quick else 0.4,
            settle=0.1 if given.quick else 0.4,
            budget=20 if given.quick else 200,
        )
    for metric in CALLS:
        found = {key: samples[f"{key} {metric}"] for key in ours}
        found |= {key: samples[f"{key} plain"] for key in peers}
        rows += harness.compare(task, metric, found, "s")
    for key in ours:
        pairs = zip(*(samples[f"{key} {name}"] for name in CALLS), strict=True)
        gains = [plain / optimized for plain, optimized in pairs]
        rows.append(harness.row(task, key, "speedup", gains, "x", "higher"))
    return rows + harness.taken(task, quiet)


def table(rows: list[Row]) -> None:
    """Print one line for each system."""
    columns = ("plain", "optimized", "speedup", "search", "first", "first_optimized", "error")
    view = Table("system", *columns, "note", title=rows[0].task, title_justify="left")
    for key in dict.fromkeys(r.key for r in rows):
        own = {r.metric: r for r in rows if r.key == key and not r.versus}
        own = {m: r for m, r in own.items() if not (key == TORCH and m == "optimized")}
        cells = [_cell(own.get(column)) for column in columns]
        note = " ".join(r.note for m, r in own.items() if m != "error" and r.note)
        if any(cells) or note:
            view.add_row(key, *cells, note)
    Console(width=None if sys.stdout.isatty() else 160).print(view)


def _cell(row: Row | None) -> str:
    if row is None or row.value is None:
        return ""
    if row.metric == "error":
        return f"{row.value:.0e}"
    spread = f" ({harness.interval(row)})" if row.metric == "speedup" else ""
    return harness.number(row.value, row.unit) + spread


def main() -> None:
    """Measure the chosen tasks on the chosen backends and report."""
    if sys.argv[1:2] == ["--serve"]:
        return serve(*sys.argv[2:])
    options = harness.parser(__doc__)
    names = tasks()
    options.add_argument("--networks", nargs="+", default=names, metavar="NAME", help="default all")
    options.add_argument("--backends", nargs="+", default=["jax", "c"], metavar="NAME")
    options.add_argument("--rounds", type=int, help="most samples of each call")
    options.add_argument("--no-torch", action="store_true", help="leave PyTorch out")
    given = options.parse_args()
    chosen = [n for n in names if any(n == g or n.startswith(f"{g}-") for g in given.networks)]
    rows: list[Row] = []
    for name in chosen:
        start = time.perf_counter()
        found = measure(name, given)
        table(found)
        print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
        rows += found
        harness.save(given, rows)


if __name__ == "__main__":
    main()
