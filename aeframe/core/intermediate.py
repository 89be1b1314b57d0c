"""Typed Ops that make no tensors, but a kernel, a circuit or a measure.

Such a typed Op has no body: rewrites give it a meaning.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
from aesara.graph.basic import Apply, Variable
from aesara.graph.type import Type

from aeframe.core.errors import IntermediateError
from aeframe.core.ops import NamedOp, as_variable
from aeframe.core.trace import current_path


class IntermediateType(Type):
    """The type of values that are no tensors: kernels, circuits, measures.

    No array is ever of this type; an interpretation has to remove it before anything runs.
    """

    name = "intermediate"

    def filter(self, data: Any, strict: bool = False, allow_downcast: Any = None) -> NoReturn:
        """Refuse every value."""
        raise IntermediateError(
            f"a {self.name} has no value of its own", got=type(data).__name__, fix=self.hint
        )

    hint = "apply an interpretation to it first"

    def example(self, rng: np.random.Generator) -> Variable:
        """A random value of this type with parameters drawn at random, to test equalities on."""
        raise NotImplementedError(f"{type(self).__name__} has no example")

    def observe(self, variable: Variable, rng: np.random.Generator) -> list[Variable]:
        """Tensors that tell two values of this type apart: what interpretations make of them.

        Equal generators give equal inputs, so that both sides of an equality can be observed.
        """
        raise NotImplementedError(f"{type(self).__name__} cannot be observed")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))

    def __repr__(self) -> str:
        return self.name


class IntermediateOp(NamedOp):
    """A typed Op whose value is a kernel, a circuit or a measure; see :class:`IntermediateType`.

    Where the order of its inputs means nothing (``unordered``), patterns match in any order.
    """

    __props__: tuple[str, ...] = ()
    out_type: IntermediateType
    unordered = False

    def check(self, *inputs: Variable) -> None:
        """Refuse wrong inputs."""

    def make_node(self, *inputs: Any) -> Apply:
        """An Apply of this Op."""
        variables = [as_variable(v) for v in inputs]
        self.check(*variables)
        node = Apply(self, variables, [self.out_type()])
        node.tag.path = current_path()
        return node

    def _refuse(self, node: Apply) -> NoReturn:
        raise IntermediateError(
            f"{self} cannot be run: it makes a {self.out_type.name}, not a tensor",
            path=getattr(node.tag, "path", None),
            fix=self.out_type.hint,
        )

    def perform(self, node: Apply, inputs: Any, storage: Any) -> NoReturn:
        """Refuse: there is nothing to compute."""
        self._refuse(node)

    def make_thunk(self, node: Apply, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: there is nothing to compute."""
        self._refuse(node)

    def L_op(  # noqa: N802 (Aesara's name)
        self, inputs: Any, outputs: Sequence[Variable], output_grads: Any
    ) -> NoReturn:
        """Refuse: differentiate what an interpretation makes of it."""
        self._refuse(outputs[0].owner)
