"""What training leaves behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from aeframe.core.summary import plain_table, render


@dataclass
class History:
    """The logs of each epoch, by name; tables show those that are numbers.

    >>> history = History()
    >>> history.append({"loss": 0.5})
    >>> history["loss"]
    [0.5]
    """

    logs: dict[str, list[float]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> list[float]:
        return self.logs[name]

    def append(self, logs: dict[str, float]) -> None:
        """Add the logs of one epoch."""
        for name, value in logs.items():
            self.logs.setdefault(name, []).append(value)

    @property
    def epochs(self) -> int:
        """How many epochs were finished."""
        return max(map(len, self.logs.values()), default=0)

    def plot(self, ax: Any = None) -> Any:
        """Draw the losses, training and validation, over epochs; returns the axes."""
        import matplotlib.pyplot as plt

        ax = ax or plt.subplots(figsize=(6, 3.5), layout="constrained")[1]
        for name, values in self.logs.items():
            if name.endswith("loss"):
                ax.plot(range(1, len(values) + 1), values, label=name.replace("_", " "))
        ax.set(xlabel="epoch", ylabel="loss")
        ax.legend(frameon=False)
        ax.spines[["top", "right"]].set_visible(False)
        return ax

    def __str__(self) -> str:
        logs = {k: v for k, v in self.logs.items() if all(np.ndim(x) == 0 for x in v)}
        table = plain_table("", "epoch", *logs)
        for epoch in range(self.epochs):
            values = [v[epoch] if epoch < len(v) else None for v in logs.values()]
            table.add_row(str(epoch + 1), *("" if v is None else f"{v:.4g}" for v in values))
        return render(table)
