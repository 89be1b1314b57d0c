"""Random small Models for each conjugate pair, drawn from its declaration alone."""

from dataclasses import dataclass
from typing import Any

import aesara.tensor as at
import numpy as np
from aesara.tensor.random.op import RandomVariable

import aeframe as ae
from aeframe.core import Graph, Positive, Real
from aeframe.core.expand import expand
from aeframe.distributions import Distribution
from aeframe.infer.conjugate import conjugacy as c
from aeframe.infer.conjugate.joint import joint
from tests.evaluate import evaluate

COUNTS = ("bernoulli", "binomial", "geometric", "nbinom", "poisson", "categorical", "multinomial")
NUMBERS = {  # parameters that are not positive numbers around 1, by family
    "normal": [(-1, 1), (0.5, 2)],
    "lognormal": [(-1, 1), (0.5, 2)],
    "halfnormal": [0.0, (0.5, 2)],
    "halfcauchy": [0.0, (0.5, 2)],
    "laplace": [(-1, 1), (0.5, 2)],
    "t": [(3, 8), (-1, 1), (0.5, 2)],
    "HalfStudentT": [(2, 5), (0.5, 2)],
    "binomial": [5, (0.2, 0.8)],
    "BinomialLogits": [5, (-1, 1)],
    "nbinom": [3, (0.2, 0.8)],
    "multinomial": [4, None],
    "uniform": [0.0, 1.0],
    "invgamma": [(2, 4), (0.5, 2)],
    "gamma": [(1, 3), (0.5, 2)],
    "beta": [(1, 3), (1, 3)],
    "chisquare": [(2, 5)],
}


REAL = Real()


@dataclass(frozen=True, eq=False)
class Raw(Distribution):
    """A family on parameters, by its class."""

    family: Any
    arguments: Any
    support: Any = REAL

    @property
    def op(self):
        return made(self.family)

    @property
    def counts(self):
        return (0,) if self.op.name in ("binomial", "BinomialLogits", "multinomial") else ()

    def parameters(self):
        return self.arguments

    def event_shape(self):
        return (3,) if self.op.ndim_supp else ()


def made(family):
    if not issubclass(family, RandomVariable):
        return family()
    return family(dtype="int64" if family.name in COUNTS else "float64")


def numbers(family, rng):
    """Random parameters of a family."""
    op = made(family)
    ranges = NUMBERS.get(op.name, [(0.5, 2.0)] * 3)
    drawn = [v if np.ndim(v) == 0 else rng.uniform(*v) for v in ranges]
    return drawn[: len(tuple(op.ndims_params) or NUMBERS.get(op.name, [0]))]


class Pair(ae.Model):
    """``theta`` with ``n`` entries; ``y`` says something of each, of every other one twice."""

    def __init__(self, group, row, prior, n, seed):
        self.group, self.row, self.prior, self.n, self.seed = group, row, prior, n, seed

    def __call__(self):
        rng, row, prior, n = np.random.default_rng(self.seed), self.row, self.prior, self.n
        simplex = self.group is c.SIMPLEX
        event = (3,) if simplex else ()
        own = [v + np.arange(3.0) if simplex else v for v in numbers(prior.family, rng)]
        support = Positive() if self.group is c.POSITIVE else Real()
        theta = self.sample("theta", Raw(prior.family, own, support), shape=(n, *event))
        chosen = theta[np.repeat(np.arange(n), np.arange(n) % 2 + 1)]
        scale = rng.uniform(0.5, 2.0, int(1.5 * n))
        power = prior.power / row.power if self.group is c.POSITIVE else 1.0
        if self.group is c.POSITIVE:
            chosen = scale * (chosen if power == 1.0 else chosen**power)
        elif self.group is c.PROBABILITY:
            chosen = 1 - chosen
        elif not simplex:
            chosen = scale * chosen - 0.5
            if row in c.LINKED:
                chosen = at.sigmoid(chosen)
        others = numbers(row.family, rng)
        others[row.parameter] = chosen
        self.sample("y", Raw(row.family, others))


def laid(model, seed):
    """The factors of a Pair, and a draw of theta and y from the joint distribution."""
    found = joint(model, [])
    graph = found.graph
    rng = np.random.default_rng(seed)
    nodes = [found.nodes[k].inputs[0] for k in ("theta", "y")]
    state = [v for v in graph.updates]
    values = evaluate(state, expand(Graph(tuple(state), tuple(nodes))).outputs, [rng])
    return found, dict(zip(("theta", "y"), values, strict=True))
