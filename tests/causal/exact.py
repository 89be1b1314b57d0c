"""Random causal models whose distributions are enumerated in NumPy, hidden variables included."""

from itertools import combinations

import networkx as nx
import numpy as np
import xarray as xr

from aeframe.causal import CausalGraph


class Discrete:
    """A random graph on A, B, C, ..., and a random binary table for each of its variables.

    Behind each bidirected edge is a hidden variable of three values.
    """

    def __init__(self, seed, size=5, directed=0.5, bidirected=0.25):
        self.rng = np.random.default_rng(seed)
        names = tuple("ABCDEFGH"[:size])
        pairs = list(combinations(names, 2))
        arrows = [p for p in pairs if self.rng.random() < directed]
        arcs = [p for p in pairs if self.rng.random() < bidirected]
        self.graph = CausalGraph(arrows, arcs, tuple(names))
        self.hidden = {h: self.rng.dirichlet(np.ones(3)) for h in map("".join, arcs)}
        self.names, self.tables = names, {}
        for v in names:
            causes = [a for a, b in arrows if b == v] + [h for h in self.hidden if v in h]
            shape = [3 if c in self.hidden else 2 for c in causes]
            p = self.rng.uniform(0.1, 0.9, shape)
            self.tables[v] = xr.DataArray(np.stack([1 - p, p]), dims=[v, *causes])

    def joint(self, do=()):
        """``P(v | do(x))`` for all values: the factors of what is not set."""
        factors = [t for v, t in self.tables.items() if v not in do]
        factors += [xr.DataArray(p, dims=[h]) for h, p in self.hidden.items()]
        found = xr.dot(*factors, dim=list(self.hidden))
        kept = xr.DataArray(np.ones((2,) * len(self.names)), dims=self.names)
        return (found * kept).assign_coords({v: [0, 1] for v in self.names})

    def effect(self, y, x, z=()):
        """``P(y | do(x), z)``, by definition."""
        joint = self.joint(x).sum([v for v in self.names if v not in {*y, *x, *z}])
        return joint / joint.sum(list(y))

    def choose(self, *sizes):
        """Sets of variables that share nothing."""
        drawn = self.rng.permutation(self.names).tolist()
        return [frozenset(drawn.pop() for _ in range(n)) for n in sizes]


class Functional:
    """A random graph, and a random function of parents and noise for each of its variables.

    All noise is enumerated, so that what would have been is known for each unit.
    """

    def __init__(self, seed, size=4, directed=0.6, bidirected=0.3):
        made = Discrete(seed, size, directed, bidirected)
        self.graph, self.names, self.rng = made.graph, made.names, made.rng
        self.choose = made.choose
        noise = {**{h: 2 for h in made.hidden}, **{f"noise {v}": 4 for v in self.names}}
        self.units = dict(
            zip(noise, np.indices(tuple(noise.values())).reshape(len(noise), -1), strict=True)
        )
        self.weights = np.ones(1)
        for size_ in noise.values():
            self.weights = np.outer(self.weights, self.rng.dirichlet(np.full(size_, 4.0))).ravel()
        self.functions = {}
        for v in self.names:
            causes = [a for a, b in self.graph.directed.edges if b == v]
            causes += [h for h in made.hidden if v in h]
            shape = [noise.get(c, 2) for c in causes]
            table = self.rng.integers(0, 2, (4, *shape))
            table[0], table[1] = 0, 1  # nothing is impossible
            self.functions[v] = (f"noise {v}", *causes), table

    def world(self, do):
        """The value of each variable for each unit, under ``do``."""
        values = dict(self.units)
        for v in self.names:
            causes, table = self.functions[v]
            natural = table[tuple(values[c] for c in causes)]
            values[v] = np.full_like(natural, do[v]) if v in do else natural
        return values

    def probability(self, events):
        """Of a conjunction of events."""
        holds = np.ones(len(self.weights), dtype=bool)
        for event in events:
            holds &= self.world(dict(event.world))[event.variable] == event.value
        return float(self.weights[holds].sum())

    def joint(self, do=()):
        """``P(v | do(x))`` for all values, where those set are drawn at random."""
        found = np.zeros((2,) * len(self.names))
        for values in np.ndindex(*(2,) * len(do)):
            world = self.world(dict(zip(do, values, strict=True)))
            np.add.at(found, tuple(world[v] for v in self.names), self.weights / 2 ** len(do))
        return xr.DataArray(found, dims=self.names, coords={v: [0, 1] for v in self.names})


class Linear:
    """A random linear Gaussian model on the graph of ``Discrete``."""

    def __init__(self, seed, **options):
        made = Discrete(seed, **options)
        self.graph, self.names, self.rng = made.graph, made.names, made.rng
        self.choose = made.choose
        n = len(self.names)
        self.weights = np.zeros((n, n))  # row effect, column cause
        for a, b in self.graph.directed.edges:
            self.weights[self.names.index(b), self.names.index(a)] = self.rng.normal()
        noise = np.eye(n)
        for a, b in self.graph.bidirected.edges:
            mixed = np.zeros(n)
            mixed[[self.names.index(a), self.names.index(b)]] = self.rng.normal(size=2)
            noise += np.outer(mixed, mixed)
        self.reach = np.linalg.inv(np.eye(n) - self.weights)
        self.covariance = self.reach @ noise @ self.reach.T

    def total_effect(self, x, y):
        """The sum over directed paths of the products of their weights."""
        return self.reach[self.names.index(y), self.names.index(x)]

    def given(self, w):
        """The covariance of all, given ``w``."""
        i = [self.names.index(v) for v in w]
        s = self.covariance
        return s - s[:, i] @ np.linalg.solve(s[np.ix_(i, i)], s[i, :]) if i else s


def subsets(names):
    """All sets of names, the smallest first."""
    ordered = sorted(names)
    return [frozenset(c) for n in range(len(ordered) + 1) for c in combinations(ordered, n)]


def is_hedge(graph, hedge, y, x):
    """Whether two graphs are a hedge for ``P(y | do(x))``, by definition."""
    for forest in (hedge.outer, hedge.inner):
        assert set(forest.directed.edges) <= set(graph.directed.edges)
        assert all(graph.bidirected.has_edge(*e) for e in forest.bidirected.edges)
        assert nx.is_tree(forest.bidirected)
        assert all(forest.directed.out_degree(v) == (v not in hedge.roots) for v in forest.nodes)
    assert set(hedge.inner.directed.edges) <= set(hedge.outer.directed.edges)
    assert all(hedge.outer.bidirected.has_edge(*e) for e in hedge.inner.bidirected.edges)
    assert set(hedge.inner.nodes) < set(hedge.outer.nodes)
    assert set(hedge.outer.nodes) & x and not set(hedge.inner.nodes) & x
    assert hedge.roots <= graph.without_incoming(x).ancestors(y)
    return True
