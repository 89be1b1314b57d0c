"""What a search has trained, on disk: it goes on from there when it was killed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aeframe.core.errors import FileError
from aeframe.core.files import write_atomically
from aeframe.train.checkpoint import Checkpoint


class Memory:
    """What has been trained, on disk if there is a folder: a file for each heat of a candidate.

    Everything else about a search follows from its seed, so that it is simply run again.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def claim(self, identity: dict[str, Any]) -> None:
        """Write what this is a search for, or compare with what is there."""
        assert self.folder is not None
        path = self.folder / "search.json"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            known = json.loads(path.read_text()) if path.exists() else None
        except (OSError, ValueError) as error:
            raise FileError(f"the folder cannot be used: {error}", path=str(path)) from error
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

    def recall(self, number: int, epochs: int) -> tuple[list[float], bytes] | None:
        """The curve and the checkpoint of a heat, if it was run."""
        if self.folder is None or not self._path(number, epochs).exists():
            return None
        path = self._path(number, epochs)
        curve = Checkpoint.read(path).training["logs"]["val_loss"]
        return [float(v) for v in curve], path.read_bytes()

    def keep(self, number: int, epochs: int, checkpoint: bytes) -> None:
        """Write a heat's checkpoint, atomically."""
        if self.folder is not None:
            write_atomically(self._path(number, epochs), checkpoint)
