"""Laplace: the posterior as a normal distribution at its mode, by the exact Hessian."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Variable
from numpy.typing import NDArray

from aeframe.backends import Program, to_numpy
from aeframe.core.arguments import count
from aeframe.core.grad import grad, vjp
from aeframe.core.supports import Real
from aeframe.infer.climb import Climb, Start, report
from aeframe.infer.diagnosis import Check, check_pareto_k, pareto_k
from aeframe.infer.posterior import Inference, Posterior
from aeframe.infer.table import Statistics
from aeframe.prob import Model
from aeframe.prob.programs import cached
from aeframe.prob.simulate import Draws
from aeframe.prob.sites import find_site
from aeframe.prob.unconstrain import Space, Unconstrained, Vector, unconstrain

# draws that the check takes, and how many at once: their intermediate values must fit in memory
DRAWS, CHUNK = 1000, 100


@dataclass(frozen=True)
class LaplacePosterior(Posterior):
    """A normal distribution on the unconstrained scale, at the mode.

    Of a site of real numbers this is its posterior: :meth:`mean` and :meth:`sd` are those of the
    normal distribution, in closed form. Any other site is a function of it, such as exp(u): its
    :meth:`mean` is of 1000 draws; :meth:`sd`, which the summary shows, is by the delta method, so
    it is near the sd of :meth:`draws` only where the function is nearly linear.

    Attributes
    ----------
    mode
        The vector of the free sites' unconstrained values, (size,).
    covariance
        The inverse of the negative Hessian there, (size, size).
    values
        Site → its value at the mode.
    log_evidence
        Laplace's approximation of the log probability of the observations.
    starts
        How each start of the search for the mode ended.
    searched
        What was checked of the search.
    repaired
        How many directions had no curvature, or the wrong one; 0 if the mode is one.
    """

    mode: Vector
    covariance: Vector
    values: dict[str, NDArray[Any]]
    log_evidence: float
    starts: tuple[Start, ...]
    searched: tuple[Check, ...]
    repaired: int

    @cached_property
    def _density(self) -> Unconstrained:
        return unconstrain(self.model, self.data)

    def draws(self, n: int, seed: int = 0) -> Draws:
        """``n`` draws of the normal distribution, as values of the free sites."""
        count("n", n)
        found = self._density.space.constrain(self.unconstrained(n, seed), self._density.arrays)
        return {b.name: found[b.name] for b in self._density.space.blocks}

    def unconstrained(self, n: int, seed: int = 0) -> Vector:
        """``n`` draws on the unconstrained scale, (n, size)."""
        return self.mode + self._noise(n, seed) @ np.linalg.cholesky(self.covariance).T

    def _noise(self, n: int, seed: int) -> Vector:
        return np.random.default_rng([seed, len(self.mode)]).standard_normal((n, len(self.mode)))

    @property
    def pareto_k(self) -> float:
        """The shape of the tail of the weights posterior / normal distribution, of 1000 draws.

        Above 0.7 the posterior is no normal distribution on the unconstrained scale, not even
        roughly (Vehtari et al. 2024, arXiv 1507.02646).
        """
        return self._tail

    @cached_property
    def _tail(self) -> float:
        density = self._density
        log_p = [
            to_numpy(density.space.density.map([rows], *density.arrays)[0])
            for rows in np.split(self.unconstrained(DRAWS), DRAWS // CHUNK)
        ]
        return pareto_k(np.concatenate(log_p) + 0.5 * (self._noise(DRAWS, 0) ** 2).sum(axis=1))

    def mean(self, site: str) -> NDArray[np.float64]:
        """The expectation of a site: the mode of one of real numbers, else of 1000 draws."""
        if site in self._real:
            return np.asarray(self.values[site], dtype="float64")
        return super().mean(site)

    @property
    def _real(self) -> set[str]:
        """The sites that are entries of the vector as they are."""
        return {b.name for b in self._density.space.blocks if isinstance(b.support, Real)}

    def sd(self, site: str) -> NDArray[np.float64]:
        """The standard deviation of a site (computed ones too) on its own scale.

        By the delta method: ``J Σ Jᵀ`` with J the derivative of the site's value; exact of a site
        of real numbers, and of one that is linear in such sites.
        """
        find_site(site, self.values, "take the sd of")
        space = self._density.space
        jacobian = cached(
            self.model,
            ("laplace sd", site, repr(space.u.type), *map(repr, self.data)),
            lambda: _jacobian(space, space.values[site]),
        )
        size = max(self.values[site].size, 1)
        j = to_numpy(jacobian.map([np.eye(size)], self.mode, *self._density.arrays)[0])
        variance = np.einsum("ij,jk,ik->i", j, self.covariance, j)
        return np.sqrt(variance).reshape(self.values[site].shape)

    def statistics(self) -> Statistics:
        """Site → mode and standard deviation (by the delta method), computed sites too."""
        return {k: {"mode": v, "sd": self.sd(k)} for k, v in self.values.items()}

    def summary(self) -> str:
        """The table, the verdict, and what the sd is where it is not that of the draws."""
        told = super().summary()
        if set(self.values) == self._real:
            return told
        return f"{told}\nsd: by the delta method; that of draws differs where a site is skewed."

    __str__ = summary

    def checks(self) -> Iterator[Check]:
        """Whether the search converged, to a mode, and near the posterior."""
        yield from self.searched
        well = self.repaired == 0
        words = "every direction has curvature" if well else "This point is no mode"
        fix = f"{self.repaired} directions were repaired: give them a proper prior, or use NUTS."
        yield Check("curvature", self.repaired, well, words, fix)
        yield check_pareto_k(self.pareto_k)

    def report(self) -> str:
        """A table of the starts: where each ended, and whether it converged."""
        return report(self.starts)


@dataclass(frozen=True)
class Laplace(Inference):
    """Laplace's approximation: normal on the unconstrained scale, at the mode.

    The Hessian is exact: its columns are Hessian-vector products, from Aesara's gradient of the
    gradient. Parameters of the Model keep their values. (MacKay, Information Theory, Inference,
    and Learning Algorithms, chapter 27.)

    Attributes
    ----------
    jacobian
        Whether the mode is that of the density on the unconstrained scale, in which the normal
        distribution lives (with the Jacobian of the supports), or of the density on the sites'
        own scale, which is also MAP's.
    restarts, seed, steps
        Of the search for the mode: see :class:`~aeframe.infer.climb.Climb`.

    >>> from aeframe.distributions import Normal
    >>> class Mean(Model):
    ...     def __call__(self):
    ...         mu = self.sample("mu", Normal(0, 1))
    ...         self.sample("y", Normal(mu, 1), shape=(3,))
    >>> posterior = Mean().observe({"y": [1.0, 2.0, 3.0]}).fit(inference=Laplace())
    >>> round(float(posterior.values["mu"]), 6), round(float(posterior.sd("mu")), 6)
    (1.5, 0.5)
    """

    jacobian: bool = True
    restarts: int = 4
    seed: int = 0
    steps: int = 2000

    def __post_init__(self) -> None:
        self._climb()

    def run(self, model: Model, data: Sequence[Any]) -> LaplacePosterior:
        """Find the mode and its curvature.

        Warns when the Hessian is not that of a mode: directions without curvature get their
        absolute value, at least a tiny one, and the result says how many there were.

        Raises
        ------
        ArgumentError
            When a free site is discrete, or nothing is free.
        FitError
            When no start reached a finite log joint.
        """
        density = unconstrain(model, data)
        space = density.space
        program = space.density if self.jacobian else space.joint
        target = space.log_joint + space.log_jacobian if self.jacobian else space.log_joint
        products = cached(
            model,
            ("laplace", self.jacobian, repr([a.shape for a in density.arrays])),
            lambda: _products(space, target),
        )
        u, starts, searched = self._climb()(program, density, type(model).__name__)
        for _ in range(3):  # Newton's steps: L-BFGS stops at the square root of the precision
            slope = to_numpy(program(u, *density.arrays)[1])
            hessian = _hessian(products, u, density)
            moved = u + np.linalg.lstsq(hessian, slope, rcond=None)[0]
            better = np.abs(to_numpy(program(moved, *density.arrays)[1])).max()
            if not better < np.abs(slope).max():
                break
            u = moved
        covariance, log_volume, repaired = _inverse(_hessian(products, u, density))
        if repaired:
            warnings.warn(
                f"the Hessian at the mode of {type(model).__name__} is not positive definite: "
                f"{repaired} of {space.size} directions were repaired, and the standard "
                "deviations and the evidence are not to be trusted; give these directions a "
                "proper prior, or use inference=ae.NUTS()",
                stacklevel=2,
            )
        log_density = float(to_numpy(space.density(u, *density.arrays)[0]))
        return LaplacePosterior(
            model,
            tuple(data),
            self,
            "as asked",
            u,
            covariance,
            density.values(u),
            log_density + 0.5 * space.size * np.log(2 * np.pi) + log_volume,
            starts,
            searched,
            repaired,
        )

    def _climb(self) -> Climb:
        return Climb(self.restarts, self.seed, self.steps)


def _products(space: Space, target: Variable) -> Program:
    """The program (v, u, data) → H v, with H the negative Hessian of ``target``."""
    v = space.u.type(name="v")
    (slope,) = grad(target, [space.u])
    (product,) = grad(-(slope * v).sum(), [space.u])
    return space.backend.compile([v, space.u, *space.inputs], [product])


def _hessian(products: Program, u: Vector, density: Unconstrained) -> Vector:
    found = to_numpy(products.map([np.eye(len(u))], u, *density.arrays)[0])
    return 0.5 * (found + found.T)


def _jacobian(space: Space, value: Variable) -> Program:
    """The program (w, u, data) → wᵀ ∂value/∂u."""
    flat = value.flatten().astype("float64")
    w = at.TensorType("float64", flat.type.shape)(name="w")
    (row,) = vjp([flat], [w], [space.u])
    assert row is not None
    return space.backend.compile([w, space.u, *space.inputs], [row])


def _inverse(hessian: Vector) -> tuple[Vector, float, int]:
    """The inverse, half the log determinant of the inverse, and how many directions are wrong."""
    scale = np.sqrt(np.maximum(np.abs(np.diag(hessian)), np.finfo(float).tiny))
    values, vectors = np.linalg.eigh(hessian / np.outer(scale, scale))
    floor = len(hessian) * np.finfo(float).eps * np.abs(values).max()
    repaired = int(np.sum(values <= floor))
    values = np.maximum(np.abs(values), max(floor, np.finfo(float).tiny))
    root = vectors / np.sqrt(values) / scale[:, None]
    return root @ root.T, float(-0.5 * np.log(values).sum() - np.log(scale).sum()), repaired
