"""Every equality that aeframe declares, tested from its declaration on random graphs and values."""

import ast
from dataclasses import dataclass
from functools import cache
from itertools import islice

import aesara
import numpy as np
import pytest
from aesara.gradient import disconnected_grad
from aesara.graph.basic import Apply

from aeframe import circuits, gp, nn
from aeframe.core import Graph, expand, grad, toposort
from aeframe.core.errors import AeframeError
from aeframe.core.grad import is_float
from aeframe.core.intermediate import IntermediateType
from aeframe.core.ops import TypedOp, body_of
from aeframe.core.shapes import type_text
from aeframe.nn.ops import Conv2DOp, PoolOp
from aeframe.rewrites import Equality, Prop, Rule, Var, interpret, term
from aeframe.rewrites.condition import holds, parse, value
from aeframe.rewrites.match import alike
from aeframe.rewrites.pattern import Bindings, Every, names_of
from aeframe.rewrites.rule import HOMES, RULES
from aeframe.rewrites.vocabulary import AddOp, ConcatOp, MulOp, SliceOp
from tests.draws import drawable, subclasses
from tests.evaluate import evaluate
from tests.samples import Sample, applies, samples

DECLARED = [
    r for r in RULES.values() if isinstance(r, Equality) and HOMES[r.name].startswith("aeframe.")
]
WAYS = [(rule, way) for rule in DECLARED for way in rule.directions]
NAMES = [rule.name + (" (reversed)" if rule is not way else "") for rule, way in WAYS]


@dataclass
class Trial:
    """A random graph on which the left side of a rule matches; its condition may not hold."""

    sample: Sample
    roots: list[Apply]
    bound: Bindings

    def sides(self, way):
        """The variables that the right side replaces, and what it puts in their place."""
        made = way.build(self.bound)
        return way.outputs(self.roots)[: len(made)], made


def trials(way, seed=0):
    """Trials of one direction of a rule, without end."""
    for sample in samples(way.left, [seed]):
        nodes = list(dict.fromkeys(v.owner for v in sample.outputs))
        if isinstance(way.left, Every):
            found = list(alike(way.left, nodes))
        else:
            free = Rule.solutions(_without(way, ""), nodes[0])
            found = [([nodes[0]], bound) for bound in free]
        if found:
            yield Trial(sample, *found[sample.rng.integers(len(found))])


def _without(way, where):
    """A direction of a rule with another condition."""
    made = object.__new__(Rule)
    made.__dict__.update(name=way.name, left=way.left, right=way.right, where=where)
    return made


@cache
def accepted(index, many):
    """The first trials that meet the condition."""
    _, way = WAYS[index]
    return list(islice((t for t in trials(way) if holds(way.where, names_of(t.bound))), many))


def observe(variables):
    """What can be compared: tensors as they are, other values through interpretations."""
    found = []
    for v in variables:
        if isinstance(v.type, IntermediateType):
            found += v.type.observe(v, np.random.default_rng(0))
        else:
            found.append(v)
    return found


def slides(trial):
    """Whether the graph has windows: building the gradients of one takes half a second."""
    kinds = Conv2DOp | PoolOp
    ops = [n.op for n in toposort(trial.sample.outputs)]
    return any(isinstance(getattr(op, "layer", op), kinds) for op in ops)


def compare_all(index, many, windows):
    """Compare the first trials; the gradients of so many of those with windows."""
    rule, way = WAYS[index]
    with aesara.config.change_flags(traceback__limit=0):  # a third of the time
        for trial in accepted(index, many):
            windows -= slides(trial)
            compare(trial, way, rule.gradients and (windows >= 0 or not slides(trial)))


def compare(trial, way, gradients=True):
    """Both sides have the same types, numbers, and where they should, gradients."""
    left, right = trial.sides(way)
    assert [type_text(v) for v in left] == [type_text(v) for v in right]
    a, b = observe(left), observe(right)
    inputs = trial.sample.inputs
    wrt = [v for v in inputs if is_float(v)] if gradients else []
    if wrt:
        a, b = ([*o, *grad(sum((v**2).sum() for v in o), wrt)] for o in (a, b))
    graph = expand(interpret(Graph(tuple(inputs), (*a, *b))))
    found = evaluate(graph.inputs, graph.outputs, trial.sample.values)
    single = any(v.dtype == "float32" for v in trial.sample.values)
    tolerance = {"rtol": 1e-3, "atol": 1e-4} if single else {"rtol": 1e-8, "atol": 1e-9}
    for x, y in zip(found[: len(a)], found[len(a) :], strict=True):
        np.testing.assert_allclose(x, y, **tolerance)


@pytest.mark.parametrize("index", range(len(WAYS)), ids=NAMES)
def test_both_sides_are_the_same_numbers(index):
    compare_all(index, many=4, windows=1)


@pytest.mark.slow
@pytest.mark.parametrize("index", range(len(WAYS)), ids=NAMES)
def test_both_sides_are_the_same_numbers_fifty_times(index):
    compare_all(index, many=50, windows=35)


def conjuncts(where):
    """The relations that a condition joins by "and"."""
    tree = parse(where)
    parts = tree.values if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And) else [tree]
    return [f"({ast.unparse(part)})" for part in parts]


def needed(rule, most=4000):
    """The relations of a condition without which a direction of the rule goes wrong on a trial."""
    parts, found = conjuncts(rule.where), set()
    for way in rule.directions:
        for trial in islice(trials(way, 1), most):
            if len(found) == len(parts):
                break
            names = names_of(trial.bound)
            broken = [part for part in parts if not holds(part, names)]
            if len(broken) == 1 and broken[0] not in found and goes_wrong(trial, way):
                found.update(broken)
    return found


def goes_wrong(trial, way):
    """Whether the two sides differ in type or number, or the right side cannot be made."""
    try:
        compare(trial, way, gradients=False)
    except (AssertionError, AeframeError, ValueError):
        return True
    return False


CONDITIONED = [rule for rule in DECLARED if rule.where]


@pytest.mark.slow
@pytest.mark.parametrize("rule", CONDITIONED, ids=lambda r: r.name)
def test_no_relation_of_a_condition_can_be_left_out(rule):
    assert needed(rule) == set(conjuncts(rule.where))


# how far the right side of a relation is above the left one where it is just met, just missed
EDGES = {
    ast.Lt: ({1}, {0}),
    ast.LtE: ({0}, {-1}),
    ast.Gt: ({-1}, {0}),
    ast.GtE: ({0}, {1}),
    ast.Eq: ({0}, {-1, 1}),
    ast.NotEq: ({-1, 1}, {0}),
}


def distances(where, names):
    """Each comparison of numbers in a condition, and how far its sides are apart."""
    for node in ast.walk(parse(where)):
        if isinstance(node, ast.Compare):
            left, right = (value(ast.unparse(v), names) for v in (node.left, *node.comparators))
            if isinstance(left, int) and isinstance(right, int):
                yield node, right - left


@pytest.mark.slow
@pytest.mark.parametrize("rule", CONDITIONED, ids=lambda r: r.name)
def test_samples_are_at_the_edges_of_a_condition(rule):
    """Each comparison is met by as little as it can be, and missed by one."""
    missing = None
    for way in rule.directions:
        for trial in islice(trials(way, 2), 1500):
            names = names_of(trial.bound)
            try:
                found = list(distances(rule.where, names))
            except IndexError:
                continue
            if missing is None:
                missing = {(ast.unparse(n), met) for n, _ in found for met in (True, False)}
            met = holds(rule.where, names)
            for node, distance in found:
                if distance in EDGES[type(node.ops[0])][0 if met else 1]:
                    missing.discard((ast.unparse(node), met))
            if not missing:
                return
    assert not missing


def test_there_are_rules_from_every_room():
    assert {HOMES[r.name] for r in DECLARED} >= {m.rules.__name__ for m in (nn, gp, circuits)}


def unregistered(*args, **kwargs):
    """An equality that no other test sees."""
    made = Equality(*args, **kwargs)
    RULES.pop(made.name)
    return made


def run(rule, many=20):
    for way in rule.directions:
        for trial in islice((t for t in trials(way) if holds(way.where, names_of(t.bound))), many):
            compare(trial, way, rule.gradients)


a, b, first, last = Var("a"), Var("b"), Var("first", "... i"), Var("last", "... j")
join, add, mul = term(ConcatOp, axis=-1), term(AddOp), term(MulOp)
WRONG = {
    "numbers": unregistered("wrong numbers", mul(a, b), add(a, b)),
    "a condition that is too weak": unregistered(
        "wrong condition",
        term(SliceOp, axis=-1, start=0, stop=Prop("e"))(join(first, last)),
        first,
        where="e <= i and first_dtype == last_dtype",
    ),
    "a type": unregistered("wrong type", add(a, mul(b, 0.0)), a),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_equality_fails(what):
    with pytest.raises((AssertionError, AeframeError, KeyError)):
        run(WRONG[what])


class StillOp(TypedOp):
    """The same numbers, through which no gradient flows."""

    def body(self, x):
        return disconnected_grad(x)


def test_a_wrong_claim_on_gradients_fails():
    still = term(StillOp)
    run(unregistered("no gradient claimed", still(a), a, gradients=False))
    with pytest.raises(AssertionError, match="Mismatch"):
        run(unregistered("gradient claimed", still(a), a))


def test_conditions_that_are_superfluous_are_found():
    rule = unregistered("superfluous", mul(first, 1.0), first, where="i > 1")
    assert needed(rule, most=200) == set()


ROOMS = ("aeframe.core.", "aeframe.rewrites.", "aeframe.nn.")  # others have inputs of other kinds
OWN_TYPES = sorted(
    {
        k
        for k in subclasses(TypedOp)
        if k.__module__.startswith(ROOMS) and k.out_types is not TypedOp.out_types and drawable(k)
    },
    key=lambda k: k.__name__,
)


@pytest.mark.parametrize("kind", OWN_TYPES, ids=lambda k: k.__name__)
def test_types_that_an_op_tells_are_those_of_its_body(kind):
    for node in islice(applies(kind, 3), 5):
        body = body_of(node.op, tuple(v.type for v in node.inputs))
        assert [type_text(v) for v in node.outputs] == [type_text(v) for v in body.outputs]


def test_most_ops_that_tell_types_are_tested():
    assert {"DenseOp", "Conv2DOp", "MaxPool2DOp", "FusedOp", "ConcatOp", "PadKernelOp"} <= {
        k.__name__ for k in OWN_TYPES
    }
