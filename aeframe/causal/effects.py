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
from aeframe.causal.statistics import Distance, Mean, Statistic
from aeframe.causal.worlds import AsIn
from aeframe.core.arguments import count
from aeframe.core.errors import ArgumentError, nearest
from aeframe.core.summary import plain_table, render
from aeframe.distributions import Distribution
from aeframe.infer import Posterior
from aeframe.prob import Model, sites_of
from aeframe.prob.programs import arguments, lowered

if TYPE_CHECKING:
    from rich.table import Table

Source: TypeAlias = "Model | Posterior"
Changes: TypeAlias = "Mapping[str, Any]"
QUERY = "given", "inference", "n", "units", "seed"  # of `worlds`
# units of each draw of a posterior, over which an effect is an average; of an outcome with entries
# these are many
UNITS, FEWEST = 50, 2
CONTROL, TREATED = "control", "treated"


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
        """The effect for each draw of the posterior; ``None`` where there is none.

        Of means, shrunk to their average so that they vary as the posterior: what they vary by
        because the units of each are few is left out.
        """
        found = self._by_draw()
        if found is None:
            return None
        rows = self._rows()
        if type(self.by) is not Mean or min(map(len, rows)) < 2 or len(rows) < 2:
            return found
        units, centre = self._units(), found.mean()
        noise = np.mean([units[r].var(ddof=1) / len(r) for r in rows])
        share = max(0.0, 1.0 - noise / max(found.var(ddof=1), np.finfo(float).tiny))
        return centre + np.sqrt(share) * (found - centre)

    def _rows(self) -> list[NDArray[np.intp]]:
        """The draws of the worlds that belong to each draw of the posterior."""
        groups = self.outcomes.groups
        assert groups is not None
        starts = np.flatnonzero(np.diff(groups, prepend=-1))
        return np.split(np.arange(len(groups)), starts[1:])

    def _by_draw(self) -> NDArray[np.float64] | None:
        """The effect among the units of each draw of the posterior."""
        if self.outcomes.groups is None:
            return None
        return np.array([self._of(r) for r in self._rows()])

    def _units(self) -> NDArray[np.float64]:
        """The effect in each draw of the worlds."""
        wanted = [w for w in (self.treated, self.control) if w is not None]
        values = [self.outcomes[w, self.outcome] for w in wanted]
        means = [v.reshape(len(v), -1).mean(axis=1) for v in values]
        return np.asarray(means[0] - sum(means[1:]))

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

    def __post_init__(self) -> None:
        if not isinstance(self.by, Statistic):
            raise ArgumentError(
                "worlds are compared by a statistic",
                path="by",
                expected="an instance, such as ae.causal.Mean() or ae.causal.Quantile(0.9)",
                got=repr(self.by),
            )

    def error(self) -> float:
        """The Monte Carlo standard error of the estimate; 0 where it is exact.

        Also 0 where draws differ by no more than rounding. Of independent draws, by 200 bootstrap
        samples (Efron 1979) where it is not a mean's.
        """
        if self.is_exact:
            return 0.0
        n, draws = len(self.outcomes[self.treated, self.outcome]), self.draws
        if type(self.by) is Mean:
            by_draw = self._by_draw()
            draws = self._units() if by_draw is None else by_draw
        if draws is not None:
            rounding = 1e-12 * np.abs(self.outcomes[self.treated, self.outcome]).max()
            spread = float(draws.std(ddof=1)) if len(draws) > 1 else np.inf
            return spread / np.sqrt(len(draws)) if spread > rounding else 0.0
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
            # a distance is of both worlds, and none has one
            if world and self.control is not None and not isinstance(self.by, Distance):
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
        ``given``, ``inference``, ``n``, ``units`` (of a Posterior 50, or 2 if the
        outcome has several entries) and ``seed`` of
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
    found = run_worlds(source, {TREATED: treated, CONTROL: control}, outcome, data, query)
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
    given = {**query.pop("given", {}), **_value_of(treated, "att")}
    return contrast(source, outcome, treated, control, *data, name="ATT", given=given, **query)


def atu(
    source: Source, outcome: str, treated: Changes, control: Changes, *data: Any, **query: Any
) -> Effect:
    """The average effect among those who are not treated, E[Y_t − Y_c | X = c]."""
    given = {**query.pop("given", {}), **_value_of(control, "atu")}
    return contrast(source, outcome, treated, control, *data, name="ATU", given=given, **query)


def _value_of(changes: Changes, effect: str) -> Changes:
    """What those have whose effect is averaged."""
    for site, value in changes.items():
        if callable(value) or isinstance(value, Distribution | AsIn):
            raise ArgumentError(
                f"`{effect}` is the effect among those who have a value of {site!r}",
                path=site,
                expected="a value",
                got=repr(value),
                fix="ate(...) takes functions and distributions, or cate(..., given=...)",
            )
    return changes


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
    found = run_worlds(source, {"policy": policy}, outcome, data, query)
    return Effect("policy value", outcome, "policy", None, by, found)


def run_worlds(
    source: Source,
    changes: Mapping[str, Changes],
    outcome: str,
    data: Sequence[Any],
    query: Mapping[str, Any],
) -> Outcomes:
    """The worlds of an effect."""
    if not isinstance(outcome, str):
        raise ArgumentError("an effect is on one site", expected='"y"', got=repr(outcome))
    for name in query:
        if name not in QUERY:
            raise ArgumentError(
                f"an effect has no setting {name!r}", path=name, fix=nearest(name, QUERY)
            )
    count("n", query.get("n", 2), 2)
    if isinstance(source, Posterior):
        query = {"units": _units(source, outcome, data or source.data), **query}
    return worlds(source, changes, *data, only=(outcome,), **query)


def _units(posterior: Posterior, outcome: str, data: Sequence[Any]) -> int:
    model = posterior.unobserved
    nodes = sites_of(lowered(model, arguments(model, data).symbols()).outputs)
    return FEWEST if outcome in nodes and nodes[outcome].outputs[0].ndim else UNITS
