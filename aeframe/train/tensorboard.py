"""Event files that TensorBoard opens, written without it.

A file is a row of TFRecords: the length of the record (8 bytes), its masked CRC-32C, the record,
and its masked CRC-32C, little-endian. A record is an ``Event`` in the encoding of protocol
buffers, of which four fields are used: ``wall_time`` (1), ``step`` (2), ``file_version`` (3) and
``summary`` (5), a list of values (1) with ``tag`` (1) and ``simple_value`` (2).
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from aeframe.core.errors import FileError
from aeframe.train.callbacks import Callback

if TYPE_CHECKING:
    from aeframe.train.trainer import Trainer

_CASTAGNOLI = 0x82F63B78


class TensorBoard(Callback):
    """Write the logs of each epoch for TensorBoard: ``tensorboard --logdir folder``.

    Training and validation are two runs, ``train`` and ``validation``, with equal names, so that
    each log is one chart with two curves.

    Parameters
    ----------
    folder
        Made when it is not there; each training adds files of its own.

    Raises
    ------
    FileError
        When training begins, if the folder cannot be written.

    >>> TensorBoard("logs").folder
    'logs'
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = os.fspath(folder)
        self._files: dict[str, BinaryIO] = {}

    def on_fit_begin(self, trainer: Trainer) -> None:
        """Open a file for each run."""
        validates = any(name.startswith("val_") for name in trainer.log_names)
        for name in ("train", "validation")[: 1 + validates]:
            self._files[name] = _opened(Path(self.folder) / name)

    def on_epoch_end(self, trainer: Trainer, logs: Mapping[str, Any]) -> None:
        """Write the logs that are numbers, under the number of the epoch."""
        numbers = {k: float(v) for k, v in logs.items() if np.ndim(v) == 0}
        for name, file in self._files.items():
            prefix = "val_" if name == "validation" else ""
            found = {
                k.removeprefix("val_"): v
                for k, v in numbers.items()
                if k.startswith("val_") == bool(prefix)
            }
            file.write(_record(_event(trainer.epoch, found)))
            file.flush()

    def on_fit_end(self, trainer: Trainer) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()
        self._files = {}


def _opened(folder: Path) -> BinaryIO:
    name = f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / name).open("xb")
    except OSError as error:
        raise FileError(f"cannot write here: {error.strerror}", path=str(folder)) from error
    file.write(_record(_time() + _bytes(3, b"brain.Event:2")))
    file.flush()
    return file


def _event(step: int, values: Mapping[str, float]) -> bytes:
    summary = b"".join(
        _bytes(1, _bytes(1, tag.encode()) + b"\x15" + struct.pack("<f", value))
        for tag, value in values.items()
    )
    return _time() + b"\x10" + _varint(step) + _bytes(5, summary)


def _time() -> bytes:
    return b"\x09" + struct.pack("<d", time.time())


def _bytes(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; the high bit says that more follow."""
    made = bytearray()
    while number > 127:
        made.append(number & 127 | 128)
        number >>= 7
    return bytes([*made, number])


def _record(content: bytes) -> bytes:
    length = struct.pack("<Q", len(content))
    return b"".join(part + struct.pack("<I", _masked(part)) for part in (length, content))


def _masked(content: bytes) -> int:
    """The CRC-32C, rotated right by 15 bits, plus a constant."""
    found = _crc32c(content)
    return ((found >> 15 | found << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _crc32c(content: bytes) -> int:
    """The cyclic redundancy check by Castagnoli's polynomial, bit by bit: records are short.

    >>> hex(_crc32c(b"123456789"))
    '0xe3069283'
    """
    found = 0xFFFFFFFF
    for byte in content:
        found ^= byte
        for _ in range(8):
            found = found >> 1 ^ (_CASTAGNOLI if found & 1 else 0)
    return found ^ 0xFFFFFFFF
