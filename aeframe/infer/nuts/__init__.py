"""NUTS: chains that follow the gradient of the log density, on JAX or by nutpie."""

from aeframe.infer.nuts.sampler import NUTS

__all__ = ["NUTS"]
