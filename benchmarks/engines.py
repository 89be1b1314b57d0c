"""Our e-graph beside egglog, on the benchmark networks and on a chain: the same rules, no shapes.

    pip install egglog
    python benchmarks/engines.py --json benchmarks/results/engines.json

Both get the lifted graph, apply the same ten rules as often, and extract the smallest graph. For
egglog there is one constructor for each Op with its hyperparameters, and the rules on layers are
written once for each of these. Seconds of this process, the best of three runs.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import aesara.tensor as at
import networks.weights  # noqa: F401 (the networks are found beside this file)
import numpy as np
from aesara.graph.basic import Apply, Variable
from harness import origin

import aeframe as ae
from aeframe.core import Graph, toposort
from aeframe.nn.ops import ActivationOp, BilinearOp, DenseOp, ReluOp
from aeframe.rewrites import EQUALITIES, GreedyExtraction, Limits, Problem, inference, saturate
from aeframe.rewrites.vocabulary import AddOp, MulOp, lift

NETWORKS = ("nasrnn", "bert", "squeezenet", "resnext50")
SHARED = (
    "sums in another order",
    "products in another order",
    "bias of a layer",
    "linear layers",
    "layer of a multiple",
    "activation inside a layer",
    "sum inside a layer",
    "activation after a sum",
    "times one",
    "frozen batch normalization",
)
ITERATIONS = 5


def ours(graph: Graph) -> tuple[int, float]:
    """Nodes, and the number of Applies of the smallest graph."""
    rules = [r for r in EQUALITIES if r.name in SHARED]
    limits = Limits(iterations=ITERATIONS, nodes=10**6, seconds=60, uses=10**6)
    found = saturate(graph, rules, limits)
    problem = Problem.of(found.egraph, found.results, lambda node: 1.0, (), ())
    return len(found.egraph), problem.cost(GreedyExtraction()(problem))


class Text:
    """A graph and the rules as a program of egglog."""

    def __init__(self, graph: Graph) -> None:
        self.names: dict[Any, str] = {}
        self.kinds: dict[str, tuple[Any, int]] = {}
        self.terms: dict[Variable, str] = {}
        self.lines: list[str] = []
        for i, node in enumerate(toposort(graph.results)):
            self.add(i, node)
        self.root = self.term(graph.outputs[0])

    def head(self, op: Any, arity: int) -> str:
        name = self.names.setdefault((op, arity), f"{type(op).__name__}{len(self.names)}")
        self.kinds[name] = (op, arity)
        return name

    def term(self, variable: Variable) -> str:
        if variable not in self.terms:
            self.terms[variable] = f'(Leaf "{len(self.terms)}")'
        return self.terms[variable]

    def add(self, i: int, node: Apply) -> None:
        inputs = " ".join(map(self.term, node.inputs))
        self.lines.append(f"(let n{i} ({self.head(node.op, len(node.inputs))} {inputs}))")
        self.terms[node.outputs[0]] = f"n{i}"

    def program(self) -> str:
        plus, times = self.head(AddOp(), 2), self.head(MulOp(), 2)
        rules = [
            f"(rewrite ({o} a b) ({o} b a)) (rewrite ({o} ({o} a b) c) ({o} a ({o} b c)))"
            for o in (plus, times)
        ]
        rules.append(f'(rewrite ({times} a (Leaf "one")) a)')
        layers = {op for op, _ in self.kinds.values() if isinstance(op, BilinearOp)}
        active = {op for op, _ in self.kinds.values() if isinstance(op, ActivationOp)}
        for op in layers:
            plain, biased = self.head(op, 2), self.head(op, 3)
            rules += [
                f"(birewrite ({biased} x w b) ({plus} ({plain} x w) b))",
                f"(birewrite ({plain} ({times} x s) w) ({times} ({plain} x w) s))",
                f"(rewrite ({plus} ({biased} x w b) a) (Summed_{biased} x w b a))",
            ]
            self.kinds[f"Summed_{biased}"] = (None, 4)
            if isinstance(op, DenseOp):
                rules.append(f"(birewrite ({plain} ({plain} x w) u) ({plain} x ({plain} w u)))")
            for a in active:
                act = self.head(a, 1)
                fused = f"Fused_{act}_{biased}"
                self.kinds |= {fused: (None, 3), f"Summed_{fused}": (None, 4)}
                rules += [
                    f"(rewrite ({act} ({biased} x w b)) ({fused} x w b))",
                    f"(rewrite ({act} (Summed_{biased} x w b a)) (Summed_{fused} x w b a))",
                ]
        for name, (op, arity) in list(self.kinds.items()):
            if type(op).__name__ == "BatchNormInferenceOp":
                self.kinds |= {"Factor": (None, 4), "Offset": (None, 4)}
                rest = "s h m v"
                rules.append(
                    f"(rewrite ({name} x {rest})"
                    f" ({plus} ({times} x (Factor {rest})) (Offset {rest})))"
                )
            assert arity
        made = " ".join(f"({name} {'T ' * n})" for name, (_, n) in self.kinds.items())
        steps = [f"(run {ITERATIONS})", f"(extract {self.root})"]
        return "\n".join([f"(datatype T (Leaf String) {made})", *rules, *self.lines, *steps])


def egglogs(graph: Graph) -> None:
    """The same in egglog."""
    from egglog import bindings

    engine = bindings.EGraph()
    engine.run_program(*engine.parse_program(Text(graph).program()))


def chain(n: int) -> Graph:
    """``n`` Ops: layers with biases and activations in turn."""
    x = first = at.TensorType("float32", (4, 8))("x")
    for _ in range(n // 2):
        w, b = (ae.Parameter(np.zeros(s, "float32")) for s in ((8, 8), (8,)))
        x = ReluOp()(DenseOp()(x, w, b))
    return Graph((first,), (x,))


def graph_of(name: str) -> Graph:
    """The lifted graph of a network in inference."""
    module = import_module(f"networks.{name}")
    return lift(inference(ae.lower(module.build(), at.TensorType("float32", module.SHAPE)("x"))))


def best(run: Callable[[Graph], Any], graph: Graph) -> float:
    """Seconds of this process, the best of three."""
    seconds = []
    for _ in range(3):
        began = time.process_time()
        run(graph)
        seconds.append(time.process_time() - began)
    return min(seconds)


def main() -> None:
    """Print the table; write it with ``--json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    found = {}
    cases = {f"chain of {n}": chain(n) for n in (60, 600)} | {n: graph_of(n) for n in NETWORKS}
    for name, graph in cases.items():
        nodes, size = ours(graph)
        row = {"applies": len(toposort(graph.results)), "nodes": nodes, "smallest": size}
        row |= {"ours": best(ours, graph), "egglog": best(egglogs, graph)}
        found[name] = row
        print(name, {k: round(v, 4) for k, v in row.items()}, flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps({**origin(), "results": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
