"""The Numba backend: loops written for the graph, compiled once and kept on disk.

Aesara's Numba linker is not used: it compiles an Op at a time, keeps nothing on disk and holds
Numba back at 0.58. Here the graph of concrete shapes becomes a few functions of plain loops over
flat arrays, whose source is a file in the user's cache. What has no loops runs through NumPy and
SciPy between them: random numbers, decompositions, sorting, special functions.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pickle
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from aesara.graph.basic import Variable
from aesara.scan.op import Scan

from aeframe.backends.base import Backend, Diagnosis
from aeframe.backends.cache import cache_folder
from aeframe.backends.claims import implementation
from aeframe.backends.program import Executable
from aeframe.core.expand import expand
from aeframe.core.graph import Graph
from aeframe.core.ops import TypedOp

HEADER = """\
import math
import numba
import numpy as np
from aeframe.backends.numba.kernels import matmul_nn, matmul_nt, matmul_tn, matmul_tt

@numba.njit({signature!r}, cache={cache}, error_model="numpy", nogil=True)
def kernel({arguments}):
{body}
"""
_LOADED: dict[str, Callable[..., None]] = {}


class NumbaBackend(Backend):
    """Compiles with Numba for the CPU; what has no loops runs through NumPy and SciPy.

    Random numbers are NumPy's, the same as on the C backend.
    """

    name = "numba"

    @classmethod
    def diagnose(cls) -> Diagnosis:
        """Whether Numba is installed."""
        if find_spec("numba") is None:
            return Diagnosis(False, "Numba is not installed", 'pip install "aeframe[numba]"')
        try:
            found = version("numba")
        except PackageNotFoundError:
            return Diagnosis(True, "Numba")
        numbers = tuple(int(n) for n in found.split(".")[:2])
        if numbers < (0, 58):
            return Diagnosis(False, f"Numba {found}", 'pip install "numba>=0.58.1"')
        return Diagnosis(True, f"Numba {found}")

    def executable(
        self, graph: Graph, updated: Sequence[Variable], fixed: Sequence[Variable]
    ) -> Executable:
        """Plan the graph and compile its kernels; updated cells may be overwritten in place."""
        from aeframe.backends.numba.host import scanned
        from aeframe.backends.numba.program import NumbaProgram

        def claimed(node: Any) -> Callable[..., Any] | None:
            if isinstance(node.op, Scan):
                return scanned(node, body)
            return implementation("numba", node) if isinstance(node.op, TypedOp) else None

        def body(inner: Graph) -> Executable:
            return NumbaProgram(expand(inner, self.claims), (), (), compiled, claimed)

        return NumbaProgram(graph, updated, fixed, compiled, claimed)


def compiled(body: str, dtypes: Sequence[str]) -> Callable[..., None]:
    """The kernel with this body and arguments ``a0, a1, ...`` of these dtypes.

    Its source lies in a file named by its content, beside which Numba keeps the machine code; a
    second process reads it from there. Equal kernels are compiled once.
    """
    folder = cache_folder("numba")
    signature = f"void({', '.join(f'{_numba_name(d)}[::1]' for d in dtypes)})"
    source = HEADER.format(
        signature=signature,
        cache=folder is not None,
        arguments=", ".join(f"a{i}" for i in range(len(dtypes))),
        body=body,
    )
    key = hashlib.sha256(f"{_made_with()}\n{source}".encode()).hexdigest()
    if key not in _LOADED:
        _LOADED[key] = _import(source, f"kernel_{key[:32]}", folder)
    return _LOADED[key]


def _numba_name(dtype: str) -> str:
    return "boolean" if dtype == "bool" else dtype


@lru_cache(maxsize=1)
def _made_with() -> str:
    """Numba's version, and the functions that kernels call: it does not notice their changes."""
    spec = find_spec("aeframe.backends.numba.kernels")
    assert spec is not None and spec.origin is not None
    return f"{version('numba')}\n{hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()}"


def _import(source: str, name: str, folder: Path | None) -> Callable[..., None]:
    if folder is None:
        scope: dict[str, Any] = {}
        exec(compile(source, name, "exec"), scope)
        return scope["kernel"]
    file = folder / f"{name}.py"
    if not file.exists():  # whole or not at all: another process may read it at the same time
        with tempfile.NamedTemporaryFile("w", dir=folder, suffix=".tmp", delete=False) as draft:
            draft.write(source)
        os.replace(draft.name, file)
    try:
        return _run_file(name, file)
    except (EOFError, pickle.UnpicklingError, ValueError, OSError):  # a damaged cache
        for kept in (folder / "__pycache__").glob(f"{name}.*"):
            kept.unlink(missing_ok=True)
        return _run_file(name, file)


def _run_file(name: str, file: Path) -> Callable[..., None]:
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # Numba looks for it there
    spec.loader.exec_module(module)
    return module.kernel
