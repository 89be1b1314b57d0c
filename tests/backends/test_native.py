"""The native kernels against XLA or NumPy, on awkward shapes; and what happens without them."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import aesara
import aesara.tensor as at
import numpy as np
import pytest

import aeframe as ae
from aeframe.backends import claims, native
from aeframe.backends.native import build, kernel
from aeframe.core.expand import expand
from aeframe.core.graph import Graph
from aeframe.nn import native as layers
from aeframe.nn.ops.attention import AttentionOp
from aeframe.nn.ops.convolve import Conv2DOp, ConvKernel2DOp, ConvTranspose2DOp
from aeframe.nn.ops.linear import DenseOp
from aeframe.nn.ops.normalize import BatchNormOp
from aeframe.nn.ops.pool import MaxPool2DOp
from aeframe.train import native as updates
from aeframe.train.ops import AdamOp, SGDOp

pytestmark = pytest.mark.skipif(
    not isinstance(native.library(), native.Library), reason="no native kernels here"
)

DENSE = [(1, 1, 1), (1, 5, 3), (2, 17, 33), (131, 37, 77), (128, 700, 65), (700, 3, 64)]
# n, h, w, c, kh, kw, o, then stride, padding, dilation, groups
CONVOLUTIONS = [
    ((1, 1, 1, 1, 1, 1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    ((3, 9, 7, 8, 3, 3, 33), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    ((2, 9, 11, 6, 3, 2, 8), (2, 3), ((1, 2), (0, 1)), (1, 1), 2),
    ((2, 12, 13, 6, 3, 3, 12), (1, 1), ((2, 2), (3, 3)), (2, 3), 3),
    ((2, 10, 10, 4, 1, 1, 6), (2, 2), ((0, 0), (0, 0)), (1, 1), 1),
    ((1, 10, 10, 4, 5, 5, 6), (3, 2), ((4, 4), (2, 2)), (2, 1), 1),
    ((2, 2, 2, 5, 5, 5, 3), (1, 1), ((4, 4), (4, 4)), (1, 1), 1),
    ((4, 13, 13, 32, 3, 3, 64), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    ((2, 6, 6, 130, 3, 3, 70), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
]
POOLS = [
    ((1, 2, 2, 1), (2, 2), (2, 2), ((0, 0), (0, 0))),
    ((3, 9, 8, 5), (2, 2), (2, 2), ((0, 0), (0, 0))),
    ((2, 7, 9, 33), (3, 2), (2, 1), ((1, 2), (0, 1))),
]


@pytest.fixture
def eager_claims(monkeypatch):
    """Claims of any size."""
    for module, name in (
        (layers, "FEWEST"),
        (layers, "FEWEST_WEIGHTS"),
        (layers, "NARROWEST"),
        (layers, "SMALLEST"),
        (updates, "FEWEST"),
    ):
        monkeypatch.setattr(module, name, 0)


def symbols(*arrays):
    return [at.TensorType(str(a.dtype), a.shape)() for a in arrays]


def normal(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(s).astype("float32") for s in shapes]


def with_gradients(op, *arrays):
    """The graph of an Op and its gradients for a random cotangent."""
    inputs = symbols(*arrays)
    y = op(*inputs)
    (g,) = normal(y.type.shape, seed=1)
    return Graph(tuple(inputs), (y, *ae.grad((y * at.constant(g)).sum(), inputs)))


def kernels_of(graph, backend="jax"):
    """How many typed Ops of a graph the native kernels do."""
    claims = ae.Backend(backend).claims
    return sum(claims(node) for node in expand_typed(graph, claims))


def expand_typed(graph, claims):
    from aeframe.core.expand import typed_nodes

    return typed_nodes(expand(graph, claims))


def agree(graph, arrays, backend, claimed, tolerance=2e-5):
    """What the kernels compute is what Aesara's own code computes of the expanded bodies."""
    assert kernels_of(graph, backend) == claimed
    found = ae.Backend(backend).compile(graph.inputs, graph.outputs)(*arrays)
    plain = expand(graph)
    wanted = aesara.function(
        list(plain.inputs), list(plain.outputs), mode="FAST_COMPILE", on_unused_input="ignore"
    )(*arrays)
    for a, b in zip(found, wanted, strict=True):
        scale = max(1.0, float(np.abs(b).max()))
        np.testing.assert_allclose(np.asarray(a) / scale, b / scale, atol=tolerance)


@pytest.mark.usefixtures("eager_claims")
@pytest.mark.parametrize("sizes, backend", [*((s, "jax") for s in DENSE), (DENSE[2], "c")], ids=str)
def test_dense(sizes, backend):
    m, i, o = sizes
    arrays = normal((m, i), (i, o), (o,))
    agree(with_gradients(DenseOp(), *arrays), arrays, backend, claimed=2)


@pytest.mark.usefixtures("eager_claims")
def test_dense_of_many_axes_without_bias():
    arrays = normal((2, 3, 5), (5, 7))
    agree(with_gradients(DenseOp(), *arrays), arrays, "jax", claimed=2)


@pytest.mark.usefixtures("eager_claims")
@pytest.mark.parametrize(
    "case, backend", [*((s, "jax") for s in CONVOLUTIONS), (CONVOLUTIONS[2], "c")], ids=str
)
def test_convolution(case, backend):
    shape, stride, padding, dilation, groups = case
    n, h, w, c, kh, kw, o = shape
    arrays = normal((n, h, w, c), (kh, kw, c // groups, o), (o,))
    graph = with_gradients(Conv2DOp(stride, padding, dilation, groups), *arrays)
    agree(graph, arrays, backend, claimed=2)


@pytest.mark.usefixtures("eager_claims")
@pytest.mark.parametrize("shape, stride, padding, dilation, groups", CONVOLUTIONS)
def test_transposed_convolution(shape, stride, padding, dilation, groups):
    n, h, w, c, kh, kw, o = shape
    reach = [(k - 1) * d + 1 for k, d in zip((kh, kw), dilation, strict=True)]
    if any(
        (s - 1) * t + r <= sum(p) for s, t, r, p in zip((h, w), stride, reach, padding, strict=True)
    ):
        pytest.skip("nothing is left of the output")
    arrays = normal((n, h, w, o), (kh, kw, c // groups, o), (c,))
    extra = tuple(s - 1 for s in stride)
    graph = with_gradients(ConvTranspose2DOp(stride, padding, dilation, groups, extra), *arrays)
    agree(graph, arrays, "jax", claimed=3)


@pytest.mark.usefixtures("eager_claims")
@pytest.mark.parametrize("case, backend", [*((s, "jax") for s in POOLS), (POOLS[2], "c")], ids=str)
def test_max_pool(case, backend):
    shape, window, stride, padding = case
    (x,) = normal(shape)
    x = np.round(x)  # with ties
    agree(with_gradients(MaxPool2DOp(window, stride, padding), x), [x], backend, claimed=2)


@pytest.mark.usefixtures("eager_claims")
@pytest.mark.parametrize(
    "shape, backend",
    [((2, 1), "jax"), ((7, 5), "jax"), ((3, 21, 20, 37), "jax"), ((3, 21, 20, 37), "c")],
)
def test_batch_norm(shape, backend):
    c = shape[-1]
    x, scale, shift, mean, variance = normal(shape, (c,), (c,), (c,), (c,))
    arrays = [100 + 3 * x, scale, shift, mean, variance**2]
    inputs = symbols(*arrays)
    made = BatchNormOp(0.9, 1e-2)(*inputs)
    (g,) = normal(shape, seed=1)
    gradients = ae.grad((made[0] * at.constant(g)).sum(), inputs[:3])
    agree(Graph(tuple(inputs), (*made, *gradients)), arrays, backend, claimed=2, tolerance=2e-4)


@pytest.mark.usefixtures("eager_claims")
@pytest.mark.parametrize("backend", ["jax", "c"])
def test_batch_norm_of_weighted_rows_is_left_alone(backend):
    arrays = [*normal((7, 5), (5,), (5,), (5,)), np.ones(5, "float32")]
    arrays.append(np.array([1, 1, 1, 1, 0, 0, 0], "float32"))
    inputs = symbols(*arrays)
    made = BatchNormOp(0.9, 1e-2)(*inputs)
    gradients = ae.grad((made[0] * at.constant(arrays[0])).sum(), inputs[:3])
    agree(Graph(tuple(inputs), (*made, *gradients)), arrays, backend, claimed=0, tolerance=2e-4)


@pytest.mark.usefixtures("eager_claims")
def test_max_pool_keeps_nan():
    x = np.array([1.0, np.nan, 2.0, 0.0], "float32").reshape(1, 2, 2, 1)
    for order in (x, x[:, ::-1, ::-1].copy()):
        (v,) = symbols(order)
        (y,) = ae.Backend("jax").compile([v], [MaxPool2DOp((2, 2), (2, 2))(v)])(order)
        assert np.isnan(np.asarray(y)).all()


@pytest.mark.usefixtures("eager_claims")
@pytest.mark.parametrize(
    "shape, backend", [((1,), "jax"), ((37, 3), "jax"), ((37, 3), "c"), ((20_000,), "jax")]
)
def test_updates(shape, backend):
    p, g, m = normal(shape, shape, shape)
    v, step, rate = m * m, np.array(3), np.array(0.01, "float32")
    for op, arrays in (
        (AdamOp(0.9, 0.999, 1e-8), (p, g, m, v, step, rate)),
        (SGDOp(0.9), (p, g, rate, m)),
    ):
        inputs = symbols(*arrays)
        graph = Graph(tuple(inputs), tuple(op.make_node(*inputs).outputs))
        agree(graph, arrays, backend, claimed=1, tolerance=1e-6)


def test_other_types_and_small_sizes_are_left_alone():
    x, w = symbols(*normal((256, 256), (256, 256)))
    assert kernels_of(Graph((x, w), (DenseOp()(x, w),))) == 1
    small = [at.TensorType("float32", (4, 4))() for _ in range(2)]
    tall = [at.TensorType("float32", shape)() for shape in ((4, 512, 64), (64, 64))]
    double = [at.TensorType("float64", (256, 256))() for _ in range(2)]
    for inputs in (small, tall, double):
        assert kernels_of(Graph(tuple(inputs), (DenseOp()(*inputs),))) == 0


def train(backend="jax", steps=5):
    """The weights of a network after some steps."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((64, 200), np.float32), rng.integers(0, 10, 64)

    class Net(ae.Module):
        def __init__(self):
            self.layers = [ae.nn.Dense(200), ae.nn.Dense(10)]

        def __call__(self, x):
            return self.layers[1](ae.nn.relu(self.layers[0](x)))

    model = Net().compile(
        optimizer=ae.Adam(1e-2), loss=ae.nn.softmax_cross_entropy, backend=backend
    )
    model.fit(x, y, epochs=steps, batch_size=64, progress=False)
    return [np.array(cell.value) for cell in model.store.values()]


def test_training_repeats_bit_for_bit_and_agrees_with_xla(monkeypatch):
    first, again = train(), train()
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    monkeypatch.setattr(kernel, "library", lambda: build.BuildError("forced"))
    for a, b in zip(first, train(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_no_gradient_is_made_that_nothing_uses(monkeypatch):
    seen, call = [], kernel._call_jax

    def spy(k, outputs, inputs):
        seen.append((k, outputs))
        return call(k, outputs, inputs)

    monkeypatch.setattr(kernel, "_call_jax", spy)
    train(steps=1)
    gradients = [(k, made) for k, made in seen if k.name == "dense_gradient"]
    assert gradients and all(len(made) == 2 for k, made in gradients if k.sizes[1] == 200)


def product(n, seed):
    x, w = normal((n, 300), (300, 90), seed=seed)
    y = np.empty((n, 90), "float32")
    call = native.Kernel("dense", (0, 1), (n, 300, 90, 0))
    for _ in range(30):
        y[:] = np.nan
        native.call_numpy(call, [x, w], [y])
        np.testing.assert_allclose(y, x @ w, atol=1e-3)
    return True


def test_two_threads_at_once():
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(product, [700, 61, 700, 300], range(4)))


def test_results_do_not_depend_on_the_number_of_threads():
    code = (
        "import numpy as np, hashlib\n"
        "from aeframe.backends import native\n"
        "found = native.library()\n"
        "rng = np.random.default_rng(0)\n"
        "x, g = (rng.standard_normal(s).astype('f') for s in ((9, 8, 8, 32), (9, 8, 8, 48)))\n"
        "w = np.empty((3, 3, 32, 48), 'f')\n"
        "sizes = (9, 8, 8, 32, 3, 3, 48, 1, 1, 1, 1, 1, 1, 1, 8, 8)\n"
        "for threads in (1, 2, 5):\n"
        "    found.functions.aeframe_start(threads)\n"
        "    native.call_numpy(native.Kernel('convolve_w', (), sizes), [x, g], [w])\n"
        "    print(hashlib.md5(w).hexdigest())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(set(done.stdout.split())) == 1


def test_without_a_compiler_nothing_is_claimed(monkeypatch):
    build.library.cache_clear()
    monkeypatch.setattr(build.aesara.config, "cxx", "")
    try:
        found = native.diagnose()
        x, w = symbols(*normal((256, 256), (256, 256)))
        assert not found.available and "no C++ compiler" in found.found and "g++" in found.fix
        assert kernels_of(Graph((x, w), (DenseOp()(x, w),))) == 0
    finally:
        build.library.cache_clear()


def test_a_compiler_that_fails(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(build, "FLAGS", (*build.FLAGS, "--no-such-option"))
    build.library.cache_clear()
    try:
        found = native.library()
        assert isinstance(found, build.BuildError) and "no-such-option" in str(found)
        assert not list(tmp_path.rglob("*.so"))
    finally:
        build.library.cache_clear()


@pytest.mark.slow
def test_a_cache_that_cannot_be_written(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    build.library.cache_clear()
    try:
        assert isinstance(native.library(), native.Library) and product(61, 0)
    finally:
        build.library.cache_clear()


def test_claims_are_asked_in_turn():
    assert ("jax", ConvKernel2DOp, False) in claims._IMPLEMENTATIONS


# causal, scale, then n, h, t, s, d, e
HEADS = [
    (False, None, (1, 1, 1, 1, 1, 1)),
    (True, None, (2, 3, 5, 5, 3, 7)),
    (True, 0.3, (1, 2, 29, 61, 33, 17)),
    (True, None, (1, 1, 70, 31, 2, 40)),  # the first queries see no key
    (False, None, (2, 2, 57, 400, 16, 65)),
    (True, None, (2, 4, 128, 128, 32, 32)),
]


@pytest.mark.usefixtures("eager_claims")
@pytest.mark.parametrize("case, backend", [*((c, "jax") for c in HEADS), (HEADS[1], "c")], ids=str)
def test_attention(case, backend):
    causal, scale, (n, h, t, s, d, e) = case
    arrays = normal((n, h, t, d), (n, h, s, d), (n, h, s, e))
    inputs = symbols(*arrays)
    y, w = AttentionOp(causal, scale).make_node(*inputs).outputs
    (g,) = normal(y.type.shape, seed=1)
    gradients = ae.grad((y * at.constant(g)).sum(), inputs)
    agree(Graph(tuple(inputs), (y, w, *gradients)), arrays, backend, claimed=2)


def test_attention_that_the_kernels_do_not_know_is_left_alone():
    q, factors = symbols(*normal((4, 4, 64, 32), (4, 4, 64, 64)))
    (mask,) = symbols(np.ones((4, 64), bool))
    for extra, claimed in (((), 1), ((mask,), 0), ((factors,), 0)):
        graph = Graph((q, *extra), (AttentionOp()(q, q, q, *extra)[0],))
        assert kernels_of(graph) == claimed


@pytest.mark.usefixtures("eager_claims")
def test_attention_to_extreme_scores():
    (x,) = symbols(np.zeros((1, 1, 2, 2), "float32"))
    made = AttentionOp(scale=1.0).make_node(x, x, x).outputs
    run = ae.Backend("jax").compile([x], made)
    _, w = run(np.array([[[[300.0, 0.0], [-300.0, 0.0]]]], "float32"))
    np.testing.assert_allclose(w[0, 0], np.eye(2), atol=1e-30)
    _, w = run(np.array([[[[np.nan, 0.0], [1.0, 0.0]]]], "float32"))
    assert np.isnan(np.asarray(w)).all()
