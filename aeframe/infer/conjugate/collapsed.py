"""Scales of normal sites, drawn with these integrated out.

Given the sites that it scales, a scale hardly moves: they agree with its old value. Given all
else, ``exp(−½ xᵀ Q x + hᵀ x)`` has a known integral over x, so the scale is drawn first by its
density without x, then x given the scale: a partially collapsed sweep (van Dyk & Park 2008; for the
horseshoe Johndrow, Orenstein & Bhattacharya 2020).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import aesara.tensor as at
import aesara.tensor.random.basic as aer
import numpy as np
from aesara.graph.basic import Variable
from numpy.typing import NDArray

from aeframe.core.graph import leaves, replay
from aeframe.core.supports import Positive
from aeframe.distributions import LeafDensityOp, Normal, Uniform
from aeframe.infer.conjugate.conditional import improper
from aeframe.infer.conjugate.gaussian import Factored, Gaussian
from aeframe.infer.conjugate.joint import Joint, Stream

REPEATS = 4  # where mixture draws and Q cost more than to draw scales and block given them

SINGULAR = 1e-13  # a pivot below this is one of rounding

Update = Callable[[Joint, Stream], dict[str, Variable]]


def scales_of(joint: Joint, block: Sequence[str]) -> list[str]:
    """The positive sites that are in the scales of normal sites, and no other way with them."""
    found = []
    held = {joint.held[name] for name in block}
    for name in joint.nodes:
        if name in block or not isinstance(joint.nodes[name].op.support, Positive):
            continue
        site, around = joint.held[name], joint.around([name])
        inside = [f for f in around if not held.isdisjoint(f.depends)]
        if (
            inside
            and all(f.family is not None for f in around)
            and all(f.name in block and type(f.family) is aer.NormalRV for f in inside)
            and all(site not in leaves([f.value, f.parameters[0]]) for f in inside)
        ):
            found.append(name)
    return found


@dataclass(frozen=True)
class Target:
    """The log density of scales without the block, and the block given them."""

    log_density: Variable
    block: Factored

    @property
    def parts(self) -> tuple[Variable, ...]:
        """Density, factor and half."""
        return self.log_density, self.block.factor, self.block.half

    def of(self, parts: Sequence[Variable]) -> Target:
        """With other ``parts``."""
        return Target(parts[0], Factored(parts[1], parts[2], self.block.size))

    def at(self, values: Mapping[Variable, Variable]) -> Target:
        """For other values of the sites."""
        return self.of(replay(self.parts, values))


def target(joint: Joint, gaussian: Gaussian, scales: Sequence[str]) -> Target:
    """As a function of the symbols that ``joint`` holds.

    The log joint density is ``c − ½ xᵀ Q x + hᵀ x``; c is its value at x = 0.
    """
    block = gaussian.factored()
    zeros = {joint.held[k]: at.zeros(shape) for k, shape in gaussian.sites.items()}
    total = block.log_integral()
    for factor in joint.around(scales):
        assert factor.family is not None
        value, *parameters = replay([factor.value, *factor.parameters], zeros)
        total += LeafDensityOp(factor.family)(value, *parameters).sum()
    return Target(total, block)


def draw_with_scales(
    joint: Joint,
    gaussian: Gaussian,
    updates: Sequence[Update],
    scales: Sequence[str],
    stream: Stream,
) -> dict[str, Variable]:
    """Scales by ``updates``, then ``scales`` without the block, then the block.

    Where Q is made from mixture draws, several times given the same: they cost most, and scales
    and block tie each other down more than the draws do.
    """
    # but for its scales, Q is that of the old values: its mixture draws are not drawn again
    old = {h: h.type(name="old") for h in joint.held.values()}
    free = {joint.held[k] for k in scales_of(joint, list(gaussian.sites))}
    fixed = {h: v for h, v in old.items() if h not in free}
    general, now = target(joint, gaussian, scales), dict[Variable, Variable](old)
    may_be_singular = bool(joint.flat.intersection(gaussian.sites)) and not gaussian.separate
    told = [gaussian.pivot()] if may_be_singular else []
    *parts, stream.state = replay([*general.parts, *told, stream.state], fixed)
    if may_be_singular:
        stream.stats[pivot(gaussian.sites)] = replay([parts.pop()], now)[0]
    general = general.of(parts)
    for _ in range(REPEATS if gaussian.mixture else 1):
        for update in updates:
            scaled = stream.replay(update(joint, stream), now)
            now |= {joint.held[k]: v for k, v in scaled.items()}
        block = _scales_moved(general, [joint.held[k] for k in scales], now, stream)
        drawn = gaussian.split(block.draw(stream))
        now |= {joint.held[k]: v for k, v in drawn.items()}
    moved = {k: now[h] for k, h in joint.held.items() if now[h] is not old[h]}
    return stream.replay(moved, {new: h for h, new in old.items()})


def pivot(sites: Iterable[str]) -> str:
    """The name under which a block with flat priors tells its :meth:`Gaussian.pivot`."""
    return f"pivot of {', '.join(sites)}"


def require_determined(sites: Sequence[str], pivots: NDArray[np.float64]) -> None:
    """Refuse a block whose precision is singular in every draw: the data cannot tell sites apart.

    Raises
    ------
    FitError
        When it is.
    """
    if not (pivots > SINGULAR).any():
        raise improper(sites)


def _scales_moved(
    general: Target,
    scales: Sequence[Variable],
    now: dict[Variable, Variable],
    stream: Stream,
) -> Factored:
    """The block after a Metropolis step for each scale, on the log scale; ``now`` holds these."""
    current = general.at(now)
    for site in scales:
        move = proposal(stream, current.block.size, 3.0)
        proposed = now[site] * at.exp(move)
        other = general.at({**now, site: proposed})
        accepted = is_accepted(stream, other.log_density - current.log_density + move)
        now[site] = at.switch(accepted, proposed, now[site])
        chosen = [at.switch(accepted, *p) for p in zip(other.parts, current.parts, strict=True)]
        current = current.of(chosen)
    return current.block


def proposal(stream: Stream, n: int, widest: float) -> Variable:
    """How far to move on the log scale, a number.

    The sd is itself drawn, from what n known entries tell of their scale (``2.4/√2n``) up to
    ``widest``, where they are few and hardly known.
    """
    narrow = min(2.4 / np.sqrt(2 * n), widest / 2)
    width = at.exp(stream.draw(Uniform(np.log(narrow), np.log(widest)), ()))
    return width * stream.draw(Normal(0.0, 1.0), ())


def is_accepted(stream: Stream, gain: Variable) -> Variable:
    """Metropolis and Hastings' rule for a gain in log density, which may be NaN."""
    return at.log(stream.draw(Uniform(0.0, 1.0), ())) < gain
