"""AutoML by rules: a small convolutional network for the digits grows, then another one like it.

``python examples/automl.py`` takes some minutes; interrupted, it goes on where it was when it is
started again with the same ``--folder``. ``--jobs 4`` trains four candidates at once, and
``--dask`` hands them to a local Dask cluster.
"""

# ruff: noqa: I001
from __future__ import annotations

import argparse
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import aeframe as ae
import joblib
import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

from aeframe import automl, nn


class Images(ae.Module):
    """Two convolutions of a few channels, their mean, ten classes."""

    def __init__(self, channels: int = 8) -> None:
        self.first, self.second = nn.Conv2D(channels), nn.Conv2D(channels, stride=2)
        self.mean, self.out = nn.GlobalAvgPool2D(), nn.Dense(10)

    def __call__(self, x: Any) -> Any:
        """Logits, (n, 8, 8, 1) → (n, 10)."""
        return self.out(self.mean(nn.relu(self.second(nn.relu(self.first(x))))))


def workers(stack: ExitStack, jobs: int, dask: bool) -> AbstractContextManager[Any]:
    """Where candidates train: as joblib is told."""
    if not dask:
        return joblib.parallel_config(n_jobs=jobs)
    from dask.distributed import Client, LocalCluster

    cluster = stack.enter_context(LocalCluster(n_workers=jobs, threads_per_worker=1))
    stack.enter_context(Client(cluster))
    return joblib.parallel_config("dask")


def main() -> None:
    """Search, say what was found, apply it to a wider network of the same kind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--budget", type=int, default=150, help="epochs in all")
    parser.add_argument("--folder", help="where training is kept")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--dask", action="store_true")
    parser.add_argument("--quick", action="store_true", help="a budget of 3 epochs")
    options = parser.parse_args()
    x, y = load_digits(return_X_y=True)
    x = (x.reshape(-1, 8, 8, 1) / 16).astype("float32")
    if options.quick:
        x, y = x[:200], y[:200]
    search = ae.AutoML(
        Images().with_pass(automl.Training(learning_rate=3e-3)),
        automl.RULES,
        nn.softmax_cross_entropy,
        budget=3 if options.quick else options.budget,
        children=2 if options.quick else 5,
        folder=options.folder,
    )
    with ExitStack() as stack, workers(stack, options.jobs, options.dask):
        result = search.fit(x, y)
    print(result)
    result.plot().figure.savefig("automl.png", dpi=130)
    print("score against cost: automl.png")
    print("the rules:", ", ".join(rule for rule, _ in result.lineage) or "none")
    other = Images(12).with_pass(automl.Training(learning_rate=3e-3))
    other(x[:1])
    grown = automl.grow(other, result.lineage)
    print("the same rules on a network of 12 channels:")
    grown(x[:1])
    print(ae.diff(other, grown))
    plt.close("all")


if __name__ == "__main__":
    main()
