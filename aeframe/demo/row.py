"""One line of the demo's table."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Row(NamedTuple):
    """What ran, what came out, what was expected, how long it took, and the picture drawn."""

    task: str
    result: str
    expected: str
    reached: bool
    seconds: float
    backend: str
    picture: Path
