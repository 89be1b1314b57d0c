"""Structured variational inference, mean field and full rank: one method, three tables of rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logsumexp

from aeframe.backends import to_numpy
from aeframe.core.arguments import count, is_number
from aeframe.core.errors import ArgumentError, FitError
from aeframe.core.progress import progress_bar
from aeframe.core.summary import plain_table, render
from aeframe.infer.diagnosis import Check, check_pareto_k, pareto_k
from aeframe.infer.posterior import Inference, Posterior, shown
from aeframe.infer.variational.draws import Learned
from aeframe.infer.variational.elbo import Climb, Vector, climb
from aeframe.infer.variational.parts import PartsOp
from aeframe.infer.variational.rules import ASVI, FULL_RANK, MEAN_FIELD
from aeframe.prob import Model
from aeframe.prob.programs import arguments, cached
from aeframe.prob.simulate import Draws
from aeframe.prob.sites import find_site, tell
from aeframe.rewrites import Rule
from aeframe.train import Cosine, Schedule

_CHUNK = 500  # steps in one run of the program: what the progress bar moves by
_FINAL = 4000  # draws of the final estimate


class Estimate(NamedTuple):
    """A Monte Carlo estimate and its standard error."""

    value: float
    error: float

    def __str__(self) -> str:
        return f"{self.value:.4f} ± {self.error:.4f}"


def _mean(values: Vector) -> Estimate:
    n = len(values)
    return Estimate(float(values.mean()), float(values.std(ddof=1) / np.sqrt(n)))


@dataclass(frozen=True)
class VariationalPosterior(Posterior):
    """A guide that was fitted to a Model's free sites.

    Attributes
    ----------
    vector
        What the guide has learned.
    trace
        The ELBO of each step, noisy, of the best start.
    log_weights
        log p − log q of 4000 draws in the end.
    restarts
        The final ELBO of each start.
    """

    vector: Vector
    trace: Vector
    log_weights: Vector
    restarts: tuple[float, ...]
    method: StructuredVI

    @property
    def elbo(self) -> Estimate:
        """The ELBO in the end, from 4000 draws."""
        return _mean(self.log_weights)

    def draws(self, n: int, seed: int = 0) -> Draws:
        """``n`` draws of the guide, site → array (n, ...)."""
        count("n", n)
        return self._at(n, seed)[2]

    def log_ratios(self, n: int, seed: int = 0) -> Vector:
        """Log p(x, z) − log q(z) at ``n`` draws of the guide."""
        log_p, log_q, _ = self._at(n, seed)
        return log_p - log_q

    def log_prob(self, values: Mapping[str, Any]) -> float:
        """The log density of the guide, with a value for each free site.

        Raises
        ------
        UnknownNameError
            When a free site has no value.
        """
        programs = self.method.climb(self.model, self.data)
        given = [
            np.asarray(find_site(name, values, "place"), dtype=v.type.dtype)
            for name, v in zip(programs.guide.conditionals, programs.guide.given, strict=True)
        ]
        arrays = arguments(self.model, self.data).arrays
        return float(to_numpy(programs.log_prob(*given, self.vector, *arrays)[0]))

    def _at(self, n: int, seed: int) -> tuple[Vector, Vector, Draws]:
        given = arguments(self.model, self.data)
        programs = self.method.climb(self.model, self.data)
        noise = np.random.default_rng([seed, n]).standard_normal((n, len(programs.guide.center)))
        return programs.at(self.vector, noise, given.arrays)

    @property
    def gain(self) -> Estimate:
        """The mean ELBO of the last fifth of the steps over that of the fifth before."""
        n = max(len(self.trace) // 5, 2)
        late, before = _mean(self.trace[-n:]), _mean(self.trace[-2 * n : -n])
        return Estimate(late.value - before.value, float(np.hypot(late.error, before.error)))

    @property
    def converged(self) -> bool:
        """Whether :attr:`gain` is at most the method's tolerance, or two standard errors."""
        gain = self.gain
        return bool(abs(gain.value) <= max(self.method.tolerance, 2.0 * gain.error))

    def iwelbo(self, k: int = 10, n: int = 1000, seed: int = 0) -> Estimate:
        """The importance-weighted bound E log 1/k Σ p/q over ``k`` draws, from ``n`` such sums.

        It grows with ``k`` from the ELBO towards the log evidence (Burda et al. 2016, eq. 8).
        """
        ratios = self.log_ratios(count("k", k) * count("n", n, 2), seed).reshape(n, k)
        return _mean(logsumexp(ratios, axis=1) - np.log(k))

    @property
    def pareto_k(self) -> float:
        """The shape of the tail of the importance weights (Vehtari et al. 2024).

        Below 0.7 importance sampling can correct the guide.
        """
        return pareto_k(self.log_weights)

    def checks(self) -> Iterator[Check]:
        """Whether it converged, and whether the guide can be trusted."""
        words = f"the ELBO's last gain is {self.gain}"
        if not self.converged:
            words = f"The ELBO still changes: its last gain is {self.gain}"
        yield Check("gain", self.gain.value, self.converged, words, "Raise `steps`.")
        yield check_pareto_k(self.pareto_k)

    def summary(self) -> str:
        """The ELBO above the table and the verdict."""
        return f"ELBO {self.elbo}\n{super().summary()}"

    __str__ = summary

    def explain(self) -> str:
        """Per site: its distribution, the rules, the family, and the weights of the prior λ."""
        guide = self.method.climb(self.model, self.data).guide
        table = plain_table("guide", "site", "rules", "family", "λ")
        for name, c in guide.conditionals.items():
            weights = [self._weight(k) for k in c.learned if k is not None]
            family = str(c.family).removesuffix("Family")
            table.add_row(name, ", ".join(c.rules), family, "; ".join(filter(None, weights)))
        table.caption = "\n".join(tell(c.node) for c in guide.conditionals.values())
        return render(table)

    def weights(self, site: str) -> tuple[NDArray[np.float64] | None, ...]:
        """λ of each parameter of a site's family; ``None`` for one without."""
        guide = self.method.climb(self.model, self.data).guide
        learned = find_site(site, guide.conditionals, "look at").learned
        return tuple(None if k is None else self._lambda(k) for k in learned)

    def _lambda(self, learned: Learned) -> NDArray[np.float64] | None:
        if learned.weight is None:
            return None
        shapes = self.method.climb(self.model, self.data).guide.shapes
        start, stop = PartsOp(shapes).places[learned.weight]
        return np.asarray(expit(self.vector[start:stop])).reshape(learned.shape)

    def _weight(self, learned: Learned) -> str:
        found = self._lambda(learned)
        return "" if found is None else shown(np.round(found, 3))

    def plot_elbo(self, ax: Any = None) -> Any:
        """Draw the trace of the ELBO, and the final estimate; returns the axes."""
        import matplotlib.pyplot as plt

        ax = ax or plt.subplots(figsize=(6, 3.5), layout="constrained")[1]
        ax.plot(self.trace, linewidth=0.5, label="each step")
        ax.axhline(self.elbo.value, color="C1", label=f"in the end: {self.elbo}")
        low = float(np.quantile(self.trace[len(self.trace) // 5 :], 0.01))
        high = max(float(np.max(self.trace)), self.elbo.value)
        ax.set(xlabel="step", ylabel="ELBO", ylim=(low - 0.1 * (high - low) - 1e-9, None))
        ax.legend(frameon=False)
        ax.spines[["top", "right"]].set_visible(False)
        return ax


@dataclass(frozen=True)
class StructuredVI(Inference):
    """Automatic structured variational inference (Ambrogioni et al. 2021, arXiv 2002.00643).

    The guide is the model itself, with every free site's distribution in a family that can be
    learned: its natural parameters are λ·η(parents) + (1 − λ)·η(α), see
    :mod:`aeframe.infer.variational.guide`. λ = 0 is mean field. The guide and the model's trainable
    parameters climb the ELBO together, by Adam.

    Attributes
    ----------
    rules
        Tables of rules, or their names, see :mod:`aeframe.infer.variational.rules`.
    steps
        Steps of Adam.
    samples
        Draws of the guide in each step.
    learning_rate
        A schedule; a number is the peak of a :class:`~aeframe.train.Cosine` that ends with the
        steps.
    restarts
        Number of starts; the best ELBO is kept. The first has α at the prior's medians, the
        others at draws.
    seed
        Decides starts and noise.
    tolerance
        Converged is when the mean ELBO of the last fifth of the steps is over that of the fifth
        before by no more than this, or by no more than two standard errors.
    progress
        Whether a progress bar is shown.

    >>> from aeframe.distributions import Normal
    >>> class Walk(Model):
    ...     def __call__(self):
    ...         a = self.sample("a", Normal(0, 1))
    ...         b = self.sample("b", Normal(a, 1))
    ...         self.sample("y", Normal(b, 1))
    >>> posterior = Walk().observe({"y": 1.5}).fit(inference=StructuredVI(steps=2000))
    >>> round(posterior.elbo.value, 2)  # the log evidence: normal, of variance 3
    -1.84
    """

    rules: tuple[Rule | str, ...] = field(default=ASVI, repr=False)
    steps: int = 5000
    samples: int = 4
    learning_rate: float | Schedule = 0.1
    restarts: int = 1
    seed: int = 0
    tolerance: float = 0.05
    progress: bool = True

    def __post_init__(self) -> None:
        names = tuple(r if isinstance(r, str) else r.name for r in self.rules)
        object.__setattr__(self, "rules", names)  # files refer to rules by name
        for name in ("steps", "samples", "restarts"):
            count(name, getattr(self, name))
        rate = self.learning_rate
        if not isinstance(rate, Schedule) and not (is_number(rate) and rate > 0):
            raise ArgumentError(
                "a learning rate is a positive number or a schedule",
                expected=f"{type(self).__name__}(learning_rate=0.1)",
                got=repr(rate),
            )

    @property
    def schedule(self) -> Schedule:
        """The learning rate as a schedule."""
        rate = self.learning_rate
        return rate if isinstance(rate, Schedule) else Cosine(rate, self.steps)

    def climb(self, model: Model, data: Sequence[Any]) -> Climb:
        """The programs for ``model`` on ``data``, made once for each signature."""
        given = arguments(model, data)
        key = ("variational", repr(given.types), self.rules, self.samples, repr(self.schedule))
        return cached(
            model, key, lambda: climb(model, given, self.rules, self.samples, self.schedule)
        )

    def run(self, model: Model, data: Sequence[Any]) -> VariationalPosterior:
        """Climb from every start and keep the best.

        Raises
        ------
        ArgumentError
            When nothing is free, or no rule fits a site.
        FitError
            When no start reached a finite ELBO.
        """
        given = arguments(model, data)
        programs = self.climb(model, data)
        model.init(self.seed)
        first = [p.numpy() for p in programs.learned]
        ends: list[VariationalPosterior] = []
        learned: list[list[NDArray[Any]]] = []
        with progress_bar(self.restarts * self.steps, "ELBO", "step", self.progress) as bar:
            for k in range(self.restarts):
                for cell, value in zip(programs.learned, first, strict=True):
                    cell.restore(value)
                ends.append(self._climb(model, data, programs, given.arrays, k, bar))
                learned.append([p.numpy() for p in programs.learned])
        scores = [e.restarts[0] if np.isfinite(e.restarts[0]) else -np.inf for e in ends]
        best = int(np.argmax(scores))
        if scores[best] == -np.inf:
            raise FitError(
                "no start reached a finite ELBO",
                path=type(model).__name__,
                got=f"{self.restarts} starts",
                fix="lower `learning_rate`, raise `restarts`, or check that the observations are "
                "possible under the model",
            )
        for cell, value in zip(programs.learned, learned[best], strict=True):
            cell.restore(value)
        return replace(ends[best], restarts=tuple(e.restarts[0] for e in ends))

    def _climb(
        self,
        model: Model,
        data: Sequence[Any],
        programs: Climb,
        arrays: Sequence[NDArray[Any]],
        k: int,
        bar: Any,
    ) -> VariationalPosterior:
        """One start, the ``k``-th."""
        rng = np.random.default_rng([self.seed, k])
        size = len(programs.guide.center)
        programs.reset(rng.standard_normal(size) if k else programs.guide.center, arrays)
        trace: list[Vector] = []
        for done in range(0, self.steps, _CHUNK):
            n = min(_CHUNK, self.steps - done)
            trace.append(programs.steps(rng.standard_normal((n, self.samples, size))))
            bar.update(n)
            bar.set_postfix_str(f"{trace[-1].mean():.3f}")
        vector = programs.vector.numpy()
        log_p, log_q, _ = programs.at(vector, rng.standard_normal((_FINAL, size)), arrays)
        ratios = log_p - log_q
        end = (float(ratios.mean()),)
        steps = np.concatenate(trace)
        return VariationalPosterior(
            model, tuple(data), self, "as asked", vector, steps, ratios, end
        )


@dataclass(frozen=True)
class MeanField(StructuredVI):
    """Variational inference by independent normals on the unconstrained scale, of each entry."""

    rules: tuple[Rule | str, ...] = field(default=MEAN_FIELD, repr=False)


@dataclass(frozen=True)
class FullRank(StructuredVI):
    """Variational inference by one normal over the unconstrained scale of all free sites."""

    rules: tuple[Rule | str, ...] = field(default=FULL_RANK, repr=False)
