"""The table that ``model.summary()`` returns."""

from __future__ import annotations

import io
import re

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from aeframe.core.cells import Cell, Parameter, RandomState, count_parameters
from aeframe.core.module import Module
from aeframe.core.shapes import shape_text
from aeframe.core.structure import branches

# columns that may be folded have this room at least, where a table has no room for all
ROOM = 12
NUMBER = re.compile(r"[-+]?([\d.,]+(e[-+]?\d+)?%?|nan|inf)|")


def render(table: Table, width: int = 100) -> str:
    """A rich table as text, without colours, ``width`` wide at most.

    It is wider where numbers, their headers and names that are not to be folded need it: no digit
    of a number is ever cut.
    """
    needed = 0
    for column in table.columns:
        cells = [str(cell) for cell in column.cells]
        widest = max(map(len, [str(column.header), *cells]))
        if column.no_wrap or all(map(NUMBER.fullmatch, cells)):
            column.no_wrap, column.min_width = True, widest
        needed += (widest if column.no_wrap else min(widest, ROOM)) + 3
    width = max(width, needed)
    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None, markup=False).print(table)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()).strip("\n")


def plain_table(title: str, *columns: str) -> Table:
    """An empty table in the one style that aeframe prints."""
    table = Table(title=title or None, box=SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def summary(module: Module) -> str:
    """Path, type, last output, cells and number of parameters of each Module below ``module``."""
    title = type(module).__name__
    if not module._last_output and not any(isinstance(c, Parameter) for c in module.store.values()):
        title += ", not called yet: parameters are made at the first call"
    table = plain_table(title, "path", "type", "output", "cells")
    table.add_column("parameters", justify="right")
    table.add_column("")
    counted: set[Cell] = set()
    for path, part in module.modules().items():
        own = [(name, cell) for name, cell in _own_cells(part) if cell not in counted]
        counted.update(cell for _, cell in own)
        learned = [cell for _, cell in own if isinstance(cell, Parameter)]
        table.add_row(
            path or "(root)",
            type(part).__name__,
            part._last_output,
            ", ".join(f"{name} {_shape(cell)}" for name, cell in own),
            f"{count_parameters(learned):,}" if learned else "",
            "frozen" if learned and not any(c.trainable for c in learned) else "",
        )
    learned = [c for c in counted if isinstance(c, Parameter)]
    table.columns[0].no_wrap = True  # a path is there to be copied
    table.add_section()
    table.add_row("total", "", "", "", f"{count_parameters(learned):,}")
    frozen = count_parameters([c for c in learned if not c.trainable])
    if frozen:
        table.add_row("frozen", "", "", "", f"{frozen:,}")
    return render(table, width=120)


def _own_cells(part: object) -> list[tuple[str, Cell]]:
    found: list[tuple[str, Cell]] = []
    todo = list(branches(part))
    while todo:
        name, value = todo.pop(0)
        if isinstance(value, Cell):
            found.append((name.removeprefix("."), value))
        elif isinstance(value, list | tuple | dict):
            todo.extend((name + suffix, v) for suffix, v in branches(value))
    return found


def _shape(cell: Cell) -> str:
    return "random" if isinstance(cell, RandomState) else shape_text(cell.type.shape)
