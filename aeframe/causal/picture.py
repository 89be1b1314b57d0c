"""Pictures of causal graphs by Matplotlib: layers from causes to effects, dashed arcs for ↔."""

from __future__ import annotations

import textwrap
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from aeframe.causal.graph import CausalGraph
from aeframe.causal.model_graph import as_graph
from aeframe.prob import Model

Places = dict[str, NDArray[np.float64]]

BENDS = (
    0.0,
    0.15,
    -0.15,
    0.3,
    -0.3,
    0.45,
    -0.45,
    0.6,
    -0.6,
)  # how far an edge may leave the straight line
ARC_BENDS = (-0.25, 0.25, -0.4, 0.4, -0.55, 0.55)
ROOM = 0.05  # that an edge keeps from frames
APART = 0.2  # how far its middle is from other edges
POINTS = 31  # of a curve
SPACE = 1.8  # between variables of a layer, where 1 is between layers
INK, CUT, SET = "#333333", "#b5b5b5", "#c8553d"
FACES = {"observed": "#dddddd", "do": "#fbe3dc"}


def plot(
    before: Model | CausalGraph, after: Model | CausalGraph | None = None, ax: Any = None
) -> Any:
    """A causal graph, or one before and after an intervention side by side.

    In the second picture variables that the intervention set have a thick frame, and the edges
    that it cut are dotted. Returns the Matplotlib axes, an array of two for two graphs.

    Parameters
    ----------
    before, after
        Graphs, or Models that take no data.
    ax
        Where to draw: axes, or two of them.

    >>> import aeframe as ae
    >>> class Chain(ae.Model):
    ...     def __call__(self):
    ...         x = self.sample("x", ae.Normal(0, 1))
    ...         self.sample("y", ae.Normal(2 * x, 1))
    >>> axes = plot(Chain(), Chain().intervene({"y": 3}))
    >>> len(axes)
    2
    """
    import matplotlib.pyplot as plt

    first = as_graph(before)
    if after is None:
        return draw(first, ax)
    second = as_graph(after)
    places = layout(_both(first, second))
    if ax is None:
        width, height = _size(places)
        _, ax = plt.subplots(1, 2, figsize=(2 * width, height), layout="constrained")
    for side, graph, title in zip(ax, (first, second), ("before", "after"), strict=True):
        draw(graph, side, places, first)
        side.set_title(title)
    return ax


def draw(
    graph: CausalGraph,
    ax: Any = None,
    places: Places | None = None,
    before: CausalGraph | None = None,
) -> Any:
    """One graph on axes; edges of ``before`` that it has no longer are dotted."""
    import matplotlib.pyplot as plt

    places = places or layout(graph)
    if ax is None:
        _, ax = plt.subplots(figsize=_size(places), layout="constrained")
    cut = _missing(graph, before) if before is not None else []
    boxes = {v: _box(ax, graph, v, places[v], any(b == v for _, b in cut)) for v in graph.nodes}
    styles = [(e, {"color": INK, "arrowstyle": "-|>"}) for e in graph.directed.edges]
    styles += [(e, {"color": CUT, "arrowstyle": "-|>", "linestyle": ":"}) for e in cut]
    router = Router(places)
    for (a, b), style in styles:
        _edge(ax, boxes, (a, b), router.bend(a, b, BENDS), **style)
    for a, b in graph.bidirected.edges:
        bend = router.bend(a, b, ARC_BENDS)
        _edge(ax, boxes, (a, b), bend, color=INK, arrowstyle="<|-|>", linestyle=(0, (4, 3)))
    points = np.array(list(places.values())).reshape(-1, 2)
    low, high = points.min(axis=0) - 0.6, points.max(axis=0) + 0.6
    ax.set_xlim(low[0], high[0])
    ax.set_ylim(low[1], high[1])
    ax.set_axis_off()
    return ax


def layout(graph: CausalGraph) -> Places:
    """Variable → its place: a layer below its lowest cause, in an order with few crossings."""
    depth: dict[str, int] = {}
    for v in graph.order:
        depth[v] = 1 + max((depth[p] for p in graph.directed.predecessors(v)), default=-1)
    for v in reversed(graph.order):  # a cause stands just above its first effect
        depth[v] = min((depth[c] for c in graph.directed.successors(v)), default=depth[v] + 1) - 1
    layers: list[list[str]] = [[] for _ in range(max(depth.values(), default=0) + 1)]
    for v in graph.order:
        layers[depth[v]].append(v)
    links = nx.compose(nx.Graph(graph.directed), nx.Graph(graph.bidirected))
    across: dict[str, float] = {}
    for layer in layers:
        across.update(_spread(layer))
    for sweep in range(8):  # to the mean of the neighbours, from above and from below in turn
        for layer in layers[:: 1 if sweep % 2 == 0 else -1]:
            layer.sort(key=lambda v: np.mean([across[u] for u in links[v]] or [across[v]]))
            across.update(_spread(layer))
    return {v: np.array([across[v], -float(depth[v])]) for v in graph.nodes}


def _spread(layer: list[str]) -> dict[str, float]:
    """Places of a layer, its middle at 0."""
    return {v: SPACE * (i - (len(layer) - 1) / 2) for i, v in enumerate(layer)}


def _both(first: CausalGraph, second: CausalGraph) -> CausalGraph:
    """All variables of two graphs, with the edges of the second where these allow no others."""
    try:
        return CausalGraph(
            [*first.directed.edges, *second.directed.edges],
            [*first.bidirected.edges, *second.bidirected.edges],
            [*first.nodes, *second.nodes],
        )
    except ValueError:
        return second


def _missing(graph: CausalGraph, before: CausalGraph) -> list[tuple[str, str]]:
    """The directed edges that ``before`` has and ``graph`` has not."""
    return [
        (a, b)
        for a, b in before.directed.edges
        if {a, b} <= set(graph.nodes) and not graph.directed.has_edge(a, b)
    ]


def _size(places: Places) -> tuple[float, float]:
    """Inches for a picture."""
    points = np.array(list(places.values())).reshape(-1, 2)
    width, height = points.max(axis=0) - points.min(axis=0)
    return max(3.0, 0.9 * width + 1.8), max(2.2, 1.0 * height + 1.4)


def _box(ax: Any, graph: CausalGraph, name: str, place: NDArray[np.float64], set_: bool) -> Any:
    """A variable: its name in a frame."""
    kind = graph.kinds[name]
    is_set = set_ or kind == "do"
    shape = "square,pad=0.35" if kind in ("data", "deterministic") else "round,pad=0.4"
    return ax.text(
        *place,
        _wrapped(name),
        ha="center",
        va="center",
        fontsize=10,
        zorder=3,
        bbox={
            "boxstyle": shape,
            "facecolor": FACES["do"] if is_set else FACES.get(kind, "white"),
            "edgecolor": SET if is_set else INK,
            "linewidth": 2.2 if is_set else 1.0,
        },
    )


def _edge(ax: Any, boxes: dict[str, Any], ends: tuple[str, str], bend: float, **style: Any) -> None:
    """An arrow from frame to frame."""
    a, b = (boxes[v] for v in ends)
    ax.annotate(
        "",
        xy=b.get_position(),
        xytext=a.get_position(),
        zorder=2,
        arrowprops={
            "patchA": a.get_bbox_patch(),
            "patchB": b.get_bbox_patch(),
            "shrinkA": 2,
            "shrinkB": 2,
            "mutation_scale": 13,
            "linewidth": 1.2,
            "connectionstyle": f"arc3,rad={bend}",
            **style,
        },
    )


class Router:
    """Chooses how edges bend: off the frames of variables, and apart from each other."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.names = list(places)
        self.centres = np.array(list(places.values())).reshape(-1, 2)
        self.halves = np.array([_half(v) for v in places]).reshape(-1, 2)
        self.drawn: list[NDArray[np.float64]] = []

    def bend(self, a: str, b: str, bends: tuple[float, ...]) -> float:
        """The first bend that has room and is apart, or has room, or has most."""
        curves = {bend: _curve(self.places[a], self.places[b], bend) for bend in bends}
        chosen, best = bends[0], -np.inf
        for bend, curve in curves.items():
            room = min(self._room(a, b, curve), ROOM) + ROOM * self._is_apart(curve)
            if room > best:
                chosen, best = bend, room
            if best >= 2 * ROOM:
                break
        self.drawn.append(curves[chosen])
        return chosen

    def _is_apart(self, curve: NDArray[np.float64]) -> bool:
        """Whether the middle of a curve is not on another one."""
        if not self.drawn:
            return True
        gaps = np.concatenate(self.drawn) - curve[POINTS // 2]
        return bool(np.hypot(*gaps.T).min() > APART)

    def _room(self, a: str, b: str, curve: NDArray[np.float64]) -> float:
        """How near a curve comes to the frames of others; below 0, its share in one."""
        others = np.array([v not in (a, b) for v in self.names])
        if not others.any():
            return np.inf
        off = abs(curve - self.centres[others, None]) - self.halves[others, None]
        gaps = np.hypot(*np.maximum(off, 0).transpose(2, 0, 1))  # (variables, points)
        return float((gaps.min(axis=1) - (gaps == 0).mean(axis=1)).min())


def _half(name: str) -> tuple[float, float]:
    """Half the width and the height of a frame."""
    lines = _wrapped(name).splitlines()
    return 0.048 * max(map(len, lines)) + 0.08, 0.11 * len(lines) + 0.06


def _wrapped(name: str) -> str:
    """A long name on several lines."""
    return "\n".join(textwrap.wrap(name.replace("_", "_ "), 14)).replace("_ ", "_")


def _curve(start: NDArray[Any], stop: NDArray[Any], bend: float) -> NDArray[np.float64]:
    """Points of Matplotlib's ``arc3``: a quadratic Bézier curve."""
    (x, y), t = stop - start, np.linspace(0, 1, POINTS)[:, None]
    middle = (start + stop) / 2 + bend * np.array([y, -x])
    return (1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * stop
