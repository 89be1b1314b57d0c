"""Which group of the page an Apply lies in.

A Module that holds Applies is a group. One whose every call is a single Apply is none: its name
stands on the card. Kernels and circuits are expressions: their parts lie beside each other in the
group of the outermost one. A Module that is called again on what others made of its result has
one group for each call, so that groups feed each other in one direction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence

import networkx as nx

Address = tuple[tuple[str, int], ...]  # from the outside in: the path of a Module, which call


def prefixes(path: str) -> Iterator[str]:
    """The paths that ``path`` lies in, from the root's to its own.

    >>> list(prefixes("a[0].b"))
    ['', 'a', 'a[0]', 'a[0].b']
    """
    yield ""
    for i, character in enumerate(path):
        if character in ".[" and i:
            yield path[:i]
    if path:
        yield path


def is_below(path: str, top: str) -> bool:
    """Whether ``path`` is ``top`` or lies in it.

    >>> is_below("a[0].w", "a[0]"), is_below("ab", "a")
    (True, False)
    """
    return not top or path == top or path.startswith((f"{top}.", f"{top}["))


def relative(path: str, group: str) -> str:
    """What is left of ``path`` inside the group.

    >>> relative("net.parts[0]", "net")
    'parts[0]'
    """
    return path[len(group) :].removeprefix(".")


def addresses(
    paths: Sequence[str],
    links: Sequence[tuple[int, int]],
    modules: Collection[str],
    expressions: Collection[str],
    top: str = "",
) -> list[Address]:
    """The groups of each Apply.

    Parameters
    ----------
    paths
        The path of each Apply.
    links
        Pairs of Applies, by number: the first feeds the second.
    modules
        The paths of Modules.
    expressions
        The paths of Modules that are parts of an expression.
    top
        The Module that the page shows; all ``paths`` lie in it.
    """
    chains = {path: _chain(path, modules, expressions, top) for path in set(paths)}
    whole = {inner for chain in chains.values() for inner in chain[:-1]}
    fed = {paths[a] for a, b in links if paths[a] == paths[b]}
    for path, chain in chains.items():
        if chain[-1] == path != top and path not in whole and path not in fed:
            chains[path] = chain[:-1]
    found: list[Address] = [tuple((p, 0) for p in chains[path]) for path in paths]
    _split_cycles(found, list(range(len(paths))), links, 1)
    return found


def _chain(
    path: str, modules: Collection[str], expressions: Collection[str], top: str
) -> tuple[str, ...]:
    chain = [p for p in prefixes(path) if (p in modules or p == path) and is_below(p, top)]
    first = next((i for i, p in enumerate(chain) if p in expressions), len(chain))
    return tuple(chain[: first + 1])


def _split_cycles(
    found: list[Address], members: list[int], links: Sequence[tuple[int, int]], depth: int
) -> None:
    """Number the calls of groups at ``depth`` that would feed themselves through others."""
    groups: dict[Address, list[int]] = defaultdict(list)
    for i in members:
        if len(found[i]) > depth:
            groups[found[i][: depth + 1]].append(i)
    if not groups:
        return
    inside = set(members)
    links = [(a, b) for a, b in links if a in inside and b in inside]
    item = {i: found[i][: depth + 1] if len(found[i]) > depth else i for i in members}
    level = nx.DiGraph((item[a], item[b]) for a, b in links if item[a] != item[b])
    for knot in nx.strongly_connected_components(level):
        for address in knot & groups.keys() if len(knot) > 1 else ():
            _number_calls(found, groups[address], links, depth)
    inner: dict[Address, list[int]] = defaultdict(list)
    for i in members:
        if len(found[i]) > depth:
            inner[found[i][: depth + 1]].append(i)
    for part in inner.values():
        _split_cycles(found, part, links, depth + 1)


def _number_calls(
    found: list[Address], members: list[int], links: Sequence[tuple[int, int]], depth: int
) -> None:
    graph = nx.Graph()
    graph.add_nodes_from(members)
    graph.add_edges_from((a, b) for a, b in links if graph.has_node(a) and graph.has_node(b))
    for call, part in enumerate(nx.connected_components(graph)):
        for i in part:
            path, _ = found[i][depth]
            found[i] = (*found[i][:depth], (path, call), *found[i][depth + 1 :])
