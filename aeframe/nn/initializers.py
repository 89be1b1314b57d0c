"""First values of parameters: ``init(rng, shape) -> array``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aeframe.core.structure import register

Array = NDArray[np.float64]


@register
def zeros(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """All zero."""
    return np.zeros(shape)


@register
def glorot_uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Uniform on ±√(6 / (fan in + fan out)) (Glorot and Bengio 2010, eq. 16)."""
    limit = np.sqrt(6.0 / (shape[0] + shape[-1]))
    return rng.uniform(-limit, limit, shape)


@register
def he_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Normal with variance 2 / fan in (He et al. 2015, eq. 10)."""
    return rng.normal(0.0, np.sqrt(2.0 / shape[0]), shape)
