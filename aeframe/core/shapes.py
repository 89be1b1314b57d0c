"""Static shapes: found from the inputs, put on the outputs, and used to make graphs concrete.

Aesara loses static shapes in many Ops (``join``, ``reshape``, slices, ...) although each of them
can say what its output shape is. :func:`narrow` asks that question with the known sizes as
constants and writes the answer into the output types.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any

import numpy as np
from aesara.compile.builders import infer_shape
from aesara.graph.basic import Apply, Constant, NoParams, Variable
from aesara.graph.null_type import NullType
from aesara.scalar.basic import ScalarConstant, ScalarType
from aesara.tensor.shape import Shape, Shape_i
from aesara.tensor.type import TensorType
from aesara.tensor.var import TensorConstant

from aeframe.core.errors import ShapeError
from aeframe.core.graph import Graph, Merger, replay, toposort

_SIZE = TensorType("int64", ())
FOLD_LIMIT = 4096  # elements: shapes and index vectors, never weights


def is_tensor(variable: Variable) -> bool:
    """Whether ``variable`` is a dense tensor (not a kernel, a random state or a null)."""
    return isinstance(variable.type, TensorType)


def shape_text(shape: Sequence[int | None]) -> str:
    """A shape as text, ``*`` for what is not known.

    >>> shape_text((None, 3))
    '(*, 3)'
    """
    inner = ", ".join("*" if s is None else str(s) for s in shape)
    return f"({inner},)" if len(shape) == 1 else f"({inner})"


def type_text(variable: Variable) -> str:
    """Shape and dtype of a tensor, the name of any other type.

    >>> import aesara.tensor as at
    >>> type_text(at.fmatrix())
    '(*, *) float32'
    """
    shape = shape_or_name(variable)
    return f"{shape} {variable.type.dtype}" if is_tensor(variable) else shape


def shape_or_name(variable: Variable) -> str:
    """The shape of a tensor, the name of any other type."""
    return shape_text(variable.type.shape) if is_tensor(variable) else str(variable.type)


def compatible(a: int | None, b: int | None) -> bool:
    """Whether two static sizes can be the same size."""
    return a is None or b is None or a == b


def evaluate(variable: Variable) -> Any:
    """The value of an expression of constants only, or ``None`` when it depends on a leaf.

    >>> import aesara.tensor as at
    >>> int(evaluate(at.as_tensor(3) * 2))
    6
    """
    if isinstance(variable, Constant):
        return variable.data
    if variable.owner is None:
        return None
    values: dict[Variable, Any] = {}
    for node in toposort([variable]):
        arguments = []
        for v in node.inputs:
            if isinstance(v, Constant):
                arguments.append(v.data)
            elif v in values:
                arguments.append(values[v])
            else:
                return None
        for out, value in zip(node.outputs, perform(node, arguments), strict=True):
            values[out] = value
    return values[variable]


def perform(node: Apply, arguments: list[Any]) -> list[Any]:
    """The outputs of one Apply on values, through the Op's Python implementation."""
    storage: list[list[Any]] = [[None] for _ in node.outputs]
    parameters = node.run_params()
    extra = () if parameters is NoParams else (parameters,)
    node.op.perform(node, arguments, storage, *extra)
    return [cell[0] for cell in storage]


def narrow(node: Apply) -> Apply:
    """Put the static shapes that follow from the input types on the outputs of a *new* Apply."""
    unknown = [o for o in node.outputs if is_tensor(o) and None in o.type.shape]
    if not unknown or not hasattr(node.op, "infer_shape"):
        return node
    sizes = [
        tuple(_SIZE() if s is None else TensorConstant(_SIZE, np.asarray(s)) for s in v.type.shape)
        if is_tensor(v)
        else None
        for v in node.inputs
    ]
    try:
        known = dict(zip(node.inputs, sizes, strict=True))  # x may be there twice: x * x
        found = infer_shape(unknown, list(known), list(known.values()))
    except (NotImplementedError, AttributeError, KeyError):
        # an Op that cannot say, or whose size is that of a tensor further up: keep what we have
        return node
    for out, shape in zip(unknown, found, strict=True):
        if shape is None:
            continue
        values = [
            old if old is not None else _as_int(evaluate(s))
            for old, s in zip(out.type.shape, shape, strict=True)
        ]
        out.type = out.type.clone(shape=tuple(values))
    return node


def _as_int(value: Any) -> int | None:
    return None if value is None else int(value)


def _foldable(variable: Variable) -> bool:
    if isinstance(variable.type, ScalarType):
        return variable.type.dtype in _DISCRETE
    if not is_tensor(variable) or variable.type.dtype not in _DISCRETE:
        return False
    shape = variable.type.shape
    return None not in shape and int(np.prod(shape, dtype=np.int64)) <= FOLD_LIMIT


_DISCRETE = {"bool", *(f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64))}


def _constant(variable: Variable, value: Any) -> Constant:
    if isinstance(variable.type, ScalarType):
        return ScalarConstant(variable.type, value)
    return TensorConstant(variable.type, np.asarray(value, dtype=variable.type.dtype))


def fold_shapes(node: Apply, inputs: list[Variable]) -> Sequence[Variable] | None:
    """A transform: known shapes become constants, closed integer arithmetic becomes its value."""
    if isinstance(node.op, Shape_i):
        size = inputs[0].type.shape[node.op.i]
        return None if size is None else [_constant(node.outputs[0], size)]
    if isinstance(node.op, Shape):
        shape = inputs[0].type.shape
        if None in shape:
            return None
        value = np.asarray(shape, dtype="int64")
        return [TensorConstant(TensorType("int64", (len(shape),)), value)]
    if not inputs or not all(isinstance(v, Constant) for v in inputs):
        return None
    if not all(_foldable(o) for o in node.outputs):
        return None
    values = perform(node, [v.data for v in inputs])
    return [_constant(o, v) for o, v in zip(node.outputs, values, strict=True)]


def specialize(graph: Graph, types: Sequence[Any]) -> Graph:
    """The graph for inputs of the given (narrower) types, with no shape arithmetic left.

    Raises
    ------
    ShapeError
        When a type cannot be the input's type.

    >>> import aesara.tensor as at
    >>> x = at.matrix("x", dtype="float64")
    >>> g = specialize(Graph((x,), (x.reshape((-1,)),)), [at.TensorType("float64", (2, 3))])
    >>> g.outputs[0].type.shape
    (6,)
    """
    fresh = []
    for variable, kind in zip(graph.inputs, types, strict=True):
        if is_tensor(variable) and not (
            kind.ndim == variable.type.ndim
            and all(map(compatible, kind.shape, variable.type.shape))
        ):
            raise ShapeError(
                "an input does not have the shape the program was made for",
                path=variable.name,
                expected=shape_text(variable.type.shape),
                got=shape_text(kind.shape),
                fix="pass an array of that shape, or compile again for the new one",
            )
        fresh.append(kind(name=variable.name))
    replace = dict(zip(graph.inputs, fresh, strict=True))
    results = replay(graph.results, replace, Merger(concrete))
    n = len(graph.outputs)
    updates = dict(zip(graph.updates, results[n:], strict=True))
    return Graph(tuple(fresh), tuple(results[:n]), updates, graph.names)


def concrete(node: Apply, inputs: list[Variable]) -> Sequence[Variable] | None:
    """A transform: :func:`fold_shapes`, and static shapes on outputs that have none yet."""
    folded = fold_shapes(node, inputs)
    if folded is not None:
        return folded
    if any(is_tensor(o) and None in o.type.shape for o in node.outputs):
        fresh = narrow(node.op.make_node(*inputs))
        fresh.tag = copy(node.tag)
        return fold_shapes(fresh, inputs) or fresh.outputs
    return None


def is_null(variable: Variable) -> bool:
    """Whether a gradient is Aesara's "not defined"."""
    return isinstance(variable.type, NullType)
