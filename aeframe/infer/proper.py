"""Whether chains have an end: an improper prior and too little data make no density."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeframe.core.errors import FitError
from aeframe.infer.diagnosis import APART, arviz

# values this many times those of most draws, in chains that do not agree, have no end
FAR = 1e6


def no_end(model: str, sites: Collection[str], got: str) -> FitError:
    """The error of chains that drift off along ``sites``."""
    return FitError(
        f"the posterior has no end along {', '.join(map(repr, sites))}: the chains drift off",
        path=model,
        expected="a proper posterior",
        got=got,
        fix="give these sites a prior that can be normalized, observe more, or drop what the data "
        "cannot tell apart",
    )


def require_proper(model: str, chains: Mapping[str, NDArray[Any]], flat: bool) -> None:
    """Refuse chains, site → (chain, draw, ...), that left the numbers or have no end.

    ``flat`` tells whether a prior is improper: all posteriors of proper ones are proper.

    Raises
    ------
    FitError
        With the sites that did.
    """
    if flat:
        far = [k for k, v in chains.items() if any(map(_drifts, _floats(v)))]
        if far:
            largest = np.max([np.abs(chains[k]).max() for k in far])
            raise no_end(model, far, f"values up to {largest:.3g}")
    lost = [k for k, v in chains.items() if v.dtype.kind == "f" and np.isnan(v).any()]
    if lost:
        raise FitError(
            f"draws of {', '.join(map(repr, lost))} are not numbers",
            path=model,
            expected="finite values",
            got="nan",
            fix="give these sites tighter priors, or bring the data to a scale near 1",
        )


def _floats(values: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """The chains of each entry, (chain, draw), where they are real numbers."""
    if values.dtype.kind == "f":
        yield from np.moveaxis(values.reshape(*values.shape[:2], -1), -1, 0)


def _drifts(entry: NDArray[Any]) -> bool:
    """Whether one entry went to infinity, or is on its way."""
    if not np.isfinite(entry).all():
        return True
    size = np.abs(entry)
    if entry.shape[1] < 4 or size.max() <= FAR * np.median(size, axis=1).min():
        return False
    return bool(arviz().rhat(entry) > APART)
