"""Distributions of vectors and matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import aesara.tensor as at
import aesara.tensor.random.basic as aer
import numpy as np
from aesara.graph.basic import Variable
from aesara.tensor.nlinalg import matrix_inverse
from aesara.tensor.slinalg import Cholesky, solve_triangular

from aeframe.core.errors import ArgumentError, DataError
from aeframe.core.ops import require_ndim, require_size
from aeframe.core.supports import CorrelationCholesky, Integers, Real, Simplex, Support
from aeframe.distributions.base import (
    ABOVE_0,
    COUNT,
    FINITE,
    PROBABILITY,
    Distribution,
    Domain,
    require_one,
)
from aeframe.distributions.continuous import NORMAL
from aeframe.distributions.density import LOG_2PI, inside
from aeframe.distributions.discrete import require_simplex, vector_size
from aeframe.distributions.draws import Drawn, DrawOp, Family, Shape, Size, standard

DIRICHLET = aer.DirichletRV(dtype="float64")
MULTINOMIAL = aer.MultinomialRV(dtype="int64")


class MultivariateNormalOp(DrawOp):
    """``(rng, mean (..., n), L (n, n))``: mean + L z, with L lower triangular and z standard."""

    ndim_supp = 1
    ndims_params = (1, 2)

    def check(self, *inputs: Variable) -> None:
        """One L for all rows, as wide as the mean."""
        _, mean, cholesky = inputs
        require_ndim(self, "cholesky", cholesky, 2)
        for axis in (0, 1):
            require_size(self, "cholesky", cholesky, axis, mean.type.shape[-1])

    def sample(self, rng: Variable, shape: Sequence[Size], *parameters: Variable) -> Drawn:
        """Mean + z Lᵀ, row by row."""
        mean, cholesky = parameters
        rng, z = standard(NORMAL, rng, shape, 0.0, 1.0)
        return rng, mean + at.dot(z, cholesky.T)

    def log_density(self, value: Variable, *parameters: Variable) -> Variable:
        """−½ |L⁻¹(x − mean)|² − log det L − n/2 log 2π."""
        mean, cholesky = parameters
        away = value - mean
        n = away.shape[away.type.ndim - 1]
        flat = solve_triangular(cholesky, away.reshape((-1, n)).T, lower=True)
        distance = (flat**2).sum(axis=0).reshape(away.shape[:-1], ndim=away.type.ndim - 1)
        scale = at.log(at.diagonal(cholesky)).sum() + n * (LOG_2PI / 2)
        return -distance / 2 - scale


@dataclass(frozen=True, eq=False)
class MultivariateNormal(Distribution):
    """The normal distribution of vectors, of a mean and exactly one of three matrices.

    p(x) = exp(−½ (x − mean)ᵀ Σ⁻¹ (x − mean)) / √det 2πΣ.

    Parameters
    ----------
    mean
        (..., n), or a number for all entries.
    covariance, cholesky, precision
        (n, n): Σ, or its lower triangular factor L with Σ = LLᵀ, or Σ⁻¹.

    Raises
    ------
    DataError
        When a covariance or precision given as numbers is not positive definite.

    >>> round(float(MultivariateNormal([0.0, 0.0], np.eye(2)).log_density([0.0, 0.0]).eval()), 4)
    -1.8379
    """

    mean: Any
    covariance: Any = None
    cholesky: Any = None
    precision: Any = None
    op: ClassVar[Family] = MultivariateNormalOp()
    support: ClassVar[Support] = Real()
    domains: ClassVar[Mapping[str, Domain]] = {
        name: FINITE for name in ("mean", "covariance", "cholesky", "precision")
    }

    def __post_init__(self) -> None:
        matrices = {n: getattr(self, n) for n in ("covariance", "cholesky", "precision")}
        require_one("MultivariateNormal", **matrices)
        super().__post_init__()
        for name in ("covariance", "precision"):
            value = matrices[name]
            if value is not None and not isinstance(value, Variable):
                _require_positive_definite(name, np.asarray(value, dtype="float64"))

    def parameters(self) -> tuple[Any, ...]:
        """The mean and L."""
        factor = self._factor()
        if isinstance(self.mean, Variable) or np.ndim(self.mean):
            return self.mean, factor
        return at.alloc(at.as_tensor(float(self.mean)), at.as_tensor(factor).shape[0]), factor

    def _factor(self) -> Any:
        if self.cholesky is not None:
            return self.cholesky
        given = self.covariance if self.precision is None else self.precision
        if not isinstance(given, Variable):
            matrix = np.asarray(given, dtype="float64")
            covariance = matrix if self.precision is None else np.linalg.inv(matrix)
            return np.linalg.cholesky(covariance)
        return Cholesky(lower=True, on_error="nan")(
            given if self.precision is None else matrix_inverse(given)
        )

    def event_shape(self) -> Shape:
        """(n,)."""
        mean, factor = self.given()
        known = [v.type.shape[-1] for v in (mean, factor) if v.type.shape[-1] is not None]
        return (known[0] if known else None,)


def _require_positive_definite(name: str, matrix: Any) -> None:
    fits = matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1]
    if not fits or not np.allclose(matrix, matrix.T) or np.linalg.eigvalsh(matrix).min() <= 0:
        raise DataError(
            f"the {name} of MultivariateNormal is not positive definite",
            expected="a symmetric matrix (n, n) with positive eigenvalues",
            got=matrix,
        )


@dataclass(frozen=True, eq=False)
class Dirichlet(Distribution):
    """Vectors of positive numbers that sum to 1, of a concentration for each entry.

    p(x) = Γ(Σ aₖ) / Π Γ(aₖ) · Π xₖ^(aₖ − 1); the mean is a / Σ a.

    >>> round(float(Dirichlet([1.0, 1.0, 1.0]).log_density([0.2, 0.3, 0.5]).eval()), 4)
    0.6931
    """

    concentration: Any
    op: ClassVar[Family] = DIRICHLET
    support: ClassVar[Support] = Simplex()
    domains: ClassVar[Mapping[str, Domain]] = {"concentration": ABOVE_0}

    def event_shape(self) -> Shape:
        """(K,)."""
        return vector_size("Dirichlet", self.given()[0])


@dataclass(frozen=True, eq=False)
class Multinomial(Distribution):
    """How often each of K categories comes up in ``n`` trials of probabilities ``p``.

    P(x) = n! Π pₖ^xₖ / xₖ!.

    >>> round(float(Multinomial(2, [0.5, 0.5]).log_density([1, 1]).eval()), 4)
    -0.6931
    """

    n: Any
    p: Any
    op: ClassVar[Family] = MULTINOMIAL
    support: ClassVar[Support] = Integers(0)
    domains: ClassVar[Mapping[str, Domain]] = {"n": COUNT, "p": PROBABILITY}
    counts: ClassVar[Sequence[int]] = (0,)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_simplex("Multinomial", self.p)

    def event_shape(self) -> Shape:
        """(K,)."""
        return vector_size("Multinomial", self.given()[1])


class DirichletMultinomialOp(DrawOp):
    """``(rng, n, concentration)``: counts, their probabilities drawn for each vector anew."""

    dtype = "int64"
    ndim_supp = 1
    ndims_params = (0, 1)

    def sample(self, rng: Variable, shape: Sequence[Size], *parameters: Variable) -> Drawn:
        """Probabilities, then counts."""
        n, concentration = parameters
        rng, p = standard(DIRICHLET, rng, list(shape)[:-1], concentration)
        return standard(MULTINOMIAL, rng, list(shape)[:-1], n, p)

    def log_density(self, value: Variable, *parameters: Variable) -> Variable:
        """N! Γ(A) / Γ(n + A) Π Γ(xₖ + aₖ) / (xₖ! Γ(aₖ)), A = Σ aₖ."""
        n, a = parameters
        possible = at.all(value >= 0, axis=-1) & at.eq(value.sum(axis=-1), n)
        x, total = at.maximum(value, 0), a.sum(axis=-1)
        terms = at.gammaln(x + a) - at.gammaln(x + 1.0) - at.gammaln(a)
        outer = at.gammaln(n + 1.0) + at.gammaln(total) - at.gammaln(n + total)
        return inside(possible, outer + terms.sum(axis=-1))


@dataclass(frozen=True, eq=False)
class DirichletMultinomial(Distribution):
    """Multinomial counts whose probabilities are drawn from a Dirichlet distribution.

    P(x) = n! Γ(A) / Γ(n + A) Π Γ(xₖ + aₖ) / (xₖ! Γ(aₖ)), A = Σ aₖ.

    >>> round(float(DirichletMultinomial(1, [1.0, 1.0]).log_density([1, 0]).eval()), 4)
    -0.6931
    """

    n: Any
    concentration: Any
    op: ClassVar[Family] = DirichletMultinomialOp()
    support: ClassVar[Support] = Integers(0)
    domains: ClassVar[Mapping[str, Domain]] = {"n": COUNT, "concentration": ABOVE_0}
    counts: ClassVar[Sequence[int]] = (0,)

    def event_shape(self) -> Shape:
        """(K,)."""
        return vector_size("DirichletMultinomial", self.given()[1])


class LKJCholeskyOp(DrawOp):
    """``(rng, concentration)``: the Cholesky factor of a random correlation matrix (n, n)."""

    __props__ = ("n", "shape")
    ndim_supp = 2
    ndims_params = (0,)

    def __init__(self, n: int, shape: Sequence[int] | None = None) -> None:
        super().__init__(shape)
        self.n = n

    def sample(self, rng: Variable, shape: Sequence[Size], *parameters: Variable) -> Drawn:
        """A C-vine: partial correlations 2 Beta(b, b) − 1, b = η + (n − 1 − k)/2 in column k."""
        support = CorrelationCholesky()
        _, columns = np.tril_indices(self.n, -1)
        b = at.shape_padright(parameters[0]) + (self.n - 2 - columns) / 2
        free = support.free_shape(tuple(shape))
        rng, drawn = standard(aer.BetaRV(dtype="float64"), rng, free, b, b)
        return rng, support.forward(at.arctanh(2 * drawn - 1))

    def log_density(self, value: Variable, *parameters: Variable) -> Variable:
        """Σ_{i>1} (n − i + 2η − 2) log Lᵢᵢ − log c, c as in Lewandowski et al. (2009), (16)."""
        (concentration,) = parameters
        n, m = self.n, self.n - 1
        powers = n - np.arange(2, n + 1) + 2 * (at.shape_padright(concentration) - 1)
        logs = at.log(at.diagonal(value, 0, value.type.ndim - 2, value.type.ndim - 1))
        a = concentration + m / 2
        ends = sum((at.gammaln(a - j / 2) for j in range(1, n)), start=at.zeros(()))
        constant = m / 2 * np.log(np.pi) + m * (m - 1) / 4 * np.log(np.pi) + ends
        return (powers * logs[..., 1:]).sum(axis=-1) - constant + m * at.gammaln(a)


@dataclass(frozen=True, eq=False)
class LKJCholesky(Distribution):
    """Cholesky factors L (n, n) of correlation matrices; p(LLᵀ) ∝ det(LLᵀ)^(concentration − 1).

    Concentration 1 is uniform over correlation matrices, above 1 prefers weak correlations
    (Lewandowski, Kurowicka and Joe 2009). The density is over the entries below the diagonal.

    >>> from aeframe.core import RandomState
    >>> LKJCholesky(3, 2.0).draw(RandomState())[1].type.shape
    (3, 3)
    """

    n: int
    concentration: Any = 1.0
    support: ClassVar[Support] = CorrelationCholesky()
    domains: ClassVar[Mapping[str, Domain]] = {"concentration": ABOVE_0}

    def __post_init__(self) -> None:
        if not isinstance(self.n, int) or self.n < 2:
            raise ArgumentError("LKJCholesky takes a size of 2 or more", got=repr(self.n))
        super().__post_init__()

    @property
    def op(self) -> Family:  # type: ignore[override]
        """For matrices of this size."""
        return LKJCholeskyOp(self.n)

    def parameters(self) -> tuple[Any, ...]:
        """The concentration."""
        return (self.concentration,)

    def event_shape(self) -> Shape:
        """(n, n)."""
        return (self.n, self.n)
