"""What a causal graph says of data, tested: its conditional independencies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2, chi2_contingency

from aeframe.causal.estimation.problem import require_columns
from aeframe.causal.graph import CausalGraph, Independence
from aeframe.core.summary import plain_table, render

# whole numbers with at most so many values are counted rather than measured
VALUES = 10


@dataclass(frozen=True)
class IndependenceTest:
    """One statement and the probability of data at least this far from it.

    Attributes
    ----------
    statement
        That two columns are independent given others.
    kind
        ``G`` for counts, ``correlation`` for numbers.
    statistic, freedom
        Of a χ² distribution, were the statement true, and its degrees of freedom.
    p, holm
        The p-value, alone and adjusted for the number of statements.
    """

    statement: Independence
    kind: str
    statistic: float
    freedom: int
    p: float
    holm: float


@dataclass(frozen=True)
class IndependenceTests:
    """Every statement of a graph that was tested; as text, a verdict above a table."""

    tests: tuple[IndependenceTest, ...]

    def rejected(self, level: float = 0.05) -> tuple[Independence, ...]:
        """The statements that the data speak against.

        If the graph is right, the probability that there are any is at most ``level``.
        """
        return tuple(t.statement for t in self.tests if t.holm <= level)

    @property
    def verdict(self) -> str:
        """In one line."""
        found, count = self.rejected(), len(self.tests)
        if not count:
            return "The graph says nothing that could be tested."
        if not found:
            return f"None of {count} independencies is rejected."
        told = "; ".join(map(str, found[:3])) + ("; ..." if len(found) > 3 else "")
        return f"{len(found)} of {count} independencies rejected: {told}"

    def __str__(self) -> str:
        table = plain_table("", "independence", "test", "χ²", "df", "p", "p (Holm)")
        for t in sorted(self.tests, key=lambda t: t.p):
            numbers = (f"{t.statistic:.2f}", str(t.freedom), f"{t.p:.3g}", f"{t.holm:.3g}")
            table.add_row(str(t.statement), t.kind, *numbers)
        return f"{self.verdict}\n{render(table)}"


def tests_of(graph: CausalGraph, data: Any) -> IndependenceTests:
    """Test each conditional independence that ``graph`` implies on a frame.

    Labels, booleans and whole numbers of few values are counted: likelihood ratio tests (G) in
    each stratum, summed. If one of the columns is another number, the test is that no canonical
    correlation is left after linear regression on the given columns (Bartlett 1947); of two
    numbers it is that of their partial correlation. p-values are adjusted by Holm's method.

    Raises
    ------
    UnknownNameError
        When a variable of the graph is no column.
    DataError
        When there are no rows, or values are missing.

    >>> rng = np.random.default_rng(0)
    >>> a = rng.normal(size=500)
    >>> b = a + rng.normal(size=500)
    >>> data = {"a": a, "b": b, "c": b + rng.normal(size=500)}
    >>> print(tests_of(CausalGraph(["ab", "bc"]), data).verdict)
    None of 1 independencies is rejected.
    >>> print(tests_of(CausalGraph(["ab", "cb"]), data).verdict)
    1 of 1 independencies rejected: a ⊥ c
    """
    import pandas as pd

    frame = pd.DataFrame(data)
    statements = graph.independencies()
    require_columns(frame, sorted({n for s in statements for n in (s.x, s.y, *s.given)}))
    found = [_tested(frame, s) for s in statements]
    adjusted = holm([p for *_, p in found])
    return IndependenceTests(
        tuple(
            IndependenceTest(s, *f, float(h))
            for s, f, h in zip(statements, found, adjusted, strict=True)
        )
    )


def holm(p: Sequence[float]) -> NDArray[np.float64]:
    """Adjusted p-values: the smallest times m, the next times m - 1, ... (Holm 1979).

    >>> holm([0.04, 0.01, 0.03]).tolist()
    [0.06, 0.03, 0.06]
    """
    values = np.asarray(p, dtype="float64")
    order = np.argsort(values)
    scaled = values[order] * np.arange(len(values), 0, -1)
    found = np.empty_like(values)
    found[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return found


def _tested(frame: Any, statement: Independence) -> tuple[str, float, int, float]:
    names = (statement.x, statement.y, *statement.given)
    if all(_is_counted(frame[n]) for n in names):
        kind, (statistic, freedom) = "G", _counted(frame, statement)
    else:
        kind, (statistic, freedom) = "correlation", _measured(frame, statement)
    p = float(chi2.sf(statistic, freedom)) if freedom else 1.0
    return kind, statistic, freedom, p


def _is_counted(column: Any) -> bool:
    if column.dtype.kind not in "fiu":
        return True
    values = column.unique()
    return len(values) <= VALUES and bool((values == np.round(values)).all())


def _counted(frame: Any, statement: Independence) -> tuple[float, int]:
    """G and its degrees of freedom, summed over the strata of what is given."""
    import pandas as pd

    strata = [frame]
    if statement.given:
        strata = [part for _, part in frame.groupby(list(statement.given), observed=True)]
    total, freedom = 0.0, 0
    for part in strata:
        counts = pd.crosstab(part[statement.x], part[statement.y]).to_numpy()
        if min(counts.shape) < 2:
            continue
        found = chi2_contingency(counts, correction=False, lambda_="log-likelihood")
        total, freedom = total + float(found.statistic), freedom + int(found.dof)
    return total, freedom


def _measured(frame: Any, statement: Independence) -> tuple[float, int]:
    """Bartlett's χ² of the canonical correlations, and its degrees of freedom."""
    given = np.hstack([np.ones((len(frame), 1)), *(_matrix(frame[n]) for n in statement.given)])
    x, y = (_left(_matrix(frame[n]), given) for n in (statement.x, statement.y))
    rho = np.linalg.svd(x.T @ y, compute_uv=False)
    # χ² = -(n - 1 - k - (p + q + 1) / 2) Σ log(1 - ρ²), with k columns given beside the constant
    (n, k), p, q = given.shape, x.shape[1], y.shape[1]
    scale = n - k - (p + q + 1) / 2
    left = np.maximum(1.0 - rho**2, np.finfo(float).tiny)
    return float(max(-scale * np.log(left).sum(), 0.0)), p * q


def _matrix(column: Any) -> NDArray[np.float64]:
    """A number as a column, labels as indicators of all but one."""
    import pandas as pd

    if column.dtype.kind in "fiub":
        return np.asarray(column, dtype="float64")[:, None]
    return np.asarray(pd.get_dummies(column, drop_first=True), dtype="float64")


def _left(columns: NDArray[np.float64], given: NDArray[np.float64]) -> NDArray[np.float64]:
    """An orthonormal basis of what regression on ``given`` leaves of the columns."""
    left = columns - given @ np.linalg.lstsq(given, columns, rcond=None)[0]
    u, scale, _ = np.linalg.svd(left, full_matrices=False)
    return np.asarray(u[:, scale > 1e-8 * np.linalg.norm(columns)])
