"""Run a graph with NumPy alone, Apply by Apply: a reference that compiles nothing."""

from aesara.graph.basic import Constant

from aeframe.core import toposort
from aeframe.core.shapes import perform


def evaluate(inputs, outputs, values):
    """The values of ``outputs`` for the ``values`` of ``inputs``."""
    known = dict(zip(inputs, values, strict=True))
    for node in toposort(outputs, inputs):
        given = [v.data if isinstance(v, Constant) else known[v] for v in node.inputs]
        known.update(zip(node.outputs, perform(node, given), strict=True))
    return [v.data if isinstance(v, Constant) else known[v] for v in outputs]
