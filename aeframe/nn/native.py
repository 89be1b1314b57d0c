"""Which layers run on the native kernels, and from which size on."""

from __future__ import annotations

from math import prod

from aesara.graph.basic import Apply

from aeframe.backends.native import Kernel, claim
from aeframe.nn.ops import DenseOp

# Below this many multiplications a product of XLA's costs less than calling a kernel.
FEWEST = 1 << 18


def _dense_sizes(node: Apply) -> tuple[int, int, int] | None:
    x, w = (v.type.shape for v in node.inputs[:2])
    m, (i, o) = prod(x[:-1]), w
    return (m, i, o) if m * i * o >= FEWEST else None


@claim(DenseOp)
def dense(node: Apply) -> list[Kernel] | None:
    """One product, the bias within."""
    sizes = _dense_sizes(node)
    if sizes is None:
        return None
    n = len(node.inputs)
    return [Kernel("dense", tuple(range(n)), (0,), (*sizes, n - 2))]


@claim(DenseOp, pullback=True)
def dense_gradient(node: Apply) -> list[Kernel] | None:
    """All gradients in one call: its weight may then be overwritten by an update that uses them."""
    sizes = _dense_sizes(node)
    if sizes is None:
        return None
    g, wrt = len(node.inputs) - 1, node.op.wrt
    wanted = tuple(wrt.index(i) if i in wrt else -1 for i in range(3))
    return [Kernel("dense_gradient", (0, 1, g), tuple(range(len(wrt))), (*sizes, *wanted))]
