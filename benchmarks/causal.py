"""What an intervention costs on Models of 1,000 sites, and what a new value costs.

    python benchmarks/causal.py --json benchmarks/results/causal.json

`chain` is a random walk, `pairs` are pairs of a cause and its effect. `intervene` is the pass on
the lowered graph, at a site after which few or all others come; `new` counts the Applies that it
makes (all draws after a changed one are made again, as they take the state that it left). `lower`
is the lowering of the Model, `worlds` that of two worlds in one graph. `first` and `again` are the
seconds from `model.intervene` on a small Model to a density, with a compilation and with another
value, which needs none. Seconds of this process, the best of five runs.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from harness import origin

import aeframe as ae
from aeframe.causal import Intervene, Worlds
from aeframe.core import lower, toposort

SITES = 1000


class Chain(ae.Model):
    """A random walk."""

    def __call__(self) -> None:
        """One site after the other."""
        x = self.sample("x0", ae.Normal(0, 1))
        for i in range(1, SITES):
            x = self.sample(f"x{i}", ae.Normal(x, 1))


class Pairs(ae.Model):
    """Causes with one effect each."""

    def __call__(self) -> None:
        """Sites with even numbers are causes."""
        for i in range(0, SITES, 2):
            x = self.sample(f"x{i}", ae.Normal(0, 1))
            self.sample(f"x{i + 1}", ae.Normal(x, 1))


class Small(ae.Model):
    """A cause, a common cause and an effect."""

    def __call__(self) -> None:
        """Normal sites."""
        z = self.sample("z", ae.Normal(0, 1))
        x = self.sample("x", ae.Normal(z, 1))
        self.sample("y", ae.Normal(2 * x + z, 1))


def best(run: Callable[[], Any], times: int = 5) -> float:
    """Seconds of this process."""
    seconds = []
    for _ in range(times):
        began = time.process_time()
        run()
        seconds.append(time.process_time() - began)
    return min(seconds)


def large(model: ae.Model) -> dict[str, dict[str, float]]:
    """The rows of a Model of many sites."""
    graph = lower(model, method="expression")
    known = set(toposort(graph.results))
    rows = {"lower": {"seconds": best(lambda: lower(model, method="expression"), 2)}}
    for i in (SITES - 2, SITES * 9 // 10, SITES // 2, 0):
        name = f"x{i}"
        done, _ = Intervene({name: 1.0})(graph)
        new = sum(node not in known for node in toposort(done.results))
        seconds = best(lambda name=name: Intervene({name: 1.0})(graph))
        rows[f"intervene {name}"] = {"seconds": seconds, "new": new}
        both = Worlds(model, {"low": {name: 0.0}, "high": {name: 1.0}})
        built = best(lambda both=both: lower(both, method="expression"), 2)
        rows[f"worlds {name}"] = {"seconds": built}
    return rows


def values() -> dict[str, dict[str, float]]:
    """The rows of new values; the first holds the compilation."""
    point = {"z": 0.0, "y": 0.0}
    model = Small()

    def ask(value: float) -> None:
        model.intervene({"x": value}).log_prob(point)

    rows = {}
    for backend in ("jax", "c"):
        with ae.Backend(backend):
            first = best(lambda: ask(1.0), 1)
            again = min(best(lambda v=v: ask(v), 1) for v in np.arange(2.0, 7.0))
        rows[backend] = {"first": first, "again": again}
    return rows


def main() -> None:
    """Print the table; write it with ``--json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    found = {"chain": large(Chain()), "pairs": large(Pairs()), "new value": values()}
    for title, rows in found.items():
        for name, row in rows.items():
            print(f"{title:10} {name:16}", {k: round(v, 4) for k, v in row.items()}, flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps({**origin(), "results": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
