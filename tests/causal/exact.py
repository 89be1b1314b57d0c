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
