"""The one progress bar, and the one line."""

from __future__ import annotations

import sys
from typing import Any


def progress_bar(total: int | None, what: str, unit: str, progress: bool = True) -> Any:
    """A tqdm bar over ``total`` units, shown only where there is a terminal.

    >>> with progress_bar(3, "fit", "step") as bar:
    ...     bar.update()
    """
    from tqdm.auto import tqdm

    return tqdm(total=total, desc=what, unit=unit, disable=None if progress else True)


def notice(text: str) -> None:
    """One line on the error stream, shown only where there is a terminal.

    >>> notice("measuring this machine, once")
    """
    if sys.stderr.isatty():
        print(text, file=sys.stderr, flush=True)
