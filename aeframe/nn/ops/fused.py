"""A layer and what follows it as one Op, so that its output is written once."""

from __future__ import annotations

from collections.abc import Sequence

from aesara.graph.basic import Variable
from aesara.graph.type import Type

from aeframe.core.ops import TypedOp
from aeframe.rewrites.vocabulary import AddOp


class FusedOp(TypedOp):
    """activation(layer(x, w, b) + addend), without the addend where there is none.

    x, w and b are those of the layer, which has a bias; the addend is a residual, say.

    Parameters
    ----------
    layer
        A :class:`DenseOp`, :class:`PanelDenseOp`, :class:`Conv2DOp` or :class:`WinogradOp`.
    activation
        An elementwise Op; by default none.

    >>> import aesara.tensor as at
    >>> from aeframe.nn.ops import DenseOp, ReluOp
    >>> x, w, b = at.as_tensor([[1.0]]), at.as_tensor([[2.0, -2.0]]), at.as_tensor([1.0, 1.0])
    >>> FusedOp(DenseOp(), ReluOp())(x, w, b).eval()
    array([[3., 0.]])
    """

    __props__ = ("layer", "activation")

    def __init__(self, layer: TypedOp, activation: TypedOp | None = None) -> None:
        self.layer, self.activation = layer, activation

    def out_types(self, *inputs: Variable) -> Sequence[Type] | None:
        """That of the sum."""
        made = self.layer.out_types(*inputs[:3])
        if made is None or len(inputs) == 3:
            return made
        return AddOp().out_types(made[0](), inputs[3])

    def body(
        self, x: Variable, w: Variable, b: Variable, addend: Variable | None = None
    ) -> Variable:
        """One after the other."""
        y = self._sum(x, w, b, addend)
        return y if self.activation is None else self.activation(y)

    def _sum(
        self, x: Variable, w: Variable, b: Variable, addend: Variable | None = None
    ) -> Variable:
        y = self.layer(x, w, b)
        return y if addend is None else y + addend

    def pullback(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        cotangents: Sequence[Variable | None],
    ) -> Sequence[Variable | None]:
        """That of the activation, then that of the layer; nothing is computed twice for a relu."""
        (g,), given, addends = cotangents, inputs[:3], inputs[3:]
        assert g is not None
        if self.activation is not None:
            (g,) = self.activation.pullback([self._sum(*inputs)], outputs, [g])
        y = self.layer(*given)
        of_parts: Sequence[Variable | None] = [g]
        if addends:
            of_parts = AddOp().pullback([y, *addends], [], [g])  # what is broadcast is summed
        return [*self.layer.pullback(given, [y], of_parts[:1]), *of_parts[1:]]
