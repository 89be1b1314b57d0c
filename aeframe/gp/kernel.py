"""Kernels as Modules: a kernel is declared by its parameters and one formula.

``k1 + k2`` and ``k1 * k2`` build larger ones, ``Warped(module, k)`` puts a Module before one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from inspect import Parameter as Argument
from inspect import Signature
from types import new_class
from typing import Any, ClassVar, cast

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Constant, Variable
from numpy.typing import ArrayLike

from aeframe.core import Module, Parameter, Positive, Support, TypedOp, cells, outline, replay
from aeframe.core.errors import ArgumentError, DataError, ShapeError, StateError, nearest
from aeframe.core.graph import leaves
from aeframe.core.module import graph_method
from aeframe.core.shapes import evaluate, is_tensor, shape_text
from aeframe.core.trace import current_path
from aeframe.gp.ops import (
    KernelOp,
    KernelType,
    LeafKernelOp,
    ProductKernelOp,
    SumKernelOp,
    WarpedKernelOp,
    gram,
)
from aeframe.gp.starts import Start, near_default


@dataclass(frozen=True)
class Hyper:
    """A parameter that a kernel declares, see :func:`hyper`."""

    default: float
    support: Support = field(default_factory=Positive)
    start: Start = near_default
    per_input: bool = False


@dataclass(frozen=True)
class Setting:
    """A value of a kernel that is not learned, see :func:`setting`."""

    default: Any


def hyper(
    default: float,
    support: Support = Positive(),  # noqa: B008 (frozen)
    *,
    start: Start = near_default,
    per_input: bool = False,
) -> Any:
    """Declare a parameter of a kernel.

    Parameters
    ----------
    default
        Its value unless another is given.
    support
        The set it stays in.
    start
        How optimizers draw a first value from the data, see :mod:`aeframe.gp.starts`.
    per_input
        Whether it may be a vector, with one entry for each input column.
    """
    return Hyper(default, support, start, per_input)


def setting(default: Any) -> Any:
    """Declare a value that is fixed with the kernel, such as the degree of a polynomial."""
    return Setting(default)


class Kernel(Module):
    """A covariance function.

    A kernel of your own is one class: its parameters and its formula, which gets inputs ``x``
    (n, d) and ``z`` (m, d) and returns (n, m). ``z is x`` in a symmetric Gram matrix.

    >>> class Cosine(Kernel):
    ...     period = hyper(1.0)
    ...     columns = 1
    ...     def formula(self, x, z):
    ...         return at.cos(2 * np.pi * (x - z.T) / self.period)
    >>> k = Cosine(period=2.0) + Cosine()
    >>> print(k)
    Cosine + Cosine
    >>> k(np.array([[0.0], [1.0]]))
    array([[2., 0.],
           [0., 2.]])

    Attributes
    ----------
    columns
        The number of input columns it takes; ``None``: any.
    hypers, settings
        What the class declares, by name.
    """

    dtype = "float64"
    columns: ClassVar[int | None] = None
    hypers: ClassVar[dict[str, Hyper]] = {}
    settings: ClassVar[dict[str, Setting]] = {}
    leaf_op: ClassVar[Callable[..., LeafKernelOp]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = vars(cls)
        for name, value in own.items():
            if isinstance(value, Hyper | Setting) and hasattr(Kernel, name):
                raise ArgumentError(
                    f"a kernel cannot have a parameter called {name!r}: every kernel has a {name}",
                    path=cls.__name__,
                    fix="choose another name",
                )
        cls.hypers = cls.hypers | {k: v for k, v in own.items() if isinstance(v, Hyper)}
        cls.settings = cls.settings | {k: v for k, v in own.items() if isinstance(v, Setting)}
        if "formula" in own:
            cls.leaf_op = _leaf_op(cls)
            cls.__signature__ = _signature(cls)  # type: ignore[attr-defined]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        try:
            given = _signature(type(self)).bind(*args, **kwargs).arguments
        except TypeError as error:
            unknown = [k for k in kwargs if k not in {**self.hypers, **self.settings}]
            raise ArgumentError(
                f"wrong arguments for {type(self).__name__}: {error}",
                expected=str(_signature(type(self))),
                fix=nearest(unknown[0], [*self.hypers, *self.settings]) if unknown else None,
            ) from error
        for name, declared in self.hypers.items():
            try:
                setattr(self, name, _parameter(given.get(name, declared.default), declared))
            except DataError as error:
                raise DataError(
                    error.problem,
                    path=f"{type(self).__name__}.{name}",
                    expected=error.expected,
                    got=error.got,
                ) from error
        for name, other in self.settings.items():
            setattr(self, name, given.get(name, other.default))

    def formula(self, x: Variable, z: Variable) -> Variable:
        """The Gram matrix (n, m) of ``x`` (n, d) and ``z`` (m, d)."""
        raise NotImplementedError(f"{type(self).__name__} has no formula")

    @property
    def op(self) -> LeafKernelOp:
        """The typed Op of this leaf; equal for equal settings."""
        return self.leaf_op(**{name: getattr(self, name) for name in self.settings})

    @property
    def parts(self) -> tuple[Kernel, ...]:
        """The kernels that this one combines; none for a leaf."""
        return ()

    @graph_method
    def expression(self, width: int | None = None) -> Variable:
        """The kernel as a variable; ``width`` is that of its inputs, where it is known."""
        return self.op(*(getattr(self, name) for name in self.hypers))

    def __call__(self, x: Variable, z: Variable | None = None) -> Variable:
        """The Gram matrix of ``x`` with itself, or of ``x`` and ``z``: (n, d), (m, d) → (n, m)."""
        x = as_columns(x)
        kernel = self.expression(x.type.shape[1])
        return gram(kernel, x, None if z is None else as_columns(z))

    def __add__(self, other: Kernel) -> Kernel:
        return Sum(self, other) if isinstance(other, Kernel) else NotImplemented

    def __mul__(self, other: Kernel) -> Kernel:
        return Product(self, other) if isinstance(other, Kernel) else NotImplemented

    def __str__(self) -> str:
        return type(self).__name__


def _signature(cls: type[Kernel]) -> Signature:
    defaults = {name: h.default for name, h in cls.hypers.items()}
    defaults |= {name: s.default for name, s in cls.settings.items()}
    kind = Argument.POSITIONAL_OR_KEYWORD
    return Signature([Argument(name, kind, default=value) for name, value in defaults.items()])


def _leaf_op(cls: type[Kernel]) -> type[LeafKernelOp]:
    """The typed Op of a kernel class, found by files and pickles as its attribute ``leaf_op``."""
    contents = {
        "__doc__": f"The leaf of :class:`{cls.__name__}`.",
        "__module__": cls.__module__,
        "__qualname__": f"{cls.__qualname__}.leaf_op",
        "__props__": tuple(cls.settings),
        "__str__": LeafKernelOp.__str__,
        "module": cls,
    }
    made = new_class(f"{cls.__name__}Op", (LeafKernelOp,), exec_body=lambda d: d.update(contents))
    return cast("type[LeafKernelOp]", made)


def _parameter(value: Any, declared: Hyper) -> Variable:
    if isinstance(value, Variable):
        return value
    return Parameter(np.asarray(value, dtype="float64"), support=declared.support)


def as_columns(x: Variable) -> Variable:
    """Inputs as a matrix of floats: a vector becomes one column."""
    x = at.as_tensor_variable(x)
    if x.type.ndim not in (1, 2):
        raise ShapeError(
            "the inputs of a kernel are a matrix, or a vector for one column",
            path=current_path(),
            expected="(n, d) or (n,)",
            got=shape_text(x.type.shape),
            fix="`x.reshape(n, d)`",
        )
    if not x.type.dtype.startswith("float"):
        x = x.astype("float64")
    return x if x.type.ndim == 2 else x.dimshuffle(0, "x")


class _Combined(Kernel):
    """A kernel made of others."""

    combined_by: ClassVar[Callable[..., KernelOp]]

    def __init__(self, *kernels: Kernel) -> None:
        self.kernels: list[Kernel] = []
        for k in kernels:
            if not isinstance(k, Kernel):
                raise ArgumentError(f"{type(self).__name__} takes kernels", got=repr(k))
            self.kernels += k.kernels if type(k) is type(self) and not k.passes else [k]
        if not self.kernels:
            raise ArgumentError(f"{type(self).__name__} of no kernels")

    @property
    def parts(self) -> tuple[Kernel, ...]:
        """The kernels that this one combines."""
        return tuple(self.kernels)

    @graph_method
    def expression(self, width: int | None = None) -> Variable:
        """The kernel as a variable."""
        return self.combined_by()(*(k.expression(width) for k in self.kernels))


class Sum(_Combined):
    """The sum of kernels, ``k1 + k2``; sums inside are taken apart."""

    combined_by = SumKernelOp

    def __str__(self) -> str:
        return " + ".join(map(str, self.kernels))


class Product(_Combined):
    """The product of kernels, ``k1 * k2``; products inside are taken apart."""

    combined_by = ProductKernelOp

    def __str__(self) -> str:
        return " * ".join(f"({k})" if isinstance(k, Sum) else str(k) for k in self.kernels)


class Warped(Kernel):
    """A Module before a kernel, k(f(x), f(z)): a deep kernel.

    Parameters
    ----------
    module
        Called on the inputs (n, d), it returns new ones (n, e). Its parameters are learned with
        those of the kernel.
    kernel
        Takes what the Module returns.

    >>> class Log(Module):
    ...     def __call__(self, x):
    ...         return at.log(x)
    >>> from aeframe.gp.kernels import Linear
    >>> Warped(Log(), Linear())(np.array([1.0, np.e])).round(3)
    array([[0., 0.],
           [0., 1.]])
    """

    def __init__(self, module: Module, kernel: Kernel) -> None:
        if not isinstance(module, Module) or not isinstance(kernel, Kernel):
            raise ArgumentError("Warped takes a Module and a kernel", got=f"{module!r}, {kernel!r}")
        self.module, self.kernel = module, kernel
        self.input_width: int | None = None

    @property
    def parts(self) -> tuple[Kernel, ...]:
        """The kernel behind the Module."""
        return (self.kernel,)

    @graph_method
    def expression(self, width: int | None = None) -> Variable:
        """The kernel as a variable; the width of its inputs must be known by now."""
        if width is None:
            width = self.input_width
        if width is None:
            raise StateError(
                "the width of the inputs of a Module before a kernel is not known yet",
                path=current_path(),
                fix="call the kernel on data once",
            )
        self.input_width = width
        x = at.TensorType("float64", (None, width))("x")
        y = as_columns(self.module(x))
        used = [c for c in leaves([y]) if c is not x]
        function = outline([x, *used], [y], type(self.module).__name__)
        inner = self.kernel.expression(y.type.shape[1])
        return WarpedKernelOp(function, width)(inner, *used)

    def __str__(self) -> str:
        return f"Warped({type(self.module).__name__}, {self.kernel})"


class Function(Module):
    """A typed Op and the values of its parameters, as a Module: what rewrites leave of one."""

    def __init__(self, op: TypedOp, *parameters: Variable) -> None:
        self.op, self.parameters = op, list(parameters)

    def __call__(self, x: Variable) -> Variable:
        """The Op on ``x`` and the parameters."""
        return self.op(x, *self.parameters)


def leaf_kernels(kernel: Kernel) -> Iterator[Kernel]:
    """The leaves of a kernel, from left to right."""
    if not kernel.parts:
        yield kernel
    for part in kernel.parts:
        yield from leaf_kernels(part)


def to_kernel(variable: Variable, new: Mapping[Variable, Variable] | None = None) -> Kernel:
    """The Modules that a kernel expression stands for, after rules have rewritten it.

    Parameters are taken over; what rules computed from parameters alone becomes a parameter.

    Parameters
    ----------
    variable
        What :meth:`Kernel.expression` returned, or what rules made of it.
    new
        Cell → the cell to use in its place, for a kernel with cells of its own.

    >>> from aeframe.gp.kernels import SE, Linear
    >>> print(to_kernel((SE() * Linear() + SE()).expression()))
    SE * Linear + SE
    """
    if not isinstance(variable.type, KernelType) or variable.owner is None:
        raise ArgumentError(
            "not the expression of a kernel", expected="kernel.expression()", got=str(variable)
        )
    op, inputs = variable.owner.op, variable.owner.inputs
    new = new or {}
    if isinstance(op, LeafKernelOp):
        values = zip(op.module.hypers.items(), inputs, strict=True)
        hypers = {name: _leaf_value(v, declared, new) for (name, declared), v in values}
        return op.module(**hypers, **{p: getattr(op, p) for p in op.__props__})
    kernels = [to_kernel(v, new) for v in inputs if isinstance(v.type, KernelType)]
    if isinstance(op, WarpedKernelOp):
        warped = Warped(Function(op.function, *(new.get(v, v) for v in inputs[1:])), kernels[0])
        warped.input_width = op.width
        return warped
    return Sum(*kernels) if isinstance(op, SumKernelOp) else Product(*kernels)


def _leaf_value(variable: Variable, declared: Hyper, new: Mapping[Variable, Variable]) -> Any:
    """A parameter of a leaf: taken over, or computed where rules made it of cells."""
    if variable in new:
        return new[variable]
    if variable.owner is None and not isinstance(variable, Constant):
        return variable
    value = current_value(variable)
    return variable if value is None else Parameter(value, support=declared.support)


def current_value(variable: Variable) -> ArrayLike | None:
    """The value of an expression of cells and constants; ``None`` if it depends on more."""
    found = cells([variable])
    known = {c: at.constant(c.numpy()) for c in found if is_tensor(c)}
    (closed,) = replay([variable], known)
    return evaluate(closed)
