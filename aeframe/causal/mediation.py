"""Effects through mediators and past them: direct and indirect ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aeframe.causal.effects import CONTROL, TREATED, Changes, Effect, Source, contrast, run_worlds
from aeframe.causal.statistics import Mean
from aeframe.causal.worlds import AsIn, Worlds
from aeframe.core.errors import ArgumentError
from aeframe.infer import Posterior

DIRECT, INDIRECT = "direct", "indirect"


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
    found = run_worlds(source, changes, outcome, data, query)
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
    found = run_worlds(source, changes, outcome, data, query)
    return Effect("interventional indirect effect", outcome, INDIRECT, DIRECT, Mean(), found)


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
    found = run_worlds(source, changes, outcome, data, query)
    return Effect(name, outcome, *pair, Mean(), found)
