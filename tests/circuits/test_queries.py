"""Queries against enumeration over all assignments, on random circuits."""

import aesara.tensor as at
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from scipy.special import logsumexp
from scipy.stats import chisquare

import aeframe as ae
from aeframe.circuits import Bernoulli
from aeframe.circuits.ops import LogSumExpOp, MaxOp
from aeframe.circuits.queries import evaluate
from tests.circuits.strategies import (
    assignments,
    circuits,
    completions,
    density,
    partial_rows,
    random_circuit,
)

few = settings(
    max_examples=5, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


@few
@given(circuits())
def test_likelihood_and_marginals(circuit):
    x = partial_rows(3)
    wanted = [sum(density(circuit, row) for row in completions(partial)) for partial in x]
    found = np.exp(circuit.log_prob(x))
    np.testing.assert_allclose(found, wanted, atol=1e-10)
    assert found[-1] == pytest.approx(1.0, abs=1e-12)  # normalized
    assert circuit.smooth and circuit.decomposable


@few
@given(circuits())
def test_max_product_value(circuit):
    x = _matrix(3)
    value, _ = evaluate(circuit.expression(), x, MaxOp())
    program = ae.Backend("jax").compile([x], [value])
    rows = partial_rows(3)
    wanted = [max(density(circuit, row, max) for row in completions(partial)) for partial in rows]
    np.testing.assert_allclose(np.exp(program(rows)[0]), wanted, atol=1e-10)


@few
@given(circuits(deterministic=True))
def test_explanation_of_deterministic_circuits(circuit):
    rows = partial_rows(3)
    likely = np.exp(circuit.log_prob(rows)) > 0
    filled = circuit.mpe(rows)
    for partial, row in zip(rows[likely], filled[likely], strict=True):
        best = max(density(circuit, other) for other in completions(partial))
        assert density(circuit, row) == pytest.approx(best, abs=1e-10)


@few
@given(circuits())
def test_explanation_attains_the_max_product_value(circuit):
    rows = partial_rows(3)
    for partial, row in zip(rows, circuit.mpe(rows), strict=True):
        assert set(row) <= {0.0, 1.0}
        assert np.array_equal(row[~np.isnan(partial)], partial[~np.isnan(partial)])
        best = max(density(circuit, other, max) for other in completions(partial))
        assert density(circuit, row, max) == pytest.approx(best, abs=1e-10)


def test_ties_take_the_first_child_and_zero():
    tie = 0.5 * (Bernoulli(0, 0.9) * Bernoulli(1, 0.1)) + 0.5 * (
        Bernoulli(0, 0.1) * Bernoulli(1, 0.9)
    )
    missing = np.full((1, 2), np.nan)
    assert tie.mpe(missing).tolist() == [[1.0, 0.0]]
    assert Bernoulli(0, 0.5).mpe(missing[:, :1]).tolist() == [[0.0]]


def test_impossible_rows():
    circuit = 0.5 * (Bernoulli(0, 1.0) * Bernoulli(1, 0.5)) + 0.5 * (
        Bernoulli(0, 1.0) * Bernoulli(1, 0.25)
    )
    rows = np.array([[0.0, np.nan]])
    assert circuit.log_prob(rows) == -np.inf
    assert circuit.mpe(rows).tolist() == [[0.0, 0.0]]
    with pytest.raises(ae.core.errors.DataError, match="probability 0"):
        circuit.sample(1, evidence=[0.0, np.nan])


def test_draws_follow_the_distribution():
    circuit = random_circuit(3)
    n, rows = 20_000, assignments(3)
    code = circuit.sample(n, seed=1) @ [4, 2, 1]
    counts = np.bincount(code.astype(int), minlength=8)
    assert chisquare(counts, n * np.exp(circuit.log_prob(rows))).pvalue > 1e-3
    assert np.array_equal(circuit.sample(5, seed=1), circuit.sample(5, seed=1))


def test_draws_given_evidence():
    circuit = random_circuit(4)
    n, evidence = 20_000, np.array([1.0, np.nan, np.nan])
    drawn = circuit.sample(n, seed=1, evidence=evidence)
    assert np.all(drawn[:, 0] == 1)
    counts = np.bincount((drawn[:, 1:] @ [2, 1]).astype(int), minlength=4)
    p = np.exp(circuit.log_prob(completions(evidence)))
    assert chisquare(counts, n * p / p.sum()).pvalue > 1e-3


def test_a_shared_node_is_evaluated_once():
    leaf = Bernoulli(1, 0.4)
    circuit = 0.5 * (Bernoulli(0, 0.1) * leaf) + 0.5 * (Bernoulli(0, 0.7) * leaf)
    _, leaves = evaluate(circuit.expression(), _matrix(2), MaxOp())
    assert len(leaves) == 3


def test_gradients_against_finite_differences():
    circuit = random_circuit(5)
    rows = partial_rows(3)
    x = _matrix(3)
    value = ae.rewrites.interpret(ae.lower(circuit, x)).outputs[0].sum()
    cells = ae.parameters([value])
    program = ae.Backend("jax").compile([x], [value, *ae.grad(value, cells)])
    _, *slopes = program(rows)
    step = 1e-6
    for cell, slope in zip(cells, slopes, strict=True):
        at_start = cell.numpy()
        for i in np.ndindex(at_start.shape):
            total = []
            for sign in (1, -1):
                moved = at_start.copy()
                moved[i] += sign * step
                cell.restore(moved)
                total.append(float(program(rows)[0]))
            cell.restore(at_start)
            difference = (total[0] - total[1]) / (2 * step)
            assert np.asarray(slope)[i] == pytest.approx(difference, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("method", ["log_prob", "mpe"])
def test_jax_and_c_agree(method):
    circuit, rows = random_circuit(6), partial_rows(3)
    with ae.Backend("jax"):
        first = getattr(circuit, method)(rows)
    with ae.Backend("c"):
        second = getattr(circuit, method)(rows)
    np.testing.assert_allclose(first, second, rtol=1e-12, atol=1e-12)


def _matrix(columns):
    return at.TensorType("float64", (None, columns))("x")


def test_totals_of_tiny_probabilities_do_not_underflow():
    terms = np.array([[-1e4, -1e4 - 1.0], [-np.inf, -3.0], [-np.inf, -np.inf], [800.0, 801.0]])
    symbol = at.TensorType("float64", terms.shape)()
    total = LogSumExpOp()(symbol)
    for backend in ("jax", "c"):
        (found,) = ae.Backend(backend).compile([symbol], [total])(terms)
        np.testing.assert_allclose(np.asarray(found), logsumexp(terms, axis=-1), rtol=1e-12)
