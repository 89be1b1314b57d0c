"""Cost models: what they predict from measured rates, what they keep, and what they refuse."""

import json

import aesara.tensor as at
import numpy as np
import pytest
from aesara.graph.basic import Constant

import aeframe as ae
from aeframe.backends import calibrate, cost
from aeframe.backends.cost import Analytic, Measured, graph_cost
from aeframe.backends.plain import matrix
from aeframe.backends.work import VIEW, Work, work, work_of
from aeframe.core import Graph, Parameter, TypedOp
from aeframe.core.cells import RandomState
from aeframe.core.errors import ShapeError
from aeframe.core.graph import leaves, toposort
from aeframe.core.intermediate import IntermediateOp, IntermediateType
from aeframe.core.shapes import narrow
from aeframe.nn.ops import (
    AttentionOp,
    BatchNormInferenceOp,
    Conv2DOp,
    DenseOp,
    DropoutOp,
    GeluOp,
    ReluOp,
    SoftmaxOp,
)
from aeframe.rewrites.passes import Pass

CALL, START = 2e-6, 1e-5


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """A machine of known rates: 100 GFLOP/s in products, 10 GB/s, 1 GFLOP/s in chains."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    asked = []

    def seconds(backend, outputs, weights=False):
        asked.append(outputs)
        nodes = [narrow(n) for n in toposort(outputs)]
        found = [w for w in map(work, nodes) if w.kind is not VIEW]
        chain = all(w.kind.sample is None for w in found)
        flops = sum(w.flops for w in found)
        ends = [*leaves(outputs), *(n.outputs[0] for n in nodes[-1:])]
        size = sum(4 * np.prod(v.type.shape) for v in ends if not isinstance(v, Constant))
        if chain:
            return START + size / 1e10 + flops / 1e12
        return START + len(found) * CALL + max(flops / 1e11, size / 1e10)

    monkeypatch.setattr(calibrate, "seconds", seconds)
    monkeypatch.setattr(cost, "seconds", seconds)
    return asked


def dense(m, k, n):
    return DenseOp()(matrix(m, k), matrix(k, n)).owner


def conv(size, c, o, kernel):
    p = kernel // 2
    x, w = matrix(1, size, size, c), matrix(kernel, kernel, c, o)
    return Conv2DOp(padding=((p, p), (p, p)))(x, w).owner


def test_a_large_product_takes_its_operations_at_the_measured_rate(asked):
    wanted = 2 * 512 * 1024 * 1024 / 1e11
    assert Analytic("c")(dense(512, 1024, 1024)) == pytest.approx(wanted, rel=0.1)


def test_more_work_never_costs_less(asked):
    model = Analytic("c")
    for make in (
        lambda s: dense(s, 256, 256),
        lambda s: dense(64, s, 64),
        lambda s: conv(14, s, 64, 3),
        lambda s: ReluOp()(matrix(s, 4096)).owner,
        lambda s: SoftmaxOp()(matrix(s, 64)).owner,
        lambda s: AttentionOp()(*[matrix(1, 4, s, 32)] * 3)[0].owner,
        lambda s: narrow(at.concatenate([matrix(s, 64), matrix(s, 64)]).owner),
    ):
        found = [model(make(s)) for s in (8, 64, 512)]
        assert found == sorted(found) and found[0] < found[-1]


def test_an_elementwise_apply_of_a_fusing_backend_moves_its_output_alone(asked):
    x = matrix(1024, 1024)
    one = Analytic("c")(ReluOp()(x).owner)
    assert one == pytest.approx(4 * 1024**2 / 1e10, rel=0.3)


def test_it_says_no(asked):
    model = Analytic("c")
    x = matrix(64, 3072)
    parts = [narrow(x[:, i * 1024 : (i + 1) * 1024].owner) for i in range(3)]
    merged = model(dense(64, 1024, 3072)) + sum(map(model, parts))
    assert merged > 0.95 * 3 * model(dense(64, 1024, 1024))
    assert model(conv(28, 64, 64, 3)) > 4 * model(conv(28, 64, 64, 1))


def test_it_says_yes(asked):
    model = Analytic("c")
    assert model(dense(16, 64, 128)) < 2 * model(dense(16, 64, 64))
    two = model(dense(1, 128, 512)) + model(dense(1, 512, 128))
    assert two > 2 * model(dense(1, 128, 128))


def test_a_slice_costs_what_it_was_measured_to_cost_whatever_its_bytes(asked, monkeypatch):
    real = cost.Machine.net
    monkeypatch.setattr(
        cost.Machine,
        "net",
        lambda self, name, *more: self.call if name[:5] == "slice" else real(self, name, *more),
    )
    found = Analytic("c")(narrow(matrix(64, 3072)[:, :1024].owner))
    assert found < 0.5 * Analytic("jax")._traffic(2 * 4 * 64 * 1024)


def test_what_is_only_another_view_costs_nothing(asked):
    x = matrix(64, 32)
    assert Analytic("c")(x.T.owner) == 0
    assert Analytic("c")(narrow(x.reshape((32, 64)).owner)) == 0


def test_wider_numbers_take_longer(asked):
    double = [at.TensorType("float64", (1024, 1024))() for _ in range(2)]
    single = [matrix(1024, 1024) for _ in range(2)]
    model = Analytic("c")
    assert model(at.dot(*double).owner) == pytest.approx(2 * model(at.dot(*single).owner), rel=0.05)


def test_each_program_is_timed_once_on_a_machine(asked, tmp_path):
    node = dense(64, 128, 128)
    first = Analytic("c")(node)
    n = len(asked)
    assert n > 0 and Analytic("c")(node) == first
    assert len(asked) == n
    (file,) = (tmp_path / "aeframe" / "cost").iterdir()
    for damaged in ("{", "[1, 2]", '{"start": "soon"}', ""):
        file.write_text(damaged)
        assert Analytic("c")(node) == first
    assert len(asked) == 5 * n


def test_another_version_is_measured_again(asked, monkeypatch):
    Analytic("c")(dense(64, 128, 128))
    n = len(asked)
    monkeypatch.setattr(calibrate, "FORMAT", calibrate.FORMAT + 1)
    Analytic("c")(dense(64, 128, 128))
    assert len(asked) == 2 * n


def test_without_a_folder_it_measures_in_each_process(asked, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    assert Analytic("c")(dense(64, 128, 128)) > 0


def test_processes_add_to_one_file(asked, tmp_path):
    one, two = Analytic("c"), Analytic("c")
    assert one.machine.table.values == two.machine.table.values == {}
    one(dense(64, 128, 128))
    two(SoftmaxOp()(matrix(16, 16)).owner)
    (file,) = (tmp_path / "aeframe" / "cost").iterdir()
    kept = json.loads(file.read_text())
    assert any(k.startswith("dense") for k in kept) and any(k.startswith("rows") for k in kept)


def test_measured_times_each_distinct_apply_once(asked):
    model = Measured("c")
    first = model(dense(8, 16, 16))
    n = len(asked)
    assert model(dense(8, 16, 16)) == first == Measured("c")(dense(8, 16, 16))
    assert len(asked) == n
    assert model(dense(8, 16, 32)) > 0 and len(asked) == n + 1


class LocalOp(TypedOp):
    """An Op that no file can describe."""

    __props__ = ("function",)

    def __init__(self, function):
        self.function = function

    def body(self, x):
        return self.function(x)


def test_what_no_file_can_describe_is_measured_in_each_process(asked):
    node = LocalOp(lambda x: x + 1.0)(matrix(4)).owner
    assert Measured("c")(node) > 0
    n = len(asked)
    Measured("c")(node)
    assert len(asked) == n + 1


@pytest.mark.parametrize("name", ["jax", "c", "numba"])
def test_measured_runs_random_states_integers_and_several_outputs(name, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    model = Measured(name)
    state = RandomState("rng")
    ids = at.TensorType("int64", (5,))()
    for node in (
        DropoutOp(0.5)(state, matrix(8, 8))[0].owner,
        narrow(at.take(matrix(9, 3), ids, axis=0).owner),
        AttentionOp()(*[matrix(1, 2, 4, 8)] * 3)[0].owner,
    ):
        assert 0 < model(node) < 1


def test_intermediate_ops_cost_a_call(asked):
    class KindType(IntermediateType):
        name = "kind"

    class MadeOp(IntermediateOp):
        out_type = KindType()

    node = MadeOp()(matrix(3)).owner
    assert work(node) == Work() and work(node).calls == 1
    assert Measured("c")(node) == pytest.approx(CALL, rel=0.1)
    assert Analytic("c")(node) == pytest.approx(CALL, rel=0.1)


@pytest.mark.parametrize("model", [Analytic, Measured])
def test_unknown_shapes_are_refused(asked, model):
    node = at.dot(at.fmatrix("x"), matrix(3, 4)).owner
    node.tag.path = "encoder.layers[2]"
    with pytest.raises(ShapeError, match=r"encoder.layers\[2\](.|\n)*\(\*, \*\) float32(.|\n)*fix"):
        model("c")(node)


def test_a_rooms_own_op_says_what_it_costs(asked):
    class SpecialOp(TypedOp):
        """Costs what its room says."""

        def body(self, x):
            return x + 1.0

    @work_of(SpecialOp)
    def _special(node):
        return Work(123.0, 456.0)

    assert work(SpecialOp()(matrix(3)).owner).flops == 123


def test_the_cost_of_a_graph_leaves_out_what_is_folded():
    w = Parameter(np.ones((3, 3)))
    x = at.TensorType("float64", (2, 3))("x")
    merged = at.dot(w, w)
    graph = Graph((x,), (at.exp(at.dot(x, merged)), at.exp(at.dot(x, merged))))
    assert graph_cost(graph, lambda node: 1.0) == 2
    trained = Graph((x,), (at.dot(x, merged),), {w: w * 2.0})
    assert graph_cost(trained, lambda node: 1.0) == 3


class Choice(Pass):
    """A pass that holds a cost model."""

    def __init__(self, cost):
        self.cost = cost


class Holder(ae.Module):
    """A Module that holds the pass."""

    def __init__(self, chosen):
        self.chosen = chosen

    def __call__(self, x):
        return x


def test_models_are_saved_with_a_pass(asked, tmp_path):
    model = Analytic("c")
    before = model(dense(8, 8, 8))
    Holder(Choice(model)).save(tmp_path / "model")
    loaded = ae.load(tmp_path / "model").chosen.cost
    assert isinstance(loaded, Analytic) and loaded.backend == "c"
    assert loaded(dense(8, 8, 8)) == before


@pytest.mark.slow
@pytest.mark.parametrize("name", ["jax", "c"])
def test_the_order_is_that_of_the_clock_where_it_is_clear(name):
    predicted, measured = Analytic(name), Measured(name)
    for less, more in (
        (dense(64, 128, 128), dense(256, 512, 512)),
        (conv(28, 32, 32, 1), conv(28, 32, 32, 3)),
        (ReluOp()(matrix(64, 64)).owner, GeluOp()(matrix(1024, 1024)).owner),
        (
            BatchNormInferenceOp(1e-5)(matrix(64, 64), *[matrix(64)] * 4).owner,
            dense(64, 2048, 1024),
        ),
        (
            AttentionOp()(*[matrix(1, 8, 32, 64)] * 3)[0].owner,
            AttentionOp()(*[matrix(1, 8, 256, 64)] * 3)[0].owner,
        ),
    ):
        assert measured(less) < measured(more)
        assert predicted(less) < predicted(more)
