"""Where compiled programs are kept between processes."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


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
