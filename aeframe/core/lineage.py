"""What a file says of the passes of a model: what they did, and the rules that they need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib import import_module
from typing import Any

from aeframe.core.errors import FileError
from aeframe.core.structure import Structure, walk

ROOMS = ("nn", "distributions", "gp", "circuits", "infer")  # that declare rules


def lineage_of(root: Structure) -> list[dict[str, Any]]:
    """What passes did to ``root`` when it was compiled last, as data."""
    found = vars(root).get("_lineage")
    return [asdict(report) for report in found.reports] if found is not None else []


def remember(root: Structure, lineage: Sequence[Mapping[str, Any]]) -> None:
    """Let ``root`` know the lineage that its file holds."""
    from aeframe.rewrites.report import Explanation, Report, Step

    if lineage:
        made = (
            Report(str(r["name"]), tuple(Step(**s) for s in r["steps"]), str(r["note"]))
            for r in lineage
        )
        found = Explanation(tuple(made), "as it was saved")
        vars(root).update(_lineage=found, _saved_lineage=found)


def require_rules(parts: Iterable[Structure]) -> None:
    """Raise :class:`FileError` when passes among ``parts`` need rules that nobody has declared."""
    from aeframe.rewrites.passes import Pass
    from aeframe.rewrites.rule import RULES

    passes = {id(p): p for part in parts for _, p in walk(part) if isinstance(p, Pass)}
    names = {name for each in passes.values() for name in each.needs()}
    for room in ROOMS:
        if names - RULES.keys():
            import_module(f"aeframe.{room}")
    missing = sorted(names - RULES.keys())
    if missing:
        raise FileError(
            "the model is rewritten by rules that are not declared here: " + ", ".join(missing),
            fix="import the module that declares them before loading",
        )
