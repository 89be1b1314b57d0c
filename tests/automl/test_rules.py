"""Growth rules: what is kept is kept, what is changed is what was asked, at one place."""

import numpy as np
import pytest
from aesara.tensor.type import TensorType

import aeframe as ae
from aeframe import automl, nn
from aeframe.core.errors import ArgumentError, RewriteError, StateError, UnknownNameError
from aeframe.core.graph import toposort
from aeframe.rewrites import find_rule

KEPT = {r.name for r in automl.PRESERVING}
FAST = {*automl.PRESERVING, find_rule("dropout"), find_rule("batch normalization")}


class Rows(ae.Module):
    def __init__(self):
        self.a, self.norm, self.drop = nn.Dense(6), nn.BatchNorm(), nn.Dropout(0.3)
        self.b, self.scale, self.out = nn.Dense(6), nn.LayerNorm(), nn.Dense(3)

    def __call__(self, x):
        h = self.drop(nn.relu(self.norm(self.a(x))))
        return self.out(nn.tanh(self.scale(self.b(h))))


class Images(ae.Module):
    def __init__(self):
        self.a, self.norm, self.b = nn.Conv2D(4, stride=2), nn.BatchNorm(), nn.Conv2D(6)
        self.pool, self.last, self.out = nn.MaxPool2D(2), nn.GlobalAvgPool2D(), nn.Dense(3)

    def __call__(self, x):
        h = self.pool(nn.relu(self.norm(self.a(x))))
        return self.out(self.last(nn.relu(self.b(h))))


class Blocks(ae.Module):
    """What the rules that remove things are for: a block, and a square layer with a skip."""

    def __init__(self):
        self.a, self.u, self.v, self.b = nn.Dense(6), nn.Dense(6), nn.Dense(6), nn.Dense(6)
        self.out = nn.Dense(3, bias=False)

    def __call__(self, x):
        h = nn.silu(self.a(x))
        h = h + self.v(nn.silu(self.u(h)))
        return self.out(h + nn.gelu(self.b(h)))


SHAPES = {Rows: (5, 7), Images: (5, 8, 8, 2), Blocks: (5, 7)}


def made(cls, **training):
    x = np.random.default_rng(0).normal(size=SHAPES[cls]).astype("float32")
    model = cls()
    graph_of(model, x)  # makes the parameters; nothing is compiled
    model.init(0)
    rng = np.random.default_rng(1)  # statistics and shifts that are not those of the first call
    for cell in model.store.values():
        if not isinstance(cell, ae.RandomState) and cell.type.ndim == 1:
            cell.restore(rng.uniform(0.5, 1.5, cell.type.shape))
    return model.with_pass(automl.Training(**training)), x


def graph_of(model, x):
    return ae.lower(model, TensorType("float32", x.shape)("x"))


def all_places():
    for cls in SHAPES:
        model, x = made(cls)
        for rule, place, _ in automl.places(graph_of(model, x), automl.RULES):
            marks = [] if rule in FAST else [pytest.mark.slow]
            name = f"{cls.__name__}-{rule.name}-{place}"
            yield pytest.param(cls, rule.name, place, id=name, marks=marks)


@pytest.mark.parametrize("cls, rule, place", list(all_places()))
def test_a_child_is_a_module_with_weights_from_its_parent(cls, rule, place, tmp_path):
    model, x = made(cls)
    before, values = model.predict(x), model.store.snapshot()
    own = automl.twin(model)
    child = own.with_pass(automl.Grow(rule, place))
    y = child.predict(x)
    assert y.shape == before.shape and np.isfinite(y).all()
    if rule in KEPT:
        np.testing.assert_allclose(y, before, atol=2e-5)
    child.save(tmp_path / "child")
    np.testing.assert_array_equal(ae.load(tmp_path / "child").predict(x), y)
    for path, value in values.items():
        np.testing.assert_array_equal(model.store[path].numpy(), value)
    found = ae.diff(own, child, TensorType("float32", x.shape)("x"))
    assert [step.rule for step in found.rewrites] == [rule]


@pytest.mark.slow
@pytest.mark.parametrize("cls, rule, place", list(all_places()))
def test_a_child_trains_and_its_new_weights_move(cls, rule, place):
    model, x = made(cls)
    child = automl.twin(model).with_pass(automl.Grow(rule, place))
    child.compile(optimizer=ae.Adam(0.01), loss=nn.softmax_cross_entropy, seed=0)
    y = np.arange(len(x)) % 3
    before = graph_of(child, x) and child.store.snapshot()
    first, *_, last = child.fit(x, y, epochs=40, progress=False)["loss"]
    assert last < first
    used = {c.name for c in ae.parameters(graph_of(child, x))}
    new = [p for p in used if p.startswith("passes")]
    assert all((child.store[p].numpy() != before[p]).any() for p in new)


@pytest.mark.slow
def test_every_rule_has_a_place_somewhere():
    found = set()
    todo = [made(cls) for cls in SHAPES]
    model, x = made(Rows, weight_decay=0.01)
    todo.append((model, x))
    todo += [(made(Rows, optimizer=o)[0], x) for o in ("SGD", "RMSprop", "Lion")]
    for model, x in todo:
        graph = graph_of(model, x)
        for rule, place, _ in automl.places(graph, automl.RULES):
            found.add(rule.name)
            grown, _ = automl.Grow(rule, place)(graph)
            found |= {r.name for r, _, _ in automl.places(grown, automl.RULES)}
            if "to" in rule.name or "kernel" in rule.name:
                for again, i, _ in automl.places(grown, automl.RULES):
                    deeper, _ = automl.Grow(again, i)(grown)
                    found |= {r.name for r, _, _ in automl.places(deeper, automl.RULES)}
    assert found == {r.name for r in automl.RULES}


def test_two_layers_have_choices_of_their_own():
    model, x = made(Rows)

    def widths(model):
        nodes = toposort(graph_of(model, x).outputs)
        return [n.outputs[0].type.shape[1] for n in nodes if str(n.op) == "Dense"]

    assert widths(model.with_pass(automl.Grow("wider", 0))) == [12, 6, 3]
    assert widths(model.with_pass(automl.Grow("wider", 1))) == [6, 12, 3]
    both = automl.grow(model, [("wider", 1), ("wider", 0), ("wider", 0)])
    assert widths(both) == [24, 12, 3]


def test_wider_is_the_replication_of_net2net():
    model, x = made(Rows)
    child = model.with_pass(automl.Grow("wider", 1))
    child.predict(x)
    scale = child.store["scale.scale"].numpy()
    w, u = child.store["b.w"].numpy(), child.store["out.w"].numpy()
    new = [child.store[p].numpy() for p in child.store if p.startswith("passes[1]")]
    np.testing.assert_array_equal(new[0], np.concatenate([w, w], axis=1))
    np.testing.assert_array_equal(new[2], np.concatenate([scale, scale]))
    np.testing.assert_allclose(new[-1][:6] + new[-1][6:], u, rtol=1e-6)
    assert (new[-1][:6] * new[-1][6:] < 0).all()  # gradients of the copies differ in sign


def test_copies_of_a_unit_part_ways():
    model, x = made(Rows)
    child = automl.twin(model).with_pass(automl.Grow("wider", 1))
    child.compile(optimizer=ae.Adam(0.01), loss=nn.softmax_cross_entropy, seed=0)
    child.fit(x, np.arange(len(x)) % 3, epochs=5, progress=False)
    w = child.store["passes[1].made[0]"].numpy()
    assert (np.abs(w[:, :6] - w[:, 6:]).max(axis=0) > 1e-3).all()


def test_updates_go_on_from_what_is_new():
    model, x = made(Rows)
    child = automl.twin(model).with_pass(automl.Grow("wider", 0))
    graph = graph_of(child, x)
    names = {c.name for c in graph.updates if c.name}
    assert "norm.mean" not in names and "drop.rng" in names
    assert sorted(c.type.shape for c in graph.updates if hasattr(c.type, "shape")) == [(12,)] * 2
    gone = automl.twin(model).with_pass(automl.Grow("without batch normalization", 0))
    assert [c.name for c in graph_of(gone, x).updates] == ["drop.rng"]


def test_a_layer_that_is_called_twice_is_not_torn_apart():
    class Twice(ae.Module):
        def __init__(self):
            self.a, self.out = nn.Dense(4), nn.Dense(4)

        def __call__(self, x):
            return self.out(nn.relu(self.a(nn.relu(self.a(x)))))

    model, x = Twice(), np.ones((2, 4), "float32")
    graph_of(model, x)
    places = automl.places(graph_of(model, x), automl.RULES)
    assert "wider" not in {rule.name for rule, _, _ in places}


def test_a_value_that_is_read_twice_keeps_its_width():
    model, x = made(Blocks)
    found = [
        p.path for r, _, p in automl.places(graph_of(model, x), automl.RULES) if r.name == "wider"
    ]
    assert found == ["v"]  # `h` is read by a layer and by the sum


def test_lineages_apply_to_another_model():
    lineage = [("wider", 0), ("layer normalization", 0), ("learning rate up", 0)]

    class Other(ae.Module):
        def __init__(self):
            self.first, self.second, self.last = nn.Dense(5), nn.Dense(9), nn.Dense(2)

        def __call__(self, x):
            return self.last(nn.gelu(self.second(nn.gelu(self.first(x)))))

    x = np.random.default_rng(0).normal(size=(4, 11)).astype("float32")
    other = Other()
    other(x)
    grown = automl.grow(other.with_pass(automl.Training()), lineage)
    assert grown.predict(x).shape == (4, 2)
    graph = graph_of(grown, x)
    assert automl.training_of(graph).learning_rate == 0.003
    assert [s.rule for s in grown.explain().steps[1:]] == [r for r, _ in lineage]
    assert [p.type.shape for p in ae.parameters(graph)][:2] == [(11, 10), (10,)]


def test_keys_tell_structure_not_history_nor_weights():
    model, x = made(Rows)
    other, _ = made(Rows)
    assert automl.key(graph_of(model, x)) == automl.key(graph_of(other, x))
    one = automl.grow(model, [("wider", 0), ("learning rate up", 0), ("wider", 1)])
    two = automl.grow(model, [("wider", 1), ("wider", 0), ("learning rate up", 0)])
    assert automl.key(graph_of(one, x)) == automl.key(graph_of(two, x))
    three = automl.grow(model, [("wider", 1), ("learning rate up", 0)])
    assert automl.key(graph_of(three, x)) != automl.key(graph_of(two, x))


def test_wrong_uses_are_told():
    model, x = made(Rows)
    with pytest.raises(UnknownNameError, match="did you mean 'wider'"):
        automl.Grow("widr")
    with pytest.raises(RewriteError, match="a number below 2"):
        model.with_pass(automl.Grow("wider", 7)).predict(x)
    with pytest.raises(RewriteError, match="this one has no place"):
        model.with_pass(automl.Grow("larger kernel")).predict(x)
    with pytest.raises(ArgumentError, match="Alternatives"):
        automl.require_alternatives(["dropout in inference"])
    with pytest.raises(UnknownNameError, match="Adam"):
        automl.Training("adam")
    with pytest.raises(ArgumentError, match="positive"):
        automl.Training(learning_rate=-1.0)
    with pytest.raises(StateError, match="with_pass"):
        automl.training_of(graph_of(Rows(), x))
    with pytest.raises(StateError, match="init"):
        graph_of(Rows().with_pass(automl.Grow("wider")), x)
    assert find_rule("wider") in automl.RULES
