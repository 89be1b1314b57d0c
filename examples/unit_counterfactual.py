"""One clinic of eight: its blood pressure, had it been given the other dose.

``python examples/unit_counterfactual.py`` takes ten seconds. Clinics have levels and effects of
their own around common ones. Three questions that are often taken for one: the results that this
clinic would have had (its level, its effect and its noise are what they were: abduction of noise
and parameters together); its next results (new noise); and those of a clinic to come (all is new
but the common parameters). All is linear and normal, so Kalman's formula checks the answers.
"""

# ruff: noqa: I001
from __future__ import annotations

import argparse

import aeframe as ae
import numpy as np
from aeframe.core.summary import plain_table, render

CLINICS = list("ABCDEFGH")
DOSE = np.array([0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0])
PRESSURE = np.array([151.0, 139.0, 146.0, 131.0, 158.0, 142.0, 149.0, 140.0])
SPREAD, OWN, NOISE = 2.0, 6.0, 3.0  # of the effect between clinics; of their level; of a result


class Clinics(ae.Model):
    """A result is the level of the clinic, its own effect times the dose, and noise."""

    def __call__(self) -> None:  # noqa: D102
        self.plate("clinic", CLINICS)
        base = self.sample("base", ae.Normal(150, 10))
        mean = self.sample("mean effect", ae.Normal(0, 10))
        level = self.sample("level", ae.Normal(0, OWN), dims="clinic")
        away = self.sample("away", ae.Normal(0, SPREAD), dims="clinic")
        effect = self.deterministic("effect", mean + away, dims="clinic")
        dose = self.sample("dose", ae.Normal(0.5, 1), dims="clinic")
        self.sample("pressure", ae.Normal(base + level + effect * dose, NOISE), dims="clinic")


def by_hand(clinic: int | None, dose: float, fresh: float) -> tuple[float, float]:
    """The mean and standard deviation of one more result, of a clinic that was seen or of none.

    All results are linear in base, mean effect, levels, effects and noise, which are normal;
    ``fresh`` is the variance of what is drawn anew.
    """
    n = len(DOSE)
    sd = np.repeat([10.0, 10.0, OWN, SPREAD, NOISE], [1, 1, n, n, n])
    prior = np.diag(sd**2)
    one, each = np.ones((n, 1)), np.eye(n)
    seen = np.hstack([one, DOSE[:, None], each, np.diag(DOSE), each])
    gain = prior @ seen.T @ np.linalg.inv(seen @ prior @ seen.T)
    mean, covariance = gain @ (PRESSURE - 150), prior - gain @ seen @ prior
    asked = np.r_[1.0, dose, np.zeros(3 * n)]
    if clinic is not None:
        asked[2:] = np.concatenate([each[clinic], dose * each[clinic], (fresh == 0) * each[clinic]])
    return 150 + asked @ mean, np.sqrt(asked @ covariance @ asked + fresh)


def main() -> None:
    """The three questions for two clinics."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few draws")
    draws = 500 if parser.parse_args().quick else 20_000
    posterior = Clinics().observe({"dose": DOSE, "pressure": PRESSURE}).fit(inference=ae.Exact())
    table = plain_table("", "pressure, mm Hg", "mean", "sd", "by hand", "its sd")
    for name in ("A", "D"):
        i = CLINICS.index(name)
        dose = 1.0 - DOSE[i]
        change = {"dose": {name: dose}}
        would = ae.causal.counterfactual(posterior, do=change)
        rows = {
            f"clinic {name} at dose {DOSE[i]:g}": (PRESSURE[i], 0.0, PRESSURE[i], 0.0),
            f"would have been at {dose:g}": (
                would.mean("counterfactual", "pressure")[i],
                would.sd("counterfactual", "pressure")[i],
                *by_hand(i, dose, 0.0),
            ),
        }
        elsewhere = {"level": ae.Normal(0, OWN), "away": ae.Normal(0, SPREAD)}
        next_ = ae.causal.worlds(
            posterior, {"there": change, "elsewhere": {**change, **elsewhere}}, n=draws
        )
        anew = NOISE**2 + OWN**2 + (dose * SPREAD) ** 2
        for asked, world, exact in (
            ("its next at this dose", "there", by_hand(i, dose, NOISE**2)),
            ("of a clinic to come", "elsewhere", by_hand(None, dose, anew)),
        ):
            values = next_[world, "pressure"][:, i]
            rows[f"{asked}, by draws"] = (values.mean(), values.std(), *exact)
        for asked, row in rows.items():
            table.add_row(asked, *(f"{value:.2f}" for value in row))
    print(render(table))


if __name__ == "__main__":
    main()
