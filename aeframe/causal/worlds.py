"""Worlds: several worlds of one Model in one graph, the primitive that causal queries are made of.

Its laws, for worlds of a Model ``m``:

* a world ``{}`` is ``m`` itself; any other is ``m.intervene(changes)``;
* only the descendants of what a world changes are copied, as sites ``world.site``; all else is
  the same variable in all worlds: parameters, observations and what is not reached;
* a site draws from a stream of its own, so that its copies draw the same noise, in whatever
  worlds it is asked for;
* what is observed is known of the world without changes, and what it says of the shared part
  holds in all; a copy of an observed site needs noise that both share
  (:mod:`aeframe.causal.counterfactual`);
* ``m``, its programs and its random states stay as they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from aesara.graph.basic import Apply, Variable
from aesara.tensor.random.type import RandomType

from aeframe.causal.intervene import Intervene
from aeframe.core.cells import RandomState
from aeframe.core.errors import ArgumentError, NameTakenError
from aeframe.core.graph import Graph, remake, replay, toposort
from aeframe.core.module import lower
from aeframe.core.structure import Structure
from aeframe.core.trace import current_trace
from aeframe.infer.layout import layout
from aeframe.prob import Model, ObserveOp, SiteOp, sites_of
from aeframe.prob.programs import arguments, lowered
from aeframe.prob.sites import find_site, record


@dataclass(frozen=True)
class AsIn(Structure):
    """As a change: the value that the site has in another world, which comes before.

    Attributes
    ----------
    world
        Its name.
    redrawn
        Whether it is the value of another unit, drawn with noise of its own: one with the same
        sites that nothing reaches.
    """

    world: str
    redrawn: bool = False


class Worlds(Model):
    """A Model of several worlds of ``model``; see the laws in :mod:`aeframe.causal.worlds`.

    It draws, observes and infers as any Model does.

    Parameters
    ----------
    model
        The Model that the worlds are of; its cells are shared.
    worlds
        World → site → what it becomes, as for :meth:`aeframe.Model.intervene`; or :class:`AsIn`.
    only
        Sites that are asked for; those that they do not depend on are left out. By default all.

    >>> from aeframe.distributions import Normal
    >>> class Chain(Model):
    ...     def __call__(self):
    ...         x = self.sample("x", Normal(0, 1))
    ...         self.sample("y", Normal(2 * x, 1))
    >>> both = Worlds(Chain(), {"natural": {}, "treated": {"x": 3}})
    >>> list(both.expression())
    ['x', 'y', 'treated.x', 'treated.y']
    """

    def __init__(
        self,
        model: Model,
        worlds: Mapping[str, Mapping[str, Any]],
        only: Sequence[str] = (),
    ) -> None:
        if not isinstance(worlds, Mapping) or not worlds:
            raise ArgumentError(
                "worlds are a dict of changes",
                expected='{"control": {"x": 0}, "treated": {"x": 1}}',
                got=repr(worlds),
            )
        for changes in worlds.values():
            if not isinstance(changes, Mapping) or changes:  # {} is the world as it is
                model.require_names(changes, "intervene on")
        self.model = model
        self.worlds: dict[str, Intervene] = {}
        self.links: dict[str, dict[str, AsIn]] = {}
        for name, changes in worlds.items():
            links = {k: v for k, v in changes.items() if isinstance(v, AsIn)}
            for link in links.values():
                find_site(link.world, self.worlds, "take a value from the world")
            self.links[name] = links
            self.worlds[name] = Intervene({k: v for k, v in changes.items() if k not in links})
        self.only = tuple(only)
        self.streams: dict[str, RandomState] = {}
        self.has_copies = True

    @property
    def factual(self) -> Self:
        """The same without the copies: the sites that they depend on, and what is observed."""
        shared = copy(self)
        shared.has_copies = False
        shared.__dict__.pop("_programs", None)
        return shared

    def __call__(self, *data: Any) -> None:
        """Record the shared sites, then the copies of each world."""
        trace = current_trace()
        assert trace is not None
        known = sites_of(lower(self.model, *data, method="expression").outputs)
        trace.plates.update(self.model._plates)
        own = self._on_streams([n.outputs[0] for n in known.values()])
        base = {name: v.owner for name, v in zip(known, own, strict=True)}
        asked = [find_site(name, base, "ask for").op.name for name in self.only] or list(base)
        made: dict[str, dict[str, Variable]] = {}
        needed = {v: None for v in own if isinstance(v.owner.op, ObserveOp)}
        for world in self.worlds:
            found = self._world(world, base, made)
            made[world] = found
            needed |= {found[k]: None for k in asked}
        self._places = {w: {k: v.owner.op.name for k, v in made[w].items()} for w in self.worlds}
        shared = {n: None for n in base.values()}
        nodes = list(sites_of(needed).values())
        for node in nodes:
            if self.has_copies or node in shared:
                record(node.outputs[0])
        if self.has_copies:
            for site in self.derived([n for n in nodes if n in shared]):
                record(site)

    def _world(
        self,
        world: str,
        base: Mapping[str, Apply],
        made: dict[str, dict[str, Variable]],
        redrawn: bool = False,
    ) -> dict[str, Variable]:
        """The sites of a world: those that are not of ``base`` get a name with the world's."""
        change = copy(self.worlds[world])
        for site, link in self.links[world].items():
            place = f"{link.world} redrawn" if link.redrawn else link.world
            if place not in made:
                made[place] = self._world(link.world, base, made, redrawn=True)
            node = find_site(site, base, "intervene on")
            taken = made[place][site]
            if taken is not node.outputs[0]:
                change.changes = {**change.changes, site: partial(_taken, taken, node.outputs[0])}
        graph = Graph((), tuple(n.outputs[0] for n in base.values()))
        done, report = change(graph)
        trace = current_trace()
        assert trace is not None
        trace.reports.append(report)
        known = [v for f in (*made.values(), _outputs(base)) for v in f.values()]
        old, name = set(toposort(known)), f"{world} redrawn" if redrawn else world
        outputs = self._on_streams(done.outputs, "do ")
        if redrawn:
            outputs = self._apart(outputs, old, name)
        copies = self._renamed(outputs, old, base, name, change.changes)
        return dict(zip(base, copies, strict=True))

    def _renamed(
        self,
        outputs: Sequence[Variable],
        old: set[Apply],
        base: Mapping[str, Apply],
        world: str,
        changed: Mapping[str, Any],
    ) -> list[Variable]:
        """Sites that are not ``old`` as copies, coupled with those that they are copies of."""

        def transform(node: Apply, inputs: list[Variable]) -> list[Variable] | None:
            op = node.op
            if node in old or not isinstance(op, SiteOp | ObserveOp):
                return None
            mechanism = op.name.removesuffix(".natural")
            twin = base.get(op.name if mechanism not in changed else mechanism)
            if mechanism != op.name and twin is not None and node.inputs == twin.inputs:
                return [twin.outputs[0]]  # a natural value is the site itself
            name = f"{world}.{op.name}"
            if name in base:
                raise NameTakenError(f"the model has a site {name!r}", path=world)
            copied = remake(node, inputs)
            value, kind, arguments = copied.inputs[0], op.kind, copied.inputs[1:]
            if twin is not None and (op.name not in changed) and kind in ("random", "observed"):
                value, kind, arguments = self.couple(twin, copied)
            site = SiteOp(name, kind, op.support, op.dims)(value, *arguments)
            site.name = name
            return [site]

        return replay(outputs, {}, transform)

    def _apart(self, outputs: Sequence[Variable], old: set[Apply], world: str) -> list[Variable]:
        """Draws that are not ``old`` on streams of their own."""
        names = {state: name for name, state in self.streams.items()}

        def transform(node: Apply, inputs: list[Variable]) -> list[Variable] | None:
            if node in old or not any(v in names for v in inputs):
                return None
            fresh = [
                self.streams.setdefault(f"{world} {names[v]}", RandomState()) if v in names else v
                for v in inputs
            ]
            return remake(node, fresh).outputs

        return replay(outputs, {}, transform)

    def couple(self, natural: Apply, copied: Apply) -> tuple[Variable, str, Sequence[Variable]]:
        """Value, kind and support arguments of the copy of a drawn site: a draw of its own.

        Raises
        ------
        ArgumentError
            When the site is observed: what was seen says something of its noise.
        """
        if isinstance(copied.op, ObserveOp):
            raise ArgumentError(
                f"{copied.op.name!r} is observed, and a descendant of what is changed",
                path=copied.op.name,
                fix="use `model.counterfactual(evidence=..., do=...)` for what would have been "
                "seen, or a posterior (`model.observe(...).fit()`) for units to come",
            )
        return copied.inputs[0], copied.op.kind, copied.inputs[1:]

    def derived(self, base: Sequence[Apply]) -> Sequence[Variable]:
        """Further sites, functions of those that are no copies."""
        return ()

    def _on_streams(self, outputs: Sequence[Variable], prefix: str = "") -> list[Variable]:
        """Each draw on a stream named after its site; those that are on one stay as they are."""
        streams = set(self.streams.values())
        owner: dict[Apply, str] = {}
        for node in reversed(toposort(outputs)):
            name = node.op.name if isinstance(node.op, SiteOp | ObserveOp) else owner.get(node)
            for v in node.inputs:
                if name is not None and v.owner and not isinstance(v.type, RandomType):
                    owner.setdefault(v.owner, name)
        count: Counter[str] = Counter()

        def transform(node: Apply, inputs: list[Variable]) -> list[Variable] | None:
            own = list(inputs)
            for i, v in enumerate(inputs):
                if node in owner and isinstance(v.type, RandomType) and v not in streams:
                    name = prefix + owner[node]
                    count[name] += 1
                    place = name if count[name] == 1 else f"{name}.{count[name]}"
                    own[i] = self.streams.setdefault(place, RandomState())
            return None if own == inputs else remake(node, own).outputs

        return replay(outputs, {}, transform)

    def split(self, world: str, site: str, *data: Any) -> list[tuple[str, str]]:
        """Drawn sites that decide ``site`` in ``world`` by two values, and the other's world."""
        place = self.places(*data)[world][site]
        graph = lowered(self, arguments(self, data).symbols())
        above = sites_of(sites_of(graph.results)[place].inputs)
        found = []
        for other, names in self._places.items():
            both = [k for k, v in names.items() if v in above and self._places[world][k] in above]
            found += [
                (k, other)
                for k in both
                if names[k] != self._places[world][k] and above[names[k]].op.kind == "random"
            ]
        return found

    def places(self, *data: Any) -> dict[str, dict[str, str]]:
        """World → site → the name under which this Model has it."""
        layout(self, data)
        return self._places

    def read(self, *data: Any) -> tuple[Any, ...]:
        """As the Model reads them."""
        return self.model.read(*data)

    def init(self, seed: int = 0) -> Self:
        """The Model's cells by their own paths first: a first value depends on the path."""
        self.model.init(seed)
        return super().init(seed)


def _taken(value: Variable, site: Variable, natural: Variable) -> Variable:
    """A value from another world, in which the site itself is its natural value."""
    return replay([value], {site: natural})[0]


def _outputs(base: Mapping[str, Apply]) -> dict[str, Variable]:
    return {name: node.outputs[0] for name, node in base.items()}
