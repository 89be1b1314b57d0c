"""A difference of two graphs as a picture."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aesara.graph.basic import Apply, Constant, Variable

from aeframe.core.cells import Cell
from aeframe.core.graph import toposort
from aeframe.core.shapes import shape_or_name
from aeframe.rewrites.report import op_text

REMOVED, ADDED, SHARED = "#c0392b", "#1e8449", "#7f8c8d"
HEIGHT, WIDTH = 0.75, 1.9  # inches of a row and of a box
ROWS = 40  # of a side: what is below is counted, not drawn


@dataclass(eq=False)
class Box:
    """Applies drawn as one: a single one, or a run that both graphs have."""

    nodes: list[Apply]
    changed: bool
    below: list[Box] = field(default_factory=list)  # what it takes
    row: int = 0
    x: float = 0.0

    @property
    def text(self) -> str:
        """The Op and the shape of what it makes."""
        if len(self.nodes) > 1:
            return f"⋮\n{len(self.nodes)} unchanged"
        (node,) = self.nodes
        values = re.sub(r"\b\w+=", "", op_text(node.op))
        return f"{_short(values, 26)}\n{_short(shape_or_name(node.outputs[0]), 26)}"


def draw(removed: Sequence[Apply], added: Sequence[Apply]) -> Any:
    """Two graphs from top to bottom: what goes in red, what comes in green, around it in grey.

    What is the same but for its inputs counts as unchanged, and a run of that is one box. What
    depends on weights alone is left out, unless there is nothing else. Returns the two Axes.
    """
    import matplotlib.pyplot as plt

    same = Counter(map(_key, removed)) & Counter(map(_key, added))
    sides = [_layout(_boxes(nodes, Counter(same))) for nodes in (removed, added)]
    spans = [max((abs(box.x) for box in side), default=0.0) * 2 + 1.2 for side in sides]
    rows = 1 + min(max((box.row for side in sides for box in side), default=0), ROWS)
    _, panels = plt.subplots(
        1,
        2,
        figsize=(WIDTH * sum(spans), HEIGHT * rows + 0.4),
        width_ratios=spans,
        layout="constrained",
    )
    drawn = zip(panels, ("before", "after"), sides, spans, (REMOVED, ADDED), strict=True)
    for panel, title, boxes, span, color in drawn:
        panel.set_title(title, fontsize=11, fontweight="bold")
        panel.set(xlim=(-span / 2, span / 2), ylim=(rows - 0.5, -0.5))
        panel.axis("off")
        _side(panel, boxes, color)
    return panels


def _key(node: Apply) -> Any:
    return (node.op, getattr(node.tag, "path", None), *(o.type for o in node.outputs))


def _data(nodes: Sequence[Apply]) -> list[Apply]:
    """Those that depend on more than weights, in order; all if none does."""
    outputs = [o for node in nodes for o in node.outputs]
    of_data: dict[Variable, bool] = {}

    def moving(v: Variable) -> bool:
        return of_data.get(v, not isinstance(v, Constant | Cell))

    order = toposort(outputs)
    for node in order:
        of_data.update(dict.fromkeys(node.outputs, any(map(moving, node.inputs))))
    given = set(nodes)
    found = [n for n in order if n in given]
    return [n for n in found if of_data[n.outputs[0]]] or found


def _boxes(nodes: Sequence[Apply], same: Counter[Any]) -> list[Box]:
    """The Applies with those that they take, inputs first; runs that are unchanged are one box."""
    own = set(nodes)
    around = {v.owner for n in nodes if not same[_key(n)] for v in n.inputs if v.owner}
    drawn = _data([*(around - own), *nodes])
    kept = set()
    for node in reversed(drawn):  # a change is seen from there to the outputs
        if node in own and same[_key(node)]:
            same[_key(node)] -= 1
            kept.add(node)
    changed = {n for n in drawn if n in own and n not in kept}
    near = {v.owner for n in changed for v in n.inputs}
    near |= {n for n in kept if any(v.owner in changed for v in n.inputs)}
    box: dict[Apply, Box] = {}
    for node in drawn:
        below = list(dict.fromkeys(box[v.owner] for v in node.inputs if v.owner in box))
        hidden = node in kept and node not in near
        run = below[0] if len(below) == 1 else None
        if hidden and run and not run.changed and not near.intersection(run.nodes):
            run.nodes.append(node)
            box[node] = run
        else:
            box[node] = Box([node], node in changed, below)
    return list(dict.fromkeys(box.values()))


def _layout(boxes: list[Box]) -> list[Box]:
    """Rows by depth; in a row each box near what it takes and what takes it."""
    rows: dict[int, list[Box]] = {}
    above: dict[Box, list[Box]] = {box: [] for box in boxes}
    for box in boxes:
        box.row = 1 + max((b.row for b in box.below), default=-1)
        for b in box.below:
            above[b].append(box)
    for box in boxes:
        if not box.below and above[box]:
            box.row = min(b.row for b in above[box]) - 1
        rows.setdefault(box.row, []).append(box)
    neighbours: Mapping[Box, list[Box]] = {box: [*box.below, *above[box]] for box in boxes}
    for _ in range(4):
        for row in rows.values():
            near = {b: [n.x for n in neighbours[b]] or [b.x] for b in row}
            row.sort(key=lambda b: sum(near[b]) / len(near[b]))
            for i, b in enumerate(row):
                b.x = i - (len(row) - 1) / 2
    return boxes


def _side(panel: Any, boxes: Sequence[Box], color: str) -> None:
    shown = [box for box in boxes if box.row < ROWS]
    for box in shown:
        edge = color if box.changed else SHARED
        frame = {"boxstyle": "round,pad=0.35", "fc": "white", "ec": edge, "lw": 1.4}
        panel.text(
            box.x, box.row, box.text, bbox=frame, ha="center", va="center", fontsize=7, color=edge
        )
        for source in box.below:
            bend = 0.0 if box.row == source.row + 1 else 0.25
            panel.annotate(
                "",
                (box.x, box.row - 0.3),
                (source.x, source.row + 0.3),
                arrowprops={
                    "arrowstyle": "->",
                    "color": SHARED,
                    "connectionstyle": f"arc3,rad={bend}",
                },
            )
    if len(shown) < len(boxes):
        panel.text(0, ROWS, f"… {len(boxes) - len(shown)} more", ha="center", color=SHARED)


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
