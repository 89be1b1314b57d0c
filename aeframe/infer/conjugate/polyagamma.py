"""The Pólya-Gamma distribution PG(n, z), which makes logistic likelihoods normal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from aesara.graph.basic import Apply, Variable
from aesara.tensor.random.op import RandomVariable
from numpy.typing import NDArray

from aeframe.backends import implement
from aeframe.core.supports import Positive, Support
from aeframe.distributions import Distribution
from aeframe.distributions.draws import Drawn, DrawOp, Family, Size, standard


def draw(rng: np.random.Generator, n: Any, z: Any, shape: Any) -> NDArray[np.float64]:
    """Exact draws, for every n > 0, by the samplers of the package polyagamma."""
    from polyagamma import random_polyagamma

    n, z = (np.broadcast_to(np.asarray(v, dtype="float64"), shape) for v in (n, z))
    return np.asarray(random_polyagamma(n, z, random_state=rng), dtype="float64")


class PolyaGammaRV(RandomVariable):
    """``(n, z)`` as Aesara's random variables are: for the backends that run Python."""

    name = "polyagamma"
    ndim_supp = 0
    ndims_params = (0, 0)
    dtype = "float64"
    _print_name = ("PG", "PG")

    @classmethod
    def rng_fn(cls, rng: Any, n: Any, z: Any, size: Any = None) -> NDArray[np.float64]:
        """Exact draws."""
        return draw(rng, n, z, size)


POLYA_GAMMA = PolyaGammaRV()


class PolyaGammaOp(DrawOp):
    """``(rng, n, z)``."""

    def sample(self, rng: Variable, shape: Sequence[Size], *parameters: Variable) -> Drawn:
        """By :class:`PolyaGammaRV`."""
        return standard(POLYA_GAMMA, rng, shape, *parameters)


@implement("jax", PolyaGammaOp)
def _on_jax(node: Apply) -> Callable[..., Any]:
    """The same sampler, called from the compiled program: XLA has no loop of its speed."""
    import jax
    import jax.numpy as jnp

    shape = node.outputs[1].type.shape
    wanted = jax.ShapeDtypeStruct(shape, np.float64)

    def call(rng: dict[str, Any], n: Any, z: Any) -> tuple[dict[str, Any], Any]:
        key, subkey = jax.random.split(rng["jax_state"], 2)
        n, z = (jnp.asarray(v, "float64") for v in (n, z))

        def host(packed: Any) -> NDArray[np.float64]:
            seed, first, second = np.split(np.asarray(packed), [1, 1 + n.size])
            rng = np.random.default_rng(int(seed[0]))
            return draw(rng, first.reshape(n.shape), second.reshape(z.shape), shape)

        # in one array: each that goes to the host costs as much as hundreds of draws
        seed = jax.random.bits(subkey, (1,), "uint32").astype("float64")
        packed = jnp.concatenate([seed, n.ravel(), z.ravel()])
        drawn = jax.pure_callback(host, wanted, packed, vmap_method="sequential")
        return {**rng, "jax_state": key}, drawn

    return call


@dataclass(frozen=True, eq=False)
class PolyaGamma(Distribution):
    """``Σ_k g_k / ((k − ½)² + z²/4π²) / 2π²`` with g_k gamma of shape n and rate 1.

    E exp(−ω x²/2) over PG(n, 0) is cosh(x/2)⁻ⁿ (Polson, Scott & Windle 2013, equation 2).

    >>> from aeframe.core import RandomState
    >>> PolyaGamma(1.0, [0.0, 2.0]).draw(RandomState())[1].type.shape
    (2,)
    """

    n: Any
    z: Any
    op: ClassVar[Family] = PolyaGammaOp()
    support: ClassVar[Support] = Positive()
