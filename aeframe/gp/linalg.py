"""The linear algebra of Gaussian processes, as typed Ops that every backend runs natively."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Apply, Variable
from aesara.tensor import slinalg
from numpy.typing import NDArray
from scipy import special
from scipy.linalg import lapack, solve_triangular

from aeframe.backends import implement
from aeframe.core import TypedOp
from aeframe.core.ops import require_ndim, require_size

Array = NDArray[np.floating]
JITTERS = (0.0, *(10.0**k for k in range(-12, -3)))  # relative to the mean of the diagonal


class NativeOp(TypedOp):
    """A typed Op that has a routine of its own in SciPy and in JAX.

    The body is its meaning, for the backends that have neither; ``with_scipy`` is what the C
    backend runs.
    """

    with_scipy: Callable[..., Array]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        implement("c", cls)(lambda node: node.op.with_scipy)
        implement("jax", cls)(lambda node: node.op.with_jax())

    def with_jax(self) -> Callable[..., Any]:
        """The function of JAX arrays."""
        raise NotImplementedError

    def perform(self, node: Apply, inputs: Sequence[Any], storage: list[list[Any]]) -> None:
        """Run SciPy's routine."""
        storage[0][0] = np.asarray(self.with_scipy(*inputs), dtype=node.outputs[0].type.dtype)


class CholeskyOp(NativeOp):
    """L with LLᵀ = K, lower triangular: (n, n) → (n, n).

    Where K is not positive definite in floating point, the smallest of ``JITTERS`` times the mean
    of its diagonal that makes it so is added; NaN where none does.
    """

    def check(self, K: Variable) -> None:
        """K is a square matrix."""
        _require_square(self, "K", K)

    def body(self, K: Variable) -> Variable:
        """Aesara's Cholesky factor."""
        return slinalg.cholesky(K)

    def with_scipy(self, K: Array) -> Array:
        """LAPACK's potrf."""
        scale = np.mean(np.diagonal(K))
        for jitter in JITTERS:
            shifted = K + jitter * scale * np.eye(len(K), dtype=K.dtype) if jitter else K
            factor, failed = lapack.get_lapack_funcs("potrf", (K,))(shifted, lower=1, clean=1)
            if not failed and np.isfinite(factor[-1, -1]):
                return factor
        return np.full_like(K, np.nan)

    def with_jax(self) -> Callable[..., Any]:
        """XLA's Cholesky, again with more jitter while it fails."""
        import jax
        import jax.numpy as jnp

        def factor(K: Any, jitter: Any) -> Any:
            shifted = K + jitter * jnp.mean(jnp.diagonal(K)) * jnp.eye(len(K), dtype=K.dtype)
            return jax.lax.linalg.cholesky(shifted, symmetrize_input=False)

        def call(K: Any) -> Any:
            def failed(state: Any) -> Any:
                i, L = state
                return jnp.isnan(L[-1, -1]) & (i + 1 < len(JITTERS))

            def again(state: Any) -> Any:
                i = state[0] + 1
                return i, factor(K, jnp.asarray(JITTERS, K.dtype)[i])

            first = jax.lax.linalg.cholesky(K, symmetrize_input=False)
            return jax.lax.while_loop(failed, again, (0, first))[1]

        return call


class CholeskyInverseOp(NativeOp):
    """K⁻¹ from the Cholesky factor L of K: (n, n) → (n, n)."""

    def check(self, L: Variable) -> None:
        """L is a square matrix."""
        _require_square(self, "L", L)

    def body(self, L: Variable) -> Variable:
        """K⁻¹ = L⁻ᵀ L⁻¹."""
        half = slinalg.solve_triangular(L, at.eye(L.shape[0], dtype=L.type.dtype), lower=True)
        return at.dot(half.T, half)

    def with_scipy(self, L: Array) -> Array:
        """LAPACK's potri, which fills one triangle."""
        inverse, _ = lapack.get_lapack_funcs("potri", (L,))(L, lower=1)
        lower = np.tril(inverse)
        return lower + np.tril(inverse, -1).T

    def with_jax(self) -> Callable[..., Any]:
        """Half of it by a triangular solve, the product by BLAS."""
        import jax
        import jax.numpy as jnp

        def call(L: Any) -> Any:
            half = jax.scipy.linalg.solve_triangular(L, jnp.eye(len(L), dtype=L.dtype), lower=True)
            return half.T @ half

        return call


class TriangularSolveOp(NativeOp):
    """L⁻¹ b, or L⁻ᵀ b where ``transposed``, for lower triangular L: (n, n), (n, ...) → (n, ...)."""

    __props__ = ("transposed",)

    def __init__(self, transposed: bool = False) -> None:
        self.transposed = transposed

    def check(self, L: Variable, b: Variable) -> None:
        """L is square and b has as many rows."""
        _require_square(self, "L", L)
        require_size(self, "b", b, 0, L.type.shape[0])

    def body(self, L: Variable, b: Variable) -> Variable:
        """Aesara's triangular solve."""
        matrix = L.T if self.transposed else L
        return slinalg.solve_triangular(matrix, b, lower=not self.transposed)

    def pullback(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        cotangents: Sequence[Variable | None],
    ) -> list[Variable | None]:
        """With A = L or Lᵀ and x = A⁻¹b: b̄ = A⁻ᵀx̄ and Ā = −b̄xᵀ, of which L has a triangle."""
        (L, _), (x,), (g,) = inputs, outputs, cotangents
        assert g is not None
        b = TriangularSolveOp(not self.transposed)(L, g)
        left, right = (x, b) if self.transposed else (b, x)
        outer = at.outer(left, right) if x.type.ndim == 1 else at.dot(left, right.T)
        index = at.arange(L.shape[0])
        kept = at.ge(index.dimshuffle(0, "x"), index.dimshuffle("x", 0)).astype(L.type.dtype)
        return [-outer * kept, b]

    def with_scipy(self, L: Array, b: Array) -> Array:
        """LAPACK's trtrs."""
        trans = 1 if self.transposed else 0
        return solve_triangular(L, b, trans=trans, lower=True, check_finite=False)

    def with_jax(self) -> Callable[..., Any]:
        """XLA's triangular solve."""
        import jax

        trans = 1 if self.transposed else 0
        return lambda L, b: jax.scipy.linalg.solve_triangular(L, b, trans=trans, lower=True)


class ScaledBesselOp(NativeOp):
    """exp(−a) I_order(a) for a ≥ 0: the modified Bessel function of the first kind, scaled."""

    __props__ = ("order",)

    def __init__(self, order: int) -> None:
        self.order = order

    def body(self, a: Variable) -> Variable:
        """Aesara's I; it overflows where a > 700."""
        return at.exp(-a) * at.iv(float(self.order), a)

    def pullback(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        cotangents: Sequence[Variable | None],
    ) -> list[Variable | None]:
        """d/da = ½ (I_{k−1} + I_{k+1}) e^{−a} − I_k e^{−a}, with I_{−1} = I₁."""
        (a,), (y,), (g,) = inputs, outputs, cotangents
        assert g is not None
        below, above = ScaledBesselOp(abs(self.order - 1))(a), ScaledBesselOp(self.order + 1)(a)
        return [g * (0.5 * (below + above) - y)]

    def with_scipy(self, a: Array) -> Array:
        """SciPy's ive."""
        return special.ive(self.order, a)

    def with_jax(self) -> Callable[..., Any]:
        """JAX has orders 0 and 1; I_{k+1} = I_{k−1} − (2k/a) I_k serves order 2."""
        import jax
        import jax.numpy as jnp

        known = (jax.scipy.special.i0e, jax.scipy.special.i1e)
        if self.order < 2:
            return known[self.order]

        def second(a: Any) -> Any:
            safe = jnp.maximum(a, 1e-3)  # below, the power series a²/8 (1 + a²/12) is exact
            series = a**2 / 8 * (1 + a**2 / 12) * jnp.exp(-a)
            return jnp.where(a < 1e-3, series, known[0](a) - 2 / safe * known[1](a))

        return second


class GaussianEvidenceOp(TypedOp):
    """log N(y | 0, K): (n, n), (n,) → the log density, the Cholesky factor L, and α = K⁻¹y."""

    def check(self, K: Variable, y: Variable) -> None:
        """K is square and y has one number for each row."""
        _require_square(self, "K", K)
        require_ndim(self, "y", y, 1)
        require_size(self, "y", y, 0, K.type.shape[0])

    def body(self, K: Variable, y: Variable) -> list[Variable]:
        """−½ yᵀα − Σ log Lᵢᵢ − ½ n log 2π, with K = LLᵀ."""
        L = CholeskyOp()(K)
        alpha = TriangularSolveOp(transposed=True)(L, TriangularSolveOp()(L, y))
        n = y.shape[0].astype(y.type.dtype)
        value = -0.5 * at.dot(y, alpha) - at.log(at.diagonal(L)).sum()
        return [value - 0.5 * math.log(2 * math.pi) * n, L, alpha]

    def pullback(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        cotangents: Sequence[Variable | None],
    ) -> Sequence[Variable | None]:
        """K̄ = ½ g (ααᵀ − K⁻¹) and ȳ = −g α: the factor is there, so nothing is factored again."""
        g, *others = cotangents
        if g is None or any(o is not None for o in others):
            return super().pullback(inputs, outputs, cotangents)
        _, L, alpha = outputs
        outer = alpha.dimshuffle(0, "x") * alpha.dimshuffle("x", 0)
        return [0.5 * g * (outer - CholeskyInverseOp()(L)), -g * alpha]


def _require_square(op: TypedOp, name: str, matrix: Variable) -> None:
    require_ndim(op, name, matrix, 2)
    require_size(op, name, matrix, 1, matrix.type.shape[0])
