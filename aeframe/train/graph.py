"""The training graph of a Module: loss and metrics with weights, then one optimizer step."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import aesara.tensor as at
from aesara.graph.basic import Variable
from aesara.tensor.type import TensorType

from aeframe.core.cells import Parameter, cells
from aeframe.core.checks import Check
from aeframe.core.errors import ArgumentError, GradientError, StateError
from aeframe.core.grad import grad, is_float
from aeframe.core.graph import Graph
from aeframe.core.module import Module, flatten
from aeframe.core.places import plain_errors, without_truth
from aeframe.core.structure import walk
from aeframe.core.trace import tracing
from aeframe.nn.rules import mask_rows
from aeframe.rewrites import finish, interpret
from aeframe.rewrites.standard import record
from aeframe.train.batch import CLASS_WEIGHT, ROWS, WEIGHT
from aeframe.train.data import names_of
from aeframe.train.metrics import Metric
from aeframe.train.optimizers import Optimizer


def loss_graph(
    module: Module,
    loss: Callable[..., Variable],
    metrics: Sequence[Metric],
    types: Sequence[TensorType],
    extras: Sequence[str] = (),
) -> tuple[Graph, tuple[int, ...]]:
    """The graph of the loss, the weight of the batch and the terms of the metrics.

    Parameters
    ----------
    types
        Of inputs, target and extras.
    extras
        What comes after the target, see :class:`aeframe.train.batch.Batch`.

    Returns
    -------
    graph, counts
        The training graph, and how many terms each metric has.

    Raises
    ------
    ArgumentError
        When the model does not take that many inputs, returns nothing, or several outputs to a
        loss that takes one.
    GradientError
        When the loss is not a scalar.
    """
    n = len(types) - len(extras)
    names = [*names_of(n), *extras]
    inputs = [without_truth(t(name=name)) for t, name in zip(types, names, strict=True)]
    *arguments, target = inputs[:n]
    _require_arguments(module, arguments)
    given = dict(zip(extras, inputs[n:], strict=True))
    rows = types[0].shape[0]
    mask, weight, emphasis = _weights(given, module.find_dtype())
    with tracing() as trace, plain_errors():
        prediction = module(*arguments)
        outputs = list(flatten(prediction))
        try:
            cost = loss(prediction, target, **_named(emphasis))
            terms = [m.terms(prediction, target, **_named(weight)) for m in metrics]
        except Exception as error:
            if isinstance(prediction, Variable):
                raise
            raise _several(module, len(outputs)) from error
    if not isinstance(cost, Variable) or not is_float(cost) or cost.type.ndim != 0:
        raise GradientError(
            f"the loss {getattr(loss, '__name__', loss)} is not a scalar",
            expected="one floating-point number for a batch",
            got=str(getattr(cost, "type", type(cost).__name__)),
            fix="take `.mean()` of it",
        )
    total = at.as_tensor(rows) if emphasis is None else emphasis.sum()
    results = (cost, total.astype(cost.type.dtype), *(t for each in terms for t in each))
    late = tuple(trace.late)
    graph = interpret(Graph(tuple(inputs), results, dict(trace.updates), late=late))
    counts = tuple(map(len, terms))
    return (graph if mask is None else mask_rows(graph, mask)), counts


def _several(module: Module, n: int) -> ArgumentError:
    return ArgumentError(
        f"{type(module).__name__} does not return one tensor, which the loss or a metric needs",
        expected="one prediction",
        got=f"{n} outputs",
        fix="return the prediction alone, or write a loss that takes all outputs",
    )


def _require_arguments(module: Module, arguments: Sequence[Variable]) -> None:
    try:
        inspect.signature(module.__call__).bind(*arguments)
    except TypeError as error:
        raise ArgumentError(
            f"{type(module).__name__} does not take {len(arguments)} inputs: {error}",
            expected="its inputs, then the target",
            got=f"{len(arguments) + 1} arrays",
            fix="pass weights as `sample_weight`, or in batches as `((x, ...), y, weight)`",
        ) from error


def _named(weight: Variable | None) -> dict[str, Variable]:
    return {} if weight is None else {"weight": weight}


def _weights(given: Mapping[str, Variable], dtype: str) -> list[Variable | None]:
    """Of rows (0 where they are padding), for metrics, for the loss; ``None`` where all are 1."""
    mask = given[ROWS].astype(dtype) if ROWS in given else None
    weight = _product(given.get(WEIGHT), mask)
    return [mask, weight, _product(weight, given.get(CLASS_WEIGHT))]


def _product(a: Variable | None, b: Variable | None) -> Variable | None:
    """(n,) or (n, t), times (n,) or (n, t)."""
    if a is None or b is None:
        return b if a is None else a
    ndim = max(a.type.ndim, b.type.ndim)
    return at.shape_padright(a, ndim - a.type.ndim) * at.shape_padright(b, ndim - b.type.ndim)


def takes_weight(function: Callable[..., Any]) -> bool:
    """Whether a loss, or the terms of a metric, have a parameter called ``weight``.

    >>> takes_weight(lambda prediction, target: None)
    False
    """
    try:
        return "weight" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # a builtin that does not say
        return False


def trained(module: Module, graph: Graph) -> dict[str, Parameter]:
    """The parameters of ``module`` that are in ``graph`` and not frozen, by path.

    Raises
    ------
    StateError
        When there are none.
    """
    used = set(cells(graph.results))
    found = {
        p: c
        for p, c in module.store.items()
        if isinstance(c, Parameter) and c.trainable and c in used
    }
    if not found:
        raise StateError(
            "there is nothing to train",
            path=type(module).__name__,
            fix="make a Parameter of what is to be learned, or unfreeze some",
        )
    return found


def with_step(graph: Graph, module: Module, optimizer: Optimizer) -> Graph:
    """``graph`` with one optimizer step among its updates, on the unconstrained scale."""
    graph, reports = finish(graph, training=True)
    record(module, reports)
    parameters = trained(module, graph)
    _claim(optimizer, module)
    optimizer.prepare(parameters)
    free = {c: c.support.inverse(c, at) for c in parameters.values()}
    bounded = {c: c.support.forward(u) for c, u in free.items() if u is not c}
    cost = graph.replay(bounded).outputs[0] if bounded else graph.outputs[0]
    gradients = grad(cost, list(free.values()))
    moved, slots = optimizer.updates(list(parameters), list(free.values()), gradients)
    values = {c: c.support.forward(u) for c, u in zip(parameters.values(), moved, strict=True)}
    return Graph(graph.inputs, graph.outputs, {**graph.updates, **values, **slots})


def _claim(optimizer: Optimizer, module: Module) -> None:
    """Raise :class:`ArgumentError` when ``optimizer`` trains other cells than those of ``module``.

    Slots are found by path: those of another model would be taken for those of this one.
    """
    for part in (part for _, part in walk(optimizer) if isinstance(part, Optimizer)):
        owner = vars(part).setdefault("_module", module)
        if owner is not module and _cells(owner) != _cells(module):
            raise ArgumentError(
                "this optimizer already trains another model",
                got=f"the {type(part).__name__} of a {type(owner).__name__}",
                fix="make a new one",
            )


def _cells(module: Module) -> list[int]:
    return [id(cell) for cell in module.store.values()]


def target_check(metric: Metric, place: int) -> Check:
    """What ``metric`` has to say about the array of targets, which is at ``place``."""
    return lambda arrays: metric.validate(arrays[place])
