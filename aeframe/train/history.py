"""What training leaves behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from aeframe.core.summary import plain_table, render


def short(value: Any) -> str:
    """A logged value in a few characters; of an array, its shape.

    >>> short(0.123456), short(np.zeros((2, 2)))
    ('0.1235', '(2, 2)')
    """
    return f"{float(value):.4g}" if np.ndim(value) == 0 else str(np.shape(value))


@dataclass
class History:
    """The logs of each epoch, by name.

    >>> history = History()
    >>> history.append({"loss": 0.5})
    >>> history["loss"]
    [0.5]
    """

    logs: dict[str, list[Any]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> list[Any]:
        return self.logs[name]

    def append(self, logs: dict[str, Any]) -> None:
        """Add the logs of one epoch."""
        for name, value in logs.items():
            self.logs.setdefault(name, []).append(value)

    @property
    def epochs(self) -> int:
        """How many epochs were finished."""
        return max(map(len, self.logs.values()), default=0)

    def plot(self, figure: Any = None) -> Any:
        """Draw loss and metrics over epochs, a panel each, and return the array of axes.

        ``figure`` is a figure or subfigure of matplotlib; one is made if there is none.
        """
        import matplotlib.pyplot as plt
        from matplotlib.ticker import MaxNLocator

        drawn = {n: v for n, v in self.logs.items() if v and np.ndim(v[0]) == 0}
        panels = list(dict.fromkeys(name.removeprefix("val_") for name in drawn))
        columns = min(max(len(panels), 1), 3)
        rows = -(-max(len(panels), 1) // columns)
        if figure is None:
            figure = plt.figure(figsize=(3.6 * columns, 2.6 * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False)
        for ax, panel in zip(axes.flat, panels, strict=False):
            for name, label in ((panel, "training"), (f"val_{panel}", "validation")):
                values = drawn.get(name, [])
                marker = "o" if len(values) == 1 else None
                if values:
                    ax.plot(range(1, len(values) + 1), values, marker=marker, label=label)
            ax.set(xlabel="epoch", title=panel.replace("_", " "))
            ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
            ax.spines[["top", "right"]].set_visible(False)
        for ax in list(axes.flat)[len(panels) :]:
            ax.set_visible(False)
        axes.flat[0].legend(frameon=False)
        return axes

    def __str__(self) -> str:
        table = plain_table("", "epoch", *self.logs)
        for epoch in range(self.epochs):
            values = [v[epoch] if epoch < len(v) else None for v in self.logs.values()]
            table.add_row(str(epoch + 1), *("" if v is None else short(v) for v in values))
        return render(table, width=max(100, sum(len(name) + 3 for name in self.logs) + 8))
