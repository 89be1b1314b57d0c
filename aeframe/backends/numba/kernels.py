"""Products of matrices that lie in flat arrays; Numba compiles each once and keeps it on disk."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

_options: Any = {"cache": True, "error_model": "numpy", "nogil": True}


@numba.njit(**_options)
def matmul_nn(a: Any, b: Any, out: Any, m: int, k: int, n: int) -> None:
    """Out = A B."""
    np.dot(a[: m * k].reshape(m, k), b[: k * n].reshape(k, n), out[: m * n].reshape(m, n))


@numba.njit(**_options)
def matmul_tn(a: Any, b: Any, out: Any, m: int, k: int, n: int) -> None:
    """Out = Aᵀ B, where A is stored as (k, m)."""
    np.dot(a[: m * k].reshape(k, m).T, b[: k * n].reshape(k, n), out[: m * n].reshape(m, n))


@numba.njit(**_options)
def matmul_nt(a: Any, b: Any, out: Any, m: int, k: int, n: int) -> None:
    """Out = A Bᵀ, where B is stored as (n, k)."""
    np.dot(a[: m * k].reshape(m, k), b[: k * n].reshape(n, k).T, out[: m * n].reshape(m, n))


@numba.njit(**_options)
def matmul_tt(a: Any, b: Any, out: Any, m: int, k: int, n: int) -> None:
    """Out = Aᵀ Bᵀ."""
    np.dot(a[: m * k].reshape(k, m).T, b[: k * n].reshape(n, k).T, out[: m * n].reshape(m, n))
