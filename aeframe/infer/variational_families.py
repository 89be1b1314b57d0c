"""Families that guides draw from, each a typed Op on its parameters.

A family makes its draw of standard normal noise, so that one vector of noise is all the
randomness of a guide, and draws can be differentiated by the parameters wherever they are real.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, TypeAlias

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Variable

from aeframe.core import TypedOp
from aeframe.core.supports import Positive, Real, Support
from aeframe.gp.linalg import TriangularSolveOp

Blended: TypeAlias = "Sequence[Variable]"
_LOG_ROOT_TAU = 0.5 * float(np.log(2.0 * np.pi))


def _below(noise: Variable) -> Variable:
    """Φ(z): uniform on (0, 1) for standard normal noise."""
    return 0.5 * at.erfc(-noise / np.sqrt(2.0))


class Family(TypedOp):
    """A family of distributions: subclass it with :meth:`draw` and :meth:`log_density`.

    As an Op it maps its parameters to the draw at its ``center``.

    Attributes
    ----------
    supports
        The set that each parameter lies in; ``None`` for one that guides do not learn.
    center
        The noise of its median.
    discrete
        Whether draws are counts: then they are values of the site, and have no gradient. All
        others are on the unconstrained scale of the site's support.
    joint
        Whether all sites of the family have their noise mixed by one triangular matrix.
    weighted
        Whether each parameter has a λ of its own, where it is blended.
    """

    supports: ClassVar[tuple[Support | None, ...]]
    weighted: ClassVar[tuple[bool, ...]] = (True,)
    center: ClassVar[float] = 0.0
    discrete: ClassVar[bool] = False
    joint: ClassVar[bool] = False

    def draw(self, noise: Variable, *parameters: Variable) -> Variable:
        """The draw that standard normal ``noise``, of the draw's shape, leads to."""
        raise NotImplementedError

    def log_density(self, draw: Variable, *parameters: Variable) -> Variable:
        """The log density of a draw, over all its entries: a scalar."""
        raise NotImplementedError

    def body(self, *parameters: Variable) -> Variable:
        """The draw at the center."""
        return self.draw(at.full_like(parameters[0], self.center), *parameters)

    def parameter_shape(
        self, i: int, shape: tuple[int, ...], given: tuple[int | None, ...]
    ) -> tuple[int, ...]:
        """The shape of parameter ``i``, ``given`` in the model, for draws of ``shape``."""
        return shape

    def blend(
        self, thetas: Blended, owns: Blended, weights: Sequence[Variable | None]
    ) -> list[Variable]:
        """λ θ + own, where own stands for (1 − λ) α: parameters that are natural ones.

        Parameters
        ----------
        thetas, owns, weights
            Of each learned parameter: the prior's θ; what is learned; λ.
        """
        return [w * t + o for t, o, w in zip(thetas, owns, weights, strict=True)]

    def own(self, thetas: Blended) -> list[Variable]:
        """What is learned where α is θ and λ is ½."""
        return [0.5 * t for t in thetas]


class _Located(Family):
    """Families of a location m and a scale s, whose natural parameters are m/s² and 1/s²."""

    supports: ClassVar[tuple[Support | None, ...]] = (Real(), Positive())
    weighted = (False, True)

    def blend(
        self, thetas: Blended, owns: Blended, weights: Sequence[Variable | None]
    ) -> list[Variable]:
        """Precision λ/s² + A, and precision times location λ m/s² + A b; learned are b and log A.

        Written so that nothing is divided by s.
        """
        (m, s), (b, log_a), (_, weight) = thetas, owns, weights
        assert weight is not None
        total = weight + at.exp(log_a) * at.square(s)
        return [b + (weight / total) * (m - b), s / at.sqrt(total)]

    def own(self, thetas: Blended) -> list[Variable]:
        """The location m, and half of the precision."""
        m, s = thetas
        return [m, float(np.log(0.5)) - 2.0 * at.log(s)]


class LocationScale(_Located):
    """location + scale · e, where ``e`` is a standard draw: a subclass gives it and its density."""

    def standard(self, noise: Variable) -> Variable:
        """The standard draw."""
        raise NotImplementedError

    def log_standard(self, e: Variable) -> Variable:
        """Its log density, elementwise."""
        raise NotImplementedError

    def draw(self, noise: Variable, *parameters: Variable) -> Variable:
        """Location + scale · e."""
        location, scale = parameters
        return location + scale * self.standard(noise)

    def log_density(self, draw: Variable, *parameters: Variable) -> Variable:
        """Σ log f((draw − location) / scale) − log scale."""
        location, scale = parameters
        return (self.log_standard((draw - location) / scale) - at.log(scale)).sum()


class NormalFamily(LocationScale):
    """Normal; of a positive site, whose unconstrained scale is the logarithm, log-normal."""

    def standard(self, noise: Variable) -> Variable:
        """The noise itself."""
        return noise

    def log_standard(self, e: Variable) -> Variable:
        """−e²/2 − log √2π."""
        return -0.5 * at.square(e) - _LOG_ROOT_TAU


class JointNormalFamily(NormalFamily):
    """Normal, with a full covariance over all sites of the family."""

    joint = True


class LogisticFamily(LocationScale):
    """Logistic; of a site in an interval, (0, 1) in location and scale is the uniform."""

    def standard(self, noise: Variable) -> Variable:
        """Log Φ(z) − log Φ(−z)."""
        return at.log(_below(noise)) - at.log(_below(-noise))

    def log_standard(self, e: Variable) -> Variable:
        """Log σ(e) + log σ(−e)."""
        return -at.softplus(e) - at.softplus(-e)


class LaplaceFamily(LocationScale):
    """Laplace, the two-sided exponential."""

    def standard(self, noise: Variable) -> Variable:
        """−sign(z) log 2Φ(−|z|)."""
        return -at.sgn(noise) * at.log(2.0 * _below(-at.abs(noise)))

    def log_standard(self, e: Variable) -> Variable:
        """−|e| − log 2."""
        return -at.abs(e) - float(np.log(2.0))


class GumbelFamily(LocationScale):
    """Gumbel of largest values."""

    def standard(self, noise: Variable) -> Variable:
        """−log(−log Φ(z))."""
        return -at.log(-at.log(_below(noise)))

    def log_standard(self, e: Variable) -> Variable:
        """−e − exp(−e)."""
        return -e - at.exp(-e)


class LogExponentialFamily(LocationScale):
    """Logarithm of an exponential variable; of a positive site, Weibull."""

    def standard(self, noise: Variable) -> Variable:
        """log(−log Φ(−z))."""
        return at.log(-at.log(_below(-noise)))

    def log_standard(self, e: Variable) -> Variable:
        """E − exp(e)."""
        return e - at.exp(e)


class LogHalfNormalFamily(LocationScale):
    """Logarithm of a half-normal variable; of a positive site, exp(location) · |z|^scale."""

    center = 0.6744897501960817

    def standard(self, noise: Variable) -> Variable:
        """Log |z|."""
        return at.log(at.abs(noise))

    def log_standard(self, e: Variable) -> Variable:
        """Log 2 − log √2π + e − exp(2e)/2."""
        return float(np.log(2.0)) - _LOG_ROOT_TAU + e - 0.5 * at.exp(2.0 * e)


class CorrelatedNormalFamily(_Located):
    """location + scale · R z along the last axis: normal, with a Cholesky factor diag(scale) R."""

    supports = (Real(), Positive(), None)

    def draw(self, noise: Variable, *parameters: Variable) -> Variable:
        """Location + scale · R z."""
        location, scale, mixing = parameters
        return location + scale * at.dot(noise, mixing.T)

    def log_density(self, draw: Variable, *parameters: Variable) -> Variable:
        """Σ log φ(R⁻¹ (draw − location) / scale) − log scale − log |R|."""
        location, scale, mixing = parameters
        e = (draw - location) / scale
        z = TriangularSolveOp()(mixing, e.T)
        rows = e.size / mixing.shape[0]
        volume = rows * at.log(at.diagonal(mixing)).sum()
        return (-0.5 * at.square(z) - _LOG_ROOT_TAU).sum() - at.log(scale).sum() - volume

    def parameter_shape(
        self, i: int, shape: tuple[int, ...], given: tuple[int | None, ...]
    ) -> tuple[int, ...]:
        """Location and scale are of the draw's shape, R of its own."""
        return shape if i < 2 else (shape[-1], shape[-1])


class BernoulliFamily(Family):
    """1 with probability sigmoid(logits), else 0."""

    supports = (Real(),)
    discrete = True

    def draw(self, noise: Variable, *parameters: Variable) -> Variable:
        """Whether Φ(z) < p."""
        return at.lt(_below(noise), at.sigmoid(parameters[0]))

    def log_density(self, draw: Variable, *parameters: Variable) -> Variable:
        """Σ log sigmoid(±logits)."""
        sign = 2.0 * draw.astype("float64") - 1.0
        return -at.softplus(-sign * parameters[0]).sum()


class CategoricalFamily(Family):
    """k with probability softmax(logits)[..., k]."""

    supports = (Real(),)
    discrete = True

    def draw(self, noise: Variable, *parameters: Variable) -> Variable:
        """How many of the cumulative probabilities lie below Φ(z)."""
        steps = at.cumsum(at.exp(_log_softmax(parameters[0])), axis=-1)[..., :-1]
        return at.gt(at.shape_padright(_below(noise)), steps).sum(axis=-1)

    def log_density(self, draw: Variable, *parameters: Variable) -> Variable:
        """Σ log softmax(logits)[..., k]."""
        (logits,) = parameters
        drawn = at.eq(at.shape_padright(draw), at.arange(logits.shape[-1]))
        return (_log_softmax(logits) * drawn).sum()

    def body(self, *parameters: Variable) -> Variable:
        """The draw at the center."""
        return self.draw(at.zeros_like(parameters[0][..., 0]), *parameters)

    def parameter_shape(
        self, i: int, shape: tuple[int, ...], given: tuple[int | None, ...]
    ) -> tuple[int, ...]:
        """The draw's, then the number of categories."""
        assert given[-1] is not None
        return (*shape, given[-1])


def _log_softmax(logits: Variable) -> Variable:
    return logits - at.logsumexp(logits, axis=-1, keepdims=True)
