"""What Aesara's JAX dispatch lacks, or does at a cost; imported when the backend translates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import aesara.tensor.random.basic as aer
import jax
import jax.numpy as jnp
from aesara.graph.basic import Apply
from aesara.link.jax.dispatch import jax_funcify
from aesara.link.jax.dispatch.random import jax_sample_fn
from aesara.tensor.elemwise import DimShuffle


@jax_funcify.register(DimShuffle)
def dimshuffle(op: DimShuffle, node: Apply, **_: Any) -> Callable[..., Any]:
    """Transpose and expand; Aesara's version adds a copy."""

    def call(x: Any) -> Any:
        kept = [i for i in op.new_order if i != "x"]
        dropped = tuple(i for i in range(x.ndim) if i not in kept)
        squeezed = jnp.squeeze(x, axis=dropped) if dropped else x
        order = [i - sum(d < i for d in dropped) for i in kept]
        moved = jnp.transpose(squeezed, order) if order != list(range(len(order))) else squeezed
        added = tuple(i for i, o in enumerate(op.new_order) if o == "x")
        return jnp.expand_dims(moved, added) if added else moved

    return call


@jax_sample_fn.register(aer.HalfNormalRV)
def half_normal(op: aer.HalfNormalRV) -> Callable[..., Any]:
    """loc + scale · |standard normal|."""

    def sample(rng: dict[str, Any], size: Any, dtype: Any, loc: Any, scale: Any) -> Any:
        key, subkey = jax.random.split(rng["jax_state"], 2)
        draw = loc + scale * jnp.abs(jax.random.normal(subkey, size, dtype))
        return {**rng, "jax_state": key}, draw

    return sample
