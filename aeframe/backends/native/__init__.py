"""Kernels in C++ for float32 on the CPU, where they are faster than what a backend has.

A room claims its typed Ops with :func:`claim`; the library is compiled when the first claim is
made, once for each machine. Without a compiler nothing is claimed.
"""

from aeframe.backends.native.build import Library, cpus, diagnose, library
from aeframe.backends.native.kernel import Kernel, call_numpy, claim

__all__ = ["Kernel", "Library", "call_numpy", "claim", "cpus", "diagnose", "library"]
