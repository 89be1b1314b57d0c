"""View: the page as an object that notebooks show and ``save`` writes."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
from aesara.graph.basic import Variable
from aesara.tensor.type import TensorType

from aeframe.core.files import write_atomically
from aeframe.core.module import is_array
from aeframe.core.view.scene import scene

if TYPE_CHECKING:
    from aeframe.core.module import Module

_SCRIPTS = ("layout.js", "cards.js", "page.js", "panel.js", "start.js")


class View:
    """A typed graph as one HTML page that needs no network.

    Attributes
    ----------
    scene
        What the page shows, as data: ``totals``, ``groups``, ``cards`` and ``cells``.

    >>> from aeframe.core.module import Module
    >>> class Twice(Module):
    ...     def __call__(self, x):
    ...         return 2.0 * x
    >>> print(Twice().view(np.ones((4, 3))))
    Twice: 1 Module, 1 Op, 0 parameters
    """

    def __init__(self, scene: dict[str, Any]) -> None:
        self.scene = scene

    @property
    def html(self) -> str:
        """The whole page."""
        # `<`, `>` and `&` as escapes of JSON, so that no name can end the script it stands in
        data = json.dumps(self.scene, separators=(",", ":"))
        for character in "<>&":
            data = data.replace(character, f"\\u{ord(character):04x}")
        parts = {
            "TITLE": escape(self.scene["title"]),
            "TEXT": escape(str(self)),
            "STYLE": _part("page.css"),
            "SCRIPT": "".join(map(_part, _SCRIPTS)),
            "SCENE": data,
        }
        first, *rest = _part("page.html").split("{{")
        pieces = [piece.partition("}}") for piece in rest]
        return first + "".join(parts[name] + text for name, _, text in pieces)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page to a file.

        Raises
        ------
        FileError
            When it cannot be written; what was there stays.
        """
        write_atomically(path, self.html.encode())

    def _repr_html_(self) -> str:
        """The page in a frame, for notebooks."""
        style = "width:100%;height:640px;border:1px solid #8884;border-radius:8px"
        return f'<iframe srcdoc="{escape(self.html)}" style="{style}"></iframe>'

    def __str__(self) -> str:
        totals = self.scene["totals"]
        counts = [
            f"{totals[many]:,} {one}{'s' * (totals[many] != 1)}"
            for many, one in (("modules", "Module"), ("ops", "Op"), ("parameters", "parameter"))
        ]
        frozen = f" ({totals['frozen']:,} frozen)" if totals["frozen"] else ""
        return f"{self.scene['title']}: {', '.join(counts)}{frozen}"

    def __repr__(self) -> str:
        return f"<View of {self}>"


def view(module: Module, inputs: Sequence[Any], path: str) -> View:
    """The graph of ``module`` for ``inputs`` (as in ``graph_of``; arrays may be given too)."""
    from aeframe.rewrites import graph_of

    dtype = module.find_dtype()
    graph, _ = graph_of(module, [_symbol(v, dtype) if is_array(v) else v for v in inputs])
    return View(scene(module, graph, path))


def _symbol(value: Any, dtype: str) -> Variable:
    array = np.asarray(value)
    return TensorType(dtype if array.dtype.kind == "f" else str(array.dtype), array.shape)()


def _part(name: str) -> str:
    return files("aeframe.core.view").joinpath(name).read_text(encoding="utf-8")
