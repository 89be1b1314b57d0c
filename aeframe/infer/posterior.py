"""What every inference method is, and what it returns."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aeframe.core.cells import Store
from aeframe.core.errors import ArgumentError
from aeframe.core.files import save
from aeframe.core.module import is_array
from aeframe.core.shapes import shape_text
from aeframe.core.structure import Structure
from aeframe.core.summary import render
from aeframe.infer.diagnosis import Check, Diagnosis
from aeframe.infer.groups import inference_data
from aeframe.infer.layout import Layout, layout
from aeframe.infer.plots import plot_pairs, plot_predictive, plot_ranks, plot_trace
from aeframe.infer.table import statistics, statistics_table
from aeframe.prob import Model, Observe
from aeframe.prob.simulate import Draws, simulate
from aeframe.prob.sites import find_site

if TYPE_CHECKING:
    from arviz import InferenceData
    from rich.table import Table
    from xarray import Dataset


class Inference(Structure):
    """A method of inference: it chooses passes, asks the backend for programs, runs the loop."""

    def run(self, model: Model, data: Sequence[Any]) -> Posterior:
        """The posterior of the sites of ``model`` that are not observed."""
        raise NotImplementedError(f"{type(self).__name__} does not say how to run")


@dataclass(frozen=True)
class Posterior(Structure):
    """What is known of a Model's sites after its observations.

    A method's own Posterior says how to draw (:meth:`draws`), and what of it can be checked
    (:meth:`checks`); the rest follows.

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

    def sampled(self, n: int = 1000, seed: int = 0) -> Draws:
        """Draws of the sites, computed ones too, site → array (chain, draw, ...).

        Independent draws are one chain of ``n``; a method that ran chains gives all of them.
        """
        found = simulate(self.model, n, self.data, seed, self.draws(n, seed))
        return {k: found[k][None] for k in (*self.layout.free, *self.layout.computed)}

    def mean(self, site: str) -> NDArray[np.float64]:
        """The posterior expectation of a site; of 1000 draws where it is not known exactly."""
        values = find_site(site, self.sampled(), "take the mean of")
        return np.asarray(values.mean(axis=(0, 1)))

    def predict(self, *data: Any, n: int = 1000, seed: int = 0) -> Draws:
        """``n`` posterior predictive draws of every site, observed ones drawn anew.

        Parameters
        ----------
        data
            New data; by default the data of the fit.
        n, seed
            Number of draws, and what decides them.
        """
        return simulate(self.unobserved, n, data or self.data, seed, self.draws(n, seed))

    @property
    def unobserved(self) -> Model:
        """The Model without its observations."""
        free = copy(self.model)
        free.passes = tuple(p for p in free.passes if not isinstance(p, Observe))
        free.__dict__.pop("_programs", None)
        return free

    @property
    def layout(self) -> Layout:
        """The names of the sites and of their axes."""
        return layout(self.model, self.data)

    def dataset(self, n: int = 1000, seed: int = 0) -> Dataset:
        """The draws of :meth:`sampled` as an xarray Dataset, with the plates' names and labels."""
        return self.layout.dataset(self.sampled(n, seed), ("chain", "draw"))

    def inference_data(
        self, predictive: bool = False, prior: bool = False, n: int = 1000, seed: int = 0
    ) -> InferenceData:
        """The posterior as an ArviZ InferenceData.

        Its groups are ``posterior``, ``sample_stats`` where the method has some,
        ``observed_data`` and ``log_likelihood`` (of each observed entry).

        Parameters
        ----------
        predictive, prior
            Whether to add ``posterior_predictive``; ``prior`` and ``prior_predictive``.
        n, seed
            Number of draws, where it is free, and what decides them.
        """
        return inference_data(self, predictive, prior, n, seed)

    def loo(self) -> Any:
        """Leave-one-out cross-validation, as ArviZ tells it: ``elpd_loo``, Pareto k.

        By Pareto-smoothed importance sampling (Vehtari, Gelman and Gabry 2017), of the entries of
        the observed site; printed, it counts the entries whose k is too large to be trusted.

        Raises
        ------
        ArgumentError
            When the observed site has one entry, such as a sequence: nothing is left without it.
        """
        data = self.inference_data()
        _require_entries(data.get("log_likelihood"), self.layout.observed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from arviz import loo

            return loo(data, pointwise=True)

    def statistics(self) -> dict[str, dict[str, NDArray[np.float64]]]:
        """Site → statistic (mean, sd, 5%, 95%, ...) → array of the site's shape."""
        return statistics(self.sampled(), chains=False)

    def checks(self) -> Iterable[Check]:
        """What :meth:`diagnose` shows: by default nothing, as for independent draws."""
        return ()

    def diagnose(self) -> Diagnosis:
        """Whether the draws can be trusted, and what to do where not."""
        return Diagnosis(tuple(self.checks()))

    def table(self) -> Table:
        """The table in the summary."""
        return statistics_table(self.statistics(), self.layout)

    def summary(self) -> str:
        """A table of the sites under the method and why it was chosen, and the verdict."""
        verdict = self.diagnose().verdict
        return f"{self.method}: {self.why}\n{render(self.table())}\n{verdict}"

    __str__ = summary

    def plot(self, sites: Sequence[str] | None = None) -> Any:
        """Densities and traces of the free sites, or of ``sites``; an array of axes."""
        return plot_trace(self, sites)

    def plot_ranks(self, sites: Sequence[str] | None = None) -> Any:
        """The ranks of each chain's draws: flat where the chains agree."""
        return plot_ranks(self, sites)

    def plot_pairs(self, sites: Sequence[str] | None = None) -> Any:
        """Scatter plots of all pairs of entries, divergences marked."""
        return plot_pairs(self, sites)

    def plot_predictive(self, n: int = 50, seed: int = 0) -> Any:
        """What was observed among ``n`` posterior predictive draws, one panel for each site."""
        return plot_predictive(self, n, seed)

    @property
    def store(self) -> Store:
        """The cells of the Model, which a file holds."""
        return self.model.store

    def fields(self) -> dict[str, Any]:
        """The attributes, data as arrays, as a file holds them."""
        data = tuple(np.asarray(v) if is_array(v) else v for v in self.data)
        return {**super().fields(), "data": data}

    def save(self, path: Any) -> None:
        """Write the posterior, with its model and its data, to one file; no code is in it.

        ``ae.load(path)`` reads it, where the Model's class is defined.

        Raises
        ------
        FileError
            When the file cannot be written; what was there stays.
        SerializationError
            When an attribute of the Model holds code or something no file can describe.
        """
        save(self, path)


def _require_entries(likelihood: Any, sites: Sequence[str]) -> None:
    """Raise unless the only observed site has several entries that can be left out."""
    if len(sites) == 1 and likelihood is not None and likelihood[sites[0]][0, 0].size == 1:
        raise ArgumentError(
            f"the observed site {sites[0]!r} is one observation: left out, there is nothing to fit",
            path=sites[0],
            expected="a site with several entries, each independent given the others",
            got="1 entry (a sequence, or a vector, counts as one)",
            fix="give the site a plate, one entry for each sequence or row; compare models by "
            "`log_evidence` where the method has it",
        )


def shown(value: NDArray[Any]) -> str:
    """An array as a short text."""
    if value.ndim == 0:
        return f"{float(value):.6g}"
    if value.size <= 6:
        return np.array2string(value, precision=4, separator=", ")
    low, mean, high = value.min(), value.mean(), value.max()
    return f"{shape_text(value.shape)}, mean {mean:.4g}, from {low:.4g} to {high:.4g}"
