"""Trainer: builds the training graph of a Module and compiles its programs.

It chooses passes and asks the backend for programs; it never looks at layers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from itertools import islice
from typing import Any, Self

from aesara.graph.basic import Variable
from aesara.tensor.type import TensorType

from aeframe.backends import Backend, Program, as_backend, to_numpy
from aeframe.backends.run import cached
from aeframe.core.arguments import count
from aeframe.core.cells import Parameter, Store
from aeframe.core.checks import Check, checks_of
from aeframe.core.errors import ArgumentError, StateError
from aeframe.core.module import Module
from aeframe.core.structure import walk
from aeframe.rewrites import inference
from aeframe.train.batch import Batch, Options
from aeframe.train.callbacks import Callback
from aeframe.train.checkpoint import save
from aeframe.train.data import Feed, Rows, as_feed, given_together, names_of, require_class_weight
from aeframe.train.graph import loss_graph, takes_weight, target_check, with_step
from aeframe.train.history import History
from aeframe.train.loop import Plan, Tally, in_order, run
from aeframe.train.metrics import Metric
from aeframe.train.optimizers import Optimizer

Loss = Callable[..., Variable]


class Trainer:
    """What ``model.compile(...)`` sets up and ``model.fit(...)`` runs.

    Parameters
    ----------
    module
        The model; its last input in ``fit`` is the target.
    optimizer
        For instance ``Adam(1e-3)``.
    loss
        ``loss(prediction, target, weight=None)``, a scalar: Σ w l / Σ w. A loss without
        ``weight`` takes no sample weights, and the last batch of an epoch then runs in its own
        shape.
    metrics
        What to report beside the loss.
    backend
        A name or a :class:`Backend`; JAX if none is current.
    seed
        Of parameters, dropout and the order of rows.

    Attributes
    ----------
    epoch, step
        Epochs trained so far, and steps in the epoch that is going on.
    history
        The logs of the last ``fit``.
    log_names
        What the logs of this ``fit`` are called.
    stop
        Set it in a callback to end ``fit`` after the step or epoch that is going on.

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
        self.metrics, self.seed = tuple(metrics), count("seed", seed, 0)
        self.log_names = self.names(False)
        if len(set(self.log_names)) < len(self.log_names):
            raise ArgumentError(
                "two logs have one name",
                got=", ".join(self.log_names),
                fix="give one of the metrics another `name`",
            )
        self.weighs = all(map(takes_weight, (loss, *(m.terms for m in metrics))))
        self.backend = as_backend(backend)
        module._backend = self.backend  # type: ignore[attr-defined]
        self.epoch, self.step, self.stop, self.history = 0, 0, False, History()
        self.tally, self.identity = Tally(self), dict[str, Any]()
        self.callbacks: tuple[Callback, ...] = ()
        self.counts: tuple[int, ...] = ()
        self._programs: dict[Any, Program] = {}
        self._checks: dict[Program, list[Check]] = {}
        self._inputs: dict[Program, tuple[TensorType, ...]] = {}
        self._parameters: list[Parameter] = []

    @property
    def store(self) -> Store:
        """All cells: the model's, and the optimizer's under ``optimizer``."""
        own = {f"optimizer.{p}": c for p, c in walk(self.optimizer) if hasattr(c, "initialize")}
        return Store({**self.module.store, **own})

    def copy_for(self, module: Module) -> Self:
        """A Trainer of ``module``, which shares its cells with this one's, set up alike."""
        other = copy(self)
        other.module, other.history, other.tally = module, History(), Tally(other)
        other._programs, other._checks, other._inputs, other._parameters = {}, {}, {}, []
        return other

    def _keep_up(self) -> None:
        """Forget all programs when the structure of the model is another one."""

        def parameters() -> list[Parameter]:
            return [c for _, c in walk(self.module) if isinstance(c, Parameter)]

        found = cached(self.module, ("parameters",), self.backend, parameters)
        if found is not self._parameters:
            self._parameters = found
            self._programs, self._checks, self._inputs = {}, {}, {}

    def program(self, kind: str, batch: Batch) -> Program:
        """The program ``train`` or ``evaluate`` for batches of this shape, compiled once.

        It is made anew when the structure of the model, or what is frozen, has changed.
        """
        self._keep_up()
        signature = (kind, batch.extras, *[(s, a.dtype) for s, a in batch.shapes()])
        program = self._programs.get((*signature, *[p.trainable for p in self._parameters]))
        if program is None:
            whole = self.backend.whole
            types = [TensorType(str(a.dtype), whole(s)) for s, a in batch.shapes()]
            graph, self.counts = loss_graph(
                self.module, self.loss, self.metrics, types, batch.extras
            )
            target = len(types) - len(batch.extras) - 1
            checks = [*checks_of(graph), *(target_check(m, target) for m in self.metrics)]
            for check in checks:  # before optimizer and backend have their say
                check(batch.single().arrays)
            train = kind == "train"
            graph = with_step(graph, self.module, self.optimizer) if train else inference(graph)
            if train:
                self.backend.require_cells(self.store)
            self.store.initialize(self.seed)
            program = self.backend.compile(graph.inputs, graph.outputs, dict(graph.updates))
            if not self._programs:  # the first call makes parameters whose shape was not known
                self._keep_up()
            key = (*signature, *(p.trainable for p in self._parameters))
            self._programs[key], self._checks[program] = program, checks
            self._inputs[program] = tuple(types[:target])
        self.module._last_call = ("__call__", self._inputs[program])  # type: ignore[attr-defined]
        return program

    def validate(self, program: Program, batch: Batch) -> None:
        """Let the typed Ops that take data directly refuse values that they must not be given."""
        for check in self._checks[program]:
            for step in range(batch.steps or 1):
                check(batch.single(step).arrays)

    def train_on_batch(self, *data: Any, sample_weight: Any = None) -> dict[str, Any]:
        """One step on one batch; the loss stays on the device until it is read."""
        weight = self._weight(sample_weight)
        rows = Rows(data, names_of(len(data)), self.module.find_dtype(), weight)
        (batch,) = rows.batches(self._options(len(rows)))
        program = self.program("train", batch)
        self.validate(program, batch)
        loss, _, *terms = program(*batch.arrays)
        return {"loss": loss} | self.values([to_numpy(t) for t in terms])

    def names(self, validation: bool) -> list[str]:
        """What the logs of an epoch are called."""
        names = ["loss", *(m.name for m in self.metrics)]
        return names + [f"val_{n}" for n in names] * validation

    def values(self, sums: Sequence[Any]) -> dict[str, Any]:
        """Each metric's value, from the sums of its terms."""
        parts = iter(sums)
        return {
            m.name: m.value(*islice(parts, n))
            for m, n in zip(self.metrics, self.counts, strict=True)
        }

    def fit(
        self,
        *data: Any,
        epochs: int = 1,
        batch_size: int = 32,
        shuffle: bool = True,
        sample_weight: Any = None,
        class_weight: Mapping[Any, float] | None = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        steps_per_epoch: int | None = None,
        steps_per_execution: int = 1,
        callbacks: Sequence[Callback] = (),
        resume: str | os.PathLike[str] | None = None,
        prefetch: int = 2,
        progress: bool = True,
    ) -> History:
        """Train on ``(x, ..., y)``; returns the :class:`History`.

        Parameters
        ----------
        data
            Inputs, then the target: arrays, lists, pandas frames or memory maps of one length. Or
            one iterable of batches ``(x, ..., y)`` or ``((x, ...), y, weight)``, which is iterated
            anew in each epoch.
        epochs, batch_size
            Passes over the data, and rows in a step. A shorter last batch is filled up with rows
            of weight 0; rows must not depend on each other then, other than by `BatchNorm`.
        shuffle
            Whether rows come in an order drawn anew each epoch, from the seed and the epoch.
        sample_weight
            (n,) or (n, t), for loss and metrics alike.
        class_weight
            Label → weight, for the loss; 1 for labels that are not in it.
        validation_split
            Share of the last rows to evaluate after each epoch, not to train on.
        validation_data
            ``(x, ..., y)``, ``((x, ...), y, weight)`` or an iterable of batches, to evaluate
            after each epoch.
        steps_per_epoch
            Ends an epoch early. An iterable then goes on in the next epoch where it stopped.
        steps_per_execution
            Steps that run as one program.
        callbacks
            See :class:`aeframe.train.Callback`.
        resume
            A checkpoint to go on from: the same numbers as if training had never stopped.
        prefetch
            Batches of iterables and memory maps that a thread makes ahead; 0 for no thread.
        progress
            Whether to show a bar, where there is a terminal.

        Raises
        ------
        DataError
            When the data holds NaN, labels out of range, or arrays of different lengths.
        FileError
            When ``resume`` is no checkpoint of this model and data.
        """
        dtype = self.module.find_dtype()
        feed = as_feed(data, dtype, self._weight(sample_weight))
        validation = None if validation_data is None else given_together(validation_data, dtype)
        if validation is None and validation_split:
            feed, validation = feed.split(validation_split)
        return run(
            self,
            Plan(
                feed=feed,
                options=self._options(batch_size, class_weight),
                validation=validation,
                epochs=count("epochs", epochs),
                shuffle=shuffle,
                steps=None
                if steps_per_epoch is None
                else count("steps_per_epoch", steps_per_epoch),
                together=count("steps_per_execution", steps_per_execution),
                callbacks=in_order(callbacks),
                resume=resume,
                prefetch=0 if feed.checked else count("prefetch", prefetch, 0),
                progress=progress,
            ),
        )

    def evaluate(
        self, *data: Any, batch_size: int = 256, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Loss and metrics on data or an iterable of batches, in the inference phase."""
        dtype = self.module.find_dtype()
        return self.measure(as_feed(data, dtype, self._weight(sample_weight)), batch_size)

    def measure(self, feed: Feed, batch_size: int) -> dict[str, Any]:
        """What :meth:`evaluate` returns, for data that is a :class:`Feed`."""
        tally, whole = Tally(self), feed.whole()
        for i, batch in enumerate(feed.batches(self._options(batch_size))):
            program = self.program("evaluate", batch)
            if i == 0 or whole is None:
                self.validate(program, whole or batch)
            tally.add(program(*batch.arrays))
        return tally.logs()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a checkpoint that ``fit(..., resume=path)`` goes on from, atomically."""
        save(self, path)

    def _options(self, size: int, class_weight: Mapping[Any, float] | None = None) -> Options:
        if class_weight is not None:
            require_class_weight(class_weight)
        weight, multiple = self._weight(class_weight), self.backend.multiple
        size = count("batch_size", size)
        return Options(self.module.find_dtype(), size, self.weighs, weight, multiple)

    def _weight(self, weight: Any) -> Any:
        """``weight``, if loss and metrics can take it."""
        if weight is not None and not self.weighs:
            raise ArgumentError(
                "weights need a loss and metrics that take them",
                expected="loss(prediction, target, weight=None)",
                got=getattr(self.loss, "__name__", repr(self.loss)),
                fix="give it a parameter `weight`, and return Σ w l / Σ w",
            )
        return weight


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
