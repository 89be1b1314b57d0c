"""Patterns, conditions, the greedy engine, passes, reports and differences."""

from itertools import pairwise

import aesara.tensor as at
import numpy as np
import pytest
from aesara.tensor.math import Dot

import aeframe as ae
from aeframe import nn
from aeframe.core import Graph, toposort
from aeframe.core.errors import RewriteError, UnknownNameError
from aeframe.nn.ops import DenseOp, DropoutOp, ReluOp
from aeframe.rewrites import (
    Alternative,
    Equality,
    Greedy,
    Pipeline,
    Prop,
    Rest,
    Rule,
    Var,
    alternatives,
    explain,
    inference,
    term,
)
from aeframe.rewrites.condition import holds, parse
from aeframe.rewrites.match import match

x, w, v = Var("x", "n i"), Var("w", "i k"), Var("v", "k o")
dense, dot = term(DenseOp), term(Dot)
MERGE = Equality("merge linear", dense(dense(x, w), v), dense(x, dot(w, v)), where="k >= i")
RELU = Equality("relu twice", term(ReluOp)(term(ReluOp)(Var("a"))), term(ReluOp)(Var("a")))


def tensor(*shape):
    return at.TensorType("float64", shape)()


def linear(*widths):
    """X through Dense layers of the given widths."""
    h = first = tensor(3, widths[0])
    weights = [tensor(a, b) for a, b in pairwise(widths)]
    for weight in weights:
        h = DenseOp()(h, weight)
    return Graph((first, *weights), (h,))


def test_a_rule_fires_where_its_condition_holds():
    graph, report = Greedy([MERGE])(linear(2, 8, 3))
    assert [s.rule for s in report.steps] == ["merge linear"]
    assert [type(n.op).__name__ for n in toposort(graph.outputs)] == ["Dot", "DenseOp"]
    same, report = Greedy([MERGE])(linear(8, 2, 3))
    assert not report.steps and len(toposort(same.outputs)) == 2


def test_rules_fire_on_what_rules_made():
    graph, report = Greedy([MERGE])(linear(2, 8, 8, 8, 3))
    assert len(report.steps) == 3
    assert sum(isinstance(n.op, DenseOp) for n in toposort(graph.outputs)) == 1


def test_the_graph_that_was_given_stays():
    given = linear(2, 8, 3)
    before = toposort(given.outputs)
    Greedy([MERGE])(given)
    assert toposort(given.outputs) == before


def test_unknown_sizes_do_not_meet_a_condition():
    a, b, c = tensor(3, None), tensor(None, None), tensor(None, 4)
    _, report = Greedy([MERGE])(Graph((a, b, c), (DenseOp()(DenseOp()(a, b), c),)))
    assert not report.steps


def test_patterns_bind_once_and_check_hyperparameters():
    a, b = tensor(3), tensor(3)
    twice = term(at.mul)(Var("a"), Var("a"))
    assert match(twice, a * a, {}) and match(twice, a * b, {}) is None
    rng = ae.RandomState()
    half = term(DropoutOp, rate=0.5)(Var("rng"), Var("x"))
    assert match(half, DropoutOp(0.5)(rng, a)[1], {})
    assert match(half, DropoutOp(0.25)(rng, a)[1], {}) is None
    bind = term(DropoutOp, rate=Prop("r"))(Var("rng"), Var("x"))
    found = match(bind, DropoutOp(0.25)(rng, a)[1], {})
    assert found["r"] == 0.25
    assert match(term(at.add)(Rest("all")), at.add(a, b, a), {})["all"] == (a, b, a)
    assert match(term(at.mul)(Var("a"), 2.0), a * 2.0, {}) and not match(
        term(at.mul)(Var("a"), 2.0), a * 3.0, {}
    )


@pytest.mark.parametrize("text", ["__import__('os')", "k.real > 1", "[1] == k", "f("])
def test_conditions_hold_nothing_but_relations(text):
    with pytest.raises(RewriteError):
        parse(text)


def test_conditions_are_arithmetic():
    assert holds("2 * k // 3 == 2 and not k > i or k % 2 == 0", {"k": 3, "i": 5})
    with pytest.raises(RewriteError, match="does not bind"):
        holds("z > 1", {})


def test_rules_that_never_end_are_stopped():
    a = Var("a")
    forever = Equality("forever", term(at.sin)(a), term(at.sin)(term(at.neg)(a)))
    s = tensor(2)
    with pytest.raises(RewriteError, match="did not come to an end"):
        Greedy([forever], limit=50)(Graph((s,), (at.sin(s),)))


def test_a_long_chain_is_rewritten_without_recursion():
    s = tensor(2)
    h = s
    for _ in range(1000):
        h = at.sin(ReluOp()(ReluOp()(h)))
    graph, report = Greedy([RELU])(Graph((s,), (h,)))
    assert len(report.steps) == 1000 and len(toposort(graph.outputs)) == 2000


def test_alternatives_are_lazy_and_one_step_away():
    wider = Alternative("tanh", term(ReluOp)(Var("a")), term(at.tanh)(Var("a")))
    s = tensor(2)
    graph = Graph((s,), (ReluOp()(ReluOp()(s)),))
    found = list(alternatives(graph, [wider]))
    assert len(found) == 2
    assert all(len(toposort(g.outputs)) == 2 for _, _, g in found)


def test_inference_removes_dropout_and_its_updates():
    model = nn.Dropout(0.5)
    graph = ae.lower(model, tensor(4))
    assert graph.updates and not inference(graph).updates
    assert inference(graph).outputs == graph.inputs


class Deep(ae.Module):
    def __init__(self):
        self.layers = [nn.Dense(16, bias=False), nn.Dense(2, bias=False)]

    def __call__(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


def test_optimize_explain_and_diff():
    model, data = Deep(), np.random.default_rng(0).normal(size=(5, 3))
    before = model(data)
    better = model.optimize(MERGE)
    np.testing.assert_allclose(better(data), before, rtol=1e-5)
    (step,) = better.explain().steps
    assert step.rule == "merge linear" and step.path == "layers[1]"
    assert "merge linear" in str(better.explain())
    change = ae.diff(model, better)
    assert [s.rule for s in change.rewrites] == ["merge linear"] and change.removed and change.added
    assert not ae.diff(model, model) and not model.passes
    assert better.store["layers[0].w"] is model.store["layers[0].w"]


def test_explain_needs_to_know_the_graph():
    with pytest.raises(ae.core.errors.StateError, match="has not been called"):
        Deep().explain()
    assert explain(Deep(), [tensor(2, 3)]).steps == ()


def test_pipelines_add_up_their_steps():
    _, report = Pipeline(Greedy([MERGE]), Greedy([RELU]))(linear(2, 8, 3))
    assert [s.rule for s in report.steps] == ["merge linear"]


def test_a_rule_must_give_every_output():
    a, rng = Var("a"), Var("rng")
    short = Rule("short", term(DropoutOp, rate=Prop("r"))(rng, a), a)
    s = tensor(2)
    with pytest.raises(RewriteError, match="gives 1 outputs"):
        Greedy([short])(Graph((s,), (DropoutOp(0.5)(ae.RandomState(), s)[1],)))


def test_a_function_is_no_head():
    with pytest.raises(RewriteError, match="not an Op"):
        term(at.dot)


def test_unknown_rules_are_named():
    with pytest.raises(UnknownNameError, match="merge linear"):
        Greedy(["merge linaer"])(linear(2, 8, 3))
