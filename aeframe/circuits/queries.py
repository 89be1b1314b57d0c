"""Queries that go back down a circuit: the most probable explanation, and draws."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Apply, Variable
from numpy.typing import NDArray

from aeframe.backends import run
from aeframe.circuits.ops import (
    EvaluateOp,
    LeafLogOp,
    LeafOp,
    LogSumExpOp,
    MaxOp,
    NodeOp,
    ProductOp,
    Semiring,
    SumOp,
)
from aeframe.core import Graph, lower, toposort, vjp
from aeframe.core.errors import DataError
from aeframe.rewrites import interpret

if TYPE_CHECKING:
    from aeframe.circuits.nodes import Circuit

Array = NDArray[np.float64]


def column_of(leaf: Apply) -> int:
    """The column that a leaf's log value reads."""
    return leaf.inputs[0].owner.op.variable


def evaluate(expression: Variable, x: Variable, semiring: Semiring) -> tuple[Variable, list[Apply]]:
    """The log values of a circuit as a typed graph, and the Applies of its leaves in there."""
    value = interpret(Graph((x,), (EvaluateOp(semiring)(expression, x),))).outputs[0]
    leaves = [
        node
        for node in toposort([value])
        if isinstance(node.op, LeafLogOp)
        and node.op.semiring == semiring
        and node.inputs[0].owner.inputs[0] is x
    ]
    return value, leaves


def most_probable(expression: Variable, x: Variable) -> Variable:
    """``x`` with its NaNs replaced, by differentiating the max-product value (Darwiche 2003).

    The derivative with respect to a leaf's log value is 1 for the leaves that the maximum goes
    through and 0 elsewhere; there is one of them for each column.
    """
    value, leaves = evaluate(expression, x, MaxOp())
    chosen = vjp([value], [at.ones_like(value)], [leaf.outputs[0] for leaf in leaves])
    modes: dict[int, list[Variable]] = {}
    for leaf, on in zip(leaves, chosen, strict=True):
        modes.setdefault(column_of(leaf), []).append(on * leaf.op.mode(*leaf.inputs[1:]))
    columns = [
        at.stack(modes[j], axis=1).sum(axis=1) if j in modes else x[:, j]
        for j in range(max(modes) + 1)
    ]
    return at.switch(at.isnan(x), at.stack(columns, axis=1), x)


def circuit_nodes(expression: Variable) -> list[Apply]:
    """The Applies of an expression that are nodes of the circuit, children first."""
    return [node for node in toposort([expression]) if isinstance(node.op, NodeOp)]


def conditionals(expression: Variable, x: Variable) -> list[list[Variable]]:
    """For each Sum its weights and the log values of its children, for each leaf its parameters."""
    found = []
    for node in circuit_nodes(expression):
        if isinstance(node.op, SumOp):
            weights, *children = node.inputs
            found.append([weights, *(EvaluateOp(LogSumExpOp())(c, x) for c in children)])
        else:
            found.append(list(node.inputs) if isinstance(node.op, LeafOp) else [])
    return found


def sample(circuit: Circuit, evidence: Array, seed: int) -> Array:
    """One draw for each row of evidence, from the root down.

    A Sum goes on with child k with probability ``wₖ cₖ(evidence) / Σ``, a Product with all.
    """
    expression = lower(circuit, method="expression").outputs[0]
    nodes = circuit_nodes(expression)
    known = run(circuit, "conditionals", (evidence,))
    rng = np.random.default_rng(seed)
    drawn = np.array(evidence)
    rows: dict[Variable, list[NDArray[np.intp]]] = {expression: [np.arange(len(drawn))]}
    for node, numbers in zip(reversed(nodes), reversed(known), strict=True):
        here = np.concatenate(rows.pop(node.outputs[0], [np.empty(0, dtype=np.intp)]))
        if isinstance(node.op, SumOp):
            chosen = _choose(rng, here, *numbers)
            for k, child in enumerate(node.inputs[1:]):
                rows.setdefault(child, []).append(here[chosen == k])
        elif isinstance(node.op, ProductOp):
            for child in node.inputs:
                rows.setdefault(child, []).append(here)
        else:
            assert isinstance(node.op, LeafOp)
            here = here[np.isnan(evidence[here, node.op.variable])]
            parameters = [p[here] if p.ndim else p for p in numbers]
            drawn[here, node.op.variable] = node.op.draw(rng, len(here), *parameters)
    return drawn


def _choose(
    rng: np.random.Generator, rows: NDArray[np.intp], weights: Array, *values: Array
) -> NDArray[np.intp]:
    """A child for each row, by the Gumbel-max trick on log w + v."""
    with np.errstate(divide="ignore"):
        logits = np.log(weights if weights.ndim == 1 else weights[rows])
        logits = logits + np.stack(values, axis=1)[rows]
    impossible = np.isneginf(logits).all(axis=1)
    if impossible.any():
        raise DataError(
            "the evidence has probability 0",
            path=f"row {rows[impossible.argmax()]}",
            fix="give evidence that the circuit can produce",
        )
    return np.argmax(logits + rng.gumbel(size=logits.shape), axis=1)
