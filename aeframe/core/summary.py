"""The table that ``model.summary()`` returns."""

from __future__ import annotations

import io

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from aeframe.core.cells import Cell
from aeframe.core.module import Module
from aeframe.core.shapes import shape_text
from aeframe.core.structure import branches


def render(table: Table, width: int = 100) -> str:
    """A rich table as text, without colours, at most ``width`` wide."""
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
    """Path, type, cells and number of values of each Module below ``module``."""
    table = plain_table(type(module).__name__, "path", "type", "cells", "values", "trainable")
    counted: set[Cell] = set()
    for path, part in module.modules().items():
        own = [(name, cell) for name, cell in _own_cells(part) if cell not in counted]
        counted.update(cell for _, cell in own)
        described = ", ".join(
            f"{name} {shape_text(cell.type.shape) if hasattr(cell.type, 'shape') else 'random'}"
            for name, cell in own
        )
        sizes = [(cell, _size(cell)) for _, cell in own]
        table.add_row(
            path or "(root)",
            type(part).__name__,
            described,
            str(sum(n for _, n in sizes)),
            str(sum(n for c, n in sizes if c.trainable)),
        )
    total = sum(_size(c) for c in counted)
    trainable = sum(_size(c) for c in counted if c.trainable)
    table.add_section()
    table.add_row("total", "", "", str(total), str(trainable))
    return render(table)


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


def _size(cell: Cell) -> int:
    return int(np.prod(cell.type.shape, dtype=np.int64)) if hasattr(cell.type, "shape") else 0
