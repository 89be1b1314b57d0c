"""Graphs as JSON: Ops by name and ``__props__``, Applies in order, constants by value.

A file names Ops, it never holds code. Only Ops of aeframe, Ops that a program has defined before
it reads the file, and Aesara's tensor Ops can be named.
"""

from __future__ import annotations

import base64
import inspect
import re
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from aesara import scalar as aes
from aesara.graph.basic import Apply, Constant, Variable
from aesara.graph.op import Op
from aesara.graph.type import Type
from aesara.scalar.basic import ScalarConstant, ScalarOp, ScalarType
from aesara.tensor.random.type import RandomGeneratorType
from aesara.tensor.type import TensorType
from aesara.tensor.type_other import NoneConst, NoneTypeT, SliceConstant, SliceType
from aesara.tensor.var import TensorConstant

from aeframe.core.errors import FileError, SerializationError
from aeframe.core.graph import leaves, toposort
from aeframe.core.intermediate import IntermediateOp, IntermediateType
from aeframe.core.ops import TypedOp
from aeframe.core.structure import import_own, qualified_name

_TENSOR_MODULES = (
    *("basic", "elemwise", "extra_ops", "math", "nlinalg", "shape", "slinalg", "sort", "special"),
    *("subtensor", "random.basic", "random.op", "nnet.basic"),
)
AESARA_MODULES = (
    *("aesara.compile.ops", "aesara.scalar.basic", "aesara.scalar.math"),
    *(f"aesara.tensor.{name}" for name in _TENSOR_MODULES),
)


def find_class(name: str, base: type) -> type:
    """The class ``module:qualname`` if it is loaded, allowed, and a subclass of ``base``.

    Raises
    ------
    FileError
        When it is not; no other module than aeframe's own is imported to find it.
    """
    import_own(name)
    module, _, qualname = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    ours = (TypedOp, IntermediateOp, IntermediateType)
    if not isinstance(found, type) or not issubclass(found, base):
        raise FileError(
            f"the file names {name}, which is not defined here",
            fix="import or define it before loading",
        )
    if not issubclass(found, ours) and module not in AESARA_MODULES:
        raise FileError(f"the file names {name}, which files may not name")
    return found


def encode_value(value: Any) -> Any:
    """A hyperparameter as JSON."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | list):
        return {"tuple": [encode_value(v) for v in value]}
    if isinstance(value, slice):
        return {"slice": [encode_value(v) for v in (value.start, value.stop, value.step)]}
    if isinstance(value, Mapping):
        return {"dict": [[encode_value(k), encode_value(v)] for k, v in value.items()]}
    if isinstance(value, Op):
        return {"op": encode_op(value)}
    if isinstance(value, Type):
        return {"type": encode_type(value)}
    if isinstance(value, np.ndarray | np.generic):
        return {"array": encode_array(np.asarray(value))}
    raise SerializationError(f"a {type(value).__name__} cannot be written as data", got=repr(value))


def decode_value(data: Any) -> Any:
    """The inverse of :func:`encode_value`."""
    if not isinstance(data, dict):
        return data
    ((kind, inner),) = data.items()
    if kind == "tuple":
        return tuple(decode_value(v) for v in inner)
    if kind == "slice":
        return slice(*(decode_value(v) for v in inner))
    if kind == "dict":
        return {decode_value(k): decode_value(v) for k, v in inner}
    if kind == "op":
        return decode_op(inner)
    if kind == "type":
        return decode_type(inner)
    if kind == "array":
        return decode_array(inner)
    raise FileError(f"the file holds an unknown kind of value: {kind}")


def encode_array(array: np.ndarray[Any, Any]) -> dict[str, Any]:
    """An array as JSON: numbers when it is short, base64 when it is long."""
    data: Any = array.tolist()
    if array.size > 16:
        data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {"dtype": str(array.dtype), "shape": list(array.shape), "data": data}


def decode_array(data: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """The inverse of :func:`encode_array`."""
    dtype, shape = np.dtype(str(data["dtype"])), tuple(int(s) for s in data["shape"])
    if dtype.hasobject:
        raise FileError("the file holds an array of objects")
    if isinstance(data["data"], str):
        return np.frombuffer(base64.b64decode(data["data"]), dtype=dtype).reshape(shape).copy()
    return np.array(data["data"], dtype=dtype).reshape(shape)


@lru_cache(maxsize=2048)
def _module_level_scalar(op: ScalarOp) -> str | None:
    for name in (op.name or "", type(op).__name__.lower()):
        if getattr(aes, name, None) == op:
            return name
    for name, value in vars(aes).items():
        if isinstance(value, ScalarOp) and value == op:
            return name
    return None


def encode_op(op: Op) -> Any:
    """An Op as JSON.

    Raises
    ------
    SerializationError
        When the Op is not made by its ``__props__`` alone.
    """
    if isinstance(op, ScalarOp) and (name := _module_level_scalar(op)):
        return {"scalar": name}
    props = getattr(op, "__props__", None) or ()
    accepted = inspect.signature(type(op).__init__).parameters
    if isinstance(op, aes.Cast):
        values = {"o_type": op.o_type}
    else:
        values = {p: getattr(op, p) for p in props if p in accepted}
    data = {
        "class": qualified_name(type(op)),
        "props": {k: encode_value(v) for k, v in values.items()},
    }
    try:
        same = decode_op(data) == op
    except (TypeError, FileError) as error:
        raise _unwritable(op) from error
    if not same:
        raise _unwritable(op)
    return data


def _unwritable(op: Op) -> SerializationError:
    return SerializationError(
        f"the Op {op} cannot be written as data",
        got=qualified_name(type(op)),
        fix="use Ops that their `__props__` describe, or a typed Op of your own",
    )


def decode_op(data: Mapping[str, Any]) -> Op:
    """The inverse of :func:`encode_op`."""
    if "scalar" in data:
        found = getattr(aes, str(data["scalar"]), None)
        if not isinstance(found, ScalarOp):
            raise FileError(f"the file names an unknown scalar Op: {data['scalar']}")
        return found
    cls = find_class(str(data["class"]), Op)
    if not issubclass(cls, TypedOp | IntermediateOp):
        _refuse_code(data["props"])
    try:
        return cls(**{str(k): decode_value(v) for k, v in data["props"].items()})
    except AssertionError as error:  # Aesara's own Ops check what they are given in this way
        raise FileError(f"the file gives {cls.__name__} hyperparameters it refuses") from error


def _refuse_code(props: Any) -> None:
    """Raise :class:`FileError` for text that is no name: Aesara writes some of it into C code."""
    if isinstance(props, str) and not re.fullmatch(r"[\w ,.:+-]*", props):
        raise FileError(f"the file gives an Op a text that is no name: {props!r}")
    if isinstance(props, dict | list):
        for part in [*props, *props.values()] if isinstance(props, dict) else props:
            _refuse_code(part)


def encode_type(kind: Type) -> Any:
    """A type as JSON."""
    if isinstance(kind, TensorType):
        return ["tensor", kind.dtype, list(kind.shape)]
    if isinstance(kind, ScalarType):
        return ["scalar", kind.dtype]
    for name, cls in _PLAIN_TYPES.items():
        if type(kind) is cls:
            return [name]
    if isinstance(kind, IntermediateType):
        return ["intermediate", qualified_name(type(kind))]
    raise SerializationError(f"the type {kind} cannot be written as data")


def decode_type(data: Sequence[Any]) -> Type:
    """The inverse of :func:`encode_type`."""
    name = data[0]
    if name == "tensor":
        return TensorType(np.dtype(data[1]).name, tuple(data[2]))
    if name == "scalar":
        return ScalarType(np.dtype(data[1]).name)
    if name in _PLAIN_TYPES:
        return _PLAIN_TYPES[name]()
    if name == "intermediate":
        return find_class(data[1], IntermediateType)()
    raise FileError(f"the file names an unknown type: {name}")


_PLAIN_TYPES = {"rng": RandomGeneratorType, "none": NoneTypeT, "slice": SliceType}


def _encode_constant(constant: Constant) -> Any:
    value = constant.data
    if isinstance(value, slice) or value is None:
        inner = encode_value(value)
    else:
        inner = {"array": encode_array(np.asarray(value))}
    return [encode_type(constant.type), inner]


def _decode_constant(data: Sequence[Any]) -> Constant:
    kind, value = decode_type(data[0]), decode_value(data[1])
    if isinstance(kind, TensorType):
        return TensorConstant(kind, np.asarray(value, dtype=kind.dtype))
    if isinstance(kind, ScalarType):
        return ScalarConstant(kind, value[()])
    return NoneConst if value is None else SliceConstant(kind, value)


def encode_graph(inputs: Sequence[Variable], outputs: Sequence[Variable]) -> dict[str, Any]:
    """A graph as JSON; equal graphs give equal data.

    Raises
    ------
    SerializationError
        When it depends on a leaf that is not among ``inputs``, or an Op cannot be written.
    """
    strays = [v for v in leaves(outputs, inputs) if v not in set(inputs)]
    if strays:
        raise SerializationError(
            "the graph depends on variables that are not among its inputs",
            got=", ".join(str(v) for v in strays),
            fix="list them among the inputs",
        )
    ids: dict[Variable, int] = {v: i for i, v in enumerate(inputs)}
    ops: dict[Op, int] = {}
    constants: list[Any] = []
    nodes: list[Any] = []

    def number(variable: Variable) -> int:
        if variable not in ids:
            ids[variable] = len(ids)
            constants.append([ids[variable], *_encode_constant(variable)])
        return ids[variable]

    for node in toposort(outputs, inputs):
        arguments = [number(v) for v in node.inputs]
        for out in node.outputs:
            ids[out] = len(ids)
        nodes.append(
            [
                ops.setdefault(node.op, len(ops)),
                arguments,
                [[ids[o], encode_type(o.type)] for o in node.outputs],
                getattr(node.tag, "path", None),
            ]
        )
    results = [number(v) for v in outputs]
    return {
        "inputs": [encode_type(v.type) for v in inputs],
        "ops": [encode_op(op) for op in ops],
        "constants": constants,
        "nodes": nodes,
        "outputs": results,
    }


def decode_graph(data: Mapping[str, Any]) -> tuple[list[Variable], list[Variable]]:
    """The inputs and outputs of a graph that :func:`encode_graph` wrote.

    Raises
    ------
    FileError
        When the data is malformed or names an Op that is not defined here.

    >>> import aesara.tensor as at
    >>> x = at.dvector("x")
    >>> inputs, outputs = decode_graph(encode_graph([x], [at.exp(x) + 1.0]))
    >>> outputs[0].eval({inputs[0]: [0.0]})
    array([2.])
    """
    try:
        inputs = [decode_type(t)() for t in data["inputs"]]
        known: dict[int, Variable] = dict(enumerate(inputs))
        for i, kind, value in data["constants"]:
            known[int(i)] = _decode_constant([kind, value])
        ops = [decode_op(op) for op in data["ops"]]
        for op, arguments, outs, path in data["nodes"]:
            kinds = [decode_type(t) for _, t in outs]
            node = Apply(ops[op], [known[i] for i in arguments], [k() for k in kinds])
            node.tag.path = path
            known.update((int(i), out) for (i, _), out in zip(outs, node.outputs, strict=True))
        return inputs, [known[int(i)] for i in data["outputs"]]
    except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        raise FileError(f"the graph in the file is malformed: {error}") from error
