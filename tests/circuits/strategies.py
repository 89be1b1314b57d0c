"""Random circuits, and what they mean, by enumeration over all assignments."""

from itertools import product

import numpy as np
from hypothesis import strategies as st

from aeframe.circuits import Bernoulli, Product, Sum


@st.composite
def circuits(draw, columns=3, depth=3, deterministic=False):
    """A random smooth and decomposable circuit; some nodes are shared."""
    shared = {}
    probability = st.floats(0.05, 0.95)

    def mixed(scope, depth):
        k = draw(st.integers(2, 3))
        weights = np.array(draw(st.lists(st.floats(0.1, 1.0), min_size=k, max_size=k)))
        return Sum([node(scope, depth - 1) for _ in range(k)], weights / weights.sum())

    def decided(scope, depth):
        """A Sum whose children differ in the first column, so that one at most is positive."""
        weight = draw(probability)
        first, rest = scope[0], scope[1:]
        sides = [Bernoulli(first, float(v)) for v in (0, 1)]
        if rest:
            sides = [side * node(rest, depth - 1) for side in sides]
        return Sum(sides, [weight, 1 - weight])

    def node(scope, depth):
        if shared.get(scope) and draw(st.booleans()):
            return draw(st.sampled_from(shared[scope]))
        if depth > 0 and draw(st.booleans()):
            made = (decided if deterministic else mixed)(scope, depth)
        elif len(scope) == 1:
            made = Bernoulli(scope[0], draw(probability))
        else:
            order = draw(st.permutations(scope))
            cut = draw(st.integers(1, len(scope) - 1))
            parts = (tuple(sorted(order[:cut])), tuple(sorted(order[cut:])))
            made = Product([node(part, depth - 1) for part in parts])
        shared.setdefault(scope, []).append(made)
        return made

    return node(tuple(range(columns)), depth)


def density(circuit, row, add=sum):
    """The probability of a complete row, in plain Python; ``add=max`` for the best choice."""
    if isinstance(circuit, Bernoulli):
        p = circuit.p if isinstance(circuit.p, float) else float(circuit.p.value)
        return p if row[circuit.column] else 1 - p
    below = [density(c, row, add) for c in circuit.children]
    if isinstance(circuit, Product):
        return np.prod(below)
    return add(w * v for w, v in zip(circuit.weights.value, below, strict=True))


def assignments(columns):
    return np.array(list(product([0.0, 1.0], repeat=columns)))


def completions(row):
    """Every complete row that agrees with the observed entries."""
    rows = assignments(len(row))
    return rows[np.all(np.isnan(row) | (rows == row), axis=1)]


def partial_rows(columns):
    """Every row of 0, 1 and NaN."""
    return np.array(list(product([0.0, 1.0, np.nan], repeat=columns)))


def random_circuit(seed, columns=3, depth=2):
    """A fixed circuit for tests that compile."""
    rng = np.random.default_rng(seed)

    def node(scope, depth):
        if depth and rng.random() < 0.6:
            children = [node(scope, depth - 1) for _ in range(2)]
            return Sum(children, rng.dirichlet([2.0, 2.0]))
        if len(scope) == 1:
            return Bernoulli(scope[0], rng.uniform(0.1, 0.9))
        cut = int(rng.integers(1, len(scope)))
        return Product([node(scope[:cut], max(depth - 1, 0)), node(scope[cut:], max(depth - 1, 0))])

    return Sum([node(tuple(range(columns)), depth) for _ in range(2)])
