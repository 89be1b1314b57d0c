"""Keeps Aesara 2.9.4 healthy on the libraries of today; imported before anything else.

Aesara's last release is older than the NumPy, Python, SciPy and setuptools that people
have. What that breaks is mended here, in one table, :data:`REPAIRS`. Each entry says what
is broken and when it stops being needed, and is applied only where it is needed.

Importing this module imports Aesara, without a warning and with a real BLAS behind its C
code. What a user set in ``AESARA_FLAGS`` or in a ``.aesararc`` always wins, and the
environment is left as it was.
"""

import importlib
import importlib.util
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from configparser import RawConfigParser
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import wraps
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

__all__ = ["REPAIRS", "Repair", "compile_cache_is_cold"]


class Repair(NamedTuple):
    """One fault of Aesara's, and its cure.

    Attributes
    ----------
    needed
        Says whether this installation has the fault.
    around_import
        Makes the context in which Aesara is then imported.
    """

    needed: Callable[[], bool]
    around_import: Callable[[], AbstractContextManager[None]]


def blas_is_unnamed() -> bool:
    """Say whether the user left the choice of a BLAS to us.

    Aesara's configuration is read here without Aesara, because it looks for a BLAS the
    moment that it is imported.
    """
    if "blas__ldflags" in os.environ.get("AESARA_FLAGS", ""):
        return False
    files = os.environ.get("AESARARC", os.pathsep.join(["~/.aesararc", "~/.aesararc.txt"]))
    settings = RawConfigParser()
    settings.read(os.path.expanduser(file) for file in files.split(os.pathsep))
    return not settings.has_option("blas", "ldflags")


def find_blas() -> Path | None:
    """Find a BLAS that Aesara's C code can link.

    SciPy's Linux wheel brings an OpenBLAS, and conda an environment's ``libblas``.
    Elsewhere (macOS, Windows, a distribution's own SciPy) there is none that is certain
    to work; Aesara then multiplies matrices through NumPy.
    """
    if not sys.platform.startswith("linux"):
        return None
    places = [(Path(sys.prefix) / "lib", "libblas.so")]
    scipy = importlib.util.find_spec("scipy")
    if scipy is not None and scipy.origin is not None:
        places.insert(0, (Path(scipy.origin).parents[1] / "scipy.libs", "lib*openblas*.so"))
    return next((file for folder, name in places for file in sorted(folder.glob(name))), None)


def blas_flags(library: Path | None) -> str:
    """Write the linker flags with which Aesara's C code finds `library`.

    The library must be a ``-l``, or Aesara does its products in NumPy after all, and a
    ``-l`` without the colon of ``-l:FILE``, or it warns. It adds the rpath by itself.
    Since SciPy 1.13 the functions are called ``scipy_dgemm_`` and so on; the
    preprocessor renames the calls.

    A path that would be torn apart at a blank by Aesara, or at a comma by the compiler,
    is as good as none.
    """
    if library is None or set(str(library)) & set(" \t,'\"\\"):
        return ""
    flags = [f"-L{library.parent}", f"-l{library.stem.removeprefix('lib')}"]
    if library.name.startswith("libscipy_openblas"):
        routines = [f"{t}{name}_" for t in "sd" for name in ("gemm", "gemv", "ger", "dot", "axpy")]
        routines += ["openblas_get_num_threads", "openblas_set_num_threads"]
        flags += [f"-D{name}=scipy_{name}" for name in routines]
    return " ".join(flags)


@contextmanager
def link_blas() -> Iterator[None]:
    """Name a BLAS for Aesara's C code, so that Aesara does not look for one itself.

    Its own search imports ``numpy.distutils``, which is gone from Python 3.12, fails with
    setuptools 74 and later, and otherwise finds nothing beside the NumPy of a wheel.
    Unneeded once Aesara links a BLAS by itself.
    """
    flags = blas_flags(find_blas())
    before = os.environ.get("AESARA_FLAGS")
    os.environ["AESARA_FLAGS"] = ",".join(filter(None, [f"blas__ldflags='{flags}'", before]))
    try:
        yield
    finally:
        if before is None:
            del os.environ["AESARA_FLAGS"]
        else:
            os.environ["AESARA_FLAGS"] = before
    config = importlib.import_module("aesara").config
    if not config.blas__ldflags:  # Aesara was here before us, and found none
        config.blas__ldflags = flags


QUIET_WARNINGS = ((DeprecationWarning, "Use shutil.which instead of find_executable"),)
QUIET_LOGS = {
    "aesara.tensor.blas": "Using NumPy C-API based implementation for BLAS",
    "aesara.configdefaults": "g++ not detected!",
}


@contextmanager
def quiet() -> Iterator[None]:
    """Hide what Aesara says at import that its users can do nothing about.

    It calls a function that setuptools deprecated, and it complains where there is no
    BLAS or no C++ compiler; the C backend says so when it is asked for. Everything else
    comes through. Unneeded once ``python -W error -c 'import aesara'`` passes.
    """

    def is_news(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith(QUIET_LOGS[record.name])

    with warnings.catch_warnings(), ExitStack() as stack:
        for category, message in QUIET_WARNINGS:
            warnings.filterwarnings("ignore", message, category)
        for logger in map(logging.getLogger, QUIET_LOGS):
            logger.addFilter(is_news)
            stack.callback(logger.removeFilter, is_news)
        yield


def numpy_is_2() -> bool:
    """Say whether NumPy is one that Aesara, written for NumPy 1, does not know."""
    return int(np.__version__.partition(".")[0]) >= 2


class _Cast:
    """What ``np.cast`` was: ``np.cast[dtype](x)`` converts `x`."""

    def __getitem__(self, dtype: Any) -> Callable[[Any], np.ndarray]:
        # An Aesara type, whose dtype is a string, used to be taken for a dtype.
        named = getattr(dtype, "dtype", None)
        dtype = np.dtype(named if isinstance(named, str) else dtype)
        return lambda x: np.asarray(x).astype(dtype)


def _obj2sctype(obj: Any, default: Any = None) -> Any:
    """What ``np.obj2sctype`` was: the scalar type of a dtype, or `default` if it is none."""
    try:
        return np.dtype(obj).type
    except TypeError:
        return default


def _sctype2char(obj: Any) -> str:
    """What ``np.sctype2char`` was: the one-letter code of a dtype."""
    return np.dtype(obj).char


NUMPY_1_NAMES: dict[str, Any] = {
    "AxisError": np.exceptions.AxisError,
    "ComplexWarning": np.exceptions.ComplexWarning,
    "MAXDIMS": 64,  # must be what the headers call NPY_MAXDIMS
    "cast": _Cast(),
    "obj2sctype": _obj2sctype,
    "sctype2char": _sctype2char,
}
NUMPY_1_CORE = {
    "multiarray": "normalize_axis_index",
    "numeric": "normalize_axis_tuple",
    "_multiarray_umath": "_get_ndarray_c_version",
}


def add_numpy_1_names(numpy: Any) -> None:
    """Set those of NumPy 1's names that `numpy` lacks and Aesara uses."""
    for name, value in NUMPY_1_NAMES.items():
        if not hasattr(numpy, name):
            setattr(numpy, name, value)


@contextmanager
def numpy_names() -> Iterator[None]:
    """Put back the names of NumPy 1 that Aesara uses.

    ``numpy.core`` is still there, but warns at each use; the three functions that Aesara
    takes from it are set in place, which silences no other. Unneeded once Aesara
    supports NumPy 2.
    """
    add_numpy_1_names(np)
    for module, name in NUMPY_1_CORE.items():
        new = importlib.import_module(f"numpy._core.{module}")
        setattr(importlib.import_module(f"numpy.core.{module}"), name, getattr(new, name))
    yield


NUMPY_1_C = {
    r"\bNPY_PY3K\b": "PY_MAJOR_VERSION",
    r"\bPyArray_MoveInto\b": "PyArray_CopyInto",
    r"\bPyInt_(AsLong|Check|FromLong)\b": r"PyLong_\1",
    r"\bPyInt_AS_LONG\b": "PyLong_AsLong",
    r"PyArray_DESCR\(([^()]*)\)->elsize": r"PyArray_ITEMSIZE(\1)",
    r"(PyArray_(?:ArgMax|CumProd|CumSum|Max|Min)\([^,()]*,\s*)(\w+)": (
        r"\1(\2 == NPY_MAXDIMS ? NPY_RAVEL_AXIS : \2)"
    ),
}


def port_c_source(source: str) -> str:
    """Port C code that was written for NumPy 1's headers to those of NumPy 2.

    >>> port_c_source("int size = PyArray_DESCR(x)->elsize;")
    'int size = PyArray_ITEMSIZE(x);'
    >>> port_c_source("PyArray_ArgMax(x, axis, NULL);")
    'PyArray_ArgMax(x, (axis == NPY_MAXDIMS ? NPY_RAVEL_AXIS : axis), NULL);'
    """
    for old, new in NUMPY_1_C.items():
        source = re.sub(old, new, source)
    return source


@contextmanager
def numpy_headers() -> Iterator[None]:
    """Port Aesara's C code to NumPy 2 on its way to the compiler.

    NumPy 2's headers lose macros without which nothing compiles, hide an item's size, and
    have other words for "no axis" and for a copy. ``AdvancedIncSubtensor1`` is built on
    functions that are gone for good: it runs on NumPy. Unneeded once Aesara supports
    NumPy 2.
    """
    yield
    compiler = importlib.import_module("aesara.link.c.cmodule").GCC_compiler
    compile_str = compiler.compile_str

    @wraps(compile_str)
    def compile_ported(module_name: str, src_code: str, *args: Any, **kwargs: Any) -> Any:
        return compile_str(module_name, port_c_source(src_code), *args, **kwargs)

    compiler.compile_str = staticmethod(compile_ported)

    def has_no_c_code(*args: Any) -> str:
        raise NotImplementedError

    importlib.import_module("aesara.tensor.subtensor").AdvancedIncSubtensor1.c_code = has_no_c_code


def _random_state(generator: np.random.Generator) -> Any:
    """Show the state of `generator` as NumPy 1 did, in ``__getstate__``."""
    return SimpleNamespace(__getstate__=lambda: generator.bit_generator.state)


@contextmanager
def jax_random_state() -> Iterator[None]:
    """Let Aesara's JAX mode read the state of a NumPy 2 generator.

    The reader is mended when the first function is converted, since importing it imports
    JAX. Unneeded once Aesara supports NumPy 2.
    """
    yield
    linker = importlib.import_module("aesara.link.jax.linker").JAXLinker
    fgraph_convert = linker.fgraph_convert

    @wraps(fgraph_convert)
    def mend_and_convert(*args: Any, **kwargs: Any) -> Any:
        linker.fgraph_convert = fgraph_convert
        dispatch = importlib.import_module("aesara.link.jax.dispatch")
        typify = dispatch.jax_typify.dispatch(np.random.Generator)
        dispatch.jax_typify.register(
            np.random.Generator, lambda rng, **options: typify(_random_state(rng), **options)
        )
        return fgraph_convert(*args, **kwargs)

    linker.fgraph_convert = mend_and_convert


def python_is_3_12() -> bool:
    """Say whether Python is one whose integers Aesara's compiled Scan cannot read."""
    return sys.version_info >= (3, 12)


@contextmanager
def python_scan() -> Iterator[None]:
    """Run Scan's loop in Python, where its C code no longer compiles.

    That code was made by a Cython that did not know Python 3.12. Aesara runs the loop in
    Python when it cannot import the C code, but not when it cannot compile it. Unneeded
    once Aesara's ``scan_perform.c`` is made anew.
    """
    sys.modules["aesara.scan.scan_perform_ext"] = None  # type: ignore[assignment]
    yield


@contextmanager
def pinv_shape() -> Iterator[None]:
    """Give the pseudo-inverse of an (n, m) matrix its shape (m, n); Aesara says (n, m).

    Unneeded once ``MatrixPinv.make_node`` reverses the shape.
    """
    yield
    pinv = importlib.import_module("aesara.tensor.nlinalg").MatrixPinv
    make_node = pinv.make_node

    @wraps(make_node)
    def with_shape(self: Any, x: Any) -> Any:
        node = make_node(self, x)
        kind = node.outputs[0].type
        node.outputs[0].type = kind.clone(shape=node.inputs[0].type.shape[::-1])
        return node

    pinv.make_node = with_shape


def _matmul_gradients(_op: Any, inputs: Any, _outputs: Any, gradients: Any) -> list[Any]:
    """Find g bᵀ and aᵀ g, summed where an input was broadcast."""
    tensor = importlib.import_module("aesara.tensor")
    (a, b), (g,) = inputs, gradients
    left = a.dimshuffle("x", 0) if a.ndim == 1 else a
    right = b.dimshuffle(0, "x") if b.ndim == 1 else b
    g = tensor.expand_dims(g, -1) if b.ndim == 1 else g
    g = tensor.expand_dims(g, -2) if a.ndim == 1 else g
    found = [tensor.matmul(g, right.swapaxes(-1, -2)), tensor.matmul(left.swapaxes(-1, -2), g)]
    for i, x in enumerate((left, right)):
        found[i] = found[i].sum(axis=list(range(found[i].ndim - x.ndim)))
        ones = [axis for axis, size in enumerate(x.type.shape) if size == 1]
        found[i] = found[i].sum(axis=ones, keepdims=True).reshape(inputs[i].shape)
    return found


@contextmanager
def matmul_types() -> Iterator[None]:
    """Give ``at.matmul`` the dtype of its inputs (Aesara says float64), arrays, a gradient.

    Unneeded once ``MatMul`` has all three.
    """
    yield
    matmul = importlib.import_module("aesara.tensor.math").MatMul
    make_node = matmul.make_node

    @wraps(make_node)
    def with_dtype(self: Any, *inputs: Any) -> Any:
        node = make_node(self, *inputs)
        dtype = self.dtype or np.result_type(*(x.type.dtype for x in node.inputs)).name
        node.outputs[0].type = node.outputs[0].type.clone(dtype=dtype)
        return node

    def perform(self: Any, _node: Any, inputs: Any, outputs: Any) -> None:
        outputs[0][0] = np.asarray(np.matmul(*inputs, dtype=self.dtype))

    matmul.make_node, matmul.perform, matmul.L_op = with_dtype, perform, _matmul_gradients


REPAIRS = (
    Repair(blas_is_unnamed, link_blas),
    Repair(lambda: True, quiet),
    Repair(numpy_is_2, numpy_names),
    Repair(numpy_is_2, numpy_headers),
    Repair(numpy_is_2, jax_random_state),
    Repair(python_is_3_12, python_scan),
    Repair(lambda: True, pinv_shape),
    Repair(lambda: True, matmul_types),
)


def _import_aesara() -> None:
    with ExitStack() as stack:
        for repair in REPAIRS:
            if repair.needed():
                stack.enter_context(repair.around_import())
        importlib.import_module("aesara")


_import_aesara()


def compile_cache_is_cold() -> bool:
    """Say whether Aesara has yet to compile its first C module on this machine.

    The first function on the C backend then takes ten times as long as later ones do,
    in any process.
    """
    cache = Path(importlib.import_module("aesara").config.compiledir)
    return not any(cache.glob("*/key.pkl"))
