"""Models that change between two calls of ``fit``, copies with passes, and what is refused."""

import aesara.tensor as at
import numpy as np
import pytest

import aeframe as ae
from aeframe import nn
from aeframe.core.errors import ArgumentError, DataError, ShapeError
from tests.train.nets import Net, T, X, Y, compiled

ENTROPY = nn.softmax_cross_entropy
QUIET = {"progress": False}


def layers(width=3, **options):
    model = nn.Sequential(nn.Dense(6), nn.relu, nn.Dense(width))
    return model.compile(**({"optimizer": ae.Adam(1e-2), "loss": ENTROPY} | options))


WRAPS = [lambda o: o, lambda o: ae.train.Accumulate(o, 2), ae.train.Average]


@pytest.mark.parametrize("wrap", WRAPS)
def test_a_replaced_layer_is_trained(wrap):
    model = layers(optimizer=wrap(ae.Adam(1e-2)))
    model.fit(X, Y, **QUIET)
    old = model.parts[2]
    kept = old.w.value
    model.parts[2] = nn.Dense(10)
    model.fit(X, np.arange(60) % 10, **QUIET)
    first = model.parts[2].w.value
    model.fit(X, np.arange(60) % 10, **QUIET)
    assert first.shape == (6, 10) and not np.array_equal(first, model.parts[2].w.value)
    np.testing.assert_array_equal(old.w.value, kept)


def test_the_same_structure_compiles_once():
    model = layers()
    for _ in range(3):
        model.fit(X, Y, batch_size=20, **QUIET)
    (program,) = model._trainer._programs.values()
    assert program.compilations == 1


def test_lora_after_fit_trains_and_keeps_no_dead_slots():
    model = layers()
    model.fit(X, Y, **QUIET)
    before = nn.lora(model, 2).init().store.snapshot()
    model.fit(X, Y, **QUIET)
    after = model.store.snapshot()
    moved = {p for p in after if not np.array_equal(before.get(p), after[p])}
    assert moved and all(model.store[p].trainable for p in moved)
    slots = [p for p in model._trainer.store if p.startswith("optimizer.state[")]
    owners = {p.removeprefix("optimizer.state[").rsplit("][", 1)[0] for p in slots}
    assert moved <= owners <= set(after)


def test_an_optimizer_has_one_model():
    optimizer = ae.train.ClipNorm(ae.Adam(1e-2), 1.0)
    layers(optimizer=optimizer).fit(X, Y, **QUIET)
    for second in (optimizer, ae.train.ClipValue(optimizer.optimizer, 1.0)):
        with pytest.raises(ArgumentError, match="another model"):
            layers(optimizer=second).fit(X, Y, **QUIET)


def test_a_copy_with_a_pass_trains_the_rewritten_graph():
    model = layers(metrics=[ae.Accuracy()])
    model.fit(X, Y, **QUIET)
    low = model.with_pass(nn.Bfloat16())
    assert low._trainer.module is low and model._trainer.module is model
    low.fit(X, Y, **QUIET)
    assert low.history is not model.history

    def ops(each):
        (program,) = each._trainer._programs.values()
        return {str(node.op) for node in ae.core.toposort(program.graph.results)}

    assert any("bfloat16" in op.lower() for op in ops(low) - ops(model))
    assert model._trainer.optimizer.count.value == 4 == low._trainer.optimizer.count.value
    assert low.evaluate(X, Y).keys() == {"loss", "accuracy"}


def test_a_class_is_no_pass():
    with pytest.raises(ArgumentError, match="not a pass"):
        layers().with_pass(nn.Bfloat16)


@pytest.mark.parametrize("verb", ["fit", "evaluate", "train_on_batch"])
def test_training_is_a_call_that_view_and_explain_know(verb):
    model = layers()
    getattr(model, verb)(X, Y, **(QUIET if verb == "fit" else {}))
    assert model._last_call[1][0].shape[1] == 4
    assert "Dense" in str(model.view().html) and model.explain() is not None


def fitted(prediction, **options):
    class Made(ae.Module):
        def __init__(self):
            self.inner = nn.Dense(3)

        def __call__(self, x):
            return prediction(self.inner(x))

    return Made().compile(**({"optimizer": ae.SGD(0.1), "loss": ENTROPY} | options))


@pytest.mark.parametrize(
    "prediction, problem",
    [(lambda p: None, "not symbolic"), (lambda p: (p, p), "one tensor")],
)
def test_outputs_that_a_loss_cannot_take(prediction, problem):
    with pytest.raises(ArgumentError, match=problem):
        fitted(prediction).fit(X, Y, **QUIET)


def test_a_loss_of_ones_own_takes_several_outputs():
    model = fitted(lambda p: (p, 2 * p), loss=lambda both, t: ENTROPY(both[0] + both[1], t))
    assert np.isfinite(model.fit(X, Y, **QUIET)["loss"][0])


COLUMN = {
    "Accuracy": (ae.Accuracy(), (5, 3), (5, 1), "int64"),
    "one-hot": (ae.Accuracy(), (5, 3), (5, 3), "int64"),
    "TopK": (ae.TopKAccuracy(2), (5, 3), (5, 1), "int64"),
    "Binary": (ae.BinaryAccuracy(), (5, 1), (5,), "int64"),
    "AUC": (ae.AUC(), (5, 2), (5,), "int64"),
    "Precision": (ae.Precision(), (5, 3), (5,), "int64"),
    "Recall of classes": (ae.Recall(4), (5, 3), (5,), "int64"),
    "Confusion": (ae.ConfusionMatrix(4), (5, 3), (5,), "int64"),
    "R2": (ae.R2(), (5, 1), (5,), "float64"),
}


@pytest.mark.parametrize("case", COLUMN)
def test_metrics_refuse_shapes_that_would_broadcast(case):
    metric, prediction, target, dtype = COLUMN[case]
    with pytest.raises(ShapeError) as caught:
        metric.terms(at.TensorType("float64", prediction)(), at.TensorType(dtype, target)())
    assert caught.value.fix
    assert case != "Accuracy" or "y[:, 0]" in caught.value.fix


@pytest.mark.parametrize("metric", [ae.ConfusionMatrix(3), ae.F1(3)])
def test_labels_beyond_the_classes_of_a_metric(metric):
    def loss(prediction, target):
        return prediction.mean()

    model = layers(loss=loss, metrics=[metric])
    model.fit(X, Y, **QUIET)
    for labels in (Y + 1, Y - 1):
        with pytest.raises(DataError, match="3 classes"):
            model.evaluate(X, labels)


@pytest.mark.parametrize(
    "optimizer",
    [
        ae.SGD(ae.train.Cosine(0.1, 100)),
        ae.train.Groups({"hidden.*": ae.SGD(0.1), "*": ae.Adam(1e-3)}),
        ae.train.ClipNorm(ae.SGD(1e-30), 1.0),
    ],
)
def test_a_plateau_scales_any_rate(optimizer):
    plateau = ae.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=1e9)
    compiled(optimizer=optimizer).fit(X, T, epochs=3, callbacks=[plateau], **QUIET)
    assert optimizer.scale.value == 0.25


def test_numpy_integers_are_counts():
    model = layers(metrics=[ae.TopKAccuracy(np.int64(2))], seed=np.int64(3))
    model.fit(X, Y, epochs=np.int64(2), batch_size=np.int32(20), **QUIET)
    assert model.history.epochs == 2


WRONG = {
    "limit": lambda: ae.train.ClipNorm(ae.Adam(), "1"),
    "decay": lambda: ae.train.Average(ae.Adam(), decay="x"),
    "start": lambda: ae.train.Average(ae.Adam(), start=0.5),
    "groups": lambda: ae.train.Groups([ae.Adam()]),
    "split": lambda: layers().fit(X, Y, validation_split="0.1"),
    "negative split": lambda: layers().fit(X, Y, validation_split=-0.1),
    "seed": lambda: layers(seed=-1),
    "evaluate": lambda: layers().evaluate(X, Y, batch_size=0),
    "predict": lambda: layers().predict(X, batch_size=0),
    "epochs": lambda: layers().fit(X, Y, epochs=True),
    "steps": lambda: layers().fit(X, Y, steps_per_epoch=0),
    "two metrics": lambda: layers(metrics=[ae.Accuracy(), ae.Accuracy()]),
    "a metric called loss": lambda: layers(metrics=[ae.LossMetric(ENTROPY, "loss")]),
    "minimum": lambda: compiled(optimizer=ae.SGD(ae.train.Cosine(0.1, 9))).fit(
        X, T, callbacks=[ae.ReduceLROnPlateau("loss", minimum=0.1)], **QUIET
    ),
    **{
        f"class weight {given}": lambda given=given: layers().fit(X, Y, class_weight=given, **QUIET)
        for given in ({0: -1.0}, {0: np.nan}, {0: "2"}, {"a": 1.0}, {0.5: 1.0}, [1.0, 2.0])
    },
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_uses(case):
    with pytest.raises(ArgumentError) as caught:
        WRONG[case]()
    assert caught.value.got is not None or caught.value.expected


def test_resume_after_a_replacement(tmp_path):
    def changed():
        model = Net(dtype="float64", width=2)
        model.compile(optimizer=ae.Adam(1e-2), loss=nn.mean_squared_error)
        model.fit(X, T, **QUIET)
        model.out = nn.Dense(2, dtype="float64")
        return model

    whole, half, again = changed(), changed(), changed()
    whole.fit(X, T, epochs=3, **QUIET)
    half.fit(X, T, epochs=1, **QUIET)
    half._trainer.save(tmp_path / "c")
    again.fit(X, T, epochs=3, resume=tmp_path / "c", **QUIET)
    for path, value in whole._trainer.store.snapshot().items():
        np.testing.assert_array_equal(value, again._trainer.store[path].numpy(), err_msg=path)
