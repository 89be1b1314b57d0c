"""How JAX runs the recurrent Ops: scans with all products inside the step.

XLA asks the system for fresh memory for what it keeps between kernels, and on a CPU that costs as
much as the products: (t, n, 4 u) of products with the inputs, or of cotangents, never exist here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aesara.graph.basic import Apply

from aeframe.backends import implement
from aeframe.nn.ops.recurrent import GRUOp, LSTMOp, RecurrentOp, SimpleRNNOp


def forward(node: Apply) -> Callable[..., Any]:
    """The scan over time of a recurrent Op's Apply."""
    import jax
    import jax.numpy as jnp

    op: RecurrentOp = node.op
    u, k = node.inputs[2].type.shape[0], op.states

    def call(x: Any, w: Any, v: Any, b: Any, *rest: Any) -> tuple[Any, ...]:
        def step(old: Any, row: Any) -> Any:
            x, *mask = row
            new, saved = op.step(jnp, u, op.join(jnp, u, x @ w, old[0] @ v) + b, old)
            for m in mask:
                new = [jnp.where(m[:, None], s, o) for s, o in zip(new, old, strict=True)]
            return new, (*new, *saved)

        rows = [op.ordered(a) for a in (x, *rest[k:])]
        last, made = jax.lax.scan(step, list(rest[:k]), rows)
        return (op.ordered(made[0], back=True), *last, *made)

    return call


def backward(node: Apply) -> Callable[..., Any] | None:
    """The scan back over time of the Apply of its Pullback; weights' gradients add up inside.

    Not where what is saved is differentiated, in second derivatives.
    """
    import jax
    import jax.numpy as jnp

    pullback = node.op
    op: RecurrentOp = pullback.op
    u, k = node.inputs[2].type.shape[0], op.states
    n_inputs, n_outputs = pullback.n_inputs, pullback.n_outputs
    if max(pullback.seeds) > k:
        return None

    def call(*arguments: Any) -> tuple[Any, ...]:
        x, w, v, b, *rest = arguments[:n_inputs]
        outputs = arguments[n_inputs : n_inputs + n_outputs]
        cotangents: list[Any] = [None] * n_outputs
        for j, g in zip(pullback.seeds, arguments[n_inputs + n_outputs :], strict=True):
            cotangents[j] = g
        dy, *last = cotangents[: 1 + k]
        history, saved = outputs[1 + k : 1 + 2 * k], outputs[1 + 2 * k :]
        before = [jnp.concatenate([s[None], h[:-1]]) for s, h in zip(rest, history, strict=False)]
        # transposed once, not at every step, which XLA has to be told
        w_back, v_back = jax.lax.optimization_barrier((w.T, v.T))

        def step(carry: Any, row: Any) -> Any:
            d, totals = carry
            x, dy, masks, old, new, saved = row
            d = [d[0] if dy is None else d[0] + dy, *d[1:]]
            live = d
            for m in masks:
                live = [jnp.where(m[:, None], s, 0) for s in d]
            da, direct = op.back(jnp, old, new, saved, live)
            dp, dq = op.parts(jnp, u, da)
            direct = [direct[0] + dq @ v_back, *direct[1:]]
            for m in masks:
                direct = [s + jnp.where(m[:, None], 0, r) for s, r in zip(direct, d, strict=True)]
            weights = x.T @ dp, old[0].T @ dq, da.sum(axis=0)
            totals = [t + g for t, g in zip(totals, weights, strict=True)]
            return (direct, totals), dp @ w_back if 0 in pullback.wrt else None

        rows = (
            op.ordered(x),
            None if dy is None else op.ordered(dy),
            [op.ordered(m) for m in rest[k:]],
            *(before, history, saved),
        )
        d = [jnp.zeros_like(s) if g is None else g for s, g in zip(rest, last, strict=False)]
        totals = [jnp.zeros_like(a) for a in (w, v, b)]
        (d, totals), dx = jax.lax.scan(step, (d, totals), rows, reverse=True)
        found = [None if dx is None else op.ordered(dx, back=True), *totals, *d]
        return tuple(found[i] for i in pullback.wrt)

    return call


for _op in (SimpleRNNOp, GRUOp, LSTMOp):
    implement("jax", _op)(forward)
    implement("jax", _op, pullback=True)(backward)
