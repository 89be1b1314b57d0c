"""``aeframe doctor``: what this machine has, which backends can run, and what to do if not."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from aeframe.backends import backend_names, diagnose, native
from aeframe.core.errors import AeframeError
from aeframe.core.summary import plain_table, render

LIBRARIES = ("aesara", "aeppl", "numpy", "scipy", "jax", "jaxlib", "numba", "safetensors", "setuptools")


def examine() -> str:
    """Two tables: libraries with their versions, and backends with a diagnosis each.

    >>> "jax" in examine()
    True
    """
    libraries = plain_table("libraries", "name", "version")
    libraries.add_row("python", platform.python_version())
    for name in LIBRARIES:
        libraries.add_row(name, _version(name))
    backends = plain_table("backends", "name", "works", "found", "to do")
    for name in backend_names():
        try:
            found = diagnose(name)
            backends.add_row(name, "yes" if found.available else "no", found.found, found.fix)
        except (AeframeError, ImportError, AttributeError) as error:
            backends.add_row(name, "no", str(error), "reinstall the package that brings it")
    kernels = native.diagnose()
    works = "yes" if kernels.available else "no"
    backends.add_row("native kernels", works, kernels.found, kernels.fix)
    return f"{render(libraries)}\n\n{render(backends)}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
