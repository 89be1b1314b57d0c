"""Module: a tree of plain attributes that lowers to a typed graph.

Subclass it, set attributes in ``__init__``, compute in ``__call__``. Called on symbolic input it
returns a symbolic result; called on arrays it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from functools import wraps
from typing import Any, Self, TypeVar

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Variable

from aeframe.core.cells import Cell, Parameter, Store
from aeframe.core.errors import ArgumentError, StateError, UnknownNameError, nearest
from aeframe.core.graph import Graph
from aeframe.core.places import plain_errors, settle
from aeframe.core.shapes import shape_or_name
from aeframe.core.structure import Structure, branches, walk
from aeframe.core.trace import calling, current_trace, tracing

M = TypeVar("M", bound=Callable[..., Any])


class Module(Structure):
    """Base class of everything a user builds: layers, kernels, circuits and models.

    Attributes are the structure: Modules, Parameters, numbers, strings, and lists and dicts of
    them. Parameters whose shape depends on the input are made at the first call. ``dtype`` is
    the floating-point dtype that arrays are given when the Module runs on them: its own, or that
    of its first part, or float64.

    A subclass declared with ``typed=True`` becomes one Apply of a typed Op of its name.

    >>> class Scale(Module):
    ...     def __init__(self, factor):
    ...         self.factor = Parameter(factor)
    ...     def __call__(self, x):
    ...         return self.factor * x
    >>> Scale(3.0)(np.array([1.0, 2.0]))
    array([3., 6.])
    """

    passes: tuple[Any, ...] = ()
    _last_output: str = ""
    __call__: Callable[..., Any]

    def __init_subclass__(cls, typed: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        call = vars(cls).get("__call__")
        if call is not None and not hasattr(call, "builds_graph"):
            method = _as_typed_op(call) if typed else call
            setattr(cls, "__call__", graph_method(method, "__call__"))  # noqa: B010

    def modules(self) -> dict[str, Module]:
        """Path → Module, this one (``""``) and all below it."""
        return {path: part for path, part in walk(self) if isinstance(part, Module)}

    @property
    def store(self) -> Store:
        """The cells of this tree by path; naming them is part of looking."""
        return Store({path: part for path, part in walk(self) if isinstance(part, Cell)})

    def init(self, seed: int = 0) -> Self:
        """Give every cell that has no value yet its first one; returns the Module itself."""
        self.store.initialize(seed)
        return self

    def freeze(self, path: str = "", frozen: bool = True) -> Self:
        """Keep the parameters at ``path`` (all, by default) out of training, or let them in again.

        Raises
        ------
        UnknownNameError
            When nothing has that path.
        """
        parts = dict(walk(self))
        if path not in parts:
            raise UnknownNameError("nothing has this path", path=path, fix=nearest(path, [*parts]))
        for _, part in walk(parts[path]):
            if isinstance(part, Parameter):
                part.trainable = not frozen
        return self

    def find_dtype(self) -> str:
        """The dtype that arrays get: this Module's own, or its first part's, or float64."""
        for _, part in walk(self):
            dtype = getattr(part, "dtype", None)
            if isinstance(part, Module) and isinstance(dtype, str):
                return dtype
        return "float64"

    def with_pass(self, new: Any) -> Self:
        """A Module that shares the cells of this one, its graph rewritten by one more pass.

        Once compiled for training it stays so: both have the same optimizer.

        Raises
        ------
        ArgumentError
            When ``new`` is no pass.
        """
        from aeframe.rewrites import Pass

        if not isinstance(new, Pass):
            raise ArgumentError(
                "not a pass", expected="an instance, such as nn.Bfloat16()", got=repr(new)
            )
        other = copy(self)
        other.passes = (*self.passes, new)
        for memory in ("_programs", "_lineage", "_saved_lineage"):
            other.__dict__.pop(memory, None)
        trainer = getattr(self, "_trainer", None)
        if trainer is not None:
            other._trainer = trainer.copy_for(other)
        return other

    def optimize(self, *rules: Any) -> Self:
        """The same numbers, faster: see :func:`aeframe.backends.optimize`.

        With ``rules``: the graph is rewritten by these, wherever they match.
        """
        from aeframe.backends import optimize

        return optimize(self, rules)

    def explain(self, *inputs: Any) -> Any:
        """What the passes do to the graph for these inputs (the last ones seen if none)."""
        from aeframe.rewrites import explain

        return explain(self, inputs)

    def fit(self, *data: Any, **options: Any) -> Any:
        """Learn from data; the options are those of :class:`aeframe.train.Trainer.fit`."""
        from aeframe.train import trainer_of

        return trainer_of(self).fit(*data, **options)

    def compile(self, **options: Any) -> Self:
        """Choose optimizer, loss, metrics and backend, see :class:`aeframe.train.Trainer`."""
        from aeframe.train import Trainer

        self._trainer = Trainer(self, **options)
        return self

    @property
    def history(self) -> Any:
        """The History of the last ``fit``, of its finished epochs if it was interrupted."""
        from aeframe.train import trainer_of

        return trainer_of(self).history

    def evaluate(self, *data: Any, **options: Any) -> Any:
        """Loss and metrics on data, by name."""
        from aeframe.train import trainer_of

        return trainer_of(self).evaluate(*data, **options)

    def predict(self, *data: Any, **options: Any) -> Any:
        """The outputs on data, in the inference phase; in batches if asked."""
        from aeframe.train import predict

        return predict(self, *data, **options)

    def train_on_batch(self, *data: Any, sample_weight: Any = None) -> Any:
        """One optimizer step; returns the logs, the loss on the device until it is read."""
        from aeframe.train import trainer_of

        return trainer_of(self).train_on_batch(*data, sample_weight=sample_weight)

    def summary(self) -> str:
        """A table of the tree: path, type, output of the last call and number of parameters."""
        from aeframe.core.summary import summary

        return summary(self)

    def view(self, *inputs: Any, path: str = "") -> Any:
        """The typed graph as one HTML page, see :class:`aeframe.core.view.View`.

        For these inputs, arrays or symbols (the last ones seen if none); of the Module at
        ``path`` alone, if given. ``model.view().save("model.html")`` writes it.
        """
        from aeframe.core.view import view

        return view(self, inputs, path)

    def save(self, path: Any) -> None:
        """Write structure and values to one file, see :func:`aeframe.core.files.save`."""
        from aeframe.core.files import save

        save(self, path)

    def load(self, path: Any) -> Self:
        """Read the values of a file into this Module of the same structure."""
        from aeframe.core.files import load_values

        load_values(self, path)
        return self

    def __repr__(self) -> str:
        inner = ", ".join(f"{k}={_short(v)}" for k, v in self.fields().items() if k != "passes")
        return f"{type(self).__name__}({inner})"


def _short(value: Any) -> str:
    if isinstance(value, Cell):
        data = value.data
        if data is not None and getattr(data, "size", 2) == 1:
            return f"{float(np.asarray(data).reshape(())):.4g}"
        return f"<{value.type}>"
    return repr(value)


def is_array(value: Any) -> bool:
    """Whether ``value`` is data to run on: arrays, frames, lists of numbers; not symbols."""
    if isinstance(value, Variable | Structure | str) or value is None:
        return False
    if isinstance(value, list):
        return not any(isinstance(v, Variable | Structure) for v in value)
    return hasattr(value, "__array__") and not np.isscalar(value)


def graph_method(method: M, name: str | None = None) -> M:
    """Make a method that builds a graph also run on arrays, and give its Applies their path.

    ``name`` is the attribute it is found under, where that is not the method's own name.
    """
    attribute = name or method.__name__

    @wraps(method)
    def call(self: Module, *args: Any, **kwargs: Any) -> Any:
        given = [*args, *kwargs.values()]
        if any(is_array(v) for v in given):
            if any(isinstance(v, Variable) for v in given):
                args = tuple(at.as_tensor(np.asarray(v)) if is_array(v) else v for v in args)
                kwargs = {
                    k: at.as_tensor(np.asarray(v)) if is_array(v) else v for k, v in kwargs.items()
                }
            else:
                from aeframe.backends import run

                return run(self, attribute, args, kwargs)
        trace = current_trace()
        inside = trace is not None and any(m is self for m in trace.stack)
        known = len(trace.sites) if trace else 0
        if trace is not None and trace.stack:
            settle(v for v in given if isinstance(v, Variable))
        before = {k: v for k, v in vars(self).items() if isinstance(v, Module | Cell)}
        with calling(self, path_of(self)), plain_errors():
            made = method(self, *args, **kwargs)
            _refuse_replaced(self, before)
            results = [v for v in _parts(made) if isinstance(v, Variable)]
            settle(results)
            if attribute == "__call__":
                self._last_output = ", ".join(shape_or_name(v) for v in results)
            if inside or not self.passes:  # a method of its own called it: the outer one rewrites
                return made
            return _rewritten(self, [v for v in given if isinstance(v, Variable)], made, known)

    call.builds_graph = True  # type: ignore[attr-defined]
    return call  # type: ignore[return-value]


def _refuse_replaced(module: Module, before: dict[str, Any]) -> None:
    """Raise :class:`StateError` when a call put a new part in the place of an old one."""
    for name, part in before.items():
        if vars(module).get(name) is not part:
            raise StateError(
                f"the call made a new `{name}`: its parameters would be drawn anew every time",
                path=path_of(module) or type(module).__name__,
                fix=f"make `self.{name}` once, in `__init__`",
            )


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _parts(part)
    else:
        yield value


def _rewritten(module: Module, inputs: list[Variable], made: Any, known: int) -> Any:
    """``made`` after the passes of ``module``; so are the sites after the first ``known``."""
    trace = current_trace()
    assert trace is not None
    sites = list(trace.sites)[known:]
    outputs = [*flatten(made), *(trace.sites[name] for name in sites)]
    graph = Graph(tuple(inputs), tuple(outputs), trace.updates)
    for each in module.passes:
        if each.late:
            trace.late += [each] if each not in trace.late else []
            continue
        graph, report = each(graph)
        trace.reports.append(report)
    trace.updates.clear()
    trace.updates.update(graph.updates)
    n = len(graph.outputs) - len(sites)
    trace.sites.update(zip(sites, graph.outputs[n:], strict=True))
    return unflatten(made, iter(graph.outputs[:n]))


def flatten(value: Any) -> Iterator[Variable]:
    """The variables of a nested result, in order.

    Raises
    ------
    ArgumentError
        When it holds something that is not symbolic.
    """
    if isinstance(value, Variable):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from flatten(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from flatten(part)
    else:
        raise ArgumentError(
            "a Module returned something that is not symbolic",
            expected="a variable, or a tuple, list or dict of them",
            got=type(value).__name__,
            fix="return the result of the computation on the inputs",
        )


def unflatten(like: Any, parts: Iterator[Any]) -> Any:
    """Put ``parts`` into the nesting of ``like``."""
    if isinstance(like, Variable):
        return next(parts)
    if isinstance(like, dict):
        return {k: unflatten(v, parts) for k, v in like.items()}
    made = [unflatten(v, parts) for v in like]
    if isinstance(like, tuple):
        return type(like)(*made) if hasattr(like, "_fields") else tuple(made)
    return made


def path_of(module: Module) -> str:
    """The path of ``module`` under the Module being called: ``layers[1]``."""
    trace = current_trace()
    if trace is None or not trace.stack:
        return ""
    parent, path = trace.stack[-1], trace.paths[-1]
    if parent is module:
        return path
    todo: list[tuple[str, Any]] = [("", parent)]
    while todo:
        name, value = todo.pop()
        if value is module:
            return (path + name).removeprefix(".")
        if value is parent or not isinstance(value, Structure):
            todo.extend((name + suffix, part) for suffix, part in branches(value))
    return f"{path}.{type(module).__name__}".removeprefix(".")


def lower(module: Module, *inputs: Variable, method: str = "__call__") -> Graph:
    """The typed graph of a Module's method on symbolic inputs: the training graph.

    >>> class Twice(Module):
    ...     def __call__(self, x):
    ...         return 2.0 * x
    >>> lower(Twice(), at.dvector("x")).outputs[0].type.dtype
    'float64'
    """
    graph, _, _ = lower_with_reports(module, inputs, {}, method)
    return graph


def lower_with_reports(
    module: Module, args: tuple[Any, ...], kwargs: dict[str, Any], method: str
) -> tuple[Graph, Any, list[Any]]:
    """The graph, the nesting of its outputs, and the reports of the passes that ran."""
    with tracing() as trace:
        made = getattr(module, method)(*args, **kwargs)
    inputs = tuple(v for v in (*args, *kwargs.values()) if isinstance(v, Variable))
    outputs = tuple(flatten(made))
    named = isinstance(made, dict) and len(made) == len(outputs)
    names = tuple(map(str, made)) if named else ()
    graph = Graph(inputs, outputs, dict(trace.updates), names, tuple(trace.late))
    return graph, made, trace.reports


def _as_typed_op(call: Callable[..., Any]) -> Callable[..., Any]:
    """The call of a Module declared ``typed=True``: its whole graph is one Apply."""

    @wraps(call)
    def typed_call(self: Module, *inputs: Variable) -> Any:
        from aeframe.core.outline import outline_call

        return outline_call(self, call, inputs)

    return typed_call
