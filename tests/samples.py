"""Random graphs for the left side of a rule, drawn from its declaration alone.

A graph is drawn from its result down: each Op is asked which input shapes would give a wanted
output (:func:`wanted`, by base class) and hyperparameters are drawn by their names (``DRAWS``). That
is only a suggestion, which makes a fit likely: variables may be bound already, and the Ops refuse
what does not fit. Sizes are so small that each relation of a condition is met on its edge.
"""

from functools import singledispatch
from inspect import signature
from itertools import count

import numpy as np
from aesara.tensor.type import TensorType

from aeframe.core.errors import AeframeError
from aeframe.core.ops import as_variable
from aeframe.core.shapes import narrow
from aeframe.nn.ops import AttentionOp, BilinearOp, Conv2DOp, EmbeddingOp, PoolOp, ReluOp
from aeframe.nn.ops.fused import FusedOp
from aeframe.nn.ops.losses import _OfLabels
from aeframe.nn.ops.normalize import _Normalize
from aeframe.rewrites.match import own_sizes
from aeframe.rewrites.pattern import Each, Every, Literal, Prop, Rest, Var, term
from aeframe.rewrites.vocabulary import (
    ConcatOp,
    ElementwiseOp,
    MatMulOp,
    ReshapeOp,
    SliceOp,
    TransposeOp,
)

RANKS = [0, 1, 2, 2, 3, 4, 4, 4]


class Misfit(Exception):
    """What was drawn does not fit together; draw again."""


def drawn_op(rng, base, out):
    """A random Op of a class, or of one below it."""
    kinds = [k for k in subclasses(base) if "body" in {*dir(k)} and k.__module__[:8] == "aeframe."]
    return hyperparameters(rng, kinds[rng.integers(len(kinds))], out, {})


def subclasses(base):
    """A class and all below it, those without a body of their own left out."""
    from aeframe.core.ops import TypedOp

    below = [k for child in base.__subclasses__() for k in subclasses(child)]
    own = getattr(base, "body", None) is not TypedOp.body and not base.__name__.startswith("_")
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
    "window": pairs(1, 2, 3, 3),
    "kernel": lambda rng, out: out[:2] if len(out) == 4 else pairs(1, 2, 3)(rng, out),
    "channels": lambda rng, out: out[-1] if out else 1,
    "n": lambda rng, out: out[-1] if out else 1,
    "groups": whole(1, 4),
    "by": whole(1, 3),
    "dtype": lambda rng, out: str(rng.choice(["float64", "float64", "float32"])),
    "epsilon": lambda rng, out: float(rng.choice([1e-5, 0.1])),
    "smoothing": lambda rng, out: 0.0,
    "causal": lambda rng, out: bool(rng.integers(2)),
    "scale": lambda rng, out: float(rng.uniform(0.5, 2.0)),
    "layer": lambda rng, out: drawn_op(rng, BilinearOp, out),
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
    kernel = tuple(
        int(k) for k in rng.choice([1, 2, 3, 3, 4, 5], 2, p=[0.2, 0.1, 0.3, 0.3, 0.05, 0.05])
    )
    kernel = (kernel[0], kernel[0]) if rng.random() < 0.5 else kernel
    c = int(rng.integers(1, 3))
    o = out[3] if out[3] % op.groups == 0 else op.groups
    x = (out[0], *_before(out, op, op.reach(kernel)), c * op.groups)
    return [x, (*kernel, c, o), (o,)][:n]


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


class Sample:
    """A random graph of a pattern, with values for its inputs.

    Attributes
    ----------
    outputs
        Of the Applies of the pattern; of each, where there are several roots.
    """

    def __init__(self, pattern, seed):
        self.rng = np.random.default_rng(seed)
        self.inputs, self.values, self.bound, self.sizes = [], [], {}, {}
        self.mixed = self.rng.random() < 0.2  # dtypes
        self.steps = self.rng.random() < 0.3  # values with ties and zeros
        rank = int(self.rng.choice(RANKS))
        out = tuple(int(s) for s in self.rng.choice([1, 2, 3], rank, p=[0.25, 0.5, 0.25]))
        if isinstance(pattern, Every):
            self.outputs = self.several(pattern, out)
        else:
            self.outputs = self.make(pattern, out)

    def several(self, pattern, out):
        """Two or more Applies of one form."""
        made = []
        for _ in range(self.rng.integers(2, 4)):
            for name in pattern.differ:
                self.bound.pop(name, None)
            for size in own_sizes(pattern):
                self.sizes.pop(size, None)
            made += self.make(pattern.body, self.near(out))
        return made

    def near(self, out):
        """The shape ``out`` with another last size, perhaps."""
        return (*out[:-1], int(self.rng.integers(1, 4))) if out else out

    def make(self, pattern, out):
        """The variables of a pattern; ``out`` is the shape that would fit."""
        if isinstance(pattern, Var):
            if pattern.name not in self.bound:
                self.bound[pattern.name] = self.variable(pattern, out)
            return [self.bound[pattern.name]]
        if isinstance(pattern, Literal):
            return [as_variable(pattern.value)]
        op = self.op(pattern.term, out)
        args = [a for a in pattern.args if not isinstance(a, Rest | Each)]
        many = [a for a in pattern.args if isinstance(a, Rest | Each)]
        items = self.items(many[0]) if many else 0
        shapes = iter(wanted(op, out, len(args) + items, self.rng))
        inputs = []
        for arg in pattern.args:
            if arg in many:
                inputs += self.remaining(arg, [next(shapes) for _ in range(items)])
            else:
                inputs.append(self.make(arg, next(shapes))[0])
        made = narrow(op.make_node(*inputs)).outputs
        made = made if pattern.output is None else [made[pattern.output]]
        if pattern.dims and self.shape(pattern.dims, made[0].type.shape) != made[0].type.shape:
            raise Misfit
        return made

    def items(self, rest):
        name = rest.name if isinstance(rest, Rest) else rest.over
        return len(self.bound[name]) if name in self.bound else int(self.rng.integers(1, 4))

    def remaining(self, rest, shapes):
        """The inputs that a :class:`Rest` or an :class:`Each` stands for."""
        if isinstance(rest, Rest):
            if rest.name not in self.bound:
                like = rest.like or Var(rest.name)
                self.bound[rest.name] = tuple(self.variable(like, s) for s in shapes)
            return self.bound[rest.name]
        made, items = [], []
        for shape in shapes:
            sizes = dict(self.sizes)
            made += self.make(rest.body, shape)
            items.append(self.bound.pop(rest.item.name))
            self.sizes = sizes
        self.bound[rest.over] = tuple(items)
        return made

    def op(self, head, out):
        """The Op of a head: the one that is bound, or a random one."""
        if head.bind is not None and head.bind.name in self.bound:
            op = self.bound[head.bind.name]
        elif not isinstance(head.head, type):
            return head.head
        else:
            given = {}
            for name, value in head.props:
                if not isinstance(value, Prop):
                    given[name] = value
                elif value.name in self.bound:
                    given[name] = self.bound[value.name]
            kinds = subclasses(head.head) if head.bind else [head.head]
            op = hyperparameters(self.rng, kinds[self.rng.integers(len(kinds))], out, given)
        if head.bind is not None:
            self.bound[head.bind.name] = op
        for name, value in head.props:
            if isinstance(value, Prop):
                self.bound.setdefault(value.name, getattr(op, name))
        return op

    def variable(self, var, out):
        """A new input, with a value in its range."""
        if var.of is not None:
            return var.of.example(self.rng)
        dtype = var.dtype
        if self.mixed and dtype == "float64" and self.rng.random() < 0.5:
            dtype = "float32"
        shape = self.shape(var.dims, out)
        symbol = TensorType(dtype, shape)()
        if "int" in dtype:
            value = self.rng.integers(int(var.low), int(var.high), shape)
        elif self.steps:
            value = np.clip(self.rng.integers(-2, 3, shape) / 2, var.low, var.high)
        else:
            value = self.rng.uniform(var.low, var.high, shape)
        self.inputs.append(symbol)
        self.values.append(np.asarray(value, dtype=dtype))
        return symbol

    def shape(self, dims, out):
        """A shape in which the sizes have their names: those known, else those of ``out``."""
        if dims is None:
            return out
        names = dims.split()
        if names and names[0].startswith("*"):
            return self.sizes.setdefault(names[0], out)
        lead = ()
        if names[:1] == ["..."]:
            names = names[1:]
            lead = self.sizes.setdefault("...", out[: max(len(out) - len(names), 0)])
        fits = len(out) == len(lead) + len(names)
        like = out[len(lead) :] if fits else self.rng.integers(1, 4, len(names))
        known = (int(n) if n.isdigit() else None for n in names)
        return (
            *lead,
            *(
                self.sizes.setdefault(n, int(s)) if k is None else k
                for n, s, k in zip(names, like, known, strict=True)
            ),
        )


def samples(pattern, seed):
    """Random graphs of a pattern, without end."""
    for attempt in count():
        try:
            yield Sample(pattern, [*seed, attempt])
        except (Misfit, AeframeError, ValueError, IndexError):
            continue


def drawable(kind):
    """Whether hyperparameters of an Op class can be drawn, by their names."""
    return set(getattr(kind, "__props__", ())) <= DRAWS.keys() and kind.__module__.startswith(
        "aeframe."
    )


def applies(kind, seed):
    """Random Applies of an Op class, without end: as many inputs as fit, two or more if any."""
    parameters = list(signature(kind.body).parameters.values())[1:]
    least = sum(p.default is p.empty and p.kind is not p.VAR_POSITIONAL for p in parameters)
    for attempt in count():
        rng = np.random.default_rng([seed, attempt])
        several = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        n = int(rng.integers(least, len(parameters) + 1)) if not several else 2
        names = [Var(f"x{i}") for i in range(n)]
        for sample in samples(term(kind)(*names), [seed, attempt]):
            yield sample.outputs[0].owner
            break
