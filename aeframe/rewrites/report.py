"""What passes say they did."""

from __future__ import annotations

from dataclasses import dataclass, field

from aesara.graph.basic import Constant, Variable
from aesara.graph.op import Op

from aeframe.core.summary import plain_table, render


@dataclass(frozen=True)
class Step:
    """One rewrite: the rule, the place, the term before and after, and the gain.

    ``predicted`` and ``measured`` are seconds saved in one run, where they are known.
    """

    rule: str
    path: str
    before: str
    after: str
    predicted: float | None = None
    measured: float | None = None


@dataclass(frozen=True)
class Report:
    """What one pass did to one graph."""

    name: str
    steps: tuple[Step, ...] = ()
    note: str = ""

    def __str__(self) -> str:
        title = self.name + (f": {self.note}" if self.note else "")
        if not self.steps:
            return f"{title}\n  nothing to rewrite"
        gains = [n for n in ("predicted", "measured") if any(getattr(s, n) for s in self.steps)]
        headers = [f"{name} gain" for name in gains]
        table = plain_table(title, "rule", "place", "before", "after", *headers)
        for s in self.steps:
            seconds = [_seconds(getattr(s, name)) for name in gains]
            table.add_row(s.rule, s.path, s.before, s.after, *seconds)
        if gains and len(self.steps) > 1:
            sums = [sum(getattr(s, name) or 0.0 for s in self.steps) for name in gains]
            table.add_row("in all", "", "", "", *map(_seconds, sums))
        return render(table, width=120)


@dataclass(frozen=True)
class Explanation:
    """The reports of all passes over a model, in order; prints as tables.

    ``note`` says where they are from, if that is not what the passes do here and now.
    """

    reports: tuple[Report, ...] = field(default=())
    note: str = ""

    @property
    def steps(self) -> tuple[Step, ...]:
        """All rewrites, in order."""
        return tuple(s for r in self.reports for s in r.steps)

    def __str__(self) -> str:
        noted = [self.note] if self.note else []
        return "\n\n".join([*noted, *map(str, self.reports)]) or "no passes"

    __repr__ = __str__


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value * 1e6:+.3g} µs"


def op_text(op: Op) -> str:
    """The name of an Op in a term: ``exp`` for ``Elemwise{exp,no_inplace}``."""
    name = str(op)
    return name[9:].split(",")[0].rstrip("}") if name.startswith("Elemwise{") else name


def describe(variable: Variable, depth: int = 3) -> str:
    """A term as text, ``Dense(relu(Dense(x, …)), …)``, down to ``depth``.

    >>> import aesara.tensor as at
    >>> describe(at.exp(at.dvector("x")))
    'exp(x)'
    """
    if isinstance(variable, Constant):
        data = variable.data
        return f"{data:.4g}" if getattr(data, "size", 0) == 1 and data.ndim == 0 else "…"
    if variable.owner is None:
        return variable.name or "·"
    node = variable.owner
    name = op_text(node.op)
    if name.startswith("InplaceDimShuffle") or name.startswith("DimShuffle"):
        return describe(node.inputs[0], depth)
    if depth == 0:
        return f"{name}(…)"
    return f"{name}({', '.join(describe(v, depth - 1) for v in node.inputs)})"
