"""The pass: what it chooses, in inference and in training, and what it says of it."""

import re
import subprocess
import sys
from math import prod

import numpy as np
import pytest

import aeframe as ae
from aeframe import nn
from aeframe.core import typed_nodes
from aeframe.core.errors import ArgumentError, FileError, RewriteError, StateError, UnknownNameError
from aeframe.core.structure import Structure, import_own
from aeframe.nn.ops import DenseOp, LayerNormOp, LeakyReluOp, ReluOp
from aeframe.rewrites import (
    EQUALITIES,
    Equality,
    Expr,
    GreedyExtraction,
    Limits,
    OptimalExtraction,
    Prop,
    Saturation,
    graph_of,
)
from aeframe.rewrites.pattern import Var, term
from aeframe.rewrites.rule import RULES as DECLARED
from aeframe.rewrites.vocabulary import AddOp, MulOp, SliceOp

rng = np.random.default_rng(0)


class Flops(Structure):
    """A model for tests: multiplications, and one for each Apply."""

    def __call__(self, node):
        made = sum(prod(o.type.shape) for o in node.outputs if hasattr(o.type, "shape"))
        layer = getattr(node.op, "layer", node.op)  # by itself or within a FusedOp
        inner = node.inputs[1].type.shape[0] if isinstance(layer, DenseOp) else 0
        return 1.0 + made * inner + isinstance(node.op, LayerNormOp)


class Net(ae.Module):
    """Two linear layers, narrow ones between wide ones, so that merging them pays for few rows."""

    dtype = "float32"

    def __init__(self):
        self.wide, self.out = nn.Dense(32), nn.Dense(4)

    def __call__(self, x):
        return nn.relu(self.out(self.wide(x)))


RULES = [r for r in EQUALITIES if "panels" not in r.name]  # a layout, which Flops does not see


def optimized(model, **options):
    return model.with_pass(Saturation(RULES, Flops(), **options))


X = rng.normal(size=(6, 8)).astype("float32")


@pytest.mark.parametrize("extraction", [GreedyExtraction(), OptimalExtraction()])
def test_weights_alone_are_free_in_inference(extraction):
    net = Net()
    before = net(X)
    fast = optimized(net, extraction=extraction)
    np.testing.assert_allclose(fast(X), before, rtol=1e-4, atol=1e-5)
    assert "linear layers" in [s.rule for s in fast.explain().steps]
    (product,) = [n for n in typed_nodes(graph_of(fast)[0]) if X.shape == n.inputs[0].type.shape]
    assert product.inputs[1].type.shape == (8, 4)


def test_new_weights_are_seen():
    net = Net()
    net(X)
    fast = optimized(net)
    before = fast(X)
    net.out.b.value = net.out.b.value + 100.0
    assert np.all(fast(X) > before + 50)


def test_weights_cost_something_in_training():
    net = Net()
    net(X)
    fast = optimized(net)
    y = rng.normal(size=(6, 4)).astype("float32")
    fast.compile(optimizer=ae.SGD(1e-2), loss=nn.mean_squared_error)
    plain = Net()
    plain(X)
    for path, cell in net.store.items():
        plain.store[path].value = cell.value
    plain.compile(optimizer=ae.SGD(1e-2), loss=nn.mean_squared_error)
    logs = [m.fit(X, y, epochs=3, batch_size=6, progress=False).logs["loss"] for m in (fast, plain)]
    np.testing.assert_allclose(*logs, rtol=1e-5)
    # 8 · 32 + 32 · 4 multiplications a row, against 8 · 32 · 4 for the merged weight and 8 · 4
    merged = [s.rule for s in graph_of(fast)[1].steps]
    assert "linear layers" in merged
    training, _ = Saturation(RULES, Flops()).in_training()(ae.lower(net, x_symbol()))
    assert sum(isinstance(n.op, DenseOp) for n in typed_nodes(training)) == 2


def x_symbol():
    import aesara.tensor as at

    return at.TensorType("float32", X.shape)("x")


def test_rules_without_gradients_are_left_out_of_training():
    a = Var("a", "*a")
    rule = ae.Equality(
        "test: no normalization",
        term(LayerNormOp, epsilon=1e-6)(a, Var("s"), Var("b")),
        term(ReluOp)(a),
        gradients=False,
    )
    model = nn.Sequential(nn.LayerNorm(1e-6))
    model(X)
    each = Saturation([rule], Flops())
    graph = ae.lower(model, x_symbol())
    assert each(graph)[1].steps and not each.in_training()(graph)[1].steps


def test_a_graph_that_nothing_makes_cheaper_is_left_as_it_is():
    net = nn.Sequential(nn.Dense(3))
    net(X)
    graph = ae.lower(net, x_symbol())
    made, report = Saturation(RULES, Flops())(graph)
    assert made is graph and not report.steps and "saturated" in report.note


def test_the_report_says_which_limit_was_reached():
    net = Net()
    net(X)
    graph = ae.lower(net, x_symbol())
    for limits, text in (
        (Limits(iterations=1), "limit of 1 iterations"),
        (Limits(nodes=5), "limit of 5 nodes"),
        (Limits(seconds=0.0), "limit of 0 s"),
    ):
        assert text in Saturation(RULES, Flops(), limits=limits)(graph)[1].note


def test_gains_add_up_to_that_of_the_graph():
    model = nn.Sequential(Net(), nn.relu, Net(), nn.Dense(16), nn.Dense(4))
    model(X)
    fast = optimized(model)
    report = graph_of(fast, (x_symbol(),))[1].reports[-1]
    before, after = re.findall(r"[\d.e+-]+", report.note)[:2]
    gains = [s.predicted for s in report.steps if s.predicted is not None]
    assert len(gains) > 1 and min(gains) >= 0
    np.testing.assert_allclose(sum(gains) * 1e6, float(before) - float(after), rtol=2e-3)
    assert str(report).count("in all") == 1


def test_saved_with_its_lineage(tmp_path):
    net = Net()
    net(X)
    fast = optimized(net)
    before = fast(X)
    fast.save(tmp_path / "file")
    again = ae.load(tmp_path / "file")
    done = fast.explain()
    assert done.steps and again.explain().reports == fast._lineage.reports
    assert "as it was saved" in str(again.explain())
    again.save(tmp_path / "copy")
    assert ae.load(tmp_path / "copy").explain() == again.explain()
    np.testing.assert_array_equal(again(X), before)
    assert [s.rule for s in again.explain().steps] == [s.rule for s in done.steps]
    assert again.explain().note == ""


def test_what_is_done_anew_is_told_apart_from_what_was_saved(tmp_path):
    net = Net()
    net(X)
    fast = optimized(net)
    fast(X)
    fast.save(tmp_path / "file")
    again = ae.load(tmp_path / "file")
    again.passes = ()
    again(X)
    assert again.explain().note.startswith("searched anew here; as it was saved: ")


def test_a_rule_that_is_not_declared_is_named_when_the_file_is_read(tmp_path):
    v = Var("v")
    rule = ae.Equality("test of a missing rule", term(ReluOp)(term(ReluOp)(v)), term(ReluOp)(v))
    try:
        net = Net()
        net(X)
        net.optimize(rule).save(tmp_path / "file")
    finally:
        DECLARED.pop(rule.name)
    with pytest.raises(FileError, match="not declared here: test of a missing rule"):
        ae.load(tmp_path / "file")


def test_loading_imports_the_rooms_of_aeframe_and_no_others(tmp_path, monkeypatch):
    net = nn.Sequential(nn.Dense(3), nn.relu)
    net(X)
    net.optimize().save(tmp_path / "file")
    code = f"import aeframe as ae; print(ae.load({str(tmp_path / 'file')!r}).explain)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "Sequential" in found.stdout, found.stderr
    for name in ("this", "aeframe.__main__"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import_own("this:s"), import_own("aeframe.__main__:s")
    assert not {"this", "aeframe.__main__"} & set(sys.modules)


def test_the_difference_is_drawn(tmp_path):
    net = Net()
    net(X)
    fast = optimized(net)
    fast(X)
    change = ae.diff(net, fast)
    assert change.removed and change.added and "linear layers" in str(change)
    axes = change.plot()
    before, after = ({t.get_text().split("\n")[0] for t in ax.texts} for ax in axes)
    assert before - {""} == {"Dense", "Relu"} and after - {""} == {"Fused(Dense, Relu)"}
    axes[0].figure.savefig(tmp_path / "difference.png")
    assert (tmp_path / "difference.png").stat().st_size > 2000


def test_a_difference_needs_the_inputs_of_one_of_the_two():
    net, other = Net(), Net()
    with pytest.raises(StateError, match="the first, Net and the second, Net"):
        ae.diff(net, other)
    net(X)
    for change in (ae.diff(net, other), ae.diff(other, net)):
        assert not change.rewrites and len(change.removed) == len(change.added) == 3
    assert not ae.diff(Net(), net, x_symbol()).rewrites


class Normed(ae.Module):
    """What differs between the phases, around a part with a pass of its own."""

    dtype = "float32"

    def __init__(self):
        self.inner = optimized(Net())
        self.norm, self.drop = nn.BatchNorm(), nn.Dropout(0.5)

    def __call__(self, x):
        return self.drop(self.norm(self.inner(x)))


def test_a_part_that_is_optimized_waits_for_the_phase_too():
    model = Normed()
    model.compile(optimizer=ae.SGD(1e-3), loss=nn.mean_squared_error)
    model.fit(X, np.zeros((6, 4), "float32"), epochs=1, progress=False)
    assert np.abs(model.store["norm.mean"].value).max() > 0
    assert "linear layers" in [s.rule for s in model.explain().steps]
    np.testing.assert_array_equal(model(X), model(X))


class Likes(Structure):
    """A model for tests: some Ops cost nothing, whatever they are for."""

    def __init__(self, *names):
        self.names = names

    def __call__(self, node):
        return 0.01 if any(name in str(node.op) for name in self.names) else 1.0


class Convolutional(ae.Module):
    dtype = "float32"

    def __init__(self):
        self.conv, self.norm, self.out = nn.Conv2D(8, 3), nn.BatchNorm(), nn.Dense(4)

    def __call__(self, x):
        return self.out(nn.relu(self.norm(self.conv(x))).mean((1, 2)))


@pytest.mark.parametrize("backend", ["jax", "c"])
@pytest.mark.parametrize(
    "names", [("Winograd", "PanelDense"), ("PanelDense",), ("Fused",), ("Fused", "Winograd")]
)
def test_kernels_get_on_with_each_other_whatever_they_cost(names, backend):
    model, x = Convolutional(), rng.normal(size=(32, 8, 8, 3)).astype("float32")
    with ae.Backend(backend):
        before = model(x)
        found = model.with_pass(Saturation(EQUALITIES, Likes(*names)))(x)
    np.testing.assert_allclose(found, before, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("backend", ["jax", "c"])
@pytest.mark.parametrize("bias", [False, True], ids=["no bias", "bias"])
@pytest.mark.parametrize("kind", ["convolution", "linear layer"])
def test_batch_normalization_becomes_part_of_the_layer_before_it(kind, bias, backend):
    convolves = kind == "convolution"
    layer = nn.Conv2D(8, 3, bias=bias) if convolves else nn.Dense(8, bias=bias)
    x = rng.normal(size=(2, 9, 9, 4) if convolves else (32, 4)).astype("float32")
    with ae.Backend(backend):
        model = nn.Sequential(layer, nn.BatchNorm(), nn.relu)
        model(x)
        for path, cell in model.store.items():
            if not path.endswith(".w"):
                cell.value = rng.uniform(0.5, 1.5, cell.value.shape)
        fast = model.with_pass(Saturation(EQUALITIES, Likes("Fused")))
        np.testing.assert_allclose(fast(x), model(x), rtol=1e-3, atol=1e-4)
        ops = [n.op for n in typed_nodes(graph_of(fast)[0]) if n.outputs[0].type.ndim == x.ndim]
    assert "BatchNorm" not in str(ops) and str(ops[-1]).startswith("Fused")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Limits(nodes=-1),
        lambda: Limits(iterations=1.5),
        lambda: Limits(seconds="1"),
        lambda: Saturation("linear layers", Flops()),
        lambda: Saturation(EQUALITIES, "analytic"),
        lambda: Saturation(EQUALITIES, lambda node: None)(ae.lower(Net(), x_symbol())),
        lambda: Saturation(EQUALITIES, lambda node: float("nan"))(ae.lower(Net(), x_symbol())),
    ],
)
def test_wrong_limits_rules_and_costs_are_refused(make):
    with pytest.raises(ArgumentError):
        make()


a, w, v, relu, dense = Var("a"), Var("w", "i k"), Var("v", "k o"), term(ReluOp), term(DenseOp)
two = dense(dense(a, w), v), dense(a, dense(w, v))
add, mul = term(AddOp), term(MulOp)
slices = term(SliceOp, axis=-1, start=0, stop=Expr("i + q"))
SENSELESS = {
    "right variable": (lambda: Equality("none", relu(relu(a)), Var("b")), "names"),
    "right size": (lambda: Equality("none", dense(a, w), slices(a)), "got: +q"),
    "right hyperparameter": (
        lambda: Equality("none", relu(a), term(LeakyReluOp, slope=Prop("s"))(a)),
        "got: +s",
    ),
    "no expression": (lambda: Equality("none", *two, where="k >="), "no expression"),
    "code": (lambda: Equality("none", *two, where="__import__('os')"), "holds Call"),
    "condition": (lambda: Equality("none", *two, where=3), "no text"),
    "unknown size": (lambda: Equality("none", *two, where="kk >= i"), "did you mean 'k'"),
    "size of a number": (
        lambda: Equality("none", dense(a, Var("w", "3 k")), a, where="k < j"),
        "j",
    ),
    "way back": (
        lambda: Equality("none", add(a, mul(w, 0.0)), mul(a, 1.0), both=True),
        "got: +w",
    ),
    "no way back": (lambda: Equality("none", relu(relu(a)), a, both=True), "is no Apply"),
    "name": (lambda: Equality(3, *two), "got: +3"),
    "hyperparameter": (lambda: term(LeakyReluOp, slop=0.1), "did you mean 'slope'"),
    "of an Op": (lambda: term(ReluOp(), slope=0.1), "no hyperparameter"),
    "too many inputs": (lambda: Equality("none", relu(a, w), a), "so many"),
    "too few inputs": (lambda: Equality("none", dense(a), a), "so many"),
    "too many on the right": (lambda: Equality("none", relu(a), relu(a, a)), "so many"),
}


@pytest.mark.parametrize("what", SENSELESS)
def test_rules_that_make_no_sense_are_refused_at_once(what):
    make, says = SENSELESS[what]
    with pytest.raises(RewriteError, match=says):
        make()


def test_an_equality_of_another_type_is_refused_by_every_engine():
    a, w, v = Var("a"), Var("w"), Var("v")
    dense = term(DenseOp)
    wrong = ae.Equality("test: of another type", dense(dense(a, w), v), dense(a, w))
    model = nn.Sequential(nn.Dense(5, bias=False), nn.Dense(4, bias=False))
    model(X)
    for better in (model.optimize(wrong), model.with_pass(Saturation([wrong], Flops()))):
        with pytest.raises(RewriteError, match="another type"):
            better(X)


def test_low_rank_corrections_are_merged():
    layer = nn.Dense(32)
    x = rng.normal(size=(64, 32)).astype("float32")
    layer(x)
    model = nn.LoRA(layer, 4)
    model.init()
    model.b.value = rng.normal(size=model.b.value.shape)
    before = model(x)
    fast = model.with_pass(Saturation(RULES, Flops()))
    np.testing.assert_allclose(fast(x), before, rtol=1e-4, atol=1e-4)
    assert "layer of summed weights" in [s.rule for s in fast.explain().steps]


def test_a_rule_with_several_roots_is_used_where_it_pays():
    class Two(ae.Module):
        dtype = "float32"

        def __init__(self):
            self.one, self.two = nn.Dense(256), nn.Dense(256)

        def __call__(self, x):
            return nn.tanh(self.one(x)) * self.two(x)

    x = rng.normal(size=(64, 256)).astype("float32")
    with ae.Backend("c"):
        model = Two()
        before = model(x)
        rule = ae.rewrites.find_rule("layers with biases of one input")
        found = model.optimize(rule)
        np.testing.assert_allclose(found(x), before, rtol=1e-4, atol=1e-5)
        assert {s.rule for s in found.explain().steps} <= {rule.name}
        forced = model.with_pass(Saturation([rule], Likes("Slice", "Concat")))
        forced(x)
        assert [s.rule for s in forced.explain().steps] == [rule.name]


OTHER = ae.Alternative("test: tanh for relu", term(ReluOp)(Var("a")), term(nn.ops.TanhOp)(Var("a")))


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda m: m.optimize("layers of one inputs"), UnknownNameError, "layers of one input"),
        (lambda m: m.optimize([OTHER]), ArgumentError, "each an argument"),
        (lambda m: m.optimize(OTHER), ArgumentError, "with_pass"),
        (lambda m: m.optimize(OTHER.name), ArgumentError, "Alternative"),
        (lambda m: ae.backends.optimize(m.wide.w), ArgumentError, "takes a Module"),
        (lambda m: m.optimize().explain(), StateError, "has not been called"),
    ],
    ids=["unknown name", "list", "alternative", "its name", "no module", "uncalled"],
)
def test_wrong_uses_of_optimize(make, error, says):
    with pytest.raises(error, match=says):
        make(Net())


@pytest.mark.parametrize(
    "rules", [(), ("linear layers", "layers of one input")], ids=["all", "two"]
)
def test_what_is_optimized_already_has_no_more_passes_after_it(rules):
    net = Net()
    before = net(X)
    once = net.optimize(*rules)
    twice = once.optimize(*rules)
    assert [type(p) for p in twice.passes] == [type(p) for p in once.passes]
    np.testing.assert_allclose(twice(X), before, rtol=1e-4, atol=1e-5)
    assert not net.passes and len(once.passes) == 2
    assert len(once.optimize("relu transposed").passes) == 3
    assert len(once.with_pass(nn.Bfloat16()).optimize(*rules).passes) == 5


def test_rules_print_as_they_are_written():
    assert str(OTHER) == "test: tanh for relu: Relu(a) → Tanh(a)"
    several = repr(ae.rewrites.find_rule("layers of one input"))
    wanted = "every layer(a, w) by w → parts of layer(a, Concat[axis=-1](*w)) along -1 by o"
    assert several == f"layers of one input: {wanted}"


def test_runs_of_what_stays_are_one_box_in_a_picture():
    tail = [nn.relu, nn.tanh] * 6
    model = nn.Sequential(nn.tanh, nn.Dense(5), nn.Dense(4), *tail)
    model(X)
    fast = optimized(model)
    fast(X)
    for panel in ae.diff(model, fast).plot():
        texts = [t.get_text() for t in panel.texts if t.get_text()]
        assert "Tanh" in texts[0] and "⋮" in texts[-1] and len(texts) <= 6
