"""Imported before any test: aeframe first, so that Aesara is imported on what compat repairs."""

import os
import re
from pathlib import Path

import matplotlib


def own_compile_directory(worker: str) -> None:
    """Give a worker of pytest-xdist its own cache of C code; a shared one has a lock."""
    flags = os.environ.get("AESARA_FLAGS", "")
    found = re.search(r"base_compiledir=([^,]+)", flags)
    base = Path(found[1] if found else "~/.aesara").expanduser()
    os.environ["AESARA_FLAGS"] = f"{flags},base_compiledir={base / worker}".lstrip(",")


if "PYTEST_XDIST_WORKER" in os.environ:
    own_compile_directory(os.environ["PYTEST_XDIST_WORKER"])

import aeframe  # noqa: E402, F401

matplotlib.use("Agg")
