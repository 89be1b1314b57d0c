"""The unconstrained scale: a Model as a density over one vector of real numbers.

Every free site, and every trainable parameter if asked, has a block of the vector ``u``; its
support maps the block to its value. This is the pass that gradient-based inference starts from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Apply, Variable
from numpy.typing import NDArray

from aeframe.backends import Backend, Program, to_numpy
from aeframe.core.cells import Parameter, parameters
from aeframe.core.errors import ArgumentError, ShapeError
from aeframe.core.grad import grad
from aeframe.core.graph import Graph, replay
from aeframe.core.module import Module
from aeframe.core.shapes import narrow, shape_text
from aeframe.core.supports import Support
from aeframe.prob.density import free_sites, log_density, realize
from aeframe.prob.programs import Arguments, arguments, backend_of, cached, lowered
from aeframe.prob.sites import find_site, sites_of

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Block:
    """One site or parameter: its name, type and support, and its place in the vector."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    support: Support
    start: int
    parameter: Parameter | None = None

    @property
    def stop(self) -> int:
        """The end of its place."""
        return self.start + int(np.prod(self.support.free_shape(self.shape), dtype=np.int64))

    def part(self, u: Variable) -> Variable:
        """Its part of the vector ``u``, in the shape that its support maps from."""
        free = self.support.free_shape(self.shape)
        part = at.reshape(u[self.start : self.stop], free, ndim=len(free))
        narrow(part.owner)
        return part

    def value(self, u: Variable, *of_support: Variable) -> Variable:
        """The value that the vector ``u`` gives it."""
        made = self.support.forward(self.part(u), *of_support)
        return made if made.type.dtype == self.dtype else made.astype(self.dtype)


@dataclass(frozen=True)
class Space:
    """A Model's free sites on the unconstrained scale, symbolically.

    Attributes
    ----------
    backend
        What programs are compiled for.
    inputs
        The data.
    u
        The vector, float64.
    blocks
        The places of sites, then of parameters, in ``u``.
    values
        Site or parameter → its value; computed sites too.
    position
        The vector as a function of the values: ``(inputs, vector)``.
    log_joint
        The log joint density at these values.
    log_jacobian
        ``log |d values / du|`` of the sites: with it, the density is that of ``u``.
    """

    backend: Backend
    inputs: tuple[Variable, ...]
    u: Variable
    blocks: tuple[Block, ...]
    values: Mapping[str, Variable]
    position: tuple[list[Variable], Variable]
    log_joint: Variable
    log_jacobian: Variable

    @property
    def size(self) -> int:
        """The length of the vector."""
        return self.blocks[-1].stop if self.blocks else 0

    @cached_property
    def density(self) -> Program:
        """The program (u, data) → log density of ``u``, and its gradient."""
        return self._with_gradient(self.log_joint + self.log_jacobian)

    @cached_property
    def joint(self) -> Program:
        """The program (u, data) → log joint at the values, without the Jacobian; its gradient."""
        return self._with_gradient(self.log_joint)

    @cached_property
    def sites(self) -> Program:
        """The program (u, data) → all values, in order."""
        return self.backend.compile([self.u, *self.inputs], list(self.values.values()))

    @cached_property
    def inverse(self) -> Program:
        """The program (value of each block, data) → u."""
        given, vector = self.position
        return self.backend.compile([*given, *self.inputs], [vector])

    def _with_gradient(self, log_prob: Variable) -> Program:
        outputs = [log_prob, *grad(log_prob, [self.u])]
        return self.backend.compile([self.u, *self.inputs], outputs)

    def constrain(self, rows: Vector, arrays: Sequence[Any]) -> dict[str, NDArray[Any]]:
        """The values at each row of ``rows`` (n, size), site → array (n, ...)."""
        found = self.sites.map([np.ascontiguousarray(rows)], *arrays)
        return {k: to_numpy(v) for k, v in zip(self.values, found, strict=True)}


@dataclass(frozen=True)
class Unconstrained:
    """A Model on data as a density over a vector of real numbers; see :meth:`Model.unconstrain`.

    Attributes
    ----------
    space
        The same without the data, symbolically.
    arrays
        The data.
    """

    space: Space
    arrays: tuple[NDArray[Any], ...]

    @property
    def size(self) -> int:
        """The number of real numbers."""
        return self.space.size

    def log_prob(self, u: Vector) -> float:
        """The log density of the vector, with the Jacobian of the sites' supports."""
        return float(to_numpy(self.space.density(self._vector(u), *self.arrays)[0]))

    def gradient(self, u: Vector) -> Vector:
        """The gradient of :meth:`log_prob`."""
        return np.asarray(to_numpy(self.space.density(self._vector(u), *self.arrays)[1]))

    def values(self, u: Vector) -> dict[str, NDArray[Any]]:
        """The value of each site at ``u``."""
        found = self.space.sites(self._vector(u), *self.arrays)
        return {k: to_numpy(v) for k, v in zip(self.space.values, found, strict=True)}

    def vector(self, values: Mapping[str, Any]) -> Vector:
        """The vector at which the free sites have ``values``.

        Raises
        ------
        UnknownNameError
            When a free site has no value.
        """
        given = [
            np.asarray(find_site(b.name, values, "place"), dtype=b.dtype) for b in self.space.blocks
        ]
        return np.asarray(to_numpy(self.space.inverse(*given, *self.arrays)[0]))

    def _vector(self, u: Any) -> Vector:
        array = np.asarray(u, dtype="float64")
        if array.shape != (self.size,):
            raise ShapeError(
                "this is no place of the unconstrained scale",
                expected=f"{self.size} numbers",
                got=shape_text(array.shape),
            )
        return array


def unconstrain(model: Module, data: Sequence[Any], with_parameters: bool = False) -> Unconstrained:
    """``model`` on ``data`` as a density over a vector; its Space is made once for each signature.

    Parameters
    ----------
    with_parameters
        Whether trainable parameters are part of the vector; otherwise they keep their values.

    Raises
    ------
    ArgumentError
        When a free site is discrete, or nothing is free.
    """
    given = arguments(model, data)
    key = ("unconstrain", repr(given.types), with_parameters)
    space = cached(model, key, lambda: _space(model, given, with_parameters))
    model.init()
    return Unconstrained(space, given.arrays)


def static_sites(graph: Graph) -> dict[str, Apply]:
    """The free sites of a lowered Model.

    Raises
    ------
    ShapeError
        When the shape of one is not known.
    """
    nodes = free_sites(graph)
    for name, node in nodes.items():
        if None in node.outputs[0].type.shape:
            raise ShapeError(
                f"the shape of the site {name!r} is not known",
                path=name,
                got=shape_text(node.outputs[0].type.shape),
                fix="give it `shape=`, or pass arrays as data",
            )
    return nodes


def _space(model: Module, given: Arguments, with_parameters: bool) -> Space:
    graph = lowered(model, given.symbols())
    nodes = static_sites(graph)
    for name, node in nodes.items():
        _require_continuous(name, node)
    held = {name: node.outputs[0].type(name=name) for name, node in nodes.items()}
    density = log_density(graph, held)
    model.store  # noqa: B018 (names the cells)
    learned = [p for p in parameters(density) if p.trainable] if with_parameters else []
    blocks = _blocks(nodes, learned)
    if not blocks:
        raise ArgumentError(
            "there is nothing to infer: all sites are observed"
            + (" and no parameter is trainable" if with_parameters else ""),
            path=type(model).__name__,
            fix="use `model.log_prob({}, ...)` for the log joint",
        )
    u = at.TensorType("float64", (blocks[-1].stop,))(name="u")
    realized = realize(graph, held)
    known: dict[Variable, Variable] = {}
    jacobians: list[Variable] = []
    parts: list[Variable] = []
    for block in blocks:
        if block.parameter is not None:
            known[block.parameter] = block.value(u)
            parts.append(block.support.inverse(block.parameter, xp=at))
            continue
        of_support = replay(nodes[block.name].inputs[1:], realized)
        at_u = replay(of_support, known)
        known[held[block.name]] = block.value(u, *at_u)
        jacobians.append(block.support.log_jacobian(block.part(u), *at_u))
        parts.append(block.support.inverse(held[block.name], *of_support, xp=at))
    computed = {
        name: replay([node.outputs[0]], realized)[0]
        for name, node in sites_of(graph.outputs).items()
        if node.op.kind == "deterministic"
    }
    *values, log_joint = replay([*held.values(), *learned, *computed.values(), density], known)
    names = [*held, *(str(p.name or "a parameter") for p in learned), *computed]
    jacobian = at.stack(jacobians).sum() if jacobians else at.zeros((), dtype="float64")
    vector = at.concatenate([at.flatten(p.astype("float64")) for p in parts])
    return Space(
        backend_of(model),
        tuple(graph.inputs),
        u,
        blocks,
        dict(zip(names, values, strict=True)),
        ([*held.values(), *learned], vector),
        log_joint,
        jacobian,
    )


def _blocks(nodes: Mapping[str, Apply], learned: Sequence[Parameter]) -> tuple[Block, ...]:
    """Places for sites, then for parameters, in a row."""
    made: list[Block] = []
    owners: list[tuple[str, Any, Support, Parameter | None]] = [
        (name, node.outputs[0].type, node.op.support, None) for name, node in nodes.items()
    ]
    owners += [(str(p.name or "a parameter"), p.type, p.support, p) for p in learned]
    for name, kind, support, parameter in owners:
        start = made[-1].stop if made else 0
        made.append(Block(name, tuple(kind.shape), kind.dtype, support, start, parameter))
    return tuple(made)


def _require_continuous(name: str, node: Apply) -> None:
    if node.op.support.discrete:
        raise ArgumentError(
            f"{name!r} is discrete: it has no unconstrained scale",
            path=name,
            expected="an observed site, or one with a continuous support",
            got=str(node.op.support),
            fix="observe it, sum it out (a Mixture, a HiddenMarkov), or use "
            "inference=ae.Enumeration()",
        )
