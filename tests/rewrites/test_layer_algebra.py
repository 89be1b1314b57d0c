"""The equalities of TASO's layer algebra: typed, checked with numbers, proved by saturation."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import algebra

from aeframe.core import expand
from aeframe.rewrites import EQUALITIES, Limits
from tests.evaluate import evaluate


def sides(line, seed):
    """Both sides on random numbers, by NumPy."""
    graph, rng = expand(algebra.typed(line)), np.random.default_rng(seed)
    values = [rng.normal(size=v.type.shape) for v in graph.inputs]
    return evaluate(graph.inputs, graph.outputs, values)


def true_lines():
    false = set(algebra.false())
    return [line for line in algebra.lines() if line not in false]


def test_the_file_is_whole():
    assert len(algebra.lines()) == 278
    assert set(algebra.false()) < set(algebra.lines())


@pytest.mark.slow
def test_all_but_the_false_ones_are_true():
    for seed, line in enumerate(true_lines()):
        np.testing.assert_allclose(*sides(line, seed), rtol=1e-9, atol=1e-9, err_msg=line)


@pytest.mark.parametrize("line", algebra.false())
def test_false_ones_are_false(line):
    left, right = sides(line, 0)
    assert left.shape == right.shape and not np.allclose(left, right)


def test_true_ones_are_proved():
    unproved = [line for line in true_lines() if not algebra.prove(algebra.typed(line))[0]]
    assert len(unproved) <= 0.05 * len(true_lines()), unproved


@pytest.mark.parametrize("line", algebra.false())
def test_false_ones_are_not_proved(line):
    few = Limits(nodes=1000, iterations=4, matches=500)
    assert not algebra.prove(algebra.typed(line), few)[0]


def test_there_are_at_most_sixty_rules():
    assert len(EQUALITIES) <= 60
