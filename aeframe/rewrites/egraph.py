"""E-graph: a graph in which several Applies may make one variable (Willsey et al. 2021).

Variables stand for classes of equal expressions, and a union-find over them says which: to rules
an e-graph looks like any other graph, in the types that ``make_node`` gives.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from itertools import islice
from typing import Any

from aesara.graph.basic import Apply, Constant, Variable

from aeframe.core.graph import Merger, toposort
from aeframe.core.shapes import is_tensor
from aeframe.rewrites.match import View
from aeframe.rewrites.rule import require_one_type


class EGraph(View):
    """Classes of equal expressions.

    Parameters
    ----------
    instances
        Whether each Apply keeps its identity, so that two equal ones may be rewritten differently.
        Alternatives need that: congruence would tie the choices of two layers together.

    Attributes
    ----------
    stale
        Applies whose inputs were merged since :meth:`rebuild`.
    changed
        Classes that were made or merged since the attribute was last emptied.

    >>> import aesara.tensor as at
    >>> from aeframe.rewrites.vocabulary import AddOp
    >>> a, b = at.dvectors("a", "b")
    >>> g = EGraph()
    >>> one, two = g.add([AddOp()(a, b), AddOp()(b, a)])
    >>> one is two, len(g)
    (True, 1)
    """

    def __init__(self, instances: bool = False) -> None:
        self.instances = instances
        self._parent: dict[Variable, Variable] = {}
        self._number: dict[Variable, int] = {}
        self._makers: dict[Variable, list[Apply]] = {}
        self._users: dict[Variable, dict[Apply, None]] = {}
        self._known: dict[Any, Apply] = {}
        self._keys: dict[Apply, Any] = {}
        self._merger = Merger()
        self._by_type: dict[type, dict[Apply, None]] = {}
        self.stale: dict[Apply, None] = {}
        self.changed: set[Variable] = set()

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, variable: Variable) -> Variable:
        """The variable that stands for the class of ``variable``."""
        root = variable
        while (above := self._parent[root]) is not root:
            root = above
        while (above := self._parent[variable]) is not root:
            self._parent[variable], variable = root, above
        return root

    def makers(self, variable: Variable) -> Iterable[Apply]:
        """The Applies of the class, the oldest first."""
        return tuple(self._makers[variable])

    def applies(self, op: type | None = None) -> Iterator[Apply]:
        """All Applies, or those of Ops of one class."""
        return iter(tuple(self._keys if op is None else self._by_type.get(op, ())))

    def newest(self, n: int) -> list[Apply]:
        """The ``n`` Applies that were added last."""
        return list(islice(reversed(self._keys), n))

    def classes(self) -> dict[Variable, Sequence[Apply]]:
        """The Applies of each class; of a leaf none, whatever equals it."""
        makers = ((v, () if v.owner is None else tuple(nodes)) for v, nodes in self._makers.items())
        return dict(makers)

    def inputs(self, node: Apply) -> list[Variable]:
        """The classes that ``node`` takes, each once."""
        return list(dict.fromkeys(self.find(v) for v in node.inputs))

    def op_types(self) -> Iterable[type]:
        """The classes of the Ops that there are."""
        return tuple(self._by_type)

    def __contains__(self, node: object) -> bool:
        return node in self._keys

    def add(self, outputs: Sequence[Variable]) -> list[Variable]:
        """The classes of ``outputs``; what lies above variables of the e-graph is known already."""
        new: dict[Variable, Variable] = {}
        for node in toposort(outputs, ChainMap(new, self._parent)):
            made = self._insert(node, [self._leaf(new.get(v, v)) for v in node.inputs])
            new.update(zip(node.outputs, made.outputs, strict=True))
        return [self._leaf(new.get(v, v)) for v in outputs]

    def _leaf(self, variable: Variable) -> Variable:
        variable = self._merger.constant(variable)
        if variable not in self._parent:
            self._register(variable)
        return self.find(variable)

    def _register(self, variable: Variable) -> None:
        self._parent[variable] = variable
        self._number[variable] = len(self._number)
        self._makers[variable], self._users[variable] = [], {}
        self.changed.add(variable)

    def _key(self, node: Apply) -> Any:
        if self.instances:
            return node
        numbers = [self._number[v] for v in node.inputs]
        if getattr(node.op, "unordered", False):
            numbers.sort()
        return (node.op, *numbers)

    def _insert(self, given: Apply, inputs: list[Variable]) -> Apply:
        node = Apply(given.op, inputs, [o.clone() for o in given.outputs])
        key = self._key(node)
        known = self._known.get(key)
        if known is not None:
            return known
        node.tag = copy(given.tag)
        self._known[key], self._keys[node] = node, key
        self._by_type.setdefault(type(node.op), {})[node] = None
        for variable in node.outputs:
            self._register(variable)
            self._makers[variable].append(node)
        for variable in inputs:
            self._users[variable][node] = None
        return node

    def union(self, a: Variable, b: Variable, why: str = "") -> bool:
        """Make one class of two; whether they were two.

        Raises
        ------
        RewriteError
            When their types cannot be those of equal values; ``why`` says who claims it.
        """
        a, b = self.find(a), self.find(b)
        if a is b:
            return False
        if self._rank(b) < self._rank(a):
            a, b = b, a
        require_one_type(a, b, why)
        _sharpen(a, b)
        self._parent[b] = a
        self._makers[a] += self._makers.pop(b)
        moved = self._users.pop(b)
        self._users[a].update(moved)
        self.stale.update(moved)
        self.changed.discard(b)
        self.changed.add(a)
        return True

    def _rank(self, variable: Variable) -> tuple[bool, bool, int]:
        """Constants first, then leaves: patterns see numbers, and leaves keep their types."""
        made = variable in self._makers and bool(variable.owner)
        return (not isinstance(variable, Constant), made, self._number[variable])

    def rebuild(self) -> None:
        """Merge what is equal because its inputs are (congruence)."""
        while self.stale:
            node = self.stale.popitem()[0]
            key = self._keys.get(node)
            if key is None:
                continue
            if self._known.get(key) is node:
                del self._known[key]
            node.inputs = [self.find(v) for v in node.inputs]
            key = self._key(node)
            same = self._known.get(key)
            if same is None:
                self._known[key], self._keys[node] = node, key
                continue
            self._drop(node)
            for old, kept in zip(node.outputs, same.outputs, strict=True):
                self.union(old, kept)

    def _drop(self, node: Apply) -> None:
        del self._keys[node]
        del self._by_type[type(node.op)][node]
        for variable in node.outputs:
            self._makers[self.find(variable)].remove(node)
        for variable in node.inputs:
            self._users[self.find(variable)].pop(node, None)

    def reach(self, steps: int) -> set[Apply]:
        """The Applies within so many steps above the classes that changed."""
        level = {self.find(v) for v in self.changed}
        found = {node for v in level for node in self._makers[v]}
        for _ in range(steps):
            nodes = {node for v in level for node in self._users[v]}
            found |= nodes
            level = {self.find(o) for node in nodes for o in node.outputs}
        return found


def _sharpen(a: Variable, b: Variable) -> None:
    """Put the sizes that the type of ``b`` knows on ``a``."""
    if is_tensor(a) and a.owner is not None and None in a.type.shape:
        shape = [x if x is not None else y for x, y in zip(a.type.shape, b.type.shape, strict=True)]
        a.type = a.type.clone(shape=tuple(shape))
