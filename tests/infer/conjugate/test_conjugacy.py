"""Every conjugate pair, from its own declaration: the form of its density, and Geweke's test."""

import aesara.tensor as at
import numpy as np
import pytest

from aeframe.core import Graph
from aeframe.core.expand import expand
from aeframe.core.graph import leaves
from aeframe.infer.conjugate import conjugacy as c
from aeframe.infer.conjugate.conditional import full_conditional
from aeframe.infer.conjugate.gaussian import full_gaussian
from aeframe.infer.conjugate.joint import Stream
from aeframe.prob.density import log_density
from tests.evaluate import evaluate
from tests.infer.conjugate.pairs import Pair, laid

GROUPS = [
    ("positive", c.POSITIVE, c.POSITIVE_PRIORS),
    ("probability", c.PROBABILITY, c.PROBABILITY_PRIORS),
    ("simplex", c.SIMPLEX, c.SIMPLEX_PRIORS),
]
PAIRS = [
    pytest.param(group, row, prior, id=f"{name}-{prior.name}-{row.name}".replace(" ", "_"))
    for name, group, priors in GROUPS
    for prior in priors
    if prior.family is not c.FlatOp  # nothing can be drawn of it; test_flat.py has its pairs
    for row in group
]
CLOSED = [p for p in PAIRS if not (p.values[1].mixture or p.values[2].mixture)]
NORMAL = c.Prior("normal", c.aer.NormalRV, None)
LOCATION = [
    pytest.param(row, id=f"{'linked' if row in c.LINKED else 'location'}-{row.name}")
    for row in (*c.LOCATION, *c.LINKED)
    if not row.family.__name__.startswith("Multivariate")
]


def run(outputs, values, rng=None):
    """Outputs for values of the leaves, by NumPy."""
    graph = expand(Graph((), tuple(outputs)))
    found = leaves(graph.outputs)
    given = [values.get(v.name, rng) for v in found]
    return evaluate(found, graph.outputs, given)


@pytest.mark.parametrize(("group", "row", "prior"), CLOSED)
def test_the_full_conditional_is_the_joint_but_for_a_constant(group, row, prior):
    found, values = laid(Pair(group, row, prior, 4, seed=1), seed=2)
    other = laid(Pair(group, row, prior, 4, seed=1), seed=3)[1]["theta"]
    conditional = full_conditional(found, "theta", Stream())
    theta, p = found.held["theta"], conditional.power
    own = conditional.distribution.log_density(theta**p).sum()
    own = own + (np.log(abs(p)) + (p - 1) * at.log(theta)).sum()  # d θᵖ/dθ
    both = [log_density(found.graph, found.held), own]
    first, second = (run(both, {**values, "theta": v}) for v in (values["theta"], other))
    assert abs(second[0] - first[0]) > 1e-3  # the two places differ
    np.testing.assert_allclose(second[0] - first[0], second[1] - first[1], rtol=1e-9)


def bounded(x):
    return x / (1 + np.abs(x))


def extreme(y):
    """Which entries are so large or small that their squares are infinite or 0."""
    return (y.dtype == float) & ((np.abs(y) < 1e-100) | (np.abs(y) > 1e100))


def require_same(theta, drawn, y):
    """Geweke (2004): (θ', y) is distributed as (θ, y), given y too; θ' is drawn given y (and θ)."""
    size = theta.shape[0]
    told, left_out = np.zeros(size), np.zeros(size)
    owner = np.repeat(np.arange(size), np.arange(size) % 2 + 1)
    first = y.reshape(len(y), -1)[:, 0]
    np.add.at(left_out, owner, extreme(first))
    np.add.at(told, owner, bounded(np.where(extreme(first), 1, first)))
    before, after = (bounded(v).reshape(size, -1)[left_out == 0, 0] for v in (theta, drawn))
    told = told[left_out == 0]
    assert len(told) > 0.8 * size
    for f in (lambda x: x, lambda x: x**2, lambda x: x * told, lambda x: x**3):
        differ = f(after) - f(before)
        z = differ.mean() / (differ.std() / np.sqrt(size))
        assert abs(z) < 4.5, z
    assert not np.allclose(before, after)


@pytest.mark.parametrize(("group", "row", "prior"), PAIRS)
def test_getting_it_right(group, row, prior):
    n = 6000
    found, values = laid(Pair(group, row, prior, n, seed=4), seed=5)
    stream = Stream()
    drawn = full_conditional(found, "theta", stream).draw(stream, found.factors["theta"].shape)
    tame = np.where(extreme(values["y"]), 1, values["y"])
    (after,) = run([drawn], {**values, "y": tame}, np.random.default_rng(6))
    require_same(values["theta"], after, values["y"])


@pytest.mark.parametrize("row", LOCATION)
def test_getting_normals_right(row):
    n = 300
    before, after, y = [], [], []
    for seed in range(10):
        found, values = laid(Pair(c.LOCATION, row, NORMAL, n, seed=4), seed=seed)
        stream = Stream()
        drawn = full_gaussian(found, ["theta"], stream).draw(stream)["theta"]
        after.append(run([drawn], values, np.random.default_rng(100 + seed))[0])
        before.append(values["theta"])
        y.append(values["y"])
    for k in range(10):
        assert after[k].shape == (n,)
    require_same(*map(np.concatenate, (before, after)), np.concatenate(y))
