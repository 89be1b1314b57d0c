"""Wrong uses from a user's day: each ends in one clear error that says where, what and the fix."""

import aesara.tensor as at
import numpy as np
import pytest
from safetensors.numpy import save as to_bytes

import aeframe as ae
from aeframe import circuits, gp, nn
from aeframe.core import errors

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(12, 4)), rng.integers(0, 3, 12)


class Net(ae.Module):
    def __init__(self):
        self.blocks = [nn.Dense(5), nn.Dense(3)]

    def __call__(self, x):
        for block in self.blocks:
            x = nn.relu(block(x))
        return x


class Line(ae.Model):
    def __call__(self, x):
        slope = self.sample("slope", ae.Normal(0.0, 1.0))
        self.sample("y", ae.Normal(slope * x, 1.0))


class Twice(ae.Model):
    def __call__(self):
        self.sample("mu", ae.Normal(0.0, 1.0))
        self.sample("mu", ae.Normal(0.0, 1.0))


class Switch(ae.Model):
    def __call__(self):
        on = self.sample("on", ae.Bernoulli(0.3))
        self.sample("y", ae.Normal(on, 1.0))


def compiled(loss=nn.softmax_cross_entropy, **options):
    return Net().compile(optimizer=ae.Adam(1e-2), loss=loss, **options)


def deep_mismatch():
    net = Net()
    net(X)
    net(X[:, :3])


def broken_weight():
    net = Net()
    net(X)
    net.blocks[1] = nn.Dense(ae.Parameter(np.ones((7, 3))))
    net(X)


def foreign_file(folder):
    (folder / "f").write_bytes(to_bytes({"a": X}))
    ae.load(folder / "f")


def truncated_file(folder):
    net = Net()
    net(X)
    net.save(folder / "f")
    (folder / "f").write_bytes((folder / "f").read_bytes()[:99])
    ae.load(folder / "f")


def text_file(folder):
    (folder / "f").write_text("hello")
    ae.load(folder / "f")


def later_file(folder):
    header = '{"format": "aeframe", "version": 7, "objects": []}'
    (folder / "f").write_bytes(to_bytes({}, metadata={"aeframe": header}))
    ae.load(folder / "f")


def other_model(folder):
    nn.Dense(3)(X)
    layer = nn.Dense(3)
    layer(X)
    layer.save(folder / "f")
    net = Net()
    net(X)
    net.load(folder / "f")


def code_in_a_file(folder):
    net = Net()
    net.activation = lambda x: x
    net.save(folder / "f")


class Choice(ae.Model):
    def __call__(self):
        on = self.sample("on", ae.Bernoulli(0.5))
        self.sample("y", ae.Normal(1.0 if on else 0.0, 1.0))


class Plain(ae.Module):
    def __init__(self, weight):
        self.w = ae.Parameter(weight)

    def __call__(self, x):
        return at.dot(x, self.w) if self.w.type.ndim == 2 else x + self.w


class Around(ae.Module):
    def __init__(self, inner):
        self.inner = inner

    def __call__(self, x):
        return self.inner(x * 2.0)


class Anew(ae.Module):
    def __call__(self, x):
        self.dense = nn.Dense(2)
        return self.dense(x)


class Total(ae.Module):
    def __call__(self, x):
        return x.sum()


def made_anew():
    model = Anew()
    model(X)
    model(X[:3])


CASES = {
    "a truth value of a symbol": (lambda: Choice().prior_predictive(1), errors.ArgumentError, None),
    "a product that does not fit": (
        lambda: Around(Plain(np.ones((5, 2))))(X),
        errors.ShapeError,
        "inner",
    ),
    "a sum that does not fit": (lambda: Around(Plain(np.ones(3)))(X), errors.ShapeError, "inner"),
    "a layer made in the call": (made_anew, errors.StateError, "Anew"),
    "one-hot labels": (lambda: compiled().fit(X, np.eye(3, dtype=int)[Y]), errors.ShapeError, None),
    "no batches": (lambda: compiled().fit(X, Y, batch_size=0), errors.ArgumentError, None),
    "a metric that is no list": (
        lambda: compiled(metrics=ae.Accuracy()),
        errors.ArgumentError,
        None,
    ),
    "validation data that is no tuple": (
        lambda: compiled().fit(X, Y, validation_data=X),
        errors.ArgumentError,
        None,
    ),
    "a search by name": (
        lambda: gp.GP().fit(X[:, 0], X[:, 1], search="greedy"),
        errors.ArgumentError,
        None,
    ),
    "batches of a total": (lambda: Total().predict(X, batch_size=5), errors.ArgumentError, None),
    "a width that changes": (deep_mismatch, errors.ShapeError, "blocks[0]"),
    "a mismatch deep in a model": (broken_weight, errors.ShapeError, "blocks[1]"),
    "a name used twice": (lambda: Twice().prior_predictive(1), errors.NameTakenError, "mu"),
    "a loss that is no scalar": (
        lambda: compiled(lambda p, t: p.sum(axis=1)).fit(X, Y),
        errors.GradientError,
        None,
    ),
    "labels out of range": (lambda: compiled().fit(X, Y + 9), errors.DataError, None),
    "labels that are floats": (lambda: compiled().fit(X, Y * 1.0), errors.DtypeError, None),
    "NaN in the data": (lambda: compiled().fit(X * np.nan, Y), errors.DataError, None),
    "text as data": (lambda: Net()(np.array([["a", "b"]])), errors.DtypeError, None),
    "ragged rows": (lambda: Net()([[1.0, 2.0], [3.0]]), errors.DtypeError, None),
    "fit before compile": (lambda: Net().fit(X, Y), errors.StateError, None),
    "a missing backend": (lambda: compiled(backend="julai"), errors.BackendError, None),
    "an optimizer by name": (
        lambda: Net().compile(optimizer="adam", loss=nn.softmax_cross_entropy),
        errors.ArgumentError,
        None,
    ),
    "a file that is not there": (lambda: ae.load("nowhere.aeframe"), errors.FileError, "nowhere"),
    "a foreign file": (foreign_file, errors.FileError, "f"),
    "a truncated file": (truncated_file, errors.FileError, "f"),
    "a file of text": (text_file, errors.FileError, "f"),
    "a file of a later version": (later_file, errors.FileError, "f"),
    "a file of another model": (other_model, errors.FileError, "f"),
    "code as an attribute": (code_in_a_file, errors.SerializationError, "activation"),
    "a folder that is not there": (
        lambda: Net().save("no/such/folder/net"),
        errors.FileError,
        "folder",
    ),
    "an unknown intervention": (
        lambda: Switch().intervene({"onn": 1}).prior_predictive(1),
        errors.UnknownNameError,
        None,
    ),
    "an impossible intervention": (
        lambda: Switch().intervene({"on": 2}).prior_predictive(1),
        errors.DataError,
        "on",
    ),
    "a discrete site in MAP": (
        lambda: Switch().observe({"y": 0.5}).fit(inference=ae.MAP()),
        errors.AeframeError,
        "on",
    ),
    "compile on a Model": (
        lambda: Line().compile(optimizer=ae.Adam(), loss=nn.mean_squared_error),
        errors.ArgumentError,
        None,
    ),
    "a kernel on the wrong width": (
        lambda: gp.SE(1.0, np.ones(3))(X),
        errors.ShapeError,
        None,
    ),
    "a kernel where a tensor is needed": (
        lambda: ae.Backend("c").compile([], [gp.SE().expression()]),
        errors.IntermediateError,
        None,
    ),
    "NaN in a GP's targets": (
        lambda: gp.GP().fit(X[:, :1], X[:, 0] * np.nan),
        errors.DataError,
        "y",
    ),
    "a prediction before data": (lambda: gp.GP().predict(X), errors.StateError, None),
    "a product of one column": (
        lambda: (circuits.Bernoulli(0, 0.5) * circuits.Bernoulli(0, 0.5)).expression(),
        errors.AeframeError,
        None,
    ),
    "too few columns for a circuit": (
        lambda: circuits.Bernoulli(3, 0.5)(np.ones((2, 2))),
        errors.AeframeError,
        None,
    ),
    "an unknown path": (lambda: Net().freeze("block[0]"), errors.UnknownNameError, "block[0]"),
    "a rule that is none": (lambda: Net().optimize(3), errors.ArgumentError, None),
}


@pytest.mark.parametrize("case", CASES)
def test_one_clear_error(case, tmp_path):
    wrong, kind, path = CASES[case]
    takes_folder = wrong.__code__.co_argcount == 1
    with pytest.raises(kind) as caught:
        wrong(tmp_path) if takes_folder else wrong()
    error = caught.value
    assert error.problem and (error.fix or error.expected)
    assert path is None or path in str(error.path)
    assert str(error).splitlines()[0] == error.problem


def test_there_are_enough():
    assert len(CASES) >= 20
