"""Layout: which sites a Model has on its data, and the names and labels of their axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aeframe.prob import Model
from aeframe.prob.plates import size_of
from aeframe.prob.programs import arguments, cached, lowered
from aeframe.prob.sites import sites_of

if TYPE_CHECKING:
    from xarray import Dataset


@dataclass(frozen=True)
class Layout:
    """The sites of a Model on data.

    Attributes
    ----------
    free, computed, observed
        The names of the sites, in order, by what they are.
    dims
        Site → a name for each axis: its plate, or ``site_dim_0`` where it has none.
    coords
        Plate → a label for each entry; 0, 1, ... where it has none.
    """

    free: tuple[str, ...]
    computed: tuple[str, ...]
    observed: tuple[str, ...]
    dims: Mapping[str, tuple[str, ...]]
    coords: Mapping[str, NDArray[Any]]

    def entry(self, site: str, index: Sequence[int]) -> str:
        """An entry of a site by its labels: ``effect[A, 0]``."""
        if not index:
            return site
        labels = (
            str(self.coords[dim][i]) if dim in self.coords else str(i)
            for dim, i in zip(self.dims[site], index, strict=True)
        )
        return f"{site}[{', '.join(labels)}]"

    def dataset(self, arrays: Mapping[str, NDArray[Any]], leading: Sequence[str]) -> Dataset:
        """Arrays of sites as one xarray Dataset; ``leading`` names the axes before the sites'."""
        from xarray import Dataset

        # a density has an entry for each draw, which may be a vector
        found = {k: ((*leading, *self.dims[k])[: v.ndim], v) for k, v in arrays.items()}
        sizes = {d: n for dims, v in found.values() for d, n in zip(dims, v.shape, strict=True)}
        labels = {d: self.coords.get(d, np.arange(n)) for d, n in sizes.items()}
        # a prediction on new data has plates of other sizes, whose labels are not known
        coords = {d: v if len(v) == sizes[d] else np.arange(sizes[d]) for d, v in labels.items()}
        return Dataset(found, coords)


def layout(model: Model, data: Sequence[Any]) -> Layout:
    """The layout of ``model`` on ``data``, made once for each signature."""
    given = arguments(model, data)

    def make() -> Layout:
        nodes = sites_of(lowered(model, given.symbols()).results)
        kinds = {k: n.op.kind for k, n in nodes.items()}
        taken = {*nodes, "chain", "draw"}
        dims: dict[str, tuple[str, ...]] = {}
        for name, node in nodes.items():
            axes = node.op.dims or (None,) * node.outputs[0].type.ndim
            dims[name] = tuple(
                f"{name}_dim_{i}" if axis is None else _apart(axis, taken)
                for i, axis in enumerate(axes)
            )
        coords = {_apart(k, taken): _labels(v) for k, v in model._plates.items()}
        free, computed, observed = (
            tuple(k for k in nodes if kinds[k] == kind)
            for kind in ("random", "deterministic", "observed")
        )
        return Layout(free, computed, observed, dims, coords)

    return cached(model, ("layout", repr(given.types)), make)


def _apart(dim: str, taken: set[str]) -> str:
    """A dimension's name, which in xarray must not be that of a variable with other axes."""
    return f"{dim}_dim" if dim in taken else dim


def _labels(plate: Any) -> NDArray[Any]:
    return np.arange(size_of(plate)) if isinstance(plate, int) else np.asarray(plate)
