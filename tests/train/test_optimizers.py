"""Optimizers against formulas in NumPy and against optax, and the wrappers around them."""

import numpy as np
import pytest

import aeframe as ae
from aeframe import nn, train
from aeframe.core import expand, toposort
from aeframe.core.errors import ArgumentError, StateError, UnknownNameError

BACKENDS = ("jax", "c", "numba")
rng = np.random.default_rng(0)
SHAPES = {"w": (4, 3), "b": (3,)}
START = {path: rng.normal(size=shape) for path, shape in SHAPES.items()}
GRADIENTS = [{path: rng.normal(size=shape) for path, shape in SHAPES.items()} for _ in range(6)]


class Weights(ae.Module):
    """Parameters whose gradients are the data: the loss is Σ w · g."""

    def __init__(self, dtype="float64"):
        self.dtype = dtype
        self.w = ae.Parameter(START["w"], dtype=dtype)
        self.b = ae.Parameter(START["b"], dtype=dtype)

    def __call__(self, w, b):
        return (self.w * w[0]).sum() + (self.b * b[0]).sum()


def cost(prediction, target):
    return prediction


def compiled(optimizer, backend="jax", dtype="float64"):
    return Weights(dtype).compile(optimizer=optimizer, loss=cost, backend=backend)


def feed(model, gradients):
    for g in gradients:
        model.train_on_batch(g["w"][None], g["b"][None], np.zeros(1))
    return model


def stepped(optimizer, backend="jax", dtype="float64", gradients=GRADIENTS):
    model = feed(compiled(optimizer, backend, dtype), gradients)
    return {"w": model.w.value, "b": model.b.value}


def by_hand(rule, gradients=GRADIENTS):
    """Each parameter after all steps; ``rule(p, g, state, t)`` changes ``state`` in place."""
    found = {}
    for path, p in START.items():
        state = {}
        for t, g in enumerate(gradients, 1):
            p = rule(p, g[path], state, t)
        found[path] = p
    return found


def momentum(p, g, s, t):
    s["v"] = 0.9 * s.get("v", 0) - 0.05 * g
    return p + s["v"]


def nesterov(p, g, s, t):
    s["v"] = 0.9 * s.get("v", 0) - 0.05 * g
    return p + 0.9 * s["v"] - 0.05 * g


def adam(p, g, s, t, decay=0.0):
    s["m"] = 0.9 * s.get("m", 0) + 0.1 * g
    s["v"] = 0.999 * s.get("v", 0) + 0.001 * g**2
    m, v = s["m"] / (1 - 0.9**t), s["v"] / (1 - 0.999**t)
    return p - 0.05 * (m / (np.sqrt(v) + 1e-8) + decay * p)


def rmsprop(p, g, s, t):
    s["v"] = 0.8 * s.get("v", 0) + 0.2 * g**2
    return p - 0.05 * g / np.sqrt(s["v"] + 1e-7)


def rmsprop_all(p, g, s, t):
    s["v"] = 0.8 * s.get("v", 0) + 0.2 * g**2
    s["mean"] = 0.8 * s.get("mean", 0) + 0.2 * g
    s["move"] = 0.9 * s.get("move", 0) + 0.05 * g / np.sqrt(s["v"] - s["mean"] ** 2 + 1e-7)
    return p - s["move"]


def lion(p, g, s, t):
    m = s.get("m", 0)
    s["m"] = 0.99 * m + 0.01 * g
    return p - 0.05 * (np.sign(0.9 * m + 0.1 * g) + 0.1 * p)


def rms(x):
    return np.sqrt(np.mean(x**2))


def adafactor(p, g, s, t):
    beta, square = 1 - t**-0.8, g**2 + 1e-30
    if p.ndim == 2:
        s["r"] = beta * s.get("r", 0) + (1 - beta) * square.mean(1)
        s["c"] = beta * s.get("c", 0) + (1 - beta) * square.mean(0)
        v = np.outer(s["r"], s["c"]) / s["r"].mean()
    else:
        v = s["v"] = beta * s.get("v", 0) + (1 - beta) * square
    u = g / np.sqrt(v)
    return p - min(1e-2, 1 / np.sqrt(t)) * max(1e-3, rms(p)) * u / max(1, rms(u))


# ours, the formula, and optax's
CASES = {
    "SGD": (
        lambda: ae.SGD(0.05),
        lambda p, g, s, t: p - 0.05 * g,
        lambda o: o.sgd(0.05),
    ),
    "momentum": (
        lambda: ae.SGD(0.05, 0.9),
        momentum,
        lambda o: o.sgd(0.05, 0.9),
    ),
    "nesterov": (
        lambda: ae.SGD(0.05, 0.9, nesterov=True),
        nesterov,
        lambda o: o.sgd(0.05, 0.9, nesterov=True),
    ),
    "Adam": (lambda: ae.Adam(0.05), adam, lambda o: o.adam(0.05)),
    "AdamW": (
        lambda: ae.AdamW(0.05, weight_decay=0.2),
        lambda *args: adam(*args, decay=0.2),
        lambda o: o.adamw(0.05, weight_decay=0.2),
    ),
    "RMSprop": (
        lambda: ae.RMSprop(0.05, rho=0.8),
        rmsprop,
        lambda o: o.rmsprop(0.05, 0.8, eps=1e-7, eps_in_sqrt=True),
    ),
    "RMSprop, centred with momentum": (
        lambda: ae.RMSprop(0.05, rho=0.8, momentum=0.9, centered=True),
        rmsprop_all,
        lambda o: o.rmsprop(0.05, 0.8, eps=1e-7, eps_in_sqrt=True, centered=True, momentum=0.9),
    ),
    "Lion": (
        lambda: ae.Lion(0.05, weight_decay=0.1),
        lion,
        lambda o: o.lion(0.05, weight_decay=0.1),
    ),
    "Adafactor": (
        lambda: ae.Adafactor(factored_from=2),
        adafactor,
        lambda o: o.adafactor(
            lambda count: np.minimum(1e-2, (count + 1.0) ** -0.5), min_dim_size_to_factor=2
        ),
    ),
}


@pytest.mark.parametrize(
    ("backend", "dtype"), [("jax", "float64"), ("c", "float64"), ("jax", "float32")]
)
@pytest.mark.parametrize("case", CASES)
def test_steps_follow_the_formula(case, backend, dtype):
    make, rule, _ = CASES[case]
    wanted = by_hand(rule)
    for path, value in stepped(make(), backend, dtype).items():
        assert value.dtype == dtype
        loose = 1e-9 if dtype == "float64" else 1e-4
        np.testing.assert_allclose(value, wanted[path], rtol=loose, atol=loose / 10)


@pytest.mark.parametrize("case", CASES)
def test_steps_are_those_of_optax(case):
    optax = pytest.importorskip("optax")
    import jax.numpy as jnp

    ae.Backend("jax")
    make, _, theirs = CASES[case]
    rule = theirs(optax)
    p = {path: jnp.asarray(v) for path, v in START.items()}
    state = rule.init(p)
    for g in GRADIENTS:
        moves, state = rule.update({k: jnp.asarray(v) for k, v in g.items()}, state, p)
        p = optax.apply_updates(p, moves)
    for path, value in stepped(make()).items():
        np.testing.assert_allclose(value, p[path], rtol=1e-6)


WRAPPED = {
    **{name: make for name, (make, _, _) in CASES.items()},
    "a schedule": lambda: ae.Adam(train.WarmUp(train.OneCycle(0.1, 20), 3)),
    "ClipNorm": lambda: train.ClipNorm(ae.Adam(), 1.0),
    "ClipValue": lambda: train.ClipValue(ae.Adam(), 1.0),
    "Accumulate": lambda: train.Accumulate(train.Average(ae.Adam()), 3),
    "Groups": lambda: train.Groups({"w": ae.Lion(), "*": train.Average(ae.SGD())}),
}


@pytest.mark.parametrize("case", WRAPPED)
def test_a_step_of_float32_holds_no_float64(case):
    model = compiled(WRAPPED[case](), dtype="float32")
    feed(model, GRADIENTS[:1])
    (program,) = model._trainer._programs.values()
    graph = expand(program.graph)
    for node in toposort(graph.results):
        for v in (*node.inputs, *node.outputs):
            assert getattr(v.type, "dtype", "") != "float64", node
        assert getattr(node.op, "acc_dtype", None) != "float64", node


@pytest.mark.parametrize("case", WRAPPED)
def test_a_snapshot_resumes_bit_for_bit(case):
    model = feed(compiled(WRAPPED[case]()), GRADIENTS[:4])
    saved = model._trainer.store.snapshot()
    feed(model, GRADIENTS[4:])
    again = feed(compiled(WRAPPED[case]()), GRADIENTS[:1])
    again._trainer.store.restore(saved)
    feed(again, GRADIENTS[4:])
    after = again._trainer.store.snapshot()
    for path, value in model._trainer.store.snapshot().items():
        np.testing.assert_array_equal(after[path], value, err_msg=path)


def test_adafactor_keeps_rows_and_columns_of_large_matrices_alone():
    model = feed(compiled(ae.Adafactor(factored_from=3)), GRADIENTS[:1])
    shapes = {p: c.type.shape for p, c in model._trainer.store.items() if "state" in p}
    assert shapes == {
        "optimizer.state[w][rows]": (4,),
        "optimizer.state[w][columns]": (3,),
        "optimizer.state[b][v]": (3,),
    }


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_scale_and_a_schedule_multiply(backend):
    optimizer = ae.SGD(train.Exponential(0.1, 1, 0.5))
    model = feed(compiled(optimizer, backend), GRADIENTS[:2])
    optimizer.scale.value = 0.25
    feed(model, GRADIENTS[2:3])
    wanted = START["w"]
    for rate, g in zip((0.1, 0.05, 0.025 * 0.25), GRADIENTS, strict=False):
        wanted = wanted - rate * g["w"]
    np.testing.assert_allclose(model.w.value, wanted, rtol=1e-12)
    assert len(model._trainer._programs) == 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_clipping(backend):
    big = [{k: 3 * v for k, v in g.items()} for g in GRADIENTS]
    norms = [np.sqrt(sum((v**2).sum() for v in g.values())) for g in big]
    limit = float(np.median(norms))
    scaled = [
        {k: v * min(1, limit / n) for k, v in g.items()} for g, n in zip(big, norms, strict=True)
    ]
    cut = [{k: v.clip(-1.5, 1.5) for k, v in g.items()} for g in big]
    for optimizer, wanted in (
        (train.ClipNorm(ae.SGD(0.1), limit), scaled),
        (train.ClipValue(ae.SGD(0.1), 1.5), cut),
    ):
        found = stepped(optimizer, backend, gradients=big)
        for path, value in stepped(ae.SGD(0.1), backend, gradients=wanted).items():
            np.testing.assert_allclose(found[path], value, rtol=1e-12)


class Net(ae.Module):
    def __init__(self):
        self.hidden, self.out = nn.Dense(8, dtype="float64"), nn.Dense(3, dtype="float64")

    def __call__(self, x):
        return self.out(nn.tanh(self.hidden(x)))


X, Y = rng.normal(size=(48, 4)), rng.integers(0, 3, 48)


@pytest.mark.parametrize("backend", BACKENDS)
def test_gathered_gradients_are_those_of_the_larger_batch(backend):
    def trained(optimizer, size):
        net = Net().compile(optimizer=optimizer, loss=nn.softmax_cross_entropy, backend=backend)
        for start in range(0, 48, size):
            rows = slice(start, start + size)
            net.train_on_batch(X[rows], Y[rows])
        return net

    optimizer = train.Accumulate(ae.Adam(0.1), 4)
    small, large = trained(optimizer, 4), trained(ae.Adam(0.1), 16)
    for path, value in large.store.snapshot().items():
        np.testing.assert_allclose(small.store[path].value, value, rtol=1e-9, atol=1e-12)
    assert optimizer.count.value == 3 and optimizer.gathered.value == 0
    before = small.store.snapshot()
    small.train_on_batch(X[:4], Y[:4])
    for path, value in before.items():
        np.testing.assert_array_equal(small.store[path].value, value)
    assert optimizer.count.value == 3 and optimizer.gathered.value == 1


def path_of_sgd():
    p, path = START["w"], []
    for g in GRADIENTS:
        p = p - 0.1 * g["w"]
        path.append(p)
    return path


def exponential(path):
    average = path[0]
    for t, p in enumerate(path[1:], 2):
        average = average + max(0.4, 1 / t) * (p - average)
    return average


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("options", "formula"),
    [
        ({"decay": 1.0}, lambda path: np.mean(path, axis=0)),
        ({"decay": 1.0, "start": 3}, lambda path: np.mean(path[3:], axis=0)),
        ({"decay": 0.6}, exponential),
        ({"start": 9}, lambda path: path[-1]),
    ],
)
def test_averages(options, formula, backend):
    average = train.Average(ae.SGD(0.1), **options)
    model = feed(compiled(average, backend), GRADIENTS)
    path = path_of_sgd()
    with average.averaged():
        np.testing.assert_allclose(model.w.value, formula(path), rtol=1e-9)
        model.evaluate(np.zeros((1, 4, 3)), np.zeros((1, 3)), np.zeros(1))
    np.testing.assert_allclose(model.w.value, path[-1], rtol=1e-12)


def test_a_positive_parameter_is_averaged_on_its_free_scale():
    class Scale(ae.Module):
        dtype = "float64"

        def __init__(self):
            self.s = ae.Parameter(2.0, support=ae.Positive())

        def __call__(self, x):
            return self.s * x

    average = train.Average(ae.SGD(0.1), decay=1.0)
    model = Scale().compile(optimizer=average, loss=nn.mean_squared_error)
    logs = []
    for _ in range(4):
        model.train_on_batch(np.ones(3), np.zeros(3))
        logs.append(np.log(model.s.value))
    with average.averaged():
        assert float(model.s.value) == pytest.approx(np.exp(np.mean(logs)))


@pytest.mark.parametrize("backend", BACKENDS)
def test_groups_have_their_own_steps(backend):
    optimizer = train.Groups({"w": ae.SGD(0.1), "?": ae.Lion(0.05, weight_decay=0.1)})
    model = feed(compiled(optimizer, backend), GRADIENTS)
    np.testing.assert_allclose(model.w.value, path_of_sgd()[-1], rtol=1e-12)
    np.testing.assert_allclose(model.b.value, by_hand(lion)["b"], rtol=1e-12)
    optimizer.scale.value = 1e-9
    before = model.store.snapshot()
    feed(model, GRADIENTS[:1])
    for path, value in before.items():
        np.testing.assert_allclose(model.store[path].value, value, atol=1e-8)


def test_the_first_pattern_wins_and_brackets_are_brackets():
    row = nn.Sequential(nn.Dense(4), nn.Dense(3))
    rest = ae.SGD(0.1)
    groups = train.Groups({"*[1].w": ae.SGD(1e-30), "*": rest})
    row.compile(optimizer=groups, loss=nn.softmax_cross_entropy)
    row(X)
    before = row.store.snapshot()
    row.train_on_batch(X, Y)
    paths = list(row.store)
    moved = [p for p in paths if not np.array_equal(row.store[p].value, before[p])]
    assert len(moved) == 3 and not any(p.endswith("[1].w") for p in moved)


def unmatched(groups):
    feed(compiled(train.Groups(groups)), GRADIENTS[:1])


WRONG = {
    "rate": (lambda: ae.AdamW(0.0), ArgumentError),
    "text as a rate": (lambda: ae.AdamW("0.1"), ArgumentError),
    "beta": (lambda: ae.Adam(0.1, beta_1=1.0), ArgumentError),
    "decay": (lambda: ae.Lion(weight_decay=-1.0), ArgumentError),
    "nesterov": (lambda: ae.SGD(nesterov=True), ArgumentError),
    "no optimizer": (lambda: train.ClipNorm(1.0, ae.Adam()), ArgumentError),
    "limit": (lambda: train.ClipValue(ae.Adam(), 0.0), ArgumentError),
    "steps": (lambda: train.Accumulate(ae.Adam(), 0), ArgumentError),
    "average": (lambda: train.Average(ae.Adam(), decay=0.0), ArgumentError),
    "no average": (lambda: train.Average(ae.Adam()).averaged().__enter__(), StateError),
    "groups": (lambda: train.Groups({"*": 0.1}), ArgumentError),
    "one optimizer twice": (
        lambda: train.Groups(dict.fromkeys(("w", "b"), ae.Adam())),
        ArgumentError,
    ),
    "no parameter": (
        lambda: unmatched({"encoder.*": ae.Adam(), "*": ae.SGD()}),
        UnknownNameError,
    ),
    "shadowed": (lambda: unmatched({"*": ae.Adam(), "w": ae.SGD()}), UnknownNameError),
    "no pattern": (lambda: unmatched({"w": ae.Adam()}), UnknownNameError),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_uses(case):
    wrong, error = WRONG[case]
    with pytest.raises(error) as caught:
        wrong()
    assert caught.value.problem and (caught.value.fix or caught.value.expected)
