"""Trainer: builds the training graph of a Module and runs the loop.

It chooses passes and asks the backend for programs; it never looks at layers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Variable
from aesara.tensor.type import TensorType

from aeframe.backends import Backend, Program, as_backend, run, to_numpy
from aeframe.core.cells import Parameter, Store, cells
from aeframe.core.errors import ArgumentError, GradientError, StateError
from aeframe.core.grad import grad, is_float
from aeframe.core.graph import Graph
from aeframe.core.module import Module
from aeframe.core.places import plain_errors, without_truth
from aeframe.core.progress import progress_bar
from aeframe.core.structure import walk
from aeframe.core.trace import tracing
from aeframe.rewrites import inference, interpret
from aeframe.train.data import Arrays, as_arrays, batches, validate
from aeframe.train.history import History
from aeframe.train.metrics import Metric
from aeframe.train.optimizers import Optimizer

Loss = Callable[[Variable, Variable], Variable]


class Trainer:
    """What ``model.compile(...)`` sets up and ``model.fit(...)`` runs.

    Parameters
    ----------
    module
        The model; its last input in ``fit`` is the target.
    optimizer
        For instance ``Adam(1e-3)``.
    loss
        ``loss(prediction, target)``, a scalar.
    metrics
        Averages to report beside the loss.
    backend
        A name or a :class:`Backend`; JAX if none is current.
    seed
        Of parameters, dropout and the order of rows.

    Raises
    ------
    ArgumentError
        When an argument is of the wrong kind.
    """

    def __init__(
        self,
        module: Module,
        optimizer: Optimizer,
        loss: Loss,
        metrics: Sequence[Metric] = (),
        backend: str | Backend | None = None,
        seed: int = 0,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise ArgumentError("not an optimizer", expected="ae.Adam(1e-3)", got=repr(optimizer))
        if not callable(loss):
            raise ArgumentError(
                "not a loss", expected="a function such as nn.softmax_cross_entropy", got=repr(loss)
            )
        if not isinstance(metrics, list | tuple):
            raise ArgumentError("metrics is a list", expected="[ae.Accuracy()]", got=repr(metrics))
        for metric in metrics:
            if not isinstance(metric, Metric):
                raise ArgumentError("not a metric", expected="ae.Accuracy()", got=repr(metric))
        self.module, self.optimizer, self.loss = module, optimizer, loss
        self.metrics, self.seed, self.epoch = tuple(metrics), seed, 0
        self.backend = as_backend(backend)
        module._backend = self.backend  # type: ignore[attr-defined]
        self.history = History()
        self._programs: dict[Any, Program] = {}
        self._parameters: list[Parameter] = []

    @property
    def store(self) -> Store:
        """All cells: the model's, and the optimizer's under ``optimizer``."""
        own = {f"optimizer.{p}": c for p, c in walk(self.optimizer) if hasattr(c, "initialize")}
        return Store({**self.module.store, **own})

    def graph(self, types: Sequence[TensorType]) -> Graph:
        """The training graph before the optimizer: loss and metric terms of one batch.

        Raises
        ------
        GradientError
            When the loss is not a scalar.
        """
        names = _names(len(types))
        inputs = [without_truth(t(name=n)) for t, n in zip(types, names, strict=True)]
        *arguments, target = inputs
        with tracing() as trace, plain_errors():
            prediction = self.module(*arguments)
            cost = self.loss(prediction, target)
            found = [m.terms(prediction, target) for m in self.metrics]
        self._counts, terms = [len(f) for f in found], [t for f in found for t in f]
        if not isinstance(cost, Variable) or not is_float(cost) or cost.type.ndim != 0:
            raise GradientError(
                f"the loss {getattr(self.loss, '__name__', self.loss)} is not a scalar",
                expected="one floating-point number for a batch",
                got=str(getattr(cost, "type", type(cost).__name__)),
                fix="take `.mean()` of it",
            )
        return interpret(Graph(tuple(inputs), (cost, *terms), dict(trace.updates)))

    def trained(self, graph: Graph) -> dict[str, Parameter]:
        """The parameters of the model that are in ``graph`` and not frozen, by path."""
        used = set(cells(graph.results))
        found = {
            p: c
            for p, c in self.module.store.items()
            if isinstance(c, Parameter) and c.trainable and c in used
        }
        if not found:
            raise StateError(
                "there is nothing to train",
                path=type(self.module).__name__,
                fix="make a Parameter of what is to be learned, or unfreeze some",
            )
        return found

    def with_step(self, graph: Graph) -> Graph:
        """``graph`` with one optimizer step among its updates, on the unconstrained scale."""
        parameters = self.trained(graph)
        self.optimizer.prepare(parameters)
        free = {c: c.support.inverse(c, at) for c in parameters.values()}
        bounded = {c: c.support.forward(u) for c, u in free.items() if u is not c}
        cost = graph.replay(bounded).outputs[0] if bounded else graph.outputs[0]
        gradients = grad(cost, list(free.values()))
        moved, slots = self.optimizer.updates(list(parameters), list(free.values()), gradients)
        values = {c: c.support.forward(u) for c, u in zip(parameters.values(), moved, strict=True)}
        return Graph(graph.inputs, graph.outputs, {**graph.updates, **values, **slots})

    def program(self, kind: str, arrays: Arrays) -> Program:
        """The program ``train`` or ``evaluate`` for arrays of these shapes, compiled once."""
        signature = (kind, *((a.shape, a.dtype) for a in arrays))
        program = self._programs.get((*signature, *(p.trainable for p in self._parameters)))
        if program is None:
            graph = self.graph([TensorType(str(a.dtype), a.shape) for a in arrays])
            validate(graph, arrays)
            graph = self.with_step(graph) if kind == "train" else inference(graph)
            self.store.initialize(self.seed)
            program = self.backend.compile(graph.inputs, graph.outputs, dict(graph.updates))
            self._parameters = [c for _, c in walk(self.module) if isinstance(c, Parameter)]
            key = (*signature, *(p.trainable for p in self._parameters))
            self._programs[key] = program
        return program

    def arrays(self, data: Sequence[Any]) -> Arrays:
        """Data checked and in the dtype of the model."""
        if len(data) < 2:
            raise ArgumentError("inputs and a target are needed", expected="x, y", got=len(data))
        return as_arrays(data, _names(len(data)), self.module.find_dtype())

    def train_on_batch(self, *data: Any) -> dict[str, Any]:
        """One step on one batch; the logs are read from the device when they are used."""
        arrays = self.arrays(data)
        loss, *terms = self.program("train", arrays)(*arrays)
        return {"loss": loss} | self._values([to_numpy(t) for t in terms])

    def fit(
        self,
        *data: Any,
        epochs: int = 1,
        batch_size: int = 32,
        validation_data: Sequence[Any] | None = None,
        progress: bool = True,
    ) -> History:
        """Train on ``(x, ..., y)``; returns the :class:`History`.

        Parameters
        ----------
        data
            Inputs, then the target; arrays of one length.
        epochs, batch_size
            Passes over the data, and rows in a step. The order of rows is drawn anew each epoch.
        validation_data
            A tuple ``(x, ..., y)`` to evaluate after each epoch.
        progress
            Whether to show a bar, where there is a terminal.

        Raises
        ------
        DataError
            When the data holds NaN, labels out of range, or arrays of different lengths.
        """
        for name, number in (("epochs", epochs), ("batch_size", batch_size)):
            if not isinstance(number, int) or number < 1:
                raise ArgumentError(
                    "a count is not a positive integer", expected=f"{name}=10", got=repr(number)
                )
        if validation_data is not None and not isinstance(validation_data, tuple | list):
            kind = type(validation_data).__name__
            raise ArgumentError("`validation_data` is a tuple", expected="(x, y)", got=kind)
        arrays = self.arrays(data)
        size = min(batch_size, len(arrays[0]))
        first = tuple(a[:size] for a in arrays)
        validate(self.graph([TensorType(str(a.dtype), a.shape) for a in first]), arrays)
        history = self.history = History()
        steps = -(-len(arrays[0]) // size)
        with progress_bar(epochs * steps, "fit", "step", progress) as bar:
            for _ in range(epochs):
                rng = np.random.default_rng([self.seed, self.epoch])
                order = rng.permutation(len(arrays[0]))
                logs = self._epoch(arrays, size, order, bar)
                if validation_data is not None:
                    found = self.evaluate(*validation_data, batch_size=batch_size)
                    logs |= {f"val_{name}": value for name, value in found.items()}
                self.epoch += 1
                history.append(logs)
                numbers = {k: f"{v:.4g}" for k, v in logs.items() if np.ndim(v) == 0}
                bar.set_postfix(numbers, refresh=False)
        return history

    def _epoch(self, arrays: Arrays, size: int, order: Any, bar: Any) -> dict[str, float]:
        results, weights, shown = [], [], time.monotonic()
        for batch in batches(arrays, size, order):
            results.append(self.program("train", batch)(*batch))
            weights.append(len(batch[0]))
            bar.update()
            if time.monotonic() - shown > 0.5:
                shown = time.monotonic()
                bar.set_postfix(loss=f"{float(to_numpy(results[-1][0])):.4g}", refresh=False)
        return self._logs(results, weights)

    def evaluate(self, *data: Any, batch_size: int = 256) -> dict[str, float]:
        """Loss and metrics on data, in the inference phase."""
        arrays = self.arrays(data)
        pieces = list(batches(arrays, min(batch_size, len(arrays[0]))))
        results = [self.program("evaluate", batch)(*batch) for batch in pieces]
        return self._logs(results, [len(batch[0]) for batch in pieces])

    def _logs(self, results: Sequence[Sequence[Any]], weights: Sequence[int]) -> dict[str, float]:
        """Averages over batches: of the loss by rows, of each metric by its own weight."""
        losses, *terms = zip(*results, strict=True)
        loss = np.average([float(to_numpy(v)) for v in losses], weights=weights)
        sums = [sum(to_numpy(v).astype("float64") for v in column) for column in terms]
        return {"loss": float(loss)} | self._values(sums)

    def _values(self, sums: Sequence[Any]) -> dict[str, Any]:
        """Each metric's value from the sums of its terms."""
        parts = iter(sums)
        return {
            m.name: m.value(*islice(parts, n))
            for m, n in zip(self.metrics, self._counts, strict=True)
        }


def predict(
    module: Module,
    *data: Any,
    batch_size: int | None = None,
    backend: str | Backend | None = None,
) -> Any:
    """The outputs of ``module`` on data, in the inference phase.

    Parameters
    ----------
    batch_size
        Rows of one call; all of them unless it is given. Rows must not depend on each other
        then. The last batch is filled up with its last row, so that it needs no program of its
        own.
    backend
        That of this call; without it the model's, or the current one.
    """
    names = _names(len(data) + 1)[:-1]
    arrays = as_arrays(data, names, module.find_dtype())
    n = len(arrays[0])
    if batch_size is None:
        return run(module, "__call__", arrays, backend=backend)
    size = min(batch_size, n)
    parts = []
    for batch in batches(arrays, size):
        missing = size - len(batch[0])
        filled = tuple(np.concatenate([a, np.repeat(a[-1:], missing, axis=0)]) for a in batch)
        parts.append(run(module, "__call__", filled, backend=backend))
    return _join(parts, [min(size, n - start) for start in range(0, n, size)])


def _join(parts: Sequence[Any], rows: Sequence[int]) -> Any:
    """The first ``rows`` of each part in a row, nested as the parts are."""
    first = parts[0]
    if isinstance(first, dict):
        return {key: _join([p[key] for p in parts], rows) for key in first}
    if isinstance(first, list | tuple):
        made = [_join(column, rows) for column in zip(*parts, strict=True)]
        return type(first)(*made) if hasattr(first, "_fields") else type(first)(made)
    if np.ndim(first) == 0 or len(first) != max(rows):
        raise ArgumentError(
            "an output has no row for each row of the data, so it cannot be put together",
            got=f"shape {np.shape(first)} for {max(rows)} rows",
            fix="leave `batch_size` out",
        )
    return np.concatenate([p[:k] for p, k in zip(parts, rows, strict=True)])


def trainer_of(module: Module) -> Trainer:
    """The Trainer that ``module.compile`` made.

    Raises
    ------
    StateError
        When the module has not been compiled.
    """
    trainer = getattr(module, "_trainer", None)
    if trainer is None:
        raise StateError(
            f"{type(module).__name__} has not been compiled",
            fix="model.compile(optimizer=ae.Adam(1e-3), loss=nn.softmax_cross_entropy)",
        )
    return trainer


def _names(n: int) -> list[str]:
    inputs = ["x"] if n == 2 else [f"x{i}" for i in range(n - 1)]
    return [*inputs, "y"]
