"""Families of linear models: how a response is distributed around its linear predictor η."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Variable
from numpy.typing import NDArray

from aeframe import distributions as ds
from aeframe.core.errors import ArgumentError, DataError
from aeframe.core.structure import Structure

if TYPE_CHECKING:
    from aeframe.prob.model import Model

Array = NDArray[np.float64]


class Link(Structure):
    """The function from a mean to its linear predictor; what is needed is its inverse."""

    def inverse(self, eta: Variable) -> Variable:
        """The mean at a linear predictor."""
        raise NotImplementedError


@dataclass(frozen=True)
class Identity(Link):
    """η = mean."""

    def inverse(self, eta: Variable) -> Variable:
        """The predictor itself."""
        return eta


@dataclass(frozen=True)
class Log(Link):
    """η = log(mean)."""

    def inverse(self, eta: Variable) -> Variable:
        """exp(η)."""
        return at.exp(eta)


@dataclass(frozen=True)
class Logit(Link):
    """η = log(mean / (1 − mean))."""

    def inverse(self, eta: Variable) -> Variable:
        """1 / (1 + exp(−η))."""
        return at.sigmoid(eta)


@dataclass(frozen=True)
class Probit(Link):
    """η = Φ⁻¹(mean), Φ the normal distribution function."""

    def inverse(self, eta: Variable) -> Variable:
        """Φ(η)."""
        return 0.5 * at.erfc(-eta / np.sqrt(2.0))


@dataclass(frozen=True)
class Family(Structure):
    """A distribution of the response and the link of its mean; subclass it for another.

    Attributes
    ----------
    link
        From the mean to the linear predictor.
    """

    link: Link
    expected: ClassVar[str] = "numbers"
    has_intercept: ClassVar[bool] = True
    has_order: ClassVar[bool] = False  # of the labels of the response

    def response(self, values: Array) -> Array:
        """The response as the distribution takes it.

        Raises
        ------
        DataError
            When it has values that the family cannot have.
        """
        return self._require(values, np.isfinite(values))

    def scale(self, values: Array) -> tuple[float, float]:
        """Location and spread of the linear predictor, which the priors are scaled by."""
        return 0.0, 1.0

    def columns(self, values: Array) -> tuple[int, ...]:
        """The shape of one row's linear predictor."""
        return ()

    def mean(self, eta: Variable) -> Variable:
        """The mean of the response (of a proportion, for counts out of many)."""
        return self.link.inverse(eta)

    def around(
        self, model: Model, eta: Variable, spread: float, trials: Variable
    ) -> ds.Distribution:
        """The distribution of the response; samples what else it depends on."""
        raise NotImplementedError

    def _require(self, values: Array, holds: Any) -> Array:
        if not np.all(holds):
            bad = np.asarray(values)[~np.broadcast_to(holds, np.shape(values))]
            raise DataError(
                f"the response does not fit the family {type(self).__name__}",
                expected=self.expected,
                got=f"{bad.size} other values, such as {bad.flat[0]}",
                fix="choose another `family`, or mend the column",
            )
        return values


@dataclass(frozen=True)
class Gaussian(Family):
    """Normal around the mean; ``sd ~ HalfStudentT(4, sd(y))``."""

    link: Link = Identity()

    def scale(self, values: Array) -> tuple[float, float]:
        """Mean and standard deviation of the response."""
        return float(np.mean(values)), float(np.std(values)) or 1.0

    def around(
        self, model: Model, eta: Variable, spread: float, trials: Variable
    ) -> ds.Distribution:
        """Normal(mean, sd)."""
        return ds.Normal(self.mean(eta), model.sample("sd", ds.HalfStudentT(4.0, spread)))


@dataclass(frozen=True)
class StudentT(Gaussian):
    """Student's t around the mean, for outliers; ``df ~ Gamma(2, 0.1)``."""

    def around(
        self, model: Model, eta: Variable, spread: float, trials: Variable
    ) -> ds.Distribution:
        """StudentT(df, mean, sd)."""
        df = model.sample("df", ds.Gamma(2.0, 0.1))
        scale = model.sample("sd", ds.HalfStudentT(4.0, spread))
        return ds.StudentT(df, self.mean(eta), scale)


@dataclass(frozen=True)
class Bernoulli(Family):
    """0 or 1."""

    link: Link = Logit()
    expected: ClassVar[str] = "0 and 1, booleans, or two labels"

    def response(self, values: Array) -> Array:
        """The indicator of 1; of two labels, of the second."""
        if values.ndim == 2 and values.shape[1] == 2:
            values = values[:, 1]
        return self._require(values, np.isin(values, [0, 1])).astype("int64")

    def around(
        self, model: Model, eta: Variable, spread: float, trials: Variable
    ) -> ds.Distribution:
        """Bernoulli(p)."""
        if isinstance(self.link, Logit):
            return ds.Bernoulli(logits=eta)
        return ds.Bernoulli(self.mean(eta))


@dataclass(frozen=True)
class Binomial(Family):
    """Successes among trials: ``p(successes, trials) ~ ...``."""

    link: Link = Logit()
    expected: ClassVar[str] = "p(successes, trials), with 0 <= successes <= trials"

    def response(self, values: Array) -> Array:
        """The successes."""
        if values.ndim != 2:
            raise DataError(
                "the binomial family needs successes and trials", expected=self.expected
            )
        k, n = values[:, 0], values[:, 1]
        return self._require(k, (k >= 0) & (k <= n) & (k == np.round(k))).astype("int64")

    def around(
        self, model: Model, eta: Variable, spread: float, trials: Variable
    ) -> ds.Distribution:
        """Binomial(trials, p)."""
        if isinstance(self.link, Logit):
            return ds.Binomial(trials, logits=eta)
        return ds.Binomial(trials, self.mean(eta))


@dataclass(frozen=True)
class Poisson(Family):
    """Counts with variance = mean."""

    link: Link = Log()
    expected: ClassVar[str] = "counts: integers from 0"

    def response(self, values: Array) -> Array:
        """The counts."""
        whole = (values >= 0) & (values == np.round(values))
        return self._require(values, whole).astype("int64")

    def around(
        self, model: Model, eta: Variable, spread: float, trials: Variable
    ) -> ds.Distribution:
        """Poisson(mean)."""
        return ds.Poisson(self.mean(eta))


@dataclass(frozen=True)
class NegativeBinomial(Poisson):
    """Counts with variance = mean + mean² / dispersion; ``dispersion ~ HalfCauchy(1)``."""

    def around(
        self, model: Model, eta: Variable, spread: float, trials: Variable
    ) -> ds.Distribution:
        """NegativeBinomial(mean, dispersion)."""
        return ds.NegativeBinomial(self.mean(eta), model.sample("dispersion", ds.HalfCauchy(1.0)))


@dataclass(frozen=True)
class Gamma(Family):
    """Positive numbers with sd = mean / √shape; ``shape ~ HalfCauchy(1)``."""

    link: Link = Log()
    expected: ClassVar[str] = "numbers above 0"

    def response(self, values: Array) -> Array:
        """The values."""
        return self._require(values, values > 0)

    def around(
        self, model: Model, eta: Variable, spread: float, trials: Variable
    ) -> ds.Distribution:
        """Gamma(shape, shape / mean)."""
        shape = model.sample("shape", ds.HalfCauchy(1.0))
        return ds.Gamma(shape, shape / self.mean(eta))


@dataclass(frozen=True)
class Beta(Family):
    """Proportions; ``precision ~ HalfCauchy(1)`` is a + b of the Beta distribution."""

    link: Link = Logit()
    expected: ClassVar[str] = "numbers between 0 and 1, without the ends"

    def response(self, values: Array) -> Array:
        """The values."""
        return self._require(values, (values > 0) & (values < 1))

    def around(
        self, model: Model, eta: Variable, spread: float, trials: Variable
    ) -> ds.Distribution:
        """Beta(mean · precision, (1 − mean) · precision)."""
        precision, mean = model.sample("precision", ds.HalfCauchy(1.0)), self.mean(eta)
        return ds.Beta(mean * precision, (1 - mean) * precision)


@dataclass(frozen=True)
class Categorical(Family):
    """One of K labels; the linear predictors of all but the first, whose is 0."""

    link: Link = Logit()
    expected: ClassVar[str] = "a column of labels"

    def response(self, values: Array) -> Array:
        """The number of each row's label."""
        if values.ndim != 2:
            raise DataError("the categorical family needs a column of labels", got="numbers")
        return np.argmax(values, axis=1)

    def columns(self, values: Array) -> tuple[int, ...]:
        """K − 1 linear predictors."""
        return (values.shape[1] - 1,)

    def mean(self, eta: Variable) -> Variable:
        """The probability of each label."""
        return at.special.softmax(self._logits(eta), axis=-1)

    def around(
        self, model: Model, eta: Variable, spread: float, trials: Variable
    ) -> ds.Distribution:
        """Categorical(logits)."""
        return ds.Categorical(logits=self._logits(eta))

    def _logits(self, eta: Variable) -> Variable:
        return at.concatenate([at.zeros_like(eta[:, :1]), eta], axis=1)


@dataclass(frozen=True)
class Ordinal(Family):
    """Ordered labels 0, 1, ..., K − 1: P(y <= k) = sigmoid(cutpoint_k − η), no intercept.

    The response is these integers, or an ordered pandas Categorical, whose first category is 0.
    """

    link: Link = Logit()
    levels: int = 0
    expected: ClassVar[str] = "integers 0, 1, ..., levels - 1, or an ordered column of labels"
    has_intercept: ClassVar[bool] = False
    has_order: ClassVar[bool] = True

    def response(self, values: Array) -> Array:
        """The number of each row's label."""
        if self.levels < 2:
            raise ArgumentError(
                "the ordinal family needs the number of labels",
                expected="ae.prob.families.Ordinal(levels=4): at least 2",
                got=f"levels={self.levels}",
                fix="give levels=4 for the labels 0, 1, 2, 3",
            )
        if values.ndim == 2 and values.shape[1] != self.levels:
            raise DataError(
                "the response has another number of categories than the ordinal family",
                expected=f"{self.levels} categories, in order",
                got=f"{values.shape[1]}",
                fix=f"give levels={values.shape[1]}, or the column all its categories",
            )
        codes = np.argmax(values, axis=1) if values.ndim == 2 else values
        return self._require(codes, np.isin(codes, np.arange(self.levels))).astype("int64")

    def around(
        self, model: Model, eta: Variable, spread: float, trials: Variable
    ) -> ds.Distribution:
        """OrderedLogistic(η, cutpoints), the cutpoints ``Normal(0, 2.5)`` in order."""
        prior = ds.Sorted(ds.Normal(0.0, 2.5), self.levels - 1)
        return ds.OrderedLogistic(eta, model.sample("cutpoints", prior))
