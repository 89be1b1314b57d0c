"""A network, a kernel, a circuit and random variables in one Model: one graph, one intervention.

Run it with ``python examples/together.py``; it takes a few seconds.
"""

# ruff: noqa: I001
from __future__ import annotations

import aeframe as ae  # before Aesara, which it mends
import aesara.tensor as at
import numpy as np
from aeframe import gp, nn
from aeframe.circuits import Bernoulli
from aeframe.core import toposort
from aeframe.rewrites import graph_of


class Weather(ae.Model):
    """Rain and wind decide, through a circuit, how rough a field over the inputs is."""

    def __init__(self) -> None:
        self.network = nn.Dense(1, dtype="float64")
        wind = 0.7 * (Bernoulli(0, 0.2) * Bernoulli(1, 0.3))
        self.circuit = wind + 0.3 * (Bernoulli(0, 0.8) * Bernoulli(1, 0.9))

    def __call__(self, x: at.TensorVariable) -> None:
        """A mean by a network, a covariance by a kernel, its scale by a circuit."""
        rain = self.sample("rain", ae.Bernoulli(0.4))
        day = at.stack([rain, 1 - rain]).astype("float64").dimshuffle("x", 0)
        scale = self.deterministic("scale", at.exp(self.circuit(day))[0])
        self.deterministic("covariance", gp.SE(scale, 1.0)(x))
        self.sample("y", ae.Normal(self.network(x)[:, 0], scale))


def main() -> None:
    """Print the typed Ops of the graph, draws under two interventions, and what changed."""
    model, x = Weather(), np.linspace(0.0, 1.0, 5)[:, None]
    graph, _ = graph_of(model, [at.as_tensor(x)])
    ops = {type(node.op) for node in toposort(graph.results)}
    typed = sorted(op.__name__ for op in ops if op.__module__.startswith("aeframe."))
    print("typed Ops in one graph:", ", ".join(typed))
    for rain in (0, 1):
        done = model.intervene({"rain": rain})
        draws = done.prior_predictive(2000, x, seed=0)
        spread = draws["y"][:, 0].std()
        print(f"do(rain={rain}): scale {draws['scale'].mean():.3f}, sd of y[0] {spread:.3f}")
    print(ae.diff(model, model.intervene({"rain": 1}), at.as_tensor(x)))


if __name__ == "__main__":
    main()
