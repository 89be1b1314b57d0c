"""Random graphs for the left side of a rule, drawn from its declaration alone.

A graph is drawn from its result down: each Op is asked which input shapes would give a wanted
output (:func:`wanted`, by base class) and hyperparameters are drawn by their names (``DRAWS``).
That is only a suggestion, which makes a fit likely: variables may be bound already, and the Ops
refuse what does not fit. Sizes are so small that each relation of a condition is met on its edge.
"""

from inspect import Parameter, signature
from itertools import count

import numpy as np
from aesara.tensor.type import TensorType

from aeframe.core.errors import AeframeError
from aeframe.core.ops import as_variable
from aeframe.core.shapes import narrow
from aeframe.rewrites.match import own_sizes
from aeframe.rewrites.pattern import Each, Every, Literal, Prop, Rest, Var, term
from tests.draws import Misfit, drawn_op, hyperparameters, wanted

RANKS = [0, 1, 2, 2, 3, 4, 4, 4]


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
            draw = drawn_op if head.bind else hyperparameters
            op = draw(self.rng, head.head, out, given)
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
    """Random graphs of a pattern, without end; an error where hardly any fits."""
    misfits = 0
    for attempt in count():
        try:
            yield Sample(pattern, [*seed, attempt])
            misfits = 0
        except (Misfit, AeframeError, ValueError, IndexError):
            misfits += 1
            assert misfits < 10_000, f"no random graph fits {pattern}"


def applies(kind, seed):
    """Random Applies of an Op class, without end: as many inputs as fit, two or more if any."""
    parameters = list(signature(kind.body).parameters.values())[1:]
    if parameters and parameters[0].kind is Parameter.VAR_POSITIONAL:
        parameters = list(signature(kind.check).parameters.values())[1:]
    fixed = [p for p in parameters if p.kind is not Parameter.VAR_POSITIONAL]
    least = sum(p.default is Parameter.empty for p in fixed)
    for attempt in count():
        rng = np.random.default_rng([seed, attempt])
        n = int(rng.integers(least, len(fixed) + 1)) or 2 * len(parameters)
        names = [Var(f"x{i}") for i in range(n)]
        for sample in samples(term(kind)(*names), [seed, attempt]):
            yield sample.outputs[0].owner
            break
