"""The JAX backend: the driver, what Aesara's dispatch lacks, meshes of devices."""

from aeframe.backends.jax.backend import JaxBackend, evaluator
from aeframe.backends.jax.mesh import Placement, connect

__all__ = ["JaxBackend", "Placement", "connect", "evaluator"]
