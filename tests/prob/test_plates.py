"""Plates: names, sizes and labels of axes."""

import numpy as np
import pytest

import aeframe as ae
from aeframe.core import lower
from aeframe.core.errors import ArgumentError, NameTakenError, ShapeError, UnknownNameError


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


def test_new_dims_beside_plates():
    class Two(ae.Model):
        def __call__(self):
            self.plate("state", 2)
            self.sample("a", ae.Normal(np.zeros((2, 2)), 1), dims=("state", "state2"))
            self.sample("b", ae.Normal(np.zeros(4), 1), dims="row")

    assert Two().prior_predictive(2)["a"].shape == (2, 2, 2)


def test_a_number_is_the_shape_of_one_axis():
    assert one(lambda self: self.sample("a", ae.Normal(0, 1), shape=3)).expression()[
        "a"
    ].type.shape == (3,)


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


def slip(self):
    self.plate("school", 3)
    self.sample("a", ae.Normal(np.zeros(4), 1), dims="scholl")


def negative(self):
    self.sample("a", ae.Normal(0, 1), shape=(-3,))


def words(self):
    self.sample("a", ae.Normal(0, 1), shape="three")


def empty(self):
    self.plate("row", 0)


def no_names(self):
    self.sample("a", ae.Normal(0, 1), dims=(3,))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (taken, NameTakenError, "declared twice"),
        (wrong_size, ShapeError, "(?s)the site 'a'.*do not fit.*the plate 'row' has 3 entries"),
        (slip, UnknownNameError, "(?s)'scholl' of 'a'.*did you mean 'school'"),
        (negative, ArgumentError, "(?s)shape of 'a'.*-3"),
        (words, ArgumentError, "(?s)shape of 'a'.*'three'"),
        (too_many, ShapeError, "1 axes and 2 dims"),
        (empty, ArgumentError, "at least one entry"),
        (no_names, ArgumentError, "no names"),
    ],
)
def test_wrong_uses(call, error, words):
    with pytest.raises(error, match=words):
        one(call).prior_predictive(1)
