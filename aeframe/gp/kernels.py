"""The kernels: white noise, squared exponential, periodic, linear."""

from __future__ import annotations

from math import factorial

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Variable

from aeframe.core import Real
from aeframe.gp.kernel import Kernel, hyper
from aeframe.gp.linalg import ScaledBesselOp
from aeframe.gp.starts import (
    lengthscales,
    locations,
    noise_variances,
    periods,
    slope_variances,
    variances,
)


class White(Kernel):
    """White noise: σ² on the diagonal of a symmetric Gram matrix, 0 between two sets of inputs.

    >>> White(2.0)(np.array([0.0, 1.0]))
    array([[2., 0.],
           [0., 2.]])
    """

    variance = hyper(1.0, start=noise_variances)

    def formula(self, x: Variable, z: Variable) -> Variable:
        """σ² I, or 0."""
        if z is x:
            return self.variance * at.eye(x.shape[0], dtype=x.type.dtype)
        return self.variance * at.zeros((x.shape[0], z.shape[0]), dtype=x.type.dtype)


class SE(Kernel):
    """Squared exponential: σ² exp(−½ Σⱼ (xⱼ − zⱼ)² / ℓⱼ²); ℓ is one number or one per column.

    >>> SE()(np.array([0.0, 1.0])).round(3)
    array([[1.   , 0.607],
           [0.607, 1.   ]])
    """

    variance = hyper(1.0, start=variances)
    lengthscale = hyper(1.0, start=lengthscales, per_input=True)

    def formula(self, x: Variable, z: Variable) -> Variable:
        """σ² exp(−½ r²), r the distance in lengthscales."""
        scaled_x = x / self.lengthscale
        scaled_z = scaled_x if z is x else z / self.lengthscale
        return self.variance * at.exp(-0.5 * squared_distances(scaled_x, scaled_z))


class Periodic(Kernel):
    """Periodic without its constant part (Duvenaud 2014, sec. 2.2), of one input column.

    σ² [exp(cos(2πd/p)/ℓ²) − I₀(1/ℓ²)] / [exp(1/ℓ²) − I₀(1/ℓ²)]; a long ℓ makes it a cosine.

    >>> Periodic(period=2.0)(np.array([0.0, 2.0])).round(3)
    array([[1., 1.],
           [1., 1.]])
    """

    columns = 1
    variance = hyper(1.0, start=variances)
    lengthscale = hyper(1.0)
    period = hyper(1.0, start=periods)

    def formula(self, x: Variable, z: Variable) -> Variable:
        """Both sides of the fraction times e^{−a}, a = 1/ℓ²: no overflow for a short ℓ."""
        a = at.maximum(self.lengthscale**-2.0, 1e-30)
        half_angle = np.pi * (x - z.T) / self.period
        # e^{a cos φ − a} − e^{−a} I₀(a), where cos φ − 1 = −2 sin²(φ/2)
        above = at.expm1(-2.0 * a * at.sin(half_angle) ** 2) + bessel_gap(a)
        return self.variance * above / bessel_gap(a)


class Linear(Kernel):
    """Straight lines through ``location``: σ² Σⱼ (xⱼ − cⱼ)(zⱼ − cⱼ).

    >>> Linear(location=1.0)(np.array([0.0, 3.0]))
    array([[ 1., -2.],
           [-2.,  4.]])
    """

    variance = hyper(1.0, start=slope_variances)
    location = hyper(0.0, Real(), start=locations, per_input=True)

    def formula(self, x: Variable, z: Variable) -> Variable:
        """σ² (x − c)(z − c)ᵀ."""
        return self.variance * at.dot(x - self.location, (z - self.location).T)


def squared_distances(x: Variable, z: Variable) -> Variable:
    """|xᵢ − zⱼ|² for the rows of ``x`` and ``z``: (n, d), (m, d) → (n, m)."""
    if x.type.shape[1] == 1:
        return (x - z.T) ** 2
    centre = z.mean(axis=0, keepdims=True, dtype=z.type.dtype, acc_dtype=z.type.dtype)
    x, z = x - centre, z - centre  # small numbers cancel less: |x|² + |z|² − 2 x·z
    norms = (x**2).sum(axis=1, keepdims=True) + (z**2).sum(axis=1, keepdims=True).T
    return norms - 2.0 * at.dot(x, z.T)


def bessel_gap(a: Variable) -> Variable:
    """1 − e^{−a} I₀(a), without cancellation for small a."""
    small = at.minimum(a, 1.0)
    # I₀(a) − 1 = Σ (a²/4)^k / k!²; its ninth term is below 1e-16 at a = 1
    terms = [(small**2 / 4.0) ** k / float(factorial(k)) ** 2 for k in range(1, 9)]
    series = -at.expm1(-small) - at.exp(-small) * at.add(*terms)
    return at.switch(at.lt(a, 1.0), series, 1.0 - ScaledBesselOp(0)(at.maximum(a, 1.0)))
