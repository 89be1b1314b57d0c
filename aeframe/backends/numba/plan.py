"""How a graph of concrete shapes runs: kernels of loops, and steps of NumPy and SciPy between.

An elementwise result that is used once is computed where it is used; views cost nothing; arrays
that nobody reads again give their memory to later ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from aesara.graph.basic import Apply, Constant, Variable
from aesara.tensor.basic import tensor_copy
from aesara.tensor.elemwise import CAReduce

from aeframe.backends.numba.loops import reads
from aeframe.backends.numba.ops import emitter, is_elementwise, matrix_layout, takes_matrices
from aeframe.backends.numba.places import Places, dense, is_static, whole
from aeframe.core.graph import Graph, remake, replay, toposort
from aeframe.core.shapes import is_tensor

LARGEST_INLINE = 40  # Applies computed in one place: beyond that compiling gets slow


@dataclass
class Unit:
    """What is run at once: a group of elementwise Applies, another Apply's loops, or a host step.

    Attributes
    ----------
    nodes
        The Applies, in order.
    host
        Whether NumPy runs it.
    reads
        The base variables that it reads.
    """

    nodes: list[Apply]
    host: bool
    reads: dict[Variable, None] = field(default_factory=dict)


def prepare(graph: Graph, places: Places) -> list[Variable]:
    """The results of ``graph``, each with an array of its own, and inputs laid out as Ops want."""

    def fits(node: Apply, v: Variable) -> bool:
        place = places(v)
        if takes_matrices(node) and emitter(node) is not None:
            if v.type.ndim < 2:
                return dense(place, v.type.shape)
            return matrix_layout(place, v.type.shape) is not None
        return whole(place, v.type.shape)

    def transform(node: Apply, inputs: list[Variable]) -> Sequence[Variable] | None:
        if is_elementwise(node) or any(places.base(o) is not None for o in node.outputs):
            return None
        if emitter(node) is not None and not takes_matrices(node):
            return None
        laid = [
            tensor_copy(v) if is_static(v) and not isinstance(v, Constant) and not fits(node, v)
            else v
            for v in inputs
        ]  # fmt: skip
        same = all(a is b for a, b in zip(laid, inputs, strict=True))
        return None if same else remake(node, laid).outputs

    results = replay(graph.results, {}, transform)
    taken: set[Variable] = set()
    own = []
    for v in results:
        shared = v in taken or v.owner is None or (is_static(v) and places.is_view(v))
        own.append(tensor_copy(v) if is_tensor(v) and shared else v)
        taken.add(v)
    return own


def inputs_of(node: Apply, places: Places) -> list[Variable]:
    """The inputs that ``node`` needs: a view needs what it is a view of, and not its indices."""
    bases = [places.base(o) for o in node.outputs]
    if all(b is not None for b in bases) and places.is_view(node.outputs[0]):
        return [b for b in bases[:1] if b is not None]
    return list(node.inputs)


def live_nodes(results: Sequence[Variable], places: Places) -> list[Apply]:
    """The Applies that ``results`` need, in order."""
    order = toposort(results)
    needed = set(results)
    kept = []
    for node in reversed(order):
        if needed.intersection(node.outputs):
            kept.append(node)
            needed.update(inputs_of(node, places))
    return kept[::-1]


def inlined(nodes: Sequence[Apply], results: Sequence[Variable], places: Places) -> frozenset:
    """The elementwise results that are computed where they are used."""
    clients: dict[Variable, list[Apply]] = {}
    for node in nodes:
        for v in dict.fromkeys(inputs_of(node, places)):
            clients.setdefault(v, []).append(node)
    size: dict[Variable, int] = {}
    kept = set(results)
    for node in nodes:
        out = node.outputs[0]
        used = clients.get(out, [])
        if out in kept or len(used) != 1 or not is_elementwise(node) or places.is_view(out):
            continue
        (client,) = used
        n = 1 + sum(size.get(v, 0) for v in node.inputs)
        shape = client.outputs[0].type.shape
        if isinstance(client.op, CAReduce) and emitter(client) is not None:
            shape = out.type.shape
        elif not is_elementwise(client) or places.is_view(client.outputs[0]):
            continue
        if shape == out.type.shape and n <= LARGEST_INLINE:
            size[out] = n
    return frozenset(size)


def units(nodes: Sequence[Apply], inline: frozenset, places: Places) -> list[Unit]:
    """What has to be run, with as few changes between NumPy and kernels as can be."""
    stages: dict[Variable, tuple[int, bool]] = {}
    found: list[tuple[int, bool, int, Unit]] = []
    for i, node in enumerate(nodes):
        if node.outputs[0] in inline or (all(map(places.is_view, _static(node))) and _static(node)):
            continue
        elementwise = is_elementwise(node)
        host = not elementwise and emitter(node) is None
        unit = Unit([node], host)
        for v in node.inputs:
            for u in reads(v, inline):
                base = places(u).base if is_static(u) else u
                unit.reads[base] = None
        before = [stages[v] for v in unit.reads if v in stages]
        stage = max((s + (host and not by_host) for s, by_host in before), default=0)
        for out in node.outputs:
            stages[out] = (stage, host)
        found.append((stage, not host, i, unit))
    return [unit for *_, unit in sorted(found, key=lambda f: f[:3])]


def _static(node: Apply) -> list[Variable]:
    return [o for o in node.outputs if is_static(o)]


def grouped(found: Sequence[Unit], inline: frozenset, places: Places) -> list[Unit]:
    """Neighbours among elementwise units of one shape put together."""
    made: list[Unit] = []
    for unit in found:
        last = made[-1] if made else None
        if last is not None and _joins(last, unit, inline, places):
            last.nodes += unit.nodes
            last.reads.update(unit.reads)
        else:
            made.append(unit)
    return made


def _joins(last: Unit, unit: Unit, inline: frozenset, places: Places) -> bool:
    if (
        last.host
        or unit.host
        or not (is_elementwise(last.nodes[0]) and is_elementwise(unit.nodes[0]))
    ):
        return False
    if last.nodes[0].outputs[0].type.shape != unit.nodes[0].outputs[0].type.shape:
        return False
    made = {node.outputs[0] for node in last.nodes}
    leaves = [u for v in unit.nodes[0].inputs for u in reads(v, inline)]
    return all(u in made or places(u).base not in made for u in leaves)
