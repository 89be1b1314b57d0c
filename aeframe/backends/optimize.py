"""``model.optimize()``: the same numbers, faster."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import TypeVar

from aeframe.backends.base import as_backend
from aeframe.backends.cost import Analytic
from aeframe.core.errors import ArgumentError
from aeframe.core.module import Module
from aeframe.rewrites import (
    EQUALITIES,
    SIMPLIFICATIONS,
    Alternative,
    Every,
    Greedy,
    Pass,
    Rule,
    Saturation,
    find_rule,
)

M = TypeVar("M", bound=Module)


def optimize(module: M, rules: Sequence[Rule | str] = ()) -> M:
    """A Module that shares the cells of ``module`` and computes the same, in less time.

    Simplifications are applied wherever they match; then equality saturation looks for the graph
    that costs least on the backend of the module, or else the current one. It runs when a graph
    is compiled: in inference with the weights as they are, in training with those rules alone
    whose gradients agree too. A Module that ends in the same passes gets them anew, for the
    backend of now, not once more.

    Parameters
    ----------
    rules
        If there are any: these and nothing else, wherever they match. One with several roots
        (:class:`~aeframe.rewrites.Every`) is used by saturation, so where it pays.

    Raises
    ------
    ArgumentError
        When they are no rules, or an Alternative is one: it makes another model.
    UnknownNameError
        When no rule has such a name.

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
    if not isinstance(module, Module):
        raise ArgumentError("optimize takes a Module", expected="a Module", got=repr(module))
    given = [_rule(rule) for rule in ((rules,) if isinstance(rules, str) else rules)]
    cost = Analytic(as_backend(getattr(module, "_backend", None)))
    if not given:
        simple = Greedy(SIMPLIFICATIONS, name="simplify")
        return _ending_in(module, [simple, Saturation([*SIMPLIFICATIONS, *EQUALITIES], cost)])
    one = [rule for rule in given if not isinstance(rule.left, Every)]
    several = [rule for rule in given if isinstance(rule.left, Every)]
    greedy = [Greedy(one, name="optimize")] if one else []
    return _ending_in(module, [*greedy, *([Saturation(several, cost)] if several else [])])


def _ending_in(module: M, passes: Sequence[Greedy | Saturation]) -> M:
    """``module`` with ``passes`` at its end, in the place of the same ones if they are there."""
    made = copy(module)
    last = module.passes[len(module.passes) - len(passes) :]
    if [_rules_of(p) for p in last] == [_rules_of(p) for p in passes]:
        made.passes = module.passes[: -len(passes)]
    for each in passes:
        made = made.with_pass(each)
    return made


def _rules_of(each: Pass) -> object:
    """What a pass of :func:`optimize` is known by."""
    return type(each), getattr(each, "rules", each)


def _rule(given: object) -> Rule:
    """A rule by itself or its name, if it leaves the numbers as they are."""
    rule = find_rule(given) if isinstance(given, str) else given
    if not isinstance(rule, Rule):
        raise ArgumentError(
            "optimize takes rules",
            expected="Rules or their names, each an argument: model.optimize(one, another)",
            got=repr(given),
        )
    if isinstance(rule, Alternative):
        raise ArgumentError(
            f"the rule {rule.name!r} makes another model",
            expected="an Equality",
            got=f"an Alternative, {rule}",
            fix="model.with_pass(Greedy([rule])) to have it, AutoML to try it",
        )
    return rule
