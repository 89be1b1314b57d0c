"""Reverse-mode differentiation of typed graphs, without recursion.

The chain rule over a topological order: for each Apply in reverse, its ``L_op`` maps the
gradients of its outputs to those of its inputs. A typed Op answers with its :class:`Pullback`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import aesara.tensor as at
from aesara.gradient import DisconnectedType
from aesara.graph.basic import Apply, Variable
from aesara.scalar.basic import autocast_float_as

from aeframe.core.errors import GradientError
from aeframe.core.graph import toposort
from aeframe.core.shapes import is_null, is_tensor, narrow


def is_float(variable: Variable) -> bool:
    """Whether ``variable`` is a tensor of floating-point numbers."""
    return is_tensor(variable) and variable.type.dtype.startswith("float")


@contextmanager
def float_literals_like(variables: Sequence[Variable]) -> Iterator[None]:
    """Make Python floats take the widest float dtype of ``variables`` while a graph is built."""
    dtypes = [v.type.dtype for v in variables if is_float(v)]
    if not dtypes:
        yield
        return
    with autocast_float_as(max(dtypes, key=lambda d: int(d[5:]))):
        yield


def connections(node: Apply) -> list[list[bool]]:
    """For each input, for each output: whether the output depends on the input differentiably."""
    if hasattr(node.op, "connection_pattern"):
        return node.op.connection_pattern(node)
    return [[True] * len(node.outputs)] * len(node.inputs)


def reached(nodes: Sequence[Apply], sources: Sequence[Variable]) -> set[Variable]:
    """Sources and every variable that depends on one of them through connected Applies."""
    active = set(sources)
    for node in nodes:
        if active.isdisjoint(node.inputs):
            continue
        pattern = connections(node)
        for j, out in enumerate(node.outputs):
            if any(v in active and pattern[i][j] for i, v in enumerate(node.inputs)):
                active.add(out)
    return active


def vjp(
    outputs: Sequence[Variable],
    cotangents: Sequence[Variable],
    wrt: Sequence[Variable],
) -> list[Variable | None]:
    """Vector-Jacobian products: ``Σ_j cotangent_j · ∂output_j/∂w`` for each ``w`` in ``wrt``.

    Parameters
    ----------
    outputs, cotangents
        Expressions, and as many tensors of the same shapes.
    wrt
        Variables anywhere in the graph; nothing above them is visited.

    Returns
    -------
    list
        One expression for each ``w``, ``None`` where no output depends on it.

    Raises
    ------
    GradientError
        When the way to some ``w`` leads through an Op without gradient.
    """
    nodes = toposort(outputs, wrt)
    active = reached(nodes, wrt)
    terms: dict[Variable, list[Variable]] = defaultdict(list)
    for out, cotangent in zip(outputs, cotangents, strict=True):
        if out in active:
            terms[out].append(cotangent)
    stop = set(wrt)
    with float_literals_like(outputs):
        for node in reversed(nodes):
            live = [o for o in node.outputs if o in terms and o not in stop]
            if not live:
                continue
            totals = [_total(terms[o]) if o in live else DisconnectedType()() for o in node.outputs]
            gradients = node.op.L_op(node.inputs, node.outputs, totals)
            for v, g in zip(node.inputs, gradients, strict=True):
                if v in active and is_float(v) and not isinstance(g.type, DisconnectedType):
                    terms[v].append(g if is_null(g) else _fit(g, v))
        found = [_total(terms[w]) if terms[w] else None for w in wrt]
    for w, g in zip(wrt, found, strict=True):
        if g is not None and is_null(g):
            raise GradientError(
                f"the gradient with respect to {w} is not defined",
                got=getattr(g.type, "why_null", None),
                fix="replace the Op without gradient, or leave this variable out of `wrt`",
            )
    return found


def grad(cost: Variable, wrt: Sequence[Variable]) -> list[Variable]:
    """Gradients of a scalar with respect to each of ``wrt`` (zeros where it does not depend).

    Raises
    ------
    GradientError
        When ``cost`` is not a floating-point scalar, or no gradient exists.

    >>> import aesara.tensor as at
    >>> x = at.dvector("x")
    >>> (g,) = grad((x**2).sum(), [x])
    >>> g.eval({x: [1.0, 3.0]})
    array([2., 6.])
    """
    if not is_float(cost) or cost.type.ndim != 0:
        raise GradientError(
            "the cost is not a floating-point scalar",
            expected="one number, such as the mean of the losses",
            got=str(cost.type),
            fix="take `.mean()` or `.sum()` of it",
        )
    one = at.as_tensor(1.0, dtype=cost.type.dtype)
    found = vjp([cost], [one], wrt)
    return [g if g is not None else at.zeros_like(w) for g, w in zip(found, wrt, strict=True)]


def _total(terms: list[Variable]) -> Variable:
    for term in terms:
        if is_null(term):
            return term
    if len(terms) == 1:
        return terms[0]
    total = at.add(*terms)
    narrow(total.owner)
    return total


def _fit(gradient: Variable, variable: Variable) -> Variable:
    """The gradient in its variable's dtype."""
    if gradient.type.dtype == variable.type.dtype:
        return gradient
    return gradient.astype(variable.type.dtype)
