"""Each repair of `aeframe.compat`: what is broken without it, and that it mends it.

A test of the first kind fails on the day that the repair can go.
"""

import importlib.util
import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from aeframe import compat

import aesara  # isort: skip
import aesara.tensor as at  # isort: skip

PACKAGE = Path(compat.__file__).parent
# Imports compat without the rest of the package, to be quick.
COMPAT = (
    "import sys, types; package = types.ModuleType('aeframe'); sys.modules['aeframe'] = package; "
    f"package.__path__ = [{str(PACKAGE)!r}]; package.__file__ = {str(PACKAGE / '__init__.py')!r}; "
    "from aeframe import compat; "
)
SHOW_BLAS = "import aesara; print(aesara.config.blas__ldflags)"

on_numpy_1 = pytest.mark.skipif(compat.numpy_is_2(), reason="about NumPy 1")
on_numpy_2 = pytest.mark.skipif(not compat.numpy_is_2(), reason="about NumPy 2")
with_blas = pytest.mark.skipif(compat.find_blas() is None, reason="no BLAS to link")
with_compiler = pytest.mark.skipif(not aesara.config.cxx, reason="no C++ compiler")


def python(code: str, *options: str, fails: bool = False, **environment: str):
    """Run `code` in a fresh Python in which the user has set nothing of Aesara's."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("AESARA")}
    run = subprocess.run(
        [sys.executable, *options, "-c", code],
        env=clean | {"AESARARC": os.devnull} | environment,
        capture_output=True,
        text=True,
    )
    assert (run.returncode != 0) == fails, run.stderr
    return run


def test_aesara_alone_does_not_import_cleanly():
    python("import aesara", "-W", "error", fails=True)


def test_import_is_silent():
    run = python(COMPAT + "import aesara, aeppl", "-W", "error")
    assert run.stdout + run.stderr == ""


def test_import_is_silent_without_compiler_and_blas(tmp_path):
    hide_scipy = (
        "import importlib.util; find_spec = importlib.util.find_spec; "
        "importlib.util.find_spec = lambda name: None if name == 'scipy' else find_spec(name); "
    )
    run = python(hide_scipy + COMPAT + SHOW_BLAS, "-W", "error", PATH=str(tmp_path))
    assert run.stdout.strip() + run.stderr == ""


@on_numpy_1
def test_aesara_alone_complains_without_blas():
    run = python("import aesara", AESARA_FLAGS="blas__ldflags=")
    assert compat.QUIET_LOGS["aesara.tensor.blas"] in run.stderr


def test_other_logs_come_through(caplog):
    with compat.quiet():
        logging.getLogger("aesara.configdefaults").warning("news")
    assert "news" in caplog.text


@with_blas
def test_blas_is_linked():
    assert python(COMPAT + SHOW_BLAS).stdout.strip() == compat.blas_flags(compat.find_blas())


@with_blas
@with_compiler
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dot_runs_on_blas(dtype):
    x, y = at.matrix(dtype=dtype), at.matrix(dtype=dtype)
    f = aesara.function([x, y], at.dot(x, y), mode=aesara.compile.mode.Mode("cvm", "fast_run"))
    assert [type(node.op).__name__ for node in f.maker.fgraph.apply_nodes] == ["Dot22"]
    assert all(hasattr(thunk, "cthunk") for thunk in f.vm.thunks)
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(30, 20)).astype(dtype), rng.normal(size=(20, 10)).astype(dtype)
    np.testing.assert_allclose(f(a, b), a @ b, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@with_blas
@with_compiler
def test_cold_cache_warms_up_with_code_that_links_blas(tmp_path):
    code = COMPAT + (
        "import aesara, aesara.tensor as at; print(compat.compile_cache_is_cold()); "
        "mode = aesara.compile.mode.Mode('cvm', 'fast_run'); x = at.dmatrix(); "
        "aesara.function([x], at.dot(x, x), mode=mode); print(compat.compile_cache_is_cold())"
    )
    run = python(code, AESARA_FLAGS=f"base_compiledir={tmp_path}")
    assert run.stdout.split() == ["True", "False"]
    modules = [file.read_bytes() for file in tmp_path.glob("*/tmp*/*.so")]
    assert any(b"openblas" in module for module in modules)


def test_cache_is_cold_until_a_module_is_in_it(tmp_path):
    code = COMPAT + (
        "import aesara, pathlib; print(compat.compile_cache_is_cold()); "
        "module = pathlib.Path(aesara.config.compiledir, 'tmp1'); module.mkdir(); "
        "(module / 'key.pkl').touch(); print(compat.compile_cache_is_cold())"
    )
    run = python(code, AESARA_FLAGS=f"base_compiledir={tmp_path}")
    assert run.stdout.split() == ["True", "False"]


def test_user_flags_win():
    run = python(COMPAT + SHOW_BLAS, AESARA_FLAGS="mode=JAX,blas__ldflags=-lmine")
    assert run.stdout.strip() == "-lmine"


def test_user_file_wins(tmp_path):
    settings = tmp_path / "aesararc"
    settings.write_text("[blas]\nldflags = -lmine\n")
    assert python(COMPAT + SHOW_BLAS, AESARARC=str(settings)).stdout.strip() == "-lmine"


@pytest.mark.parametrize("flags", [None, "floatX=float32"])
def test_environment_is_left_alone(flags):
    code = COMPAT + "import os, aesara; print(os.environ.get('AESARA_FLAGS'), aesara.config.floatX)"
    run = python(code, **({} if flags is None else {"AESARA_FLAGS": flags}))
    assert run.stdout.split() == [str(flags), "float64" if flags is None else "float32"]


@with_blas
@on_numpy_1
def test_aesara_may_be_imported_first():
    before = "import os, aesara; del os.environ['AESARA_FLAGS']; "
    run = python(before + COMPAT + SHOW_BLAS, AESARA_FLAGS="blas__ldflags=")
    assert run.stdout.strip() == compat.blas_flags(compat.find_blas())


def test_no_blas_off_linux(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert compat.find_blas() is None


def test_blas_of_conda(monkeypatch, tmp_path):
    (tmp_path / "lib").mkdir()
    library = tmp_path / "lib" / "libblas.so"
    library.touch()
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert compat.find_blas() == library


def test_flags_of_a_new_scipy_rename_the_routines():
    flags = compat.blas_flags(Path("/env/scipy.libs/libscipy_openblas-68440149.so"))
    assert flags.startswith("-L/env/scipy.libs -lscipy_openblas-68440149 ")
    assert "-Dsgemm_=scipy_sgemm_" in flags.split()


@pytest.mark.parametrize("library", [None, Path("/my env/libblas.so"), Path("/a,b/libblas.so")])
def test_no_flags_without_a_usable_library(library):
    assert compat.blas_flags(library) == ""


@on_numpy_2
def test_numpy_lacks_the_names_that_aesara_uses():
    code = f"import numpy; print([hasattr(numpy, name) for name in {[*compat.NUMPY_1_NAMES]}])"
    assert "True" not in python(code).stdout


@pytest.fixture
def numpy_1():
    numpy = SimpleNamespace(MAXDIMS=32)
    compat.add_numpy_1_names(numpy)
    return numpy


def test_names_that_are_there_stay(numpy_1):
    assert numpy_1.MAXDIMS == 32


DTYPES = ["bool", "int8", "uint16", "int64", "float32", "float64", "complex128"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_numpy_1_names_work(numpy_1, dtype):
    assert numpy_1.obj2sctype(dtype) is np.dtype(dtype).type
    assert numpy_1.sctype2char(dtype) == np.dtype(dtype).char
    assert numpy_1.cast[dtype](1).dtype == dtype
    assert numpy_1.cast[aesara.scalar.get_scalar_type(dtype)](1).dtype == dtype


def test_no_scalar_type(numpy_1):
    assert numpy_1.obj2sctype("tensor") is None


@on_numpy_1
@pytest.mark.parametrize("dtype", [*DTYPES, np.float32, np.dtype("int8"), "tensor", float])
def test_numpy_1_names_are_as_they_were(numpy_1, dtype):
    assert numpy_1.obj2sctype(dtype) is np.obj2sctype(dtype)
    assert numpy_1.AxisError is np.AxisError
    if dtype != "tensor":
        assert numpy_1.sctype2char(dtype) == np.sctype2char(dtype)
        assert numpy_1.cast[dtype]([0, 1]).dtype == np.cast[dtype]([0, 1]).dtype


def test_aesara_still_has_c_code_for_numpy_1():
    code = Path(aesara.__file__).parent.joinpath("link/c/c_code/lazylinker_c.c").read_text()
    assert all(name in code for name in ["NPY_PY3K", "PyInt_FromLong", "PyInt_Check"])


def c_code_of(module):
    """The module's source with the places of C templates filled in."""
    source = Path(aesara.__file__).parent.joinpath("tensor", f"{module}.py").read_text()
    return re.sub(r"%\((\w+)\)s", r"\1", source)


@pytest.mark.parametrize("module", ["math", "extra_ops", "subtensor", "blas"])
def test_all_of_aesaras_c_code_is_ported(module):
    source = c_code_of(module)
    ported = compat.port_c_source(source)
    assert ported != source
    assert "->elsize" not in ported
    assert not re.search(r"PyArray_(ArgMax|CumProd|CumSum|Max|Min)\([^,]+, *(axis|NPY)", ported)


def test_softmax_is_not_ported():
    assert compat.port_c_source(c_code_of("special")) == c_code_of("special")


@pytest.mark.slow
@with_compiler
@pytest.mark.parametrize(
    "symbolic, numeric",
    [
        (lambda x: at.exp(x) + 2 * x, lambda x: np.exp(x) + 2 * x),
        (lambda x: x * 0.5 + 2 * at.dot(x, x), lambda x: x * 0.5 + 2 * x @ x),
        (lambda x: at.batched_dot(x[None], x[None])[0], lambda x: x @ x),
        (lambda x: at.argmax(x, axis=None), np.argmax),
        (lambda x: at.cumsum(x), np.cumsum),
        (lambda x: at.special.softmax(x, axis=None), lambda x: np.exp(x) / np.exp(x).sum()),
        (lambda x: x[at.as_tensor([2, 0])], lambda x: x[[2, 0]]),
        (lambda x: at.inc_subtensor(x[at.as_tensor([2, 0])], 1.0).sum(), lambda x: x.sum() + 8),
        (lambda x: x.reshape((-1,)).sum(), np.sum),
        (lambda x: aesara.grad(at.arcsin(x).sum(), x), lambda x: 1 / np.sqrt(1 - x**2)),
        (lambda x: aesara.scan(lambda row: row * 2, [x])[0], lambda x: 2 * x),
    ],
)
def test_c_code_runs(symbolic, numeric):
    x = at.dmatrix()
    f = aesara.function([x], symbolic(x), mode=aesara.compile.mode.Mode("cvm", "fast_run"))
    value = np.random.default_rng(0).uniform(-0.9, 0.9, size=(4, 4))
    expected = numeric(value)
    np.testing.assert_allclose(f(value), expected)


def test_jax_mode_draws_random_numbers():
    draw = at.random.RandomStream(1).normal(size=(3,))
    assert np.isfinite(aesara.function([], draw, mode="JAX")()).all()


MATMUL_SHAPES = [((3,), (3,)), ((3,), (2, 3, 4)), ((2, 4, 3), (3,)), ((2, 3), (3, 4))]
MATMUL_SHAPES += [((5, 2, 3), (3, 4)), ((1, 6, 2, 3), (5, 1, 3, 4)), ((2, 3), (5, 3, 1))]


@pytest.mark.parametrize("shapes", MATMUL_SHAPES, ids=str)
def test_matmul_has_the_dtype_of_its_inputs_and_a_gradient(shapes):
    from aesara.gradient import verify_grad

    a, b = (at.TensorType("float32", shape)() for shape in shapes)
    rng = np.random.default_rng(0)
    values = [rng.normal(size=shape).astype("float32") for shape in shapes]
    assert at.matmul(a, b).type.dtype == "float32"
    assert at.matmul(a, b.astype("float64")).type.dtype == "float64"
    np.testing.assert_allclose(
        at.matmul(a, b).eval({a: values[0], b: values[1]}), np.matmul(*values)
    )
    verify_grad(at.matmul, [v.astype("float64") for v in values], rng=rng)


def test_matmul_is_not_mended_for_nothing():
    found = python(
        "import sys; import aesara.tensor as at; print(at.matmul(*at.fmatrices(2)).dtype)"
    )
    assert "float64" in found.stdout
