"""Compiled code of equal graphs is shared, and only theirs."""

from collections import OrderedDict

import aesara.tensor as at
import numpy as np
import pytest

from aeframe.backends import Backend
from aeframe.backends.shared import KEPT, shared, structure
from aeframe.core import Graph, Parameter


@pytest.mark.parametrize("name", ["c", "jax"])
def test_programs_on_other_cells_share_and_keep_their_values(name, monkeypatch):
    backend = Backend(name)
    made = []
    old = type(backend).executable
    monkeypatch.setattr(
        type(backend), "executable", lambda self, *a: made.append(a) or old(self, *a)
    )
    x = at.dvector("x")
    programs = []
    for value in (2.0, 3.0):
        cell = Parameter([value, value, value])
        programs.append((cell, backend.compile([x], [at.cosh(x + cell) - cell**3])))
    arrays = [np.array([0.1, 0.2, 0.3])]
    found = [program(*arrays)[0] for _, program in programs]
    assert len(made) == 1
    for (cell, _), values in zip(programs, found, strict=True):
        np.testing.assert_allclose(values, np.cosh(arrays[0] + cell.value) - cell.value**3)
    rows = [program.map([np.array([arrays[0]] * 2)])[0] for _, program in programs]
    assert len(made) == 1
    np.testing.assert_allclose(rows[1][1], found[1])


def test_what_a_structure_tells():
    x, y, z = at.dscalar(), at.dscalar(), at.dvector()
    one = structure(Graph((x, y), (x - y,)))
    assert one == structure(Graph((y, x), (y - x,)))
    others = [
        Graph((x, y), (y - x,)),
        Graph((x, y), (x - y, x)),
        Graph((x, y), (x + y,)),
        Graph((x, y), (), {x: x - y}),
        Graph((x, z), (x - z,)),
        Graph((x, y), (x - y - 1.0,)),
    ]
    assert len({one, *map(structure, others)}) == 1 + len(others)
    assert structure(Graph((x,), (x + 1.0,))) != structure(Graph((x,), (x + 2.0,)))


def test_few_are_kept(monkeypatch):
    monkeypatch.setattr("aeframe.backends.shared._MADE", OrderedDict())
    made = []
    for i in [*range(KEPT), 0, KEPT, 0, 1]:
        shared(("test", i), lambda i=i: made.append(i) or i)
    assert made == [*range(KEPT), KEPT, 1]
    assert shared(None, lambda: 3) == 3
