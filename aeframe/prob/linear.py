"""LinearModel: a formula and a frame as a Model."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Variable
from numpy.typing import NDArray

from aeframe.core.errors import ArgumentError, UnknownNameError, nearest
from aeframe.core.structure import Structure
from aeframe.distributions import HalfCauchy, HalfNormal, Normal
from aeframe.prob.design import Design, columns_of
from aeframe.prob.effects import expected, plot_effects
from aeframe.prob.families import Family, Gaussian
from aeframe.prob.model import Model
from aeframe.prob.observe import Observe


@dataclass(frozen=True)
class WeaklyInformative(Structure):
    """Independent normal priors, wide on the scale of the data.

    Of a coefficient: ``Normal(0, width · spread / sd(x))``, with the spread of the linear
    predictor: sd(y) for normal responses, else 1. (Westfall 2017, "Statistical details of the
    default priors in the Bambi library", arXiv 1702.01201; rstanarm's default priors.)
    """

    width: float = 2.5

    def draw(
        self, model: LinearModel, spread: float, sd: NDArray[Any], shape: tuple[int, ...]
    ) -> Variable:
        """The site ``coefficients``."""
        means, sds = np.zeros(len(sd)), self.width * spread / sd
        for name, prior in model.priors.items():
            place = model.design.terms.get(name)
            if place is not None:
                means[place], sds[place] = prior.mean, prior.sd
        rows = [v.reshape(-1, *[1] * (len(shape) - 1)) for v in (means, sds)]
        dims = ("term", "class")[: len(shape)]
        return model.sample("coefficients", Normal(*rows), shape=shape, dims=dims)


@dataclass(frozen=True)
class Horseshoe(Structure):
    """Most coefficients near 0, some far from it: ``Normal(0, global · local)``.

    ``global ~ HalfCauchy(scale)`` and ``local ~ HalfCauchy(1)`` for each coefficient, in units of
    the spread of the linear predictor and of the predictors' standard deviations. (Carvalho,
    Polson and Scott 2010, "The horseshoe estimator for sparse signals".)
    """

    scale: float = 1.0

    def draw(
        self, model: LinearModel, spread: float, sd: NDArray[Any], shape: tuple[int, ...]
    ) -> Variable:
        """The sites ``global``, ``local`` and ``coefficients``."""
        dims = ("term", "class")[: len(shape)]
        together = model.sample("global", HalfCauchy(self.scale))
        local = model.sample("local", HalfCauchy(1.0), shape=shape, dims=dims)
        unit = (spread / sd).reshape(-1, *[1] * (len(shape) - 1))
        return model.sample("coefficients", Normal(0.0, together * local * unit), dims=dims)


class LinearModel(Model):
    """A generalized linear model with group-level effects, from a formula.

    Sites: ``Intercept``, ``coefficients`` (dim ``term``: one for each column of the design),
    for each group-level term such as ``1|county`` its effects and ``1|county sd``, what the
    family adds (``sd``, ``dispersion``, ...), and the response under its own name. Predictors are
    centred while sampling; ``Intercept`` is that of the columns as they are. Once made it is a
    Model like any other; :meth:`fit` observes the response.

    Parameters
    ----------
    formula
        In Wilkinson's notation with group-level effects, such as
        ``"y ~ x1 + bs(x2, df=5) + (1 + x1 | group)"``; see the library formulae.
    data
        A frame (pandas, or a dict of columns). Labels are sorted, but a pandas Categorical keeps
        the order of its categories; the first one is the baseline.
    family
        Of the response: see :mod:`aeframe.prob.families`.
    coefficients
        The prior of the coefficients: :class:`WeaklyInformative` or :class:`Horseshoe`.
    priors
        Term → :class:`~aeframe.distributions.Normal`: another prior for the coefficients of a
        term, or for ``"Intercept"`` (of centred predictors).

    Warns when a predictor does not vary, beside an intercept.

    Raises
    ------
    ArgumentError
        When the formula cannot be read.
    UnknownNameError
        When it names a column that the frame does not have, or ``priors`` an unknown term.
    DataError
        When the response does not fit the family, a column has missing values, or there are no
        rows.

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0], "y": [1.1, 2.9, 5.2, 6.8]})
    >>> model = LinearModel("y ~ x", frame, priors={"x": Normal(0, 10)})
    >>> list(model.expression())
    ['centred intercept', 'coefficients', 'Intercept', 'sd', 'y']
    """

    def __init__(
        self,
        formula: str,
        data: Any,
        family: Family = Gaussian(),  # noqa: B008 (immutable)
        coefficients: WeaklyInformative | Horseshoe = WeaklyInformative(),
        priors: Mapping[str, Normal] | None = None,
    ) -> None:
        if not isinstance(family, Family):
            raise ArgumentError(
                "a family is an object",
                expected="family=ae.prob.families.Poisson()",
                got=repr(family),
            )
        self.formula, self.family, self.coefficients = formula, family, coefficients
        self.columns = columns_of(formula, data)
        self.priors = dict(priors or {})
        self.shows_mean = False
        if family.has_order:
            self.design.require_order(type(family).__name__)
        self.response = family.response(self.design.response)
        if self.design.constant and (self.design.intercept or not family.has_intercept):
            warnings.warn(
                f"{', '.join(self.design.constant)} of {formula!r} does not vary in these data: "
                "beside the intercept they tell nothing of its coefficient, whose posterior is "
                "its prior; leave it out",
                stacklevel=2,
            )
        for name, prior in self.priors.items():
            if name not in self.design.terms and name != "Intercept":
                known = [*self.design.terms, "Intercept"]
                raise UnknownNameError(
                    f"the formula has no term {name!r}", path=name, fix=nearest(name, known)
                )
            if not isinstance(prior, Normal):
                raise ArgumentError(
                    f"the prior of {name!r} is not normal",
                    path=name,
                    expected="ae.Normal(mean, sd)",
                    got=repr(prior),
                    fix="write the model as a class, with `self.sample`",
                )

    @cached_property
    def _design(self) -> Design:
        return Design(self.formula, self.columns)

    @property
    def design(self) -> Design:
        """The design matrices of the data."""
        return self._design

    def read(self, *data: Any) -> tuple[Any, ...]:
        """A frame (by default that of the model) as the arguments of a call."""
        if data and not (hasattr(data[0], "columns") or isinstance(data[0], Mapping)):
            return data
        return self.design.arrays(data[0] if data else None)

    def __call__(self, x: Variable, offset: Variable, trials: Variable, *groups: Variable) -> None:
        """Sample coefficients, group-level effects and the response."""
        design, values = self.design, self.design.response
        columns = self.family.columns(values)
        centre, spread = self.family.scale(values)
        for dim, size in zip(("row", "class"), (x.type.shape[0], *columns), strict=False):
            if size is not None:
                self.plate(dim, size)
        eta: Any = at.shape_padright(offset, len(columns))
        has_intercept = design.intercept and self.family.has_intercept
        if has_intercept:
            prior = self.priors.get("Intercept", Normal(centre, 2.5 * spread))
            middle = self.sample("centred intercept", prior, shape=columns)
            eta = eta + middle
        if design.names:
            self.plate("term", design.names)
            shape = (len(design.names), *columns)
            slopes = self.coefficients.draw(self, spread, design.sd, shape)
            eta = eta + (x - design.mean if has_intercept else x) @ slopes
            shift = at.constant(design.mean) @ slopes
        if has_intercept:
            self.deterministic("Intercept", middle - shift if design.names else middle)
        for k, (name, levels) in enumerate(design.groups.items()):
            effects = self._effects(name, levels, spread * design.group_scale[name], columns)
            index, weight = groups[2 * k : 2 * k + 2]
            eta = eta + (at.shape_padright(weight, len(columns)) * effects[index]).sum(axis=1)
        if self.shows_mean:
            self.deterministic("mean", self.family.mean(eta))
        around = self.family.around(self, eta, spread, trials)
        self.sample(design.name, around, dims="row")

    def _effects(
        self, name: str, levels: Sequence[str], scale: float, columns: tuple[int, ...]
    ) -> Variable:
        """Group-level effects, not centred: ``sd · offset``; ``sd ~ HalfNormal(2.5 scale)``."""
        dim = self.plate(self.design.plates[name], levels)
        sd = self.sample(f"{name} sd", HalfNormal(2.5 * scale))
        dims = (dim, *["class"] * len(columns))
        shape = (len(levels), *columns)
        offset = self.sample(f"{name} offset", Normal(0.0, 1.0), shape=shape, dims=dims)
        return self.deterministic(name, sd * offset, dims=dims)

    def fit(self, *data: Any, inference: Any = None) -> Any:
        """Infer all sites from the response; see :meth:`Model.fit`.

        Parameters
        ----------
        data
            Another frame with a response; by default that of the model.
        """
        seen = [p for p in self.passes if isinstance(p, Observe)]
        if any(self.design.name in p.values for p in seen):
            return super().fit(*data, inference=inference)
        values = self.response
        if data:
            values = self.family.response(self.design.response_of(data[0]))
        return Model.fit(self.observe({self.design.name: values}), *data, inference=inference)

    def expected(
        self, posterior: Any, data: Any = None, n: int = 1000, seed: int = 0
    ) -> NDArray[np.float64]:
        """``n`` posterior draws of the mean of the response in each row of a frame, (n, rows).

        Of a categorical response: the probability of each label, (n, rows, labels).
        """
        return expected(self, posterior, data, n, seed)

    def plot_effects(self, posterior: Any, name: str, by: str | None = None) -> Any:
        """The mean of the response as the column ``name`` varies, for some values of ``by``.

        The other columns have their mean, or their most frequent label. The line is the posterior
        median, the band the 90% interval. Returns the axes.
        """
        return plot_effects(self, posterior, name, by)
