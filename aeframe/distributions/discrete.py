"""Distributions on whole numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import aesara.tensor as at
import aesara.tensor.random.basic as aer
import numpy as np
from aesara.graph.basic import Variable

from aeframe.core.errors import DataError
from aeframe.core.shapes import narrow
from aeframe.core.supports import Binary, Integers, Support
from aeframe.distributions.base import (
    ABOVE_0,
    COUNT,
    FINITE,
    NOT_BELOW_0,
    PROBABILITY,
    WHOLE,
    Distribution,
    Domain,
    is_known,
    require_one,
)
from aeframe.distributions.bounded import require_order
from aeframe.distributions.density import binomial_coefficient, inside, picked
from aeframe.distributions.draws import Drawn, DrawOp, Family, Shape, Size, standard

BERNOULLI = aer.BernoulliRV(dtype="int64")
BINOMIAL = aer.BinomialRV(dtype="int64")
CATEGORICAL = aer.CategoricalRV(dtype="int64")


class BernoulliLogitsOp(DrawOp):
    """``(rng, logits)``: 1 with probability sigmoid(logits)."""

    dtype = "int64"

    def sample(self, rng: Variable, shape: Sequence[Size], *parameters: Variable) -> Drawn:
        """By Aesara's Bernoulli variable."""
        return standard(BERNOULLI, rng, shape, at.sigmoid(parameters[0]))

    def log_density(self, value: Variable, *parameters: Variable) -> Variable:
        """Log sigmoid(±logits), which no large logit rounds."""
        sign = 1.0 - 2.0 * value
        return inside(at.eq(value, 0) | at.eq(value, 1), -at.softplus(sign * parameters[0]))


@dataclass(frozen=True, eq=False)
class Bernoulli(Distribution):
    """1 with probability ``p``, else 0; draws are integers, so that they can index.

    Or by ``logits``, the log odds log(p / (1 − p)): exact where p would round to 0 or 1.

    >>> from aeframe.core import RandomState
    >>> Bernoulli(0.5).draw(RandomState())[1].type.dtype
    'int64'
    """

    p: Any = None
    logits: Any = None
    support: ClassVar[Support] = Binary()
    domains: ClassVar[Mapping[str, Domain]] = {"p": PROBABILITY, "logits": FINITE}

    def __post_init__(self) -> None:
        require_one("Bernoulli", p=self.p, logits=self.logits)
        super().__post_init__()

    @property
    def op(self) -> Family:  # type: ignore[override]
        """By p or by logits."""
        return BERNOULLI if self.logits is None else BernoulliLogitsOp()

    def parameters(self) -> tuple[Any, ...]:
        """The probability of 1, or its logit."""
        return (self.p if self.logits is None else self.logits,)


class BinomialLogitsOp(DrawOp):
    """``(rng, n, logits)``: successes among n of probability sigmoid(logits)."""

    dtype = "int64"

    def sample(self, rng: Variable, shape: Sequence[Size], *parameters: Variable) -> Drawn:
        """By Aesara's binomial variable."""
        n, logits = parameters
        return standard(BINOMIAL, rng, shape, n, at.sigmoid(logits))

    def log_density(self, value: Variable, *parameters: Variable) -> Variable:
        """Log (n choose k) + k logit − n log(1 + exp(logit))."""
        n, logits = parameters
        found = binomial_coefficient(n, value) + value * logits - n * at.softplus(logits)
        return inside((value >= 0) & (value <= n), found)


@dataclass(frozen=True, eq=False)
class Binomial(Distribution):
    """The number of successes among ``n``, each of probability ``p`` or log odds ``logits``.

    P(k) = (n choose k) pᵏ (1 − p)ⁿ⁻ᵏ.

    >>> round(float(Binomial(2, 0.5).log_density(1).eval()), 4)
    -0.6931
    """

    n: Any
    p: Any = None
    logits: Any = None
    domains: ClassVar[Mapping[str, Domain]] = {"n": COUNT, "p": PROBABILITY, "logits": FINITE}
    counts: ClassVar[Sequence[int]] = (0,)

    def __post_init__(self) -> None:
        require_one("Binomial", p=self.p, logits=self.logits)
        super().__post_init__()

    @property
    def op(self) -> Family:  # type: ignore[override]
        """By p or by logits."""
        return BINOMIAL if self.logits is None else BinomialLogitsOp()

    @property
    def support(self) -> Support:  # type: ignore[override]
        """0 to n."""
        return Integers(0, int(self.n) if is_known(self.n) else None)

    def parameters(self) -> tuple[Any, ...]:
        """n, and the probability or its logit."""
        return self.n, self.p if self.logits is None else self.logits


@dataclass(frozen=True, eq=False)
class Geometric(Distribution):
    """The number of the first trial that succeeds, 1 or above: P(k) = (1 − p)ᵏ⁻¹ p.

    >>> round(float(Geometric(0.5).log_density(2).eval()), 4)
    -1.3863
    """

    p: Any
    op: ClassVar[Family] = aer.GeometricRV(dtype="int64")
    support: ClassVar[Support] = Integers(1)
    domains: ClassVar[Mapping[str, Domain]] = {"p": PROBABILITY}


@dataclass(frozen=True, eq=False)
class Poisson(Distribution):
    """Counts of a mean ``rate``: P(k) = rateᵏ exp(−rate) / k!.

    >>> round(float(Poisson(1.0).log_density(0).eval()), 4)
    -1.0
    """

    rate: Any
    op: ClassVar[Family] = aer.PoissonRV(dtype="int64")
    support: ClassVar[Support] = Integers(0)
    domains: ClassVar[Mapping[str, Domain]] = {"rate": NOT_BELOW_0}


@dataclass(frozen=True, eq=False)
class NegativeBinomial(Distribution):
    """Counts of a ``mean`` and a ``dispersion`` φ; the variance is mean + mean² / φ.

    P(k) = (k + φ − 1 choose k) (mean / (mean + φ))ᵏ (φ / (mean + φ))^φ; large φ is Poisson. Or
    by ``p`` = φ / (mean + φ): with whole φ, failures before the φ-th success of probability p.

    >>> round(float(NegativeBinomial(1.0, 1.0).log_density(0).eval()), 4)
    -0.6931
    >>> round(float(NegativeBinomial(dispersion=2, p=0.5).log_density(0).eval()), 4)
    -1.3863
    """

    mean: Any = None
    dispersion: Any = None
    p: Any = None
    op: ClassVar[Family] = aer.NegBinomialRV(dtype="int64")
    support: ClassVar[Support] = Integers(0)
    domains: ClassVar[Mapping[str, Domain]] = {
        "mean": ABOVE_0,
        "dispersion": ABOVE_0,
        "p": PROBABILITY,
    }

    def __post_init__(self) -> None:
        require_one("NegativeBinomial", mean=self.mean, p=self.p)
        require_one("NegativeBinomial", dispersion=self.dispersion)
        super().__post_init__()

    def parameters(self) -> tuple[Any, ...]:
        """φ successes, each of probability p = φ / (φ + mean)."""
        if self.p is not None:
            return self.dispersion, self.p
        mean, dispersion = (
            v if isinstance(v, Variable) else np.asarray(v, dtype="float64")
            for v in (self.mean, self.dispersion)
        )
        return dispersion, dispersion / (dispersion + mean)


@dataclass(frozen=True, eq=False)
class BetaBinomial(Distribution):
    """Binomial counts whose probability is drawn from a beta distribution, for each anew.

    P(k) = (n choose k) B(k + alpha, n − k + beta) / B(alpha, beta).

    >>> round(float(BetaBinomial(1, 1.0, 1.0).log_density(1).eval()), 4)
    -0.6931
    """

    n: Any
    alpha: Any
    beta: Any
    op: ClassVar[Family] = aer.BetaBinomialRV(dtype="int64")
    domains: ClassVar[Mapping[str, Domain]] = {"n": COUNT, "alpha": ABOVE_0, "beta": ABOVE_0}
    counts: ClassVar[Sequence[int]] = (0,)

    @property
    def support(self) -> Support:  # type: ignore[override]
        """0 to n."""
        return Integers(0, int(self.n) if is_known(self.n) else None)


@dataclass(frozen=True, eq=False)
class HyperGeometric(Distribution):
    """How many of ``draws`` balls, taken without putting back, are good.

    P(k) = (good choose k) (bad choose draws − k) / (good + bad choose draws).

    >>> round(float(HyperGeometric(good=1, bad=1, draws=1).log_density(1).eval()), 4)
    -0.6931
    """

    good: Any
    bad: Any
    draws: Any
    op: ClassVar[Family] = aer.HyperGeometricRV(dtype="int64")
    support: ClassVar[Support] = Integers(0)
    domains: ClassVar[Mapping[str, Domain]] = {"good": COUNT, "bad": COUNT, "draws": COUNT}
    counts: ClassVar[Sequence[int]] = (0, 1, 2)


@dataclass(frozen=True, eq=False)
class DiscreteUniform(Distribution):
    """Whole numbers from ``low`` to ``high``, both included, all equally probable.

    >>> round(float(DiscreteUniform(1, 4).log_density(4).eval()), 4)
    -1.3863
    """

    low: Any
    high: Any
    op: ClassVar[Family] = aer.IntegersRV(dtype="int64")
    domains: ClassVar[Mapping[str, Domain]] = {"low": WHOLE, "high": WHOLE}
    counts: ClassVar[Sequence[int]] = (0, 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if is_known(self.low, self.high):
            require_order("DiscreteUniform", self.low, self.high + 1)

    @property
    def support(self) -> Support:  # type: ignore[override]
        """Low to high."""
        known = is_known(self.low, self.high)
        return Integers(int(self.low), int(self.high)) if known else Integers()

    def parameters(self) -> tuple[Any, ...]:
        """Low, and the first number above high."""
        high = self.high if isinstance(self.high, Variable) else np.asarray(self.high)
        return self.low, high + 1


class CategoricalLogitsOp(DrawOp):
    """``(rng, logits)``: a category, its probability from a softmax along the last axis."""

    dtype = "int64"
    ndims_params = (1,)

    def sample(self, rng: Variable, shape: Sequence[Size], *parameters: Variable) -> Drawn:
        """By Aesara's categorical variable."""
        logits = parameters[0]
        p = at.exp(logits - at.logsumexp(logits, axis=-1, keepdims=True))
        return standard(CATEGORICAL, rng, shape, p)

    def log_density(self, value: Variable, *parameters: Variable) -> Variable:
        """The log softmax of the category."""
        logits = parameters[0]
        scores = logits - at.logsumexp(logits, axis=-1, keepdims=True)
        n = scores.shape[scores.type.ndim - 1]
        return inside((value >= 0) & (value < n), picked(scores, value))


@dataclass(frozen=True, eq=False)
class Categorical(Distribution):
    """The categories 0, ..., K − 1 with probabilities ``p`` along its last axis.

    Or by ``logits``: p = softmax(logits). Rows of ``p`` that do not add up to 1 are divided by
    their sum where they are symbolic, and refused where they are numbers.

    >>> round(float(Categorical([0.2, 0.8]).log_density(1).eval()), 4)
    -0.2231
    """

    p: Any = None
    logits: Any = None
    domains: ClassVar[Mapping[str, Domain]] = {"p": PROBABILITY, "logits": FINITE}

    def __post_init__(self) -> None:
        require_one("Categorical", p=self.p, logits=self.logits)
        super().__post_init__()
        require_simplex("Categorical", self.p)

    @property
    def op(self) -> Family:  # type: ignore[override]
        """By p or by logits."""
        return CATEGORICAL if self.logits is None else CategoricalLogitsOp()

    @property
    def support(self) -> Support:  # type: ignore[override]
        """0 to K − 1."""
        rows = self.given()[0]
        if rows.type.shape[-1] is None and rows.owner is not None:  # such as table[x]
            rows = narrow(rows.owner.clone()).outputs[rows.index or 0]
        n = rows.type.shape[-1]
        return Integers(0, None if n is None else n - 1)

    def parameters(self) -> tuple[Any, ...]:
        """The probabilities, or the logits."""
        return (self.p if self.logits is None else self.logits,)


class OrderedLogisticOp(DrawOp):
    """``(rng, eta, cutpoints)``: categories between K − 1 cutpoints of a logistic variable."""

    dtype = "int64"
    ndims_params = (0, 1)

    def sample(self, rng: Variable, shape: Sequence[Size], *parameters: Variable) -> Drawn:
        """How many cutpoints a logistic variable of mean eta exceeds."""
        eta, cutpoints = parameters
        rng, noise = standard(aer.LogisticRV(dtype="float64"), rng, shape, 0.0, 1.0)
        above = at.shape_padright(eta + noise) > cutpoints
        return rng, above.sum(axis=-1)

    def log_density(self, value: Variable, *parameters: Variable) -> Variable:
        """log(F(c_{k+1} − η) − F(c_k − η)), F the logistic function: no difference of near ones."""
        eta, cutpoints = parameters
        n = cutpoints.shape[cutpoints.type.ndim - 1]
        first, last = at.eq(value, 0), at.eq(value, n)
        high = at.switch(last, 0.0, picked(cutpoints, value)) - eta
        low = at.switch(first, 0.0, picked(cutpoints, value - 1)) - eta
        # F(h) − F(l) = F(h) F(−l) (1 − exp(l − h))
        width = at.log1mexp(at.switch(first | last, -1.0, at.minimum(low - high, -1e-300)))
        below = at.switch(last, 0.0, -at.softplus(-high))
        above = at.switch(first, 0.0, -at.softplus(low))
        found = below + above + at.switch(first | last, 0.0, width)
        return inside((value >= 0) & (value <= n), found)


@dataclass(frozen=True, eq=False)
class OrderedLogistic(Distribution):
    """Ordinal categories 0, ..., K − 1: cumulative logits (McCullagh 1980).

    P(y ≤ k) = sigmoid(cutpoints[k] − eta), with K − 1 increasing cutpoints along the last axis.

    >>> round(float(OrderedLogistic(0.0, [-1.0, 1.0]).log_density(0).eval()), 4)
    -1.3133
    """

    eta: Any
    cutpoints: Any
    op: ClassVar[Family] = OrderedLogisticOp()
    domains: ClassVar[Mapping[str, Domain]] = {"eta": FINITE, "cutpoints": FINITE}

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.cutpoints, Variable):
            cut = np.asarray(self.cutpoints)
            if cut.ndim == 0 or np.any(np.diff(cut, axis=-1) <= 0):
                raise DataError("the cutpoints of OrderedLogistic do not increase", got=cut)

    @property
    def support(self) -> Support:  # type: ignore[override]
        """0 to the number of cutpoints."""
        return Integers(0, self.given()[1].type.shape[-1])


def require_simplex(name: str, p: Any) -> None:
    """Raise :class:`DataError` unless the rows of ``p`` add up to 1; symbols are not looked at."""
    if p is None or isinstance(p, Variable):
        return
    array = np.asarray(p, dtype="float64")
    if array.ndim == 0 or not np.allclose(array.sum(axis=-1), 1.0, atol=1e-6):
        raise DataError(
            f"the probabilities of {name} do not add up to 1",
            expected="one or more along the last axis",
            got=p,
            fix="divide them by their sum",
        )


def vector_size(name: str, value: Variable) -> Shape:
    """The last axis of a parameter that is a vector, as the shape of a draw."""
    if value.type.ndim == 0:
        raise DataError(f"an argument of {name} is a number", expected="a vector", got=str(value))
    return (value.type.shape[-1],)
