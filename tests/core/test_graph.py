"""Walking, rebuilding, differentiating and writing graphs; long chains above all."""

import json

import aesara
import aesara.tensor as at
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aeframe.core import Graph, grad, replay, toposort, vjp
from aeframe.core.errors import FileError, GradientError, SerializationError, ShapeError
from aeframe.core.graph import Merger, leaves
from aeframe.core.serialize import decode_graph, encode_graph
from aeframe.core.shapes import specialize

UNARY = [at.sin, at.tanh, at.exp, lambda v: v * 0.5, lambda v: v.sum(keepdims=True) + v]
BINARY = [at.add, at.mul, at.sub, at.maximum]


def random_graph(choices: list[int]) -> tuple[list, at.TensorVariable]:
    """A small expression of two vectors, spelled by ``choices``."""
    inputs = [at.TensorType("float64", (3,))(name=n) for n in "xy"]
    pool = list(inputs)
    for c in choices:
        if c % 2:
            pool.append(UNARY[c % len(UNARY)](pool[c % len(pool)]))
        else:
            pool.append(BINARY[c % len(BINARY)](pool[c % len(pool)], pool[-1]))
    return inputs, pool[-1]


def value(inputs: list, out: at.TensorVariable) -> np.ndarray:
    function = aesara.function(inputs, out, mode="FAST_COMPILE", on_unused_input="ignore")
    return function(np.array([0.3, -0.7, 0.2]), np.array([1.3, 0.7, 2.2]))


graphs = st.lists(st.integers(0, 1000), min_size=1, max_size=8).map(random_graph)


@settings(max_examples=25, deadline=None)
@given(graphs)
def test_gradient_is_that_of_aesara(graph):
    inputs, out = graph
    ours = grad(at.tanh(out).sum(), inputs)
    theirs = aesara.grad(at.tanh(out).sum(), inputs, disconnected_inputs="ignore")
    for a, b in zip(ours, theirs, strict=True):
        wanted = np.broadcast_to(value(inputs, b), (3,))
        np.testing.assert_allclose(value(inputs, a), wanted, rtol=1e-9, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(graphs)
def test_graphs_survive_json(graph):
    inputs, out = graph
    text = json.dumps(encode_graph(inputs, [out]))
    again, (back,) = decode_graph(json.loads(text))
    np.testing.assert_array_equal(value(inputs, out), value(again, back))
    assert json.dumps(encode_graph(again, [back])) == text


def test_replay_shares_what_does_not_change():
    x, y, z = (at.dvector(n) for n in "xyz")
    kept = at.exp(z)
    (new,) = replay([at.sin(x) + kept], {x: y})
    assert kept in new.owner.inputs
    assert leaves([new]) == [y, z]


def test_merger_makes_equal_applies_one():
    x = at.dvector("x")
    out = at.exp(x) * 2.0 + at.exp(x) * 2.0
    (merged,) = replay([out], {}, Merger())
    assert len(toposort([merged])) < len(toposort([out]))
    np.testing.assert_array_equal(merged.eval({x: [0.0]}), [4.0])


def chain(n: int):
    x = at.TensorType("float64", (2,))("x")
    h = x
    for i in range(n):
        h = at.sin(h) if i % 2 else h * 1.0001
    return x, h


def test_five_thousand_applies_in_a_chain():
    x, h = chain(5000)
    (g,) = grad(h.sum(), [x])
    assert len(toposort([h])) >= 5000
    text = json.dumps(encode_graph([x], [h]))
    inputs, (back,) = decode_graph(json.loads(text))
    assert len(toposort([back])) == len(toposort([h]))
    (moved,) = replay([g], {x: inputs[0]})
    assert inputs[0] in leaves([moved])


def test_vjp_gives_none_where_nothing_depends():
    x, y = at.dvectors("x", "y")
    assert vjp([x * 2], [at.ones_like(x)], [y]) == [None]


def test_gradient_of_a_vector_is_refused():
    x = at.dvector("x")
    with pytest.raises(GradientError, match="not a floating-point scalar"):
        grad(x * 2, [x])


def test_specialize_leaves_no_unknown_size():
    x = at.matrix("x", dtype="float64")
    out = at.join(0, x, x).reshape((-1,))[1:]
    graph = specialize(Graph((x,), (out,)), [at.TensorType("float64", (2, 3))])
    assert graph.outputs[0].type.shape == (11,)
    for node in toposort(graph.results):
        assert all(None not in o.type.shape for o in node.outputs)
    with pytest.raises(ShapeError):
        specialize(graph, [at.TensorType("float64", (5, 3))])


def test_a_stray_leaf_is_not_written():
    x, y = at.dvectors("x", "y")
    with pytest.raises(SerializationError, match="not among its inputs"):
        encode_graph([x], [x + y])


@pytest.mark.parametrize(
    "name", ["os:system", "subprocess:Popen", "aesara.link.c.op:ExternalCOp", "nowhere:Op"]
)
def test_files_cannot_name_arbitrary_things(name):
    x = at.dvector("x")
    data = encode_graph([x], [at.exp(x)])
    data["ops"][0] = {"class": name, "props": {}}
    with pytest.raises(FileError):
        decode_graph(data)
