"""Posteriors in closed form: sites with exact distributions, independent of the other sites."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import gammaln

from aeframe.core.structure import Structure
from aeframe.distributions import (
    Beta,
    Dirichlet,
    Distribution,
    Exponential,
    Gamma,
    InverseGamma,
    MultivariateNormal,
    Normal,
    StudentT,
    Transformed,
)
from aeframe.prob.simulate import Draws

Array = NDArray[np.float64]

# family → the SciPy distribution of each entry
_MARGINALS: dict[type, Callable[[Any], Any]] = {
    Gamma: lambda d: stats.gamma(d.shape, scale=1.0 / np.asarray(d.rate)),
    Exponential: lambda d: stats.expon(scale=1.0 / np.asarray(d.rate)),
    InverseGamma: lambda d: stats.invgamma(d.shape, scale=d.scale),
    Beta: lambda d: stats.beta(d.alpha, d.beta),
    Normal: lambda d: stats.norm(d.mean, d.sd),
    StudentT: lambda d: stats.t(d.df, d.location, d.scale),
    Dirichlet: lambda d: stats.beta(
        d.concentration, np.sum(d.concentration, axis=-1, keepdims=True) - d.concentration
    ),
}


def marginals(distribution: Distribution) -> Any:
    """The SciPy distribution of each entry of a draw."""
    return _MARGINALS[type(distribution)](distribution)


@dataclass(frozen=True)
class Part(Structure):
    """Sites that are independent of all others, given the observations."""

    @property
    def sites(self) -> tuple[str, ...]:
        """Their names."""
        raise NotImplementedError

    def distribution(self, site: str) -> Distribution:
        """That of one site."""
        raise NotImplementedError

    def marginal(self, site: str) -> Any:
        """The SciPy distribution of each entry of a site."""
        raise NotImplementedError

    def draws(self, n: int, rng: np.random.Generator) -> Draws:
        """Site → independent draws, (n, ...)."""
        raise NotImplementedError

    def log_density(self) -> float:
        """The log density of the sites at their means (or where :meth:`place` says)."""
        raise NotImplementedError

    def place(self) -> dict[str, Array]:
        """Site → a value with a density above 0, its mean where there is one."""
        raise NotImplementedError


@dataclass(frozen=True)
class One(Part):
    """A site with a distribution of its own.

    Attributes
    ----------
    site
        Its name.
    of
        The distribution of ``site ** power``, with numbers for arguments; a gamma if not of the
        site itself.
    """

    site: str
    of: Distribution
    power: float = 1.0

    @property
    def sites(self) -> tuple[str, ...]:
        """The one site."""
        return (self.site,)

    def distribution(self, site: str) -> Distribution:
        """That of the site."""
        if self.power == 1.0:
            return self.of
        return Transformed(self.of, lambda x: x ** (1.0 / self.power))

    def marginal(self, site: str) -> Any:
        """That of each entry."""
        if self.power == 1.0:
            return marginals(self.of)
        gamma: Any = self.of if isinstance(self.of, Gamma) else Gamma(1.0, self.of.rate)  # type: ignore[attr-defined]
        scale = np.asarray(gamma.rate) ** (-1.0 / self.power)
        return stats.gengamma(gamma.shape, self.power, scale=scale)

    def noise(self, value: Any) -> Any:
        """The sd where the variance, or the precision, is distributed as ``of``."""
        return value ** (self.power * (0.5 if isinstance(self.of, InverseGamma) else -0.5))

    def draws(self, n: int, rng: np.random.Generator) -> Draws:
        """By SciPy; rows of a Dirichlet from gammas."""
        if isinstance(self.of, Dirichlet):
            alpha = np.asarray(self.of.concentration)
            rows = rng.standard_gamma(alpha, (n, *alpha.shape))
            return {self.site: rows / rows.sum(axis=-1, keepdims=True)}
        found = self.marginal(self.site)
        shape = np.shape(found.mean())
        return {self.site: np.asarray(found.rvs((n, *shape), random_state=rng))}

    def place(self) -> dict[str, Array]:
        """Its median, or the mean of a Dirichlet."""
        found = self.marginal(self.site)
        value = found.mean() if isinstance(self.of, Dirichlet) else found.median()
        return {self.site: np.asarray(value)}

    def log_density(self) -> float:
        """At :meth:`place`."""
        value = self.place()[self.site]
        if not isinstance(self.of, Dirichlet):
            return float(np.sum(self.marginal(self.site).logpdf(value)))
        alpha = np.asarray(self.of.concentration)
        terms = (alpha - 1) * np.log(value) - gammaln(alpha)
        return float(np.sum(gammaln(alpha.sum(axis=-1))) + np.sum(terms))


@dataclass(frozen=True)
class Block(Part):
    """Jointly normal sites, with covariance ``v · covariance`` where v is of the site ``variance``.

    Attributes
    ----------
    shapes
        Site → shape; their entries are the vector.
    mean, covariance
        Of the vector, (n,) and (n, n).
    variance
        v, inverse gamma; or 1/v or a root of it, such that 1/v is gamma; ``None`` where v is 1.
    """

    shapes: dict[str, tuple[int, ...]]
    mean: Array
    covariance: Array
    variance: One | None = None

    @property
    def sites(self) -> tuple[str, ...]:
        """The normal sites, and their variance."""
        return (*self.shapes, *(self.variance.sites if self.variance is not None else ()))

    def distribution(self, site: str) -> Distribution:
        """Normal (StudentT where the variance is not known); of the vector of its entries."""
        if self.variance is not None and site == self.variance.site:
            return self.variance.distribution(site)
        at = self._slice(site)
        shape, mean, covariance = self.shapes[site], self.mean[at], self.covariance[at, at]
        if self.variance is None and shape != ():
            return MultivariateNormal(mean, covariance)
        sd = np.sqrt(np.diag(covariance))
        if self.variance is None:
            return Normal(mean.reshape(shape), sd.reshape(shape))
        df, scale = self._spread()
        return StudentT(df, mean.reshape(shape), (scale * sd).reshape(shape))

    def marginal(self, site: str) -> Any:
        """Normal, or Student's t."""
        if self.variance is not None and site == self.variance.site:
            return self.variance.marginal(site)
        at, shape = self._slice(site), self.shapes[site]
        sd = np.sqrt(np.diag(self.covariance)[at]).reshape(shape)
        mean = self.mean[at].reshape(shape)
        if self.variance is None:
            return stats.norm(mean, sd)
        df, scale = self._spread()
        return stats.t(df, mean, scale * sd)

    def draws(self, n: int, rng: np.random.Generator) -> Draws:
        """The variance first, then the vector."""
        found: Draws = {}
        scale: Any = 1.0
        if self.variance is not None:
            found = self.variance.draws(n, rng)
            scale = self.variance.noise(found[self.variance.site].reshape(n, 1))
        noise = rng.standard_normal((n, len(self.mean))) @ np.linalg.cholesky(self.covariance).T
        rows = self.mean + scale * noise
        for site, shape in self.shapes.items():
            found[site] = rows[:, self._slice(site)].reshape(n, *shape)
        return found

    def place(self) -> dict[str, Array]:
        """The means; the median of the variance."""
        found = self.variance.place() if self.variance is not None else {}
        return found | {k: self.mean[self._slice(k)].reshape(s) for k, s in self.shapes.items()}

    def log_density(self) -> float:
        """At :meth:`place`: the vector is at its mode."""
        _, log_det = np.linalg.slogdet(self.covariance)
        n, extra = len(self.mean), 0.0
        if self.variance is not None:
            sd = float(np.squeeze(self.variance.noise(self.variance.place()[self.variance.site])))
            extra = self.variance.log_density() - n * np.log(sd)
        return float(extra - 0.5 * (n * np.log(2 * np.pi) + log_det))

    def _slice(self, site: str) -> slice:
        start = 0
        for name, shape in self.shapes.items():
            stop = start + int(np.prod(shape, dtype=np.int64))
            if name == site:
                return slice(start, stop)
            start = stop
        raise KeyError(site)

    def _spread(self) -> tuple[float, float]:
        """Degrees of freedom 2a, and √(b/a), of an inverse gamma variance of shape a and b."""
        assert self.variance is not None
        of: Any = self.variance.of
        b = of.scale if isinstance(of, InverseGamma) else of.rate
        a = float(np.squeeze(of.shape))
        return 2 * a, float(np.sqrt(np.squeeze(b) / a))
