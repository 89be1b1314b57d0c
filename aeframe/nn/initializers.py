"""First values of parameters: ``init(rng, shape) -> array``.

Fan in and fan out are those of the last two axes, times the sizes of the axes before them.
"""

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
def ones(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """All one."""
    return np.ones(shape)


@register
def glorot_uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Uniform on ±√(6 / (fan in + fan out)) (Glorot and Bengio 2010, eq. 16)."""
    limit = np.sqrt(6.0 / sum(fans(shape)))
    return rng.uniform(-limit, limit, shape)


@register
def he_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Normal with variance 2 / fan in (He et al. 2015, eq. 10)."""
    return rng.normal(0.0, np.sqrt(2.0 / fans(shape)[0]), shape)


@register
def truncated_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Normal with standard deviation 0.02, drawn again beyond two of them."""
    draws = rng.normal(size=shape)
    while (beyond := np.abs(draws) > 2.0).any():
        draws[beyond] = rng.normal(size=int(beyond.sum()))
    return 0.02 * draws


@register
def orthogonal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Orthonormal rows or columns, whichever are fewer (Saxe et al. 2014).

    >>> q = orthogonal(np.random.default_rng(0), (3, 5))
    >>> np.allclose(q @ q.T, np.eye(3))
    True
    """
    rows, columns = int(np.prod(shape[:-1])), shape[-1]
    q, r = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))
    q = q * np.sign(np.diag(r))  # uniform over the orthogonal matrices
    return (q if rows >= columns else q.T).reshape(shape)


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Fan in and fan out of a weight."""
    if len(shape) < 2:
        return shape[0], shape[0]
    field = int(np.prod(shape[:-2]))
    return field * shape[-2], field * shape[-1]
