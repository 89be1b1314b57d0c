"""Random layers: they take the state of a stream and return the next one."""

from __future__ import annotations

import aesara.tensor as at
from aesara.graph.basic import Variable
from aesara.graph.type import Type
from aesara.tensor.random.basic import UniformRV

from aeframe.core.errors import ArgumentError
from aeframe.core.grad import is_float
from aeframe.core.ops import TypedOp
from aeframe.core.trace import current_path


class DropoutOp(TypedOp):
    """Zero each entry with probability ``rate`` and scale the rest: state, x → next state, y."""

    __props__ = ("rate",)

    def __init__(self, rate: float) -> None:
        if not 0.0 <= rate < 1.0:
            raise ArgumentError(
                "a dropout rate is a probability below 1",
                path=current_path(),
                expected="0 <= rate < 1",
                got=rate,
            )
        self.rate = rate

    def out_types(self, rng: Variable, x: Variable) -> list[Type] | None:
        """Those of the inputs."""
        return [rng.type, x.type] if is_float(x) else None

    def body(self, rng: Variable, x: Variable) -> list[Variable]:
        """Y = x · [u ≥ rate] / (1 − rate), with u uniform."""
        shape = [x.shape[i] for i in range(x.type.ndim)]
        dtype = x.type.dtype
        bounds = at.as_tensor(0.0, dtype=dtype), at.as_tensor(1.0, dtype=dtype)
        node = UniformRV(dtype=dtype).make_node(rng, shape, None, *bounds)
        advanced, u = node.outputs
        kept = at.ge(u, at.as_tensor(self.rate, dtype=dtype)).astype(dtype)
        return [advanced, x * kept * at.as_tensor(1 / (1 - self.rate), dtype=dtype)]
