"""What every inference method is, and what it returns."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeframe.core.shapes import shape_text
from aeframe.core.structure import Structure
from aeframe.core.summary import plain_table, render
from aeframe.prob import Model, Observe
from aeframe.prob.simulate import Draws, simulate
from aeframe.prob.sites import find_site


class Inference(Structure):
    """A method of inference: it chooses passes, asks the backend for programs, runs the loop."""

    def run(self, model: Model, data: Sequence[Any]) -> Posterior:
        """The posterior of the sites of ``model`` that are not observed."""
        raise NotImplementedError(f"{type(self).__name__} does not say how to run")


@dataclass(frozen=True)
class Posterior:
    """What is known of a Model's sites after its observations.

    Attributes
    ----------
    model
        The Model that was fitted, with its observations.
    data
        The arguments that it was fitted on.
    method
        The inference that was run.
    why
        Why this method was chosen, where the user named none.
    """

    model: Model
    data: tuple[Any, ...]
    method: Inference
    why: str

    def draws(self, n: int, seed: int = 0) -> Draws:
        """``n`` draws of the sites that were not observed, site → array (n, ...)."""
        raise NotImplementedError

    def mean(self, site: str) -> NDArray[np.float64]:
        """The posterior expectation of a site; of 1000 draws where it is not known exactly."""
        return np.asarray(find_site(site, self.draws(1000), "take the mean of").mean(axis=0))

    def predict(self, *data: Any, n: int = 1000, seed: int = 0) -> Draws:
        """``n`` posterior predictive draws of every site, observed ones drawn anew.

        Parameters
        ----------
        data
            New data; by default the data of the fit.
        n, seed
            Number of draws, and what decides them.
        """
        free = copy(self.model)
        free.passes = tuple(p for p in free.passes if not isinstance(p, Observe))
        free.__dict__.pop("_programs", None)
        return simulate(free, n, data or self.data, seed, self.draws(n, seed))

    def rows(self) -> list[tuple[str, str]]:
        """Site and what is known of it, as text."""
        raise NotImplementedError

    def summary(self) -> str:
        """A table of the sites, under the method and why it was chosen."""
        table = plain_table("", "site", "value")
        for name, text in self.rows():
            table.add_row(name, text)
        return f"{self.method}: {self.why}\n{render(table)}"

    __str__ = summary


def shown(value: NDArray[Any]) -> str:
    """An array as a short text."""
    if value.ndim == 0:
        return f"{float(value):.6g}"
    if value.size <= 6:
        return np.array2string(value, precision=4, separator=", ")
    low, mean, high = value.min(), value.mean(), value.max()
    return f"{shape_text(value.shape)}, mean {mean:.4g}, from {low:.4g} to {high:.4g}"
