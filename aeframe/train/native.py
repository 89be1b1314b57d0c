"""Which updates of parameters run on the native kernels, and from which size on."""

from __future__ import annotations

from math import prod

from aesara.graph.basic import Apply

from aeframe.backends.native import Kernel, claim
from aeframe.train.ops import AdamOp, SGDOp

# XLA fuses the updates of small parameters into few loops.
FEWEST = 1 << 14


@claim(AdamOp)
def adam(node: Apply) -> Kernel | None:
    """One pass in place."""
    size, op = prod(node.inputs[0].type.shape), node.op
    if size < FEWEST:
        return None
    reals = (op.beta_1, op.beta_2, op.epsilon)
    places = ((0, 0), (2, 1), (3, 2))
    return Kernel("adam", (0, 1, 2, 3, 4, 5), (size,), reals, places)


@claim(SGDOp)
def sgd(node: Apply) -> Kernel | None:
    """One pass in place, where there is a velocity; without one XLA's loop is as fast."""
    size = prod(node.inputs[0].type.shape)
    if size < FEWEST or len(node.inputs) == 3:
        return None
    places = ((0, 0), (3, 1))
    return Kernel("sgd_momentum", (0, 1, 2, 3), (size,), (node.op.momentum,), places)
