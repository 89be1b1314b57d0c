"""From an expression back to Modules."""

from __future__ import annotations

from typing import Any

import aesara.tensor as at
from aesara.graph.basic import Constant, Variable

from aeframe.circuits.leaves import Bernoulli
from aeframe.circuits.nodes import Circuit, Product, Sum
from aeframe.circuits.ops import BernoulliOp, ProductOp, SumOp
from aeframe.circuits.queries import circuit_nodes
from aeframe.core import Parameter, cells, replay
from aeframe.core.errors import CircuitError
from aeframe.core.shapes import evaluate


def to_circuit(variable: Variable) -> Circuit:
    """The Modules of a circuit expression, such as one that rules have rewritten.

    Parameters are shared with the expression; what is computed from constants and cells alone
    becomes a Parameter with its present value; any other variable stays as it is.

    >>> a = Bernoulli(0, 0.25) * Bernoulli(1, 0.5)
    >>> to_circuit(a.expression()).children[0].p is a.children[0].p
    True
    """
    made: dict[Variable, Circuit] = {}
    for node in circuit_nodes(variable):
        inputs = node.inputs
        if isinstance(node.op, SumOp):
            found: Circuit = Sum([made[c] for c in inputs[1:]], _value(inputs[0]))
        elif isinstance(node.op, ProductOp):
            found = Product([made[c] for c in inputs])
        elif isinstance(node.op, BernoulliOp):
            found = Bernoulli(node.op.variable, _value(inputs[0]))
        else:
            raise CircuitError(f"{node.op} has no Module")
        made[node.outputs[0]] = found
    if variable not in made:
        raise CircuitError(
            "only expressions of circuits can become Modules", got=str(variable.type)
        )
    return made[variable]


def _value(variable: Variable) -> Any:
    """A Parameter itself; the number where it can be known; otherwise the variable."""
    if isinstance(variable, Parameter):
        return variable
    if isinstance(variable, Constant):
        return variable.data
    held = {c: at.constant(c.numpy()) for c in cells([variable]) if c.data is not None}
    value = evaluate(replay([variable], held)[0])
    return variable if value is None else value
