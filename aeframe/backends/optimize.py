"""``model.optimize()``: the same numbers, faster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from aeframe.backends.base import as_backend
from aeframe.backends.cost import Analytic
from aeframe.core.errors import ArgumentError
from aeframe.core.module import Module
from aeframe.rewrites import EQUALITIES, SIMPLIFICATIONS, Greedy, Rule, Saturation, find_rule

M = TypeVar("M", bound=Module)


def optimize(module: M, rules: Sequence[Rule | str] = ()) -> M:
    """A Module that shares the cells of ``module`` and computes the same, in less time.

    Simplifications are applied wherever they match; then equality saturation looks for the graph
    that costs least on the backend of the module, or else the current one. It runs when a graph
    is compiled: in inference with the weights as they are, in training with those rules alone
    whose gradients agree too.

    Parameters
    ----------
    rules
        If there are any: apply these wherever they match, and nothing else.

    Raises
    ------
    ArgumentError
        When they are no rules.

    >>> import numpy as np
    >>> from aeframe import nn
    >>> model = nn.Sequential(nn.Dense(512), nn.Dense(128))
    >>> x = np.ones((64, 128), "float32")
    >>> y, fast = model(x), model.optimize()
    >>> bool(np.allclose(fast(x), y, atol=1e-5))
    True
    >>> "linear layers" in [step.rule for step in fast.explain().steps]
    True
    """
    for rule in rules:
        if not isinstance(rule, Rule | str):
            raise ArgumentError(
                "optimize takes rules", expected="Rules or their names", got=repr(rule)
            )
        if isinstance(rule, str):
            find_rule(rule)
    if rules:
        return module.with_pass(Greedy(rules, name="optimize"))
    cost = Analytic(as_backend(getattr(module, "_backend", None)))
    simple = module.with_pass(Greedy(SIMPLIFICATIONS, name="simplify"))
    return simple.with_pass(Saturation([*SIMPLIFICATIONS, *EQUALITIES], cost))
