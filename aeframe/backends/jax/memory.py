"""Keep memory from one step to the next."""

from __future__ import annotations

import ctypes
import os
from functools import lru_cache

# From malloc.h: one heap for all, whose end is given back to the kernel from 2 GiB on.
SETTINGS = {"M_ARENA_MAX": (-8, 1), "M_MMAP_MAX": (-4, 0), "M_TRIM_THRESHOLD": (-1, 2**31 - 1)}


@lru_cache(maxsize=1)
def keep_memory() -> bool:
    """Have glibc keep what is freed, in the whole process; whether it does.

    XLA takes the memory of all intermediate values anew in each step. By default glibc gets it
    from the kernel and gives it back, and the kernel clears each page: a quarter of the time of a
    small transformer. Whoever has tuned malloc by ``MALLOC_...`` or ``GLIBC_TUNABLES`` is left
    alone, and so are other C libraries.
    """
    tuned = "malloc" in os.environ.get("GLIBC_TUNABLES", "")
    if tuned or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    if "CS_GNU_LIBC_VERSION" not in getattr(os, "confstr_names", {}):
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all([mallopt(*setting) for setting in SETTINGS.values()])
