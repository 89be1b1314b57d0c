"""Compile the kernels once for each machine, keep the library, load it."""

from __future__ import annotations

import atexit
import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import aesara

from aeframe.backends.base import Diagnosis
from aeframe.backends.cache import cache_folder, processor

SOURCES = Path(__file__).parent / "kernels"
FLAGS = ("-std=c++20", "-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fPIC")
PATIENCE = 300  # seconds for the compiler


@dataclass(frozen=True)
class Library:
    """The kernels of this machine.

    Attributes
    ----------
    functions
        The loaded library.
    key
        A digest of all that it was made from.
    """

    functions: ctypes.CDLL
    key: str


class BuildError(Exception):
    """Why there is no library; never shown as an error, because XLA does the work instead."""


def cpus() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@lru_cache(maxsize=1)
def library() -> Library | BuildError:
    """The library, compiled if this machine has none yet; or why there is none."""
    try:
        compiler = _compiler()
        key = _key(compiler)
        functions = _load(_cached(compiler, key))
    except (BuildError, OSError, subprocess.SubprocessError) as error:
        return error if isinstance(error, BuildError) else BuildError(str(error))
    functions.aeframe_start(cpus())
    return Library(functions, key)


def diagnose() -> Diagnosis:
    """Whether the kernels are there; compiles them if need be."""
    found = library()
    if isinstance(found, Library):
        return Diagnosis(True, f"for JAX and C on the CPU, {cpus()} threads")
    fix = "" if aesara.config.cxx else "install g++ (or clang) and run again"
    return Diagnosis(False, f"{found}; XLA and NumPy do the work", fix)


def _compiler() -> str:
    if sys.platform == "win32":
        raise BuildError("they are not made for Windows")
    if not aesara.config.cxx:
        raise BuildError("there is no C++ compiler")
    return aesara.config.cxx


def _headers() -> str:
    """The folder of XLA's headers, found without importing JAX."""
    spec = find_spec("jaxlib")
    if spec is None or not spec.submodule_search_locations:
        raise BuildError("jaxlib is not installed")
    return str(Path(next(iter(spec.submodule_search_locations))) / "include")


def _key(compiler: str) -> str:
    """A digest of the sources, the compiler, the flags, the processor and XLA's version."""
    told = subprocess.run(
        [*compiler.split(), "--version"], capture_output=True, check=True, timeout=PATIENCE
    )
    digest = hashlib.sha256(told.stdout)
    for part in (*FLAGS, version("jaxlib"), processor()):
        digest.update(f"{part}\n".encode())
    for file in sorted(SOURCES.iterdir()):
        digest.update(file.name.encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _cached(compiler: str, key: str) -> Path:
    """The library in the user's cache or, where that cannot be written, in a folder of its own."""
    folder = cache_folder("native")
    if folder is None:
        work = Path(tempfile.mkdtemp(prefix="aeframe-"))
        atexit.register(shutil.rmtree, work, ignore_errors=True)
        return _compile(compiler, work)
    path = folder / f"kernels-{key}.so"
    if path.exists():
        return path
    work = Path(tempfile.mkdtemp(dir=folder))
    try:
        os.replace(_compile(compiler, work), path)  # whole or not at all, whoever else writes it
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return path


def _compile(compiler: str, work: Path) -> Path:
    """Each source on its own, side by side, then one library of them."""
    print("compiling native kernels for the first time ...", file=sys.stderr)
    files = sorted(SOURCES.glob("*.cpp"))
    objects = [work / f"{file.stem}.o" for file in files]
    command = [*compiler.split(), *FLAGS, "-w", "-I", _headers()]

    def one(pair: tuple[Path, Path]) -> None:
        file, made = pair
        _run([*command, "-c", str(file), "-o", str(made)])

    with ThreadPoolExecutor(cpus()) as pool:
        list(pool.map(one, zip(files, objects, strict=True)))
    path = work / "kernels.so"
    _run([*compiler.split(), "-shared", "-pthread", *map(str, objects), "-o", str(path)])
    return path


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line]
        raise BuildError(f"{command[0]} failed: {(lines or ['without a word'])[0]}")


def _load(path: Path) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise BuildError(f"{path} does not load: {error}") from error
