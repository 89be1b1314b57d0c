"""Every equality that aeframe declares, tested from its declaration on random graphs and values."""

import numpy as np
import pytest
from aesara.tensor.type import TensorType

from aeframe import circuits, gp, nn
from aeframe.core import Graph, expand, grad
from aeframe.core.grad import is_float
from aeframe.core.ops import IntermediateType
from aeframe.rewrites import Equality, Rest, Var, interpret
from aeframe.rewrites.condition import holds
from aeframe.rewrites.pattern import build
from aeframe.rewrites.rule import HOMES, RULES
from tests.evaluate import evaluate

DECLARED = [
    r for r in RULES.values() if isinstance(r, Equality) and HOMES[r.name].startswith("aeframe.")
]


class Sample:
    """Random inputs for the variables of a rule: sizes by name, then values in their range."""

    def __init__(self, rule, seed):
        self.rng = np.random.default_rng(seed)
        self.sizes, self.inputs, self.values, self.bound = {}, [], [], {}
        self.lead = ["lead"] * int(self.rng.integers(0, 2))
        for v in rule.variables():
            if isinstance(v, Rest):
                like = v.like or Var(v.name)
                many = int(self.rng.integers(1, 4))
                self.bound[v.name] = tuple(self.draw(like) for _ in range(many))
            else:
                self.bound[v.name] = self.draw(v)

    def draw(self, var):
        if var.of is not None:
            return var.of.example(self.rng)
        dims = ["i", "j"] if var.dims is None else var.dims.split()
        if dims[:1] == ["..."]:
            dims = self.lead + dims[1:]
        shape = tuple(
            int(d) if d.isdigit() else self.sizes.setdefault(d, int(self.rng.integers(1, 5)))
            for d in dims
        )
        symbol = TensorType(var.dtype, shape)()
        if "int" in var.dtype:
            value = self.rng.integers(int(var.low), int(var.high), shape)
        else:
            value = self.rng.uniform(var.low, var.high, shape)
        self.inputs.append(symbol)
        self.values.append(np.asarray(value, dtype=var.dtype))
        return symbol

    def observe(self, variables):
        """What can be compared: tensors as they are, other values through interpretations."""
        found = []
        for v in variables:
            if isinstance(v.type, IntermediateType):
                found += v.type.observe(v, np.random.default_rng(0))
            else:
                found.append(v)
        return found

    def run(self, outputs):
        graph = expand(interpret(Graph(tuple(self.inputs), tuple(outputs))))
        return evaluate(graph.inputs, graph.outputs, self.values)


def sides(rule, seed):
    """Both sides of a rule under bindings that meet its condition, and the sample."""
    for attempt in range(200):
        sample = Sample(rule, [seed, attempt])
        left = build(rule.left, sample.bound)
        found = rule.matches(left[0].owner)
        if found is not None and holds(rule.where, {**found, **sample.sizes}):
            made = rule.apply(left[0].owner)
            return sample, left[: len(made)], made
    raise AssertionError(f"no sample meets the condition of {rule.name}")


@pytest.mark.parametrize("rule", DECLARED, ids=lambda r: r.name)
def test_both_sides_are_the_same_numbers(rule):
    for seed in range(5):
        sample, left, right = sides(rule, seed)
        assert [v.type.ndim for v in left if hasattr(v.type, "ndim")] == [
            v.type.ndim for v in right if hasattr(v.type, "ndim")
        ]
        a, b = sample.observe(left), sample.observe(right)
        wrt = [v for v in sample.inputs if is_float(v)] if rule.gradients else []
        if wrt:
            a, b = ([*o, *grad(sum((v**2).sum() for v in o), wrt)] for o in (a, b))
        for x, y in zip(sample.run(a), sample.run(b), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-9)


def test_there_are_rules_from_every_room():
    assert {HOMES[r.name] for r in DECLARED} >= {m.rules.__name__ for m in (nn, gp, circuits)}


def test_a_wrong_equality_fails():
    import aesara.tensor as at

    from aeframe.rewrites import term

    x = Var("x", "n")
    wrong = Equality("wrong", term(at.sin)(x), term(at.cos)(x))
    RULES.pop("wrong")
    with pytest.raises(AssertionError, match="Mismatch"):
        test_both_sides_are_the_same_numbers(wrong)
