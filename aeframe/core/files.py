"""One file for a model: values in safetensors, the structure as JSON in its header.

Loading looks up classes and functions that the program has defined, or aeframe itself: no other
module is imported, and no code that the file names is run. Writes are atomic: a file is whole or
it is the one before.
"""

from __future__ import annotations

import glob
import json
import os
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from aesara.graph.op import Op
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from aeframe.core.cells import Cell, Parameter, RandomState, State, Store
from aeframe.core.errors import FileError, SerializationError
from aeframe.core.lineage import lineage_of, remember, require_rules
from aeframe.core.module import Module
from aeframe.core.serialize import decode_array, decode_op, encode_array, encode_op
from aeframe.core.structure import CLASSES, FUNCTIONS, Structure, import_own, qualified_name
from aeframe.core.supports import Support

FORMAT, VERSION = "aeframe", 1
_KINDS: dict[str, type[Cell]] = {"parameter": Parameter, "state": State, "random": RandomState}


class _Encoder:
    """``arrays``, where it is given, takes the arrays that attributes hold."""

    def __init__(
        self, paths: Mapping[int, str], arrays: dict[str, NDArray[Any]] | None = None
    ) -> None:
        self.paths, self.arrays = paths, arrays
        self.ids: dict[int, int] = {}
        self.todo: list[tuple[Structure, str]] = []

    def objects(self, root: Structure) -> list[Any]:
        """The root and all below it, one entry each: no depth of nesting is too much."""
        self.encode(root, "")
        made = []
        for value, at in self.todo:  # grows while it is read
            fields = {k: self.encode(v, f"{at}.{k}") for k, v in value.fields().items()}
            made.append({"class": value.saved_as, "fields": fields})
        return made

    def encode(self, value: Any, at: str) -> Any:
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, np.ndarray) and self.arrays is not None and value.dtype.kind in "biuf":
            self.arrays[f"@{at}"] = value
            return {"values": f"@{at}"}
        if isinstance(value, np.ndarray | np.generic):
            return {"array": encode_array(np.asarray(value))}
        if isinstance(value, Cell):
            return self._cell(value, at)
        if isinstance(value, Op):
            return {"op": encode_op(value)}
        if isinstance(value, list | tuple):
            kind = "list" if isinstance(value, list) else "tuple"
            return {kind: [self.encode(v, f"{at}[{i}]") for i, v in enumerate(value)]}
        if isinstance(value, dict) and all(isinstance(k, str) for k in value):
            return {"dict": {k: self.encode(v, f"{at}[{k}]") for k, v in value.items()}}
        if isinstance(value, Support):
            fields = {k: self.encode(v, at) for k, v in value.fields().items()}
            return {"support": {"class": value.saved_as, "fields": fields}}
        if isinstance(value, Structure):
            if id(value) not in self.ids:
                self.ids[id(value)] = len(self.ids)
                self.todo.append((value, at))
            return {"object": self.ids[id(value)]}
        if callable(value) and FUNCTIONS.get(_name(value)) is value:
            return {"function": _name(value)}
        raise SerializationError(
            f"a {type(value).__name__} cannot be written as data",
            path=at.removeprefix("."),
            expected="numbers, strings, arrays, Modules, Parameters, lists and dicts of them, "
            "registered functions",
            got=repr(value),
            fix="register a function with `ae.register`, or keep it in the class",
        )

    def _cell(self, cell: Cell, at: str) -> Any:
        kind = next(k for k, cls in _KINDS.items() if isinstance(cell, cls))
        data: dict[str, Any] = {"cell": self.paths[id(cell)], "kind": kind}
        if isinstance(cell, Parameter | State):
            data |= {"dtype": cell.type.dtype, "support": self.encode(cell.support, at)}
            data |= {"trainable": cell.trainable}
        return data


def _name(function: Any) -> str:
    try:
        return qualified_name(function)
    except AttributeError:
        return ""


class _Decoder:
    def __init__(self, values: Mapping[str, NDArray[Any]]) -> None:
        self.values = values
        self.cells: dict[str, Cell] = {}
        self.made: list[Structure] = []

    def objects(self, entries: list[Any]) -> Structure:
        """The root of what :meth:`_Encoder.objects` wrote."""
        self.made = [self._empty(entry) for entry in entries]
        for made, entry in zip(self.made, entries, strict=True):
            self._fill(made, entry)
        require_rules(self.made)
        return self.made[0]

    def decode(self, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        if "cell" in data:
            return self._cell(data)
        ((kind, inner),) = data.items()
        if kind == "values":
            return self.values[inner]
        if kind == "array":
            return decode_array(inner)
        if kind == "op":
            return decode_op(inner)
        if kind == "list":
            return [self.decode(v) for v in inner]
        if kind == "tuple":
            return tuple(self.decode(v) for v in inner)
        if kind == "dict":
            return {k: self.decode(v) for k, v in inner.items()}
        if kind == "object":
            return self.made[inner]
        if kind == "support":
            support = self._empty(inner)
            self._fill(support, inner)
            return support
        if kind == "function":
            if inner not in FUNCTIONS:
                import_own(inner)
            if inner in FUNCTIONS:
                return FUNCTIONS[inner]
        raise FileError(
            f"the file names something that is not defined here: {kind} {inner}",
            fix="import or define it before loading",
        )

    def _empty(self, data: Mapping[str, Any]) -> Structure:
        if data["class"] not in CLASSES:
            import_own(data["class"])
        cls = CLASSES.get(data["class"])
        if cls is None:
            raise FileError(
                f"the file holds a {data['class']}, a class that is not defined here",
                fix="import or define the class before loading",
            )
        return cls.__new__(cls)

    def _fill(self, made: Structure, data: Mapping[str, Any]) -> None:
        for name, value in data["fields"].items():
            if name.startswith("_") or callable(getattr(type(made), name, None)):
                raise FileError(f"the file sets an attribute that it must not: {name}")
            object.__setattr__(made, name, self.decode(value))

    def _cell(self, data: Mapping[str, Any]) -> Cell:
        path = data["cell"]
        if path not in self.cells:
            if data["kind"] == "random":
                cell: Cell = RandomState(name=path)
                cell.restore(self.values[path])
            else:
                support = self.decode(data["support"])
                if not isinstance(support, Support):
                    raise FileError("the file gives a cell no support", path=path)
                value = self.values[path]
                cls = _KINDS[data["kind"]]
                cell = cls(value, dtype=data["dtype"], support=support, name=path)  # type: ignore[call-arg]
                cell.trainable = bool(data["trainable"])
            self.cells[path] = cell
        return self.cells[path]


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write ``data`` to ``path``, or leave what was there: never half a file."""
    target = Path(path)
    prefix = f".{target.name}.partial-"
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=prefix)
    except OSError as error:
        raise FileError(
            f"cannot write here: {error.strerror}",
            path=str(target),
            fix="choose a folder that exists and can be written",
        ) from error
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(target)
        _remove_stale(target.parent, prefix)
    except OSError as error:
        raise FileError(f"cannot write here: {error.strerror}", path=str(target)) from error
    finally:
        temporary.unlink(missing_ok=True)


def _remove_stale(folder: Path, prefix: str) -> None:
    """Remove what writers left behind that were killed more than an hour ago."""
    for left in folder.glob(glob.escape(prefix) + "*"):
        with suppress(FileNotFoundError):  # another writer has just finished with it
            if time.time() - left.stat().st_mtime > 3600:
                left.unlink()


def save(root: Structure, path: str | os.PathLike[str]) -> None:
    """Write a Module or a Posterior, its structure and its values, to one file, atomically.

    Raises
    ------
    SerializationError
        When an attribute holds code or something no file can describe.
    FileError
        When the file cannot be written; what was there stays.
    """
    store: Store = root.store  # type: ignore[attr-defined]
    store.initialize()
    # a Module's values are those of its cells: another of the same structure can take them
    arrays: dict[str, NDArray[Any]] = {}
    encoder = _Encoder(
        {id(cell): p for p, cell in store.items()}, None if isinstance(root, Module) else arrays
    )
    header = {"format": FORMAT, "version": VERSION, "objects": encoder.objects(root)}
    header["lineage"] = lineage_of(root)
    values = {**store.snapshot(), **arrays}
    header["sha256"] = digest(values)
    write_atomically(path, to_bytes(values, metadata={FORMAT: json.dumps(header)}))


def digest(values: Mapping[str, NDArray[Any]]) -> str:
    """The SHA-256 of named arrays, by which a file tells that it is damaged."""
    found = sha256()
    for name in sorted(values):
        found.update(f"{name} {values[name].dtype} {values[name].shape}".encode())
        found.update(np.ascontiguousarray(values[name]).tobytes())
    return found.hexdigest()


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The header and the values of a file.

    Raises
    ------
    FileError
        When it is missing, damaged, not aeframe's, or of a later version.
    """
    place = os.fspath(path)
    if not os.path.isfile(place):
        raise FileError("there is no such file", path=place, fix="check the path")
    try:
        with safe_open(place, framework="numpy") as file:
            metadata = file.metadata() or {}
            values = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise FileError(
            f"the file is damaged or no safetensors file: {error}",
            path=place,
            fix="load a file that `save` wrote, or its backup",
        ) from error
    if FORMAT not in metadata:
        raise FileError(
            "the file was not written by aeframe", path=place, expected="a file that `save` wrote"
        )
    try:
        header = json.loads(metadata[FORMAT])
        version = int(header["version"])
    except (ValueError, KeyError, TypeError) as error:
        raise FileError(f"the header is damaged: {error}", path=place) from error
    if version < 1 or (version == VERSION and header.get("sha256") != digest(values)):
        raise FileError(
            "the file is damaged: its values are not those that were written",
            path=place,
            fix="load a backup",
        )
    if version > VERSION:
        raise FileError(
            "the file was written by a later version",
            path=place,
            expected=f"version {VERSION} or earlier",
            got=f"version {version}",
            fix="upgrade aeframe",
        )
    return header, values


def load(path: str | os.PathLike[str]) -> Any:
    """The Module or Posterior in a file, built from classes that are already defined, or our own.

    No code of the file is run. Until it is called, ``explain()`` of a model that was optimized
    shows what was done to it before it was saved.

    Raises
    ------
    FileError
        When the file is missing, damaged, foreign, of a later version, or names what is not
        defined here: classes, functions, or rules that the model is rewritten by.
    """
    header, values = read(path)
    if "objects" not in header:
        raise FileError(
            "the file is a checkpoint: it has values, not the structure of a model",
            path=os.fspath(path),
            fix="build the model and call it once, then `model.load(path)`",
        )
    try:
        root = _Decoder(values).objects(header["objects"])
        remember(root, header.get("lineage", ()))
        return root
    except FileError as error:
        raise FileError(error.problem, path=os.fspath(path), fix=error.fix) from error
    except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        raise FileError(
            f"the structure in the file is malformed: {error}", path=os.fspath(path)
        ) from error


def load_values(module: Module, path: str | os.PathLike[str]) -> None:
    """Read the values of a file into a Module of the same structure; all or nothing.

    Of a checkpoint, those that are the Module's are read.
    """
    header, values = read(path)
    store = module.store
    if "objects" not in header:
        values = {p: v for p, v in values.items() if not p.startswith(("@", "optimizer."))}
    differing = sorted(set(store) ^ set(values))
    wrong = [
        f"{p}: {values[p].shape} for {store[p].type.shape}"
        for p in store
        if p in values
        and not isinstance(store[p], RandomState)
        and values[p].shape != store[p].type.shape
    ]
    if differing or wrong:
        kind = header["objects"][0]["class"] if "objects" in header else "a checkpoint"
        raise FileError(
            f"the file holds another model: {kind}",
            path=os.fspath(path),
            expected=f"the cells of {type(module).__name__}: {', '.join(store) or 'none yet'}",
            got="; ".join([*differing, *wrong]),
            fix="call the model once so that its parameters exist, or use `ae.load`",
        )
    store.restore(values)
