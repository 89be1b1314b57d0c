"""Where the examples find their data: a path or the cache, checked by SHA-256, as arrays."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

CACHE = Path.home() / ".cache" / "aeframe"
SOURCES = {
    "mnist.npz": "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
    "tinyshakespeare.txt": "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/"
    "tinyshakespeare/input.txt",
}
CHECKSUMS = {
    "mnist.npz": "3e5727660b0a6eed9ac90e0cc5d0c94aec818f7ab53ee3f9492fbfdd32562262",
    "tinyshakespeare.txt": "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
}

Split = tuple[NDArray[np.float32], NDArray[np.int64]]


def mnist(path: str | None) -> tuple[Split, Split]:
    """Images (n, 28, 28, 1) between 0 and 1 and their labels, to train on and to test on.

    The checksum is that of the training pairs in sorted order, however the file is packed.
    """
    file = _find("mnist.npz", path)
    with np.load(file) as arrays:
        x, y = arrays["x_train"], arrays["y_train"]
        test = _images(arrays["x_test"], arrays["y_test"])
    pairs = (hashlib.sha256(a.tobytes() + bytes([b])) for a, b in zip(x, y, strict=True))
    _require("mnist.npz", file, "".join(sorted(h.hexdigest() for h in pairs)).encode())
    return _images(x, y), test


def digits() -> tuple[Split, Split]:
    """The 8x8 digits of scikit-learn as 28x28 images: small, and always there."""
    pictures, labels = load_digits(return_X_y=True)
    large = np.kron(pictures.reshape(-1, 8, 8) * (255 / 16), np.ones((3, 3)))
    large = np.pad(large, ((0, 0), (2, 2), (2, 2)))
    return _images(large[:1437], labels[:1437]), _images(large[1437:], labels[1437:])


def shakespeare(path: str | None) -> str:
    """The 1,115,394 characters of tiny Shakespeare."""
    file = _find("tinyshakespeare.txt", path)
    _require("tinyshakespeare.txt", file, file.read_bytes())
    return file.read_text(encoding="utf-8")


def _images(x: NDArray[np.generic], y: NDArray[np.generic]) -> Split:
    return (x[..., None] / 255).astype("float32"), y.astype("int64")


def _find(name: str, path: str | None) -> Path:
    """The file: ``path``, in the folder ``path``, or in the cache."""
    given = CACHE if path is None else Path(path)
    file = given / name if given.is_dir() or path is None else given
    if not file.is_file():
        sys.exit(
            f"{file} is not there. Download {SOURCES[name]} to it, or say where it is with --data; "
            "--quick runs on a small stand-in."
        )
    return file


def _require(name: str, file: Path, content: bytes) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != CHECKSUMS[name]:
        sys.exit(f"{file} is not the {name} of {SOURCES[name]}: its checksum is {found}.")
