"""Typed Ops: equality, static shapes, un-expanded runs, pullbacks, expansion, outlines."""

import pickle

import aesara
import aesara.tensor as at
import numpy as np
import pytest

from aeframe.core import (
    Graph,
    IntermediateOp,
    IntermediateType,
    Pullback,
    TypedOp,
    expand,
    grad,
    outline,
    toposort,
    typed_nodes,
)
from aeframe.core.errors import BodyError, IntermediateError, ShapeError
from aeframe.core.expand import expand as expand_graph
from aeframe.core.ops import require_size
from aeframe.nn.ops import DenseOp, LogSoftmaxOp, ReluOp, SoftmaxCrossEntropyOp


class TwoOp(TypedOp):
    """Two outputs, one of them an integer that nothing depends on smoothly."""

    def body(self, x, y):
        return [at.tanh(x) * y, at.argmax(x)]


class PowerOp(TypedOp):
    __props__ = ("n",)

    def __init__(self, n):
        self.n = n

    def body(self, x):
        return x**self.n


def tensor(*shape, dtype="float64"):
    return at.TensorType(dtype, shape)()


def test_equal_props_and_inputs_are_equal():
    x = tensor(3)
    assert PowerOp(2) == PowerOp(2) != PowerOp(3)
    assert hash(PowerOp(2)) == hash(PowerOp(2))
    merged = aesara.function([x], [PowerOp(2)(x), PowerOp(2)(x)]).maker.fgraph
    assert len([n for n in merged.apply_nodes if isinstance(n.op, PowerOp)]) == 1
    assert pickle.loads(pickle.dumps(PowerOp(2))) == PowerOp(2)


def test_static_shapes_both_ways():
    assert DenseOp()(tensor(None, 4), tensor(4, 7)).type.shape == (None, 7)
    assert DenseOp()(tensor(2, 3, 4), tensor(4, 7)).type.shape == (2, 3, 7)
    with pytest.raises(ShapeError, match="expected") as caught:
        DenseOp()(tensor(2, 5), tensor(4, 7))
    assert caught.value.got == "(2, 5)"


def test_a_wrong_body_is_one_clear_error():
    class BadOp(TypedOp):
        def body(self, x, y):
            return at.batched_dot(x, y)

    with pytest.raises(BodyError, match="could not be built"):
        BadOp()(tensor(), tensor())


def test_unknown_shapes_are_inferred_when_it_runs():
    x, w = at.dmatrix("x"), at.dmatrix("w")
    shape = aesara.function([x, w], DenseOp()(x, w).shape)
    assert shape(np.ones((2, 3)), np.ones((3, 5))).tolist() == [2, 5]


@pytest.mark.parametrize("shape", [(1,), (7,), (3, 4), (0, 2)])
def test_unexpanded_and_expanded_agree_in_value_and_gradient(shape):
    x, y = tensor(*shape), tensor(*shape)
    value = TwoOp()(x, y)[0] if shape != (0, 2) else ReluOp()(x * y)
    outputs = (value, *grad(at.sin(value).sum(), [x, y]))
    graph = Graph((x, y), outputs)
    opened = expand(graph)
    assert typed_nodes(graph) and not typed_nodes(opened)
    rng = np.random.default_rng(0)
    point = [rng.normal(size=shape) for _ in range(2)]
    closed_values = aesara.function([x, y], list(graph.outputs))(*point)
    open_values = aesara.function([x, y], list(opened.outputs))(*point)
    for a, b in zip(closed_values, open_values, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_gradient_and_second_order_against_finite_differences():
    x = tensor(2, 3)
    w = tensor(3, 4)
    loss = (LogSoftmaxOp()(ReluOp()(DenseOp()(x, w))) ** 2).sum()
    (g,) = grad(loss, [w])
    (h,) = grad((g**2).sum(), [w])
    f = aesara.function([x, w], [loss, g, h, (g**2).sum()])
    rng = np.random.default_rng(1)
    point, at_w = rng.normal(size=(2, 3)), rng.normal(size=(3, 4))
    step = 1e-6
    for k, exact in ((0, 1), (3, 2)):
        for index in [(0, 0), (1, 2), (2, 3)]:
            shift = np.zeros_like(at_w)
            shift[index] = step
            numeric = (f(point, at_w + shift)[k] - f(point, at_w - shift)[k]) / (2 * step)
            assert numeric == pytest.approx(f(point, at_w)[exact][index], rel=1e-5, abs=1e-7)


def test_relu_gradient_at_zero_is_zero():
    x = tensor(3)
    (g,) = grad(ReluOp()(x).sum(), [x])
    np.testing.assert_array_equal(g.eval({x: [-1.0, 0.0, 1.0]}), [0.0, 0.0, 1.0])


def test_pullbacks_are_types_of_their_own_and_can_be_claimed():
    x = tensor(3)
    (g,) = grad(PowerOp(3)(x).sum(), [x])
    graph = Graph((x,), (g,))
    (pullback,) = [n for n in toposort(graph.results) if isinstance(n.op, Pullback)]
    assert not isinstance(pullback.op, PowerOp) and pullback.op.op == PowerOp(3)
    kept = expand_graph(graph, lambda node: isinstance(node.op, Pullback))
    assert [type(n.op) for n in typed_nodes(kept)] == [Pullback]


def test_second_output_of_a_loss_differentiates_too():
    x, y = tensor(4, 3), at.TensorType("int64", (4,))()
    loss, logp = SoftmaxCrossEntropyOp()(x, y)
    outputs = grad(loss + (logp**2).sum(), [x])
    plain = at.log(at.exp(x) / at.exp(x).sum(axis=1, keepdims=True))
    wanted = aesara.grad(-plain[at.arange(4), y].mean() + (plain**2).sum(), x)
    point = {x: np.random.default_rng(0).normal(size=(4, 3)), y: np.array([0, 2, 1, 1])}
    np.testing.assert_allclose(outputs[0].eval(point), wanted.eval(point), rtol=1e-10)


def test_float32_graphs_hold_no_float64():
    x, y = tensor(8, 5, dtype="float32"), at.TensorType("int64", (8,))()
    w, b = tensor(5, 3, dtype="float32"), tensor(3, dtype="float32")
    loss = SoftmaxCrossEntropyOp()(ReluOp()(DenseOp()(x, w, b)), y)[0]
    graph = expand(Graph((x, y, w, b), (loss, *grad(loss, [w, b]))))
    for node in toposort(graph.results):
        for v in (*node.inputs, *node.outputs):
            assert getattr(v.type, "dtype", "") != "float64", node
        assert getattr(node.op, "acc_dtype", None) != "float64", node


def test_outline_is_the_inverse_of_expand():
    x, w = tensor(3, 3), tensor(3, 3)
    out = at.tanh(at.dot(x, w))
    block = outline([x, w], [out], "Block")
    node = block(x, w).owner
    assert str(node.op) == "Block" and node.op == outline([x, w], [at.tanh(at.dot(x, w))], "Block")
    assert pickle.loads(pickle.dumps(block)) == block
    opened = expand(Graph((x, w), (node.outputs[0],)))
    assert [n.op for n in toposort(opened.results)] == [n.op for n in toposort([out])]
    narrow = block(tensor(None, 3), tensor(3, 3))
    assert narrow.type.shape == (None, 3)


class NoteType(IntermediateType):
    name = "note"


class NoteOp(IntermediateOp):
    out_type = NoteType()

    def check(self, x):
        require_size(self, "x", x, 0, 3)


def test_intermediate_values_refuse_to_run():
    note = NoteOp()(tensor(3))
    with pytest.raises(IntermediateError, match="not a tensor"):
        aesara.function([note.owner.inputs[0]], note)
    with pytest.raises(IntermediateError):
        note.type.filter(np.ones(3))
    with pytest.raises(ShapeError):
        NoteOp()(tensor(4))
