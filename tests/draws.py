"""Hyperparameters and input shapes of typed Ops at random, for :mod:`tests.samples`.

An Op whose inputs are shaped as its output needs nothing here; one with a hyperparameter of a new
name needs a line in ``DRAWS``.
"""

from functools import singledispatch

import numpy as np

from aeframe.core.ops import TypedOp
from aeframe.nn.ops import AttentionOp, BilinearOp, Conv2DOp, EmbeddingOp, PoolOp, ReluOp
from aeframe.nn.ops.fused import FusedOp
from aeframe.nn.ops.losses import _OfLabels
from aeframe.nn.ops.normalize import _Normalize
from aeframe.nn.ops.winograd import WinogradOp
from aeframe.rewrites.vocabulary import (
    ConcatOp,
    ElementwiseOp,
    MatMulOp,
    ReshapeOp,
    SliceOp,
    TransposeOp,
)


class Misfit(Exception):  # noqa: N818 (a signal, not an error)
    """What was drawn does not fit together; draw again."""


def drawn_op(rng, base, out, given):
    """A random Op of a class, or of one below it, with the given hyperparameters."""
    kinds = subclasses(base)
    return hyperparameters(rng, kinds[rng.integers(len(kinds))], out, given)


def subclasses(base):
    """A class and all below it that aeframe has, those without a body of their own left out."""
    below = [k for child in base.__subclasses__() for k in subclasses(child)]
    private = base.__name__.startswith("_") or not base.__module__.startswith("aeframe.")
    own = getattr(base, "body", None) is not TypedOp.body and not private
    return [base, *below] if own else below


def hyperparameters(rng, kind, out, given):
    """An Op of class ``kind`` with the given hyperparameters, the others at random."""
    names = [p for p in getattr(kind, "__props__", ()) if p not in given]
    fixed = {p: v for p, v in given.items() if p in getattr(kind, "__props__", ())}
    op = kind(**fixed, **{p: DRAWS[p](rng, out) for p in names})
    if any(getattr(op, p) != v for p, v in given.items()):
        raise Misfit
    return op


def pairs(*values):
    """A way to draw two of ``values``, often the same one."""

    def draw(rng, out):
        one = [int(v) for v in rng.choice(values, 2)]
        return (one[0], one[0]) if rng.random() < 0.6 else tuple(one)

    return draw


def padding(rng, out):
    """Rows and columns of padding: none, as many on all sides, or any."""
    if rng.random() < 0.7:
        p = int(rng.integers(0, 3))
        return ((p, p), (p, p)) if rng.random() < 0.8 else ((0, 0), (p, p))
    return tuple(tuple(int(v) for v in rng.integers(0, 3, 2)) for _ in range(2))


def whole(low, high):
    """A way to draw an integer from ``low`` to ``high``."""
    return lambda rng, out: int(rng.integers(low, high + 1))


DRAWS = {
    "axis": lambda rng, out: int(rng.integers(-max(len(out), 1), 0)),
    "start": whole(0, 2),
    "stop": whole(1, 4),
    "axes": lambda rng, out: tuple(int(i) for i in rng.permutation(len(out))),
    "shape": lambda rng, out: out,
    "stride": pairs(1, 1, 1, 2),
    "dilation": pairs(1, 1, 1, 2),
    "padding": padding,
    "window": pairs(1, 2, 2, 3),
    "kernel": lambda rng, out: out[:2] if len(out) == 4 else pairs(1, 2, 3)(rng, out),
    "channels": lambda rng, out: out[-1] if out else 1,
    "n": lambda rng, out: out[-1] if out else 1,
    "groups": whole(1, 4),
    "tile": lambda rng, out: 2,  # NumPy adds no more than 31 terms at once
    "slope": lambda rng, out: float(rng.uniform(0.1, 0.5)),
    "alpha": lambda rng, out: float(rng.uniform(0.5, 1.5)),
    "by": whole(1, 3),
    "dtype": lambda rng, out: str(rng.choice(["float64", "float64", "float32"])),
    "epsilon": lambda rng, out: float(rng.choice([1e-5, 0.1])),
    "smoothing": lambda rng, out: 0.0,
    "causal": lambda rng, out: bool(rng.integers(2)),
    "scale": lambda rng, out: float(rng.uniform(0.5, 2.0)),
    "layer": lambda rng, out: drawn_op(rng, BilinearOp, out, {}),
    "activation": lambda rng, out: ReluOp() if rng.integers(2) else None,
}


@singledispatch
def wanted(op, out, n, rng):
    """Shapes of ``n`` inputs with which ``op`` may make the shape ``out``; by default the same."""
    return [out] * n


@wanted.register
def _(op: BilinearOp, out, n, rng):
    if not out:
        raise Misfit
    i = int(rng.integers(1, 4))
    return [(*out[:-1], i), (i, out[-1]), (out[-1],)][:n]


def _before(out, op, reach):
    """Height and width that windows over ``reach`` entries make those of ``out`` of."""
    found = []
    for places, r, s, p in zip(out[1:3], reach, op.stride, op.padding, strict=True):
        found.append((places - 1) * s + r - sum(p))
    if min(found) < 1:
        raise Misfit
    return found


@wanted.register
def _(op: Conv2DOp, out, n, rng):
    if len(out) != 4:
        raise Misfit
    kernel = tuple(int(k) for k in rng.choice([1, 2, 3, 4, 5], 2, p=[0.35, 0.2, 0.35, 0.06, 0.04]))
    kernel = (kernel[0], kernel[0]) if rng.random() < 0.5 else kernel
    c = int(rng.integers(1, 3))
    o = out[3] if out[3] % op.groups == 0 else op.groups
    x = (out[0], *_before(out, op, op.reach(kernel)), c * op.groups)
    return [x, (*kernel, c, o), (o,)][:n]


@wanted.register
def _(op: WinogradOp, out, n, rng):
    if len(out) != 4:
        raise Misfit
    c, side = int(rng.integers(1, 3)), op.tile + 2
    x = (out[0], *(s + 2 - sum(p) for s, p in zip(out[1:3], op.padding, strict=True)), c)
    return [x, (side * side, c, out[3]), out[3:]][:n]


@wanted.register
def _(op: PoolOp, out, n, rng):
    if len(out) != 4:
        raise Misfit
    return [(out[0], *_before(out, op, op.window), out[3])]


@wanted.register
def _(op: FusedOp, out, n, rng):
    if n > 4:
        raise Misfit
    return [*wanted(op.layer, out, min(n, 3), rng), out][:n]


@wanted.register
def _(op: ElementwiseOp, out, n, rng):
    shapes = [out, out]
    if out and rng.random() < 0.4:
        shapes[rng.integers(2)] = out[int(rng.integers(len(out) + 1)) :]
    elif out and rng.random() < 0.2:
        shapes[rng.integers(2)] = tuple(1 if rng.random() < 0.5 else s for s in out)
    return shapes


@wanted.register
def _(op: MatMulOp, out, n, rng):
    if len(out) < 2:
        raise Misfit
    k = int(rng.integers(1, 4))
    return [(*out[:-1], k), (*out[:-2], k, out[-1])]


@wanted.register
def _(op: ConcatOp, out, n, rng):
    if len(out) < -op.axis:
        raise Misfit
    sizes = np.maximum(rng.multinomial(out[op.axis], np.full(n, 1 / n)), 1)
    made = []
    for size in sizes:
        shape = list(out)
        shape[op.axis] = int(size)
        made.append(tuple(shape))
    return made


@wanted.register
def _(op: SliceOp, out, n, rng):
    if len(out) < -op.axis:
        raise Misfit
    shape = list(out)
    shape[op.axis] = op.stop + int(rng.integers(0, 2))
    return [tuple(shape)]


@wanted.register
def _(op: TransposeOp, out, n, rng):
    if len(out) != len(op.axes):
        raise Misfit
    return [tuple(out[op.axes.index(i)] for i in range(len(out)))]


@wanted.register
def _(op: ReshapeOp, out, n, rng):
    return [(*(1,) * int(rng.integers(0, 2)), *out)]


@wanted.register
def _(op: EmbeddingOp, out, n, rng):
    if not out:
        raise Misfit
    return [out[:-1], (int(rng.integers(1, 4)), out[-1])]


@wanted.register
def _(op: _Normalize, out, n, rng):
    return [out, *[out[-1:]] * (n - 1)]


@wanted.register
def _(op: _OfLabels, out, n, rng):
    lead = (int(rng.integers(1, 3)), int(rng.integers(1, 4)))
    return [(*lead, 3), lead, lead][:n]


@wanted.register
def _(op: AttentionOp, out, n, rng):
    if len(out) != 4:
        raise Misfit
    t, d = (int(v) for v in rng.integers(1, 4, 2))
    return [(*out[:3], d), (*out[:2], t, d), (*out[:2], t, out[3])]


def drawable(kind):
    """Whether hyperparameters of an Op class can be drawn, by their names."""
    return set(getattr(kind, "__props__", ())) <= DRAWS.keys()
