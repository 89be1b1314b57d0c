"""A difference of two graphs as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aesara.graph.basic import Apply, Constant, Variable

from aeframe.core.shapes import shape_or_name

REMOVED, ADDED, SHARED = "#c0392b", "#1e8449", "#566573"
HEIGHT, WIDTH = 0.62, 5.0  # inches of a row and of a side


def draw(removed: Sequence[Apply], added: Sequence[Apply]) -> Any:
    """Two columns, before and after: Applies in order, with arrows along the variables.

    What an Apply takes from outside of the difference is named on its left.
    """
    import matplotlib.pyplot as plt

    rows = max(len(removed), len(added), 1)
    figure, axes = plt.subplots(1, 2, figsize=(2 * WIDTH, HEIGHT * rows + 1.0), squeeze=False)
    sides = zip(axes[0], ("before", "after"), (removed, added), (REMOVED, ADDED), strict=True)
    for panel, title, nodes, color in sides:
        panel.set_title(title, loc="left", fontsize=11)
        panel.set_xlim(0, 1)
        panel.set_ylim(rows - 0.4, -0.6)
        panel.axis("off")
        _column(panel, nodes, color)
    figure.tight_layout()
    return figure


def _column(panel: Any, nodes: Sequence[Apply], color: str) -> None:
    row = {out: i for i, node in enumerate(nodes) for out in node.outputs}
    box = {"boxstyle": "round,pad=0.3", "fc": "white", "ec": color, "lw": 1.4}
    for i, node in enumerate(nodes):
        text = f"{node.op}  {shape_or_name(node.outputs[0])}"
        panel.text(0.3, i, _short(text, 44), bbox=box, va="center", fontsize=8, color=color)
        outside = [_name(v) for v in node.inputs if v not in row and not isinstance(v, Constant)]
        panel.text(
            0.27,
            i,
            _short(", ".join(outside), 24),
            ha="right",
            va="center",
            fontsize=7,
            color=SHARED,
        )
        for source in sorted({row[v] for v in node.inputs if v in row}):
            bend = 0.0 if source == i - 1 else min(0.12 + 0.03 * (i - source), 0.4)
            arrow = {"arrowstyle": "->", "color": SHARED, "connectionstyle": f"arc3,rad={bend}"}
            panel.annotate(
                "", (0.34, i - 0.28), (0.34, source + 0.28), arrowprops=arrow, annotation_clip=False
            )


def _name(variable: Variable) -> str:
    if variable.name:
        return variable.name
    return str(variable.owner.op) if variable.owner else "·"


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
