"""LoRA: what it computes, what it trains, and its merging."""

import numpy as np
import pytest

import aeframe as ae
from aeframe import nn
from aeframe.core.errors import ArgumentError, UnknownNameError

rng = np.random.default_rng(0)
X = rng.normal(size=(6, 4)).astype("float32")


def model():
    made = nn.Sequential(nn.Dense(5), nn.relu, nn.Dense(3))
    made(X)
    return made


def test_it_adds_a_low_rank_product():
    dense = nn.Dense(5, dtype="float64")
    dense.init()
    x = rng.normal(size=(2, 3, 4))
    dense(x)
    layer = nn.LoRA(dense, 2, alpha=6.0)
    np.testing.assert_array_equal(layer(x), dense(x))
    layer.b.value = rng.normal(size=(2, 5))
    wanted = dense(x) + 3.0 * x @ layer.a.value @ layer.b.value
    np.testing.assert_allclose(layer(x), wanted, rtol=1e-12)
    merged = layer.merged()
    np.testing.assert_allclose(merged(x), wanted, rtol=1e-12)
    assert merged.w is not dense.w and merged.b is not dense.b


def test_a_model_learns_through_its_corrections_alone():
    adapted = nn.lora(model(), 2).init()
    before = adapted.store.snapshot()
    assert [p for p, c in adapted.store.items() if c.trainable] == [
        *("parts[0].a", "parts[0].b"),
        *("parts[2].a", "parts[2].b"),
    ]
    target = np.tanh(X @ rng.normal(size=(4, 3)))
    adapted.compile(optimizer=ae.Adam(0.05), loss=nn.mean_squared_error)
    history = adapted.fit(X, target, epochs=100, batch_size=6)
    assert history["loss"][-1] < 0.3 * history["loss"][0]
    for path, value in adapted.store.snapshot().items():
        if ".layer." in path:
            np.testing.assert_array_equal(value, before[path])
    y = adapted(X)
    plain = nn.merge_lora(adapted)
    np.testing.assert_allclose(plain(X), y, rtol=1e-4, atol=1e-5)
    assert [type(p).__name__ for p in plain.parts] == ["Dense", "function", "Dense"]
    assert all(c.trainable for p, c in plain.store.items() if p.startswith("parts"))


def test_only_the_paths_that_match():
    attention = nn.MultiHeadAttention(2)
    both = nn.Sequential(attention, nn.Dense(4))
    x = rng.normal(size=(2, 3, 4))
    before = both(x)
    nn.lora(both, 1, where="parts[0].q")
    assert isinstance(attention.q, nn.LoRA) and isinstance(attention.k, nn.Dense)
    assert isinstance(both.parts[1], nn.Dense)
    assert [p for p, c in both.store.items() if c.trainable] == ["parts[0].q.a", "parts[0].q.b"]
    np.testing.assert_allclose(both(x), before, rtol=1e-6)


def test_a_shared_layer_is_wrapped_once():
    shared = nn.Dense(4)
    tied = nn.Sequential(shared, nn.relu, shared)
    tied(X)
    nn.lora(tied, 1)
    assert tied.parts[0] is tied.parts[2] and isinstance(tied.parts[0], nn.LoRA)


def test_saved_and_loaded(tmp_path):
    adapted = nn.lora(model(), 2, alpha=4.0)
    before = adapted(X)
    adapted.save(tmp_path / "file")
    again = ae.load(tmp_path / "file")
    np.testing.assert_array_equal(again(X), before)
    assert again.parts[0].alpha == 4.0


@pytest.mark.parametrize(
    ("wrong", "error", "match"),
    [
        (lambda: nn.LoRA(nn.Dense(3), 1), ArgumentError, "that was called"),
        (lambda: nn.LoRA(nn.GRU(3), 1), ArgumentError, "takes a Dense"),
        (lambda: nn.lora(model(), 0), ArgumentError, "rank of 0"),
        (lambda: nn.lora(model(), 4), ArgumentError, "<= 3"),
        (lambda: nn.lora(model(), 1, where="*.q"), UnknownNameError, r"parts\[0\]"),
        (lambda: nn.lora(nn.Sequential(nn.relu), 1), UnknownNameError, "called before"),
    ],
)
def test_wrong_uses(wrong, error, match):
    with pytest.raises(error, match=match):
        wrong()
