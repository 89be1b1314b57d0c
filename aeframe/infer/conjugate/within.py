"""NUTS within Gibbs: one step of NUTS for the sites that no rule has a full conditional for.

A step leaves their distribution given the other sites as it is, so it composes with exact draws.
Step size and mass matrix adapt during the warmup of the sweeps, as for NUTS alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Apply, Variable
from numpy.typing import NDArray

from aeframe.backends import implement
from aeframe.core.cells import State
from aeframe.core.expand import expand, trim
from aeframe.core.grad import grad
from aeframe.core.graph import Graph, leaves, replay
from aeframe.core.ops import TypedOp
from aeframe.core.shapes import specialize
from aeframe.infer.conjugate.joint import Joint, Stream
from aeframe.infer.conjugate.steps import Step
from aeframe.prob import Model
from aeframe.prob.programs import Arguments
from aeframe.prob.sites import tell
from aeframe.prob.unconstrain import unconstrain
from aeframe.rewrites import Step as Rewrite


@dataclass(frozen=True)
class Adaptation:
    """Acceptance rate, largest depth of trees and sweeps of warmup, as in NUTS alone."""

    target: float
    depth: int
    warmup: int


@dataclass(frozen=True, eq=False)
class Density:
    """The log density of some sites given the others, on the unconstrained scale.

    Attributes
    ----------
    graph
        (u, values of the other sites and cells) → log density, its gradient.
    options
        Of the steps on it.
    """

    graph: Graph
    options: Adaptation

    @property
    def size(self) -> int:
        """The length of u."""
        return self.graph.inputs[0].type.shape[0]

    @cached_property
    def adaptation(self) -> Any:
        """Blackjax's: begin, adapt, finish."""
        from blackjax.adaptation import window_adaptation

        return window_adaptation.base(True, self.options.target)

    def packed(self) -> NDArray[np.float64]:
        """The state of the adaptation before it begins, as a vector."""
        from jax.flatten_util import ravel_pytree

        first = self.adaptation[0](np.zeros(self.size), 1.0)
        return np.asarray(ravel_pytree(first)[0], dtype="float64")


class NutsOp(TypedOp):
    """A step of NUTS: ``(rng, sweep, adaptation, u, ...) → (rng', adaptation', u', diverged)``."""

    __props__ = ("density",)

    def __init__(self, density: Density) -> None:
        self.density = density

    def make_node(self, *inputs: Variable) -> Apply:
        """State, adaptation and position as they came; a flag. All known without a body."""
        rng, _, packed, *_ = inputs
        position = self.density.graph.inputs[0].type
        types = rng.type, packed.type, position, at.TensorType("bool", ())
        return Apply(self, list(inputs), [t() for t in types])

    def __str__(self) -> str:
        return "NUTS"


@implement("jax", NutsOp)
def _on_jax(node: Apply) -> Callable[..., Any]:
    """Blackjax's kernel on the density, in the compiled sweep."""
    import jax
    from blackjax.adaptation.window_adaptation import build_schedule
    from blackjax.mcmc import nuts
    from jax.flatten_util import ravel_pytree

    from aeframe.backends.jax.backend import evaluator

    density: Density = node.op.density
    depth, warmup = density.options.depth, density.options.warmup
    begin, adapt, finish = density.adaptation
    kernel, cond = nuts.build_kernel(), jax.lax.cond
    graph = expand(trim(specialize(density.graph, [v.type for v in node.inputs[3:]])))
    evaluate = evaluator(graph.inputs, graph.outputs)
    plan = np.asarray(build_schedule(warmup)) if warmup else np.zeros((1, 2))
    phases, closes = jax.numpy.asarray(plan[:, 0]), jax.numpy.asarray(plan[:, 1] == 1)
    unpack = ravel_pytree(begin(np.zeros(density.size), 1.0))[1]

    @jax.custom_vjp
    def log_density(u: Any, given: Any) -> Any:
        return evaluate([u, *given])[0]

    def with_gradient(u: Any, given: Any) -> Any:
        return tuple(evaluate([u, *given]))

    log_density.defvjp(with_gradient, lambda slope, seed: (seed * slope, None))

    def call(rng: Any, sweep: Any, packed: Any, u: Any, *given: Any) -> Any:
        key, subkey = jax.random.split(rng["jax_state"], 2)
        scale = unpack(packed)
        at_given = partial(log_density, given=given)
        state, info = kernel(
            subkey,
            nuts.init(u, at_given),
            at_given,
            scale.step_size,
            scale.inverse_mass_matrix,
            depth,
        )
        stage = phases[sweep % len(phases)], closes[sweep % len(phases)]
        moved = state.position, info.acceptance_rate
        adapting = sweep < warmup
        scale = cond(adapting, lambda: adapt(scale, stage, *moved), lambda: scale)
        ended = sweep == warmup - 1
        scale = cond(ended, lambda: scale._replace(step_size=finish(scale)[0]), lambda: scale)
        packed = ravel_pytree(scale)[0].astype(packed.dtype)
        return {**rng, "jax_state": key}, packed, state.position, info.is_divergent

    return call


@dataclass(frozen=True)
class NutsStep(Step):
    """Sites by one step of NUTS given the others.

    Attributes
    ----------
    density
        Their density.
    given
        What it depends on besides u.
    position
        The vector u at the sites' values.
    u, values
        The symbol of the vector, and the sites' values there.
    adaptation
        The cell that holds step size and mass matrix.
    reasons
        Why each site has no other step.
    """

    density: Density
    given: tuple[Variable, ...]
    position: Variable
    u: Variable
    values: tuple[Variable, ...]
    adaptation: State
    reasons: tuple[str, ...]

    def update(self, joint: Joint, stream: Stream) -> dict[str, Variable]:
        """The values after a step."""
        inputs = stream.state, stream.sweep, self.adaptation, self.position, *self.given
        stream.state, packed, moved, diverged = NutsOp(self.density).make_node(*inputs).outputs
        stream.updates[self.adaptation] = packed
        stream.stats["diverging"] = diverged
        return dict(zip(self.sites, replay(self.values, {self.u: moved}), strict=True))

    def rewrites(self, joint: Joint) -> list[Rewrite]:
        """Why no rule fits, and NUTS."""
        after = f"{', '.join(self.sites)} | rest by a step of NUTS"
        return [
            Rewrite(f"NUTS, because {reason}", name, tell(joint.nodes[name]), after)
            for name, reason in zip(self.sites, self.reasons, strict=True)
        ]


def nuts_step(
    model: Model,
    joint: Joint,
    reasons: dict[str, str],
    given: Arguments,
    cells: Sequence[Any],
    options: Adaptation,
) -> NutsStep:
    """A step for the sites named by ``reasons``; ``cells`` hold the data ``given``."""
    others = {k: v for k, v in joint.held.items() if k not in reasons}
    arrays = iter(given.arrays)
    data = [next(arrays) if isinstance(c, State) else c for c in cells]
    space = unconstrain(model.observe(others) if others else model, data).space
    sites = tuple(block.name for block in space.blocks)
    # the symbols of the Space are its own: put the joint's there
    known = dict(zip(space.inputs, (c for c in cells if isinstance(c, State)), strict=True))
    known |= {v: joint.held[name] for v, name in zip(space.position[0], sites, strict=True)}
    log_prob, position, *values = replay(
        [
            space.log_joint + space.log_jacobian,
            space.position[1],
            *(space.values[name] for name in sites),
        ],
        known,
    )
    density, inputs = _density(log_prob, space.u, options)
    told = tuple(reasons[name] for name in sites)
    cell = State(density.packed())
    return NutsStep(sites, density, inputs, position, space.u, tuple(values), cell, told)


def _density(
    log_prob: Variable, u: Variable, options: Adaptation
) -> tuple[Density, tuple[Variable, ...]]:
    """The density with symbols of its own, and what these stand for, but for ``u``."""
    outputs = [log_prob, *grad(log_prob, [u])]
    given = tuple(v for v in leaves(outputs) if v is not u)
    symbols = {v: v.type(name=v.name) for v in given}
    graph = Graph((u, *symbols.values()), tuple(replay(outputs, symbols)))
    return Density(graph, options), given
