"""What a search has trained, on disk: it goes on from there when it was killed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aeframe.core.errors import FileError
from aeframe.core.files import read, write_atomically

CURVES = "curves.json"
Heat = tuple[list[float], bytes | None]


class Memory:
    """What has been trained, on disk if there is a folder: all curves, and checkpoints.

    Everything else about a search follows from its seed, so that it is simply run again.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.curves: dict[str, list[float]] = {}

    def claim(self, identity: dict[str, Any]) -> None:
        """Write what this is a search for, or compare with what is there."""
        assert self.folder is not None
        path = self.folder / "search.json"
        known = _read(path)
        self.curves = _read(self.folder / CURVES) or {}
        if known is None:
            write_atomically(path, json.dumps(identity).encode())
        elif known != identity:
            differing = [k for k in identity if known.get(k) != identity[k]]
            raise FileError(
                "the folder holds another search",
                path=str(self.folder),
                got="other " + ", ".join(differing),
                fix="choose another folder, or call `fit` as it was called then",
            )

    def _path(self, number: int, epochs: int) -> Path:
        assert self.folder is not None
        return self.folder / f"{number:04d}-{epochs}.checkpoint"

    def recall(self, number: int, epochs: int) -> Heat | None:
        """The curve and the checkpoint of a heat, if it was run; the latter may be pruned.

        Raises
        ------
        FileError
            When the checkpoint is damaged.
        """
        curve = self.curves.get(f"{number}-{epochs}")
        if curve is None:
            return None
        path = self._path(number, epochs)
        if not path.exists():
            return curve, None
        read(path)  # says which file is damaged: training reads copies
        return curve, path.read_bytes()

    def keep(self, number: int, curve: list[float], checkpoint: bytes) -> None:
        """Write a heat, atomically: it counts as run once its curve is there."""
        if self.folder is not None:
            write_atomically(self._path(number, len(curve)), checkpoint)
            self.curves[f"{number}-{len(curve)}"] = curve
            write_atomically(self.folder / CURVES, json.dumps(self.curves).encode())

    def prune(self, kept: Mapping[int, tuple[int, int] | None]) -> None:
        """Delete checkpoints of these candidates: all, or those between the two numbers of epochs.

        What a search that ended sooner trained beyond them stays.
        """
        for path in self.folder.glob("*.checkpoint") if self.folder is not None else ():
            number, epochs = map(int, path.stem.split("-"))
            between = kept.get(number, (0, 0))
            if between is None or between[0] < epochs < between[1]:
                path.unlink(missing_ok=True)


def _read(path: Path) -> Any:
    """What a file of the folder says; none if there is no such file yet."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return json.loads(path.read_text()) if path.exists() else None
    except (OSError, ValueError) as error:
        raise FileError(f"the folder cannot be used: {error}", path=str(path)) from error
