"""Many draws of a Model's sites from one vectorized program, by an explicit seed."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from aesara.graph.basic import Apply, Variable
from numpy.typing import NDArray

from aeframe.backends import Program, to_numpy
from aeframe.core.cells import RandomState, cells
from aeframe.core.errors import ArgumentError, ShapeError
from aeframe.core.graph import replay
from aeframe.core.module import Module
from aeframe.core.shapes import shape_text
from aeframe.prob.programs import Arguments, arguments, backend_of, cached, lowered
from aeframe.prob.sites import ObserveOp, SiteOp, find_site, require_set, sites_of

Draws = dict[str, NDArray[Any]]


def simulate(
    model: Module,
    n: int,
    data: Sequence[Any],
    seed: int,
    fixed: Mapping[str, NDArray[Any]] | None = None,
) -> Draws:
    """``n`` draws of every site, site → array (n, ...).

    Parameters
    ----------
    model
        Its random states are neither used nor changed: the seed alone decides.
    n, seed
        Number of draws, and what decides them. Models that differ by an intervention draw the
        same noise from the same seed.
    data
        The model's arguments.
    fixed
        Site → array (n, ...): the values that it has in each draw.

    Raises
    ------
    DataError
        When an intervention sets a site to a value that it cannot have.
    """
    if not isinstance(n, int | np.integer) or n < 1:
        raise ArgumentError("the number of draws is a positive integer", got=repr(n))
    given = arguments(model, data)
    fixed = dict(fixed or {})
    names = tuple(fixed)
    key = ("simulate", repr(given.types), names)
    program, states, sites = cached(model, key, lambda: _compile(model, given, names))
    backend = backend_of(model)
    model.init()
    rows = [backend.random_states([seed, zlib.crc32(s.encode())], int(n)) for s in states]
    for name, value in fixed.items():
        wanted = program.graph.inputs[len(rows)].type
        if value.shape[1:] != wanted.shape:
            raise ShapeError(
                f"the values of {name!r} do not fit this data",
                path=name,
                expected=shape_text(wanted.shape),
                got=shape_text(value.shape[1:]),
                fix="pass data of the size that the values were found for",
            )
        rows.append(value.astype(wanted.dtype))
    if not rows:  # nothing is random: all draws are equal
        outputs = [np.stack([to_numpy(v)] * n) for v in program(*given.arrays)]
    else:
        outputs = [to_numpy(v) for v in program.map(rows, *given.arrays)]
    found = dict(zip(sites, outputs, strict=True))
    for name, node in sites.items():
        if node is not None:
            require_set(node, found[name])
    return found


def _compile(
    model: Module, given: Arguments, names: tuple[str, ...]
) -> tuple[Program, list[str], dict[str, Apply | None]]:
    """The program on random states, fixed values and data; names of states, and all sites."""
    inputs = given.symbols()
    graph = lowered(model, inputs)
    nodes = sites_of(graph.outputs)
    free: list[Variable] = []
    replace: dict[Variable, Variable] = {}
    for name in names:
        site = find_site(name, nodes, "fix").outputs[0]
        free.append(site.type(name=name))
        replace[site] = SiteOp(name, "do", site.owner.op.support)(free[-1])
    sites = dict(zip(graph.names, graph.outputs, strict=True))
    sites |= {k: n.outputs[0] for k, n in nodes.items() if k not in sites}
    results = replay(list(sites.values()), replace, _seen)
    random = [c for c in cells(results) if isinstance(c, RandomState)]
    paths = {cell: path for path, cell in model.store.items()}
    plain = {c: c.type(name=c.name) for c in random}
    outputs = replay(results, plain)
    program = backend_of(model).compile([*plain.values(), *free, *graph.inputs], outputs)
    return (
        program,
        [paths.get(c, str(i)) for i, c in enumerate(random)],
        {k: nodes.get(k) for k in sites},
    )


def _seen(node: Apply, inputs: list[Variable]) -> list[Variable] | None:
    """An observed site without its draw, which no program needs and not all priors have."""
    return inputs[1:] if isinstance(node.op, ObserveOp) else None
