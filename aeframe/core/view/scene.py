"""The scene that ``model.view()`` draws: groups, cards and cells as plain data."""

from __future__ import annotations

from typing import Any

import numpy as np
from aesara.graph.basic import Apply, Constant, Variable
from aesara.tensor.random.type import RandomType

from aeframe.core.cells import Cell, Parameter, RandomState
from aeframe.core.errors import UnknownNameError, nearest
from aeframe.core.graph import Graph, toposort
from aeframe.core.intermediate import IntermediateType
from aeframe.core.module import Module
from aeframe.core.shapes import is_tensor, shape_text, type_text
from aeframe.core.structure import Structure
from aeframe.core.view import labels
from aeframe.core.view.groups import Address, addresses, is_below, prefixes, relative

Data = dict[str, Any]


def scene(module: Module, graph: Graph, path: str = "") -> Data:
    """The graph of ``module`` as data for the page; of the part at ``path`` alone, if given.

    Raises
    ------
    UnknownNameError
        When no Module has that path.
    """
    modules = module.modules()
    if path not in modules:
        raise UnknownNameError("no Module has this path", path=path, fix=nearest(path, [*modules]))
    made = _Scene(module, modules, graph, path)
    made.add_inputs()
    for node, address in zip(made.nodes, made.addresses, strict=True):
        made.add_apply(node, address)
    made.add_outputs()
    made.add_unused()
    return {
        "title": type(modules[path]).__name__,
        "path": path,
        "totals": made.totals(),
        "groups": made.groups,
        "cards": made.cards,
        "cells": made.cells,
    }


class _Scene:
    """A scene in the making; ``nodes`` are the Applies it shows."""

    def __init__(self, root: Module, modules: dict[str, Module], graph: Graph, top: str) -> None:
        self.root, self.modules, self.graph, self.top = root, modules, graph, top
        self.groups: list[Data] = []
        self.cards: list[Data] = []
        self.cells: list[Data] = []
        self._group_at: dict[Address, int] = {}
        self._cell_at: dict[Variable, int] = {}
        self._made_at: dict[Variable, tuple[int, int]] = {}
        self._aliases: dict[Variable, Variable] = {}
        for cell in (c for p, c in root.store.items() if is_below(p, top)):
            self._cell(cell)
        self._written: dict[Variable, list[int]] = {}
        for cell, value in graph.updates.items():
            self._written.setdefault(value, []).append(self._cell(cell))
        self._group(((top, 0),))
        self.all = toposort(graph.results)
        self.nodes = [n for n in self._worth_a_card() if is_below(self._path_of(n), top)]
        paths = [self._path_of(n) for n in self.nodes]
        expressions = {p for p, n in zip(paths, self.nodes, strict=True) if _makes_expression(n)}
        self.addresses = addresses(paths, self._links(), modules, expressions, top)

    def totals(self) -> Data:
        """The numbers of the page's header."""
        learned = [c for c in self.cells if c["kind"] in ("parameter", "frozen")]
        return {
            "modules": sum(is_below(p, self.top) for p in self.modules),
            "ops": len(self.nodes),
            "parameters": sum(c["size"] for c in learned),
            "frozen": sum(c["size"] for c in learned if c["kind"] == "frozen"),
            "bytes": sum(c["bytes"] for c in learned),
        }

    def add_inputs(self) -> None:
        """Cards of what comes from outside: the graph's inputs, or what a part is given."""
        names = {v: v.name or f"input {i}" for i, v in enumerate(self.graph.inputs)}
        own = set(self.nodes)
        used = dict.fromkeys(self._source(v) for n in self.nodes for v in n.inputs)
        hidden = set(self.all) - set(self._shown) if not self.top else set()
        for v in dict.fromkeys(used if self.top else (*names, *used)):
            if v.owner in own or v.owner in hidden or _is_leaf(v):
                continue
            made = labels.title_of(v.owner.op) if v.owner is not None else "input"
            self._made_at[v] = (len(self.cards), 0)
            self._end("input", names.get(v) or v.name or made, outs=[type_text(v)])

    def add_outputs(self) -> None:
        """Cards of what leaves; a site that bears the name of its output is its own."""
        results = self.graph.outputs
        names = dict(zip(results, self.graph.names, strict=False))
        own = set(self.nodes)
        if self.top:
            outside = {self._source(v) for n in self.all if n not in own for v in n.inputs}
            wanted = outside.union(results)
            made = [o for n in self.nodes for o in n.outputs]
            results = tuple(v for v in made if v in wanted and not is_random(v))
        for i, v in enumerate(dict.fromkeys(results)):
            place = self._made_at.get(self._source(v))
            if place is None or (v.name is not None and v.name == names.get(v)):
                continue
            name = names.get(v) or ("output" if len(results) == 1 else f"output {i}")
            self._end("output", name, args=[{"name": "", "card": place[0], "out": place[1]}])

    def add_apply(self, node: Apply, address: Address) -> None:
        """The card of an Apply."""
        path = self._path_of(node)
        names = labels.argument_names(node)
        card = {
            "group": self._group(address),
            "kind": labels.kind_of(node.op),
            "title": labels.title_of(node.op),
            "name": relative(path, address[-1][0]),
            "path": path,
            "type": type(node.op).__name__,
            "doc": labels.first_line(node.op),
            "props": labels.props_of(node.op),
            "args": [
                found
                for name, v in zip(names, node.inputs, strict=True)
                if (found := self._argument(name, self._source(v))) is not None
            ],
            "outs": ["" if is_random(o) else type_text(o) for o in node.outputs],
            "writes": [c for o in node.outputs for c in self._written.get(o, ())],
        }
        for k, out in enumerate(node.outputs):
            self._made_at[out] = (len(self.cards), k)
        self.cards.append(card)

    def add_unused(self) -> None:
        """Cards of Modules with cells that the graph does not read."""
        used = {a["cell"] for card in self.cards for a in card["args"] if "cell" in a}
        left: dict[str, list[int]] = {}
        for i, cell in enumerate(self.cells):
            if i not in used and cell["path"]:
                owner = [p for p in prefixes(cell["path"]) if p in self.modules][-1]
                left.setdefault(owner, []).append(i)
        known = {g["path"]: i for i, g in enumerate(self.groups)}
        for path, indices in left.items():
            group = [p for p in prefixes(path) if p in known][-1]
            part = self.modules[path]
            self.cards.append(
                {
                    "group": known[group],
                    "kind": "unused",
                    "title": type(part).__name__,
                    "name": relative(path, group),
                    "path": path,
                    "type": type(part).__name__,
                    "doc": "Not read by this graph.",
                    "props": [],
                    "args": [{"name": self._local(i, path), "cell": i} for i in indices],
                    "outs": [],
                    "writes": [],
                }
            )

    def _worth_a_card(self) -> list[Apply]:
        """All Applies but arithmetic on sizes and added axes; those that results are stay."""
        sizes: set[Variable] = set()
        results = set(self.graph.results)
        self._shown: list[Apply] = []
        for node in self.all:
            wanted = not results.isdisjoint(node.outputs)
            if not wanted and labels.measures_only(node, sizes):
                sizes.update(node.outputs)
            elif not wanted and labels.keeps_order(node):
                self._aliases[node.outputs[0]] = self._source(node.inputs[0])
            else:
                self._shown.append(node)
        return self._shown

    def _source(self, variable: Variable) -> Variable:
        return self._aliases.get(variable, variable)

    def _path_of(self, node: Apply) -> str:
        path = getattr(node.tag, "path", None) or ""
        return "" if path == type(self.root).__name__ and path not in self.modules else path

    def _links(self) -> list[tuple[int, int]]:
        """Pairs of shown Applies, one of which feeds the other; random states do not count."""
        made_by = {o: i for i, n in enumerate(self.nodes) for o in n.outputs if not is_random(o)}
        sources = [[self._source(v) for v in n.inputs] for n in self.nodes]
        return [(made_by[v], j) for j, given in enumerate(sources) for v in given if v in made_by]

    def _argument(self, name: str, variable: Variable) -> Data | None:
        """One input of a card: made by a card, a cell, or a constant."""
        if variable in self._made_at and not is_random(variable):
            card, out = self._made_at[variable]
            return {"name": name, "card": card, "out": out}
        if isinstance(variable, Cell):
            index = self._cell(variable)
            return {"name": self._local(index) or name or "value", "cell": index}
        if isinstance(variable, Constant) and labels.is_shown(variable):
            return {"name": name, "value": labels.constant_text(variable)}
        return None

    def _local(self, index: int, path: str | None = None) -> str:
        """What a cell is called in its own Module."""
        whole = self.cells[index]["path"]
        owners = [p for p in prefixes(whole) if p in self.modules] if path is None else [path]
        return relative(whole, owners[-1]) if whole else ""

    def _end(self, kind: str, title: str, **parts: Any) -> None:
        """A card of an input or an output."""
        empty = {"args": [], "outs": [], "props": [], "writes": [], "name": "", "path": ""}
        card = {"group": 0, "kind": kind, "title": title, "type": kind, "doc": ""}
        self.cards.append({**empty, **card, **parts})

    def _group(self, address: Address) -> int:
        """The number of the group at an address; it and those around it are made when new."""
        if address not in self._group_at:
            outer = self._group(address[:-1]) if len(address) > 1 else None
            path, call = address[-1]
            part = self.modules.get(path)
            name = relative(path, address[-2][0]) if part is not None and len(address) > 1 else ""
            fields = part.fields().items() if part is not None else ()
            cells = [c for c in self.cells if c["path"] and is_below(c["path"], path)]
            self._group_at[address] = len(self.groups)
            self.groups.append(
                {
                    "path": path,
                    "parent": outer,
                    "name": f"{name} (call {call + 1})".strip() if call else name,
                    "type": type(part).__name__ if part is not None else path.split(".")[-1],
                    "doc": labels.first_line(part) if part is not None else "",
                    "props": labels.plain_values([(k, v) for k, v in fields if _is_plain(v)]),
                    "size": sum(c["size"] for c in cells if c["kind"] in ("parameter", "frozen")),
                    "frozen": sum(c["size"] for c in cells if c["kind"] == "frozen"),
                }
            )
        return self._group_at[address]

    def _cell(self, cell: Any) -> int:
        """The number of a cell."""
        if cell not in self._cell_at:
            self._cell_at[cell] = len(self.cells)
            kind = "random" if isinstance(cell, RandomState) else "state"
            if isinstance(cell, Parameter):
                kind = "parameter" if cell.trainable else "frozen"
            tensor = is_tensor(cell)
            size = int(np.prod(cell.type.shape, dtype=np.int64)) if tensor else 0
            known = tensor and size == 1 and cell.data is not None
            self.cells.append(
                {
                    "path": cell.name or "",
                    "kind": kind,
                    "shape": shape_text(cell.type.shape) if tensor else "",
                    "dtype": cell.type.dtype if tensor else "",
                    "size": size,
                    "value": f"{cell.numpy().item():.6g}" if known else None,
                    "bytes": size * np.dtype(cell.type.dtype).itemsize if tensor else 0,
                }
            )
        return self._cell_at[cell]


def is_random(variable: Variable) -> bool:
    """Whether a variable is the state of a stream of random numbers."""
    return isinstance(variable.type, RandomType)


def _is_leaf(variable: Variable) -> bool:
    return isinstance(variable, Cell | Constant) or is_random(variable)


def _is_plain(value: Any) -> bool:
    return isinstance(value, int | float | str) and not isinstance(value, Structure)


def _makes_expression(node: Apply) -> bool:
    return any(isinstance(o.type, IntermediateType) for o in node.outputs)
