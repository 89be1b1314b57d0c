"""``model.fit``: run the inference that was asked for, or choose one and say why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from aeframe.core.cells import parameters
from aeframe.core.errors import ArgumentError
from aeframe.infer.conjugate.exact import Exact
from aeframe.infer.conjugate.gibbs import Gibbs
from aeframe.infer.conjugate.joint import joint
from aeframe.infer.conjugate.steps import choose_steps
from aeframe.infer.enumeration import Enumeration, assignments
from aeframe.infer.maximum import MAP
from aeframe.infer.nuts import NUTS
from aeframe.infer.posterior import Inference, Posterior
from aeframe.prob import Model
from aeframe.prob.density import free_sites
from aeframe.prob.programs import arguments, lowered


def fit(model: Model, data: Sequence[Any], inference: Inference | None = None) -> Posterior:
    """The posterior of ``model`` on ``data``.

    Without ``inference``: :class:`MAP` where parameters are to be learned, :class:`Enumeration` or
    :class:`Exact` where they apply, :class:`Gibbs` where it has a step for every site or some are
    discrete, else :class:`NUTS`; the result says why.
    """
    data = model.read(*data)
    if inference is None:
        chosen, why, found = _choose(model, data)
        posterior = chosen.run(model, data) if found is None else found
        told = posterior.why
        return replace(posterior, why=why if told == "as asked" else f"{why} ({told})")
    if not isinstance(inference, Inference):
        raise ArgumentError(
            "fit takes an inference method",
            expected="fit(x, inference=ae.MAP())",
            got=repr(inference),
        )
    return inference.run(model, data)


def choose(model: Model, data: Sequence[Any]) -> tuple[Inference, str]:
    """The method for a model, and the reason."""
    chosen, why, _ = _choose(model, data)
    return chosen, why


def _choose(model: Model, data: Sequence[Any]) -> tuple[Inference, str, Posterior | None]:
    """Method and reason; the posterior too where only a run shows whether the method applies."""
    given = arguments(model, data)
    graph = lowered(model, given.symbols())
    free = free_sites(graph)
    if any(p.trainable for p in parameters(graph)):
        why = "chosen, as parameters are to be learned: the best values, no uncertainty"
        return MAP(), why, None
    if free and assignments(free) <= Enumeration().limit:
        why = "chosen, as the free sites have few values in all: the answer is exact"
        return Enumeration(), why, None
    return choose_for_draws(model, data)


def choose_for_draws(model: Model, data: Sequence[Any]) -> tuple[Inference, str, Posterior | None]:
    """A method for free sites of which there are too many values to sum over; see `fit`.

    Parameters keep their values.
    """
    found = joint(model, arguments(model, data).symbols())
    _, reasons = choose_steps(found)
    if not reasons and found.nodes:
        try:
            posterior = Exact().run(model, data)
        except ArgumentError:
            return Gibbs(), "chosen, as every site can be drawn exactly given the others", None
        return posterior.method, "chosen, as rules find the posterior itself", posterior
    if any(n.op.support.discrete for n in found.nodes.values()):
        return Gibbs(), "chosen, as some sites are discrete", None
    why = "chosen, as every free site is continuous: draws from the whole posterior"
    return NUTS(), why, None
