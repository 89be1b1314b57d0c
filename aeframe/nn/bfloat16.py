"""Mixed precision as a pass: bfloat16 operands, float32 sums and parameters."""

from __future__ import annotations

from collections.abc import Sequence

from aesara.graph.basic import Apply, Variable

from aeframe.core.graph import Graph
from aeframe.nn.ops.bfloat16 import in_bfloat16
from aeframe.rewrites import Pass, Report, Step, describe


class Bfloat16(Pass):
    """Every float32 typed Op with matrix products runs them on bfloat16 operands.

    So does its gradient. Sums are float32, and so are parameters, their updates and everything
    between the products. Products inside loops (``Scan``) stay float32. It is meant for
    accelerators with bfloat16 units; a CPU without them is slower so::

        model = Net().with_pass(nn.Bfloat16())
        model.compile(optimizer=ae.AdamW(1e-3), loss=nn.softmax_cross_entropy)

    >>> import numpy as np
    >>> from aeframe.nn import Dense
    >>> layer = Dense(1, bias=False)
    >>> layer(np.ones((1, 1))).shape
    (1, 1)
    >>> layer.w.value = [[1.001]]
    >>> layer.with_pass(Bfloat16())(np.ones((1, 1)))
    array([[1.]], dtype=float32)
    """

    def __call__(self, graph: Graph) -> tuple[Graph, Report]:
        """Put products in bfloat16 wherever they are."""
        steps: list[Step] = []

        def transform(node: Apply, inputs: list[Variable]) -> Sequence[Variable] | None:
            made = in_bfloat16(node, inputs)
            if made is not None:
                path = getattr(node.tag, "path", None) or ""
                steps.append(Step("bfloat16", path, describe(node.outputs[0]), describe(made[0])))
            return made

        return graph.replay(transform=transform), Report("Bfloat16", tuple(steps))
