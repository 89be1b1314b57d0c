"""A training run that is killed again and again, and the harness that kills it.

``python tests/train/lives.py BACKEND FOLDER EPOCHS PAUSE`` trains a small network with a
checkpoint every few steps, goes on from the checkpoint if there is one, and at its end writes the
final values. :func:`killed` runs it in fresh processes that it kills at random moments.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROWS, SIZE = 53, 8
STEPS = -(-ROWS // SIZE)


def train(backend, folder, epochs, pause):
    import aesara.tensor as at

    import aeframe as ae
    from aeframe import nn

    class Net(ae.Module):
        def __init__(self):
            self.hidden, self.norm, self.out = nn.Dense(8), nn.BatchNorm(), nn.Dense(3)
            self.drop = nn.Dropout(0.2)

        def __call__(self, x):
            return self.out(self.drop(nn.relu(self.norm(self.hidden(x)))))

    def squares(prediction, target, weight=None):
        entries = at.sqr(prediction - target).mean(axis=1)
        return entries.mean() if weight is None else (weight * entries).sum() / weight.sum()

    class Pace(ae.Callback):
        """Says that training has begun, and makes steps slow enough to be killed within."""

        def on_step_end(self, trainer):
            if not (folder / "begun").exists():
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


def life(backend, folder, epochs, pause):
    """One fresh process."""
    command = [sys.executable, __file__, backend, str(folder), str(epochs), str(pause)]
    (folder / "begun").unlink(missing_ok=True)
    return subprocess.Popen(
        command, stderr=subprocess.PIPE, env=os.environ | {"JAX_PLATFORMS": "cpu"}
    )


def killed(backend, folder, times, seed, pause=0.004, window=0.3):
    """Kill a run ``times`` times at random moments, let it end; final values, and its own whole.

    Returns
    -------
    found, expected, kills
        The final values of the killed run, those of one that was not, and how many of the kills
        struck while it trained.
    """
    rng = np.random.default_rng(seed)
    epochs = int(times * 0.75 * window / pause / STEPS) + 1
    ends = []
    struck = 0
    for name, kills in (("whole", 0), ("killed", times)):
        place = Path(folder) / name
        place.mkdir()
        while not (place / "final.npz").exists():
            process = life(backend, place, epochs, pause if kills > 0 else 0.0)
            if kills > 0:
                while not (place / "begun").exists() and process.poll() is None:
                    time.sleep(0.005)
                time.sleep(rng.uniform(0, window))
                if process.poll() is None:
                    process.send_signal(signal.SIGKILL)
                    kills, struck = kills - 1, struck + 1
            error = process.communicate()[1].decode()
            if process.returncode not in (0, -signal.SIGKILL):
                raise RuntimeError(error)
        with np.load(place / "final.npz") as file:
            ends.append(dict(file))
    return ends[1], ends[0], struck


def differing(found, expected):
    """The names of arrays that are not equal bit for bit."""
    assert found.keys() == expected.keys()
    return [k for k in found if found[k].tobytes() != expected[k].tobytes()]


if __name__ == "__main__":
    train(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
