"""AutoML on digits: a table of all networks of a space, and how soon a search is at its top.

    python benchmarks/automl.py table [--work FILE] [--json FILE]
    python benchmarks/automl.py search [--seeds 10] [--json FILE] [--picture FILE]

``table`` trains every network that the rules below reach from one small network within the limits
below, three times from scratch, and keeps the mean validation NLL of each epoch. It goes on where
it was interrupted, from ``--work``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aesara.tensor as at
import numpy as np
from aesara.tensor.type import TensorType
from sklearn.datasets import load_digits

import aeframe as ae
from aeframe import automl, nn
from aeframe.core.graph import Graph, toposort
from aeframe.nn.ops import DenseOp, DropoutOp, LayerNormOp

RESULTS = Path(__file__).parent / "results"
ROWS, BATCH, EPOCHS, SEEDS = 1000, 64, 30, 3
RATES = (1e-3, 3e-3, 9e-3, 2.7e-2)
NARROWEST, WIDEST, HIDDEN, EXTRAS = 16, 64, 2, 2
RULES = (
    *("wider", "deeper", "skip connection", "dropout", "layer normalization"),
    *("learning rate up", "learning rate down"),
    *("narrower", "without layer", "without skip", "without dropout"),
    *("without layer normalization",),
)
GROWTH = RULES[:6]
SEARCH = {"children": 7, "moves": 2, "rung": 1}


class Small(ae.Module):
    """One hidden layer of 16: where every search begins."""

    def __init__(self) -> None:
        self.hidden, self.out = nn.Dense(16), nn.Dense(10)

    def __call__(self, x: Any) -> Any:
        return self.out(nn.relu(self.hidden(x)))


def data() -> tuple[Any, Any, Any, Any]:
    """1,000 images to train on and 797 to validate on, in a fixed order."""
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    x, y = (digits.data[order] / 16.0).astype("float32"), digits.target[order]
    return x[:ROWS], y[:ROWS], x[ROWS:], y[ROWS:]


def base() -> Small:
    model = Small()
    model(np.zeros((1, 64), "float32"))
    model.init(0)
    return model.with_pass(automl.Training(learning_rate=RATES[0], batch_size=BATCH))


def is_within(graph: Graph) -> bool:
    """Whether a network is of the space: depth, widths, learning rate, and how many extras."""
    nodes = toposort(graph.outputs)
    layers = [n for n in nodes if isinstance(n.op, DenseOp)]
    extras = [n for n in nodes if isinstance(n.op, DropoutOp | LayerNormOp) or n.op == at.add]
    widths = [n.outputs[0].type.shape[-1] for n in layers[:-1]]
    rate = automl.training_of(graph).learning_rate
    if not 1 <= len(widths) <= HIDDEN or len(extras) > EXTRAS or rate not in RATES:
        return False
    return min(widths) >= NARROWEST and max(widths) <= WIDEST


def space() -> Iterator[tuple[str, list[tuple[str, int]], Graph]]:
    """Every network of the space: its key, the shortest lineage to it, its graph."""
    rules = automl.require_alternatives(RULES)
    start = ae.lower(base(), TensorType("float32", (1, 64))("x"))
    todo: list[tuple[list[tuple[str, int]], Graph]] = [([], start)]
    seen = {automl.key(start)}
    yield automl.key(start), *todo[0]
    for lineage, graph in todo:  # grows while it is read: breadth first
        for rule, place, _ in automl.places(graph, rules):
            grown, _ = automl.Grow(rule, place)(graph)
            name = automl.key(grown)
            if name not in seen and is_within(grown):
                seen.add(name)
                todo.append(([*lineage, (rule.name, place)], grown))
                yield name, *todo[-1]


def scratch(model: ae.Module, trainer: Any, rate: float, seed: int) -> list[float]:
    """The validation NLL of each epoch of one training from scratch."""
    x, y, x_valid, y_valid = data()
    automl.reinitialize(model, seed)
    for path, cell in trainer.store.items():
        if path.startswith("optimizer.state") or path == "optimizer.count":
            cell.restore(np.zeros(cell.type.shape))
    trainer.optimizer.learning_rate.value = rate
    trainer.epoch, trainer.seed = 0, seed
    history = trainer.fit(
        *(x, y), validation_data=(x_valid, y_valid), epochs=EPOCHS, batch_size=BATCH, progress=False
    )
    return [float(v) for v in history["val_loss"]]


def entries(path: Path) -> dict[str, Any]:
    """Lines of JSON by lineage; none if there is no such file."""
    lines = path.read_text().splitlines() if path.exists() else []
    return {json.dumps(e["lineage"]): e for e in map(json.loads, lines)}


def table(work: Path, out: Path) -> None:
    """Train what ``work`` does not hold yet; write the table."""
    known = entries(work)
    groups: dict[str, list[Any]] = {}
    for name, lineage, graph in space():
        training = automl.training_of(graph)
        bare = automl.key(Graph(graph.inputs, (graph.outputs[0].owner.inputs[0],)))
        groups.setdefault(bare, []).append((name, lineage, training.learning_rate))
    total, began, done = sum(map(len, groups.values())), time.time(), 0
    for members in groups.values():  # one structure, compiled once
        done += len(members)
        if all(json.dumps(m[1]) in known for m in members):
            continue
        model = automl.grow(base(), members[0][1])
        model.compile(optimizer=ae.Adam(1e-3), loss=nn.softmax_cross_entropy, seed=0)
        with work.open("a") as stream:
            for _, lineage, rate in members:
                curves = [scratch(model, model._trainer, rate, seed) for seed in range(SEEDS)]
                mean = [round(float(v), 4) for v in np.mean(curves, axis=0)]
                known[json.dumps(lineage)] = entry = {"lineage": lineage, "nll": mean}
                stream.write(json.dumps(entry) + "\n")
        print(f"{done} of {total}, {time.time() - began:.0f} s", flush=True)
    lines = [
        json.dumps({"key": name, "lineage": lineage, "nll": known[json.dumps(lineage)]["nll"]})
        for members in groups.values()
        for name, lineage, _ in members
    ]
    head = {"epochs": EPOCHS, "seeds": SEEDS, "rows": ROWS, "batch": BATCH}
    out.write_text(json.dumps(head)[:-1] + ', "networks": [\n' + ",\n".join(lines) + "\n]}\n")


def searched(seed: int, budget: int) -> dict[str, Any]:
    """One search: the structure of the best candidate whenever another one became the best."""
    x, y, x_valid, y_valid = data()
    began = time.time()
    result = ae.AutoML(
        base(), GROWTH, nn.softmax_cross_entropy, budget, within=is_within, seed=seed, **SEARCH
    ).fit(x, y, validation_data=(x_valid, y_valid), progress=False)
    keys = {c.number: c.key for c in result.candidates}
    return {
        "seed": seed,
        "epochs": result.epochs,
        "candidates": len(keys),
        "seconds": round(time.time() - began, 1),
        "best": [(epochs, keys[number]) for epochs, number in result.trace],
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("table", "search"))
    parser.add_argument("--work", type=Path, default=Path("automl_table.jsonl"))
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    if chosen.what == "table":
        table(chosen.work, chosen.json or RESULTS / "automl_table.json")
