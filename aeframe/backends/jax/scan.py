"""Aesara's Scan on JAX: one ``jax.lax.scan``; imported when the backend translates.

Aesara sorts the arguments of a scan by how they are read at a step: sequences; buffers of several
entries that are read and written in place (mit-mot, which gradients use); outputs that look back
over some taps (mit-sot) or one (sit-sot); states that are not stored (shared); outputs that
nothing looks back on (nit-sot); and what is the same at every step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

import jax
import jax.numpy as jnp
from aesara.graph.basic import Apply, Constant, Variable
from aesara.link.jax.dispatch import jax_funcify
from aesara.scan.op import Scan

from aeframe.backends.jax.backend import evaluator
from aeframe.core.errors import UnsupportedError
from aeframe.core.graph import Graph
from aeframe.core.shapes import specialize


@jax_funcify.register(Scan)
def scan(op: Scan, node: Apply, **_: Any) -> Callable[..., Any]:
    """The whole loop as one call; reverse-mode gradients included, ``until`` excepted.

    Raises
    ------
    UnsupportedError
        When the number of steps depends on values.
    """
    info = op.info
    if info.as_while or not isinstance(node.inputs[0], Constant):
        raise UnsupportedError(
            "JAX cannot run a scan whose number of steps depends on values",
            path=getattr(node.tag, "path", None),
            got="a scan with `until`" if info.as_while else "a symbolic number of steps",
            fix='mask the steps that are too many, or use backend="c"',
        )
    steps = int(node.inputs[0].data)
    look_back = (*info.mit_sot_in_slices, *info.sit_sot_in_slices)
    sizes = (
        *(1, info.n_seqs, info.n_mit_mot, len(look_back)),
        *(info.n_shared_outs, info.n_nit_sot, info.n_non_seqs),
    )
    inner = _inner(op, list(_split(node.inputs, sizes)))
    made_sizes = (info.n_mit_mot_outs, len(look_back), info.n_nit_sot, info.n_shared_outs)

    def call(*values: Any) -> tuple[Any, ...]:
        _, seqs, buffers, firsts, shared, _, constants = _split(values, sizes)
        windows = [f[: -min(taps)] for f, taps in zip(firsts, look_back, strict=True)]

        def step(carry: Any, row: Any) -> Any:
            i, buffers, windows, shared = carry
            made = inner(
                [
                    *row,
                    *_read(buffers, info.mit_mot_in_slices, i),
                    *(w[t] for w, taps in zip(windows, look_back, strict=True) for t in taps),
                    *shared,
                    *constants,
                ]
            )
            written, news, rows, shared = _split(made, made_sizes)
            buffers = _written(buffers, info, i, iter(written))
            windows = [
                jnp.concatenate([w[1:], jnp.asarray(new)[None]])
                for w, new in zip(windows, news, strict=True)
            ]
            return (i + 1, buffers, windows, shared), (news, rows)

        start = (0, list(buffers), windows, list(shared))
        (_, buffers, _, shared), (news, rows) = jax.lax.scan(
            step, start, [s[:steps] for s in seqs], length=steps
        )
        histories = [jnp.concatenate([w, n]) for w, n in zip(windows, news, strict=True)]
        return (*buffers, *histories, *rows, *shared)

    return call


def _split(values: Sequence[Any], sizes: Sequence[int]) -> Iterator[list[Any]]:
    rest = iter(values)
    return iter([[next(rest) for _ in range(size)] for size in sizes])


def _inner(op: Scan, outer: list[list[Variable]]) -> Callable[[Sequence[Any]], list[Any]]:
    """The step as a function, for the concrete shapes of what the scan is given."""
    _, seqs, buffers, firsts, shared, _, constants = outer
    taps = op.info.tap_array
    read = chain.from_iterable([v] * len(t) for v, t in zip([*buffers, *firsts], taps, strict=True))
    types = [
        *(v.type.clone(shape=v.type.shape[1:]) for v in chain(seqs, read)),
        *(v.type for v in chain(shared, constants)),
    ]
    graph = Graph(tuple(op.inner_inputs), tuple(op.inner_outputs))
    graph = specialize(graph, types)
    return evaluator(graph.inputs, graph.outputs)


def _read(buffers: Sequence[Any], taps: Sequence[Sequence[int]], i: Any) -> Iterator[Any]:
    for buffer, each in zip(buffers, taps, strict=True):
        for tap in each:
            yield jax.lax.dynamic_index_in_dim(buffer, i + tap - min(each), keepdims=False)


def _written(buffers: Sequence[Any], info: Any, i: Any, values: Iterator[Any]) -> list[Any]:
    changed = []
    slots = zip(buffers, info.mit_mot_in_slices, info.mit_mot_out_slices, strict=True)
    for buffer, read, write in slots:
        for tap in write:
            at_step = i + tap - min(read)
            buffer = jax.lax.dynamic_update_index_in_dim(buffer, next(values), at_step, 0)
        changed.append(buffer)
    return changed
