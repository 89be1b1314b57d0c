"""Linear algebra, sorting and special functions that Aesara's JAX dispatch lacks or gets wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from aesara.link.jax.dispatch import jax_funcify
from aesara.scalar.math import Erfcinv, Erfcx, TriGamma
from aesara.tensor.basic import Split, Tri
from aesara.tensor.extra_ops import SearchsortedOp
from aesara.tensor.math import Argmax
from aesara.tensor.nlinalg import Inv, MatrixPinv
from aesara.tensor.slinalg import CholeskySolve, Expm, Solve
from aesara.tensor.sort import ArgSortOp, SortOp

special = jax.scipy.special


@jax_funcify.register(Tri)
def tri(op: Tri, **_: Any) -> Callable[..., Any]:
    """Ones at and below diagonal k; the gradient of Cholesky makes these."""
    return lambda n, m, k: np.tri(int(n), int(m), int(k), dtype=op.dtype)


@jax_funcify.register(Solve)
def solve(op: Solve, **_: Any) -> Callable[..., Any]:
    """A x = b, from one triangle of A where it is symmetric."""
    symmetric = op.assume_a != "gen"

    def call(a: Any, b: Any) -> Any:
        if symmetric:
            half = jnp.tril(a) if op.lower else jnp.triu(a)
            a = half + half.T - jnp.diag(jnp.diag(a))
        return jax.scipy.linalg.solve(a, b, assume_a="pos" if op.assume_a == "pos" else "gen")

    return call


@jax_funcify.register(CholeskySolve)
def cholesky_solve(op: CholeskySolve, **_: Any) -> Callable[..., Any]:
    """C Cᵀ x = b, or Cᵀ C x = b for an upper C."""
    return lambda c, b: jax.scipy.linalg.cho_solve((c, op.lower), b)


@jax_funcify.register(Inv)
def inverse(op: Inv, **_: Any) -> Callable[..., Any]:
    """A⁻¹."""
    return jnp.linalg.inv


@jax_funcify.register(MatrixPinv)
def pseudo_inverse(op: MatrixPinv, **_: Any) -> Callable[..., Any]:
    """A⁺, with NumPy's cut of 1e-15 for small singular values."""
    return lambda x: jnp.linalg.pinv(x, rtol=1e-15, hermitian=op.hermitian)


@jax_funcify.register(Expm)
def matrix_exponential(op: Expm, **_: Any) -> Callable[..., Any]:
    """The exponential of A."""
    return jax.scipy.linalg.expm


@jax_funcify.register(SortOp)
def sort(op: SortOp, **_: Any) -> Callable[..., Any]:
    """In ascending order along an axis."""
    return lambda x, axis: jnp.sort(x, axis=int(axis))


@jax_funcify.register(ArgSortOp)
def argsort(op: ArgSortOp, **_: Any) -> Callable[..., Any]:
    """The order that sorts; equal entries stay in theirs."""
    return lambda x, axis: jnp.argsort(x, axis=int(axis))


@jax_funcify.register(SearchsortedOp)
def search_sorted(op: SearchsortedOp, **_: Any) -> Callable[..., Any]:
    """Where values would be put into a sorted vector."""
    return lambda x, v, sorter=None: jnp.searchsorted(x, v, side=op.side, sorter=sorter)


@jax_funcify.register(Split)
def split(op: Split, **_: Any) -> Callable[..., Any]:
    """Pieces of known sizes along a known axis."""
    return lambda x, axis, sizes: jnp.split(jnp.asarray(x), np.cumsum(sizes)[:-1], axis=int(axis))


@jax_funcify.register(Argmax)
def argmax(op: Argmax, **_: Any) -> Callable[..., Any]:
    """The first place of the largest entry over axes taken together."""

    def call(x: Any) -> Any:
        axes = tuple(range(x.ndim)) if op.axis is None else tuple(op.axis)
        kept = tuple(i for i in range(x.ndim) if i not in axes)
        flat = jnp.transpose(x, kept + axes).reshape((*(x.shape[i] for i in kept), -1))
        return jnp.argmax(flat, axis=-1)

    return call


@jax_funcify.register(TriGamma)
def trigamma(op: TriGamma, **_: Any) -> Callable[..., Any]:
    """The derivative of digamma."""
    return lambda x: special.polygamma(1, x)


@jax_funcify.register(Erfcinv)
def erfcinv(op: Erfcinv, **_: Any) -> Callable[..., Any]:
    """The inverse of erfc, accurate near 0: −Φ⁻¹(x / 2) / √2."""
    return lambda x: -special.ndtri(x / 2) * np.sqrt(0.5)


@jax_funcify.register(Erfcx)
def erfcx(op: Erfcx, **_: Any) -> Callable[..., Any]:
    """exp(x²) erfc(x), where erfc underflows by its asymptotic series (Abramowitz 7.1.23)."""

    def call(x: Any) -> Any:
        limit = 8.0 if x.dtype == jnp.float32 else 25.0
        large = x > limit
        small, z = jnp.where(large, 0, x), jnp.where(large, x, limit)
        t = 1 / (2 * z * z)
        # 1 − t + 3t² − 15t³ + 105t⁴ − 945t⁵
        series = 1 - t * (1 - 3 * t * (1 - 5 * t * (1 - 7 * t * (1 - 9 * t))))
        return jnp.where(
            large, series / (z * np.sqrt(np.pi)), jnp.exp(small * small) * special.erfc(small)
        ).astype(x.dtype)

    return call
