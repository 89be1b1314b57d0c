"""How estimands are written: as text, and in LaTeX."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Style:
    """How formulas are put together: text or LaTeX."""

    total: str
    fraction: str
    do: str
    bar: str
    name: Callable[[str], str]
    brackets: str


def latex_name(name: str) -> str:
    r"""A variable in LaTeX: letters as they are, words upright.

    >>> latex_name("x1"), latex_name("blood_type")
    ('x_{1}', '\\mathrm{blood\\_type}')
    """
    if found := re.fullmatch(r"([A-Za-z])_?(\d*)", name):
        return f"{found[1]}_{{{found[2]}}}" if found[2] else name
    return r"\mathrm{" + name.replace("_", r"\_") + "}"


TEXT = Style("Σ_{{{}}} {}", "({}) / ({})", "do({})", " | ", str, "[{}]")
DO = r"\operatorname{{do}}({})"
LATEX = Style(
    r"\sum_{{{}}} {}", r"\frac{{{}}}{{{}}}", DO, r" \mid ", latex_name, r"\left[{}\right]"
)
