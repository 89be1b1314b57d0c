"""Kernels as typed Ops: leaves, sums, products and warped kernels, and their Gram matrix.

A kernel has no value of its own. :class:`GramOp` gives it one; rules push it down to the leaves
(:mod:`aeframe.gp.rules`), where :class:`LeafGramOp` computes the formula of one kernel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import numpy as np
from aesara.graph.basic import Apply, Variable
from aesara.scalar.basic import upcast
from aesara.tensor.type import TensorType

from aeframe.core import IntermediateOp, IntermediateType, TypedOp
from aeframe.core.errors import ArgumentError, IntermediateError, ShapeError
from aeframe.core.ops import as_variable, require_ndim, require_size
from aeframe.core.shapes import compatible, is_tensor, shape_text
from aeframe.core.trace import current_path

if TYPE_CHECKING:
    from aeframe.gp.kernel import Kernel


class KernelType(IntermediateType):
    """The type of covariance functions."""

    name = "kernel"
    hint = "apply the kernel to inputs: `kernel(x)` is its Gram matrix"

    def example(self, rng: np.random.Generator) -> Variable:
        """A sum of products of leaves, their parameters drawn at random."""
        from aeframe.gp import kernels

        leaves = (kernels.SE, kernels.Periodic, kernels.Linear, kernels.White)

        def leaf() -> Variable:
            made = leaves[rng.integers(len(leaves))]()
            values = [np.asarray(rng.uniform(0.5, 2.0)) for _ in made.hypers]
            return made.op.make_node(*values).outputs[0]

        def product() -> Variable:
            return leaf() if rng.random() < 0.5 else ProductKernelOp()(leaf(), leaf())

        return product() if rng.random() < 0.5 else SumKernelOp()(product(), product())

    def observe(self, variable: Variable, rng: np.random.Generator) -> list[Variable]:
        """Gram matrices of ``variable`` on random inputs: among 4, and between 4 and 3."""
        from aeframe.core import Graph
        from aeframe.rewrites import interpret

        x, z = (as_variable(rng.uniform(-2.0, 2.0, (n, 1))) for n in (4, 3))
        return list(interpret(Graph((), (gram(variable, x), gram(variable, x, z)))).outputs)


KERNEL = KernelType()


class KernelOp(IntermediateOp):
    """Base of the Ops that make a kernel."""

    out_type = KERNEL


class LeafKernelOp(KernelOp):
    """A kernel that is no combination of others; its inputs are its parameters.

    Each subclass of :class:`aeframe.gp.Kernel` that has a formula generates one.
    """

    module: ClassVar[type[Kernel]]

    def __init__(self, **settings: Any) -> None:
        for name, value in settings.items():
            setattr(self, name, value)

    def check(self, *parameters: Variable) -> None:
        """Each parameter is a scalar, or a vector where it has one entry per input column."""
        hypers = self.module.hypers
        if len(parameters) != len(hypers):
            raise ArgumentError(f"{self} got a wrong number of parameters", expected=list(hypers))
        for (name, hyper), value in zip(hypers.items(), parameters, strict=True):
            if not hyper.per_input or not is_tensor(value) or value.type.ndim != 1:
                require_ndim(self, name, value, 0)

    def formula(self, parameters: Sequence[Variable], x: Variable, z: Variable) -> Variable:
        """The Gram matrix of ``x`` and ``z``; they are one variable when it is symmetric."""
        bound = self.module.__new__(self.module)
        vars(bound).update(zip(self.module.hypers, parameters, strict=True))
        vars(bound).update({name: getattr(self, name) for name in self.__props__})
        return bound.formula(x, z)

    def require_width(self, node: Apply, width: int | None) -> None:
        """Raise :class:`ShapeError` unless the leaf ``node`` takes inputs of this width."""
        wanted = {self.module.columns} | {v.type.shape[0] for v in node.inputs if v.type.ndim == 1}
        for own in wanted:
            if not compatible(own, width):
                raise ShapeError(
                    f"the kernel {self} got inputs of the wrong width",
                    path=getattr(node.tag, "path", None) or current_path(),
                    expected=shape_text((None, own)),
                    got=shape_text((None, width)),
                    fix="choose the columns first, or give it one lengthscale for each column",
                )


class SumKernelOp(KernelOp):
    """The sum of kernels: (k₁ + k₂)(x, z) = k₁(x, z) + k₂(x, z)."""

    unordered = True

    def check(self, *parts: Variable) -> None:
        """Every part is a kernel."""
        _require_kernels(self, parts)


class ProductKernelOp(KernelOp):
    """The product of kernels: (k₁ · k₂)(x, z) = k₁(x, z) · k₂(x, z)."""

    unordered = True

    def check(self, *parts: Variable) -> None:
        """Every part is a kernel."""
        _require_kernels(self, parts)


class WarpedKernelOp(KernelOp):
    """A kernel behind a function: k(f(x), f(z)).

    Its inputs are the kernel and the function's parameters; ``function`` is the typed Op that
    maps (x, *parameters) to new inputs, ``width`` the width of x.
    """

    __props__ = ("function", "width")

    def __init__(self, function: TypedOp, width: int) -> None:
        self.function, self.width = function, width

    def check(self, kernel: Variable, *parameters: Variable) -> None:
        """The first input is a kernel."""
        _require_kernels(self, [kernel])

    def __str__(self) -> str:
        return f"Warped[{self.function}]"


def _require_kernels(op: IntermediateOp, parts: Sequence[Variable]) -> None:
    strays = [str(v.type) for v in parts if not isinstance(v.type, KernelType)]
    if strays or not parts:
        raise ArgumentError(
            f"{op} combines kernels", path=current_path(), expected="kernels", got=strays or None
        )


class GramOp(IntermediateOp):
    """The Gram matrix of a kernel: k, x → (n, n), or k, x, z → (n, m). Rules give it a meaning."""

    def make_node(self, *inputs: Any) -> Apply:
        """An Apply with the static shape (n, m); the kernel must fit the width of the inputs."""
        kernel, *points = (as_variable(v) for v in inputs)
        _require_kernels(self, [kernel])
        for name, points_variable in zip(("x", "z"), points, strict=False):
            require_ndim(self, name, points_variable, 2)
        x, z = points[0], points[-1]
        require_size(self, "z", z, 1, x.type.shape[1])
        width = x.type.shape[1] if x.type.shape[1] is not None else z.type.shape[1]
        dtypes = [p.type.dtype for p in points]
        for node in reached_by_inputs(kernel):
            if isinstance(node.op, WarpedKernelOp) and not compatible(node.op.width, width):
                raise ShapeError(
                    "the Module before a kernel got inputs of the wrong width",
                    path=getattr(node.tag, "path", None) or current_path(),
                    expected=shape_text((None, node.op.width)),
                    got=shape_text((None, width)),
                    fix=f"give it {node.op.width} columns",
                )
            if isinstance(node.op, LeafKernelOp):
                node.op.require_width(node, width)
            dtypes += [v.type.dtype for v in node.inputs if is_tensor(v)]
        shape = (x.type.shape[0], z.type.shape[0])
        node = Apply(self, [kernel, *points], [TensorType(upcast(*dtypes), shape)()])
        node.tag.path = current_path()
        return node

    def _refuse(self, node: Apply) -> NoReturn:
        raise IntermediateError(
            "a Gram matrix was run before the rules gave it a meaning",
            path=getattr(node.tag, "path", None),
            fix="call `aeframe.rewrites.interpret` on the graph first",
        )


def reached_by_inputs(kernel: Variable) -> Iterator[Apply]:
    """The Applies of ``kernel`` that see its inputs as they are: nothing behind a function."""
    todo = [kernel]
    while todo:
        node = todo.pop().owner
        if node is None:
            continue
        yield node
        if not isinstance(node.op, WarpedKernelOp):
            todo.extend(v for v in reversed(node.inputs) if isinstance(v.type, KernelType))


def gram(kernel: Variable, x: Variable, z: Variable | None = None) -> Variable:
    """The Gram matrix as an expression; with one argument it is that of ``x`` with itself."""
    return GramOp()(kernel, x) if z is None else GramOp()(kernel, x, z)


class LeafGramOp(TypedOp):
    """The Gram matrix of one leaf: its parameters, x → (n, n), or with z → (n, m).

    It is the unit that backends compile: every structure over the same leaves shares it.
    """

    __props__ = ("kernel",)

    def __init__(self, kernel: LeafKernelOp) -> None:
        self.kernel = kernel

    def body(self, *inputs: Variable) -> Variable:
        """The formula of the kernel."""
        n = len(self.kernel.module.hypers)
        parameters, points = inputs[:n], inputs[n:]
        return self.kernel.formula(parameters, points[0], points[-1])

    def __str__(self) -> str:
        return f"Gram[{self.kernel}]"
