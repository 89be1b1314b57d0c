"""The Numba backend: loops written for a graph, see :mod:`aeframe.backends.numba.backend`."""

from aeframe.backends.numba.backend import NumbaBackend

__all__ = ["NumbaBackend"]
