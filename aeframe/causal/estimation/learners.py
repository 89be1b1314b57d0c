"""What users give as outcome model or propensity, as a Learner."""

from __future__ import annotations

from typing import Any

from aeframe.causal.estimation.bayes import Bayes
from aeframe.causal.estimation.learner import Learner
from aeframe.causal.estimation.regressor import Regressor
from aeframe.core.errors import ArgumentError
from aeframe.core.module import Module
from aeframe.prob import Model


def as_learner(thing: Any, default: Learner, role: str) -> Learner:
    """A learner from what a user gave: a Model, a regressor, a learner, or nothing.

    Raises
    ------
    ArgumentError
        When it is none of these; a network needs :class:`Network`.
    """
    if thing is None:
        return default
    if isinstance(thing, Learner):
        return thing
    if isinstance(thing, Model):
        return Bayes(thing)
    if isinstance(thing, Module):
        raise ArgumentError(
            f"a network as the {role} model needs its number of epochs",
            path=role,
            expected=f"{role}=ae.causal.Network(net, epochs=50)",
            got=type(thing).__name__,
        )
    if hasattr(thing, "fit") and hasattr(thing, "predict") and not isinstance(thing, type):
        return Regressor(thing)
    raise ArgumentError(
        f"this is no {role} model",
        path=role,
        expected="a Model, ae.causal.Network(net, epochs=50) or a scikit-learn regressor",
        got=repr(thing),
    )
