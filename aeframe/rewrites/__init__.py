"""Rules, the engines that apply them, and what they report."""

from aeframe.rewrites.diff import Diff, diff
from aeframe.rewrites.passes import Greedy, Pass, Pipeline
from aeframe.rewrites.pattern import Each, New, Prop, Rest, Var, term
from aeframe.rewrites.report import Explanation, Report, Step, describe
from aeframe.rewrites.rule import Alternative, Definition, Equality, Rule, alternatives, find_rule
from aeframe.rewrites.standard import (
    INFERENCE,
    INTERPRETATIONS,
    SIMPLIFICATIONS,
    explain,
    graph_of,
    inference,
    interpret,
    optimize,
)

__all__ = [
    "INFERENCE",
    "INTERPRETATIONS",
    "SIMPLIFICATIONS",
    "Alternative",
    "Definition",
    "Diff",
    "Each",
    "Equality",
    "Explanation",
    "Greedy",
    "New",
    "Pass",
    "Pipeline",
    "Prop",
    "Report",
    "Rest",
    "Rule",
    "Step",
    "Var",
    "alternatives",
    "describe",
    "diff",
    "explain",
    "find_rule",
    "graph_of",
    "inference",
    "interpret",
    "optimize",
    "term",
]
