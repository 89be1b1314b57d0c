"""Proves the layer algebra of TASO by saturation: `python benchmarks/algebra.py`.

Each line of tests/rewrites/data/layer_algebra.txt is an equality `left==right`. Both sides become
one graph of our typed Ops with two outputs, on inputs whose shapes follow from their use; it is
proved when the equalities of aeframe make one class of the two.
"""

from __future__ import annotations

import aeframe.nn.equalities  # noqa: F401, isort: skip (rules; before Aesara)

import argparse
import json
import re
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aesara.graph.basic import Variable
from aesara.tensor.basic import constant
from aesara.tensor.type import TensorType
from harness import origin

from aeframe.core import Graph
from aeframe.nn.ops import AvgPool2DOp, Conv2DOp, DenseOp, MaxPool2DOp, ReluOp
from aeframe.nn.ops.algebra import AverageKernelOp, IdentityKernelOp, IdentityOp, PadKernelOp
from aeframe.rewrites import EQUALITIES, Limits, Saturated, saturate
from aeframe.rewrites.vocabulary import AddOp, ConcatOp, MulOp, TransposeOp

HERE = Path(__file__).parent
FILE = HERE.parent / "tests" / "rewrites" / "data" / "layer_algebra.txt"
FALSE = FILE.with_name("layer_algebra_false.txt")
LIMITS = Limits(nodes=4_000, iterations=8, seconds=20.0, matches=1_000, uses=4_000)

Term = tuple[str, tuple[Any, ...]]
Size = tuple[str | int, ...]  # a sum of names and numbers
UNITS = {"Imatmul", "Iconv", "Cpool"}
# height and width of the inputs that are kernels
KERNELS = {**dict.fromkeys(range(10, 13), (3, 3)), **dict.fromkeys(range(13, 16), (1, 1))}
KERNELS |= {**dict.fromkeys(range(16, 19), (3, 1)), 19: (3, 3)}
DATA, SCALAR = range(7, 10), 20


def lines() -> list[str]:
    """The equalities as text."""
    return FILE.read_text().split()


def false() -> list[str]:
    """Those that are not true of our Ops."""
    return [line for line in FALSE.read_text().splitlines() if not line.startswith("#")]


def parse(text: str) -> Term:
    """``f(a,1)`` as ``("f", (("a", ()), 1))``."""
    tokens = iter(re.findall(r"\w+|[(),]", text))
    stack: list[list[Any]] = [[]]
    for token in tokens:
        if token == "(":
            stack.append([])
        elif token == ")":
            arguments = stack.pop()
            stack[-1][-1] = (stack[-1][-1][0], tuple(arguments))
        elif token != ",":
            stack[-1].append(int(token) if token.isdigit() else (token, ()))
    ((found,),) = stack
    return found


@dataclass
class Shapes:
    """Sizes of the inputs of an equality, found by unification; tensors are NCHW and OIHW."""

    equal: dict[str, Size] = field(default_factory=dict)
    inputs: dict[str, tuple[Size, ...]] = field(default_factory=dict)
    units: dict[int, Size] = field(default_factory=dict)  # by the identity of a term
    made: int = 0

    def new(self) -> Size:
        """A size that nothing is known of."""
        self.made += 1
        return (f"s{self.made}",)

    def known(self, size: Size) -> Size:
        """A size in numbers and names that stand for themselves."""
        parts = [p for s in size for p in (self.known(self.equal[s]) if s in self.equal else (s,))]
        total = sum(p for p in parts if isinstance(p, int))
        named = tuple(p for p in parts if isinstance(p, str))
        return (*named, total) if total else named

    def unify(self, a: Size, b: Size) -> None:
        """Make two sizes equal."""
        a, b = self.known(a), self.known(b)
        if a == b:
            return
        for one, other in ((a, b), (b, a)):
            if len(one) == 1 and isinstance(one[0], str) and one[0] not in other:
                self.equal[one[0]] = other
                return
        if len(a) != len(b):
            raise ValueError(f"{a} cannot be {b}")
        for x, y in zip(a, b, strict=True):
            if x != y and isinstance(x, int) and isinstance(y, int):
                raise ValueError(f"{a} cannot be {b}")
            self.unify((x,), (y,))

    def same(self, a: tuple[Size, ...] | None, b: tuple[Size, ...] | None) -> Any:
        """Make two shapes equal; a unit has none."""
        for x, y in zip(a or (), b or (), strict=bool(a and b)):
            self.unify(x, y)
        return a or b

    def of(self, t: Term) -> tuple[Size, ...] | None:
        """The shape of a term."""
        name, args = t
        terms = [self.of(a) for a in args if isinstance(a, tuple)]
        first = terms[0] if terms else None
        if name.startswith("input_"):
            return self.inputs.setdefault(name, self.leaf(int(name[6:])))
        if name == "Iewmul":
            return None
        if name in UNITS:
            size = self.units[id(t)] = self.new()
            return (size, size, *((a,) for a in args))
        if name in {"ewadd", "ewmul"}:
            return self.same(*terms)
        if name == "transpose":
            return first[::-1]
        if name == "matmul":
            self.unify(first[1], terms[1][0])
            return (first[0], terms[1][1])
        if name == "conv2d":
            self.unify(first[1], terms[1][1])
            return (first[0], terms[1][0], *first[2:])
        if name == "enlarge":
            return (*first[:2], *((a,) for a in args[:2]))
        if name == "concat":
            axis = args[0]
            for i, (x, y) in enumerate(zip(*terms, strict=True)):
                if i != axis:
                    self.unify(x, y)
            return (*first[:axis], (*first[axis], *terms[1][axis]), *first[axis + 1 :])
        return first  # smul, relu, pools

    def leaf(self, number: int) -> tuple[Size, ...]:
        """The shape of an input by its number, as TASO has them."""
        if number == SCALAR:
            return ()
        if number in DATA:
            return (self.new(), self.new(), self.new(), self.new())
        if number in KERNELS:
            h, w = KERNELS[number]
            return (self.new(), self.new(), (h,), (w,))
        return (self.new(), self.new())

    def numbers(self, shape: tuple[Size, ...]) -> tuple[int, ...]:
        """A shape in numbers: each name is a small size of its own."""
        return tuple(sum(self.number(p) for p in self.known(size)) for size in shape)

    def number(self, part: str | int) -> int:
        """The size that a name stands for."""
        return part if isinstance(part, int) else 2 + int(part[1:]) % 4


class Typed:
    """Terms as graphs of typed Ops: images NHWC, kernels (kh, kw, i, o)."""

    def __init__(self, shapes: Shapes) -> None:
        self.shapes = shapes
        self.inputs: dict[str, Variable] = {}

    def build(self, t: Term, kernel: bool = False) -> Variable:
        """The variable of a term, where a kernel is needed or elsewhere."""
        name, args = t
        if name.startswith("input_"):
            return self.leaf(name, kernel)
        if name == "Iewmul":
            return constant(1.0)
        if name in UNITS:
            (channels,) = self.shapes.numbers((self.shapes.units[id(t)],))
            return self.unit(name, args, channels, kernel)
        if name == "conv2d":
            made = self.conv(*args)
        elif name.startswith("pool"):
            op = AvgPool2DOp if name == "poolavg" else MaxPool2DOp
            window = args[:2]
            made = op(window, args[2:4], same(window, args[4]))(self.build(args[5]))
        else:
            return self.plain(name, args, kernel)
        return TransposeOp((1, 2, 3, 0))(made) if kernel else made

    def plain(self, name: str, args: tuple[Any, ...], kernel: bool) -> Variable:
        """An Op on both kinds of tensors alike."""
        terms = [self.build(a, kernel) for a in args if isinstance(a, tuple)]
        if name == "enlarge":
            h, w = terms[0].type.shape[:2]
            around = same((args[0] - h + 1, args[1] - w + 1))
            return PadKernelOp(around)(*terms) if (h, w) != args[:2] else terms[0]
        if name == "concat":
            axes = (-1, -2, -4, -3) if kernel else (-4, -1, -3, -2)
            return ConcatOp(axes[args[0]] if terms[0].type.ndim == 4 else args[0] - 2)(*terms)
        if name == "transpose":
            return TransposeOp((1, 0))(*terms)
        ops = {"ewadd": AddOp, "ewmul": MulOp, "smul": MulOp, "relu": ReluOp, "matmul": DenseOp}
        return ops[name]()(*terms)

    def leaf(self, name: str, kernel: bool) -> Variable:
        """An input, seen as a kernel or as an image."""
        made = self.inputs.get(name)
        number, shape = int(name[6:]), self.shapes.numbers(self.shapes.inputs[name])
        if made is None:
            order = (2, 3, 1, 0) if number in KERNELS else (0, 2, 3, 1)
            native = tuple(shape[i] for i in order) if len(shape) == 4 else shape
            made = self.inputs[name] = TensorType("float64", native)(name)
        if len(shape) < 4 or kernel == (number in KERNELS):
            return made
        return TransposeOp((1, 2, 3, 0) if kernel else (3, 0, 1, 2))(made)

    def unit(self, name: str, args: tuple[Any, ...], channels: int, kernel: bool) -> Variable:
        """What a layer has no effect with, or the kernel of averages."""
        if name == "Imatmul":
            return IdentityOp(channels, "float64")()
        op = IdentityKernelOp if name == "Iconv" else AverageKernelOp
        made = op(kernel=args, channels=channels, dtype="float64")()
        return made if kernel else TransposeOp((3, 0, 1, 2))(made)

    def conv(self, sh: int, sw: int, padding: int, activation: int, x: Term, w: Term) -> Variable:
        """A convolution, with a relu after it or none."""
        kernel = self.build(w, kernel=True)
        around = same(kernel.type.shape[:2], padding)
        made = Conv2DOp((sh, sw), around, (1, 1), 1)(self.build(x), kernel)
        return ReluOp()(made) if activation == 2 else made


def same(window: tuple[int, ...], padding: int = 0) -> tuple[tuple[int, int], tuple[int, int]]:
    """Padding that keeps the size at stride 1 (0), or none (1)."""
    h, w = (0 if padding else k // 2 for k in window[:2])
    return ((h, h), (w, w))


def typed(line: str) -> Graph:
    """An equality as a graph with two outputs.

    Raises
    ------
    ValueError
        When no shapes fit both sides.
    """
    left, right = (parse(side) for side in line.split("=="))
    shapes = Shapes()
    shapes.same(shapes.of(left), shapes.of(right))
    made = Typed(shapes)
    outputs = made.build(left), made.build(right)
    return Graph(tuple(made.inputs.values()), outputs)


def prove(graph: Graph, limits: Limits = LIMITS) -> tuple[bool, Saturated]:
    """Whether saturation makes one class of the two outputs, and the e-graph."""

    def one(egraph: Any, results: list[Variable]) -> bool:
        return results[0] is results[1]

    found = saturate(graph, EQUALITIES, limits, until=one)
    return found.results[0] is found.results[1], found


def main() -> None:
    """Prove all that are true, and write down how many and how long it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, default=HERE / "results" / "algebra.json")
    out = parser.parse_args().json
    graphs = {line: typed(line) for line in lines() if line not in false()}
    prove(next(iter(graphs.values())))  # imports, and bodies that are built once
    unproved, clock, process = [], [], []
    for line, graph in graphs.items():
        began, worked = time.perf_counter(), time.process_time()
        proved, found = prove(graph)
        clock.append(time.perf_counter() - began)
        process.append(time.process_time() - worked)
        if not proved:
            unproved.append({"line": line, "stopped": found.stopped, "nodes": len(found.egraph)})
    result = {
        **origin(),
        "limits": {k: getattr(LIMITS, k) for k in LIMITS.fields()},
        "rules": len(EQUALITIES),
        "total": len(lines()),
        "false": false(),
        "true": len(graphs),
        "proved": len(graphs) - len(unproved),
        "unproved": unproved,
        "seconds": {"median": statistics.median(clock), "max": max(clock)},
        "process_seconds": {"median": statistics.median(process), "max": max(process)},
    }
    out.write_text(json.dumps(result, indent=1) + "\n")
    print(f"{result['proved']} of {result['true']} proved, {len(false())} false")
    print(f"median {result['seconds']['median']:.3f} s, at most {result['seconds']['max']:.2f} s")


if __name__ == "__main__":
    main()
