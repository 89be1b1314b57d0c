"""Training that is killed at random moments and resumed, against training that is not.

    python benchmarks/kill.py [--kills 100] [--backend jax] [--quick] [--json FILE]

Each life is a fresh process. It trains a small network (batch normalization, dropout, Adam, a
padded last batch) with a checkpoint every three steps, goes on from the checkpoint if there is
one, and writes its final values. Steps are slowed down, so that every life makes some progress and
none gets to the end before all kills are done.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

ROWS, SIZE = 53, 8
STEPS = -(-ROWS // SIZE)
PAUSE, WINDOW = 0.004, 0.3  # seconds: after each step; in which a kill strikes


def train(backend: str, folder: Path, epochs: int, pause: float) -> None:
    """One life: train to the end, from the checkpoint in ``folder`` if there is one."""
    import aeframe as ae
    from aeframe import nn

    class Net(ae.Module):
        def __init__(self) -> None:
            self.hidden, self.norm, self.out = nn.Dense(8), nn.BatchNorm(), nn.Dense(3)
            self.drop = nn.Dropout(0.2)

        def __call__(self, x: Any) -> Any:
            return self.out(self.drop(nn.relu(self.norm(self.hidden(x)))))

    def squares(prediction: Any, target: Any, weight: Any = None) -> Any:
        entries = ((prediction - target) ** 2).mean(axis=1)
        return entries.mean() if weight is None else (weight * entries).sum() / weight.sum()

    class Pace(ae.Callback):
        def on_step_end(self, trainer: Any) -> None:
            (folder / "begun").touch()
            time.sleep(pause)

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(ROWS, 4)), rng.normal(size=(ROWS, 3))
    model = Net().compile(optimizer=ae.Adam(0.01), loss=squares, backend=backend)
    path = folder / "checkpoint"
    history = model.fit(
        x,
        y,
        batch_size=SIZE,
        epochs=epochs,
        callbacks=[Pace(), ae.ModelCheckpoint(path, steps=3)],
        resume=path if path.exists() else None,
        progress=False,
    )
    values = model._trainer.store.snapshot() | {"loss of each epoch": np.array(history["loss"])}
    np.savez(folder / "final.npz", **values)


def life(backend: str, folder: Path, epochs: int, pause: float) -> subprocess.Popen[bytes]:
    """A fresh process that trains; XLA's programs are kept between lives."""
    (folder / "begun").unlink(missing_ok=True)
    environment = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(folder.parent / "xla"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    command = [sys.executable, __file__, "--life", backend, str(folder), str(epochs), str(pause)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, env=environment)


def strike(process: subprocess.Popen[bytes], begun: Path, delay: float) -> bool:
    """Kill ``process`` when it has trained for ``delay`` seconds; whether it was still running."""
    while not begun.exists() and process.poll() is None:
        time.sleep(0.005)
    time.sleep(delay)
    running = process.poll() is None
    if running:
        process.send_signal(signal.SIGKILL)
    return running


def final(backend: str, folder: Path, epochs: int, kills: int, seed: int) -> dict[str, Any]:
    """The final values of a run that is killed ``kills`` times.

    Raises
    ------
    RuntimeError
        When a life ends by itself with an error, or the run before all kills are done.
    """
    folder.mkdir()
    rng = np.random.default_rng(seed)
    while not (folder / "final.npz").exists():
        process = life(backend, folder, epochs, PAUSE if kills else 0.0)
        if kills:
            kills -= strike(process, folder / "begun", rng.uniform(0, WINDOW))
        error = process.communicate()[1].decode()
        if process.returncode not in (0, -signal.SIGKILL):
            raise RuntimeError(error)
    if kills:
        raise RuntimeError(f"the run was over with {kills} kills to come")
    with np.load(folder / "final.npz") as file:
        return dict(file)


def differing(backend: str, kills: int, seed: int = 0) -> list[str]:
    """The names of final values that are not bit for bit those of a run that was not killed."""
    epochs = int(kills * WINDOW / PAUSE / STEPS) + 1
    with tempfile.TemporaryDirectory() as folder:
        whole = final(backend, Path(folder) / "whole", epochs, 0, seed)
        found = final(backend, Path(folder) / "killed", epochs, kills, seed)
    return [name for name in whole if not same(found, whole, name)]


def same(found: Mapping[str, Any], whole: Mapping[str, Any], name: str) -> bool:
    return found[name].tobytes() == whole[name].tobytes()


def main() -> None:
    """Kill and resume on each backend, and report."""
    import harness

    options = harness.parser(__doc__ or "")
    options.add_argument("--kills", type=int, default=100)
    options.add_argument("--backend", action="append", help="default: jax and c")
    given = options.parse_args()
    rows = []
    for backend in given.backend or ("jax", "c"):
        kills = 3 if given.quick else given.kills
        start = time.perf_counter()
        wrong = differing(backend, kills)
        seconds = time.perf_counter() - start
        note = f"{kills} kills, {seconds:.0f} s; {', '.join(wrong) or 'equal bit for bit'}"
        place = ("kill", "aeframe", backend, "arrays that differ")
        rows.append(harness.Row(*place, len(wrong), "", repeats=kills, note=note))
    harness.table(rows)
    harness.save(given, rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--life"]:
        train(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
    else:
        main()
