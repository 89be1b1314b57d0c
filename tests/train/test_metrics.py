"""Metrics over batches of unequal size against scikit-learn and NumPy on the whole data."""

import aesara.tensor as at
import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn import metrics as sk

import aeframe as ae
from aeframe import nn
from aeframe.core import Graph, expand, toposort
from aeframe.core.errors import ArgumentError

rng = np.random.default_rng(0)
N, K = 57, 4
LOGITS, BITS = 2 * rng.normal(size=N), rng.integers(0, 2, N)
SCORES, LABELS = rng.normal(size=(N, K)), rng.integers(0, K, N)
LABELS[LABELS == 2] = 1  # a class that is predicted but never there
STEPS, STEP_LABELS = rng.normal(size=(N, 3, K)), rng.integers(0, K, (N, 3))
REALS, NEAR = rng.normal(size=(N, 2)), rng.normal(size=(N, 2))
WEIGHT = rng.uniform(0, 2, N) * (rng.random(N) < 0.8)
SAID, ALL = SCORES.argmax(1), list(range(K))


def cross_entropy(scores, labels):
    return -np.take_along_axis(log_softmax(scores, -1), labels[..., None], -1)[..., 0]


def counts(function, **options):
    options |= {"zero_division": 0}
    return (
        lambda w: function(BITS, LOGITS > 0, sample_weight=w, **options),
        lambda w: function(LABELS, SAID, sample_weight=w, labels=ALL, average="macro", **options),
    )


def top(k):
    return lambda w: sk.top_k_accuracy_score(LABELS, SCORES, k=k, sample_weight=w, labels=ALL)


PRECISION, RECALL, F1 = map(counts, (sk.precision_score, sk.recall_score, sk.f1_score))
# metric, prediction, target, and the value with weights
CASES = {
    "Accuracy": (ae.Accuracy(), SCORES, LABELS, top(1)),
    "Accuracy of sequences": (
        ae.Accuracy(),
        STEPS,
        STEP_LABELS,
        lambda w: np.average((STEPS.argmax(-1) == STEP_LABELS).mean(1), weights=w),
    ),
    "TopKAccuracy": (ae.TopKAccuracy(2), SCORES, LABELS, top(2)),
    "BinaryAccuracy": (
        ae.BinaryAccuracy(0.3),
        LOGITS,
        BITS,
        lambda w: sk.accuracy_score(BITS, LOGITS > 0.3, sample_weight=w),
    ),
    "Precision": (ae.Precision(), LOGITS, BITS, PRECISION[0]),
    "Recall": (ae.Recall(), LOGITS, BITS, RECALL[0]),
    "F1": (ae.F1(), LOGITS, BITS, F1[0]),
    "Precision of classes": (ae.Precision(K), SCORES, LABELS, PRECISION[1]),
    "Recall of classes": (ae.Recall(K), SCORES, LABELS, RECALL[1]),
    "F1 of classes": (ae.F1(K), SCORES, LABELS, F1[1]),
    "ConfusionMatrix": (
        ae.ConfusionMatrix(K),
        SCORES,
        LABELS,
        lambda w: sk.confusion_matrix(LABELS, SAID, labels=ALL, sample_weight=w),
    ),
    "R2": (ae.R2(), NEAR, REALS, lambda w: sk.r2_score(REALS, NEAR, sample_weight=w)),
    "R2 of one column": (
        ae.R2(),
        NEAR[:, 0],
        REALS[:, 0],
        lambda w: sk.r2_score(REALS[:, 0], NEAR[:, 0], sample_weight=w),
    ),
    "LossMetric": (
        ae.LossMetric(nn.mean_absolute_error),
        NEAR,
        REALS,
        lambda w: sk.mean_absolute_error(REALS, NEAR, sample_weight=w),
    ),
    "Perplexity": (
        ae.Perplexity(),
        STEPS,
        STEP_LABELS,
        lambda w: np.exp(np.average(cross_entropy(STEPS, STEP_LABELS).mean(1), weights=w)),
    ),
}


def streamed(metric, prediction, target, weight, backend="jax", sizes=(20, 30, 7)):
    """The value over batches of ``sizes`` rows."""
    data = [prediction, target] if weight is None else [prediction, target, weight]
    inputs = [at.TensorType(str(a.dtype), (None, *a.shape[1:]))() for a in data]
    program = ae.Backend(backend).compile(inputs, metric.terms(*inputs))
    sums, start = None, 0
    for size in sizes:
        # copies: C programs reuse the memory of their outputs
        terms = [np.array(t) for t in program(*(a[start : start + size] for a in data))]
        sums = terms if sums is None else [a + b for a, b in zip(sums, terms, strict=True)]
        start += size
    assert start == len(prediction)
    return metric.value(*sums)


@pytest.mark.parametrize("backend", ["jax", "c", "numba"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_batches_give_the_value_of_the_whole(case, weighted, backend):
    metric, prediction, target, formula = CASES[case]
    weight = WEIGHT if weighted else None
    found = streamed(metric, prediction, target, weight, backend)
    np.testing.assert_allclose(found, formula(weight), rtol=1e-9)
    assert np.ndim(found) or type(found) is float


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("bins", [20, 200])
def test_auc_is_within_its_bound(bins, weighted):
    n = 4000
    y = rng.integers(0, 2, n)
    x = rng.normal(size=n) + y
    w = rng.uniform(0, 2, n) if weighted else None
    found = streamed(ae.AUC(bins), x, y, w, sizes=(1000, 2900, 100))
    exact = sk.roc_auc_score(y, x, sample_weight=w)
    places = np.minimum((bins / (1 + np.exp(-x))).astype(int), bins - 1)
    w = np.ones(n) if w is None else w
    p, q = (np.bincount(places, w * (y == side), minlength=bins) for side in (1, 0))
    bound = (p / p.sum() * q / q.sum()).sum() / 2
    assert abs(found - exact) <= bound < 1 / bins
    assert abs(found - exact) < 0.05 / bins


def test_auc_of_ties_is_a_half_and_of_an_order_one():
    assert streamed(ae.AUC(), np.zeros(6), np.arange(6) % 2, None, sizes=(6,)) == 0.5
    assert streamed(ae.AUC(), np.arange(6.0), (np.arange(6) > 2).astype(int), None, sizes=(6,)) == 1


@pytest.mark.parametrize("case", [*CASES, "AUC"])
def test_nothing_at_all_gives_zero(case):
    metric, prediction, target, _ = CASES.get(case, (ae.AUC(), LOGITS, BITS, None))
    found = streamed(metric, prediction, target, np.zeros(N), sizes=(N,))
    np.testing.assert_array_equal(found, np.zeros_like(found))


def test_a_constant_target_has_no_r2():
    assert streamed(ae.R2(), REALS[:, 0], np.full(N, 1e3), None) == 0.0


@pytest.mark.parametrize("case", [*CASES, "AUC"])
def test_terms_of_float32_hold_no_float64(case):
    metric, prediction, target, _ = CASES.get(case, (ae.AUC(), LOGITS, BITS, None))
    kind = "float32" if target.dtype.kind == "f" else "int64"
    p = at.TensorType("float32", prediction.shape)()
    t, w = at.TensorType(kind, target.shape)(), at.TensorType("float32", (N,))()
    graph = expand(Graph((p, t, w), tuple(metric.terms(p, t, w))))
    for node in toposort(graph.results):
        assert all(getattr(o.type, "dtype", "") != "float64" for o in node.outputs), node


def test_a_model_reports_them():
    model = nn.Dense(K, dtype="float64")
    model.compile(
        optimizer=ae.SGD(0.1),
        loss=nn.softmax_cross_entropy,
        metrics=[ae.ConfusionMatrix(K), ae.Perplexity(), ae.TopKAccuracy(3)],
    )
    x = rng.normal(size=(N, 5))
    history = model.fit(x, LABELS, epochs=2, validation_data=(x, LABELS), progress=False)
    logs = model.evaluate(x, LABELS, batch_size=20)
    said = model.predict(x).argmax(1)
    np.testing.assert_allclose(
        logs["confusion_matrix"], sk.confusion_matrix(LABELS, said, labels=ALL)
    )
    assert logs["perplexity"] == pytest.approx(np.exp(logs["loss"]))
    assert history["val_confusion_matrix"][1].sum() == N
    assert "top_3_accuracy" in str(history) and f"({K}, {K})" in str(history)
    assert model.train_on_batch(x, LABELS)["confusion_matrix"].shape == (K, K)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: ae.TopKAccuracy(0),
        lambda: ae.AUC(1),
        lambda: ae.Precision(1),
        lambda: ae.ConfusionMatrix(True),
    ],
)
def test_wrong_uses(wrong):
    with pytest.raises(ArgumentError) as caught:
        wrong()
    assert caught.value.expected
