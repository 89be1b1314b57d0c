"""Eight schools (Rubin 1981): one Model, four methods of inference.

``python examples/eight_schools.py`` takes half a minute. The effect of coaching in each school is
known with a large error; a hierarchical model pools them. NUTS samples, structured variational
inference and Laplace's approximation are fast and, here, wrong about the scale between schools.
"""

# ruff: noqa: I001
from __future__ import annotations

import argparse

import aeframe as ae
import numpy as np
from aeframe.infer import NUTS, Inference, Laplace, StructuredVI

NAMES = ["Choate", "Deerfield", "Phillips Andover", "Phillips Exeter", *(
    "Hotchkiss", "Lawrenceville", "St. Paul's", "Mt. Hermon"
)]  # fmt: skip
EFFECT = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
ERROR = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])


class Schools(ae.Model):
    """Effects around a common mean; not centred, as few data tell about the scale."""

    def __call__(self, error):  # noqa: D102
        self.plate("school", NAMES)
        mu = self.sample("mu", ae.Normal(0, 5))
        tau = self.sample("tau", ae.HalfCauchy(5))
        offset = self.sample("offset", ae.Normal(0, 1), dims="school")
        theta = self.deterministic("theta", mu + tau * offset, dims="school")
        self.sample("y", ae.Normal(theta, error), dims="school")


def main() -> None:
    """Fit by every method; print what each says of the mean, the scale and the first school."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few draws and steps")
    quick = parser.parse_args().quick
    draws = 100 if quick else 1000
    methods: list[Inference] = [
        NUTS(draws=draws, warmup=draws, target_acceptance=0.95),
        StructuredVI(steps=200 if quick else 5000),
        Laplace(),
    ]
    model = Schools().observe({"y": EFFECT})
    for method in methods:
        posterior = model.fit(ERROR, inference=method)
        print(posterior.summary(), "\n")
    sampled = model.fit(ERROR, inference=methods[0])
    print("how large an effect could a ninth school have?")
    print(np.quantile(sampled.predict(n=draws)["y"], [0.05, 0.5, 0.95], axis=0).round(1))


if __name__ == "__main__":
    main()
