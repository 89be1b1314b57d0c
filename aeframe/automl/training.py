"""How a network is trained, as a typed Op at the end of its graph, so that rules can change it."""

from __future__ import annotations

from typing import Any

from aesara.graph.basic import Variable

from aeframe.core.arguments import count, is_number
from aeframe.core.errors import ArgumentError, StateError, UnknownNameError, nearest
from aeframe.core.graph import Graph
from aeframe.core.ops import TypedOp
from aeframe.rewrites import INFERENCE, Definition, Pass, Prop, Report, Step, Var, term
from aeframe.train import SGD, Adam, AdamW, Lion, Optimizer, RMSprop

OPTIMIZERS: dict[str, Any] = {
    "Adam": lambda rate, decay: AdamW(rate, weight_decay=decay) if decay else Adam(rate),
    "SGD": lambda rate, decay: SGD(rate, momentum=0.9),
    "RMSprop": lambda rate, decay: RMSprop(rate),
    "Lion": lambda rate, decay: Lion(rate, weight_decay=decay),
}


class TrainingOp(TypedOp):
    """The identity on the output of a network; its hyperparameters say how to train it.

    ``optimizer`` is ``Adam``, ``SGD`` (momentum 0.9), ``RMSprop`` or ``Lion``; ``weight_decay``
    is decoupled, of Adam and Lion.
    """

    __props__ = ("optimizer", "learning_rate", "weight_decay", "batch_size")

    def __init__(
        self, optimizer: str, learning_rate: float, weight_decay: float, batch_size: int
    ) -> None:
        self.optimizer, self.learning_rate = optimizer, learning_rate
        self.weight_decay, self.batch_size = weight_decay, batch_size

    def body(self, y: Variable) -> Variable:
        """``y``."""
        return y

    def make_optimizer(self) -> Optimizer:
        """A new optimizer with these hyperparameters."""
        return OPTIMIZERS[self.optimizer](self.learning_rate, self.weight_decay)


INFERENCE.append(
    Definition(
        "training in inference",
        term(TrainingOp, **{p: Prop(p) for p in TrainingOp.__props__})(Var("y")),
        Var("y"),
    )
)


class Training(Pass):
    """The pass that ends a graph with a :class:`TrainingOp`.

    Parameters
    ----------
    optimizer
        ``Adam``, ``SGD``, ``RMSprop`` or ``Lion``.
    learning_rate, weight_decay, batch_size
        As those of the optimizer and of ``fit``.

    Raises
    ------
    ArgumentError, UnknownNameError
        When a value is impossible, or the optimizer is not one of the four.

    >>> Training(learning_rate=0.01).batch_size
    32
    """

    def __init__(
        self,
        optimizer: str = "Adam",
        learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        batch_size: int = 32,
    ) -> None:
        if optimizer not in OPTIMIZERS:
            raise UnknownNameError(
                f"rules know no optimizer {optimizer!r}",
                fix=nearest(str(optimizer), list(OPTIMIZERS)),
            )
        positive = {"learning_rate": learning_rate, "weight_decay": weight_decay}
        for name, value in positive.items():
            if not is_number(value) or value < 0 or (value == 0 and name == "learning_rate"):
                raise ArgumentError(f"`{name}` is a positive number", got=repr(value))
        self.optimizer, self.learning_rate = optimizer, float(learning_rate)
        self.weight_decay, self.batch_size = float(weight_decay), count("batch_size", batch_size)

    def __call__(self, graph: Graph) -> tuple[Graph, Report]:
        """``graph`` with the Op on its output.

        Raises
        ------
        ArgumentError
            When the model has several outputs.
        """
        if len(graph.outputs) != 1:
            raise ArgumentError(
                "growth rules work on models of one output",
                got=f"{len(graph.outputs)} outputs",
                fix="search over the part of the model that has one",
            )
        op = TrainingOp(self.optimizer, self.learning_rate, self.weight_decay, self.batch_size)
        out = op(graph.outputs[0])
        out.owner.tag.path = "training"
        results = [out, *graph.results[1:]]
        return graph.with_results(results), Report("training", (Step("training", "", "", str(op)),))


def training_of(graph: Graph) -> TrainingOp:
    """How the graph's network is to be trained.

    Raises
    ------
    StateError
        When it does not say.
    """
    owner = graph.outputs[0].owner if graph.outputs else None
    if owner is None or not isinstance(owner.op, TrainingOp):
        raise StateError(
            "the model does not say how to train it",
            fix="model.with_pass(automl.Training(learning_rate=1e-3))",
        )
    return owner.op
