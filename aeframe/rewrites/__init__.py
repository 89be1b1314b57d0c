"""Rules, the engines that apply them, and what they report."""

from aeframe.rewrites.diff import Diff, diff
from aeframe.rewrites.passes import Greedy, Pass, Pipeline
from aeframe.rewrites.pattern import (
    Bindings,
    Each,
    New,
    Pattern,
    Prop,
    Rest,
    Var,
    build,
    match,
    term,
)
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
    "Bindings",
    "Definition",
    "Diff",
    "Each",
    "Equality",
    "Explanation",
    "Greedy",
    "New",
    "Pass",
    "Pattern",
    "Pipeline",
    "Prop",
    "Report",
    "Rest",
    "Rule",
    "Step",
    "Var",
    "alternatives",
    "build",
    "describe",
    "diff",
    "explain",
    "find_rule",
    "graph_of",
    "inference",
    "interpret",
    "match",
    "optimize",
    "term",
]
