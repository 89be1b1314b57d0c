"""The Numba backend: loops, views, memory, steps of NumPy between, and what it cannot do."""

import inspect

import aesara
import aesara.tensor as at
import numpy as np
import pytest
import scipy.special as ss
from aesara.graph.basic import Apply
from aesara.graph.op import Op
from aesara.ifelse import ifelse
from aesara.scan.utils import until
from hypothesis import given, settings
from hypothesis import strategies as some
from sklearn.datasets import load_digits

import aeframe as ae
from aeframe import nn
from aeframe.backends import Diagnosis, diagnose, implement
from aeframe.backends.numba.backend import NumbaBackend
from aeframe.core import RandomState, State, grad
from aeframe.core.errors import BackendError, UnsupportedError

rng = np.random.default_rng(0)
X = rng.normal(size=(4, 5, 3))
M, W = rng.normal(size=(4, 6)), rng.normal(size=(6, 3))
N = rng.integers(-5, 6, (4, 3))
B = N > 0
I = np.array([2, 0, -1, 2])  # noqa: E741


def compiled(function, *data):
    inputs = [at.TensorType(str(np.asarray(a).dtype), np.shape(a))() for a in data]
    made = function(*inputs)
    outputs = made if isinstance(made, list) else [made]
    return ae.Backend("numba").compile(inputs, outputs)


def run(function, *data):
    return [np.asarray(v) for v in compiled(function, *data)(*data)]


def plan(function, *data):
    """How the backend runs a function: its program, after one call."""
    program = compiled(function, *data)
    program(*data)
    (found,) = program._executables.values()
    return found


# name: graph, the same in NumPy, data
CASES = {
    "slices backwards": (lambda x: x[::-2, 1:4, 2] * 1.0, lambda x: x[::-2, 1:4, 2], (X,)),
    "transpose": (lambda x: x.transpose((2, 0, 1)), lambda x: x.transpose(2, 0, 1), (X,)),
    "reshape of a transpose": (
        lambda x: x.transpose((1, 0, 2)).reshape((10, 6)) + 1,
        lambda x: x.transpose(1, 0, 2).reshape(10, 6) + 1,
        (X,),
    ),
    "broadcast": (
        lambda x, m: x + m[:, :5].dimshuffle(0, 1, "x"),
        lambda x, m: x + m[:, :5, None],
        (X, M),
    ),
    "an input itself": (lambda x: x, lambda x: x, (X,)),
    "a constant": (lambda x: at.constant(M) + 0 * x.sum(), lambda x: M, (X,)),
    "join and split": (
        lambda x: at.join(1, *at.split(x, [1, 4], 2, axis=1)[::-1]),
        lambda x: np.concatenate([x[:, 1:], x[:, :1]], axis=1),
        (X,),
    ),
    "stack of scalars": (
        lambda x: at.stack([x.sum(), x.max(), x[0, 0, 0]]),
        lambda x: np.array([x.sum(), x.max(), x[0, 0, 0]]),
        (X,),
    ),
    "matrix products": (
        lambda m, w: [at.dot(m, w), at.dot(w.T, m.T), at.dot(m[0], w), at.dot(m, w[:, 0])],
        lambda m, w: [m @ w, w.T @ m.T, m[0] @ w, m @ w[:, 0]],
        (M, W),
    ),
    "inner product": (lambda m: at.dot(m[1], m[2]), lambda m: m[1] @ m[2], (M,)),
    "product of slices": (
        lambda m, w: at.dot(m[1:3, ::2], w[::2]),
        lambda m, w: m[1:3, ::2] @ w[::2],
        (M, W),
    ),
    "integer product": (lambda n: at.dot(n, n.T), lambda n: n @ n.T, (N,)),
    "batched product": (
        lambda x: at.batched_dot(x, x.transpose((0, 2, 1))),
        lambda x: x @ x.transpose(0, 2, 1),
        (X,),
    ),
    "argmax over two axes": (
        lambda x: list(at.max_and_argmax(x, axis=(0, 2))),
        lambda x: [x.max((0, 2)), x.transpose(1, 0, 2).reshape(5, -1).argmax(1)],
        (X,),
    ),
    "argmax of a NaN": (
        lambda m: at.argmax(m, axis=1),
        lambda m: m.argmax(1),
        (np.where(M > 1, np.nan, M),),
    ),
    "max of a NaN": (
        lambda m: at.max(m, axis=0),
        lambda m: m.max(0),
        (np.where(M > 1, np.nan, M),),
    ),
    "max of integers": (lambda n: [n.max(1), n.min()], lambda n: [n.max(1), n.min()], (N,)),
    "cumulative": (
        lambda x: [at.cumsum(x, axis=1), at.cumprod(x, axis=-1), at.cumsum(x)],
        lambda x: [x.cumsum(1), x.cumprod(-1), x.cumsum()],
        (X,),
    ),
    "any and all": (lambda b: [b.any(axis=0), at.all(b)], lambda b: [b.any(0), b.all()], (B,)),
    "boolean arithmetic": (lambda b: [~b, b & b[::-1]], lambda b: [~b, b & b[::-1]], (B,)),
    "integer arithmetic": (
        lambda n: [n // 3, n % 3, at.abs(n) ** 2, at.sgn(n), n / 2],
        lambda n: [n // 3, n % 3, abs(n) ** 2, np.sign(n), n / 2],
        (N,),
    ),
    "rows": (lambda m, i: m[i], lambda m, i: m[i], (M, I)),
    "rows by a matrix": (lambda m, i: m[i], lambda m, i: m[i], (M, I.reshape(2, 2))),
    "pairs of indices": (lambda m, i: m[i, i + 1], lambda m, i: m[i, i + 1], (M, I)),
    "set and add": (
        lambda m, i: [
            at.set_subtensor(m[1:3, ::2], 7.0),
            at.inc_subtensor(m[i], 1.0),
            at.inc_subtensor(m[:, 0], m[:, 1]),
        ],
        lambda m, i: [set_(m), add_(m, i), first_(m)],
        (M, I),
    ),
    "softmax": (
        lambda m: [at.special.softmax(m, axis=1), at.special.log_softmax(m, axis=0)],
        lambda m: [ss.softmax(m, axis=1), ss.log_softmax(m, axis=0)],
        (M,),
    ),
    "special functions": (
        lambda m: [
            at.math.betainc(2.0, 3.0, m),
            at.erfinv(m),
            at.math.gammainc(2.0, m),
            at.psi(m),
            at.math.i0(m),
            at.gammaln(m),
            at.erfc(m),
            at.log1p(m),
            at.math.log1mexp(-m),
        ],
        lambda m: [
            ss.betainc(2, 3, m),
            ss.erfinv(m),
            ss.gammainc(2, m),
            ss.psi(m),
            ss.i0(m),
            ss.gammaln(m),
            ss.erfc(m),
            np.log1p(m),
            np.log1p(-np.exp(-m)),
        ],
        (np.abs(np.tanh(M)),),
    ),
    "edges of the line": (
        lambda m: [at.log(m), at.sqrt(m - 1), 1 / m, at.sigmoid(1e4 * m), at.softplus(1e3 * m)],
        lambda m: [np.log(m), np.sqrt(m - 1), 1 / m, ss.expit(1e4 * m), np.logaddexp(0, 1e3 * m)],
        (np.array([0.0, -1.0, 2.0, np.inf, np.nan]),),
    ),
    "no entries": (lambda m: [m.sum(0), m * 2], lambda m: [m.sum(0), m * 2], (np.ones((0, 3)),)),
    "a branch": (
        lambda m: ifelse(at.gt(m.sum(), 0), m + 1, m - 1),
        lambda m: m + 1 if m.sum() > 0 else m - 1,
        (M,),
    ),
    "data-dependent shapes": (lambda n: n[n > 0] * 2, lambda n: n[n > 0] * 2, (N,)),
}


def set_(m):
    m = m.copy()
    m[1:3, ::2] = 7
    return m


def add_(m, i):
    m = m.copy()
    np.add.at(m, i, 1.0)
    return m


def first_(m):
    m = m.copy()
    m[:, 0] += m[:, 1]
    return m


@pytest.mark.parametrize("case", CASES)
def test_equals_numpy(case):
    function, formula, data = CASES[case]
    found = run(function, *data)
    with np.errstate(all="ignore"):
        wanted = formula(*data)
    wanted = wanted if isinstance(wanted, list) else [wanted]
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        assert a.shape == np.shape(b)
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


@given(
    axes=some.lists(some.integers(0, 3), unique=True, min_size=1),
    shape=some.lists(some.integers(1, 4), min_size=4, max_size=4),
    order=some.permutations(range(4)),
)
@settings(max_examples=12, deadline=None)
def test_reductions_over_any_axes(axes, shape, order):
    data = np.random.default_rng(1).normal(size=shape)

    def both(x, exp):
        y = exp(x.transpose(order) * 0.5)
        return [f(axis=tuple(axes)) for f in (y.sum, y.max, y.prod)]

    for a, b in zip(run(lambda x: both(x, at.exp), data), both(data, np.exp), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_single_precision_stays_single():
    x = rng.normal(size=(300, 70)).astype("float32")
    for out in run(lambda x: [at.exp(x) * 2 + at.sigmoid(x), x.sum(0), x.sum(dtype="float32")], x):
        assert out.dtype == "float32"
    (total,) = run(lambda x: x.sum(acc_dtype="float32", dtype="float32"), x)
    assert abs(total - x.astype(float).sum()) < 1e-3


def test_elementwise_chains_are_one_loop_and_products_are_not_copied():
    def step(m, w):
        h = at.tanh(at.dot(m, w) * 2 + 1)
        return [h, at.dot(m.T, h)]

    found = plan(step, M, W)
    assert [u.host for u in found.units] == [False] * 3
    assert sum(k.count("for ") for k in found.kernels) == 1
    assert "matmul_tn" in found.kernels[0]


def test_memory_is_used_again():
    def chain(x):
        for _ in range(30):
            x = at.exp(-at.dot(x, x) / 100)
        return x.sum()

    x = rng.normal(size=(20, 20))
    arrays = [a for a in plan(chain, x).memory.template if isinstance(a, np.ndarray)]
    assert len([a for a in arrays if a.size == 400]) <= 3
    wanted = x
    for _ in range(30):
        wanted = np.exp(-wanted @ wanted / 100)
    np.testing.assert_allclose(run(chain, x)[0], wanted.sum(), rtol=1e-10)


def test_states_are_updated_where_they_lie():
    moved, old = State(np.zeros(4)), State(np.ones(4))
    x = at.TensorType("float64", (4,))()
    program = ae.Backend("numba").compile([x], [at.dot(moved, x)], {moved: moved + old * x})
    program(np.ones(4))
    memory = moved.data
    (before,) = program(np.arange(4.0))
    assert before == 6.0
    np.testing.assert_array_equal(moved.value, 1 + np.arange(4.0))
    program(np.ones(4))
    assert np.shares_memory(moved.data, memory)


def test_states_that_swap_do_not_mix():
    a, b = State(np.zeros(3)), State(np.ones(3))
    program = ae.Backend("numba").compile([], [], {a: b * 1.0, b: a + 0.0})
    for _ in range(3):
        program()
    assert a.value.tolist() == [1, 1, 1] and b.value.tolist() == [0, 0, 0]


def test_a_state_read_through_a_view_is_not_overwritten_too_early():
    cell = State(np.arange(6.0).reshape(2, 3))
    program = ae.Backend("numba").compile([], [], {cell: cell + cell[::-1]})
    program()
    np.testing.assert_array_equal(cell.value, [[3.0, 5, 7], [3, 5, 7]])


def test_an_output_of_one_call_survives_the_next():
    x = at.TensorType("float64", (3,))()
    program = ae.Backend("numba").compile([x], [x * 2, x])
    first = program(np.ones(3))
    program(np.zeros(3))
    assert first[0].tolist() == [2, 2, 2] and first[1].tolist() == [1, 1, 1]


def test_inputs_of_any_layout():
    data = np.broadcast_to(np.arange(3.0), (4, 3))
    x = at.TensorType("float64", (4, 3))()
    program = ae.Backend("numba").compile([x], [x.sum(axis=0)])
    for given_ in (data, np.asfortranarray(data), np.repeat(data, 2, axis=0)[::2]):
        np.testing.assert_array_equal(program(given_)[0], [0.0, 4.0, 8.0])


def test_an_index_out_of_bounds_is_an_error_and_not_memory():
    for index in ([4], [-5]):
        with pytest.raises(IndexError):
            run(lambda m, i: m[i], M, np.array(index))
        with pytest.raises(IndexError):
            run(lambda m, i: at.inc_subtensor(m[i], 1.0), M, np.array(index))


def test_scans_with_taps_states_and_early_ends():
    x = np.arange(1.0, 7.0)

    def fibonacci(x):
        start = at.stack([x[0], x[1]])
        out, _ = aesara.scan(
            lambda v, a, b: a + b + 0 * v,
            sequences=[x],
            outputs_info=[{"initial": start, "taps": [-2, -1]}],
        )
        return [out, grad(out[-1], [x])[0]]

    values, gradient = run(fibonacci, x)
    np.testing.assert_array_equal(values, [3, 5, 8, 13, 21, 34])
    np.testing.assert_array_equal(gradient, [8, 13, 0, 0, 0, 0])

    def ended(x):
        out, _ = aesara.scan(
            lambda v, total: (total + v, until(total + v > 5)),
            sequences=[x],
            outputs_info=[x[0] * 0],
        )
        return out

    assert run(ended, x)[0].tolist() == [1, 3, 6]


def test_the_gradient_of_a_scan():
    h0, w = rng.normal(size=(3, 4)), 0.3 * rng.normal(size=(4, 4))
    steps = rng.normal(size=(5, 3, 4))

    def cost(steps, h0, w):
        out, _ = aesara.scan(
            lambda x, h, w: at.tanh(x + at.dot(h, w)),
            sequences=[steps],
            outputs_info=[h0],
            non_sequences=[w],
        )
        return (out**2).sum()

    def value(w):
        h, total = h0, 0.0
        for s in steps:
            h = np.tanh(s + h @ w)
            total += (h**2).sum()
        return total

    found, gradient = run(
        lambda s, h, w: [cost(s, h, w), grad(cost(s, h, w), [w])[0]], steps, h0, w
    )
    np.testing.assert_allclose(found, value(w), rtol=1e-12)
    for i, j in ((0, 0), (2, 3)):
        e = np.zeros((4, 4))
        e[i, j] = 1e-6
        slope = (value(w + e) - value(w - e)) / 2e-6
        np.testing.assert_allclose(gradient[i, j], slope, rtol=1e-6)


def test_random_numbers_are_those_of_the_c_backend():
    found = []
    for backend in ("c", "numba"):
        state = RandomState()
        state.initialize(3, "rng")
        node = at.random.basic.gamma.make_node(state, (4,), "float64", 2.0, 3.0)
        program = ae.Backend(backend).compile([], [node.outputs[1]], {state: node.outputs[0]})
        found.append([np.array(program()[0]) for _ in range(3)])
    np.testing.assert_array_equal(*found)


def test_dropout_goes_on_after_saving(tmp_path):
    x, y = rng.normal(size=(20, 3)), rng.integers(0, 2, 20)

    class Net(ae.Module):
        def __init__(self):
            self.drop, self.out = nn.Dropout(0.5), nn.Dense(2)

        def __call__(self, x):
            return self.out(self.drop(x))

    def made(model):
        return model.compile(
            optimizer=ae.SGD(0.1), loss=nn.softmax_cross_entropy, backend="numba", seed=1
        )

    model = made(Net())
    losses = [float(model.train_on_batch(x, y)["loss"]) for _ in range(2)]
    assert losses[0] != losses[1]
    model.save(tmp_path / "file")
    on = [float(model.train_on_batch(x, y)["loss"]) for _ in range(3)]
    again = made(ae.load(tmp_path / "file"))
    assert [float(again.train_on_batch(x, y)["loss"]) for _ in range(3)] == on


def test_digits_are_learned():
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = (x[order] / 16).astype("float32"), y[order]
    model = nn.Sequential(nn.Dense(128), nn.relu, nn.Dropout(0.2), nn.Dense(10)).compile(
        optimizer=ae.Adam(3e-3),
        loss=nn.softmax_cross_entropy,
        metrics=[ae.Accuracy()],
        backend="numba",
    )
    model.fit(x[:1400], y[:1400], epochs=12, progress=False)
    assert model.evaluate(x[1400:], y[1400:])["accuracy"] > 0.95


class OddOp(Op):
    def make_node(self, x):
        return Apply(self, [x], [x.type()])

    def perform(self, node, inputs, outputs):
        raise NotImplementedError("there is no code for this")


def test_what_it_cannot_do_is_one_clear_error():
    class Odd(ae.Module):
        def __call__(self, x):
            return OddOp()(x)

    with ae.Backend("numba"), pytest.raises(UnsupportedError, match='backend="jax"') as caught:
        Odd()(np.ones(2))
    assert "OddOp" in caught.value.problem and caught.value.path == "Odd"


def test_a_claimed_op_is_run_by_its_own_code():
    class FourfoldOp(ae.TypedOp):
        def body(self, x):
            return 4.0 * x

    calls = []
    implement("numba", FourfoldOp)(lambda node: lambda x: (calls.append(x.shape) or 4 * x,))
    (out,) = run(lambda x: FourfoldOp()(x) + 1, M)
    np.testing.assert_allclose(out, 4 * M + 1)
    assert calls == [M.shape]


def test_a_missing_or_old_library_says_what_to_do(monkeypatch):
    monkeypatch.setattr("aeframe.backends.numba.backend.find_spec", lambda name: None)
    assert diagnose("numba") == Diagnosis(
        False, "Numba is not installed", 'pip install "aeframe[numba]"'
    )
    with pytest.raises(BackendError, match="pip install"):
        ae.Backend("numba")
    monkeypatch.undo()
    monkeypatch.setattr("aeframe.backends.numba.backend.version", lambda name: "0.57.1")
    assert not NumbaBackend.diagnose().available and "0.58" in NumbaBackend.diagnose().fix


def test_doctor_knows_it():
    from aeframe.doctor import examine

    assert "numba" in examine() and "numba" in ae.backends.backend_names()


def test_kernels_have_no_machine_in_them():
    body = plan(lambda m: at.exp(m).sum(), M).kernels[0]
    assert "/" not in body and inspect.cleandoc(body)
