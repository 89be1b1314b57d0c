"""Counterfactuals: what would have been, for the very unit that was seen (Pearl 2009, ch. 7).

The factual and the counterfactual world are one graph (:mod:`aeframe.causal.worlds`), in which a
copied site has the noise of the site it is a copy of (:mod:`aeframe.causal.noise`). Abduction is
the posterior of all sites given the evidence, by any Inference. Given all sites the noise is known,
or has a distribution in closed form: so this is the joint posterior of noise and parameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from aesara.graph.basic import Apply, Variable

from aeframe.causal.noise import Noise, coupled, noise_of, reproduced
from aeframe.causal.outcomes import Outcomes
from aeframe.causal.query import cases, drawn, few_cases, solve
from aeframe.causal.worlds import Worlds
from aeframe.core.cells import RandomState
from aeframe.core.errors import ArgumentError, DataError
from aeframe.core.supports import Real
from aeframe.distributions import Distribution
from aeframe.infer import Enumeration, ExactPosterior, Inference, Posterior
from aeframe.prob import Model, SiteOp, sites_of
from aeframe.prob.programs import arguments, lowered
from aeframe.prob.sites import find_site

FACTUAL, COUNTERFACTUAL = "factual", "counterfactual"
_DRAWN = "random", "observed"
NOISE, CHECKED = ".noise", (".given back", ".expected back")


class Twin(Worlds):
    """The factual world of a Model and counterfactual ones, which share all noise.

    Parameters
    ----------
    model
        With what is known of the factual world observed.
    worlds
        World → site → what it becomes.
    noise
        Site → how it is made of noise, where that cannot be derived.
    """

    def __init__(
        self,
        model: Model,
        worlds: Mapping[str, Mapping[str, Any]],
        noise: Mapping[str, Noise] | None = None,
    ) -> None:
        for changes in worlds.values():
            model.require_names(changes, "intervene on")
        super().__init__(model, {FACTUAL: {}, **worlds})
        self.noise = dict(noise or {})

    def derived(self, base: Sequence[Apply]) -> Sequence[Variable]:
        """The noise of factual sites, of those that have some: ``site.noise``.

        Where formulas for it are declared, what these give back too, and what they should.
        """
        made = []
        for node in base:
            if node.op.kind not in _DRAWN:
                continue
            for end, value in zip(
                (NOISE, *CHECKED),
                (noise_of(node, self.noise), *(reproduced(node, self.noise) or ())),
                strict=False,
            ):
                if value is not None:
                    op = SiteOp(node.op.name + end, "deterministic", Real(), node.op.dims)
                    made.append(op(value))
        return made

    def couple(self, natural: Apply, copied: Apply) -> tuple[Variable, str, Sequence[Variable]]:
        """The value of the same noise, or a draw of what it may be."""
        made = coupled(natural, copied, self.noise)
        if not isinstance(made, Distribution):
            return made, "deterministic", ()
        name = natural.op.name
        state = self.streams.setdefault(f"couple {name}", RandomState())
        shape = natural.outputs[0].type.shape
        _, draw = made.draw(state, None if None in shape else shape)
        return draw, "random", ()


def counterfactual(
    source: Model | Posterior,
    *data: Any,
    do: Mapping[str, Any],
    evidence: Mapping[str, Any] | None = None,
    noise: Mapping[str, Noise] | None = None,
    inference: Inference | None = None,
    n: int = 1000,
    seed: int = 0,
) -> Outcomes:
    """What the unit that was seen would have been: worlds ``factual`` and ``counterfactual``.

    Parameters
    ----------
    source
        A Model; or a Posterior, for the units that it was fitted on.
    data
        The arguments of the Model; by default those of the fit.
    do
        Site → what it becomes, as for :meth:`aeframe.Model.intervene`.
    evidence
        Site → what was seen, in the factual world; beside what the Model observes. A computed
        site can be seen in a Model whose free sites have few values.
    noise
        Site → how it is made of noise, where that cannot be derived; see
        :data:`~aeframe.causal.noise.NOISES`.
    inference
        For the abduction; by default exactly where the Model is discrete or conjugate, else by
        Gibbs or NUTS. Parameters keep their values.
    n, seed
        Number of draws, where the answer is not exact, and what decides them.

    Raises
    ------
    ArgumentError
        When the noise of a descendant of what is changed is neither declared nor derivable.
    DataError
        When the evidence is impossible, or formulas for noise are not inverse.

    >>> from aeframe.distributions import Normal
    >>> class Unit(Model):
    ...     def __call__(self):
    ...         x = self.sample("x", Normal(0, 1))
    ...         self.sample("y", Normal(2 * x, 1))
    >>> found = counterfactual(Unit(), evidence={"x": 1.0, "y": 2.5}, do={"x": 3.0})
    >>> float(found.mean("counterfactual", "y")), float(found.noise("y").mean())
    (6.5, 0.5)
    """
    if isinstance(source, Posterior):
        if evidence or inference:
            raise ArgumentError(
                "a posterior has its evidence",
                fix="pass the Model: model.counterfactual(evidence=..., do=...)",
            )
        data = data or source.data
        _require_sites(noise, source.model, data)
        twin = Twin(source.model, {COUNTERFACTUAL: do}, noise)
        return _checked(drawn(twin, data, n, seed, source.draws(n, seed), source))
    nodes = _require_sites(noise, source, data)
    seen: dict[str, Any] = {}
    computed: dict[str, Any] = {}
    for name, value in (evidence or {}).items():
        node = find_site(name, nodes, "take as evidence")
        (computed if node.op.kind == "deterministic" else seen)[name] = value
    twin = Twin(source.observe(seen) if seen else source, {COUNTERFACTUAL: do}, noise)
    if not computed:
        if inference is None and few_cases(twin, data):
            inference = Enumeration()
        return _checked(solve(twin, data, inference, n, seed))
    return _checked(cases(twin, data, _where(twin, data, inference or Enumeration(), computed)))


def _checked(found: Outcomes) -> Outcomes:
    """The outcomes, where each pair of formulas that was declared is inverse."""
    made = CHECKED[0]
    possible = slice(None) if found.probabilities is None else found.probabilities > 0
    for name in [k.removesuffix(made) for k in found.draws if k.endswith(made)]:
        back, value = (found.draws[name + end][possible] for end in CHECKED)
        wrong = ~np.isclose(back, value, rtol=1e-5, atol=1e-6 * np.abs(value).max(initial=0.0))
        if wrong.any():
            raise DataError(
                f"the formulas for the noise of {name!r} are not inverse",
                path=name,
                expected="back(noise(value, *parameters), *parameters) == value",
                got=f"{back[wrong][0]:.6g} for {value[wrong][0]:.6g}",
            )
    kept = {k: v for k, v in found.draws.items() if not k.endswith(CHECKED)}
    return replace(found, draws=kept)


def _require_sites(
    noise: Mapping[str, Noise] | None, model: Model, data: Sequence[Any]
) -> dict[str, Apply]:
    """The sites of a Model, in which those with declared noise are."""
    nodes = sites_of(lowered(model, arguments(model, data).symbols()).outputs)
    for name, rule in (noise or {}).items():
        find_site(name, nodes, "declare the noise of")
        if not isinstance(rule, Noise):
            raise ArgumentError(
                f"the noise of {name!r} is no rule",
                path=name,
                expected="an instance, such as ae.causal.GumbelMax()",
                got=repr(rule),
            )
    return nodes


def _where(
    twin: Twin, data: Sequence[Any], inference: Inference, computed: Mapping[str, Any]
) -> ExactPosterior:
    """The cases in which computed sites have the values that were seen."""
    if not isinstance(inference, Enumeration):
        raise ArgumentError(
            "computed sites can be seen only where all cases are summed over",
            path=", ".join(computed),
            expected="ae.Enumeration()",
            got=repr(inference),
            fix="make what was seen a drawn site: self.sample(name, ae.Normal(value, sd))",
        )
    posterior = inference.run(twin, data)
    probability = posterior.probability(computed)
    if probability == 0:
        raise DataError("the evidence is impossible", got=dict(computed))
    holds = np.ones(len(posterior.probabilities), dtype=bool)
    for name, value in computed.items():
        same = posterior.assignments[name] == np.asarray(value)
        holds &= same.reshape(len(same), -1).all(axis=1)
    return replace(
        posterior,
        probabilities=posterior.probabilities * holds / probability,
        log_evidence=posterior.log_evidence + float(np.log(probability)),
    )
