"""Rules, the engines that apply them, and what they report."""

from aeframe.rewrites.diff import Diff, diff
from aeframe.rewrites.egraph import EGraph
from aeframe.rewrites.enumerate import models
from aeframe.rewrites.extract import Extraction, Problem
from aeframe.rewrites.greedy import GreedyExtraction
from aeframe.rewrites.match import match
from aeframe.rewrites.optimal import OptimalExtraction
from aeframe.rewrites.passes import Greedy, Pass, Pipeline
from aeframe.rewrites.pattern import (
    Bindings,
    Computed,
    Each,
    Every,
    Expr,
    New,
    Parts,
    Pattern,
    Prop,
    Rest,
    Var,
    build,
    term,
)
from aeframe.rewrites.report import Explanation, Report, Step, describe
from aeframe.rewrites.rule import Alternative, Definition, Equality, Rule, alternatives, find_rule
from aeframe.rewrites.saturate import Limits, Saturated, saturate
from aeframe.rewrites.saturation import Saturation
from aeframe.rewrites.standard import (
    EQUALITIES,
    INFERENCE,
    INTERPRETATIONS,
    SIMPLIFICATIONS,
    explain,
    finish,
    graph_of,
    inference,
    interpret,
)

__all__ = [
    "EQUALITIES",
    "INFERENCE",
    "INTERPRETATIONS",
    "SIMPLIFICATIONS",
    "Alternative",
    "Bindings",
    "Computed",
    "Definition",
    "Diff",
    "EGraph",
    "Each",
    "Equality",
    "Every",
    "Explanation",
    "Expr",
    "Extraction",
    "Greedy",
    "GreedyExtraction",
    "Limits",
    "New",
    "OptimalExtraction",
    "Parts",
    "Pass",
    "Pattern",
    "Pipeline",
    "Problem",
    "Prop",
    "Report",
    "Rest",
    "Rule",
    "Saturated",
    "Saturation",
    "Step",
    "Var",
    "alternatives",
    "build",
    "describe",
    "diff",
    "explain",
    "find_rule",
    "finish",
    "graph_of",
    "inference",
    "interpret",
    "match",
    "models",
    "saturate",
    "term",
]
