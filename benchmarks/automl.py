"""AutoML on digits: a table of all networks of a space, and how soon a search is at its top.

    python benchmarks/automl.py table [--work FOLDER]
    python benchmarks/automl.py search [--work FOLDER] [--seeds 10]

``table`` trains every network that the rules below reach from one small network within the limits
below, three times from scratch, and keeps the mean validation NLL of each epoch.

``search`` runs a search for each seed and looks up what it found. The search trains for itself,
with its own seeds, and pays for every epoch; the table is not known to it. It has *reached* the
top when its incumbent, the candidate of the lowest score so far, is a network whose NLL
in the table, after the last epoch, is among the lowest 5%. Where a search *ends* is the network
that it returns for a budget, the best of those that it trained in full. Random search draws
networks of the table, pays the full training of one seed for each, and is told the table's NLL: by
expectation (N + 1) / (K + 1) draws for K of N.

The search was made with an eye on the seeds below 10 and from 100 on, its figures are of 10 to 19.

Both go on where they were interrupted, from ``--work``.
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
from harness import origin
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
SEARCH: dict[str, int] = {"children": 6, "rung": 2, "factor": 3, "moves": 3, "full": EPOCHS}
FINALISTS = {146: 2, 320: 3}  # of each budget, the first a quarter of what random search expects
BUDGET, TOP = 320, 0.05
Steps = list[tuple[int, str]]


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


def graph_of(model: ae.Module) -> Graph:
    return ae.lower(model, TensorType("float32", (1, 64))("x"))


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
    start = graph_of(base())
    todo: list[tuple[list[tuple[str, int]], Graph]] = [([], start)]
    seen = {automl.key(start)}
    yield automl.key(start), *todo[0]
    for lineage, graph in todo:  # grows while it is read: breadth first
        for rule, place, _ in automl.places(graph, rules):
            grown = automl.Grow(rule, place).structure(graph)
            name = automl.key(grown)
            if name not in seen and is_within(grown):
                seen.add(name)
                todo.append(([*lineage, (rule.name, place)], grown))
                yield name, *todo[-1]


def compiled(lineage: list[tuple[str, int]]) -> ae.Module:
    """The network at the end of a lineage, ready for :func:`scratch`."""
    model = automl.grow(base(), lineage)
    graph_of(model)  # its new cells are made now, from inherited values, and then drawn anew
    return model.compile(optimizer=ae.Adam(1e-3), loss=nn.softmax_cross_entropy, seed=0)


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
        missing = [m for m in members if json.dumps(m[1]) not in known]
        if not missing:
            continue
        model = compiled(members[0][1])
        with work.open("a") as stream:
            for _, lineage, rate in missing:
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
    head = {**origin(), "epochs": EPOCHS, "seeds": SEEDS, "rows": ROWS, "batch": BATCH}
    out.write_text(json.dumps(head)[:-1] + ', "networks": [\n' + ",\n".join(lines) + "\n]}\n")


class Table:
    """The networks of the space by key, each with its NLL after the last epoch."""

    def __init__(self, path: Path) -> None:
        known = json.loads(path.read_text())
        self.epochs = known["epochs"]
        self.nll = {e["key"]: e["nll"][-1] for e in known["networks"]}
        self.top = int(len(self.nll) * TOP)
        self.cut = sorted(self.nll.values())[self.top - 1]

    def reached(self, best: Steps) -> int | None:
        """The epochs trained when the incumbent was first among the top networks."""
        return next((epochs for epochs, key in best if self.nll[key] <= self.cut), None)

    def regret(self, best: Steps, at: Any) -> Any:
        """The incumbent's NLL above that of the best network, at each number of epochs."""
        epochs, values = zip(*((e, self.nll[key]) for e, key in best), strict=True)
        index = np.searchsorted(epochs, at, side="right") - 1
        return np.where(index < 0, np.nan, np.array(values)[index]) - min(self.nll.values())

    def is_top(self, best: Steps, at: int) -> bool:
        """Whether the incumbent after so many epochs is among the top networks."""
        return bool(self.regret(best, at) <= self.cut - min(self.nll.values()))

    def random(self, seed: int) -> Steps:
        """Random search: each network drawn is paid for in full, and its NLL then known."""
        order = np.random.default_rng(seed).permutation(sorted(self.nll))
        best: Steps = []
        for i, key in enumerate(map(str, order)):
            if not best or self.nll[key] < self.nll[best[-1][1]]:
                best.append(((i + 1) * self.epochs, key))
        return best


def searched(seed: int, budget: int, folder: Path) -> Steps:
    """One search: the structure of the incumbent whenever another candidate became the best."""
    x, y, x_valid, y_valid = data()
    search = ae.AutoML(
        *(base(), RULES, nn.softmax_cross_entropy, budget),
        **SEARCH,
        finalists=FINALISTS.get(budget, FINALISTS[BUDGET]),
        within=is_within,
        folder=folder / f"{seed}-{budget}",
        seed=seed,
    )
    result = search.fit(x, y, validation_data=(x_valid, y_valid), progress=False)
    keys = {c.number: c.key for c in result.candidates}
    assert result.trace[-1][1] == result.best.number
    return [(epochs, keys[number]) for epochs, number in result.trace]


def ends(table: Table, budget: int, ours: list[Steps], theirs: list[Steps]) -> dict[str, Any]:
    """What searches come to that end when a budget is spent: in the top, and above the best."""
    found = {"search": ours, "random": theirs}
    return {
        "in the top": {
            **{k: float(np.mean([table.is_top(b, budget) for b in v])) for k, v in found.items()},
            "random expected": round(1 - (1 - TOP) ** (budget // table.epochs), 3),
        },
        "regret": {
            k: round(float(np.mean([table.regret(b, budget) for b in v])), 5)
            for k, v in found.items()
        },
    }


def compare(work: Path, seeds: range, out: Path, picture: Path) -> None:
    """Search with each seed until the top is reached; write the figures and draw the regret."""
    table = Table(RESULTS / "automl_table.json")
    ended: dict[int, list[Steps]] = {budget: [] for budget in FINALISTS}
    ours: list[Steps] = []
    for seed in seeds:
        for budget, runs in ended.items():
            runs.append(searched(seed, budget, work))
        budget, best = BUDGET, ended[BUDGET][-1]
        while table.reached(best) is None and budget < 8 * BUDGET:
            budget *= 2
            best = searched(seed, budget, work)
        ours.append(best)
        print(f"seed {seed}: {table.reached(best)} epochs, of {budget}", flush=True)
    theirs = [table.random(seed) for seed in seeds]
    found = [table.reached(best) or 8 * BUDGET for best in ours]
    expected = table.epochs * (len(table.nll) + 1) / (table.top + 1)
    figures = {
        **origin(),
        "networks": len(table.nll),
        "top": table.top,
        "nll of the last of the top": table.cut,
        "best nll": min(table.nll.values()),
        "search": found,
        "search mean": float(np.mean(found)),
        "random": [table.reached(best) for best in theirs],
        "random mean": float(np.mean([table.reached(best) for best in theirs])),
        "random expected": round(expected, 1),
        "ratio to expected": round(float(np.mean(found)) / expected, 3),
        **{f"budget {n}": ends(table, n, runs, theirs) for n, runs in ended.items()},
        "settings": SEARCH,
        "finalists": FINALISTS,
        "rules": RULES,
    }
    out.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))
    draw(table, ended[BUDGET], theirs, expected, picture)


def draw(
    table: Table, ours: list[Steps], theirs: list[Steps], expected: float, picture: Path
) -> None:
    """Mean regret over epochs, with each seed as a thin line."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(7, 4), layout="constrained")
    ax = figure.subplots()
    at = np.arange(1, int(1.3 * expected))
    for runs, color, name in ((ours, "C0", "AutoML by rules"), (theirs, "0.45", "random search")):
        shown = at[at <= BUDGET] if runs is ours else at  # which all seeds have
        lines = [table.regret(best, shown) for best in runs]
        for line in lines:
            ax.plot(shown, line, color=color, lw=0.5, alpha=0.4)
        mean = np.mean(lines, axis=0)
        ax.plot(shown, mean, color=color, lw=2, label=f"{name}, mean of {len(runs)}")
    top = table.cut - min(table.nll.values())
    ax.axhline(top, color="C3", lw=1, ls="--", label=f"top {TOP:.0%}")
    ax.set(xlabel="epochs trained", ylabel="table NLL above the best", ylim=(0, 0.2))
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)
    figure.savefig(picture, dpi=130)
    plt.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("table", "search"))
    parser.add_argument("--work", type=Path, default=Path("automl_work"), help="a folder")
    parser.add_argument("--first", type=int, default=10, help="the first seed")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path, default=RESULTS / "automl.png")
    chosen = parser.parse_args()
    chosen.work.mkdir(parents=True, exist_ok=True)
    if chosen.what == "table":
        table(chosen.work / "table.jsonl", chosen.json or RESULTS / "automl_table.json")
    else:
        seeds = range(chosen.first, chosen.first + chosen.seeds)
        compare(chosen.work, seeds, chosen.json or RESULTS / "automl.json", chosen.picture)
