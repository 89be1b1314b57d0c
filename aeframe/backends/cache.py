"""Where compiled programs are kept between processes."""

from __future__ import annotations

import hashlib
import os
import platform
import tempfile
from pathlib import Path
from types import EllipsisType
from typing import Any

from aeframe.core.errors import BackendError

_named = False


def cache_folder(name: str) -> Path | None:
    """The folder ``aeframe/name`` of the user's cache, or None where it cannot be written.

    It is in ``$XDG_CACHE_HOME``, or ``~/.cache`` without that.

    >>> import os
    >>> os.environ["XDG_CACHE_HOME"] = "/dev/null"
    >>> cache_folder("jax") is None
    True
    >>> del os.environ["XDG_CACHE_HOME"]
    """
    root = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return writable(Path(root).expanduser() / "aeframe" / name)


def writable(folder: Path) -> Path | None:
    """``folder``, made where it is not there yet, or None where nothing can be written to it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return None


def keep_programs(jax: Any, cache: str | os.PathLike[str] | EllipsisType | None) -> None:
    """Let JAX keep compiled programs in the folder ``cache``, see :class:`JaxBackend`.

    Machine code is for one kind of processor: the user's cache has a folder for each.

    Raises
    ------
    BackendError
        When nothing can be written to a folder that was named.
    """
    global _named
    folder: Path | None = None
    if cache is ...:
        if _named or jax.config.jax_compilation_cache_dir is not None:
            return
        folder = cache_folder(f"jax/{processor()}")
    elif cache is not None:
        folder = writable(Path(cache).expanduser() / processor())
        if folder is None:
            raise BackendError(
                "nothing can be written to the cache", got=str(cache), fix="name another folder"
            )
    _named = _named or cache is not ...
    if cache is ... and folder is None:
        return
    from jax.experimental.compilation_cache import compilation_cache

    compilation_cache.reset_cache()  # it remembers the folder that it was first used with
    jax.config.update("jax_compilation_cache_dir", folder and str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


def processor() -> str:
    """A name for the kind of processor: programs for one may fail on another.

    >>> processor() == processor()
    True
    """
    found = [platform.machine(), platform.processor()]
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        found += sorted({v for v in lines if v.startswith(("flags", "Features", "model name"))})
    except OSError:
        pass
    return hashlib.sha256("\n".join(found).encode()).hexdigest()[:16]
