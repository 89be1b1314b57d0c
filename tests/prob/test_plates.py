"""Plates: names, sizes and labels of axes."""

import numpy as np
import pytest

import aeframe as ae
from aeframe.core import lower
from aeframe.core.errors import ArgumentError, NameTakenError, ShapeError


class Schools(ae.Model):
    def __call__(self, sd):
        self.plate("school", [f"school {i}" for i in range(3)])
        mu = self.sample("mu", ae.Normal(0, 5))
        theta = self.sample("theta", ae.Normal(mu, 2), dims="school")
        self.deterministic("twice", 2 * theta, dims="school")
        self.sample("y", ae.Normal(theta, sd), dims="school")
        self.sample("pair", ae.Normal(theta[:, None], [1.0, 2.0]), dims=("school", None))


def test_a_plate_gives_sites_their_shape_and_their_dims():
    import aesara.tensor as at

    graph = lower(Schools(), at.TensorType("float64", (3,))(), method="expression")
    assert [v.type.shape for v in graph.outputs] == [(), (3,), (3,), (3,), (3, 2)]
    dims = [v.owner.op.dims for v in graph.outputs]
    assert dims == [(), ("school",), ("school",), ("school",), ("school", None)]


def test_a_dim_without_a_plate_takes_its_size_from_the_first_site():
    class Free(ae.Model):
        def __call__(self):
            a = self.sample("a", ae.Normal(np.zeros(4), 1), dims="row")
            self.sample("b", ae.Normal(0, 1), dims="row")
            self.sample("c", ae.Normal(a, 1), dims="row")

    assert Free().prior_predictive(2)["b"].shape == (2, 4)


def one(call):
    return type("One", (ae.Model,), {"__call__": call})()


def taken(self):
    self.plate("row", 3)
    self.plate("row", 4)


def wrong_size(self):
    self.plate("row", 3)
    self.sample("a", ae.Normal(np.zeros(4), 1), dims=("row",))


def too_many(self):
    self.plate("row", 3)
    self.sample("a", ae.Normal(0, 1), shape=(3,), dims=("row", "column"))


def empty(self):
    self.plate("row", 0)


def no_names(self):
    self.sample("a", ae.Normal(0, 1), dims=(3,))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (taken, NameTakenError, "declared twice"),
        (wrong_size, ShapeError, "do not fit the shape|wrong size"),
        (too_many, ShapeError, "1 axes and 2 dims"),
        (empty, ArgumentError, "at least one entry"),
        (no_names, ArgumentError, "no names"),
    ],
)
def test_wrong_uses(call, error, words):
    with pytest.raises(error, match=words):
        one(call).prior_predictive(1)
