"""Effects: contrasts of an outcome between two worlds, each a few lines on ``worlds``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from aeframe.causal.outcomes import Outcomes
from aeframe.causal.plots import plot_effect
from aeframe.causal.query import worlds
from aeframe.causal.statistics import Mean, Statistic
from aeframe.causal.worlds import AsIn, Worlds
from aeframe.core.errors import ArgumentError
from aeframe.core.summary import plain_table, render
from aeframe.infer import Posterior
from aeframe.prob import Model

if TYPE_CHECKING:
    from rich.table import Table

Source: TypeAlias = "Model | Posterior"
Changes: TypeAlias = "Mapping[str, Any]"
UNITS = 50  # of each draw of a posterior: an effect is an average over units
CONTROL, TREATED, DIRECT, INDIRECT = "control", "treated", "direct", "indirect"


@dataclass(frozen=True, repr=False)
class Effect:
    """A contrast of one site between two worlds.

    Attributes
    ----------
    name
        What it is called.
    outcome
        The site; of one with several entries, these are cases like draws.
    treated, control
        The worlds; without ``control`` the value of one world.
    by
        The statistic.
    outcomes
        The draws of the worlds.
    """

    name: str
    outcome: str
    treated: str
    control: str | None
    by: Statistic
    outcomes: Outcomes

    def _of(self, rows: NDArray[np.intp] | slice, world: str | None = None) -> float:
        """The statistic over some draws: of one world, or of the contrast."""

        def flat(w: str) -> NDArray[Any]:
            values = self.outcomes[w, self.outcome][rows]
            return values.reshape(len(values), -1)

        one = flat(world or self.treated)
        weights = self.outcomes.probabilities
        each = np.ones(len(one)) if weights is None else weights[rows]
        full = np.repeat(each / each.sum(), one.shape[1]) / one.shape[1]
        if world is not None or self.control is None:
            return self.by(one.ravel(), full)
        return self.by.compare(one.ravel(), flat(self.control).ravel(), full)

    def _exact(self, world: str | None = None) -> float | None:
        """The mean of a world, or the contrast of means, where moments are known."""
        wanted = [world] if world else [w for w in (self.treated, self.control) if w is not None]
        known = all(self.outcomes.place(w, self.outcome) in self.outcomes.moments for w in wanted)
        if type(self.by) is not Mean or not known:
            return None
        means = [float(np.mean(self.outcomes.mean(w, self.outcome))) for w in wanted]
        return means[0] - sum(means[1:])

    @property
    def is_exact(self) -> bool:
        """Whether the estimate has no Monte Carlo error."""
        return self.outcomes.probabilities is not None or self._exact() is not None

    @property
    def draws(self) -> NDArray[np.float64] | None:
        """The effect for each draw of the posterior; ``None`` where there is none."""
        groups = self.outcomes.groups
        if groups is None:
            return None
        starts = np.flatnonzero(np.diff(groups, prepend=-1))
        rows = np.split(np.arange(len(groups)), starts[1:])
        return np.array([self._of(r) for r in rows])

    @property
    def estimate(self) -> float:
        """The effect; with a posterior its expectation."""
        draws, exact = self.draws, self._exact()
        if draws is not None:
            return float(draws.mean())
        return self._of(slice(None)) if exact is None else exact

    def value(self, world: str) -> float:
        """The statistic in one world."""
        exact = self._exact(world)
        return self._of(slice(None), world) if exact is None else exact

    def error(self) -> float:
        """The Monte Carlo standard error of the estimate; 0 where it is exact.

        Of independent draws, by 200 bootstrap samples (Efron 1979) where it is not a mean's.
        """
        if self.is_exact:
            return 0.0
        draws, n = self.draws, len(self.outcomes[self.treated, self.outcome])
        if draws is None and type(self.by) is Mean:
            means = [
                self.outcomes[w, self.outcome].reshape(n, -1).mean(axis=1)
                for w in (self.treated, self.control)
                if w is not None
            ]
            draws = means[0] - sum(means[1:])
        if draws is not None:
            return float(draws.std(ddof=1) / np.sqrt(len(draws))) if len(draws) > 1 else np.inf
        rng = np.random.default_rng(0)
        return float(np.std([self._of(rng.integers(n, size=n)) for _ in range(200)], ddof=1))

    def interval(self, level: float = 0.9) -> tuple[float, float]:
        """The credible interval of the effect; without a posterior, that of Monte Carlo error."""
        draws = self.draws
        if draws is not None:
            low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
            return float(low), float(high)
        from scipy.stats import norm

        away = float(norm.ppf((1 + level) / 2)) * self.error()
        return self.estimate - away, self.estimate + away

    def table(self) -> Table:
        """Both worlds and the effect, with what is uncertain of it."""
        draws = self.draws
        known = "posterior" if draws is not None else "exact" if self.is_exact else "draws"
        table = plain_table("", "", str(self.by), "mcse", "5%", "95%", known)
        for world in (self.treated, self.control):
            if world is not None and self.control is not None:
                table.add_row(world, f"{self.value(world):.4g}")
        low, high = self.interval()
        row = [
            self.name,
            f"{self.estimate:.4g}",
            f"{self.error():.2g}",
            f"{low:.4g}",
            f"{high:.4g}",
        ]
        table.add_row(*row)
        return table

    def __repr__(self) -> str:
        return f"{self.name} on {self.outcome}\n{render(self.table())}"

    def plot(self) -> Any:
        """The outcome in both worlds, and the effect; an array of axes."""
        return plot_effect(self)


def contrast(
    source: Source,
    outcome: str,
    treated: Changes,
    control: Changes,
    *data: Any,
    by: Statistic = Mean(),  # noqa: B008 (frozen)
    name: str = "effect",
    **query: Any,
) -> Effect:
    """How a statistic of the outcome differs between the worlds ``treated`` and ``control``.

    Parameters
    ----------
    source
        A Model; or a Posterior, for units to come.
    outcome
        A site.
    treated, control
        Site → what it becomes: values, shifts, distributions, policies; ``{}`` is no change.
    data
        The arguments of the Model.
    by
        A :class:`~aeframe.causal.Statistic`: :class:`Mean`, :class:`Quantile`,
        :class:`Probability`, :class:`Wasserstein`, :class:`KolmogorovSmirnov`.
    query
        ``given``, ``inference``, ``n``, ``units`` (50 of a Posterior) and ``seed`` of
        :func:`aeframe.causal.worlds`.

    >>> import numpy as np
    >>> from aeframe.causal import Quantile
    >>> from aeframe.distributions import Normal
    >>> class Chain(Model):
    ...     def __call__(self):
    ...         x = self.sample("x", Normal(0, 1))
    ...         self.sample("y", Normal(2 * x, 1))
    >>> round(contrast(Chain(), "y", {"x": 1}, {"x": 0}, by=Quantile(0.9)).estimate, 12)
    2.0
    """
    if not isinstance(outcome, str):
        raise ArgumentError("an effect is on one site", expected='"y"', got=repr(outcome))
    found = worlds(source, {TREATED: treated, CONTROL: control}, *data, only=(outcome,), **query)
    return Effect(name, outcome, TREATED, CONTROL, by, found)


def ate(
    source: Source, outcome: str, treated: Changes, control: Changes, *data: Any, **query: Any
) -> Effect:
    """The average treatment effect, E[Y_treated − Y_control]; see :func:`contrast`."""
    return contrast(source, outcome, treated, control, *data, name="ATE", **query)


def cate(
    source: Source,
    outcome: str,
    treated: Changes,
    control: Changes,
    *data: Any,
    given: Changes,
    **query: Any,
) -> Effect:
    """The average effect among units of which ``given`` is known, E[Y_t − Y_c | Z = z].

    Z is not a descendant of the treatment.
    """
    return contrast(source, outcome, treated, control, *data, name="CATE", given=given, **query)


def att(
    source: Source, outcome: str, treated: Changes, control: Changes, *data: Any, **query: Any
) -> Effect:
    """The average effect among those who are treated without intervention, E[Y_t − Y_c | X = t]."""
    given = {**query.pop("given", {}), **treated}
    return contrast(source, outcome, treated, control, *data, name="ATT", given=given, **query)


def atu(
    source: Source, outcome: str, treated: Changes, control: Changes, *data: Any, **query: Any
) -> Effect:
    """The average effect among those who are not treated, E[Y_t − Y_c | X = c]."""
    given = {**query.pop("given", {}), **control}
    return contrast(source, outcome, treated, control, *data, name="ATU", given=given, **query)


def policy_value(
    source: Source,
    outcome: str,
    policy: Changes,
    *data: Any,
    by: Statistic = Mean(),  # noqa: B008 (frozen)
    **query: Any,
) -> Effect:
    """The outcome where the policy decides, E[Y_π].

    The policy is a function of the natural value and the other sites, such as
    ``{"dose": lambda natural, sites: at.gt(sites["risk"], 0.5)}``.
    """
    found = _worlds(source, {"policy": policy}, outcome, data, query)
    return Effect("policy value", outcome, "policy", None, by, found)


def controlled_direct_effect(
    source: Source,
    outcome: str,
    treated: Changes,
    control: Changes,
    mediators: Changes,
    *data: Any,
    **query: Any,
) -> Effect:
    """The effect with mediators held at values, E[Y_{t,m} − Y_{c,m}]."""
    held = {**treated, **mediators}, {**control, **mediators}
    return contrast(source, outcome, *held, *data, name="CDE", **query)


def natural_direct_effect(
    source: Source,
    outcome: str,
    treated: Changes,
    control: Changes,
    mediators: Sequence[str],
    *data: Any,
    **query: Any,
) -> Effect:
    """The effect that does not go through mediators, E[Y_{t, M_c} − Y_c] (Pearl 2001).

    Raises
    ------
    ArgumentError
        When the treatment changes a common cause of a mediator and the outcome: the model does
        not say what the effect is then (Avin, Shpitser and Pearl 2005).
    """
    as_control = {m: AsIn(CONTROL) for m in mediators}
    changes = {CONTROL: control, DIRECT: {**treated, **as_control}}
    return _mediated("NDE", source, outcome, changes, (DIRECT, CONTROL), mediators, data, query)


def natural_indirect_effect(
    source: Source,
    outcome: str,
    treated: Changes,
    control: Changes,
    mediators: Sequence[str],
    *data: Any,
    **query: Any,
) -> Effect:
    """The effect through mediators alone, E[Y_{c, M_t} − Y_c]; refused where the direct one is."""
    as_treated = {m: AsIn(TREATED) for m in mediators}
    changes = {TREATED: treated, CONTROL: control, INDIRECT: {**control, **as_treated}}
    return _mediated("NIE", source, outcome, changes, (INDIRECT, CONTROL), mediators, data, query)


def interventional_direct_effect(
    source: Source,
    outcome: str,
    treated: Changes,
    control: Changes,
    mediators: Sequence[str],
    *data: Any,
    **query: Any,
) -> Effect:
    """The effect with mediators drawn as under control, E[Y_{t, G_c} − Y_{c, G_c}].

    G_c is drawn from the distribution that the mediators have under control, given what the
    treatment does not reach, whatever the unit's own would be (VanderWeele, Vansteelandt and
    Robins 2014); all mediators are of one such draw.
    """
    drawn = {m: AsIn(CONTROL, redrawn=True) for m in mediators}
    changes = {CONTROL: control, DIRECT: {**treated, **drawn}, INDIRECT: {**control, **drawn}}
    found = _worlds(source, changes, outcome, data, query)
    return Effect("interventional direct effect", outcome, DIRECT, INDIRECT, Mean(), found)


def interventional_indirect_effect(
    source: Source,
    outcome: str,
    treated: Changes,
    control: Changes,
    mediators: Sequence[str],
    *data: Any,
    **query: Any,
) -> Effect:
    """The effect of mediators drawn as under treatment, E[Y_{t, G_t} − Y_{t, G_c}]."""
    changes: dict[str, Changes] = {CONTROL: control, TREATED: treated}
    for world, like in ((INDIRECT, TREATED), (DIRECT, CONTROL)):
        changes[world] = {**treated, **{m: AsIn(like, redrawn=True) for m in mediators}}
    found = _worlds(source, changes, outcome, data, query)
    return Effect("interventional indirect effect", outcome, INDIRECT, DIRECT, Mean(), found)


def _worlds(
    source: Source,
    changes: Mapping[str, Changes],
    outcome: str,
    data: Sequence[Any],
    query: Mapping[str, Any],
) -> Outcomes:
    if isinstance(source, Posterior):
        query = {"units": UNITS, **query}
    return worlds(source, changes, *data, only=(outcome,), **query)


def _mediated(
    name: str,
    source: Source,
    outcome: str,
    changes: Mapping[str, Changes],
    pair: tuple[str, str],
    mediators: Sequence[str],
    data: Sequence[Any],
    query: Mapping[str, Any],
) -> Effect:
    model = source.unobserved if isinstance(source, Posterior) else source
    used = data or (source.data if isinstance(source, Posterior) else ())
    for site, other in Worlds(model, changes, (outcome,)).split(pair[0], outcome, *used):
        if site not in mediators:
            raise ArgumentError(
                f"{site!r} is changed by the treatment, and a cause of both a mediator and "
                f"{outcome!r}",
                path=site,
                got=f"its values in the worlds {pair[0]!r} and {other!r} decide one outcome",
                fix="make it a mediator too, or use the interventional effects",
            )
    found = _worlds(source, changes, outcome, data, query)
    return Effect(name, outcome, *pair, Mean(), found)
