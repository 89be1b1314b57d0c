"""The joint normal full conditional of sites that enter the means of normals linearly.

Each factor around the block is ``−½ w (z − η)²`` with ``η = Σ_s J_s x_s + c``: priors, regressions,
hierarchies and (given Pólya-Gamma draws) logistic likelihoods alike. Together they are
``−½ xᵀ Q x + hᵀ x`` with ``Q = Σ Jᵀ w J`` and ``h = Σ Jᵀ w (z − c)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Variable

from aeframe.core.graph import leaves, replay
from aeframe.distributions import Normal
from aeframe.distributions.continuous import FlatOp
from aeframe.gp.linalg import CholeskyOp, TriangularSolveOp
from aeframe.infer.conjugate.conditional import NotConjugateError, improper
from aeframe.infer.conjugate.conjugacy import LINKED, LOCATION, LOCATION_PRIORS, Likelihood, logit
from aeframe.infer.conjugate.entry import number
from aeframe.infer.conjugate.joint import Factor, Joint, Stream
from aeframe.infer.conjugate.linear import Jacobian, Linear, linear, reshaped

ADDED = 5e-13  # more than rounding, and less than the jitter of a CholeskyOp
LARGE, BLOCKS = 64, 4  # columns from which a symmetric product is made of 10 of 16 blocks


@dataclass
class Gaussian:
    """The density ``exp(−½ xᵀ Q x + hᵀ x)`` of the entries x of some sites, one after the other.

    Attributes
    ----------
    sites
        Name → shape.
    precision
        Pair of names → block of Q, (n, m); only the diagonal (n,) where that is all there is.
    shift
        Name → its part of h, (n,).
    rules
        Name → the rules by which its factors came.
    mixture
        Whether there are draws in it, and the values of the sites themselves.
    """

    sites: dict[str, tuple[int, ...]]
    precision: dict[tuple[str, str], Variable] = field(default_factory=dict)
    shift: dict[str, Variable] = field(default_factory=dict)
    rules: dict[str, tuple[str, ...]] = field(default_factory=dict)
    mixture: bool = False

    @property
    def sizes(self) -> dict[str, int]:
        """Name → number of entries."""
        return {k: int(np.prod(s, dtype=np.int64)) for k, s in self.sites.items()}

    @property
    def separate(self) -> bool:
        """Whether Q is known to be diagonal: one site, with entries that nothing ties together."""
        return len(self.sites) == 1 and all(q.type.ndim == 1 for q in self.precision.values())

    def system(self) -> tuple[Variable, Variable]:
        """Q and h."""
        rows = []
        for s, n in self.sizes.items():
            row = []
            for t, m in self.sizes.items():
                block = self.precision.get((s, t))
                if block is None:
                    block = at.zeros((n, m))
                row.append(_square(block) if block.type.ndim == 1 else block)
            rows.append(at.concatenate(row, axis=1) if len(row) > 1 else row[0])
        h = [self.shift.get(s, at.zeros((n,))) for s, n in self.sizes.items()]
        if len(rows) == 1:
            return rows[0], h[0]
        return at.concatenate(rows, axis=0), at.concatenate(h)

    def factored(self) -> Factored:
        """The Cholesky factor of Q.

        Raises
        ------
        FitError
            When nothing is known of a site: its prior is flat, and nothing depends on it.
        """
        unknown = [name for name in self.sites if (name, name) not in self.precision]
        if unknown:
            raise improper(unknown)
        size = sum(self.sizes.values())
        if self.separate:
            ((name, _),) = self.sites.items()
            root = at.sqrt(self.precision[name, name])
            return Factored(root, self.shift[name] / root, size)
        q, h = self.system()
        factor = CholeskyOp()(q)
        return Factored(factor, TriangularSolveOp()(factor, h), size)

    def pivot(self) -> Variable:
        """The least ``L_ii² / Q_ii``: the part of a precision that the entries before it leave.

        It is 0, but for rounding, where Q is singular.
        """
        q, factor = self.system()[0], self.factored().factor
        entries = at.diagonal(q)
        added = (factor**2).sum() - entries.sum()  # to Q, where it has no factor
        left = at.min(at.diagonal(factor) ** 2 / entries)
        return at.switch(added > ADDED * entries.sum(), 0.0, left)

    def draw(self, stream: Stream) -> dict[str, Variable]:
        """A draw of each site.

        Raises
        ------
        FitError
            As :meth:`factored`.
        """
        return self.split(self.factored().draw(stream))

    def split(self, x: Variable) -> dict[str, Variable]:
        """The values of the sites that the vector x holds."""
        found, start = {}, 0
        for name, n in self.sizes.items():
            shape = self.sites[name]
            found[name] = reshaped(x[start : start + n], shape)
            start += n
        return found


@dataclass(frozen=True)
class Factored:
    """``exp(−½ xᵀ Q x + hᵀ x)`` by LLᵀ = Q.

    Attributes
    ----------
    factor
        L; of a diagonal one, the diagonal.
    half
        L⁻¹ h.
    size
        The length of x.
    """

    factor: Variable
    half: Variable
    size: int

    def log_integral(self) -> Variable:
        """``½ hᵀ Q⁻¹ h − ½ log |Q|``: the log of the integral over x, but for a constant."""
        roots = self.factor if self.factor.type.ndim == 1 else at.diagonal(self.factor)
        return (self.half**2).sum() / 2 - at.log(roots).sum()

    def draw(self, stream: Stream) -> Variable:
        """``L⁻ᵀ (L⁻¹ h + z)`` with z standard normal."""
        x = self.half + stream.draw(Normal(0.0, 1.0), (self.size,))
        if self.factor.type.ndim == 1:
            return x / self.factor
        return TriangularSolveOp(transposed=True)(self.factor, x)


def may_be_normal(factor: Factor) -> bool:
    """Whether the prior of a site has a place in a normal block: flat on all real numbers too."""
    bounded = isinstance(factor.family, FlatOp) and number(factor.parameters[0]) != -np.inf
    return isinstance(factor.family, LOCATION_PRIORS) and not bounded


def full_gaussian(joint: Joint, names: Sequence[str], stream: Stream) -> Gaussian:
    """The joint normal distribution of the sites ``names`` given all others.

    Raises
    ------
    NotConjugateError
        When the prior of one is not normal, or it enters a factor in another way than linearly in
        the mean of a normal, or in the logit of a Bernoulli, binomial or negative binomial.
    """
    held = [joint.held[name] for name in names]
    found = Gaussian({name: joint.factors[name].shape for name in names})
    current = {h: h.type(name="current") for h in held}
    for name in names:
        own = joint.factors[name]
        if not may_be_normal(own):
            raise NotConjugateError(f"the prior of {name!r} is not normal")
    for factor in joint.around(names):
        if isinstance(factor.family, FlatOp):
            continue
        weight, form, row = _residual(factor, held, stream, current)
        found.mixture |= row.mixture
        _add(found, dict(zip(held, names, strict=True)), weight, form, factor)
        for h, name in zip(held, names, strict=True):
            if h in factor.depends and factor.name != name:
                told = found.rules.get(name, ())
                found.rules[name] = tuple(dict.fromkeys((*told, f"normal-{row.name}")))
    back = {new: old for old, new in current.items()}
    keys, shifts = list(found.precision), list(found.shift)
    coefficients = [*found.precision.values(), *found.shift.values()]
    *made, stream.state = replay([*coefficients, stream.state], back)
    precision = dict(zip(keys, made, strict=False))
    return replace(
        found, precision=precision, shift=dict(zip(shifts, made[len(keys) :], strict=True))
    )


def _residual(
    factor: Factor,
    held: Sequence[Variable],
    stream: Stream,
    current: dict[Variable, Variable],
) -> tuple[Variable, Linear, Likelihood]:
    """``w``, and ``z − η`` as a linear form, of one factor; and its row."""
    row, mean = _row(factor, held)
    values = replay(factor.numbers(), current)
    if row in LINKED or row.mixture:
        values[1 + row.parameter] = replay([mean], current)[0]
    start = (stream, factor.shape) if row.mixture else ()
    weight, response = row.terms(*start, *values)
    if not row.mixture and not set(current.values()).isdisjoint(leaves([weight])):
        raise NotConjugateError(f"{factor.name!r} has it in its mean and in its scale")
    back = {new: old for old, new in current.items()}
    if not row.mixture or response in back:  # else it was drawn given the current value
        (response,) = replay([response], back)
    form = linear(response - mean, held)
    if form is None:
        raise NotConjugateError(f"the mean of {factor.name!r} is not linear in it")
    return weight, form, row


def _row(factor: Factor, held: Sequence[Variable]) -> tuple[Likelihood, Variable]:
    """The row of a factor, and what must be linear in the sites."""
    symbols = set(held)
    places = [i for i, p in enumerate(factor.parameters) if symbols.intersection(leaves([p]))]
    for row in (*LOCATION, *LINKED):
        if type(factor.family) is not row.family or any(i != row.parameter for i in places):
            continue
        mean = factor.parameters[row.parameter]
        linked = logit(mean) if row in LINKED else mean
        if linked is not None:
            return row, linked
    family = factor.family.name if factor.family is not None else "a transform"
    raise NotConjugateError(
        f"{factor.name!r} ({family}) is no normal with it in the mean, and no logistic likelihood"
    )


def _add(
    found: Gaussian, names: dict[Variable, str], weight: Variable, form: Linear, factor: Factor
) -> None:
    """Add ``Jᵀ w J`` and ``−Jᵀ w c`` of a residual ``J x + c``."""
    shape = factor.shape
    matrix = weight.type.ndim == 2 and factor.family.ndim_supp == 1  # type: ignore[union-attr]
    one = all(b == 1 for b in weight.type.shape)
    jacobians = {s: _broadcast(j, shape, s) for s, j in form.jacobians.items()}
    constant = _entries(form.constant, shape)
    if one and not matrix:
        scalar = weight.sum()
        for s, j in jacobians.items():
            _into(found.shift, names[s], -scalar * _weigh(j, None, constant))
            for t, k in jacobians.items():
                _into(found.precision, (names[s], names[t]), scalar * _product(j, None, k))
        return
    w = weight if matrix else _entries(weight, shape)
    for s, j in jacobians.items():
        _into(found.shift, names[s], -_weigh(j, w, constant))
        for t, k in jacobians.items():
            _into(found.precision, (names[s], names[t]), _product(j, w, k))


def _entries(v: Variable, shape: Sequence[int]) -> Variable:
    """A tensor, broadcast to ``shape``, as a vector."""
    v = v if v.type.shape == tuple(shape) else at.alloc(v, *shape)
    n = int(np.prod(shape, dtype=np.int64))
    return reshaped(v, (n,))


def _broadcast(j: Jacobian, shape: Sequence[int], site: Variable) -> Jacobian:
    """With one row for each entry of a tensor of ``shape``; a diagonal one as a vector."""
    n = int(np.prod(shape, dtype=np.int64))
    if j.diagonal and j.array.type.shape == tuple(shape):
        return Jacobian(reshaped(j.array, (n,)), True)
    m = int(np.prod(site.type.shape, dtype=np.int64))
    array = j.dense()
    if array.type.shape != (*shape, m):
        array = at.broadcast_to(array, (*shape, m))
    return Jacobian(reshaped(array, (n, m)))


def _apply(w: Variable | None, array: Variable) -> Variable:
    """``w`` times rows: one weight for each, or a matrix for each run of rows."""
    if w is None:
        return array
    if w.type.ndim == 1:
        return w * array if array.type.ndim == 1 else w[:, None] * array
    d, shape = w.type.shape[0], array.type.shape
    runs = reshaped(array, (shape[0] // d, d, *shape[1:]))
    order = (0, 1) if array.type.ndim == 1 else (0, 2, 1)
    return reshaped(at.tensordot(runs, w, axes=[[1], [1]]).dimshuffle(*order), shape)


def _weigh(j: Jacobian, w: Variable | None, vector: Variable) -> Variable:
    """``Jᵀ w v``."""
    weighted = _apply(w, vector)
    return j.array * weighted if j.diagonal else at.dot(j.array.T, weighted)


def _product(j: Jacobian, w: Variable | None, k: Jacobian) -> Variable:
    """``Jᵀ w K``: a vector where both are diagonal and so is w."""
    if w is not None and w.type.ndim == 2:
        a, b = (_square(x.array) if x.diagonal else x.array for x in (j, k))
        return at.dot(a.T, _apply(w, b))
    if j.diagonal and k.diagonal:
        return _apply(w, j.array * k.array)
    if j.diagonal:
        return j.array[:, None] * _apply(w, k.array)
    if k.diagonal:
        return (_apply(w, j.array) * k.array[:, None]).T
    return _gram(j.array, w) if j is k else at.dot(j.array.T, _apply(w, k.array))


def _gram(array: Variable, w: Variable | None) -> Variable:
    """``Jᵀ w J``; of a large one the blocks above the diagonal, which those below repeat."""
    size = array.type.shape[1]
    if size < LARGE:
        return at.dot(array.T, _apply(w, array))
    cuts = [i * size // BLOCKS for i in range(BLOCKS + 1)]
    parts = [array[:, a:b] for a, b in pairwise(cuts)]
    weighted = [_apply(w, part) for part in parts]
    made = {
        (i, k): at.dot(parts[i].T, weighted[k]) for i in range(BLOCKS) for k in range(i, BLOCKS)
    }
    rows = [[made[i, k] if i <= k else made[k, i].T for k in range(BLOCKS)] for i in range(BLOCKS)]
    return at.concatenate([at.concatenate(row, axis=1) for row in rows], axis=0)


def _square(diagonal: Variable) -> Variable:
    n = diagonal.type.shape[0]
    return at.constant(np.eye(n)) * diagonal


def _into(totals: dict, key: object, term: Variable) -> None:
    """Add a term; a diagonal and a matrix make a matrix."""
    known = totals.get(key)
    if known is not None and known.type.ndim != term.type.ndim and isinstance(key, tuple):
        known, term = (_square(v) if v.type.ndim == 1 else v for v in (known, term))
    totals[key] = term if known is None else known + term
