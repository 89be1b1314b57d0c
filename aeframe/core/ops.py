"""Typed Ops: Aesara Ops with a domain meaning.

A *functional* typed Op (:class:`TypedOp`) maps tensors to tensors. Its hyperparameters are its
``__props__``, its parameters and data are the inputs of its Apply, and its meaning is
:meth:`TypedOp.body`, a graph in plain Aesara. See :mod:`aeframe.core.intermediate` for those
that make no tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import aesara.tensor as at
from aesara.compile.builders import infer_shape
from aesara.gradient import DisconnectedType
from aesara.graph.basic import Apply, Variable
from aesara.graph.op import Op
from aesara.graph.type import Type
from aesara.scalar.basic import upcast
from aesara.tensor.math import Prod, Sum
from aesara.tensor.shape import shape_i
from aesara.tensor.type import TensorType

from aeframe.core.errors import AeframeError, BodyError, ShapeError
from aeframe.core.grad import float_literals_like, is_float, reached, vjp
from aeframe.core.graph import Merger, leaves, replay, toposort
from aeframe.core.shapes import compatible, concrete, is_tensor, shape_text
from aeframe.core.trace import current_path


@dataclass(frozen=True)
class Body:
    """The inner graph of a typed Op for given input types, and its Applies in order."""

    inputs: list[Variable]
    outputs: list[Variable]
    nodes: list[Apply]

    def inline(self, inputs: Sequence[Variable]) -> list[Variable]:
        """The body's outputs on ``inputs``, which have the types that the body was made for."""
        new = dict(zip(self.inputs, inputs, strict=True))
        for node in self.nodes:
            arguments = [new.get(v, v) for v in node.inputs]
            copied = Apply(node.op, arguments, [o.clone() for o in node.outputs])
            new.update(zip(node.outputs, copied.outputs, strict=True))
        return [new.get(v, v) for v in self.outputs]


def single_precision_sums(node: Apply, inputs: list[Variable]) -> Sequence[Variable] | None:
    """A transform: sums of float32 keep their total in float32, not in a float64 array."""
    if isinstance(node.op, Sum | Prod) and node.op.acc_dtype == "float64":
        dtype = inputs[0].type.dtype
        if dtype == "float32" and node.outputs[0].type.dtype == dtype:
            op = type(node.op)(axis=node.op.axis, dtype=dtype, acc_dtype=dtype)
            return op.make_node(*inputs).outputs
    return None


def _body_transform(node: Apply, inputs: list[Variable]) -> Sequence[Variable] | None:
    made = single_precision_sums(node, inputs)
    return concrete(node, inputs) if made is None else made


@lru_cache(maxsize=8192)
def body_of(op: TypedOp, types: tuple[Type, ...]) -> Body:
    """The body of ``op`` for the given input types, built once for each such pair."""
    inputs = [t() for t in types]
    try:
        with float_literals_like(inputs):
            outputs = op.body(*inputs)
    except AeframeError:
        raise
    except (TypeError, ValueError, IndexError, AssertionError) as error:
        raise BodyError(
            f"the body of {op} could not be built: {error}",
            path=current_path(),
            got=", ".join(str(t) for t in types),
            fix="check the shapes and dtypes of its inputs",
        ) from error
    outputs = list(outputs) if isinstance(outputs, list | tuple) else [outputs]
    fresh = [t() for t in types]
    merged = replay(outputs, dict(zip(inputs, fresh, strict=True)), Merger(_body_transform))
    return Body(fresh, merged, toposort(merged, fresh))


@lru_cache(maxsize=8192)
def _connections_of(op: TypedOp, types: tuple[Type, ...]) -> list[list[bool]]:
    body = body_of(op, types)
    return [
        [out in found for out in body.outputs]
        for found in (reached(body.nodes, [v]) for v in body.inputs)
    ]


def _types(variables: Sequence[Variable]) -> tuple[Type, ...]:
    return tuple(v.type for v in variables)


def as_variable(value: Any) -> Variable:
    """``value`` as a symbolic variable; kernels, circuits and random states pass unchanged."""
    return value if isinstance(value, Variable) else at.as_tensor_variable(value)


class NamedOp(Op):
    """An Op that prints as its class without "Op", with its hyperparameters."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if getattr(vars(cls).get("__str__"), "__module__", "").startswith("aesara."):
            del cls.__str__  # Aesara writes one into each class that has `__props__`

    def __str__(self) -> str:
        shown = ", ".join(f"{p}={getattr(self, p)}" for p in self.__props__)
        name = type(self).__name__.removesuffix("Op")
        return f"{name}({shown})" if shown else name

    def __repr__(self) -> str:
        return str(self)


class TypedOp(NamedOp):
    """A functional typed Op: subclass it, name the hyperparameters, write the body.

    Two Ops of equal type and ``__props__`` are equal, and so are their Applies on equal inputs.
    Output types, with static shapes, follow from the body. It runs, differentiates and infers
    shapes as it stands; a backend that does not claim it puts the body in its place.

    >>> class ScaleOp(TypedOp):
    ...     __props__ = ("factor",)
    ...     def __init__(self, factor):
    ...         self.factor = factor
    ...     def body(self, x):
    ...         return self.factor * x
    >>> ScaleOp(2.0)(at.as_tensor([1.0, 2.0])).eval()
    array([2., 4.])
    """

    __props__: tuple[str, ...] = ()

    def body(self, *inputs: Variable) -> Variable | Sequence[Variable]:
        """The meaning in plain Aesara (or in other typed Ops), on inputs of known types."""
        raise NotImplementedError(f"{type(self).__name__} has no body")

    def check(self, *inputs: Variable) -> None:
        """Refuse wrong input shapes; see :func:`require_ndim` and :func:`require_size`."""

    def out_types(self, *inputs: Variable) -> Sequence[Type] | None:
        """The types of the outputs, where they can be told without the body.

        Searches make thousands of Applies and bodies of few of them: an Op with a long body and
        known input shapes says what comes out. They are the types of the body's outputs.
        """
        return None

    def validate(self, node: Apply, index: int, array: Any) -> None:
        """Refuse values that input ``index`` must not have, when data is given to it directly.

        Raises
        ------
        DataError
            With what was expected; nothing is run.
        """

    def pullback(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        cotangents: Sequence[Variable | None],
    ) -> Sequence[Variable | None]:
        """The gradients of the inputs; by default the body is differentiated.

        ``cotangents`` has ``None`` for outputs that nobody uses. What the backward needs again
        is among ``outputs``.
        """
        made = body_of(self, _types(inputs)).inline(inputs)
        live = [(o, g) for o, g in zip(made, cotangents, strict=True) if g is not None]
        return vjp([o for o, _ in live], [g for _, g in live], inputs)

    def make_node(self, *inputs: Any) -> Apply:
        """An Apply of this Op; raises :class:`ShapeError` at once when shapes do not fit."""
        variables = [as_variable(v) for v in inputs]
        self.check(*variables)
        known = all(not is_tensor(v) or None not in v.type.shape for v in variables)
        types = self.out_types(*variables) if known else None
        if types is None:
            types = _types(body_of(self, _types(variables)).outputs)
        node = Apply(self, variables, [t() for t in types])
        node.tag.path = current_path()
        return node

    def inline(self, inputs: Sequence[Variable]) -> list[Variable]:
        """The body on ``inputs``: one level of expansion."""
        return body_of(self, _types(inputs)).inline(inputs)

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Which outputs depend on which inputs."""
        return _connections_of(self, _types(node.inputs))

    def L_op(  # noqa: N802 (Aesara's name)
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        output_grads: Sequence[Variable],
    ) -> list[Variable]:
        """The typed Op :class:`Pullback` on inputs, outputs and the gradients that exist."""
        pattern = _connections_of(self, _types(inputs))
        seeds = tuple(
            j
            for j, g in enumerate(output_grads)
            if not isinstance(g.type, DisconnectedType) and is_float(outputs[j])
        )
        wrt = tuple(
            i for i, v in enumerate(inputs) if is_float(v) and any(pattern[i][j] for j in seeds)
        )
        gradients: list[Variable] = [DisconnectedType()() for _ in inputs]
        if wrt:
            op = Pullback(self, len(inputs), len(outputs), seeds, wrt)
            node = op.make_node(*inputs, *outputs, *(output_grads[j] for j in seeds))
            owner = outputs[0].owner
            node.tag.path = getattr(owner.tag, "path", None) if owner else None
            for i, g in zip(wrt, node.outputs, strict=True):
                gradients[i] = g
        return gradients

    def infer_shape(self, fgraph: Any, node: Apply, shapes: Any) -> list[Any]:
        """Static where known, through the body elsewhere."""
        if all(None not in o.type.shape for o in node.outputs if is_tensor(o)):
            return [
                tuple(at.constant(s, dtype="int64") for s in o.type.shape) if is_tensor(o) else None
                for o in node.outputs
            ]
        body = body_of(self, _types(node.inputs))
        sizes = [s if s is None else tuple(at.lscalar() for _ in s) for s in shapes]
        known = {
            size: given
            for fresh, shape in zip(sizes, shapes, strict=True)
            for size, given in zip(fresh or (), shape or (), strict=True)
        }

        def answer(out: Variable, found: Any) -> Any:
            if found is None:
                return None
            # where a size depends on values, the output itself has to tell
            simple = set(leaves(found)) <= known.keys()
            if simple:
                return tuple(replay(found, known))
            return tuple(shape_i(out, i) for i in range(out.type.ndim))

        found = infer_shape(body.outputs, body.inputs, sizes)
        return [answer(o, f) for o, f in zip(node.outputs, found, strict=True)]

    def perform(self, node: Apply, inputs: Sequence[Any], storage: list[list[Any]]) -> None:
        """Run the body, compiled once for each set of input types."""
        results = _compiled(self, _types(node.inputs))(*inputs)
        for cell, value in zip(storage, results, strict=True):
            cell[0] = value


class WeightOp(TypedOp):
    """Base of what rules make of weights: another layout, zeros around, a factor folded in.

    A program that does not update the weights computes it once and keeps it.
    """


@lru_cache(maxsize=1024)
def _compiled(op: TypedOp, types: tuple[Type, ...]) -> Any:
    import aesara

    body = body_of(op, types)
    given = [aesara.In(v, borrow=True) for v in body.inputs]
    return aesara.function(given, body.outputs, on_unused_input="ignore")


class Pullback(TypedOp):
    """The gradient of a typed Op, as a typed Op of its own class.

    Rules on a layer do not fire on it, and a backend can claim it like the layer. Its inputs are
    the Op's inputs, its outputs, and the cotangents of the outputs ``seeds``; its outputs are
    the gradients of the inputs ``wrt``.
    """

    __props__ = ("op", "n_inputs", "n_outputs", "seeds", "wrt")

    def __init__(
        self,
        op: TypedOp,
        n_inputs: int,
        n_outputs: int,
        seeds: tuple[int, ...],
        wrt: tuple[int, ...],
    ) -> None:
        self.op, self.n_inputs, self.n_outputs = op, n_inputs, n_outputs
        self.seeds, self.wrt = seeds, wrt

    def body(self, *arguments: Variable) -> list[Variable]:
        """The Op's pullback on the inputs and outputs it was called with."""
        n, m = self.n_inputs, self.n_outputs
        inputs, outputs, given = arguments[:n], arguments[n : n + m], arguments[n + m :]
        cotangents: list[Variable | None] = [None] * m
        for j, g in zip(self.seeds, given, strict=True):
            cotangents[j] = g
        found = self.op.pullback(inputs, outputs, cotangents)
        gradients = []
        for i in self.wrt:
            g = found[i]
            gradients.append(at.zeros_like(inputs[i]) if g is None else g)
        return gradients

    def __str__(self) -> str:
        return f"Pullback({self.op})"


def tensor_like(shape: Sequence[int], *inputs: Variable) -> tuple[TensorType]:
    """The type of a tensor of ``shape``, of the dtype that ``inputs`` have together."""
    return (TensorType(upcast(*(v.type.dtype for v in inputs)), tuple(shape)),)


def require_ndim(op: Op, name: str, variable: Variable, ndim: int) -> None:
    """Raise :class:`ShapeError` unless ``variable`` has ``ndim`` dimensions."""
    if not is_tensor(variable) or variable.type.ndim != ndim:
        raise ShapeError(
            f"{op} got a wrong `{name}`",
            path=current_path(),
            expected=f"{ndim} dimension{'s' * (ndim != 1)}",
            got=shape_text(variable.type.shape) if is_tensor(variable) else str(variable.type),
            fix=f"reshape `{name}` to {ndim} dimension{'s' * (ndim != 1)}",
        )


def require_size(op: Op, name: str, variable: Variable, axis: int, size: int | None) -> None:
    """Raise :class:`ShapeError` unless ``variable`` can have ``size`` entries along ``axis``."""
    shape = variable.type.shape
    if not compatible(shape[axis], size):
        wanted: list[int | None] = [None] * len(shape)
        wanted[axis] = size
        raise ShapeError(
            f"{op} got a wrong `{name}`",
            path=current_path(),
            expected=shape_text(wanted),
            got=shape_text(shape),
            fix=f"`{name}` needs {size} entries along axis {axis}",
        )
