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
from typing import Any, Self

from aesara.graph.basic import Apply, Variable
from aesara.tensor.random.type import RandomType

from aeframe.causal.intervene import Intervene
from aeframe.core.cells import RandomState
from aeframe.core.errors import ArgumentError, NameTakenError
from aeframe.core.graph import Graph, remake, replay, toposort
from aeframe.core.module import lower
from aeframe.core.trace import current_trace
from aeframe.infer.layout import layout
from aeframe.prob import Model, ObserveOp, SiteOp, sites_of
from aeframe.prob.sites import record


class Worlds(Model):
    """A Model of several worlds of ``model``; see the laws in :mod:`aeframe.causal.worlds`.

    It draws, observes and infers as any Model does.

    Parameters
    ----------
    model
        The Model that the worlds are of; its cells are shared.
    worlds
        World → site → what it becomes, as for :meth:`aeframe.Model.intervene`.

    >>> from aeframe.distributions import Normal
    >>> class Chain(Model):
    ...     def __call__(self):
    ...         x = self.sample("x", Normal(0, 1))
    ...         self.sample("y", Normal(2 * x, 1))
    >>> both = Worlds(Chain(), {"natural": {}, "treated": {"x": 3}})
    >>> list(both.expression())
    ['x', 'y', 'treated.x', 'treated.y']
    """

    def __init__(self, model: Model, worlds: Mapping[str, Mapping[str, Any]]) -> None:
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
        self.worlds = {name: Intervene(changes) for name, changes in worlds.items()}
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
        self._places: dict[str, dict[str, str]] = {}
        needed = {v: None for v in own if isinstance(v.owner.op, ObserveOp)}
        for world, change in self.worlds.items():
            made, report = change(Graph((), tuple(own)))
            trace.reports.append(report)
            found = self._copied(world, made.outputs, base)
            self._places[world] = {k: _name(v) for k, v in zip(known, found, strict=True)}
            needed |= dict.fromkeys(found)
        shared = {n: None for n in base.values()}
        for node in sites_of(needed).values():
            if self.has_copies or node in shared:
                record(node.outputs[0])
        if self.has_copies:
            for site in self.derived([n for n in sites_of(needed).values() if n in shared]):
                record(site)

    def _copied(
        self, world: str, outputs: Sequence[Variable], base: Mapping[str, Apply]
    ) -> list[Variable]:
        """The sites of a world: those that are not of ``base`` get a name with the world's."""
        old = set(toposort([n.outputs[0] for n in base.values()]))
        changed = self.worlds[world].changes

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

        return replay(self._on_streams(outputs, "do "), {}, transform)

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


def _name(site: Variable) -> str:
    return site.owner.op.name
