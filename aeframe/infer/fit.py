"""``model.fit``: run the inference that was asked for, or choose one and say why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from aeframe.core.cells import parameters
from aeframe.core.errors import ArgumentError
from aeframe.core.supports import Binary
from aeframe.infer.enumeration import Enumeration
from aeframe.infer.maximum import MAP
from aeframe.infer.nuts import NUTS
from aeframe.infer.posterior import Inference, Posterior
from aeframe.prob import Model
from aeframe.prob.density import free_sites
from aeframe.prob.programs import arguments, lowered


def fit(model: Model, data: Sequence[Any], inference: Inference | None = None) -> Posterior:
    """The posterior of ``model`` on ``data``.

    Without ``inference``: :class:`Enumeration` where it is exact, :class:`MAP` where parameters
    are to be learned, else :class:`NUTS`; the result says why.
    """
    data = model.read(*data)
    if inference is None:
        chosen, why = choose(model, data)
        return replace(chosen.run(model, data), why=why)
    if not isinstance(inference, Inference):
        raise ArgumentError(
            "fit takes an inference method",
            expected="fit(x, inference=ae.MAP())",
            got=repr(inference),
        )
    return inference.run(model, data)


def choose(model: Model, data: Sequence[Any]) -> tuple[Inference, str]:
    """The method for a model, and the reason."""
    graph = lowered(model, arguments(model, data).symbols())
    free = free_sites(graph)
    learned = [p for p in parameters(graph) if p.trainable]
    binary = all(isinstance(n.op.support, Binary) for n in free.values())
    if free and binary and not learned:
        return Enumeration(), "chosen, as every free site is 0 or 1: the answer is exact"
    if learned:
        why = "chosen, as parameters are to be learned: the best values, no uncertainty"
        return MAP(), why
    return NUTS(), "chosen, as every free site is continuous: draws from the whole posterior"
